"""A process that trains is killed, stopped, hangs or raises: the others go on, the run says what happened, and ends."""

import importlib.util
import os
import sys
import time

import numpy as np
import pytest

import steepest
from reliability.environments import TROUBLED
from reliability.trial import Seen, Setting, Trial
from steepest.core.errors import EnvironmentFault, ProcessLost
from steepest.experiments import processes
from steepest.runs import metrics
from steepest.training import asynchronous

PATIENCE = 3.0
"""Seconds, in place of ten minutes."""
BOUND = 60.0
"""Seconds in which a run must have ended, whatever happens to one of its processes."""
STEPS = 400
SMALL = {"num_envs": 2, "segment_length": 4, "hidden": (4,), "evaluation_episodes": 2, "total_steps": STEPS}
SAYS = {
    "hanging": "environments.py:",
    "killed": "was ended by signal 9",
    "stopped": f"did not move for {PATIENCE:.0f} s and was ended",
    "raising": "raised IndexError: list index out of range, at ",
}
"""What a run says of each, where its seeds have processes."""
SAYS_OF_WORKERS = {
    "killed": "died and is replaced (its process was killed, or crashed)",
    "stopped": "it did not answer",
    "hanging": "it did not answer",
    "raising": "failed and is replaced (",
}


def run(given: Setting) -> Seen:
    """Every kind in seeds over processes, and then in the workers of a3c."""
    faults, seconds = [], {}
    kinds = [(False, trouble) for trouble in SAYS]
    if importlib.util.find_spec("ray") is not None:
        kinds += [(True, trouble) for trouble in SAYS_OF_WORKERS]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(processes, "_PATIENCE", PATIENCE)
        patched.setattr(asynchronous, "_PATIENCE", PATIENCE + 10.0)  # a worker opens and compiles within it
        patched.setattr(asynchronous, "_PATIENCE_OF_A_STEP", 0.0)
        patched.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # Ray's workers must find the environment
        for index in range(given.count):
            asynchronous_, trouble = kinds[index % len(kinds)]
            folder = given.folder / str(index)
            folder.mkdir()
            began = time.monotonic()
            fault = _a3c(folder, trouble) if asynchronous_ else _seeds(folder, trouble, resumes=given.count > 1)
            name = f"{'a3c' if asynchronous_ else 'seeds'}, {trouble}"
            seconds[name] = max(seconds.get(name, 0.0), time.monotonic() - began)
            if fault or seconds[name] > BOUND:
                faults.append(f"{name}: {fault or f'{seconds[name]:.0f} s'}")
            given.tell(index + 1, name)
    worst = max(seconds, key=seconds.__getitem__)
    return Seen(
        given.count,
        f"{given.count - len(faults)} runs went on with the others, said what had happened, and ended",
        f"{seconds[worst]:.0f} s ({worst}; patience {PATIENCE:.0f} s and {PATIENCE + 10:.0f} s here)",
        faults,
    )


def _seeds(folder, trouble, *, resumes):
    """What was wrong where each of two seeds has a process; None where nothing was."""
    path, said = folder / "run", ""
    kwargs = {"trouble": trouble, "mark": str(folder / "mark")}
    try:
        steepest.train("a2c", TROUBLED, seeds=2, run_dir=path, env_kwargs=kwargs, **SMALL)
    except (ProcessLost, EnvironmentFault) as error:
        said = str(error)
    table = metrics.read(path / "metrics.csv")
    ends = sorted(table["steps"][table["seed"] == seed].max(initial=0) for seed in (0, 1))
    if SAYS[trouble] not in said or "\n" in said or "steepest resume" not in said:
        return f"it said {said!r}"
    if ends[1] < STEPS or ends[0] >= STEPS:
        return f"the seeds made {ends} steps"
    if not resumes:
        return None
    resumed = steepest.resume(path)
    return None if resumed.finished and resumed.evaluation is not None else "it was not resumed"


class Notices(steepest.AbstractListener):
    """What a person is told."""

    def __init__(self):
        self.texts = []

    def notice(self, seed, text):
        self.texts.append(text)


def _a3c(folder, trouble):
    """The same of workers: where one hangs there is no other, which would have finished before that is noticed."""
    heard, workers = Notices(), 1 if trouble in ("hanging", "stopped") else 2
    kwargs = {"trouble": trouble, "mark": str(folder / "mark")}
    done = steepest.train("a3c", TROUBLED, workers=workers, env_kwargs=kwargs, listeners=[heard], **SMALL)
    if not any(SAYS_OF_WORKERS[trouble] in text for text in heard.texts) or len(heard.texts) != 1:
        return f"it said {heard.texts}"
    whole = done.finished and np.array_equal(done.metrics["update"], np.arange(1, STEPS // 8 + 1))
    return None if whole else f"it made {done.metrics['steps'][-1:]} steps"


TRIAL = Trial("a process is killed, stopped, hangs or raises", count=16, few=1, run=run)
