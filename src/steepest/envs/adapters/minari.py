"""The adapter of Minari data sets on this machine. Nothing is downloaded."""

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from steepest.core.conversion import rows_of
from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError, unknown
from steepest.core.spaces import Leaf, Space, map_leaves
from steepest.core.types import PyTree
from steepest.envs.adapters.gymnasium import without_noise
from steepest.envs.adapters.gymnasium_spaces import from_gymnasium


def load(name: str) -> tuple[Demonstrations, Space, Space]:
    """The demonstrations of a Minari data set, and its observation and action spaces.

    **Raises** `InputError` where Minari is not installed, or the data set is not on this machine, cannot be read, or
    has spaces of a kind that policies cannot take.
    """
    minari = _library()
    try:
        with without_noise():
            data = minari.load_dataset(name, download=False)
            theirs = data.observation_space, data.action_space
            episodes = list(data.iterate_episodes())
    except FileNotFoundError:
        known = minari.list_local_datasets()
        if known:
            missing = unknown("Minari data set on this machine", name, known)
            raise InputError(f"{missing} Or fetch it: minari download {name}") from None
        raise InputError(
            f"Minari data set {name!r} is not on this machine, and no other is. Fetch it: minari download {name}"
        ) from None
    except Exception as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"Minari data set {name!r} cannot be read: {said}. Give another.") from error
    spaces = from_gymnasium("observation", theirs[0]), from_gymnasium("action", theirs[1])
    if not episodes:
        raise InputError(f"Minari data set {name!r} has no episodes. Give another.")
    lengths = [rows_of(episode.actions) for episode in episodes]
    found = Demonstrations(
        # The last observation of an episode is the one after its last action.
        _joined(spaces[0], [each.observations for each in episodes], lengths),
        _joined(spaces[1], [each.actions for each in episodes], lengths),
        np.repeat(np.arange(len(episodes), dtype=np.int32), lengths),
    )
    return found, *spaces


def _joined(space: Space, episodes: Sequence[PyTree], lengths: Sequence[int]) -> PyTree:
    """The first rows of episodes, one after another, array by array."""

    def one(_: Leaf, *each: np.ndarray) -> np.ndarray:
        return np.concatenate([rows[:length] for rows, length in zip(each, lengths, strict=True)])

    return map_leaves(one, space, *episodes)


def _library() -> ModuleType:
    try:
        import h5py  # noqa: F401  what most data sets are kept in
        import minari
    except ImportError:
        raise InputError(
            "demonstrations are a Minari data set, and Minari is not installed. Run: pip install 'steepest[demos]'."
        ) from None
    return minari
