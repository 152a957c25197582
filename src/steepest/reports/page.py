"""The page: one file of HTML that needs nothing else."""

from __future__ import annotations

import base64
import datetime
import importlib.resources
import json
import math
import os
import pathlib
import urllib.parse
from collections.abc import Iterator, Sequence

import numpy as np

from steepest.experiments.configuration import versions
from steepest.experiments.repeating import differences, repeating_command
from steepest.reports import svg
from steepest.reports.markup import Markup, element, join
from steepest.reports.numbers import Comparison
from steepest.reports.picture import Picture, interval_text, number
from steepest.reports.selection import ChosenRun
from steepest.reports.summary import summary, title
from steepest.reports.tables import (
    COLUMNS,
    Table,
    aggregates_table,
    cell_text,
    improvement_table,
    returns_table,
)

_WIDE, _NARROW = 760, 360
_TIPS = 81
_EMBEDDED, _ALL_EMBEDDED = 3_000_000, 20_000_000
"""Bytes of a recording that is put into the page, and of all of them; larger ones are linked to."""
_RECORDINGS = {
    "play.mp4": "video/mp4",
    "play.gif": "image/gif",
    "training.mp4": "video/mp4",
    "training.gif": "image/gif",
}
_TEXTS = {"environment", "method", "state", "note", "measured_by", "algorithm", "library", "steepest", "run"}


