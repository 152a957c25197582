"""The loop of a run: train for a moment, tell listeners, save, and stop in an orderly way."""

import contextlib
import dataclasses
import functools
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from steepest.algorithms import HyperParameters
from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import EndsTraining, EnvironmentFault, StorageFault
from steepest.core.files import write_atomically
from steepest.core.types import PyTree
from steepest.envs.tasks import Task
from steepest.experiments.building import newest_states
from steepest.experiments.configuration import RunConfiguration
from steepest.experiments.evaluating import evaluate_agent
from steepest.experiments.opening import open_training
from steepest.runs import checkpoints
from steepest.runs import demonstration_files as files
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import AbstractListener
from steepest.runs.metrics import EVALUATED
from steepest.training.driver import AbstractTraining, Row

_BEAT = 0.5
"""Seconds between two looks at the clock, the progress display and the keyboard."""
_SAVING = 20
"""Training goes on for at least so many times as long as it took to save, as it does where a ring is large."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one seed: its last agent, and whether it made all of its steps."""

    agent: PyTree
    finished: bool


def train_seeds(
    config: RunConfiguration,
    task: Task,
    seeds: Iterable[int],
    run: RunDirectory | None,
    *,
    listener: AbstractListener,
    stop: Callable[[], bool],
    started: float = 0.0,
    parameters: HyperParameters | None = None,
    demonstrations: Demonstrations | None = None,
) -> dict[int, Outcome]:
    """Train seeds side by side, from their newest checkpoints where there are any.

    **Arguments**

    - `run`: where checkpoints go; None for nowhere.
    - `listener`: hears of rows, evaluations and checkpoints.
    - `stop`: asked between updates; when it says yes, the state is saved and training ends early.
    - `started`: seconds of training that came before, for the `wall_time` of the metrics.
    - `parameters`: of the algorithm, where the configuration cannot tell them.
    - `demonstrations`: what to learn from, where it is not an environment; None takes those in the run directory.

    **Raises** `NonFiniteError` and `EnvironmentFault`, with the agents from before it, once these are saved. A number
    of one seed that is not finite is raised once the others have finished.
    """
    parameters = config.parameters() if parameters is None else parameters
    if config.demonstrations is not None and demonstrations is None:
        assert run is not None
        demonstrations = files.load(run.demonstrations, sha256=config.demonstrations["sha256"])
    training = open_training(config, task, tuple(seeds), parameters, demonstrations, run, listener)
    played: dict[int, tuple[int, np.ndarray]] = {}
    told = 0.0

    def tell(seed: int, ended: int, cut: int) -> None:
        nonlocal told
        if ended == config.evaluation_episodes or time.monotonic() - told > _BEAT:
            told = time.monotonic()
            listener.evaluating(seed, config.evaluation_episodes, ended, cut)

    def evaluate(agents: Mapping[int, PyTree]) -> Iterator[tuple[int, np.ndarray]]:
        """Seeds and the returns of their agents, until it is interrupted; none plays twice after the same update."""
        for seed, agent in agents.items():
            state, episodes = training.states()[seed], config.evaluation_episodes
            update = int(state.update)
            if seed not in played or played[seed][0] != update:
                found = evaluate_agent(
                    training.algorithm,
                    task,
                    agent,
                    seed,
                    episodes=episodes,
                    steps=config.evaluation_steps,
                    stop=stop,
                    heard=functools.partial(tell, seed),
                )
                if found is None:
                    return
                played[seed] = update, found.returns
                listener.evaluation(seed, int(state.steps), found.returns)
            yield seed, played[seed][1]

    for text in parameters.notices(config.total_steps):
        for seed in training.seeds:
            listener.notice(seed, text)
    try:
        try:
            if run is not None:
                _restore(training, config, task, run, parameters)
            _loop(training, config, run, listener, stop, started, evaluate)
        finally:
            training.close()
        finished, agents = training.finished, training.agents()
        if finished and config.evaluation_episodes:
            for _ in evaluate({seed: agent for seed, agent in agents.items() if seed not in training.diverged}):
                pass
        if finished and training.diverged:
            raise next(iter(training.diverged.values()))
    except EndsTraining as error:
        error.agents = training.agents()
        if run is not None and isinstance(error, EnvironmentFault):
            with contextlib.suppress(StorageFault):  # what raised matters more
                write_atomically(run.traceback, "".join(traceback.format_exception(error)).encode())
        raise
    return {seed: Outcome(agents[seed], finished) for seed in training.seeds}


