"""Write results.md, its pictures, and the tables of the README from the data in benchmarks/results.

python docs/make_results.py
"""

import csv
import itertools
import pathlib
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from steepest.algorithms import ALGORITHMS
from steepest.runs.statistics import (
    bootstrap_interval,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    stratified_interval,
)

PAGE = pathlib.Path(__file__).parent / "results.md"
README = pathlib.Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- docs/make_results.py writes this, {} -->", "<!-- to here -->"
PICTURES = pathlib.Path(__file__).parent / "results"
DATA = pathlib.Path(__file__).parents[1] / "benchmarks" / "results"
STUDIES = {"classic_control": "Classic control", "mujoco": "MuJoCo"}

ACROSS = 5
"""Panels of a picture, one for each algorithm."""
COLOUR = "#2a6fbb"

Row = dict[str, str]
Runs = dict[tuple[str, str, int], list[Row]]
"""Environment, algorithm (or who else learnt) and steps; the runs, by seed."""
Scored = dict[str, dict[str, np.ndarray]]
"""Algorithm; task; the score of each seed."""


def page() -> str:
    """The page, from the data."""
    about = tomllib.loads((DATA / "about.toml").read_text())
    lines = ["# Results", "", *about["introduction"].strip().split("\n"), ""]
    for study, title in STUDIES.items():
        runs = grouped(rows(study))
        if not runs:
            continue
        lines += [f"## {title}", "", *table(runs, about["why"]), ""]
        envs = sorted({env for env, _, _ in runs})
        lines += [f"![Learning curves on {env}](results/{env}.png)" for env in envs] + [""]
    others = rows("others")
    if others:
        lines += ["## Beside other libraries", "", *about["others"].strip().split("\n"), "", *beside(others), ""]
    scored = normalised(grouped(rows("mujoco")), about["scores"])
    if sets_of_tasks(scored):
        lines += ["## Over the tasks of MuJoCo", "", *about["over_tasks"].strip().split("\n"), "", *improvement(scored)]
        lines += ["", "![The share of runs above each score](results/profile.png)", ""]
        lines += ["## Time to a return", "", *time_to_a_return(about["scores"])]
    return "\n".join(lines).rstrip() + "\n"


def with_summaries(text: str) -> str:
    """The README with its tables of returns: the middle, the worst seed, and the steps."""
    classic, mujoco = (grouped(rows(study)) for study in STUDIES)
    tables = {
        "classic_control": {
            (f"`{algorithm}`", env): _summarised(float(interquartile_mean(returns(runs))), steps, runs)
            for (env, algorithm, steps), runs in classic.items()
        },
        "mujoco": {
            (env, f"`{algorithm}`"): _summarised(returns(runs).mean(), steps, runs)
            for (env, algorithm, steps), runs in mujoco.items()
        },
        "others": {
            (contender, env): f"{_summarised(returns(runs).mean(), steps, runs)}, {minutes(runs).mean():.1f} minutes"
            for (env, contender, steps), runs in grouped(rows("others"), "contender").items()
        },
    }
    for name, cells in tables.items():
        before, rest = text.split(BEGIN.format(name))
        text = "\n".join([before + BEGIN.format(name), *_crossed(cells), END]) + rest.split(END, 1)[1]
    return text


def _crossed(cells: dict[tuple[str, str], str]) -> Iterator[str]:
    """A table of what two names stand for together: the first ones below each other, algorithms in the usual order."""
    order = [f"`{name}`" for name in ALGORITHMS]
    down, across = (
        sorted(Counter(names), key=lambda name: order.index(name) if name in order else 0)
        for names in zip(*cells, strict=True)
    )
    yield f"| | {' | '.join(across)} |"
    yield "|---" * (len(across) + 1) + "|"
    for first in down:
        yield f"| {first} | {' | '.join(cells.get((first, each), '–') for each in across)} |"


def _summarised(middle: float, steps: int, runs: Sequence[Row]) -> str:
    return f"{number(middle)}, **{number(returns(runs).min())}** in {short(steps)}"


def rows(name: str) -> list[Row]:
    """The rows of a file of data; none where there is no such file."""
    path = DATA / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def grouped(found: Sequence[Row], who: str = "algorithm") -> Runs:
    """Runs that differ in their seed only, together."""
    groups: Runs = {}
    for row in found:
        groups.setdefault((row["env"], row[who], int(row["steps"])), []).append(row)
    return groups


