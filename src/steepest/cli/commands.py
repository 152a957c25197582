"""What each command does. Anything that needs JAX is imported where the arguments are known to be good."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from steepest.algorithms import ALGORITHMS, HyperParameters
from steepest.algorithms.presets import preset, preset_names
from steepest.cli.arguments import parse, print_json, program, say, value_of, wants_help
from steepest.core import interrupts
from steepest.core.errors import InputError
from steepest.core.files import JsonObject
from steepest.diagnostics.catalogue import ESTIMATORS
from steepest.experiments.configuration import (
    RunConfiguration,
    algorithm_class,
    check_episodes,
    of_other_algorithms,
    read_configuration,
    seed_range,
    tuned,
)
from steepest.runs.directory import RunDirectory

if TYPE_CHECKING:
    from steepest.experiments.preparing import Experiment
    from steepest.experiments.results import TrainResult

NAMES = max(map(len, ALGORITHMS)) + 2
"""The width of a column of names."""


def _whole(words: list[str]) -> int:
    try:
        number = float(words[0])
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise ValueError("It must be a whole number; 100000 or 1e5, say.")
    return int(number)


Whole = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=_whole,
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""A whole number, as people write large ones too: 1e6."""


def _object(words: list[str]) -> dict:
    try:
        found = json.loads(words[0])
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError("It must be an object in JSON: '{\"is_slippery\": false}', say.")
    return found


Json = Annotated[
    dict,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="JSON",
        instance_from_str=_object,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [json.dumps(value)],
    ),
]
"""Names and their values."""


Logger = Literal["tensorboard", "wandb"]


@dataclasses.dataclass(frozen=True)
class Train:
    """Train an algorithm on an environment; everything goes into a run directory."""

    algorithm: tyro.conf.OmitArgPrefixes[HyperParameters]
    """Hyper-parameters. Defaults are the paper's, or what was tuned for the environment."""
    env: Annotated[str, tyro.conf.arg(help_behavior_hint="(required)")]
    """Id of the environment: steepest list envs."""
    backend: Literal["auto", "compiled", "envpool", "gymnasium"] = "auto"
    """Who runs it; auto takes the compiled one, then EnvPool's, then Gymnasium's."""
    total_steps: Whole = 100_000
    """Environment steps for each seed, or demonstrated transitions to learn from; rounded up to a whole update."""
    seed: int = 0
    """The first seed."""
    seeds: int = 1
    """How many seeds, side by side."""
    run_dir: pathlib.Path | None = None
    """Where the run is kept; a new directory under runs/ when left out."""
    preset: bool = True
    """Start from the hyper-parameters that were tuned for this environment, if any were."""
    action_low: float | None = None
    """Lower bound for a continuous action space that has none."""
    action_high: float | None = None
    """Upper bound for a continuous action space that has none."""
    max_episode_steps: Whole | None = None
    """A time limit in place of the environment's own."""
    env_kwargs: Json = dataclasses.field(default_factory=dict)
    """What the environment is made with, as JSON: '{"is_slippery": false}'."""
    action_masks: bool | None = None
    """Never take actions that the environment rules out; True also looks for a backend that says which they are. When
    left out, where the backend does."""
    frame_stack: Whole = 1
    """How many frames of its episode an observation holds."""
    evaluation_episodes: int = 100
    """Episodes that each seed's last policy plays at the end; 0 for none."""
    evaluation_every: Whole = 0
    """Steps between two evaluations on the way, each of --evaluation-episodes; 0 for none. They show what is learnt
    where somebody else acts, and while exploring."""
    evaluation_steps: Whole | None = None
    """Where an episode of an evaluation is cut; when left out, at the time limit, or at 1000 steps if there is none."""
    checkpoint_seconds: float = 10.0
    """Time between two checkpoints, of which the newest two stay."""
    keep_every: Whole = 0
    """Steps between two checkpoints that stay for good, the first of them before any training; 0 for none. steepest
    record --through-training plays them one after the other."""
    log: tuple[Logger, ...] = ()
    """Where the numbers go besides, in the run directory: tensorboard, wandb, or both."""
    compilation_cache: bool = True
    """Keep compiled programs in the user's cache directory, so that the next run starts at once."""
    quiet: bool = False
    """Say nothing but results, warnings and errors."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object: the evaluation, and the run directory."""


