"""What must be said of a comparison that is not quite fair, in a sentence each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from steepest.reports.grouping import BUDGET, Method, settings
from steepest.reports.scoring import SeedResult

_VERSIONS = ("steepest", "jax", "jaxlib", "numpy", "machine")


def notices(
    methods: Sequence[Method],
    results: Sequence[SeedResult],
    sources: Mapping[str, str],
    shared: Sequence[str],
    failed: Mapping[str, str],
) -> list[str]:
    """Unequal budgets, what is left out and why, and which versions differ; empty where there is nothing to say."""
    return [
        *_unfinished(results, failed),
        *_budgets(methods, results, sources),
        *_measured(results, sources),
        *_not_shared(results, sources, shared),
        *_left_out(results),
        *_seeds(results),
        *_versions(results),
        *(text for run in {each.run.name: each.run for each in results}.values() for text in run.doubts),
    ]


def _unfinished(results: Sequence[SeedResult], failed: Mapping[str, str]) -> Iterator[str]:
    states = {each.run.name: each.run.state.state for each in results}
    lost = [name for name, state in states.items() if state == "failed"] + list(failed)
    if lost:
        yield (
            f"{_count(len(lost), 'run')} failed and {_is(len(lost))} in no number here: {_some(lost)}. What remains "
            f"may look better than the method is."
        )
    for state, remedy in (("interrupted", "steepest resume goes on with it"), ("training", "it trains now")):
        names = [name for name, each in states.items() if each == state]
        if names:
            runs = f"{_count(len(names), 'run')} {_is(len(names))} not finished and not pooled"
            yield f"{runs}: {_some(names)} ({remedy})."


def _budgets(methods: Sequence[Method], results: Sequence[SeedResult], sources: Mapping[str, str]) -> Iterator[str]:
    for task in sources:
        pooled = {each.run.name for each in results if each.task == task and each.pooled}
        for name, said in BUDGET.items():
            values: dict[str, list[str]] = defaultdict(list)
            for method in methods:
                runs = [run for run in method.runs.get(task, []) if run.name in pooled]
                for value in dict.fromkeys(_shown(settings(run.config)[name]) for run in runs):
                    values[value].append(method.name)
            if len(values) > 1:
                each = "; ".join(f"{value} for {_some(names)}" for value, names in values.items())
                yield f"{task}: unequal budgets. {said[0].upper()}{said[1:]}: {each}."


def _measured(results: Sequence[SeedResult], sources: Mapping[str, str]) -> Iterator[str]:
    for task, source in sources.items():
        finished = [each for each in results if each.task == task and each.run.state.state == "finished"]
        if source == "training" and finished:
            without = dict.fromkeys(each.run.name for each in finished if each.run.state.evaluation is None)
            yield (
                f"{task}: returns are those of the last episodes while learning, with exploration, for all of them: "
                f"{_some(list(without))} {_has(len(without))} no evaluation."
            )
        cut = sum(each.episodes_cut for each in finished)
        if cut:
            yield f"{task}: {_count(cut, 'episode')} of the evaluations had not ended and were cut."


def _not_shared(results: Sequence[SeedResult], sources: Mapping[str, str], shared: Sequence[str]) -> Iterator[str]:
    names = {each.method for each in results if each.pooled}
    if len(sources) == len(shared):
        return
    for task in sources:
        missing = sorted(names - {each.method for each in results if each.pooled and each.task == task})
        if missing:
            yield f"{task} is not in the aggregates: no finished seeds of {_some(missing)} there."


def _left_out(results: Sequence[SeedResult]) -> Iterator[str]:
    for each in results:
        if each.run.state.state == "finished" and not each.pooled:
            yield f"{each.task}: seed {each.seed} of {each.run.name} is left out: {each.note}."


def _seeds(results: Sequence[SeedResult]) -> Iterator[str]:
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in results:
        if each.pooled:
            counts[each.task][each.method] += 1
    for task, found in counts.items():
        if len(set(found.values())) > 1:
            yield f"{task}: unequal numbers of seeds: {', '.join(f'{n} of {name}' for name, n in found.items())}."


def _versions(results: Sequence[SeedResult]) -> Iterator[str]:
    for name in _VERSIONS:
        found: dict[str, list[str]] = defaultdict(list)
        for run in {each.run.name: each.run for each in results if each.pooled}.values():
            found[run.config.versions.get(name, "none")].append(run.name)
        if len(found) > 1:
            yield f"Made with different versions of {name}: {'; '.join(f'{v} ({_some(r)})' for v, r in found.items())}."


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(names[:3])
    return f"{listed} and {len(names) - 3} more" if len(names) > 3 else listed


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _has(number: int) -> str:
    return "has" if number == 1 else "have"
