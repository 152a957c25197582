"""The adapter of Minari data sets on this machine. Nothing is downloaded."""

from types import ModuleType

import numpy as np

from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError, unknown
from steepest.core.spaces import Space, one_array
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
    for space, role in zip(spaces, ("observations", "actions"), strict=True):
        one_array(space, f"{role} of the Minari data set {name!r}", "demonstrations hold")
    lengths = [len(episode.actions) for episode in episodes]
    found = Demonstrations(
        # The last observation of an episode is the one after its last action.
        np.concatenate([each.observations[: len(each.actions)] for each in episodes]),
        np.concatenate([each.actions for each in episodes]),
        np.repeat(np.arange(len(episodes), dtype=np.int32), lengths),
    )
    return found, *spaces


def _library() -> ModuleType:
    try:
        import h5py  # noqa: F401  what most data sets are kept in
        import minari
    except ImportError:
        raise InputError(
            "demonstrations are a Minari data set, and Minari is not installed. Run: pip install 'steepest[demos]'."
        ) from None
    return minari
