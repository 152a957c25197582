"""Listeners: what hears of a run while it trains. The table of metrics, the progress display and loggers are listeners.

They are called between compiled calls, in the process that started the run and in no other, whichever process trains.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from steepest.core.errors import InputError
from steepest.core.files import writing
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.seal import Seal

Row = Mapping[str, float]
"""One update of one seed; see `steepest.runs.metrics`."""


@dataclasses.dataclass(frozen=True)
class RunDescription:
    """What a listener is told of a run before it trains.

    - `config`: everything needed to repeat it, as `config.json` holds it.
    - `directory`: where it is kept; None for nowhere. In one that goes on `metrics.csv` holds the rows that are kept.
    """

    config: Mapping[str, object]
    directory: RunDirectory | None


class AbstractListener:
    """Something that hears of a run. Every method does nothing unless it is overridden.

    >>> class Best(AbstractListener):
    ...     def __init__(self):
    ...         self.found = float("-inf")
    ...
    ...     def rows(self, rows):
    ...         self.found = max([self.found, *(row["return"] for row in rows if row["episodes"])])
    """

    def begin(self, run: RunDescription) -> None:
        """Training begins, or goes on. What it raises as an `InputError` ends the run before that."""

    def rows(self, rows: Sequence[Row]) -> None:
        """New rows of metrics, in the order of updates for each seed.

        A run that was killed makes the updates after its newest checkpoints again, and tells of them again.
        """

    def evaluation(self, seed: int, steps: int, returns: np.ndarray) -> None:
        """A seed's policy has played whole episodes without noise, after so many steps of training."""

    def evaluating(self, seed: int, episodes: int, ended: int, cut: int) -> None:
        """An evaluation of so many episodes is under way: how many have ended, and how many of those were cut.

        Told now and then, and once all have ended, before `evaluation`.
        """

    def checkpoint(self, seed: int, path: pathlib.Path) -> None:
        """A checkpoint of a seed is complete; `path` is its manifest."""

    def notice(self, seed: int | None, text: str) -> None:
        """Something a person should know, of a seed or of the run."""

    def flush(self) -> None:
        """Make what was heard so far durable: a checkpoint follows, and a resumed run goes on from there."""

    def picture(self, path: pathlib.Path) -> None:
        """Training has ended, and the learning curve is drawn."""

    def close(self) -> None:
        """The run has ended, or was interrupted. Nothing follows."""


class MetricsTable(AbstractListener):
    """Writes rows into the file `metrics.csv` of a run."""

    def __init__(self, path: pathlib.Path):
        self._path, self._seal = path, Seal(path)

    def rows(self, rows: Sequence[Row]) -> None:
        metrics.append(self._path, rows)

    def flush(self) -> None:
        if self._path.exists():  # there may be no rows yet
            with writing(self._path), self._path.open("rb") as file:
                os.fsync(file.fileno())
            self._seal.write()


class RowsInMemory(AbstractListener):
    """Keeps rows in a list, for runs without a directory."""

    def __init__(self) -> None:
        self.kept: list[Row] = []

    def rows(self, rows: Sequence[Row]) -> None:
        self.kept.extend(rows)


class EvaluationsInMemory(AbstractListener):
    """Keeps the returns of each seed's last evaluation, how many were cut, and the steps of training before it."""

    def __init__(self) -> None:
        self.returns: dict[int, np.ndarray] = {}
        self.steps: dict[int, int] = {}
        self.cut: dict[int, int] = {}

    def evaluating(self, seed: int, episodes: int, ended: int, cut: int) -> None:
        self.cut[seed] = cut

    def evaluation(self, seed: int, steps: int, returns: np.ndarray) -> None:
        self.returns[seed], self.steps[seed] = returns, steps


class Listeners(AbstractListener):
    """Several listeners as one.

    **Arguments**

    - `own`: the run's; what they raise ends it.
    - `others`: the user's. One that raises is named, removed, and the run goes on.
    """

    def __init__(self, own: Sequence[AbstractListener], others: Sequence[AbstractListener] = ()):
        self._own, self._others = list(own), list(others)

    def begin(self, run: RunDescription) -> None:
        self._tell(lambda each: each.begin(run), passes=InputError)

    def rows(self, rows: Sequence[Row]) -> None:
        self._tell(lambda each: each.rows(rows))

    def evaluation(self, seed: int, steps: int, returns: np.ndarray) -> None:
        self._tell(lambda each: each.evaluation(seed, steps, returns))

    def evaluating(self, seed: int, episodes: int, ended: int, cut: int) -> None:
        self._tell(lambda each: each.evaluating(seed, episodes, ended, cut))

    def checkpoint(self, seed: int, path: pathlib.Path) -> None:
        self._tell(lambda each: each.checkpoint(seed, path))

    def notice(self, seed: int | None, text: str) -> None:
        self._tell(lambda each: each.notice(seed, text))

    def flush(self) -> None:
        self._tell(lambda each: each.flush())

    def picture(self, path: pathlib.Path) -> None:
        self._tell(lambda each: each.picture(path))

    def close(self) -> None:
        self._tell(lambda each: each.close())

    def _tell(self, tell: Callable[[AbstractListener], None], *, passes: type[Exception] | tuple[()] = ()) -> None:
        for each in self._own:
            tell(each)
        for each in list(self._others):
            if not any(each is other for other in self._others):
                continue  # it failed at the notice that another had failed
            try:
                tell(each)
            except passes:
                raise
            except Exception as error:
                self._others = [other for other in self._others if other is not each]
                said = " ".join(f"{type(error).__name__}: {error}".split())
                self.notice(None, f"listener {type(each).__name__} failed ({said}) and is removed; the run goes on")
