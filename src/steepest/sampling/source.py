"""Where trajectories come from, inside a compiled program."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.interfaces import AbstractActor
from steepest.core.trajectory import Trajectory
from steepest.core.types import PyTree
from steepest.envs.environment import AbstractEnvironment
from steepest.sampling.compiled import Streams, sample, start


class AbstractTrajectorySource(eqx.Module):
    """Where the trajectories of a compiled driver come from: an environment, or demonstrations."""

    @abc.abstractmethod
    def start(self, key: Key[Array, ""], actor: AbstractActor) -> PyTree:
        """Where the source is before the first trajectory: all that it carries from one to the next."""

    @abc.abstractmethod
    def sample(
        self, actor: PyTree, agent: PyTree, streams: PyTree, key: Key[Array, ""]
    ) -> tuple[PyTree, Trajectory, dict[str, Float[Array, ""]]]:
        """Where it is afterwards, a trajectory of the kind `actor.rollout`, and metrics: `episodes`, `return`, …"""

    def prepare_agent(self, actor: PyTree, agent: PyTree) -> PyTree:
        """A fresh agent with what it must know of the source before it learns, such as moments of observations."""
        return agent


class EnvironmentSource(AbstractTrajectorySource):
    """The actor plays in a compiled environment."""

    env: AbstractEnvironment

    def start(self, key: Key[Array, ""], actor: AbstractActor) -> Streams:
        return start(actor, self.env, key)

    def sample(
        self, actor: AbstractActor, agent: PyTree, streams: Streams, key: Key[Array, ""]
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
