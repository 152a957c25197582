"""The catalogue of gradient estimators: the meaning, needs and biases of each, by name. Does not import JAX."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

from steepest.core.errors import InputError, unknown

MANY_PARAMETERS = 300
"""The largest number of parameters for which perturbation estimators are compared without being named."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """The catalogue entry of an estimator.

    - `identifier`: of the formula.
    - `meaning`: in one line.
    - `needs`: its requirements, of `NEEDS`.
    - `biased_by`: what makes it estimate something else than ∇J: `discount` below 1, a `fitted` critic, a
      `behaviour` policy, or its own `definition`.
    - `perturbs`: whether it perturbs the parameters, at a cost that grows with their number.
    """

    identifier: str
    meaning: str
    needs: tuple[str, ...] = ()
    biased_by: tuple[str, ...] = ()
    perturbs: bool = False

    def estimates(self, present: Collection[str]) -> str:
        """The quantity estimated, `∇J` or `other`, given which causes of `biased_by` are `present`."""
        return "other" if "definition" in self.biased_by or set(self.biased_by) & set(present) else "∇J"


NEEDS: dict[str, str] = {
    "exact_values": "needs exact values, known for tabular and linear-quadratic problems only. Take learned_baseline",
    "exact_action_values": "needs exact Q, known for tabular and linear-quadratic problems only. Leave it out",
    "behaviour": "needs episodes of another policy. Give --behaviour (behaviour=… in Python)",
    "continuous": "needs continuous actions. Leave it out",
}
"""The requirements of estimators, each with the message for when it is missing."""

ESTIMATORS: dict[str, Entry] = {
    "whole_return": Entry("G3", "score of the episode × its whole return"),
    "whole_return_average_baseline": Entry("G6", "whole return − average return of the other episodes"),
    "whole_return_optimal_scalar_baseline": Entry("G6", "whole return − the one constant of least variance"),
    "whole_return_optimal_baseline": Entry("G6", "whole return − the constant of least variance for each parameter"),
    "reward_to_go": Entry("G4", "score of each step × what was earned from there on"),
    "reward_to_go_undiscounted_states": Entry(
        "G5", "reward-to-go without the factor γ^t, as most programs have it", biased_by=("discount",)
    ),
    "reward_to_go_average_baseline": Entry("G6", "reward-to-go − its average over all steps"),
    "reward_to_go_time_baseline": Entry("G6", "reward-to-go − its average at the same time step"),
    "learned_baseline": Entry("G7", "reward-to-go − a value fitted on one half of the episodes; the other half counts"),
    "exact_baseline": Entry("G9", "reward-to-go − the exact value", needs=("exact_values",)),
    "temporal_difference": Entry("G8", "r + γV(s') − V(s)", biased_by=("fitted",)),
    "n_step": Entry("G10", "n rewards, then the value of the state reached", biased_by=("fitted",)),
    "gae": Entry("G11", "all n-step advantages, weighted by λ^(n−1)", biased_by=("fitted",)),
    "fresh_action": Entry(
        "G14",
        "Q of an action drawn anew in each state that was met",
        needs=("exact_action_values",),
        biased_by=("behaviour",),
    ),
    "deterministic": Entry(
        "G15",
        "∇μ(s) ∇Q(s, μ(s)): the mean action moves towards better ones",
        needs=("exact_action_values", "continuous"),
        biased_by=("definition",),
    ),
    "importance_whole": Entry("G12", "episodes of another policy, weighted by the ratio of all steps", ("behaviour",)),
    "importance_causal": Entry("G12", "the same, each reward by the ratio of the steps up to it", ("behaviour",)),
    "importance_first_order": Entry(
        "G12", "the same, each step by its own ratio alone", ("behaviour",), biased_by=("definition",)
    ),
    "off_policy": Entry(
        "G13",
        "ratio × score × Q in the states of another policy",
        needs=("behaviour", "exact_action_values"),
        biased_by=("behaviour",),
    ),
    "finite_difference": Entry(
        "G1", "each parameter moved up and down, by δ", biased_by=("definition",), perturbs=True
    ),
    "finite_difference_forward": Entry("G1", "each parameter moved up, by δ", biased_by=("definition",), perturbs=True),
    "perturbation_regression": Entry(
        "G2",
        "all parameters moved at random, and a regression on what that earned",
        biased_by=("definition",),
        perturbs=True,
    ),
}
"""The estimators by name, in the order in which they are shown."""


def check_names(names: Iterable[str]) -> None:
    """**Raises** `InputError` for an unknown name, with the nearest known one."""
    for name in names:
        if name not in ESTIMATORS:
            raise unknown("estimator", name, ESTIMATORS, "steepest list estimators")


def select(names: Iterable[str], available: Collection[str], parameters: int) -> tuple[list[str], list[str]]:
    """The names of the estimators to compare, and notes on those left out.

    **Arguments**

    - `names`: those asked for; empty for all that are available.
    - `available`: the `NEEDS` that are met.
    - `parameters`: of the policy.

    **Raises** `InputError` for one asked for by name that is unknown or lacks what it needs.
    """
    asked = list(dict.fromkeys(names))
    check_names(asked)
    for name in asked:
        for need in ESTIMATORS[name].needs:
            if need not in available:
                raise InputError(f"estimator {name} {NEEDS[need]}.")
    if asked:
        return asked, []
    possible = [name for name, entry in ESTIMATORS.items() if set(entry.needs) <= set(available)]
    costly = [name for name in possible if ESTIMATORS[name].perturbs and parameters > MANY_PARAMETERS]
    notes = []
    if costly:
        notes.append(
            f"left out, since the policy has {parameters:,} parameters and they move each of them: "
            f"{', '.join(costly)}. Ask for them by name."
        )
    return [name for name in possible if name not in costly], notes
