"""The interfaces of step rules, of what acts, and of algorithms."""

import abc
import dataclasses
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from steepest.core.distributions import AbstractDistribution
from steepest.core.finiteness import UpdateInfo
from steepest.core.problem import AbstractMaximisation, Info, Parameters
from steepest.core.spaces import Spec
from steepest.core.trajectory import Trajectory
from steepest.core.types import AnyArray, PyTree

Policy = Callable[[AnyArray], AbstractDistribution]
"""A function from observations to distributions over actions, as a rule a module whose array leaves are parameters."""

ValueFunction = Callable[[AnyArray, AnyArray], Array]
"""$V(s,t)$ as a function, `(obs, time) -> value`."""

ActionValueFunction = Callable[[AnyArray, AnyArray], Array]
"""$Q(s,a)$ as a function, `(obs, action) -> value`."""


class AbstractStepRule(eqx.Module):
    """What moves parameters uphill on a problem, and limits how far.

    - `needs_surrogate`: whether it asks for the objective away from the policy that gathered the data: it takes several
      steps on the same rows, or measures what a step has gained.
    """

    needs_surrogate: ClassVar[bool] = False

    @abc.abstractmethod
    def init(self, parameters: PyTree) -> PyTree:
        """The state before the first step: only what the next call needs."""

    @abc.abstractmethod
    def step(
        self, key: Key[Array, ""], parameters: Parameters, problem: AbstractMaximisation, state: PyTree
    ) -> tuple[Parameters, PyTree, Info]:
        """Return moved parameters, the next state, and diagnostics by name."""


@dataclasses.dataclass(frozen=True)
class RolloutSpec:
    """What an algorithm learns from: the kind of trajectory that sampling makes for it.

    - `length`: steps of each stream in a trajectory; `None` for as many as the environment's time limit allows.
    - `whole_episodes`: every stream plays exactly one episode from its start; what is left of the trajectory after
      its end is not `valid`. Otherwise streams run on from one trajectory to the next.
    - `demonstrated`: rows of demonstrations. A trajectory is then one step of streams that have nothing to do with
      each other, and no environment is played while the algorithm learns.
    - `overlaps`: where environments step outside the program, the last trajectory may be learnt from while they do;
      so the agent that acts is one update behind. Not for algorithms that must learn from the policy as it is.
    """

    length: int | None
    whole_episodes: bool = False
    demonstrated: bool = False
    overlaps: bool = False


class AbstractActor(eqx.Module):
    """Something that chooses actions: all that sampling asks for.

    - `spec`: the task.
    - `rollout`: the kind of trajectory that it is sampled for.
    """

    spec: eqx.AbstractVar[Spec]
    rollout: eqx.AbstractVar[RolloutSpec]

    def initial_carry(self, spec: Spec) -> PyTree:
        """What acting carries from step to step at the start of an episode, with a leading axis of `spec.num_envs`.

        Samplers put a stream's carry back to this when its episode terminates or is truncated. Without memory it is
        empty, and costs nothing.
        """
        return ()

    @abc.abstractmethod
    def act(
        self, key: Key[Array, ""], agent: PyTree, carry: PyTree, obs: PyTree
    ) -> tuple[PyTree, Float[Array, " N"], PyTree]:
        """Draw an action for the observation of every stream; returns them, their log-probabilities and the carry."""

    def distribution(self, agent: PyTree, obs: PyTree) -> AbstractDistribution | None:
        """The distributions of the agent's own policy, without memory; None where it has none.

        Actors whose policy may squash actions return them, since samplers ask them what an environment takes.
        """
        return None

    def squash(self, agent: PyTree, obs: PyTree, action: PyTree) -> PyTree:
        """What environments take of the actions that `act` drew for `obs`, before they are clipped to the bounds.

        It depends on no parameter, so a compiled program evaluates no network for it.
        """
        distribution = self.distribution(agent, obs)
        return action if distribution is None else distribution.squash(action)


class AbstractAlgorithm(AbstractActor):
    """An actor that learns: pure functions over an agent, which know no environment."""

    @abc.abstractmethod
    def init(self, key: Key[Array, ""]) -> PyTree:
        """A fresh agent: everything that learning changes, all of it arrays."""

    def for_evaluation(self, agent: PyTree) -> PyTree:
        """The agent as it acts when it no longer learns: without exploration, and without experience to learn from."""
        return agent

    @abc.abstractmethod
    def act_deterministic(self, agent: PyTree, carry: PyTree, obs: PyTree) -> tuple[PyTree, PyTree]:
        """The mode of the policy for every stream, as environments take it, for evaluation; and the carry."""

    @abc.abstractmethod
    def update(self, key: Key[Array, ""], agent: PyTree, trajectory: Trajectory) -> tuple[PyTree, UpdateInfo]:
        """Learn from one trajectory."""

    def keep_if_finite(self, after: PyTree, before: PyTree, good: Bool[Array, ""]) -> PyTree:
        """The agent after an update in which all was `good`, else the one from before it."""
        return jax.tree.map(lambda new, old: jnp.where(good, new, old), after, before)
