"""The trials of a search: what is tried next, what came of it, and a journal that processes share and go on from.

The journal is Optuna's, a file of lines of JSON. Whoever works on a trial holds a lock of the operating system; a trial
whose lock nobody holds was left by a process that has ended, and is gone on with.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import math
import os
import pathlib
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from steepest.algorithms import HyperParameters
from steepest.core.errors import InputError
from steepest.core.files import read_at_most, writing
from steepest.core.validation import shown
from steepest.studies.ranges import Range, Value, sampled

if TYPE_CHECKING:
    import optuna


_LONGEST = 2**30
"""Bytes of a journal."""
_STARTUP = 8
"""Trials at random, before the sampler models what was good."""
_TELLING = 30
"""Trials from which on it can be told what made the difference."""
_P_VALUE = 0.1
"""Of the Wilcoxon test that ends a trial, where it has seeds enough to come so low."""
State = Literal["running", "complete", "pruned", "failed"]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One setting that was tried.

    - `number`: the first is 0, which is where the search began.
    - `hyper`: the hyper-parameters that were searched.
    - `returns`: mean return of the last policy, by seed.
    - `state`: `pruned` when the seeds were enough to tell that it is worse than the best one.
    - `reason`: why it failed.
    - `drawn`: what the sampler drew, by the key of its range.
    """

    number: int
    hyper: Mapping[str, Value]
    returns: Mapping[int, float]
    state: State
    reason: str = ""
    drawn: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Over the seeds; NaN where there is none."""
        return float(np.mean(list(self.returns.values()))) if self.returns else math.nan


class Trials:
    """The trials of one search, and those of other processes on the same one.

    **Arguments**

    - `directory`: where the journal is, `trials.jsonl`, and the locks.
    - `begin`, `space`: where the search begins, and what is searched.
    - `seeds`: that each trial trains.
    - `seed`: of the sampler.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        *,
        begin: HyperParameters,
        space: Sequence[Range],
        seeds: Sequence[int],
        seed: int = 0,
    ):
        self._directory, self._begin, self._space = directory, begin, tuple(space)
        self._seeds, self._seed = tuple(seeds), seed
        self._owner, self._held = uuid.uuid4().hex, None
        self._mine: dict[int, optuna.Trial] = {}
        self._optuna = _optuna()
        with writing(directory):
            (directory / "owners").mkdir(parents=True, exist_ok=True)
        self._study = self._open()

    def __enter__(self) -> Trials:
        self._held = _hold(self._directory / "owners" / self._owner)
        return self

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None
            with contextlib.suppress(OSError):
                (self._directory / "owners" / self._owner).unlink()

    def _open(self) -> optuna.Study:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path = self._directory / "trials.jsonl"
        with self._alone():
            whole_lines(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # A backend without snapshots: nothing is ever unpickled.
                storage = JournalStorage(JournalFileBackend(str(path)))
                with self._alone():
                    return self._optuna.create_study(
                        storage=storage,
                        study_name="steepest",
                        direction="maximize",
                        load_if_exists=True,
                        pruner=self._optuna.pruners.WilcoxonPruner(p_threshold=threshold(len(self._seeds))),
                    )
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}. Give another place with --out.") from error
        except Exception as error:  # whatever a damaged journal makes of it
            raise InputError(f"{path}: it is no journal of a search ({shown(str(error))}). Restore it.") from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Decide what to try next, while no other process does."""
        opened = os.open(self._directory / ".trials.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)

    def ask(self, most: int) -> Trial | None:
        """A trial to work on: one that a process has left, or a new one; None where there are `most` already.

        The hyper-parameters of a new one can be ones that the algorithm cannot have, which its `reason` says; then it
        has failed.
        """
        with self._alone(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = self._study.get_trials(deepcopy=False)
            left = next((each for each in known if self._is_left(each)), None)
            if left is None and len(known) >= most:
                return None
            if left is not None:
                trial = self._optuna.Trial(self._study, left._trial_id)
            else:
                if not known:
                    self._study.enqueue_trial(
                        {each.key: each.drawn(getattr(self._begin, each.name)) for each in self._space}
                    )
                self._study.sampler = self._sampler(len(known))
                trial = self._study.ask()
            trial.set_user_attr("owner", self._owner)
            hyper = sampled(self._begin, self._space, trial)
            trial.set_user_attr("hyper_parameters", json.dumps(hyper))
            self._mine[trial.number] = trial
        try:
            dataclasses.replace(self._begin, **hyper)
        except InputError as error:
            self.fail(trial.number, str(error))
        return self.known(trial.number)

    def _is_left(self, trial: optuna.trial.FrozenTrial) -> bool:
        if trial.state != self._optuna.trial.TrialState.RUNNING or trial.number in self._mine:
            return False
        owner = trial.user_attrs.get("owner")
        return not isinstance(owner, str) or not _is_held(self._directory / "owners" / pathlib.Path(owner).name)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Draws that depend on the number of the trial, so that none comes twice where a search goes on."""
        seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        return self._optuna.samplers.TPESampler(
            n_startup_trials=_STARTUP, multivariate=True, constant_liar=True, seed=seed, warn_independent_sampling=False
        )

    def report(self, number: int, seed: int, mean_return: float) -> bool:
        """What a seed of a trial has reached. **Returns** whether its other seeds are not worth training."""
        trial = self._mine[number]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial.report(mean_return, seed)
            return trial.should_prune()

    def finish(self, number: int, *, pruned: bool = False) -> Trial:
        """Nothing more is trained of a trial. One that was pruned has the mean of the seeds that it has."""
        trial = self._mine.pop(number)
        trial.set_user_attr("pruned", pruned)
        self._study.tell(trial, self.known(number).mean)
        return self.known(number)

    def fail(self, number: int, reason: str) -> Trial:
        """A trial cannot be trained, or has lost itself in numbers that are not finite."""
        trial = self._mine.pop(number)
        trial.set_user_attr("reason", " ".join(reason.split()))
        self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        return self.known(number)

    def known(self, number: int) -> Trial:
        """A trial as the journal has it."""
        return _trial(self._study.get_trials(deepcopy=False)[number])

    def all(self) -> list[Trial]:
        """Every trial so far, in order, those of other processes among them."""
        return [_trial(each) for each in self._study.get_trials(deepcopy=False)]

    def elsewhere(self) -> int:
        """How many trials other processes work on now."""
        return sum(
            each.state == self._optuna.trial.TrialState.RUNNING
            and each.number not in self._mine
            and not self._is_left(each)
            for each in self._study.get_trials(deepcopy=False)
        )

    def importance(self) -> dict[str, float]:
        """How much of the differences between trials each hyper-parameter explains; empty where they are too few."""
        complete = [each for each in self.all() if each.state in ("complete", "pruned")]
        if len(complete) < _TELLING or len({each.mean for each in complete}) < 2:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
            try:
                found = self._optuna.importance.get_param_importances(self._study, evaluator=evaluator)
            except (RuntimeError, ValueError):  # a hyper-parameter that never varied, say
                return {}
        return {name: float(share) for name, share in found.items()}