def _loop(
    training: AbstractTraining,
    config: RunConfiguration,
    run: RunDirectory | None,
    listener: AbstractListener,
    stop: Callable[[], bool],
    started: float,
    evaluate: Callable[[Mapping[int, PyTree]], Iterator[tuple[int, np.ndarray]]],
) -> None:
    begin = saved = time.monotonic()
    pause = config.checkpoint_seconds
    every, keep = int(config.evaluation_every), int(config.keep_every)
    told: set[int] = set()
    if run is not None and keep and training.steps == 0:
        _save(training, config, run, listener)
    while not training.finished:
        before, mark, fault = training.steps, time.monotonic(), None
        returns: dict[int, np.ndarray] = {}
        due = _next(before, every)
        pauses = [each for each in (due, _next(before, keep)) if each is not None]
        try:
            rows = training.advance(_BEAT, min(pauses, default=None))
        except EndsTraining as error:
            rows, fault = error.rows, error
        now = time.monotonic()
        rate = (training.steps - before) * len(training.seeds) / (now - mark)
        rows = [row | {"wall_time": started + now - begin, "steps_per_second": rate} for row in rows]
        if due is not None:
            # A seed that is there before the others rests, and so has no rows until all are.
            there = {row["seed"] for row in rows if row["steps"] >= due} if fault is None else set()
            agents = {seed: agent for seed, agent in training.agents().items() if seed in there}
            try:
                returns.update(evaluate(agents))
            except EnvironmentFault as error:
                fault = error
            rows = _with_evaluation(rows, returns)
            begin += time.monotonic() - now  # playing is not training
        listener.rows(rows)
        for seed, error in training.diverged.items():
            if seed not in told:
                listener.notice(seed, f"{error} The other seeds go on.")
        told |= training.diverged.keys()
        stopping = fault is not None or stop()
        stays = bool(keep) and training.steps // keep > before // keep
        if run is not None and (stopping or stays or training.finished or now - saved >= pause):
            mark = time.monotonic()
            listener.flush()
            _save(training, config, run, listener)
            saved = time.monotonic()
            pause = max(config.checkpoint_seconds, _SAVING * (saved - mark))
        if fault is not None:
            raise fault
        if stopping:
            break


def _next(steps: int, every: int) -> int | None:
    """The next multiple of `every`; None where it is 0."""
    return (steps // every + 1) * every if every else None


def _with_evaluation(rows: Sequence[Row], returns: Mapping[int, np.ndarray]) -> list[Row]:
    """The rows with one more column: after the last update of a seed, the mean of what its policy has now returned."""
    rows = [row | {EVALUATED: math.nan} for row in rows]
    last = {row["seed"]: row for row in rows}
    for seed, each in returns.items():
        last[seed][EVALUATED] = float(each.mean())
    return rows


def _save(training: AbstractTraining, config: RunConfiguration, run: RunDirectory, listener: AbstractListener) -> None:
    for seed, state in training.states().items():
        path = checkpoints.save(
            run.checkpoints(seed),
            state,
            seed=seed,
            update=int(state.update),
            steps=int(state.steps),
            fingerprint=config.fingerprint,
            keep_every=config.keep_every,
        )
        listener.checkpoint(seed, path)


def _restore(
    training: AbstractTraining, config: RunConfiguration, task: Task, run: RunDirectory, parameters: HyperParameters
) -> None:
    found = newest_states(config, task, run, parameters, training.seeds)
    if found:
        training.restore(training.states() | {seed: each.tree for seed, each in found.items()})