def returns(runs: Sequence[Row], column: str = "return") -> np.ndarray:
    """What each seed returned."""
    return np.array([float(row[column]) for row in runs])


def minutes(runs: Sequence[Row]) -> np.ndarray:
    """How long the training of each seed took."""
    return np.array([float(row["seconds"]) / 60 for row in runs])


def table(groups: Runs, why: dict[str, str]) -> Iterator[str]:
    """A row for each algorithm on each environment; and why some seeds fail, where that is known."""
    yield "| environment | algorithm | steps | IQM (95 %) | worst | mean | with noise | each seed | seconds |"
    yield "|---|---|---|---|---|---|---|---|---|"
    notes = []
    for (env, algorithm, steps), runs in sorted(groups.items()):
        scores = returns(runs)
        low, high = (float(each) for each in bootstrap_interval(scores))
        seconds = np.median(returns(runs, "seconds"))
        mark = ""
        if f"{algorithm} {env}" in why:
            notes.append(why[f"{algorithm} {env}"].strip())
            mark = f" [{len(notes)}]"
        cells = [
            *(env, f"`{algorithm}`{mark}", short(steps)),
            f"**{number(float(interquartile_mean(scores)))}** ({number(low)} to {number(high)})",
            *(number(scores.min()), number(scores.mean())),
            number(float(interquartile_mean(returns(runs, "return_with_noise")))),
            *(", ".join(map(number, scores)), f"{seconds:.0f}"),
        ]
        yield f"| {' | '.join(cells)} |"
    for index, note in enumerate(notes):
        yield ""
        yield f"[{index + 1}] {note}"


def normalised(groups: Runs, scores: dict[str, list[float]]) -> Scored:
    """Of each algorithm, the score on each task: 0 is the first of `scores`, 1 the second."""
    found: Scored = {}
    for (env, algorithm, _), runs in sorted(groups.items()):
        if env in scores:
            low, high = scores[env]
            found.setdefault(algorithm, {})[env] = (returns(runs) - low) / (high - low)
    return found


def sets_of_tasks(scored: Scored) -> dict[tuple[str, ...], list[str]]:
    """Every set of tasks that some algorithm was trained on, and all that were trained on all of them; largest first.

    A set that tells nobody apart is left out.
    """
    sets = sorted({tuple(sorted(tasks)) for tasks in scored.values()}, key=len, reverse=True)
    found = {tasks: [name for name in scored if set(tasks) <= set(scored[name])] for tasks in sets}
    return {tasks: names for tasks, names in found.items() if len(names) > 1}


def improvement(scored: Scored) -> Iterator[str]:
    """How often a run of one algorithm beats one of another, over the tasks that both were trained on."""
    yield "| | over | tasks of both | probability of improvement (95 %) |"
    yield "|---|---|---|---|"
    for one, other in itertools.permutations(sorted(scored), 2):
        tasks = sorted(scored[one].keys() & scored[other].keys())
        if not tasks:
            continue
        pair = [[scored[each][task] for task in tasks] for each in (one, other)]
        low, high = stratified_interval(probability_of_improvement, *pair)
        share = float(probability_of_improvement(*pair))
        yield f"| `{one}` | `{other}` | {len(tasks)} | {share:.2f} ({float(low):.2f} to {float(high):.2f}) |"


def time_to_a_return(scores: dict[str, list[float]]) -> Iterator[str]:
    """When half of the seeds had come to half of the score of 1, in steps, and in seconds of this machine."""
    yield "| environment | return | algorithm | thousand steps | seconds |"
    yield "|---|---|---|---|---|"
    curves, runs = grouped(rows("mujoco-curves")), grouped(rows("mujoco"))
    for (env, algorithm, steps), points in sorted(curves.items()):
        if env not in scores:
            continue
        low, high = scores[env]
        wanted, first = (low + high) / 2, []
        for seed in sorted({row["seed"] for row in points}):
            own = [row for row in points if row["seed"] == seed]
            first.append(next((float(row["at"]) for row in own if float(row["return"]) >= wanted), np.inf))
        middle = float(np.median(first))
        speed = np.median(returns(runs[env, algorithm, steps], "seconds")) / steps
        reached = (f"{middle / 1000:.0f}", f"{middle * speed:.0f}") if np.isfinite(middle) else ("never", "–")
        yield f"| {env} | {number(wanted)} | `{algorithm}` | {' | '.join(reached)} |"


