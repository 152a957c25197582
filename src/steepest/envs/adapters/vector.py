"""The interface of vector environments on the host, and checks of what they return."""

import abc
import dataclasses

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from steepest.core.conversion import from_environment, in_single_precision, last_choice
from steepest.core.errors import EnvironmentFault, InputError
from steepest.core.spaces import Box, Dict, Leaf, Mask, Masked, Space, Tuple, leaves, map_leaves
from steepest.core.types import PyTree, TreeOf


@dataclasses.dataclass(frozen=True)
class Step:
    """The result of one step of N environments.

    - `obs`: the next observations to act on; of a new episode where one has begun.
    - `next_obs`: the true successor of the observation acted on, never of a new episode.
    - `reward`, `terminated`, `truncated`: as in `Trajectory`.
    - `valid`: False where the environment ignored the action and reset itself instead.
    """

    obs: TreeOf[Shaped[np.ndarray, "N ..."]]
    next_obs: TreeOf[Shaped[np.ndarray, "N ..."]]
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
    def reset(self, episodes: Int[np.ndarray, " N"] | None = None) -> PyTree:
        """Begin an episode in every environment.

        **Arguments**

        - `episodes`: how many each will be asked for. One that has played them may rest: what it returns after that
          means nothing, and counts for nothing. None is for ever.
        """

    @abc.abstractmethod
    def send(self, action: PyTree) -> None:
        """Start a step with one action for each environment."""

    @abc.abstractmethod
    def receive(self) -> Step:
        """Finish the step that was started."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the environments."""


def checked_observation(
    name: str,
    space: Space,
    obs: PyTree,
    which: Int[np.ndarray, " N"],
    elapsed: Int[np.ndarray, " N"] | None = None,
) -> PyTree:
    """A checked copy of one observation of each environment, as policies see it.

    **Arguments**

    - `which`: the numbers of the environments, for messages.
    - `elapsed`: the steps of their episodes, for messages about masks.

    **Raises** `EnvironmentFault` for a wrong shape, a value that is not finite, a choice out of range, or a mask that
    allows no action.
    """
    if not isinstance(space, Dict | Tuple | Masked):
        return _checked(name, "observation", space, obs, which)
    labels = iter(leaves(space, "observation"))

    def one(leaf: Leaf, array: object) -> np.ndarray:
        label = next(labels)[0]
        if isinstance(leaf, Mask):
            return _checked_mask(name, leaf, np.asarray(array), which, elapsed)
        return _checked(name, label, leaf, array, which)

    return map_leaves(one, space, obs)


def _checked(
    name: str, label: str, space: Leaf, obs: object, which: Int[np.ndarray, " N"]
) -> Shaped[np.ndarray, "N ..."]:
    array = np.asarray(obs)
    if array.shape != (len(which), *space.shape):
        raise EnvironmentFault(
            f"{name}: an {label} has shape {array.shape[1:]}; its space says {space.shape}. Correct the environment."
        )
    if array.dtype.kind not in "biuf":
        raise EnvironmentFault(
            f"{name}: an {label} holds {_content(array)}; it must hold numbers. Correct the environment."
        )
    try:
        converted = from_environment(space, array)
    except InputError as error:
        raise EnvironmentFault(f"{name}: {error}") from error
    if isinstance(space, Box):
        # Whole numbers are finite, and pictures are large.
        wrong = np.zeros(1, bool) if array.dtype.kind in "iub" else ~np.isfinite(converted)
        rule = "observations must be finite"
    else:
        last = last_choice(space)
        wrong = (converted < 0) | (converted > last)
        rule = f"its space has the choices 0 to {np.asarray(last).tolist()}, counted from its start"
        if array.dtype.kind == "f" and (broken := array != np.rint(array)).any():
            converted, wrong, rule = array, broken, "its space has whole numbers"
    if wrong.any():
        where = np.argwhere(wrong)[0].tolist()
        component = f"[{', '.join(map(str, where[1:]))}]" if space.shape else ""
        raise EnvironmentFault(
            f"{name}: {label}{component} of environment {which[where[0]]} is {converted[tuple(where)]}; {rule}. "
            f"Correct the environment."
        )
    return converted


def _checked_mask(
    name: str,
    space: Mask,
    mask: np.ndarray,
    which: Int[np.ndarray, " N"],
    elapsed: Int[np.ndarray, " N"] | None,
) -> Bool[np.ndarray, "N n"]:
    if mask.shape != (len(which), *space.shape) or not ((mask == 0) | (mask == 1)).all():
        raise EnvironmentFault(
            f"{name}: an action mask is {mask.dtype}{list(mask.shape[1:])}; it must have {space.shape[0]} values, each "
            f"True or False, one for every choice. Correct the environment."
        )
    ends = np.cumsum(space.counts)[:-1]
    allowed = np.stack([part.any(axis=1) for part in np.split(mask, ends, axis=1)], axis=1)
    if not allowed.all():
        row, component = np.argwhere(~allowed)[0].tolist()
        of = f" for component {component}" if len(space.counts) > 1 else ""
        when = "" if elapsed is None else f", after {elapsed[row]} steps of its episode"
        raise EnvironmentFault(
            f"{name}: the action mask of environment {which[row]} allows no action{of}{when}. Correct the environment: "
            "a state in which nothing can be done ends the episode."
        )
    return mask.astype(bool)


def replaced(space: Space, obs: PyTree, which: np.ndarray, new: PyTree) -> PyTree:
    """A copy of observations with others in some rows."""

    def one(_: Leaf, kept: np.ndarray, new: np.ndarray) -> np.ndarray:
        kept = kept.copy()
        kept[which] = new
        return kept

    return map_leaves(one, space, obs, new)


def checked_reward(name: str, reward: object, num_envs: int) -> Float32[np.ndarray, " N"]:
    """The rewards in float32. **Raises** `EnvironmentFault` for a wrong shape or a value that is not finite."""
    given = np.asarray(reward)
    if given.shape != (num_envs,) or given.dtype.kind not in "biuf":
        raise EnvironmentFault(
            f"{name}: rewards are {given.dtype}{list(given.shape)}; there must be one number for each of {num_envs} "
            f"environments. Correct the environment."
        )
    array = in_single_precision(given)
    if not np.isfinite(array).all():
        where = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise EnvironmentFault(
            f"{name}: the reward of environment {where} is {array[where]}; rewards must be finite. "
            f"Correct the environment."
        )
    return array


def _content(array: np.ndarray) -> str:
    """What an array that holds no numbers holds, in a word."""
    return type(array.flat[0]).__name__ if array.size else str(array.dtype)
