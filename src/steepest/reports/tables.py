"""The tables of a comparison, for the page and as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence

from steepest.core.files import JsonObject
from steepest.reports.picture import interval_text, number

COLUMNS = {
    "environment": "environment",
    "method": "method",
    "seed": "seed",
    "return": "return",
    "deviation": "deviation of episodes",
    "normalised": "normalised",
    "state": "state",
    "pooled": "pooled",
    "note": "note",
    "steps": "steps",
    "total_steps": "of steps",
    "episodes": "episodes",
    "episodes_cut": "cut",
    "measured_by": "measured by",
    "wall_time": "seconds",
    "steps_per_second": "steps/s",
    "algorithm": "algorithm",
    "library": "library",
    "steepest": "steepest",
    "run": "run",
}
"""The columns of data.csv and of the table of every seed: their names there, and what the page calls them."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: its caption, the heads of its columns, and its rows of texts and numbers."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[object]]

    def texts(self) -> list[list[str]]:
        """The rows as people read them."""
        return [[cell_text(each) for each in row] for row in self.rows]


def cell_text(value: object) -> str:
    """A cell as people read it: a dash where nothing is known."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return number(value)
        case _:
            return str(value)


def returns_table(environment: JsonObject) -> Table:
    """What the methods came to on one environment."""
    heads = ("method", "seeds", "IQM", "95% interval", "median", "mean", "deviation of seeds", "worst seed", "steps")
    rows = [
        (
            each["method"],
            each["seeds"],
            each["iqm"],
            interval_text(each["iqm_ci95"]) or "–",
            each["median"],
            each["mean"],
            each["deviation"],
            f"{number(each['worst_seed']['return'])} (seed {each['worst_seed']['seed']})",
            each["total_steps"],
        )
        for each in environment["methods"]
    ]
    return Table(f"Final returns on {environment['environment']}", heads, rows)


def aggregates_table(numbers: JsonObject) -> Table | None:
    """The aggregates with their intervals; None where there are none."""
    known = [each for each in numbers["methods"] if each["aggregate"]]
    if not known:
        return None
    unit = "normalised scores" if numbers["normalised"] else "returns"
    rows = [
        (each["method"], *(f"{number(one['value'])} {interval_text(one['ci95'])}".rstrip() for one in values))
        for each in known
        for values in [each["aggregate"].values()]
    ]
    caption = f"Aggregates of {unit} over {', '.join(numbers['aggregated_over'])}"
    return Table(caption, ("method", "IQM", "median", "mean", "optimality gap"), rows)


def better_first(pair: JsonObject) -> JsonObject:
    """A probability of improvement as that of the method which more likely scores more than the other.

    >>> better_first({"method": "a2c", "over": "ppo", "value": 0.25, "ci95": [0.0, 0.5]})
    {'method': 'ppo', 'over': 'a2c', 'value': 0.75, 'ci95': [0.5, 1.0]}
    """
    if pair["value"] >= 0.5:
        return pair
    interval = pair["ci95"] and [1 - pair["ci95"][1], 1 - pair["ci95"][0]]
    return {"method": pair["over"], "over": pair["method"], "value": 1 - pair["value"], "ci95": interval}


def improvement_table(numbers: JsonObject) -> Table | None:
    """How likely methods improve on each other; None where there is one method only."""
    rows = [
        (each["method"], each["over"], each["value"], interval_text(each["ci95"]) or "–")
        for each in map(better_first, numbers["probability_of_improvement"])
    ]
    heads = ("method", "over", "probability", "95% interval")
    return Table("Probability of improvement", heads, rows) if rows else None


def summary_tables(numbers: JsonObject) -> list[Table]:
    """All tables but that of the seeds."""
    tables = [returns_table(each) for each in numbers["environments"] if each["methods"]]
    return tables + [each for each in (aggregates_table(numbers), improvement_table(numbers)) if each is not None]


def as_csv(numbers: JsonObject) -> str:
    """A row for each seed, with all digits, and empty cells where nothing is known."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(numbers["seeds"])
    return text.getvalue()


def as_markdown(numbers: JsonObject) -> str:
    """The tables but that of the seeds, and what must be said of them, in GitHub's Markdown."""
    parts = []
    for table in summary_tables(numbers):
        widths = ["---" if index == 0 else "---:" for index, _ in enumerate(table.heads)]
        lines = [table.heads, widths, *table.texts()]
        rows = [f"| {' | '.join(_markdown(each) for each in line)} |" for line in lines]
        parts.append("\n".join([f"**{_markdown(table.caption)}**", "", *rows]))
    if numbers["notices"]:
        parts.append("\n".join(f"- {_markdown(each)}" for each in numbers["notices"]))
    return "\n\n".join(parts) + "\n"


def _markdown(text: str) -> str:
    escaped = "".join(f"\\{each}" if each in "\\|*_`[]#" else each for each in text)
    return " ".join(escaped.split()).replace("<", "&lt;")


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "λ": r"$\lambda$",
} | {each: f"\\{each}" for each in "&%$#_"}


def as_latex(numbers: JsonObject) -> str:
    """The same tables in LaTeX; they need the package booktabs."""
    parts = ["% needs \\usepackage{booktabs}"]
    for table in summary_tables(numbers):
        rows = [" & ".join(map(_latex, row)) + r" \\" for row in table.texts()]
        parts += [
            r"\begin{table}",
            rf"  \caption{{{_latex(table.caption)}}}",
            rf"  \begin{{tabular}}{{l{'r' * (len(table.heads) - 1)}}}",
            r"    \toprule",
            f"    {' & '.join(map(_latex, table.heads))} " + r"\\",
            r"    \midrule",
            *(f"    {row}" for row in rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
    parts += [f"% {' '.join(each.split())}" for each in numbers["notices"]]
    return "\n".join(parts) + "\n"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(each, each) for each in " ".join(text.split()))
