"""Whether an exported policy does what the policy of the run does: on the same observations, by running `act.py`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile

import jax
import numpy as np

from steepest.core.conversion import first_choice
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.moments import ObservationNormaliser
from steepest.core.spaces import Box, Discrete, Leaf, MultiBinary, MultiDiscrete, one_array
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
observations, policy = np.load(sys.argv[2], allow_pickle=False), Policy()
together = [policy(each) for each in observations]
alone = Policy()(observations[0, 0])
np.savez(sys.argv[3], together=np.stack(together), alone=alone)
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
    space, rng = one_array(task.observation_space, "observations", "an exported policy takes"), np.random.default_rng(0)
    taken = one_array(task.action_space, "actions", "an exported policy gives")
    played = _played(algorithm, agent, task, rng, observations // 2)
    drawn = _drawn(space, played, rng, observations - len(played))
    rows = np.concatenate([played, drawn]) if len(played) else drawn
    rows = rows[rng.permutation(len(rows))]
    # Of one memory after the other, where there is any
    streams = next(each for each in range(min(_STREAMS, len(rows)), 0, -1) if len(rows) % each == 0)
    rows = rows.reshape(-1, streams, *space.shape)
    with jax.default_device(jax.devices("cpu")[0]):  # accelerators may compute with fewer digits
        expected = _actions(algorithm, agent, rows)
        with tempfile.TemporaryDirectory() as scratch:
            found, failure = _by_act(place, rows, pathlib.Path(scratch))
        if found is None:
            return Verification(observations, len(played), 0, 0, None, agrees=False, failure=failure)
        together, alone = found
        if together.shape != expected.shape or together.dtype != expected.dtype or alone.shape != taken.shape:
            what = f"actions are {together.dtype}{list(together.shape)}, not {expected.dtype}{list(expected.shape)}"
            return Verification(observations, len(played), 0, 0, None, agrees=False, failure=what)
        return _compare(algorithm, agent, taken, rows, expected, together, alone, len(played))


def _actions(algorithm: AbstractAlgorithm, agent: PyTree, rows: np.ndarray) -> np.ndarray:
    """What the policy does, [T, N, …], on observations [T, N, …]."""
    policy = TrainedPolicy(algorithm, jax.device_put(agent, jax.devices("cpu")[0]))
    return np.stack([policy(each) for each in rows])


def _by_act(
    place: pathlib.Path, rows: np.ndarray, scratch: pathlib.Path
) -> tuple[tuple[np.ndarray, np.ndarray] | None, str]:
    """The same by `act.py`, and the action for the first observation alone; or why there is none."""
    given, made = scratch / "observations.npy", scratch / "actions.npz"
    np.save(given, rows)
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
        return (arrays["together"], arrays["alone"]), ""


def _compare(
    algorithm: AbstractAlgorithm,
    agent: PyTree,
    space: Leaf,
    rows: np.ndarray,
    expected: np.ndarray,
    found: np.ndarray,
    alone: np.ndarray,
    played: int,
) -> Verification:
    count, axes = rows.shape[0] * rows.shape[1], tuple(range(2, expected.ndim))
    with np.errstate(invalid="ignore"):
        apart = np.abs(found.astype(float) - expected.astype(float))
        apart = np.where((found == expected) | (np.isnan(found) & np.isnan(expected)), 0.0, apart)
        single = np.abs(alone.astype(float) - expected[0, 0].astype(float))
    real = isinstance(space, Box) and space.native_low.dtype.kind == "f"
    allowed = np.zeros(space.shape)
    if isinstance(space, Box) and real:
        width = space.high.astype(float) - space.low.astype(float)
        allowed = _TOLERANCE * np.where(np.isfinite(width), width, 1)
    tied = np.zeros(rows.shape[:2], bool)
    differs = (apart > 0).any(axis=axes)
    if not real and differs.any():
        tied = differs & _decided_by_rounding(algorithm, agent, rows)
    beyond = (~(apart <= allowed)).any(axis=axes) & ~tied
    wrong_alone = bool((~(single <= allowed)).any()) and not (differs & tied)[0, 0]
    return Verification(
        observations=count,
        played=played,
        identical=int((~differs).sum()),
        tied=int(tied.sum()),
        largest_difference=float(max(apart.max(), single.max())),
        agrees=not beyond.any() and not wrong_alone,
    )


def _decided_by_rounding(algorithm: AbstractAlgorithm, agent: PyTree, rows: np.ndarray) -> np.ndarray:
    """Where the policy itself does something else when an observation of real numbers moves a little."""
    if rows.dtype.kind != "f":
        return np.zeros(rows.shape[:2], bool)
    less, more = (_actions(algorithm, agent, rows * np.float32(1 + each)) for each in (-_ROUNDING, _ROUNDING))
    return (less != more).reshape(*rows.shape[:2], -1).any(axis=-1)


def _played(
    algorithm: AbstractAlgorithm, agent: PyTree, task: Task, rng: np.random.Generator, count: int
) -> np.ndarray:
    """So many observations, or fewer, of episodes that the policy plays with its noise."""
    agent, key = algorithm.for_evaluation(agent), jax.random.key(0)
    policy = getattr(agent, "policy", None)
    space = one_array(task.observation_space, "observations", "an exported policy takes")
    if policy is None:
        return np.zeros((0, *space.shape))
    if isinstance(agent.observations, ObservationNormaliser):
        policy = NormalisedPolicy(policy, FrozenNormaliser(agent.observations))
    rollouts = open_task(task, key, limit=time_limit(task, _STEPS), slots=_EPISODES)
    try:
        played = rollouts.play(key, policy, _EPISODES)
    finally:
        rollouts.close()
    rows = np.asarray(played.obs)[np.asarray(played.valid)]
    return rng.permutation(rows)[:count] + first_choice(space)


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
