"""Trained policies: of a result or a run, as something that acts, and as a pure function of raw observations."""

from __future__ import annotations

import copy
import dataclasses
import pathlib
import warnings
from collections.abc import Iterator, Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, Shaped

from steepest._platform import configure_platform
from steepest.algorithms.bodies.agent import Agent, value_of
from steepest.algorithms.bodies.memories import Memories
from steepest.core.conversion import first_choice, from_environment, last_choice, rows_of, to_environment
from steepest.core.distributions import AbstractDistribution
from steepest.core.errors import InputError
from steepest.core.histories import Histories
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.moments import NoNormaliser
from steepest.core.spaces import Box, Leaf, Masked, MaskedObservation, Spec, leaves, map_leaves
from steepest.core.types import PyTree
from steepest.core.validation import converted, shown
from steepest.diagnostics.frozen import FrozenNormaliser, NormalisedPolicy
from steepest.diagnostics.setting import Setting, same_kind
from steepest.envs.tasks import EnvironmentLike, Task
from steepest.experiments.building import build_algorithm, each_kept_state, newest_state, task_of
from steepest.experiments.configuration import RunConfiguration, read_configuration
from steepest.experiments.own import AlgorithmLike, own_parameters
from steepest.policies import AbstractPolicy
from steepest.runs.directory import RunDirectory
from steepest.sampling.host import on_host, select_streams


