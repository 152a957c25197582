"""What every environment on the host looks like from inside steepest."""

import abc
import dataclasses

import numpy as np

from steepest.core.errors import EnvironmentFault
from steepest.core.spaces import Box, Space


@dataclasses.dataclass(frozen=True)
class Step:
    """What N environments answered to one action each.

    - `obs`: what to act on next; of a new episode where one has begun.
    - `next_obs`: the true successor of the observation acted on, never of a new episode.
    - `reward`, `terminated`, `truncated`: as in `Trajectory`.
    - `valid`: False where the environment ignored the action and reset itself instead.
    """

    obs: np.ndarray
    next_obs: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    valid: np.ndarray


class AbstractVectorEnvironment(abc.ABC):
    """N environments that are stepped together, in two halves, so that something else can be done between them.

    Whatever the library behind it does at the end of an episode, a `Step` tells the same true story. Actions come as
    the policy chose them, numbered from 0 and unclipped; here, and nowhere else, they become what the library takes.

    - `id`: the environment's name. `library`: whose it is, with its version.
    - `max_episode_steps`: the time limit, where the library tells.
    """

    id: str
    library: str
    observation_space: Space
    action_space: Space
    num_envs: int
    max_episode_steps: int | None

    @abc.abstractmethod
    def reset(self) -> np.ndarray:
        """Begin an episode in every environment."""

    @abc.abstractmethod
    def send(self, action: np.ndarray) -> None:
        """Start a step."""

    @abc.abstractmethod
    def receive(self) -> Step:
        """Finish the step that was started."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give back what the environments hold."""


def clipped(space: Space, action: np.ndarray) -> np.ndarray:
    """An action within the bounds of its space."""
    return np.clip(action, space.low, space.high) if isinstance(space, Box) else action


def checked_observation(name: str, space: Space, obs: object, num_envs: int) -> np.ndarray:
    """One observation of each environment, in the type that steepest computes in.

    **Raises** `EnvironmentFault` for a wrong shape, a value that is not finite, or a choice out of range.
    """
    array = np.asarray(obs)
    expected = (num_envs, *space.shape)
    if array.shape != expected:
        raise EnvironmentFault(
            f"{name}: an observation has shape {array.shape[1:]}; its space says {space.shape}. Correct the environment."
        )
    array = array.astype(space.dtype)
    if isinstance(space, Box) and not np.isfinite(array.sum()) and not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[0]
        value = array[tuple(where)]
        raise EnvironmentFault(
            f"{name}: observation[{', '.join(map(str, where[1:]))}] of environment {where[0]} is {value}; "
            f"observations must be finite. Correct the environment."
        )
    return array


def checked_reward(name: str, reward: object, num_envs: int) -> np.ndarray:
    """One reward of each environment. **Raises** `EnvironmentFault` for a wrong shape or a value that is not finite."""
    array = np.asarray(reward, np.float32)
    if array.shape != (num_envs,):
        raise EnvironmentFault(
            f"{name}: rewards have shape {array.shape}; there must be one for each of {num_envs} environments."
        )
    if not np.isfinite(array).all():
        where = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise EnvironmentFault(
            f"{name}: the reward of environment {where} is {array[where]}; rewards must be finite. "
            f"Correct the environment."
        )
    return array
