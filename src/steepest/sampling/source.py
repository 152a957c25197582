"""Where trajectories come from, inside a compiled program."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.interfaces import AbstractActor
from steepest.core.trajectory import Trajectory
from steepest.core.types import PyTree
from steepest.envs.environment import AbstractEnvironment
from steepest.sampling.compiled import Streams, sample, start


class AbstractTrajectorySource(eqx.Module):
    """Gives a trajectory whenever it is asked. The driver knows no more of it."""

    @abc.abstractmethod
    def start(self, key: Key[Array, ""], actor: AbstractActor) -> PyTree:
        """Where the source is before the first trajectory: all that it carries from one to the next."""

    @abc.abstractmethod
    def sample(
        self, actor: Any, agent: Any, streams: PyTree, key: Key[Array, ""]
    ) -> tuple[PyTree, Trajectory, dict[str, Float[Array, ""]]]:
        """Where it is afterwards, what the actor wants to be fed, and metrics: `episodes`, `return`, `length`, …"""

    def introduce(self, actor: Any, agent: Any) -> Any:
        """A fresh agent, told of the source what it must know before it begins."""
        return agent


class EnvironmentSource(AbstractTrajectorySource):
    """The actor plays in a compiled environment."""

    env: AbstractEnvironment

    def start(self, key: Key[Array, ""], actor: AbstractActor) -> Streams:
        return start(self.env, key, actor.spec.num_envs)

    def sample(
        self, actor: AbstractActor, agent: Any, streams: Streams, key: Key[Array, ""]
    ) -> tuple[Streams, Trajectory, dict[str, Float[Array, ""]]]:
        streams, trajectory, episodes = sample(actor, agent, self.env, streams, key)
        ended = jnp.where(episodes.count > 0, episodes.count, jnp.nan)
        metrics = {
            "episodes": episodes.count,
            "return": episodes.total_return / ended,
            "length": episodes.total_length / ended,
        }
        return streams, trajectory, metrics


def source_of(given: AbstractEnvironment | AbstractTrajectorySource) -> AbstractTrajectorySource:
    """A compiled environment as a source; a source as it is."""
    return given if isinstance(given, AbstractTrajectorySource) else EnvironmentSource(given)
