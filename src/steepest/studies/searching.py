"""The loop of a search: ask for trials, train their seeds, tell what they reached, and stop in an orderly way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from steepest.studies.ranges import program
from steepest.studies.trainers import AbstractTrainer, Reached, Training
from steepest.studies.trials import Trial, Trials
from steepest.studies.tune_display import TuneDisplay
from steepest.studies.tune_settings import TuneSettings


class SearchLoop:
    """Makes trials until there are enough of them.

    A trial's seeds are trained one after the other, so that it can end before the last; several at once only where
    nothing else is left to do.

    **Arguments**

    - `most`: trials in all, those that the journal has already and those of other processes among them.
    - `time_left`: seconds until nothing more is trained; infinite where there is no limit.
    - `at_once`: trials that are worked on at the same time, at most: each is drawn without knowing what the others
      will reach.
    """

    def __init__(
        self,
        settings: TuneSettings,
        trials: Trials,
        trainer: AbstractTrainer,
        display: TuneDisplay,
        *,
        most: int,
        at_once: int,
        stop: Callable[[], bool],
        time_left: Callable[[], float] = lambda: math.inf,
    ):
        self._settings, self._trials, self._trainer, self._display = settings, trials, trainer, display
        self._most, self._at_once, self._stop, self._time_left = most, at_once, stop, time_left
        self._waiting: dict[int, list[int]] = {}
        self._training: dict[int, set[int]] = {}
        self._pruned: set[int] = set()
        self._hyper: dict[int, dict] = {}
        self._begun: dict[tuple[int, int], float] = {}
        self._shortest = math.inf

    @property
    def seconds(self) -> float:
        """That a training takes once its program is compiled; 0 before the first has ended."""
        return 0.0 if math.isinf(self._shortest) else self._shortest

    def run(self) -> None:
        """Search. What is being trained when it has to end is left to the next process that asks for trials."""
        self._fill()
        for reached in self._trainer.ended(self._ends):
            self._hear(reached)
            self._fill()

    def _ends(self) -> bool:
        return self._stop() or self._time_left() <= 0

    def _fill(self) -> None:
        """Have as much trained as there is room for."""
        while self._trainer.idle > 0 and not self._ends():
            training = self._next()
            if training is None:
                return
            self._begun[training.trial, training.seed] = time.monotonic()
            self._trainer.submit(training)

    def _next(self) -> Training | None:
        """What to train next: a seed of a trial that waits for nothing, else a new trial, else any other seed."""
        number = next((each for each, seeds in self._waiting.items() if seeds and not self._training[each]), None)
        while number is None and len(self._hyper) < self._at_once:
            trial = self._trials.ask(self._most)
            if trial is None:
                break
            number = self._open(trial)
        if number is None:
            number = next((each for each, seeds in self._waiting.items() if seeds), None)
        if number is None:
            return None
        seed = self._waiting[number].pop(0)
        self._training[number].add(seed)
        hyper = self._hyper[number]
        return Training(number, seed, self._settings.hyper(hyper), program(self._settings.space, hyper))

    def _open(self, trial: Trial) -> int | None:
        """Begin to work on a trial; None where nothing is left to do for it."""
        if trial.state == "failed":
            self._display.trial(trial, self._most)
            return None
        left = [seed for seed in self._settings.seeds if seed not in trial.returns]
        if not left:
            self._display.trial(self._trials.finish(trial.number), self._most)
            return None
        self._waiting[trial.number], self._training[trial.number] = left, set()
        self._hyper[trial.number] = dict(trial.hyper)
        return trial.number

    def _hear(self, reached: Reached) -> None:
        number, seed = reached.training.trial, reached.training.seed
        if number not in self._training:  # it has failed meanwhile
            return
        self._training[number].discard(seed)
        value = reached.mean_return
        if reached.reason or (value is not None and not math.isfinite(value)):
            self._over(self._trials.fail(number, reached.reason or f"the return of seed {seed} is {value}"))
            return
        if value is None:
            self._waiting[number].clear()
            return
        self._shortest = min(self._shortest, time.monotonic() - self._begun[number, seed])
        if self._trials.report(number, seed, value) and self._waiting[number]:
            self._pruned.add(number)
            self._waiting[number].clear()
        if not self._waiting[number] and not self._training[number] and self._is_known(number):
            self._over(self._trials.finish(number, pruned=number in self._pruned))

    def _is_known(self, number: int) -> bool:
        """Whether every seed was told, or is not wanted: what was interrupted is left to the next process."""
        return number in self._pruned or set(self._trials.known(number).returns) >= set(self._settings.seeds)

    def _over(self, trial: Trial) -> None:
        for kept in (self._waiting, self._training, self._hyper):
            kept.pop(trial.number, None)
        self._display.trial(trial, self._most)