class TrainedPolicy:
    """A trained policy that acts: called on an observation, or a batch of them, it returns what the environment takes.

    A policy with memory carries it from call to call, for each row of the batch; `reset` begins new episodes, and so
    does another number of rows.

    - `config`: of the run.
    - `seed`: which of its seeds this is.
    - `task`: the environment, as something that can be played; of a `load`ed policy only.
    - `steps`: of training, where they are known.
    """

    def __init__(
        self,
        algorithm: AbstractAlgorithm,
        agent: PyTree,
        config: RunConfiguration | None = None,
        *,
        seed: int = 0,
        task: Task | None = None,
        steps: int | None = None,
    ):
        self.seed, self.steps = seed, steps
        self._algorithm, self._agent = algorithm, algorithm.for_evaluation(agent)
        self._config, self._task = config, task
        self._carry: PyTree = None
        self._rows = 0
        # Not the methods themselves: JAX would hash the algorithm, which may hold arrays.
        self._best = jax.jit(lambda agent, carry, obs: algorithm.act_deterministic(agent, carry, obs))
        self._draw = jax.jit(self._drawn)

    @property
    def config(self) -> RunConfiguration:
        assert self._config is not None
        return self._config

    @property
    def task(self) -> Task:
        assert self._task is not None
        return self._task

    @property
    def spec(self) -> Spec:
        """What it was trained for: the spaces of observations and actions, and the time limit."""
        return self._algorithm.spec

    def __call__(self, obs: object, key: Key[Array, ""] | None = None) -> PyTree:
        """The action without noise, as the environment takes it: its bounds, its type, its way to count.

        **Arguments**

        - `obs`: one observation, or a batch of them, as the environment gives them. Where it says which actions are
          allowed, `{"observation": …, "action_mask": …}`.
        - `key`: draw the action with this key, as in training, instead of taking the best guess.

        **Raises** `InputError` for an observation of another shape, or one that is not finite.
        """
        batch, single = self._batch(obs)
        action = to_environment(self.spec.action, self.choose(batch, key))
        return map_leaves(lambda _, each: each[0], self.spec.action, action) if single else action

    def choose(self, obs: PyTree, key: Key[Array, ""] | None = None) -> PyTree:
        """The actions of a batch before they are cut to bounds and counted from the environment's first choice.

        For rollouts that convert themselves, such as `steepest.envs.adapters`: `obs` is as networks take it.
        """
        carry = self._carry_of(rows_of(obs))
        if key is None:
            chosen, self._carry = self._best(self._agent, carry, obs)
        else:
            chosen, self._carry = self._draw(key, self._agent, carry, obs)
        return on_host(chosen)

    def reset(self, which: Bool[np.ndarray, " N"] | None = None) -> None:
        """Begin new episodes: a policy with memory forgets what it has seen.

        **Arguments**

        - `which`: in which rows of the batch; in all of them when left out.
        """
        if which is None or self._carry is None:
            self._carry = None
        elif jax.tree.leaves(self._carry):
            self._carry = select_streams(np.asarray(which), self._first_carry(self._rows), self._carry)

    def distribution(self, obs: object) -> AbstractDistribution:
        """The distribution over actions, of one observation or for each of a batch, as the environment gives them.

        `mode()`, `sample(key)`, `log_prob(action)` and `entropy()` are those of the policy: choices are counted from
        0, and real numbers are not yet cut to the bounds. A policy with memory is asked with what it remembers now,
        and does not remember this observation.

        **Raises** `InputError` where the algorithm has no such distribution.
        """
        batch, single = self._batch(obs)
        rows = rows_of(batch)
        carry = self._first_carry(rows) if self._carry is None or self._rows != rows else self._carry
        if isinstance(carry, Memories):
            agent = self._with_policy()
            found, _ = agent.policy.step(carry.policy, agent.observations(batch))
        else:
            found = self._algorithm.distribution(self._agent, batch)
        if found is None:
            raise InputError(f"{self._named()} has no distribution over actions. Call the policy itself.")
        return jax.tree.map(lambda leaf: leaf[0], found) if single else found

    def value(self, obs: object) -> Float[np.ndarray, "*batch"] | np.floating:
        """What the critic expects of an observation, or of each of a batch: V(s), the discounted sum of rewards.

        It is in the unit of the environment's rewards, also where the algorithm scales them. A critic with memory is
        asked with what it remembers now, as in `distribution`.

        **Raises** `InputError` where the algorithm has no critic of states.
        """
        batch, single = self._batch(obs)
        agent = self._agent
        critic = value_of(agent) if isinstance(agent, Agent) else None
        if critic is None:
            of_actions = isinstance(agent, Agent) and agent.critic is not None
            what = "a critic of actions, Q(s, a), and none of states" if of_actions else "no critic of states"
            raise InputError(f"{self._named()} has {what}. Ask a policy of ppo or a2c, say.")
        seen, rows = agent.observations(batch), rows_of(batch)
        carry = self._first_carry(rows) if self._carry is None or self._rows != rows else self._carry
        if isinstance(carry, Memories) and jax.tree.leaves(carry.of_value(agent)):
            seen = Histories(seen, jnp.zeros(rows, bool), carry.of_value(agent))
        found = np.asarray(agent.rewards.in_their_unit(critic(seen)))
        return found[0] if single else found

    @property
    def module(self) -> AbstractPolicy:
        """The policy as a pure function from raw observations to distributions; its array leaves are the parameters.

        Observations are counted from 0 where they are choices. With memory it has `initial_carry` and `step`; called
        alone, it takes every observation for the first of an episode.
        """
        agent = self._with_policy()
        if not isinstance(agent.observations, NoNormaliser):
            return NormalisedPolicy(agent.policy, FrozenNormaliser(agent.observations))
        return agent.policy

    def of_checkpoint(self, agent: PyTree, steps: int) -> TrainedPolicy:
        """The policy of another checkpoint of the same seed; what was compiled for this one serves it too."""
        other = copy.copy(self)
        other._agent, other.steps, other._carry = self._algorithm.for_evaluation(agent), steps, None
        return other

    def check_fits(self, place: Setting) -> None:
        """**Raises** `InputError` when it was trained on other observations or for other actions."""
        for role, trained, wanted in (
            ("observation", self.spec.observation, place.observation),
            ("action", self.spec.action, place.action),
        ):
            if not same_kind(trained, wanted):
                raise InputError(
                    f"the policy was trained on {self.config.env}; its {role} space is {trained}, "
                    f"and that of {place.id} is {wanted}. Give a run on {place.id}."
                )

    def __repr__(self):
        where = f" on {self._config.env}" if self._config else ""
        steps = "" if self.steps is None else f", {self.steps:,} steps of training"
        spaces = f"{self.spec.observation} → {self.spec.action}"
        return f"<TrainedPolicy: {self._named()}{where}, seed {self.seed}{steps}; {spaces}>"

    def _named(self) -> str:
        return self._config.algorithm if self._config else type(self._algorithm).__name__

    def _with_policy(self) -> Agent:
        if not isinstance(self._agent, Agent):
            raise InputError(f"{self._named()} has no policy that is a function of its own. Call the policy itself.")
        return self._agent

    def _batch(self, obs: object) -> tuple[PyTree, bool]:
        """Observations as networks take them, and whether it was a single one."""
        space = self.spec.observation
        if isinstance(space, Masked) and isinstance(obs, Mapping) and set(obs) == {"observation", "action_mask"}:
            obs = MaskedObservation(obs["observation"], obs["action_mask"])
        names = iter(leaves(space, "obs"))
        try:
            both = map_leaves(lambda leaf, each: _converted(next(names)[0], leaf, each), space, obs)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise InputError(
                f"obs is a {type(obs).__name__}; an observation is {space}. Give one, or a batch."
            ) from None
        batch: PyTree = map_leaves(lambda _, each: each[0], space, both)
        single = {bool(each) for each in jax.tree.leaves(map_leaves(lambda _, each: each[1], space, both))}
        rows = {each.shape[0] for each in jax.tree.leaves(batch)}
        if len(single) > 1 or len(rows) > 1:
            raise InputError(
                f"obs has parts of {sorted(rows)} rows; all of them must have as many. Give one, or a batch."
            )
        if isinstance(space, Masked) and not (allowed := space.mask.allows(batch.mask)).all():
            raise InputError(
                f"obs.mask allows no action in row {int(np.argmin(allowed))} of the batch. Give a mask with one for "
                "every component."
            )
        return batch, single.pop()

    def _carry_of(self, rows: int) -> PyTree:
        if self._carry is None or self._rows != rows:
            self._rows, self._carry = rows, self._first_carry(rows)
        return self._carry

    def _first_carry(self, rows: int) -> PyTree:
        return self._algorithm.initial_carry(dataclasses.replace(self.spec, num_envs=rows))

    def _drawn(self, key: Key[Array, ""], agent: PyTree, carry: PyTree, obs: PyTree) -> tuple[PyTree, PyTree]:
        action, _, carry = self._algorithm.act(key, agent, carry, obs)
        return self._algorithm.squash(agent, obs, action), carry


