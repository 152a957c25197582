"""`steepest gradients`: compare estimators of the gradient on an environment."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from steepest.cli.arguments import finite, parse, print_json, say
from steepest.core.errors import InputError
from steepest.core.files import write_atomically, writing
from steepest.core.validation import check_number
from steepest.diagnostics.catalogue import check_names
from steepest.experiments.configuration import check_episodes
from steepest.runs.directory import RunDirectory

if TYPE_CHECKING:
    from steepest.diagnostics.rows import GradientComparison

_LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal to redraw."""


@dataclasses.dataclass(frozen=True)
class Gradients:
    """Compare estimators of the policy gradient: bias, noise and cost of each."""

    env: str = ""
    """Id of the environment, or LinearQuadratic; that of the run when --policy is given."""
    policy: pathlib.Path | None = None
    """A run directory whose policy to take; a fresh policy when left out."""
    policy_seed: int | None = None
    """Which seed of that run; the first when left out."""
    behaviour: str | None = None
    """Whose episodes off-policy estimators take: a run directory, or the word fresh for another fresh policy."""
    estimators: tuple[str, ...] = ()
    """Names: steepest list estimators. All that can be had when left out."""
    episodes: int = 100
    """Of each estimate."""
    repeats: int = 30
    """Estimates of each estimator."""
    discount: float = 0.99
    """γ, per step."""
    gae_lambda: float = 0.95
    """λ of gae."""
    n: int = 5
    """Rewards that n_step believes before it asks the critic."""
    backend: Literal["auto", "compiled", "envpool", "gymnasium"] = "auto"
    """Who runs the environment; auto plays tables and compiled ones itself, then takes EnvPool's, then Gymnasium's."""
    action_masks: bool | None = None
    """Whether actions that the environment rules out are never taken. When left out, as the run of --policy has it;
    else where whoever plays it says which they are."""
    seed: int = 0
    """Of everything that is random."""
    max_episode_steps: int | None = None
    """A time limit, where the environment's own is not shorter."""
    hidden: tuple[int, ...] = (16,)
    """Widths of the hidden layers of a fresh network."""
    reference_episodes: int | None = None
    """Where no exact gradient is known: episodes of the reference. 20 times all of an estimator's when left out, or
    2 times outside compiled environments."""
    out: pathlib.Path | None = None
    """A directory for gradients.png, gradients.csv and gradients.json."""
    figure: pathlib.Path | None = None
    """The picture alone: .png, .pdf or .svg."""
    csv: pathlib.Path | None = None
    """The table alone, as CSV."""
    quiet: bool = False
    """Say nothing but results, warnings and errors."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""


def gradients(words: Sequence[str]) -> int:
    """`steepest gradients --env ID …`."""
    given = parse(Gradients, words, program="steepest gradients")
    _check(given)

    import jax

    from steepest.diagnostics.comparison import compare_gradients
    from steepest.diagnostics.setting import describe_policy, fresh_policy, setting
    from steepest.experiments.trained import load

    taken = None if given.policy is None else load(given.policy, given.policy_seed)
    env = given.env or (taken.config.env if taken else "")
    bounds = taken.config.action_bounds if taken else (None, None)
    masks = taken.config.action_masks if taken and given.action_masks is None else given.action_masks
    options: dict[str, Any] = {
        "backend": given.backend,
        "max_episode_steps": given.max_episode_steps,
        "action_masks": masks,
    }
    place = setting(env, discount=given.discount, action_bounds=bounds, **options)
    for_policy, for_behaviour, for_rest = jax.random.split(jax.random.key(given.seed), 3)
    if taken:
        taken.check_fits(place)
    policy = taken.module if taken else fresh_policy(for_policy, place, given.hidden)
    behaviour = None
    if given.behaviour == "fresh":
        behaviour = fresh_policy(for_behaviour, place, given.hidden)
    elif given.behaviour is not None:
        other = load(given.behaviour)
        other.check_fits(place)
        behaviour = other.module

    whose = f"{describe_policy(policy)}, {f'of {given.policy}' if taken else 'fresh'}"
    if not given.as_json and not given.quiet:
        say(f"{place.id}, played by {place.played}; time limit {place.horizon:,} steps, discount {given.discount:g}")
        say(f"policy: {whose}")
    with _progress(show=not given.quiet) as report:
        found = compare_gradients(
            policy,
            place,
            given.estimators,
            for_rest,
            behaviour=behaviour,
            episodes=given.episodes,
            repeats=given.repeats,
            discount=given.discount,
            gae_lambda=given.gae_lambda,
            n=given.n,
            reference_episodes=given.reference_episodes,
            report=report,
        )
    about = {
        "env": place.id,
        "played": place.played,
        "policy": whose,
        "behaviour": given.behaviour,
        "max_episode_steps": place.horizon,
        **{name: getattr(given, name) for name in ("discount", "gae_lambda", "n", "seed", "episodes", "repeats")},
    }
    _write(given, found, about, f"{place.id}, {whose}, discount {given.discount:g}")
    return 0


def _check(given: Gradients) -> None:
    """Refuse what cannot work, before anything slow is imported."""
    if not given.env and given.policy is None:
        raise InputError("--env is missing; give the id of an environment. steepest list envs shows them.")
    check_names(given.estimators)
    check_episodes("episodes", given.episodes)
    check_number("repeats", given.repeats, at_least=2, at_most=10**6, whole=True, remedy="30 is usual.")
    check_number("discount", given.discount, at_least=0, at_most=1, remedy="0.99 is usual.")
    check_number("gae_lambda", given.gae_lambda, at_least=0, at_most=1, remedy="0.95 is usual.")
    check_number("n", given.n, at_least=1, at_most=10**6, whole=True, remedy="5 is usual.")
    check_number("seed", given.seed, at_least=0, at_most=2**31 - 1, whole=True, remedy="0 is the default.")
    for name in ("max_episode_steps", "reference_episodes"):
        check_number(
            name, getattr(given, name), at_least=1, at_most=10**9, whole=True, remedy="Leave it out for what is usual."
        )
    for width in given.hidden:
        check_number("hidden", width, at_least=1, at_most=2**16, whole=True, remedy="16 is the default.")
    if given.policy is None and given.policy_seed is not None:
        raise InputError("policy_seed is given without --policy; a fresh policy has no seed but --seed. Leave it out.")
    for run in (given.policy, given.behaviour):
        if run not in (None, "fresh"):
            RunDirectory.existing(run)
    if given.figure is not None and given.figure.suffix not in (".png", ".pdf", ".svg"):
        raise InputError(f"picture {given.figure}: the format is unknown. Give a path that ends in .png, .pdf or .svg.")
    for name in ("figure", "csv"):
        path = getattr(given, name)
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(f"{name} {path}: there is no directory {path.parent}. Make it first.")
    if given.out is not None and given.out.exists() and not given.out.is_dir():
        raise InputError(f"out {given.out}: a file of that name exists. Give a directory.")


@contextlib.contextmanager
def _progress(*, show: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on the standard error; lines where there is no terminal; nothing where nothing is to be shown."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from steepest.experiments.time_left import Pace, TimeLeft, in_clock

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeLeft(),
    )
    last, pace = time.monotonic(), Pace(warms_up=True)
    with Progress(*columns, console=console, transient=True, disable=not (show and console.is_terminal)) as progress:
        bar = progress.add_task("starting", total=None, pace=pace)

        def report(name: str, done: int, total: int) -> None:
            nonlocal last
            pace.report(done)
            progress.update(bar, description=name, completed=done, total=total)
            if show and not console.is_terminal and time.monotonic() - last > _LINE_EVERY:
                last = time.monotonic()
                left = pace.left(total)
                said = "" if left is None else f", {in_clock(left)} left"
                say(f"{name}: {done:,} of {total:,} estimates of all estimators{said}")

        yield report


def _write(given: Gradients, found: GradientComparison, about: dict, title: str) -> None:
    reference = {
        "meaning": found.reference.meaning,
        "exact": found.reference.exact,
        "norm": found.reference.norm,
        "standard_error": found.reference.standard_error,
    }
    columns = found.columns
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    content = finite(about | {"reference": reference, "estimators": rows, "notes": list(found.notes)})
    pictures, tables = [given.figure], [given.csv]
    if given.as_json:
        print_json(content)
    else:
        _print(found)
    if given.out is not None:
        with writing(given.out):
            given.out.mkdir(parents=True, exist_ok=True)
        pictures.append(given.out / "gradients.png")
        tables.append(given.out / "gradients.csv")
        write_atomically(given.out / "gradients.json", f"{json.dumps(content)}\n".encode())
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(columns))
    writer.writeheader()
    writer.writerows(rows)
    for path in filter(None, tables):
        write_atomically(path, table.getvalue().encode())
    for path in filter(None, pictures):
        from steepest.diagnostics.figure import draw

        draw(found, title, path)
    if not given.as_json:
        for path in filter(None, [*pictures, *tables]):
            print(path)


def _print(found: GradientComparison) -> None:
    from rich.console import Console
    from rich.table import Table

    from steepest.diagnostics.quality import BIASED, MOST

    console = Console()
    if not console.is_terminal:  # a file is as wide as its lines
        console = Console(width=140)
    # Narrow enough for 80 columns, where the names are folded.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("estimator\n", overflow="fold")
    table.add_column("esti-\nmates", no_wrap=True)
    for title in (
        "bias\nin %",
        "standard\nerrors",
        "variance\n",
        "signal\n/ noise",
        "cosine\n",
        "steps\nneeded",
        "steps\nof one",
        "ms of\none",
    ):
        table.add_column(title, justify="right", no_wrap=True)
    for row in found.rows:
        quality, known = row.quality, row.measurable
        errors = f"> {MOST:g}" if quality.bias_standard_errors >= MOST else f"{quality.bias_standard_errors:.1f}"
        measured = (
            f"{100 * quality.relative_bias:.3g}",
            f"[bold red]{errors}[/]" if row.verdict == "biased" else errors,
            f"{quality.variance:.3g}",
            f"{quality.signal_to_noise:.3g}",
            f"{quality.cosine:.3f}",
            f"{found.steps_needed(row):,.0f}",
        )
        cost = f"{row.steps:,.0f}", f"{1000 * row.seconds:.3g}"
        table.add_row(row.name, row.estimates, *(measured if known else ["?"] * len(measured)), *cost)
    console.print(table)
    reference = found.reference
    accuracy = "" if reference.exact else f", standard error {100 * reference.standard_error / reference.norm:.2g} %"
    say(f"∇J: {reference.meaning}; ‖∇J‖ = {reference.norm:.4g}{accuracy}")
    say(
        f"bias: in % of ‖∇J‖, against ∇J always; from {BIASED:g} standard errors on it is no chance. Steps needed: "
        "until the noise is as large as ∇J. Compiling is not in the time."
    )
    for note in found.notes:
        say(note)
