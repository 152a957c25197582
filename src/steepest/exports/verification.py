"""Whether an exported policy does what the policy of the run does: on the same observations, by running `act.py`."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

import jax
import numpy as np

from steepest.core.conversion import as_given, first_choice, rows_of
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.moments import NoNormaliser
from steepest.core.spaces import Box, Discrete, Leaf, Mask, MultiBinary, MultiDiscrete, leaves, map_leaves, zeros
from steepest.core.types import PyTree
from steepest.diagnostics.frozen import FrozenNormaliser, NormalisedPolicy
from steepest.diagnostics.setting import open_task, time_limit
from steepest.envs.tasks import Task
from steepest.experiments.trained import TrainedPolicy

_TOLERANCE = 1e-4
"""How far real numbers may be apart, as a share of the width of their bounds: what single precision may make of it."""
_ROUNDING = 1e-5
"""So little, relatively, is an observation moved to see whether rounding decides between two choices."""
_EPISODES, _STEPS = 16, 250
"""Episodes that are played, and the steps after which each is cut."""
_STREAMS = 50
"""Observations that are given at once."""
_PLACE = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from act import Policy

def tree(space, arrays):
    if "parts" not in space:
        return next(arrays)
    made = {key: tree(part, arrays) for key, part in space["parts"]}
    return tuple(made.values()) if space["kind"] == "Tuple" else made

def flat(space, value):
    return [x for key, part in space["parts"] for x in flat(part, value[key])] if "parts" in space else [value]

given, policy = np.load(sys.argv[2], allow_pickle=False), Policy()
given = [given[f"arr_{index}"] for index in range(len(given.files))]
seen, taken = policy.about["observation"], policy.about["action"]
together = [flat(taken, policy(tree(seen, iter([x[t] for x in given])))) for t in range(len(given[0]))]
alone = flat(taken, Policy()(tree(seen, iter([x[0, 0] for x in given]))))
together = [np.stack(each) for each in zip(*together)]
np.savez(sys.argv[3], *together, *alone)
"""


@dataclasses.dataclass(frozen=True)
class Verification:
    """What came of the comparison of an exported policy with the one of the run.

    - `observations`: how many they were compared on; `played`: how many of these are of episodes that the policy
      played. The others are drawn from the space.
    - `identical`: on how many of them the actions are the same, digit for digit.
    - `tied`: on how many they are not, but rounding decides: the policy itself changes its choice when the observation
      moves by a hundred-thousandth.
    - `largest_difference`: of any coordinate, in the environment's units; None where `act.py` did not run.
    - `agrees`: whether the others differ by no more than single precision makes of it.
    - `failure`: why `act.py` did not run; empty where it did.
    """

    observations: int
    played: int
    identical: int
    tied: int
    largest_difference: float | None
    agrees: bool
    failure: str = ""

    def __str__(self) -> str:
        """One line."""
        if self.failure:
            return f"act.py did not run: {self.failure}"
        drawn = self.observations - self.played
        where = f"{self.observations:,} observations ({self.played:,} of episodes that were played, {drawn:,} drawn)"
        if self.identical == self.observations:
            return f"{where}: all actions are identical"
        ties = f", {self.tied} others are ties that rounding decides" if self.tied else ""
        return (
            f"{where}: {self.identical:,} actions are identical{ties}, the largest difference is "
            f"{self.largest_difference:.3g}"
        )


