"""A disk that is full at any moment of a run: one line, nothing lost that was saved, and it goes on with room."""

import contextlib
import math
import os
import shutil
import subprocess
import warnings

import steepest
from reliability.small_runs import arrays, begun, saving_often, trained
from reliability.trial import Seen, Setting, Trial
from steepest.core.errors import InputError, StorageFault
from steepest.experiments.train import execute
from steepest.runs import checkpoints, metrics
from steepest.runs.directory import RunDirectory

PAGE = os.sysconf("SC_PAGE_SIZE")


def run(given: Setting) -> Seen:
    """On a small disk in memory: of every number of pages up to what the run needs, and of as few files."""
    disk = given.folder / "disk"
    disk.mkdir()
    if why := _cannot_mount(disk):
        return Seen(0, "", "", skipped=f"it needs a file system of its own, and mount says: {why}")
    whole = RunDirectory(given.folder / "whole")
    trained(whole.path)
    wanted = arrays(whole)
    rows = len(metrics.read(whole.metrics)["seed"])
    # More than the run holds in the end: what is saved anew lies beside what it replaces.
    pages = 2 * sum(math.ceil(each.stat().st_size / PAGE) + 1 for each in whole.path.rglob("*"))
    files = 2 * sum(1 for _ in whole.path.rglob("*"))
    faults, refused, kept = [], 0, 0
    for done in range(1, given.count + 1):
        few_files = done % 4 == 0
        most = int(given.random.integers(2, files if few_files else pages))
        small = f"nr_inodes={most}" if few_files else f"size={most * PAGE}"
        with _mounted(disk, small):
            place = RunDirectory(disk / "run")
            wrong, ended, saved = _once(place)
            refused, kept = refused + ended, kept + saved
            subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=10000", str(disk)], check=True)
            wrong = wrong or _goes_on(place, wanted, rows)
            if wrong:
                faults.append(f"{small}: {wrong}")
        given.tell(done, small)
    found = f"{refused} runs ended in one line, {given.count - refused} without a picture or with room for all"
    worst = f"{kept} of them had saved something, and all of it was there"
    shutil.rmtree(whole.path)
    return Seen(given.count, found, worst, faults)


def _once(place: RunDirectory) -> tuple[str, bool, bool]:
    """What was wrong with a run there; whether the disk ended it; whether something was saved."""
    ended, saved = False, {}

    class Saved(steepest.AbstractListener):
        def checkpoint(self, seed, path):
            saved[seed] = int(path.stem)

    try:
        with saving_often(), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            execute(begun(place.path), show=False, listeners=[Saved()])
        said = [str(each.message) for each in told]
    except (StorageFault, InputError) as error:
        said, ended = [str(error)], True
    if any("\n" in each for each in said) or (ended and "No space left" not in said[0]):
        return f"it said {said}", ended, bool(saved)
    left = [path.name for path in place.path.rglob("*.tmp")]
    if left:
        return f"it left {left}", ended, bool(saved)
    for seed, update in saved.items():
        found = checkpoints.latest(place.checkpoints(seed))
        if found is None or int(found.stem) < update:
            return f"update {update} of seed {seed} was saved, and is gone", ended, True
    return "", ended, bool(saved)


def _goes_on(place: RunDirectory, wanted: list, rows: int) -> str:
    """What was wrong with the run once there was room."""
    with saving_often():
        result = steepest.resume(place.path) if place.config.exists() else execute(begun(place.path), show=False)
    if not result.finished or result.evaluation is None:
        return "it did not finish once there was room"
    if arrays(place) != wanted or len(metrics.read(place.metrics)["seed"]) != rows:
        return "it ended otherwise than the run that had room"
    return ""


@contextlib.contextmanager
def _mounted(disk, options: str):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _cannot_mount(disk) -> str:
    """Why no file system can be mounted there; nothing where one can."""
    try:
        with _mounted(disk, "size=64k"):
            return ""
    except FileNotFoundError:
        return "there is no such program"
    except subprocess.CalledProcessError as error:
        return error.stderr.decode().strip()


TRIAL = Trial("a full disk", count=60, few=1, run=run)
