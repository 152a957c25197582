"""`steepest tune`: search for the hyper-parameters of an algorithm on an environment."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from steepest.algorithms import HyperParameters
from steepest.cli.arguments import parse, print_json, program, say, value_of, wants_help
from steepest.cli.commands import Json, Whole, algorithm_and_environment, print_algorithms
from steepest.core import interrupts
from steepest.experiments.configuration import of_other_algorithms

if TYPE_CHECKING:
    from steepest.studies.answer import Answer, Contender
    from steepest.studies.tuning import TuneResult


@dataclasses.dataclass(frozen=True)
class Tune:
    """Search for good hyper-parameters, and say how good they are on seeds that the search never saw.

    Called again with the same directory it goes on: no trial comes twice. Hyper-parameters that are given stay as they
    are; of the others those are searched that --search names, or the usual ones.
    """

    algorithm: tyro.conf.OmitArgPrefixes[HyperParameters]
    """Where the search begins."""
    env: Annotated[str, tyro.conf.arg(help_behavior_hint="(required)")]
    """Id of the environment: steepest list envs."""
    trials: Whole = 50
    """How many settings are tried, those of earlier calls included."""
    seeds: int = 3
    """How many seeds of each; a trial ends early when they are enough to tell that it is worse than the best one."""
    seed: int = 0
    """The first seed."""
    fresh_seeds: int = 10
    """With so many other seeds the best five are trained again, and the defaults."""
    total_steps: Whole = 100_000
    """Environment steps for each seed."""
    time: str | None = None
    """When the search ends at the latest: 1h, 90m, 1h30m. Up to half of it is kept for training the best again."""
    search: tuple[str, ...] = ()
    """What to search, in place of the usual ranges: learning_rate=1e-4..1e-2 epochs=4,8, or a name alone."""
    which: Literal["rates", "all"] = "all"
    """all: counts and choices too, for which most trials compile a program of their own; rates: only numbers that
    trials can differ in without, which is quicker and finds less."""
    out: pathlib.Path | None = None
    """The directory of the study; studies/tune-ALGORITHM-ENV when left out."""
    processes: int | None = None
    """How many processors may be busy at once; all when left out."""
    ray_address: Annotated[str | None, tyro.conf.arg(name="ray-address")] = None
    """Train on a Ray cluster: auto, HOST:PORT, or local to start one here."""
    lanes: int | None = None
    """Seeds that are trained side by side in one program, where trials differ in numbers only; when left out 32 on an
    accelerator, and 1 on a CPU."""
    preset: bool = True
    """Begin with what was tuned for this environment before, if anything was."""
    backend: Literal["auto", "compiled", "envpool", "gymnasium"] = "auto"
    """Who runs the environment."""
    evaluation_episodes: int = 100
    """Episodes that each seed's last policy plays; their mean is what counts."""
    evaluation_steps: Whole | None = None
    """Where an episode of an evaluation is cut; when left out, at the time limit, or at 1000 steps if there is none."""
    max_episode_steps: Whole | None = None
    """A time limit in place of the environment's own."""
    env_kwargs: Json = dataclasses.field(default_factory=dict)
    """What the environment is made with, as JSON: '{"is_slippery": false}'."""
    action_low: float | None = None
    """Lower bound for a continuous action space that has none."""
    action_high: float | None = None
    """Upper bound for a continuous action space that has none."""
    demonstrations: pathlib.Path | None = None
    """For behaviour_cloning: a run directory, or a file that ends in .npz or .safetensors."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""
    quiet: bool = False
    """Say nothing but results, and what goes wrong."""


def tune(words: Sequence[str]) -> int:
    """`steepest tune ALGORITHM --env ID …`."""
    if wants_help(words):
        print_algorithms("tune")
        return 0
    name, rest = words[0], words[1:]
    start, env = algorithm_and_environment(name, rest)
    annotation = tyro.conf.OmitArgPrefixes[type(start)]
    flags = dataclasses.make_dataclass(
        "Tune", [("algorithm", annotation)], bases=(Tune,), frozen=True, namespace={"__doc__": Tune.__doc__}
    )
    given = parse(
        flags,
        rest,
        program=f"steepest tune {name}",
        default=Tune(start, env),
        elsewhere=functools.partial(of_other_algorithms, name),
    )

    from steepest.studies.tuning import tune as search

    options: dict[str, Any] = {field.name: getattr(given, field.name) for field in dataclasses.fields(Tune)}
    for each in ("algorithm", "env", "as_json", "quiet"):
        del options[each]
    result = search(name, given.env, progress=not given.quiet, **options, **_given(given.algorithm, rest))
    if given.as_json:
        print_json(result.to_json())
    return _report(result, given, words)


def _given(hyper: HyperParameters, words: Sequence[str]) -> dict[str, Any]:
    """The hyper-parameters that stand among the words: these are not searched."""
    flags = {word.split("=")[0] for word in words if word.startswith("--")}
    names = [field.name for field in dataclasses.fields(hyper)]
    return {
        name: getattr(hyper, name)
        for name in names
        if flags & {f"--{prefix}{each}" for prefix in ("", "no-") for each in (name, name.replace("_", "-"))}
    }


def _report(result: TuneResult, given: Tune, words: Sequence[str]) -> int:
    place = result.directory
    if result.interrupted:
        say(f"Interrupted; everything is kept. Go on with it:\n  {program()} tune {_quoted(words, place)}")
        return interrupts.status()
    if result.answer is None:
        say(result.notice)
        return 0 if result.elsewhere else 1
    answer = result.answer
    if not given.as_json:
        _print_contenders(answer)
        print(answer.block())
    if answer.best is None:
        say(
            "Nothing was found: no trial has trained all of its seeds. The failures above, or shorter ranges, may help."
        )
        return 1
    if given.quiet:
        return 0
    if not answer.beaten:
        say("No setting is better than the defaults, as far as these seeds can show: keep them, or search longer.")
    if not given.as_json:
        flags = " ".join(_flag(name, value) for name, value in answer.best.hyper.items())
        say(f"pictures: {place}/trials.png {place}/fresh_seeds.png")
        say(
            f"Next:\n  {program()} train {words[0]} --env {given.env} --no-preset {flags}\n"
            f"  {program()} compare {place}\n"
            f"and paste {place}/best.toml into presets.toml to keep it."
        )
    return 0


def _quoted(words: Sequence[str], place: pathlib.Path) -> str:
    import shlex

    given = value_of("--out", words) is not None
    return shlex.join([*words, *([] if given else ["--out", str(place)])])


def _flag(name: str, value: object) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"


def _print_contenders(answer: Answer) -> None:
    from rich.console import Console
    from rich.table import Table

    from steepest.studies.tune_display import words

    table = Table("setting", "in the search", "fresh seeds: IQM", "95% interval", "better than the paper's")
    paper = answer.defaults[0]

    def row(each: Contender) -> None:
        low, high = each.interval
        better = "–"
        if each not in answer.defaults:
            better = "{:.2f} ({:.2f} to {:.2f})".format(*each.improvement(paper))
        table.add_row(
            each.title,
            "–" if each.searched is None else f"{each.searched:.1f}",
            f"{each.iqm:.1f}" if each.returns else "–",
            f"{low:.1f} to {high:.1f}" if each.returns else "–",
            better,
            style="bold" if each is answer.best else None,
        )

    for each in (*answer.contenders, *answer.defaults):
        row(each)
    Console().print(table)
    for each in (*answer.contenders, *answer.defaults[1:]):
        print(f"{each.title}: {words(each.hyper)}")
    if answer.importance:
        listed = ", ".join(f"{name} {share:.0%}" for name, share in answer.importance.items())
        print(f"what the differences between trials come from: {listed}")