@dataclasses.dataclass(frozen=True)
class TrainOnDemonstrations(Train):
    """Train an algorithm on what an expert did; the environment says what fits, and is played at the end."""

    demonstrations: Annotated[str, tyro.conf.arg(help_behavior_hint="(required)")] = ""
    """A run directory, a file that ends in .npz or .safetensors, or minari: and the id of a data set."""
    demonstration_episodes: int = 20
    """Of a run: how many episodes its policy plays."""
    stochastic_demonstrations: bool = False
    """Of a run: draw its actions, instead of taking its best guess."""


def train(words: Sequence[str]) -> int:
    """`steepest train ALGORITHM --env ID …`."""
    if wants_help(words):
        print_algorithms("train")
        return 0
    name, rest = words[0], words[1:]
    start, env = algorithm_and_environment(name, rest)
    kind = type(start)
    given = parse(
        _train_with(kind),
        rest,
        program=f"steepest train {name}",
        default=Train(start, env),
        elsewhere=functools.partial(of_other_algorithms, name),
    )
    told = _demonstrations(given)
    if not given.compilation_cache:
        os.environ["STEEPEST_COMPILATION_CACHE"] = "off"

    from steepest.experiments.preparing import prepare
    from steepest.experiments.train import execute
    from steepest.runs.loggers import named

    listeners = named(given.log)
    experiment = prepare(
        given.algorithm,
        given.env,
        total_steps=given.total_steps,
        seeds=seed_range(given.seed, given.seeds),
        backend=given.backend,
        preset=given.preset,
        action_bounds=(given.action_low, given.action_high),
        run=RunDirectory.fresh(given.run_dir, f"{name}-{given.env.replace('/', '-')}"),
        evaluation_episodes=given.evaluation_episodes,
        evaluation_every=given.evaluation_every,
        evaluation_steps=given.evaluation_steps,
        max_episode_steps=given.max_episode_steps,
        env_kwargs=given.env_kwargs,
        action_masks=given.action_masks,
        frame_stack=given.frame_stack,
        checkpoint_seconds=given.checkpoint_seconds,
        keep_every=given.keep_every,
        **told,
    )
    if not given.quiet:
        _announce(experiment, preset(name, given.env) if given.preset else {})
    return _report(execute(experiment, show=not given.quiet, listeners=listeners), given)


def print_algorithms(command: str) -> None:
    """The help of a command that wants an algorithm first."""
    names = "\n".join(f"  {name:<{NAMES}}{kind.title}" for name, kind in ALGORITHMS.items())
    called = f"steepest {command} ALGORITHM"
    print(f"usage: {called} --env ID …   ({called} --help says more)\n\n{names}")


def algorithm_and_environment(name: str, rest: Sequence[str]) -> tuple[HyperParameters, str]:
    """What flags change from: the hyper-parameters as they are without them, and the id of the environment.

    **Raises** `InputError` for an algorithm that is unknown, and where `--env` is missing and help was not asked for.
    """
    kind, env = algorithm_class(name), value_of("--env", rest)
    if env is None and not {"-h", "--help"} & set(rest):
        raise InputError("--env is missing; give the id of an environment. steepest list envs shows them.")
    return kind() if env is None or "--no-preset" in rest else tuned(name, env), env or ""


def _train_with(kind: type[HyperParameters]) -> type[Train]:
    """`Train` with the flags of one algorithm."""
    annotation, base = tyro.conf.OmitArgPrefixes[kind], TrainOnDemonstrations if kind.demonstrated else Train
    return dataclasses.make_dataclass(
        "Train", [("algorithm", annotation)], bases=(base,), frozen=True, namespace={"__doc__": base.__doc__}
    )


def _demonstrations(given: Train) -> dict:
    """What was said of demonstrations, where the algorithm learns from them."""
    if not isinstance(given, TrainOnDemonstrations):
        return {}
    if not given.demonstrations:
        raise InputError(
            "--demonstrations is missing; give a run directory, a file that ends in .npz or .safetensors, or minari: "
            "and the id of a data set."
        )
    names = [field.name for field in dataclasses.fields(TrainOnDemonstrations)]
    return {name: getattr(given, name) for name in names if "demonstration" in name}