def page(found: Comparison, pictures: Sequence[Picture], out: pathlib.Path) -> str:
    """The whole page.

    **Arguments**

    - `out`: the directory that it will lie in: links lead from there.
    """
    heading = title(found.numbers)
    sections = list(_sections(found, pictures, out))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content=f"steepest {versions().get('steepest', '')}"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", heading),
        element("link", rel="icon", href="data:,"),
        element("style", _resource("page.css")),
    )
    body = element(
        "body",
        _header(found, heading, [(section_id, name) for section_id, name, _ in sections]),
        element("main", [element("section", element("h2", name, id=one), parts) for one, name, parts in sections]),
        _footer(),
        element("script", _resource("page.js")),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _resource(name: str) -> Markup:
    return Markup((importlib.resources.files("steepest.reports") / name).read_text("utf-8"))


def _header(found: Comparison, heading: str, sections: Sequence[tuple[str, str]]) -> Markup:
    numbers = found.numbers
    seeds, pooled = len(numbers["seeds"]), sum(each["pooled"] for each in numbers["seeds"])
    now = datetime.datetime.now().astimezone().strftime("%d %B %Y, %H:%M")
    counted = f"{len(found.selection.runs)} runs with {seeds} seeds, {pooled} of which are pooled. {now}."
    told = [element("li", each) for each in numbers["notices"]]
    links = [element("li", element("a", name, href=f"#{one}")) for one, name in sections]
    return element(
        "header",
        element("h1", heading),
        element("p", summary(numbers), class_="lead", id="summary"),
        element("p", counted, class_="about"),
        element("aside", element("h2", "Before you compare"), element("ul", told), role="note") if told else "",
        _legend(found),
        element("nav", element("ul", links), aria_label="Sections"),
    )


def _legend(found: Comparison) -> Markup:
    rows = []
    for index, method in enumerate(found.methods):
        line = element(
            "line", x1=0, x2=32, y1=6, y2=6, class_=f"line {svg.series(index)}", stroke_dasharray=svg.dash(index)
        )
        swatch = element("svg", line, viewBox="0 0 32 12", aria_hidden="true")
        rows.append(element("li", swatch, method.name))
    return element("ul", rows, class_="legend", aria_label="Methods and their colours")


def _sections(
    found: Comparison, pictures: Sequence[Picture], out: pathlib.Path
) -> Iterator[tuple[str, str, list[Markup]]]:
    numbers = found.numbers

    def drawn(start: str) -> list[Picture]:
        return [each for each in pictures if each.name.startswith(start)]

    if learning := drawn("learning-"):
        yield "learning", "Learning curves", [_figures(learning)]
    final = [_figures(drawn("final-"))]
    final += [_table(returns_table(each), sortable=True) for each in numbers["environments"] if each["methods"]]
    yield "final", "Final returns", final
    if aggregates := drawn("aggregate-"):
        table = aggregates_table(numbers)
        assert table is not None
        said = (
            f"Over {', '.join(numbers['aggregated_over'])}; {numbers['normalisation']}. Intervals: 95% percentile "
            "bootstrap, seeds drawn anew within each environment."
        )
        yield "aggregates", "Aggregates", [element("p", said), _figures(aggregates), _table(table, sortable=True)]
    if profiles := drawn("profiles"):
        yield "profiles", "Performance profiles", [_figures(profiles)]
    if improvement := drawn("improvement"):
        table = improvement_table(numbers)
        assert table is not None
        yield "improvement", "Probability of improvement", [_figures(improvement), _table(table, sortable=True)]
    yield "seeds", "Every seed", [_seeds(found)]
    if numbers["failed"] or numbers["unfinished"]:
        yield "unfinished", "Failed and unfinished runs", [_unfinished(found)]
    yield "runs", "Runs, and the commands that repeat them", _runs(found)
    if recordings := _recordings(found, out):
        yield "recordings", "Recordings", recordings
    yield "reading", "How to read this", _reading(found)


def _figures(pictures: Sequence[Picture]) -> Markup:
    figures = [_figure(each) for each in pictures]
    return element("div", figures, class_="grid") if any(each.small for each in pictures) else join(figures)


def _figure(picture: Picture) -> Markup:
    """A picture in one size where others stand beside it, else in two, of which a screen shows one."""
    drawn = [svg.draw(picture, _NARROW)]
    if not picture.small:
        drawn = [svg.draw(picture, _WIDE), svg.draw(picture, _NARROW, suffix="-narrow")]
    tips = json.dumps(_tips(picture), ensure_ascii=False) if picture.curves else None
    heading = element("h3", picture.title) if picture.small else ""
    caption = element("figcaption", picture.caption) if picture.caption else ""
    return element("figure", heading, drawn, caption, id=f"picture-{picture.name}", data_tips=tips)


def _tips(picture: Picture) -> list[str]:
    """What to show at evenly spaced places of the x-axis: every curve's value there."""
    tips = []
    for x in np.linspace(picture.x.low, picture.x.high, _TIPS):
        lines = [f"{x:,.0f} steps" if picture.x.steps else f"{picture.x.label} {number(float(x))}"]
        for each in picture.curves:
            step = float(np.diff(each.x[:2])[0]) if len(each.x) > 1 else math.inf
            if each.x[0] - step <= x <= each.x[-1] + step:
                at = int(np.abs(each.x - x).argmin())
                ends = None if each.low is None or each.high is None else [each.low[at], each.high[at]]
                lines.append(f"{each.label}: {number(float(each.y[at]))} {interval_text(ends)}".rstrip())
        tips.append("\n".join(lines))
    return tips


def _table(table: Table, *, sortable: bool = False, classes: Sequence[str] = (), id: str | None = None) -> Markup:  # noqa: A002
    texts = [any(isinstance(row[index], str) for row in table.rows) for index, _ in enumerate(table.heads)]
    heads = [
        element(
            "th",
            element("button", head, type="button") if sortable else head,
            scope="col",
            class_="text" if text else None,
        )
        for head, text in zip(table.heads, texts, strict=True)
    ]
    body = [
        element(
            "tr",
            [_cell(value, text) for value, text in zip(row, texts, strict=True)],
            class_=classes[index] if classes and classes[index] else None,
        )
        for index, row in enumerate(table.rows)
    ]
    inner = element(
        "table",
        element("caption", table.caption),
        element("thead", element("tr", heads)),
        element("tbody", body),
        class_="sortable" if sortable else None,
        id=id,
    )
    return element("div", inner, class_="scroll", tabindex=0, role="region", aria_label=table.caption)


def _cell(value: object, text: bool) -> Markup:
    known = "" if value is None else str(int(value)) if isinstance(value, bool) else str(value)
    shown = cell_text(value)
    return element(
        "td", shown, class_="text" if text else None, data_value=known, title=shown if len(shown) > 40 else None
    )


def _seeds(found: Comparison) -> Markup:
    rows = found.numbers["seeds"]
    table = Table(
        "Every seed; press a heading to sort. The same numbers with all digits: data.csv",
        list(COLUMNS.values()),
        [[("" if row[name] is None and name in _TEXTS else row[name]) for name in COLUMNS] for row in rows],
    )
    classes = ["" if row["pooled"] else "left-out" for row in rows]
    return _table(table, sortable=True, classes=classes, id="every-seed")


def _unfinished(found: Comparison) -> Markup:
    numbers = found.numbers
    rows = [(each["run"], "failed", each["message"]) for each in numbers["failed"]]
    for each in numbers["unfinished"]:
        made = ", ".join(f"seed {seed} {steps:,}" for seed, steps in each["steps"].items())
        rows.append((each["run"], each["state"], f"{made} of {each['total_steps']:,} steps"))
    return _table(Table("Runs that are in no number on this page", ("run", "state", "what is known"), rows))


def _runs(found: Comparison) -> list[Markup]:
    rows = []
    for method in found.methods:
        for task, runs in method.runs.items():
            rows += [_run_row(method.name, task, run) for run in runs]
    heads = (
        "run",
        "method",
        "environment",
        "seeds",
        "steps",
        "episodes",
        "backend",
        "library",
        "steepest",
        "jax",
        "seconds",
    )
    overview = _table(Table("Runs and their budgets", heads, rows), sortable=True)
    return [overview, *(_details(run) for run in found.selection.runs)]


def _run_row(method: str, task: str, run: ChosenRun) -> list[object]:
    config = run.config
    seconds = None if run.columns is None else float(np.nanmax(run.columns["wall_time"]))
    seeds = ", ".join(map(str, config.seeds))
    about = [config.total_steps, config.evaluation_episodes, config.backend, config.library]
    versions = [config.versions.get(name, "") for name in ("steepest", "jax")]
    return [run.name, method, task, seeds, *about, *versions, seconds]


def _details(run: ChosenRun) -> Markup:
    changed = ", ".join(f"{name} {value}" for name, value in differences(run.config).items())
    start = "what was tuned for the environment" if run.config.preset else "the paper's"
    said = f"Hyper-parameters are {start}" + (f", but for: {changed}." if changed else ".")
    versions = ", ".join(f"{name} {version}" for name, version in run.config.versions.items())
    return element(
        "details",
        element("summary", run.name),
        element("p", said),
        element("pre", repeating_command(run.config, run.state.path)),
        element("button", "copy", type="button", class_="copy", hidden=True),
        element("p", versions, class_="about"),
    )


def _recordings(found: Comparison, out: pathlib.Path) -> list[Markup]:
    """The recordings of runs: small ones in the page itself, others as links."""
    figures, room = [], _ALL_EMBEDDED
    for run in found.selection.runs:
        for name, kind in _RECORDINGS.items():
            path = run.state.path / name
            if not path.is_file():
                continue
            size = path.stat().st_size
            says = f"{run.config.algorithm} on {run.config.env}, {run.name}"
            if size <= min(_EMBEDDED, room):
                room -= size
                data = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
                shown = (
                    element("video", src=data, controls=True, loop=True, muted=True, playsinline=True, aria_label=says)
                    if kind.startswith("video")
                    else element("img", src=data, alt=says, loading="lazy")
                )
            else:
                link = urllib.parse.quote(os.path.relpath(path.resolve(), out.resolve()))
                shown = element("p", element("a", f"{name} ({size / 1e6:.1f} MB)", href=f"./{link}"))
            figures.append(element("figure", shown, element("figcaption", says)))
    return [element("div", figures, class_="grid")] if figures else []


def _reading(found: Comparison) -> list[Markup]:
    said = [
        "Pooled are seeds of the same algorithm with equal hyper-parameters, steps, evaluation, and library of the "
        "environment. What differs stands in the name of a method.",
        "The interquartile mean (IQM) leaves out the lowest and the highest quarter of the scores. It is steadier "
        "than the median, and one odd seed moves it less than the mean; so look at the worst seed too.",
        "The median is that over environments of means over seeds; where there is one environment, that over seeds. "
        "The optimality gap is by how much scores fall short of "
        + ("1" if found.normalised else "the highest return that any seed here has")
        + " on average.",
        "Intervals are percentile bootstraps. Of normally distributed scores they hold the truth in 94 % of all cases "
        "with ten seeds, in 91 % with five, in 75 % with three, and in 50 % with two, where they promise 95 %.",
        "Source: Agarwal, Schwarzer, Castro, Courville, Bellemare, Deep Reinforcement Learning at the Edge of the "
        "Statistical Precipice, NeurIPS 2021.",
    ]
    return [element("p", each) for each in said]


def _footer() -> Markup:
    files = ("data.csv", "table.md", "table.tex")
    links = [join(" ", element("a", name, href=f"./{name}")) for name in files]
    return element("footer", element("p", "Beside this page:", links, ", and every picture as PNG."))