def _converted(name: str, space: Leaf, obs: object) -> tuple[Shaped[np.ndarray, "N ..."], bool]:
    """One array of observations as networks take it, and whether it was of a single one."""
    given = _numbers(name, obs)
    axes = given.ndim - len(space.shape)
    if axes not in (0, 1) or given.shape[axes:] != space.shape:
        raise InputError(
            f"{name} has shape {given.shape}; an observation has shape {space.shape}, and a batch one axis more."
        )
    batch = from_environment(space, given if axes else given[None])
    if not isinstance(space, Box):
        first, most = first_choice(space), last_choice(space)
        wrong = (batch < 0) | (batch > most)
        if wrong.any():
            raise InputError(
                f"{name} is {given.tolist()}; its space has the choices {np.asarray(first).tolist()} to "
                f"{np.asarray(first + most).tolist()}. Give one of them."
            )
    elif not np.isfinite(batch).all():
        raise InputError(f"{name} holds {batch[~np.isfinite(batch)][0]}; it must be finite. Give another.")
    return batch, not axes


def _numbers(name: str, obs: object) -> np.ndarray:
    try:
        given = np.asarray(obs)
    except ValueError:
        given = np.array(None)
    if given.dtype.kind not in "biuf":
        raise InputError(f"{name} is {shown(obs)}; it must be an array of numbers. Give an observation, or a batch.")
    return given


