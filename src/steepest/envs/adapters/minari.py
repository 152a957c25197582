"""Minari's data sets of demonstrations, from those that this machine has. Nothing is ever downloaded."""

from typing import Any

import numpy as np

from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError, unknown
from steepest.core.spaces import Box, MultiDiscrete, Space
from steepest.envs.adapters.gymnasium import first_choice, from_gymnasium, without_noise


def load(name: str, env: str, observation: Space, action: Space) -> Demonstrations:
    """The transitions of a data set that was made in an environment with these spaces.

    **Arguments**

    - `name`: Minari's id of the data set.
    - `env`: the environment that they are for; `observation`, `action`: its spaces.

    **Raises** `InputError` where Minari is not installed, the data set is not on this machine or cannot be read, or
    its spaces are others.
    """
    minari = _library()
    try:
        with without_noise():
            data: Any = minari.load_dataset(name, download=False)
            theirs = data.observation_space, data.action_space
    except FileNotFoundError:
        known = minari.list_local_datasets()
        if known:
            raise unknown("Minari data set on this machine", name, known) from None
        raise InputError(
            f"Minari data set {name!r} is not on this machine, and no other is. Fetch it: minari download {name}"
        ) from None
    except Exception as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"Minari data set {name!r} cannot be read: {said}. Give another.") from error
    for role, space, wanted in (("observation", theirs[0], observation), ("action", theirs[1], action)):
        found = from_gymnasium(role, space)
        if not _alike(role, found, wanted):
            raise InputError(
                f"Minari data set {name!r}: its {role} space is {_words(found)}, and that of {env} is {_words(wanted)}. "
                f"Give a data set of this environment."
            )
    episodes = list(data.iterate_episodes())
    if not episodes:
        raise InputError(f"Minari data set {name!r} has no episodes. Give another.")
    lengths = [len(episode.actions) for episode in episodes]
    return Demonstrations(
        # The last observation of an episode is the one after its last action.
        np.concatenate([_from_zero(theirs[0], each.observations[: len(each.actions)]) for each in episodes]),
        np.concatenate([_from_zero(theirs[1], each.actions) for each in episodes]),
        np.repeat(np.arange(len(episodes), dtype=np.int32), lengths),
    )


def _from_zero(space: Any, rows: np.ndarray) -> np.ndarray:
    """Several choices count from 0 here, whatever the first is called; a single one keeps its start."""
    first = first_choice(space)
    return rows if first is None or first.ndim == 0 else rows - first


def _alike(role: str, found: Space, wanted: Space) -> bool:
    if not (isinstance(found, Box) and isinstance(wanted, Box)):
        return found == wanted
    if found.shape != wanted.shape:
        return False
    # Nothing depends on the bounds of observations. Those of actions say what a number means.
    return role == "observation" or not (found.bounded and wanted.bounded) or found == wanted


def _words(space: Space) -> str:
    if isinstance(space, Box):
        return f"Box{list(space.shape)} in [{space.low.min():g}, {space.high.max():g}]"
    return f"MultiDiscrete{list(space.nvec)}" if isinstance(space, MultiDiscrete) else repr(space)


def _library() -> Any:
    try:
        import h5py  # noqa: F401  what most data sets are kept in
        import minari
    except ImportError:
        raise InputError(
            "demonstrations are a Minari data set, and Minari is not installed. Run: pip install 'steepest[demos]'."
        ) from None
    return minari
