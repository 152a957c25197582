"""The interface of vector environments on the host, and checks of what they return."""

import abc
import dataclasses

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from steepest.core.errors import EnvironmentFault
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space


@dataclasses.dataclass(frozen=True)
class Step:
    """The result of one step of N environments.

    - `obs`: the next observations to act on; of a new episode where one has begun.
    - `next_obs`: the true successor of the observation acted on, never of a new episode.
    - `reward`, `terminated`, `truncated`: as in `Trajectory`.
    - `valid`: False where the environment ignored the action and reset itself instead.
    """

    obs: Shaped[np.ndarray, "N ..."]
    next_obs: Shaped[np.ndarray, "N ..."]
    reward: Float32[np.ndarray, " N"]
    terminated: Bool[np.ndarray, " N"]
    truncated: Bool[np.ndarray, " N"]
    valid: Bool[np.ndarray, " N"]


class AbstractVectorEnvironment(abc.ABC):
    """A vector environment: N environments that are stepped together, by `send` and then `receive`.

    A `Step` has the true successors, whatever the library does at the end of an episode. Actions are the policy's,
    numbered from 0 and unclipped; here, and nowhere else, they are converted into the library's.

    - `id`: the environment's name. `library`: its library and version.
    - `max_episode_steps`: the time limit, or None where there is none or it is unknown.
    """

    id: str
    library: str
    observation_space: Space
    action_space: Space
    num_envs: int
    max_episode_steps: int | None

    @abc.abstractmethod
    def reset(self) -> Shaped[np.ndarray, "N ..."]:
        """Begin an episode in every environment."""

    @abc.abstractmethod
    def send(self, action: Shaped[np.ndarray, "N ..."]) -> None:
        """Start a step with one action for each environment."""

    @abc.abstractmethod
    def receive(self) -> Step:
        """Finish the step that was started."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the environments."""


def clipped(space: Space, action: Shaped[np.ndarray, "N ..."]) -> Shaped[np.ndarray, "N ..."]:
    """The action clipped to the bounds of its space; NaN remains NaN."""
    return np.clip(action, space.low, space.high) if isinstance(space, Box) else action


def checked_observation(name: str, space: Space, obs: object, num_envs: int) -> Shaped[np.ndarray, "N ..."]:
    """A checked copy of one observation of each environment, in the type of its space.

    **Raises** `EnvironmentFault` for a wrong shape, a value that is not finite, or a choice out of range.
    """
    array = np.asarray(obs)
    if array.shape != (num_envs, *space.shape):
        raise EnvironmentFault(
            f"{name}: an observation has shape {array.shape[1:]}; its space says {space.shape}. "
            f"Correct the environment."
        )
    if isinstance(space, Box):
        converted = in_single_precision(name, array)
        # Whole numbers are finite, and pictures are large.
        wrong = np.zeros(1, bool) if array.dtype.kind in "iub" else ~np.isfinite(converted)
        rule = "observations must be finite"
    else:
        converted = array.astype(space.dtype)
        last = _last_choice(space)
        wrong = (converted < 0) | (converted > last)
        rule = f"its space has the choices 0 to {np.asarray(last).tolist()}, counted from its start"
    if wrong.any():
        where = np.argwhere(wrong)[0].tolist()
        component = f"[{', '.join(map(str, where[1:]))}]" if space.shape else ""
        raise EnvironmentFault(
            f"{name}: observation{component} of environment {where[0]} is {converted[tuple(where)]}; {rule}. "
            f"Correct the environment."
        )
    return converted


def checked_reward(name: str, reward: object, num_envs: int) -> Float32[np.ndarray, " N"]:
    """The rewards in float32. **Raises** `EnvironmentFault` for a wrong shape or a value that is not finite."""
    array = in_single_precision(name, np.asarray(reward))
    if array.shape != (num_envs,):
        raise EnvironmentFault(
            f"{name}: rewards have shape {array.shape}; there must be one for each of {num_envs} environments. "
            f"Correct the environment."
        )
    if not np.isfinite(array).all():
        where = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise EnvironmentFault(
            f"{name}: the reward of environment {where} is {array[where]}; rewards must be finite. "
            f"Correct the environment."
        )
    return array


def in_single_precision(name: str, array: Shaped[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """A copy in float32. **Raises** `EnvironmentFault` for what is not a number."""
    try:
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and the caller says so
            return array.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise EnvironmentFault(
            f"{name}: returned {array.dtype} where numbers are due. Correct the environment."
        ) from error


def _last_choice(space: Discrete | MultiDiscrete | MultiBinary) -> int | np.ndarray:
    """The largest choice of each component."""
    match space:
        case Discrete(n=n):
            return n - 1
        case MultiDiscrete(nvec=nvec):
            return np.array(nvec) - 1
        case _:
            return 1