def load(
    run: str | pathlib.Path,
    seed: int | None = None,
    env: EnvironmentLike | None = None,
    algorithm: AlgorithmLike | None = None,
) -> TrainedPolicy:
    """The policy of a run's newest checkpoint, with its observation statistics as they were then.

    **Arguments**

    - `run`: a run directory.
    - `seed`: which of the run's seeds; the first when left out.
    - `algorithm`, `env`: as they were given to `steepest.train`, where the algorithm is your own, or the environment
      is none that an id names.

    **Returns** a `TrainedPolicy`: `policy(obs)` is an action as the environment takes it, `policy.distribution(obs)`
    and `policy.value(obs)` say what is behind it, and `policy.reset()` begins a new episode where it has memory.

    Where the newest checkpoint is damaged, the one before it is taken, and a `RuntimeWarning` says so.

    **Raises** `InputError` when it is no run, has no such seed, or no checkpoint of it.

    **Example**

    >>> import steepest, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = steepest.train("a2c", "CartPole-v1", total_steps=100, evaluation_episodes=0, run_dir=place)
    ...     policy = load(place)
    >>> policy
    <TrainedPolicy: a2c on CartPole-v1, seed 0, ... steps of training; ...>
    >>> int(policy([0.0, 0.0, 0.1, 0.0])) in (0, 1)
    True
    """
    for policy in load_each(run, seed, env, algorithm, all_kept=False):
        return policy
    raise AssertionError("a run without a checkpoint is refused")


def load_each(
    run: str | pathlib.Path,
    seed: int | None = None,
    env: EnvironmentLike | None = None,
    algorithm: AlgorithmLike | None = None,
    *,
    all_kept: bool = True,
) -> Iterator[TrainedPolicy]:
    """The policies of all checkpoints that are kept of a seed, the oldest first; or that of the newest alone.

    **Arguments** and errors are those of `load`. Damaged checkpoints are left out, and a `RuntimeWarning` names them.
    """
    configure_platform()
    directory = RunDirectory.existing(run)
    config = read_configuration(directory)
    seed = seed_of(directory, config, seed)
    task = task_of(config, env)
    parameters = own_parameters(config, algorithm, task)
    newest = newest_state(config, task, directory, parameters, seed)
    for text in newest.notices:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    built = build_algorithm(config, task, parameters, to_learn=False)
    last = TrainedPolicy(built, newest.tree.agent, config, seed=seed, task=task, steps=newest.manifest.steps)
    if all_kept:
        for found in each_kept_state(config, task, directory, parameters, seed):
            if found.manifest.update < newest.manifest.update:
                yield last.of_checkpoint(found.tree.agent, found.manifest.steps)
    yield last


def seed_of(run: RunDirectory, config: RunConfiguration, given: object) -> int:
    """The seed that is meant; the first when none is given. **Raises** `InputError` where the run has no such seed."""
    seed = converted("seed", given, int | None, f"Give one of {list(config.seeds)}.")
    seed = config.seeds[0] if seed is None else seed
    if seed not in config.seeds:
        raise InputError(f"{run.path}: seed {seed} is not among its seeds, {list(config.seeds)}. Give one of them.")
    return seed


class WithoutNoise(AbstractPolicy):
    """A policy that always takes the mode of another."""

    policy: AbstractPolicy

    def __call__(self, obs: PyTree) -> ModeOnly:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Its distribution, which has one action to draw."""
        return ModeOnly(self.policy(obs))

    def initial_carry(self, num_streams: int) -> PyTree:
        return self.policy.initial_carry(num_streams)

    def step(self, carry: PyTree, obs: PyTree) -> tuple[ModeOnly, PyTree]:  # pyright: ignore[reportIncompatibleMethodOverride]
        distribution, carry = self.policy.step(carry, obs)
        return ModeOnly(distribution), carry


class ModeOnly(eqx.Module):
    """The mode of a distribution, in place of a sample."""

    distribution: AbstractDistribution

    def sample_and_log_prob(self, key: Key[Array, ""]) -> tuple[PyTree, Array]:
        """The mode, and its log-probability under the distribution."""
        action = self.distribution.mode()
        return action, self.distribution.log_prob(action)

    def squash(self, action: PyTree) -> PyTree:
        """What the environment takes of it."""
        return self.distribution.squash(action)
