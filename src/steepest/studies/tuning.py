"""The search for hyper-parameters: `steepest.tune`, and what the command calls."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import math
import os
import pathlib
import re
import time as clock
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from steepest.algorithms import HyperParameters
from steepest.algorithms.presets import preset as tuned_for
from steepest.core.errors import InputError
from steepest.core.files import write_atomically
from steepest.core.interrupts import Stop, end_if_asked, interruptible
from steepest.core.spaces import Box, Discrete, Space
from steepest.core.validation import check_choice, converted, whole_number
from steepest.experiments.configuration import (
    RunConfiguration,
    algorithm_class,
    check_episodes,
    hyper_parameters,
    seed_range,
)
from steepest.experiments.processes import cores
from steepest.studies.answer import Answer, Contender, contenders, fresh_runs, ranked
from steepest.studies.begun import checked
from steepest.studies.engine import AbstractExecutor, Engine
from steepest.studies.local import LocalExecutor
from steepest.studies.on_ray import RayExecutor
from steepest.studies.planned import PlannedRun
from steepest.studies.ranges import search_space
from steepest.studies.searching import SearchLoop
from steepest.studies.study_directory import StudyDirectory
from steepest.studies.sweeping import MOST_PROCESSES
from steepest.studies.trainers import AbstractTrainer, RunsTrainer, SharedProgramTrainer, Training
from steepest.studies.trials import Trial, Trials
from steepest.studies.tune_display import TuneDisplay
from steepest.studies.tune_settings import TuneSettings, changes, keep

_PROGRAMS = 4
"""So many programs are still shared by many trials."""
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}


@dataclasses.dataclass(frozen=True)
class TuneResult:
    """What came of a search.

    - `directory`: of the study, which holds `trials.jsonl`, `best.toml`, pictures, and a run for each fresh seed.
    - `trials`: everything that was tried, in order.
    - `answer`: the best on fresh seeds, beside the defaults; None where it was interrupted before.
    - `interrupted`: whether it was asked to end before that.
    - `notice`: why there is no answer, in words.
    - `elsewhere`: how many trials other processes still work on, of which the last trains the best again.
    """

    directory: pathlib.Path
    trials: tuple[Trial, ...]
    answer: Answer | None = None
    interrupted: bool = False
    notice: str = ""
    elsewhere: int = 0

    @property
    def hyper(self) -> dict[str, Any]:
        """The best hyper-parameters, as `steepest.train(algorithm, env, preset=False, **hyper)` takes them.

        Those that are the paper's are left out. Empty where nothing was found.
        """
        best = None if self.answer is None else self.answer.best
        return {} if best is None else dict(best.hyper)

    def to_json(self) -> dict[str, object]:
        """What `steepest tune --json` prints."""
        found = {} if self.answer is None else self.answer.to_json()
        return {"study": str(self.directory), "complete": self.answer is not None} | found


def tune(
    algorithm: str | HyperParameters,
    env: str,
    *,
    trials: int = 50,
    seeds: int = 3,
    seed: int = 0,
    fresh_seeds: int = 10,
    total_steps: int = 100_000,
    time: str | float | None = None,
    search: Sequence[str] = (),
    which: Literal["rates", "all"] = "all",
    out: str | os.PathLike | None = None,
    processes: int | None = None,
    ray_address: str | None = None,
    lanes: int | None = None,
    preset: bool = True,
    backend: str = "auto",
    evaluation_episodes: int = 100,
    evaluation_steps: int | None = None,
    max_episode_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    action_low: float | None = None,
    action_high: float | None = None,
    demonstrations: str | os.PathLike | None = None,
    progress: bool = False,
    **hyper: Any,
) -> TuneResult:
    """Search for the hyper-parameters of an algorithm on an environment, and say how good they are on fresh seeds.

    The first trial is where the search begins. A trial's seeds are trained one after the other, and it ends when they
    are enough to tell that it is worse than the best one. In the end the best five are trained again with seeds that
    the search never saw, and so are the defaults; of these five the best one is the answer. Called again with the same
    directory it goes on: no trial comes twice.

    **Arguments**

    - `algorithm`: a name; or hyper-parameters to begin with, such as `steepest.PPO(hidden=(32, 32))`.
    - `env`: an id, by which other processes find the environment.
    - `trials`: how many there are to be, those of earlier calls included.
    - `seeds`, `seed`: how many seeds a trial has, and the first of them.
    - `fresh_seeds`: with how many others the best are trained again.
    - `total_steps`: environment steps for each seed.
    - `time`: seconds, or a text such as `1h30m`, after which the search ends; up to half of it is kept for training the
      best again.
    - `search`: in place of the usual ranges, what to search: `"learning_rate=1e-4..1e-2"`, `"epochs=4,8"`, or a name.
    - `which`: `all` searches counts and choices too, for which most trials compile a program of their own; `rates`
      only numbers that trials can differ in without. On CartPole-v1 (PPO, 20 trials of 10,000 steps, two cores, three
      first seeds) `rates` took 36 s, and beat the paper's defaults with probability 0.66 to 0.85; `all` took 120 s,
      0.90 to 1.
    - `out`: the directory of the study; `studies/tune-ALGORITHM-ENV` when left out.
    - `processes`: how many processors may be busy at once; all that there are when left out.
    - `ray_address`: train on a Ray cluster: `auto`, `HOST:PORT`, or `local` to start one here.
    - `lanes`: of trials that differ in numbers only, how many seeds are trained side by side in one program; when left
      out 32 on an accelerator, and 1 on a CPU, where they take turns.
    - `preset`: begin with what was tuned for this environment before, if anything was.
    - `demonstrations`: what an algorithm that learns from them takes.
    - `progress`: show how it goes.
    - `hyper`: hyper-parameters that stay as they are given.

    Others are those of `steepest.train`.

    **Raises** `InputError` for anything that cannot work, and where the directory holds another search.

    **Example**

    >>> found = tune("ppo", "CartPole-v1", trials=20, total_steps=20_000, progress=True)  # doctest: +SKIP
    >>> print(found.answer.block())  # doctest: +SKIP
    """
    begun = clock.monotonic()
    most = whole_number("trials", trials, at_least=1, at_most=10**6, remedy="50, say.")
    limit = _seconds(time)
    if processes is not None:
        whole_number("processes", processes, at_least=1, at_most=MOST_PROCESSES, remedy="Leave it out for all.")
    if lanes is not None:
        whole_number("lanes", lanes, at_least=1, at_most=2**16, remedy="Leave it out.")
    check_choice("which", which, ("rates", "all"))
    if ray_address is not None:
        RayExecutor.check_address(ray_address)
    start, before = _begin(algorithm, env, preset, hyper)
    if start.demonstrated and demonstrations is None:
        raise InputError(f"demonstrations are missing; {start.name} learns from them. Give a run directory or a file.")
    searched = seed_range(seed, seeds)
    options = {
        "total_steps": whole_number("total_steps", total_steps, at_least=1, at_most=2**31 - 1, remedy="100000, say."),
        "evaluation_episodes": check_episodes("evaluation_episodes", evaluation_episodes),
        "evaluation_steps": converted("evaluation_steps", evaluation_steps, int | None, "1000, say."),
        "max_episode_steps": converted("max_episode_steps", max_episode_steps, int | None, "Leave it out."),
        "backend": backend,
        "preset": False,
        "env_kwargs": dict(env_kwargs or {}),
        "action_low": converted("action_low", action_low, float | None, "Give a number."),
        "action_high": converted("action_high", action_high, float | None, "Give a number."),
        "demonstrations": None if demonstrations is None else os.path.abspath(demonstrations),
    }
    options = {name: value for name, value in options.items() if value not in (None, {})}
    settings = TuneSettings(
        algorithm=start.name,
        env=env,
        begin=changes(start),
        preset=before,
        space=search_space(start, asked=search, given=tuple(hyper)),
        seeds=searched,
        fresh_seeds=seed_range(searched[-1] + 1, fresh_seeds, name="fresh_seeds"),
        options=options,
    )
    label = f"tune-{start.name}-{re.sub(r'[^A-Za-z0-9._-]+', '-', env)}"
    study = StudyDirectory(pathlib.Path("studies") / label if out is None else out)
    with interruptible() as stop:
        found = _configuration(study, settings)
        shares = found.backend == "compiled" and not start.asynchronous and ray_address is None
        if not search:
            space = search_space(start, which=which, given=tuple(hyper), action=_kind_of(found.spaces["action"]))
            settings = dataclasses.replace(settings, space=space)
        programs = math.prod(len(each.choices) for each in settings.space if not each.rate)
        keep(settings, study.path)
        call = _Call(settings, study, found, stop, begun, limit, processes, ray_address)
        known = Trials(study.path, begin=settings.start, space=settings.space, seeds=searched, seed=seed)
        with known, TuneDisplay(show=progress) as display:
            result = call.make(known, display, most, lanes, shared=shares and programs <= _PROGRAMS)
    end_if_asked(stop)
    return result


def _begin(
    algorithm: str | HyperParameters, env: str, preset: bool, hyper: Mapping[str, Any]
) -> tuple[HyperParameters, dict[str, object]]:
    """Where the search begins, and what was tuned for the environment before."""
    if isinstance(algorithm, HyperParameters):
        if hyper:
            raise InputError(f"{next(iter(hyper))}: the algorithm is given as an object; set it there.")
        return algorithm, {}
    if not isinstance(algorithm, str):
        raise InputError(
            f"algorithm is a {type(algorithm).__name__}; it must be a name, or hyper-parameters such as steepest.PPO()."
        )
    kind = algorithm_class(algorithm)
    before = tuned_for(algorithm, env) if preset else {}
    return hyper_parameters(algorithm, {**before, **hyper}), changes(kind(**before))


def _seconds(text: str | float | None) -> float:
    """A time limit in seconds; infinite where there is none.

    >>> _seconds("1h30m"), _seconds("90"), _seconds(None)
    (5400.0, 90.0, inf)
    """
    if text is None:
        return math.inf
    word = str(text).strip().lower()
    parts = re.findall(r"([0-9.]+)(d|h|min|m|s)", word)
    with contextlib.suppress(ValueError):
        if parts and "".join(number + unit for number, unit in parts) == word:
            found = sum(float(number) * _UNITS[unit] for number, unit in parts)
        else:
            found = float(word)
        if found > 0 and math.isfinite(found):
            return found
    raise InputError(f"time is {text!r}; it must be a time, such as 1h, 90m or 1h30m, or seconds.")


def _kind_of(space: str) -> Space:
    """A space of actions of the same kind, from how it is written."""
    return Box(-1.0, 1.0, (1,)) if space.startswith("Box") else Discrete(2)


def _configuration(study: StudyDirectory, settings: TuneSettings) -> RunConfiguration:
    """What `config.json` would say of the first run. **Raises** `InputError` where it cannot be made."""
    run = PlannedRun(
        "first", settings.algorithm, settings.env, settings.seeds[0], hyper=settings.begin, options=settings.options
    )
    with LocalExecutor(study, 1) as executor:
        return executor.configurations([run])[0]


@dataclasses.dataclass
class _Call:
    """One call of `tune`, once everything was checked."""

    settings: TuneSettings
    study: StudyDirectory
    configuration: RunConfiguration
    stop: Stop
    begun: float
    limit: float
    processes: int | None
    ray_address: str | None
    loop: SearchLoop | None = None

    def make(self, known: Trials, display: TuneDisplay, most: int, lanes: int | None, *, shared: bool) -> TuneResult:
        """Search, train the best again, and write down what came of it."""
        settings = self.settings
        display.say(f"{settings.algorithm} on {settings.env}: a search in {self.study.path}")
        display.say("; ".join(each.text for each in settings.space))
        over = [each for each in known.all() if each.state != "running"]
        if len(over) < most and self._search_left() > 0:
            display.phase("trials", most)
            for each in over:
                display.trial(each, most, shown=False)
            with self._trainer(display, lanes, shared) as trainer:
                room, few = trainer.idle, self.processes or cores()
                self.loop = SearchLoop(
                    settings,
                    known,
                    trainer,
                    display,
                    most=most,
                    # Where there is more room, seeds go side by side: trials at once do not learn from each other.
                    at_once=room if room <= few else max(few, min(room // len(settings.seeds), most // 5)),
                    stop=self.stop,
                    time_left=self._search_left,
                )
                self.loop.run()
        elsewhere = known.elsewhere()  # before `all`, so that none is missing there when it is 0
        trials = tuple(known.all())
        self._draw_trials(trials)
        if self.stop():
            return TuneResult(self.study.path, trials, interrupted=True)
        if elsewhere:
            notice = f"Other processes work on {elsewhere} trials; the last to end trains the best again."
            return TuneResult(self.study.path, trials, notice=notice, elsewhere=elsewhere)
        if not contenders(settings, trials)[0]:
            notice = (
                f"There is nothing to judge: of {len(trials)} trials none has trained all of its seeds with another "
                f"setting than the search began with. Call it again with more trials, more time, or other ranges."
            )
            return TuneResult(self.study.path, trials, notice=notice)
        answer = self._judge(known, trials, display)
        if answer is None:
            return TuneResult(self.study.path, trials, interrupted=True)
        self._write(answer, trials)
        return TuneResult(self.study.path, trials, answer)

    def _search_left(self) -> float:
        """Seconds until the search must end, so that the best can be trained again within the limit."""
        if math.isinf(self.limit):
            return math.inf
        each = self.loop.seconds if self.loop is not None else 0.0
        again = each * len(self.settings.fresh_seeds) * 6 / (self.processes or cores())
        return self.begun + self.limit - min(self.limit / 2, again) - clock.monotonic()

    @contextlib.contextmanager
    def _trainer(self, display: TuneDisplay, lanes: int | None, shared: bool) -> Iterator[AbstractTrainer]:
        """Who trains the seeds of trials."""
        settings = self.settings
        if shared:
            told = {"algorithm": settings.algorithm, "env": settings.env, "options": dict(settings.options)}
            sides = 1 if "demonstrations" in settings.options else lanes
            trainer = SharedProgramTrainer(told | {"lanes": sides}, self.processes or cores(), display)
            try:
                yield trainer
            finally:
                trainer.close()
            return
        study = StudyDirectory(self.study.path / "search")
        with study.held(shared=True), self._executor(study) as executor:
            (first,) = checked(
                study, [self._run(Training(-1, settings.seeds[0], settings.begin))], [self.configuration]
            )

            def describe(training: Training) -> PlannedRun:
                return dataclasses.replace(self._run(training), processors=first.processors)

            yield RunsTrainer(study, executor, describe, display)

    def _run(self, training: Training) -> PlannedRun:
        """A training as a run."""
        return PlannedRun(
            f"trial-{training.trial + 1}-seed-{training.seed}",
            self.settings.algorithm,
            self.settings.env,
            training.seed,
            hyper=dict(training.hyper),
            options=dict(self.settings.options),
            setting=f"trial-{training.trial + 1}",
        )

    def _executor(self, study: StudyDirectory) -> AbstractExecutor:
        if self.ray_address is None:
            return LocalExecutor(study, self.processes)
        return RayExecutor(study, self.ray_address, self.processes)

    def _judge(self, known: Trials, trials: Sequence[Trial], display: TuneDisplay) -> Answer | None:
        """Train the best trials and the defaults with fresh seeds; None where that was interrupted."""
        best, defaults = contenders(self.settings, trials)
        runs = {run.name: (each.name, run) for each in (*best, *defaults) for run in fresh_runs(self.settings, each)}
        returns: dict[str, dict[int, float]] = {each.name: {} for each in (*best, *defaults)}
        failures: dict[str, list[str]] = {each.name: [] for each in (*best, *defaults)}
        display.say(
            f"the best {len(best)} trials and {', '.join(each.title for each in defaults)} with fresh seeds "
            f"{self.settings.fresh_seeds[0]} to {self.settings.fresh_seeds[-1]}"
        )
        display.phase("fresh seeds", len(runs))
        with self._turn(display), self.study.held(), self._executor(self.study) as executor:
            if self.stop():
                return None
            asked = [self._configuration_of(run) for _, run in runs.values()]
            engine = Engine(self.study, executor, watcher=display)
            for run in checked(self.study, [run for _, run in runs.values()], asked):
                engine.submit(run)
            for run, state in engine.ended(self.stop):
                name, _ = runs[run.name]
                if state.mean_return is not None:
                    returns[name][run.seed] = state.mean_return
                    display.advance(f"{run.name}: {state.mean_return:.1f}")
                elif state.state == "failed":
                    failures[name].append(f"seed {run.seed}: {state.message}")
                    display.advance(f"{run.name}: failed")
        if self.stop():
            return None

        def told(each: Contender) -> Contender:
            return dataclasses.replace(each, returns=returns[each.name], failures=tuple(failures[each.name]))

        counted = Counter(each.state for each in trials)
        return Answer(
            self.settings,
            ranked([told(each) for each in best]),
            tuple(told(each) for each in defaults),
            {state: counted[state] for state in ("complete", "pruned", "failed") if counted[state]},
            known.importance(),
            clock.monotonic() - self.begun,
        )

    @contextlib.contextmanager
    def _turn(self, display: TuneDisplay) -> Iterator[None]:
        """Wait until no other process trains the best again, or this one is asked to stop."""
        opened = os.open(self.study.path / ".judging.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        told = False
        try:
            while not self.stop():
                try:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not told:
                        display.say("another process trains them; this one waits for it")
                    told = True
                    clock.sleep(0.2)
            yield
        finally:
            os.close(opened)

    def _configuration_of(self, run: PlannedRun) -> RunConfiguration:
        """What `config.json` of a run says: it differs from the first one's in its setting and its seed."""
        parameters = hyper_parameters(run.algorithm, dict(run.hyper)).with_absolute_paths()
        return dataclasses.replace(
            self.configuration,
            hyper_parameters=dataclasses.asdict(parameters),
            seeds=(run.seed,),
            seeds_per_process=((run.seed,),),
        )

    def _draw_trials(self, trials: Sequence[Trial]) -> None:
        from steepest.studies.tune_figures import draw_trials

        if any(each.returns for each in trials):
            best = {each.name for each in contenders(self.settings, trials)[0]}
            again = [each.number for each in trials if f"trial-{each.number + 1}" in best]
            draw_trials(trials, self.settings.space, self._title(), self.study.path / "trials.png", again)

    def _title(self) -> str:
        steps, seeds = self.settings.options["total_steps"], len(self.settings.seeds)
        return f"{self.settings.algorithm} on {self.settings.env}, {steps:,} steps, {seeds} seeds"

    def _write(self, answer: Answer, trials: Sequence[Trial]) -> None:
        from steepest.studies.tune_figures import draw_answer

        write_atomically(self.study.path / "answer.json", (json.dumps(answer.to_json(), indent=2) + "\n").encode())
        if answer.best is not None:
            write_atomically(self.study.path / "best.toml", answer.block().encode())
        if any(each.returns for each in (*answer.contenders, *answer.defaults)):
            title = f"{answer.settings.algorithm} on {answer.settings.env}: fresh seeds"
            draw_answer(answer, title, self.study.path / "fresh_seeds.png")