def threshold(seeds: int) -> float:
    """The p-value below which a trial ends early.

    Of n pairs, Wilcoxon's test goes no lower than 2⁻ⁿ. So with few seeds a trial ends when all of them but the last are
    worse than the best trial's.
    """
    return max(_P_VALUE, 1.01 * 0.5 ** max(2, seeds - 1))


def whole_lines(path: pathlib.Path) -> None:
    """Cut off the half of a line that a process has left which was killed while it wrote."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with writing(path), path.open("rb+") as file:
        if not read_at_most(path, _LONGEST).endswith(b"\n"):
            file.truncate(read_at_most(path, _LONGEST).rfind(b"\n") + 1)


def _trial(frozen: optuna.trial.FrozenTrial) -> Trial:
    try:
        hyper = json.loads(frozen.user_attrs.get("hyper_parameters", "{}"))
        names: dict[str, State] = {"COMPLETE": "complete", "FAIL": "failed"}
        state = names.get(frozen.state.name, "running")
        return Trial(
            frozen.number,
            {name: tuple(value) if isinstance(value, list) else value for name, value in hyper.items()},
            {int(seed): float(value) for seed, value in frozen.intermediate_values.items()},
            "pruned" if state == "complete" and frozen.user_attrs.get("pruned") else state,
            str(frozen.user_attrs.get("reason", "")),
            dict(frozen.params),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"trial {frozen.number}: {shown(str(error))}. Restore trials.jsonl from a copy.") from error


def _hold(path: pathlib.Path) -> int:
    with writing(path):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(opened, fcntl.LOCK_EX)
        return opened


def _is_held(path: pathlib.Path) -> bool:
    try:
        opened = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(opened)


def _optuna() -> Any:
    """Optuna, which is an extra. **Raises** `InputError` where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise InputError("tune needs Optuna: pip install 'steepest[tune]'.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
