"""Trained policies: of a result or a run, as something that acts, and as a pure function of raw observations."""

from __future__ import annotations

import dataclasses
import pathlib

import equinox as eqx
import numpy as np
from jaxtyping import Array, Key, Shaped

from steepest._platform import configure_platform
from steepest.core.conversion import from_environment, to_environment
from steepest.core.distributions import AbstractDistribution
from steepest.core.errors import InputError
from steepest.core.interfaces import AbstractAlgorithm, Policy
from steepest.core.moments import ObservationNormaliser
from steepest.core.types import AnyArray, PyTree
from steepest.diagnostics.frozen import FrozenNormaliser, NormalisedPolicy
from steepest.diagnostics.setting import Setting, same_kind
from steepest.envs.tasks import EnvironmentLike, Task
from steepest.experiments.building import load_agent, task_of
from steepest.experiments.configuration import RunConfiguration, read_configuration
from steepest.runs.directory import RunDirectory


class TrainedPolicy:
    """A trained policy that acts: called on an observation, or a batch of them, it returns what the environment takes.

    A policy with memory carries it from call to call, for each row of the batch; `reset` begins new episodes.
    """

    def __init__(self, algorithm: AbstractAlgorithm, agent: PyTree):
        self._algorithm, self._agent = algorithm, algorithm.for_evaluation(agent)
        self._carry: PyTree = None
        self._rows = 0

    def __call__(self, obs: object) -> Shaped[np.ndarray, ...] | np.generic:
        """The action without noise, as the environment takes it: its bounds, its type, its way to count."""
        spec = self._algorithm.spec
        batch = np.asarray(obs)
        single = batch.ndim == len(spec.observation.shape)
        batch = from_environment(spec.observation, batch[None] if single else batch)
        if self._carry is None or self._rows != len(batch):
            self._rows = len(batch)
            self._carry = self._algorithm.initial_carry(dataclasses.replace(spec, num_envs=len(batch)))
        chosen, self._carry = self._algorithm.act_deterministic(self._agent, self._carry, batch)
        action = to_environment(spec.action, np.asarray(chosen))
        return action[0] if single else action

    def reset(self) -> None:
        """Begin new episodes: a policy with memory forgets what it has seen."""
        self._carry = None


@dataclasses.dataclass(frozen=True)
class Trained:
    """The policy of a run as a function of raw observations, with the configuration of the run."""

    policy: Policy
    config: RunConfiguration
    task: Task
    seed: int

    def check_fits(self, place: Setting) -> None:
        """**Raises** `InputError` when it was trained on other observations or for other actions."""
        for role, trained, wanted in (
            ("observation", self.task.observation_space, place.observation),
            ("action", self.task.action_space, place.action),
        ):
            if not same_kind(trained, wanted):
                raise InputError(
                    f"the policy was trained on {self.config.env}; its {role} space is {trained}, "
                    f"and that of {place.id} is {wanted}. Give a run on {place.id}."
                )


def trained(path: str | pathlib.Path, seed: int | None = None, env: EnvironmentLike | None = None) -> Trained:
    """The policy of a run's newest checkpoint, with its observation statistics as they were then.

    **Arguments**

    - `seed`: which of the run's seeds; the first when left out.
    - `env`: as it was given to `steepest.train`, where that is none which an id names.

    **Raises** `InputError` when it is no run, has no such seed, or no checkpoint of it.
    """
    configure_platform()
    run = RunDirectory.existing(path)
    config = read_configuration(run)
    seed = config.seeds[0] if seed is None else seed
    if seed not in config.seeds:
        raise InputError(f"{run.path}: seed {seed} is not among its seeds, {list(config.seeds)}. Give one of them.")
    task = task_of(config, env)
    agent = load_agent(config, task, run, seed)[1]
    policy = agent.policy
    if isinstance(agent.observations, ObservationNormaliser):
        policy = NormalisedPolicy(policy, FrozenNormaliser(agent.observations))
    return Trained(policy, config, task, seed)


class WithoutNoise(eqx.Module):
    """A policy that always takes the mode of another."""

    policy: Policy

    def __call__(self, obs: AnyArray) -> ModeOnly:
        """Its distribution, which has one action to draw."""
        return ModeOnly(self.policy(obs))


class ModeOnly(eqx.Module):
    """The mode of a distribution, in place of a sample."""

    distribution: AbstractDistribution

    def sample_and_log_prob(self, key: Key[Array, ""]) -> tuple[Array, Array]:
        """The mode, and its log-probability under the distribution."""
        action = self.distribution.mode()
        return action, self.distribution.log_prob(action)

    def squash(self, action: Array) -> Array:
        """What the environment takes of it."""
        return self.distribution.squash(action)
