"""Numerical checks of the theorems behind policy gradients (T1–T12).

They are listed by name, so that listing them does not import JAX.
"""

import importlib
from collections.abc import Callable

from steepest.core.errors import unknown
from steepest.theorems.claims import Claim, Result

THEOREMS: dict[str, str] = {
    "T1": "steepest.theorems.performance_difference:performance_difference",
    "T2": "steepest.theorems.state_shift:state_shift",
    "T3": "steepest.theorems.state_shift:lower_bound",
    "T4": "steepest.theorems.pinsker:pinsker",
    "T5": "steepest.theorems.divergence:divergence",
    "T6": "steepest.theorems.two_actions:two_actions",
    "T7": "steepest.theorems.directions:directions",
    "T8": "steepest.theorems.greedy:greedy",
    "T9": "steepest.theorems.constrained:constrained",
    "T10": "steepest.theorems.baselines:baselines",
    "T11": "steepest.theorems.bootstrapping:bootstrapping",
    "T12": "steepest.theorems.causality:causality",
}
"""The check of each theorem: its id, then "module:function"."""


def theorem(id: str) -> Callable[[int, int | None], Result]:  # noqa: A002
    """The check called `id`: `(seed, instances) -> Result`; `None` instances for its default number.

    **Raises** `InputError` for an unknown id.
    """
    if id not in THEOREMS:
        raise unknown("theorem", id, THEOREMS)
    from steepest._platform import configure_platform

    configure_platform()
    module, name = THEOREMS[id].split(":")
    return getattr(importlib.import_module(module), name)


__all__ = ["THEOREMS", "Claim", "Result", "theorem"]