def beside(found: Sequence[Row]) -> Iterator[str]:
    """What each library's runs return, and how long they take."""
    yield "| environment | | steps | mean | each seed | minutes | versions |"
    yield "|---|---|---|---|---|---|---|"
    for (env, contender, steps), runs in grouped(found, "contender").items():
        scores = returns(runs)
        cells = [env, contender, short(steps), f"**{number(scores.mean())}**", ", ".join(map(number, scores))]
        took = ", ".join(f"{each:.1f}" for each in minutes(runs))
        yield f"| {' | '.join([*cells, took, runs[0]['versions']])} |"


def number(value: float | np.floating) -> str:
    """A return, no finer than it means something."""
    text = f"{value:.0f}" if abs(value) >= 20 else f"{value:.1f}"
    return text.replace("-", "−")


def short(steps: int) -> str:
    """Steps, in thousands or millions."""
    return f"{steps / 1e6:g}M" if steps >= 1_000_000 else f"{steps // 1000}k"


def draw() -> None:
    """The pictures."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import EngFormatter, MaxNLocator

    PICTURES.mkdir(exist_ok=True)
    for study in STUDIES:
        curves = grouped(rows(f"{study}-curves"))
        for env in sorted({env for env, _, _ in curves}):
            found = sorted(each for each in curves.items() if each[0][0] == env)
            across = min(len(found), ACROSS)
            down = -(-len(found) // across)
            figure, panels = pyplot.subplots(
                down, across, figsize=(2.5 * across, 1.7 * down + 0.4), sharey=True, squeeze=False, layout="constrained"
            )
            for axes in panels.flat[len(found) :]:
                axes.axis("off")
            for axes, ((_, algorithm, _), points) in zip(panels.flat, found, strict=False):
                steps, values = by_seed(points)
                axes.fill_between(steps, values.min(1), values.max(1), color=COLOUR, alpha=0.2, linewidth=0)
                axes.plot(steps, interquartile_mean(values), color=COLOUR, linewidth=1.5)
                axes.set_title(algorithm, fontsize=9)
                axes.set_xlim(0, steps[-1])
                axes.xaxis.set_major_formatter(EngFormatter(sep=""))
                axes.xaxis.set_major_locator(MaxNLocator(3))
                axes.tick_params(labelsize=8)
                axes.grid(alpha=0.3, linewidth=0.6)
                axes.spines[["top", "right"]].set_visible(False)
            figure.supxlabel("environment steps", fontsize=9)
            figure.supylabel("return, as played", fontsize=9)
            figure.suptitle(env, fontsize=11)
            figure.savefig(PICTURES / f"{env}.png", dpi=110)
            pyplot.close(figure)
    about = tomllib.loads((DATA / "about.toml").read_text())
    scored = normalised(grouped(rows("mujoco")), about["scores"])
    sets = sets_of_tasks(scored)
    if sets:
        figure, panels = pyplot.subplots(
            1, len(sets), figsize=(4.2 * len(sets), 3.6), sharey=True, squeeze=False, layout="constrained"
        )
        at = np.linspace(0, 2.5, 251)
        colours = {name: f"C{index}" for index, name in enumerate(sorted(scored))}
        for axes, (tasks, names) in zip(panels.flat, sets.items(), strict=True):
            for name in names:
                profile = performance_profile([scored[name][task] for task in tasks], at)
                axes.plot(at, profile, label=name, color=colours[name])
            shown = f"{len(tasks)} tasks" if len(tasks) > 4 else ", ".join(task.removesuffix("-v5") for task in tasks)
            axes.set_title(shown, fontsize=10)
            axes.set(xlabel="score", xlim=(0, at[-1]), ylim=(0, 1))
            axes.grid(alpha=0.3, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False)
        panels[0, 0].set_ylabel("share of runs above it")
        figure.savefig(PICTURES / "profile.png", dpi=110)
        pyplot.close(figure)


def by_seed(points: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Steps [P] and returns [P, seeds], read off at the steps of the first seed."""
    seeds = sorted({row["seed"] for row in points}, key=int)
    own = {seed: [row for row in points if row["seed"] == seed] for seed in seeds}
    steps = returns(own[seeds[0]], "at")
    return steps, np.stack([np.interp(steps, returns(own[each], "at"), returns(own[each])) for each in seeds], axis=1)


if __name__ == "__main__":
    PAGE.write_text(page())
    README.write_text(with_summaries(README.read_text()))
    draw()
