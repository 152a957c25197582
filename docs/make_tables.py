"""Write hyper_parameters.md, the table of every algorithm's hyper-parameters, from the fields themselves.

python docs/make_tables.py
"""

import pathlib

from steepest.algorithms import ALGORITHMS
from steepest.core.validation import Bound, Description, Search, describe

PAGE = pathlib.Path(__file__).parent / "hyper_parameters.md"


def table() -> str:
    """The page: a row for each hyper-parameter, with the default of every algorithm that has it."""
    lines = [
        "# Hyper-parameters",
        "",
        "Written by `python docs/make_tables.py` from the fields of the algorithms. A name means the same everywhere.",
        "An algorithm has only those that do something for it. On the command line `gae_lambda` is `--gae-lambda`.",
        "",
        "*Searched* is where `steepest tune` looks, unless it is told otherwise: around the value that it begins with,",
        "no further away than the factor that is named, and nowhere where that value switches something off. Of counts",
        "it tries powers of two.",
        "",
        "| name | values | meaning | searched | defaults |",
        "|---|---|---|---|---|",
    ]
    found: dict[str, tuple[Description, dict[str, list[str]]]] = {}
    for name, kind in ALGORITHMS.items():
        for field in describe(kind):
            defaults = found.setdefault(field.name, (field, {}))[1]
            defaults.setdefault(_text(field.default), []).append(name)
    for name, (field, defaults) in sorted(found.items()):
        cells = [f"`{name}`", _values(field), field.help, _searched(field.search), _defaults(defaults)]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _values(field: Description) -> str:
    if field.choices:
        return ", ".join(f"`{choice}`" for choice in field.choices)
    return "" if field.bound is None else _bound(field.bound)


def _bound(bound: Bound) -> str:
    words = ["whole"] if bound.whole else []
    for sign, limit in (("≥", bound.at_least), (">", bound.above), ("≤", bound.at_most)):
        if limit is not None:
            words.append(f"{sign} {limit:g}")
    return ", ".join(words)


def _searched(search: Search | None) -> str:
    if search is None:
        return ""
    if search.choices:
        return ", ".join(map(str, search.choices))
    notes = ["logarithmic"] if search.log else ["1 − it logarithmic"] if search.complement else []
    notes += [f"factor {search.factor:g}"] if search.factor else []
    return f"{search.low:g} to {search.high:g}" + (f" ({', '.join(notes)})" if notes else "")


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(str(each) for each in value) + ("," if len(value) == 1 else "") + ")"
    return str(value)


def _defaults(defaults: dict[str, list[str]]) -> str:
    """The commonest default first, each with the algorithms that have it."""
    ranked = sorted(defaults.items(), key=lambda each: -len(each[1]))
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in ranked)


if __name__ == "__main__":
    PAGE.write_text(table())