def _announce(experiment: Experiment, preset: dict[str, object]) -> None:
    config = experiment.config
    seeds = f"{len(config.seeds)} seed{'s' if len(config.seeds) > 1 else ''}"
    say(f"{config.algorithm} on {config.env}, run by {config.backend} ({config.library})")
    if config.demonstrations is not None:
        found = config.demonstrations
        counted = f" of {found['episodes']} episodes" if found["episodes"] else ""
        say(f"{found['transitions']:,} demonstrated transitions{counted}: {found['origin']}")
    say(f"{config.total_steps:,} steps, {seeds}")
    tuned_here = bool(preset)
    preset = {name: value for name, value in preset.items() if config.hyper_parameters[name] == value}
    if preset:
        listed = ", ".join(f"{name} {_short(value)}" for name, value in preset.items())
        say(f"hyper-parameters tuned for {config.env} (--no-preset for the paper's): {listed}")
    elif config.preset and not tuned_here:
        say(f"hyper-parameters of the paper: nothing was tuned for {config.env}")


def _short(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _report(result: TrainResult, given: Train | Resume) -> int:
    run = result.run_directory
    if given.as_json:
        print_json({"run": str(run), "finished": result.finished} | (result.evaluation or {}))
    if not result.finished:
        say(f"Interrupted; everything is saved. Go on with it:\n  {program()} resume {run}")
        return interrupts.status()
    if result.evaluation is not None:
        if not given.as_json:
            _print_evaluation(result.evaluation)
    elif result.config.evaluation_episodes:
        say(f"The evaluation was interrupted. Make up for it:\n  {program()} evaluate {run}")
        return interrupts.status()
    if given.quiet:
        return 0
    if "staleness" in result.metrics:
        staleness = result.metrics["staleness"]
        say(f"staleness of gradients: {staleness.mean():.1f} updates on average, {staleness.max():.0f} at most")
    say(f"learning curve: {run}/curve.png")
    say(f"Next:\n  {program()} evaluate {run}\n  {program()} plot {run}\n  {program()} list envs")
    return 0


def _print_evaluation(evaluation: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    cut = sum(each["episodes_cut"] for each in evaluation["seeds"])
    table = Table("seed", "mean return", "deviation", *(["episodes cut"] if cut else []))
    for each in evaluation["seeds"]:
        words = [str(each["seed"]), f"{each['mean_return']:.1f}", f"{each['std_return']:.1f}"]
        table.add_row(*words, *([str(each["episodes_cut"])] if cut else []))
    console = Console()
    console.print(f"{evaluation['algorithm']} on {evaluation['env']}, {evaluation['episodes']} episodes for each seed")
    console.print(table)
    if cut:
        console.print(
            f"{cut} of {evaluation['episodes'] * len(evaluation['seeds'])} episodes had not ended after "
            f"{evaluation['cut_after_steps']:,} steps and were cut there; they count with their return so far. Give "
            "--evaluation-steps for longer ones."
        )
    if len(evaluation["seeds"]) == 1:
        return  # of one, no interval tells how seeds differ
    low, high = evaluation["iqm_ci95"]
    console.print(f"interquartile mean over seeds {evaluation['iqm']:.1f}, 95% interval {low:.1f} to {high:.1f}")


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Play episodes with the last policy of every seed."""

    run: tyro.conf.Positional[pathlib.Path]
    """A run directory."""
    episodes: int = 100
    """For each seed."""
    stochastic: bool = False
    """Draw actions as in training, instead of taking the best guess."""
    evaluation_steps: Whole | None = None
    """Where an episode is cut; when left out, as in the run."""
    quiet: bool = False
    """Say nothing but results, warnings and errors."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""


def evaluate(words: Sequence[str]) -> int:
    """`steepest evaluate RUN`."""
    given = parse(Evaluate, words, program="steepest evaluate")
    check_episodes("episodes", given.episodes)
    _check_run(given.run)

    from steepest.experiments.evaluating import evaluate as evaluate_run

    evaluation = evaluate_run(
        given.run,
        episodes=given.episodes,
        stochastic=given.stochastic,
        evaluation_steps=given.evaluation_steps,
        progress=not given.quiet,
    )
    if given.as_json:
        print_json(evaluation)
    else:
        _print_evaluation(evaluation)
    return 0


@dataclasses.dataclass(frozen=True)
class Resume:
    """Go on with a run that was interrupted, from its newest checkpoints, or make one longer that has finished."""

    run: tyro.conf.Positional[pathlib.Path]
    """A run directory."""
    total_steps: Whole | None = None
    """Make the run longer: environment steps for each seed, those that it has made included."""
    restart_schedules: bool = False
    """Where learning rates or other numbers change over the run, begin them anew for the steps that are added."""
    log: tuple[Logger, ...] | None = None
    """Where the numbers go besides: tensorboard, wandb; where they went before when left out."""
    quiet: bool = False
    """Say nothing but results, warnings and errors."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object: the evaluation, and the run directory."""


def resume(words: Sequence[str]) -> int:
    """`steepest resume RUN`."""
    given = parse(Resume, words, program="steepest resume")
    _check_run(given.run)

    from steepest.experiments.preparing import reopen
    from steepest.experiments.train import execute
    from steepest.runs.loggers import again, named

    listeners = again(RunDirectory(given.run)) if given.log is None else named(given.log)
    experiment = reopen(given.run, total_steps=given.total_steps, restart_schedules=given.restart_schedules)
    return _report(execute(experiment, show=not given.quiet, listeners=listeners), given)


def _check_run(path: pathlib.Path) -> RunConfiguration:
    """The configuration of a run, read without JAX."""
    return read_configuration(RunDirectory.existing(path))


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draw the learning curves of one or more runs into one picture."""

    runs: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Run directories."""
    out: pathlib.Path | None = None
    """The picture: .png, .pdf or .svg; curve.png in the first run when left out."""


def plot(words: Sequence[str]) -> int:
    """`steepest plot RUN …`."""
    given = parse(Plot, words, program="steepest plot")
    for path in given.runs:
        _check_run(path)

    from steepest.experiments.plotting import plot as plot_runs

    print(plot_runs(given.runs, out=given.out))
    return 0


@dataclasses.dataclass(frozen=True)
class Show:
    """Show the algorithms, the estimators of the gradient, or the environments that the installed backends know."""

    what: tyro.conf.Positional[Literal["algorithms", "estimators", "envs"]]
    """Which."""
    matching: tyro.conf.Positional[str] = ""
    """Only those whose name holds this, in capitals or not."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""


def show(words: Sequence[str]) -> int:
    """`steepest list {algorithms,estimators,envs} [TEXT]`."""
    given = parse(Show, words, program="steepest list")

    def matches(name: str) -> bool:
        return given.matching.lower() in name.lower()

    if given.as_json:
        print_json(_listed(given.what, matches))
        return 0
    if given.what == "algorithms":
        tuned_for = preset_names()
        for name in filter(matches, ALGORITHMS):
            print(f"{name:<{NAMES}}{ALGORITHMS[name].title}")
            if tuned_for.get(name):
                print(f"{'':<{NAMES}}tuned for {', '.join(tuned_for[name])}")
        return 0
    if given.what == "estimators":
        for name in filter(matches, ESTIMATORS):
            print(f"{name:<38}{ESTIMATORS[name].identifier:<5}{ESTIMATORS[name].meaning}")
        return 0

    from steepest.envs.tasks import environment_ids

    for backend, known in environment_ids().items():
        ids = list(filter(matches, known))
        print(f"{backend}: {len(ids)}" if known else f"{backend}: not installed (pip install 'steepest[{backend}]')")
        for each in ids:
            print(f"  {each}")
    return 0


def _listed(what: str, matches: Callable[[str], bool]) -> JsonObject:
    """What `steepest list --json` prints."""
    if what == "algorithms":
        names, tuned_for = filter(matches, ALGORITHMS), preset_names()
        return {name: {"title": ALGORITHMS[name].title, "tuned_for": tuned_for.get(name, [])} for name in names}
    if what == "estimators":
        found = {name: ESTIMATORS[name] for name in filter(matches, ESTIMATORS)}
        return {name: {"identifier": each.identifier, "meaning": each.meaning} for name, each in found.items()}

    from steepest.envs.tasks import environment_ids

    return {backend: list(filter(matches, known)) for backend, known in environment_ids().items()}
