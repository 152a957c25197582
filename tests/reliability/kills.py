"""Runs that are killed at random moments: all go on; compiled ones end in the bytes of one that was never killed."""

import dataclasses
import multiprocessing
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import numpy as np

from reliability.small_runs import arrays
from reliability.trial import Seen, Setting, Trial
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory

LIMIT = 300.0
"""Seconds in which a run that nobody kills must have ended."""
REACH = 0.8
"""Of the time that a run takes: the last moment at which it is killed."""
TIMES = ("wall_time", "steps_per_second")


SMALL = "--no-preset --hidden 16 --evaluation-episodes 0 --checkpoint-seconds 0"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A run that is to be killed.

    - `words`: of `steepest train`, without the steps.
    - `steps`: of a run that is to be killed many times.
    - `exact`: whether it ends in the same bytes as one that was never killed.
    """

    words: str
    steps: int
    exact: bool

    def run(self, given: Setting) -> Seen:
        """One directory is killed and resumed until it has finished; then the next, until there were enough kills."""
        context = multiprocessing.get_context("forkserver")  # so that only the first process imports everything
        context.set_forkserver_preload(["steepest.experiments.train", "steepest.cli.commands"])
        steps = self.steps if given.count > 10 else self.steps // 10
        words = [*self.words.split(), "--total-steps", str(steps), *SMALL.split()]
        place, faults, taken = given.folder, [], 0.0
        for name in ("warm", "whole") if given.count > 10 else ("whole",):  # the first compiles for the others
            mark = time.monotonic()
            faults += _watched(context, ["train", *words, "--run-dir", str(place / name)], place)
            taken = time.monotonic() - mark
        done, runs, most = 0, 0, 0
        while done < given.count and not faults:
            runs, path, mine = runs + 1, place / f"run-{runs}", 0
            while True:
                begun = (path / "config.json").exists()
                command = ["resume", str(path)] if begun else ["train", *words, "--run-dir", str(path)]
                process = _started(context, command, place)
                process.join(given.random.uniform(0, REACH * taken) if done < given.count else LIMIT)
                if process.exitcode is not None or done == given.count:
                    break
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                mine, done = mine + 1, done + 1
                given.tell(done, "begun" if begun else "new")
            most = max(most, mine)
            if process.exitcode is None:
                process.kill()
                faults.append(f"after {mine} kills: it does not end")
            elif process.exitcode != 0:
                faults.append(f"after {mine} kills: {(place / 'said').read_text()[-500:]!r}")
            elif wrong := _compared(RunDirectory(path), RunDirectory(place / "whole"), self.exact):
                faults.append(f"after {mine} kills: {wrong}")
            shutil.rmtree(path, ignore_errors=True)
        left = (place / "temporary").read_text().split() if (place / "temporary").exists() else []
        for each in left:
            shutil.rmtree(each, ignore_errors=True)  # Ray's, of processes that were killed
        ended = "in the same bytes and rows as one that was not" if self.exact else "with every row once"
        found = f"{runs} runs were killed and resumed until they had finished, and ended {ended}"
        return Seen(done, found, f"a run of {taken:.0f} s that was killed {most} times", faults)


def _compared(run: RunDirectory, whole: RunDirectory, exact: bool) -> str:
    """What is wrong with a run that was killed, beside one that was not."""
    found, wanted = metrics.read(run.metrics), metrics.read(whole.metrics)
    if found["update"].tolist() != list(range(1, len(found["update"]) + 1)):
        return "a row is missing, or there twice"
    if not exact:
        return "" if found["steps"][-1] >= wanted["steps"][-1] else f"it made {found['steps'][-1]} steps"
    if arrays(run, (0,)) != arrays(whole, (0,)):
        return "the last checkpoint is another"
    same = all(np.array_equal(found[name], wanted[name], equal_nan=True) for name in wanted if name not in TIMES)
    return "" if same else "the rows are others"


def _started(context, words: list[str], place: pathlib.Path):
    process = context.Process(target=_command, args=(words, str(place)))
    process.start()
    return process


def _watched(context, words: list[str], place: pathlib.Path) -> list[str]:
    """What was wrong with a run that nobody kills."""
    process = _started(context, words, place)
    process.join(LIMIT)
    if process.exitcode is None:
        process.kill()
        return [f"{words[:2]}: not ended after {LIMIT:.0f} s"]
    return [] if process.exitcode == 0 else [(place / "said").read_text()[-500:]]


def _command(words: list[str], place: str) -> None:
    """`steepest …`, in a process of its own; what it says goes into a file."""
    said = os.open(f"{place}/said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    make = tempfile.mkdtemp

    def noted(*arguments, **options):
        path = make(*arguments, **options)
        with open(f"{place}/temporary", "a") as file:
            file.write(f"{path}\n")
        return path

    tempfile.mkdtemp = noted  # Ray's files are to be removed, though the process that would do so is killed

    from steepest.cli.main import main

    sys.exit(main(words))


KINDS = {
    "kills_ppo": (Kind("ppo --env CartPole-v1 --num-envs 8 --segment-length 512", 400_000, True), 80, 1),
    "kills_ddpg": (Kind("ddpg --env Pendulum-v1", 40_000, True), 60, 0),
    "kills_host": (Kind("ppo --env CartPole-v1 --backend gymnasium", 40_000, False), 45, 0),
    "kills_a3c": (Kind("a3c --env CartPole-v1 --workers 1", 40_000, False), 15, 0),
}
TRIALS = {
    name: Trial(f"killed at a random moment: {kind.words}", count, few, kind.run)
    for name, (kind, count, few) in KINDS.items()
}
