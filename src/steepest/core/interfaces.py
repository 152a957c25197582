"""What the parts of the house promise each other."""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from steepest.core.problem import AbstractMaximisation, Info, Parameters
from steepest.core.results import UpdateInfo
from steepest.core.spaces import Spec
from steepest.core.trajectory import Trajectory
from steepest.core.types import AnyArray, PyTree


class AbstractStepRule(eqx.Module):
    """Moves parameters uphill, within its own idea of how far."""

    @abc.abstractmethod
    def init(self, parameters: PyTree) -> PyTree:
        """The state before the first step: only what the next call needs."""

    @abc.abstractmethod
    def step(
        self, key: Key[Array, ""], parameters: Parameters, problem: AbstractMaximisation, state: Any
    ) -> tuple[Parameters, PyTree, Info]:
        """Return moved parameters, the next state, and diagnostics by name."""


@dataclasses.dataclass(frozen=True)
class RolloutSpec:
    """How an algorithm wants to be fed.

    - `length`: steps of each stream in a trajectory; `None` for as many as the environment's time limit allows.
    - `whole_episodes`: every stream plays exactly one episode from its start; what is left of the trajectory after
      its end is not `valid`. Otherwise streams run on from one trajectory to the next.
    - `together`: every call of `act` gets the observations of all streams, in their order.
    - `demonstrated`: somebody else acted. A trajectory is then one step of streams that have nothing to do with
      each other, and no environment is played while the algorithm learns.
    - `overlaps`: where environments step outside the program, the last trajectory may be learnt from while they do;
      so whoever acts is one update behind. Not for algorithms that must learn from the policy as it is.
    """

    length: int | None
    whole_episodes: bool = False
    together: bool = False
    demonstrated: bool = False
    overlaps: bool = False


class AbstractActor(eqx.Module):
    """Whoever acts: all that sampling asks for.

    - `spec`: what the actor is told of its task.
    - `rollout`: how it wants to be fed.
    """

    spec: eqx.AbstractVar[Spec]
    rollout: eqx.AbstractVar[RolloutSpec]

    @abc.abstractmethod
    def act(self, key: Key[Array, ""], agent: Any, obs: AnyArray) -> tuple[Array, Array]:
        """Draw actions for a batch of observations; returns them and their log-probabilities."""


class AbstractAlgorithm(AbstractActor):
    """An actor that learns: pure functions over an agent, which know no environment."""

    @abc.abstractmethod
    def init(self, key: Key[Array, ""]) -> PyTree:
        """A fresh agent: everything that learning changes, all of it arrays."""

    def for_evaluation(self, agent: Any) -> Any:
        """The agent as it acts when it no longer learns: without what it does only in order to find out."""
        return agent

    @abc.abstractmethod
    def act_deterministic(self, agent: Any, obs: AnyArray) -> Array:
        """The policy's single best guess, for evaluation."""

    @abc.abstractmethod
    def update(self, key: Key[Array, ""], agent: Any, trajectory: Trajectory) -> tuple[PyTree, UpdateInfo]:
        """Learn from one trajectory."""

    def keep_if_finite(self, after: Any, before: Any, good: Bool[Array, ""]) -> Any:
        """The agent after an update in which all was `good`, else the one from before it."""
        return jax.tree.map(lambda new, old: jnp.where(good, new, old), after, before)
