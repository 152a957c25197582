"""Sweeps of 12 runs of which a worker is killed, and then the command: one more call completes them."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from reliability.trial import Seen, Setting, Trial
from steepest.runs import metrics

LIMIT = 300.0
"""Seconds in which a sweep that nobody kills must have ended."""
REACH = 0.8
"""Of the time that a sweep takes: the last moment at which something is killed."""
STUDY = """
algorithms = ["ppo", "a2c"]
envs = "CartPole-v1"
seeds = 3
total_steps = 40_000
evaluation_episodes = 10
preset = false
checkpoint_seconds = 0
hyper_parameters = {num_envs = 4, hidden = [16]}
grid.learning_rate = [1e-3, 1e-2]
"""
RUNS = 12


@dataclasses.dataclass(frozen=True)
class Kind:
    """Where the runs of a sweep are made.

    - `words`: of `steepest sweep`.
    - `worker`: what is in the command line of a process that is to be killed.
    """

    words: tuple[str, ...]
    worker: str

    def run(self, given: Setting) -> Seen:
        """A study that nothing happens to; then others, in each of which a worker and the command are killed."""
        if "--ray-address" in self.words and importlib.util.find_spec("ray") is None:
            return Seen(0, "", "", skipped="Ray is not installed")
        file = given.folder / "twelve.toml"
        file.write_text(STUDY)
        for name in ("warm", "whole"):  # the first compiles for the others
            began = time.monotonic()
            done = self._command(file, given.folder / name)
            if done.wait(LIMIT) or (wrong := _compared(given.folder / name, given.folder / name)):
                return Seen(0, "", "", [f"{name}: {wrong or done.stderr.read()[-500:]}"])
            taken = time.monotonic() - began
        faults, workers, left, slowest, places = [], 0, 0, 0.0, set()
        for index in range(given.count):
            place = given.folder / str(index)
            command = self._command(file, place)
            began = time.monotonic()
            while not _below(command.pid, self.worker) and time.monotonic() < began + LIMIT:
                time.sleep(0.1)  # it starts
            started = time.monotonic() - began
            moments = sorted(given.random.uniform(started, max(started, REACH * taken), 2))
            _sleep_until(began + moments[0])
            if found := _below(command.pid, self.worker):
                os.kill(int(given.random.choice(found)), signal.SIGKILL)
                workers += 1
            _sleep_until(began + moments[1])
            places |= _temporary(command.pid)
            command.kill()
            command.communicate()
            before = len(list(place.glob("runs/*/evaluation.json")))
            left += RUNS - before
            began = time.monotonic()
            again = self._command(file, place)
            said = again.communicate(timeout=LIMIT)[1]
            slowest = max(slowest, time.monotonic() - began)
            wrong = said[-500:] if again.returncode else _compared(place, given.folder / "whole")
            if wrong:
                faults.append(f"killed after {moments[0]:.1f} s and {moments[1]:.1f} s: {wrong}")
            given.tell(index + 1, f"{before} of {RUNS} complete when it was killed")
        for each in places:
            shutil.rmtree(each, ignore_errors=True)  # Ray's, of commands that were killed
        found = (
            f"{workers} workers and {given.count} commands were killed, with {left} of {given.count * RUNS} runs not "
            f"complete; one more call each, and all were, with every row once and the returns of a sweep that nothing "
            f"happened to"
        )
        return Seen(given.count, found, f"{slowest:.0f} s for that call; a whole sweep takes {taken:.0f} s", faults)

    def _command(self, file: pathlib.Path, place: pathlib.Path) -> subprocess.Popen:
        words = [sys.executable, "-m", "steepest", "sweep", str(file), "--out", str(place), "--quiet", *self.words]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _temporary(pid: int) -> set[str]:
    """Ray's directories, which it names to its processes."""
    return {each for text in _words_below(pid).values() for each in re.findall(r"/tmp/steepest-\w+", text)}


def _below(pid: int, word: str) -> list[int]:
    """The processes below one, at any depth, with a word in their command line."""
    return sorted(each for each, text in _words_below(pid).items() if word in text)


def _words_below(pid: int) -> dict[int, str]:
    """The command lines of the processes below one, at any depth."""
    parents, words = {}, {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            words[int(path.name)] = (path / "cmdline").read_text()
        except (OSError, ValueError):
            continue  # it has ended
    found, level = {}, {pid}
    while level:
        level = {each for each, parent in parents.items() if parent in level}
        found |= {each: words[each] for each in level if each in words}
    return found


def _compared(place: pathlib.Path, whole: pathlib.Path) -> str:
    """What is wrong with a study, beside one that nothing happened to."""
    names = sorted(path.name for path in (whole / "runs").iterdir())
    if sorted(path.name for path in (place / "runs").iterdir()) != names or len(names) != RUNS:
        return "it has other runs"
    if list(place.glob("failures/*")):
        return f"failures are left: {[path.name for path in place.glob('failures/*')]}"
    for name in names:
        found, wanted = (metrics.read(each / "runs" / name / "metrics.csv") for each in (place, whole))
        if found["update"].tolist() != list(range(1, len(wanted["update"]) + 1)):
            return f"{name}: a row is missing, or there twice"
        found, wanted = (json.loads((each / "runs" / name / "evaluation.json").read_text()) for each in (place, whole))
        if found != wanted:
            return f"{name}: its evaluation is another"
    return ""


TRIALS = {
    "sweep": Trial(
        "a sweep of 12 runs: a worker is killed, and then the command",
        count=10,
        few=0,
        run=Kind((), "steepest.studies.study_worker").run,
    ),
    "sweep_ray": Trial(
        "a sweep of 12 runs on a Ray cluster of two: a worker is killed, and then the command",
        count=5,
        few=0,
        run=Kind(("--ray-address", "local", "--processes", "2"), "ray::Maker").run,
    ),
}
