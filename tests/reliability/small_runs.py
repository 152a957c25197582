"""A small run of two seeds with two checkpoints each, for what damages a copy of it."""

import contextlib
import pathlib

import pytest

from steepest.experiments.preparing import Experiment, prepare
from steepest.experiments.train import execute
from steepest.runs import checkpoints
from steepest.runs.directory import RunDirectory

SMALL = {"num_envs": 4, "segment_length": 8, "hidden": (4,), "anneal": False}
STEPS = 320


def begun(path: pathlib.Path, seeds=(0, 1), **more) -> Experiment:
    """An experiment that is checked and can start."""
    options = {"total_steps": STEPS, "evaluation_episodes": 2, "checkpoint_seconds": 0.0, "preset": False}
    return prepare("a2c", "CartPole-v1", seeds=seeds, run=RunDirectory.fresh(path, ""), hyper=SMALL, **options | more)


@contextlib.contextmanager
def saving_often():
    """All seeds in this process, and a checkpoint after every call of the compiled program."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("steepest.experiments.loop._SAVING", 0)
        patched.setattr("steepest.experiments.loop._BEAT", 0.0)
        patched.setattr("steepest.experiments.preparing.share_out", lambda seeds, **_: (tuple(seeds),))
        yield


def trained(path: pathlib.Path):
    """The result of a run that has trained so."""
    with saving_often():
        return execute(begun(path), show=False)


def newest(run: RunDirectory, seed: int) -> pathlib.Path:
    """The manifest of the newest checkpoint of a seed."""
    found = checkpoints.latest(run.checkpoints(seed))
    assert found is not None
    return found


def arrays(run: RunDirectory, seeds=(0, 1)) -> list[tuple[str, bytes]]:
    """The newest arrays of each seed, as they are on the disk, and the names of their files."""
    files = [newest(run, seed).with_suffix(".safetensors") for seed in seeds]
    return [(path.name, path.read_bytes()) for path in files]
