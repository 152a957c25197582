"""Memory over many updates, and over many trainings in one process: it does not grow."""

import gc
import pathlib

import jax

import steepest
from reliability.trial import Seen, Setting, Trial

MEGABYTES = 24
"""By which a process may grow over all of it, once what it needs has been loaded and compiled."""
PPO = {"num_envs": 4, "segment_length": 8, "hidden": (8,), "epochs": 1, "minibatch_size": 16, "preset": False}


class Growth(steepest.AbstractListener):
    """Megabytes and arrays, as the updates go by."""

    def __init__(self):
        self.seen = []

    def rows(self, rows):
        self.seen.append((int(rows[-1]["update"]), *_held()))


def _held():
    gc.collect()
    status = pathlib.Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
    return int(resident) / 1024, len(jax.live_arrays())


def run(given: Setting) -> Seen:
    """PPO, compiled and on the host, for so many updates; then a twentieth as many trainings of each."""
    faults, worst = [], 0.0
    updates, trainings = given.count, max(2, given.count // 50)
    found = []
    backends = ("compiled", "gymnasium") if given.count > 100 else ("compiled",)
    for backend in backends:
        heard = Growth()
        _train(backend, updates, listeners=[heard])
        second = [each for each in heard.seen if each[0] > updates // 4] or heard.seen
        name = f"{updates:,} updates, {backend}"
        worst = max(worst, _judge(name, second[0][1:], second[-1][1:], faults, found))
        given.tell(updates, name)
    for backend in backends:
        seen = []
        for done in range(trainings):
            _train(backend, 4)
            seen.append(_held())
            given.tell(done + 1, f"trainings, {backend}")
        name = f"{trainings} trainings, {backend}"
        worst = max(worst, _judge(name, seen[trainings // 4], seen[-1], faults, found))
    return Seen(given.count, "; ".join(found), f"{worst:.0f} MB more after the first quarter", faults)


def _train(backend, updates, **options):
    steps = updates * PPO["num_envs"] * PPO["segment_length"]
    options = {"total_steps": steps, "backend": backend, "evaluation_episodes": 0} | options
    steepest.train("ppo", "CartPole-v1", **PPO, **options)


def _judge(name, before, after, faults, found):
    """Megabytes by which it grew."""
    grown, arrays = after[0] - before[0], after[1] - before[1]
    found.append(f"{name}: {grown:+.0f} MB, {arrays:+d} arrays")
    if grown > MEGABYTES or arrays > 0:
        faults.append(found[-1])
    return grown


TRIAL = Trial("memory", count=1000, few=20, run=run)