def verify(
    place: pathlib.Path, algorithm: AbstractAlgorithm, agent: PyTree, task: Task, *, observations: int = 1000
) -> Verification:
    """Compare the policy in `place`, by its `act.py` in a process of its own, with that of an agent.

    **Arguments**

    - `observations`: how many; half of them are played, where episodes have so many, and half are drawn.
    """
    space, rng = task.observation_space, np.random.default_rng(0)
    played = _played(algorithm, agent, task, rng, observations // 2)
    known = rows_of(played)
    drawn = map_leaves(lambda leaf, each: _drawn(leaf, each, rng, observations - known), space, played)
    # Of one memory after the other, where there is any
    streams = next(each for each in range(min(_STREAMS, observations), 0, -1) if observations % each == 0)
    order = rng.permutation(observations).reshape(-1, streams)
    rows = jax.tree.map(lambda one, other: np.concatenate([one, other.astype(one.dtype)])[order], played, drawn)
    with jax.default_device(jax.devices("cpu")[0]):  # accelerators may compute with fewer digits
        expected = _actions(algorithm, agent, rows)
        with tempfile.TemporaryDirectory() as scratch:
            found, failure = _by_act(place, rows, pathlib.Path(scratch))
        failed = functools.partial(Verification, observations, known, 0, 0, None, agrees=False)
        if found is None:
            return failed(failure=failure)
        count = len(expected)
        together, alone = found[:count], found[count:]
        kinds = [(str(each.dtype), *each.shape) for each in expected]
        made = [(str(each.dtype), *each.shape) for each in together]
        spaces = [leaf for _, leaf in leaves(task.action_space)]
        if made != kinds or [each.shape for each in alone] != [leaf.shape for leaf in spaces]:
            return failed(failure=f"actions are {made}, not {kinds}")
        return _compare(algorithm, agent, spaces, rows, expected, together, alone, known)


def _actions(algorithm: AbstractAlgorithm, agent: PyTree, rows: PyTree) -> list[np.ndarray]:
    """What the policy does on observations [T, N, …]: each array of its actions, [T, N, …]."""
    policy = TrainedPolicy(algorithm, jax.device_put(agent, jax.devices("cpu")[0]))
    made = [policy(jax.tree.map(lambda each, time=time: each[time], rows)) for time in range(rows_of(rows))]
    return [np.stack(each) for each in zip(*map(jax.tree.leaves, made), strict=True)]


def _by_act(place: pathlib.Path, rows: PyTree, scratch: pathlib.Path) -> tuple[list[np.ndarray] | None, str]:
    """The same by `act.py`, then the arrays of the action for the first observation alone; or why there is none."""
    given, made = scratch / "observations.npz", scratch / "actions.npz"
    np.savez(given, *jax.tree.leaves(rows), allow_pickle=False)
    done = subprocess.run(
        [sys.executable, "-B", "-c", _PLACE, str(place), str(given), str(made)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    with np.load(made, allow_pickle=False) as arrays:
        return [arrays[f"arr_{index}"] for index in range(len(arrays.files))], ""


def _compare(
    algorithm: AbstractAlgorithm,
    agent: PyTree,
    spaces: list[Leaf],
    rows: PyTree,
    expected: list[np.ndarray],
    found: list[np.ndarray],
    alone: list[np.ndarray],
    played: int,
) -> Verification:
    apart = [_apart(*both) for both in zip(found, expected, strict=True)]
    single = [_apart(np.asarray(one), np.asarray(each[0, 0])) for one, each in zip(alone, expected, strict=True)]
    differs = [(each > 0).reshape(*each.shape[:2], -1).any(axis=2) for each in apart]
    choices = np.array([not _real(space) for space in spaces])
    tied = np.zeros(differs[0].shape, bool)
    if any(each.any() for each in itertools.compress(differs, choices)):
        tied = np.any(differs, axis=0) & _decided_by_rounding(algorithm, agent, rows)
    beyond = [~(each <= _allowed(space)) for each, space in zip(apart, spaces, strict=True)]
    beyond = np.any([each.reshape(*each.shape[:2], -1).any(axis=2) for each in beyond], axis=0) & ~tied
    wrong_alone = any((~(each <= _allowed(space))).any() for each, space in zip(single, spaces, strict=True))
    return Verification(
        observations=tied.size,
        played=played,
        identical=int((~np.any(differs, axis=0)).sum()),
        tied=int(tied.sum()),
        largest_difference=float(max(each.max() for each in (*apart, *single))),
        agrees=not beyond.any() and not (wrong_alone and not tied[0, 0]),
    )


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far numbers are apart; NaN is the same as NaN."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(one.astype(float) - other.astype(float))
    return np.where((one == other) | (np.isnan(one.astype(float)) & np.isnan(other.astype(float))), 0.0, apart)


def _real(space: Leaf) -> bool:
    """Whether the environment takes real numbers."""
    return isinstance(space, Box) and space.native_low.dtype.kind == "f"


def _allowed(space: Leaf) -> np.ndarray:
    """How far each coordinate of an action may be off."""
    if not (isinstance(space, Box) and _real(space)):
        return np.zeros(space.shape)
    width = space.high.astype(float) - space.low.astype(float)
    return _TOLERANCE * np.where(np.isfinite(width), width, 1)


def _decided_by_rounding(algorithm: AbstractAlgorithm, agent: PyTree, rows: PyTree) -> np.ndarray:
    """Where the policy itself does something else when an observation of real numbers moves a little."""

    def moved(share: float) -> list[np.ndarray]:
        some = jax.tree.map(lambda each: each * np.float32(1 + share) if each.dtype.kind == "f" else each, rows)
        return _actions(algorithm, agent, some)

    pairs = list(zip(moved(-_ROUNDING), moved(_ROUNDING), strict=True))
    return np.any([(one != other).reshape(*one.shape[:2], -1).any(axis=2) for one, other in pairs], axis=0)


def _played(algorithm: AbstractAlgorithm, agent: PyTree, task: Task, rng: np.random.Generator, count: int) -> PyTree:
    """So many observations, or fewer, of episodes that the policy plays with its noise."""
    agent, key = algorithm.for_evaluation(agent), jax.random.key(0)
    policy = getattr(agent, "policy", None)
    if policy is None:
        return zeros(task.observation_space, 0)
    if not isinstance(agent.observations, NoNormaliser):
        policy = NormalisedPolicy(policy, FrozenNormaliser(agent.observations))
    rollouts = open_task(task, key, limit=time_limit(task, _STEPS), slots=_EPISODES)
    try:
        played = rollouts.play(key, policy, _EPISODES)
    finally:
        rollouts.close()
    valid = np.asarray(played.valid)
    order = rng.permutation(int(valid.sum()))[:count]
    rows = jax.tree.map(lambda each: np.asarray(each)[valid][order], played.obs)
    return as_given(task.observation_space, rows)


def _drawn(space: Leaf, played: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """So many observations from anywhere in a space; where it has no bounds, from around those that were played."""
    shape = (count, *space.shape)
    match space:
        case Discrete(n=n):
            return rng.integers(0, n, shape) + first_choice(space)
        case MultiDiscrete(nvec=nvec):
            return rng.integers(0, nvec, shape) + first_choice(space)
        case MultiBinary():
            return rng.integers(0, 2, shape)
        case Mask(counts=counts):  # one choice of every component is allowed, and others may be
            first = np.cumsum((0, *counts))[:-1]
            chosen = first + rng.integers(0, counts, (count, len(counts)))
            mask = rng.integers(0, 2, shape).astype(bool)
            np.put_along_axis(mask, chosen, True, axis=1)
            return mask
        case Box(dtype=kind) if kind == np.uint8:
            return rng.integers(0, 256, shape, np.uint8)
    assert isinstance(space, Box)
    mean, width = np.zeros(space.shape), np.full(space.shape, 3.0)
    if len(played):
        mean, width = played.mean(axis=0), 3 * played.std(axis=0) + 0.1
    around = mean + width * rng.standard_normal(shape)
    near = (np.abs(space.low) < 1e3) & (np.abs(space.high) < 1e3)
    low, high = np.where(near, space.low, -1), np.where(near, space.high, 1)
    return np.where(near, rng.uniform(low, high, shape), around).astype(np.float32)
