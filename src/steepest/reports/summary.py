"""What a comparison comes to, in a sentence or two."""

from __future__ import annotations

from steepest.core.files import JsonObject
from steepest.reports.numbers import FEW
from steepest.reports.picture import interval_text, number


def title(numbers: JsonObject) -> str:
    """What is compared, and where."""
    names = [each["method"] for each in numbers["methods"]]
    environments = [each["environment"] for each in numbers["environments"]]
    what = _listed(names) if len(names) <= 3 else f"{len(names)} methods"
    where = _listed(environments) if len(environments) <= 3 else f"{len(environments)} environments"
    return f"{what} on {where}"


def summary(numbers: JsonObject) -> str:
    """Which method is ahead, by how much, and how sure that is."""
    known = [each for each in numbers["methods"] if each["aggregate"]]
    if not known:
        return "No environment has finished seeds of every method, so nothing can be said of all of them together."
    ranked = sorted(known, key=lambda each: each["aggregate"]["iqm"]["value"], reverse=True)
    best = ranked[0]
    what = "normalised score" if numbers["normalised"] else "return"
    reached = f"an interquartile mean {what} of {_value(best['aggregate']['iqm'])}"
    over, fewest = numbers["aggregated_over"], min(_counts(numbers))
    where = over[0] if len(over) == 1 else f"{len(over)} environments"
    if len(ranked) == 1:
        said = f"On {where}, {best['method']} reaches {reached}."
    else:
        second = ranked[1]
        ahead = f"{best['method']} reaches {reached}, and {second['method']}, which comes next, "
        ahead += _value(second["aggregate"]["iqm"])
        said = f"On {where}, {ahead}. {_sure(numbers, best['method'], second['method'], fewest)}"
    if fewest <= FEW:
        said += (
            f" With {fewest} seed{'' if fewest == 1 else 's'} "
            + ("there is no interval at all." if fewest == 1 else "the intervals are narrower than the truth.")
            + " Run ten or more before you decide."
        )
    return said


def _counts(numbers: JsonObject) -> list[int]:
    shared = numbers["aggregated_over"]
    return [
        method["seeds"]
        for each in numbers["environments"]
        if each["environment"] in shared
        for method in each["methods"]
    ]


def _value(estimate: JsonObject) -> str:
    return f"{number(estimate['value'])} {interval_text(estimate['ci95'])}".rstrip()


def _sure(numbers: JsonObject, best: str, second: str, fewest: int) -> str:
    """Whether the first two can be told apart, by the probability of improvement."""
    for each in numbers["probability_of_improvement"]:
        value, interval = each["value"], each["ci95"]
        if (each["method"], each["over"]) == (second, best):
            value, interval = 1 - value, None if interval is None else [1 - interval[1], 1 - interval[0]]
        elif (each["method"], each["over"]) != (best, second):
            continue
        odds = f"A seed of {best} scores more than one of {second} with probability {number(value)}"
        if interval is None:
            return f"{odds}; of one seed each, that says little."
        sign = "which tells them apart" if fewest > FEW else "which is a first sign, and no more"
        apart = sign if interval[0] > 0.5 else "which does not tell them apart"
        return f"{odds} {interval_text(interval)}, {apart}."
    return ""


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
