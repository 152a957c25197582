"""The comparison of gradient estimators, one row each."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import numpy as np
from jaxtyping import Array, Key

from steepest.core.interfaces import Policy
from steepest.core.problem import Info
from steepest.diagnostics.catalogue import ESTIMATORS
from steepest.diagnostics.quality import Quality, Reference, quality
from steepest.diagnostics.repeats import one_by_one
from steepest.estimators import AbstractEstimator, AbstractRollouts, ImportanceSampled, Perturbed

Cell = str | float
"""One entry of the table that a comparison gives."""
Report = Callable[[str], None]
"""A callback with the name of an estimator, after each of its estimates."""
_SMALLEST_SHARE, _FEWEST_EPISODES = 0.25, 25
"""Where weights leave less of a sample than both, the rare large ones that make up its mean have not been met. On the
linear-quadratic problem, unbiased estimators with shares of 0.2 and less of 100 episodes seemed biased."""


@dataclasses.dataclass(frozen=True)
class Row:
    """The results of one estimator.

    - `estimates`: `∇J`, `other`, or `?` for an estimator of the user's own.
    - `identifier`, `meaning`: of the catalogue.
    - `quality`: bias and noise of one estimate.
    - `episodes`: of one estimate; `repeats`: the number of estimates.
    - `steps`: environment steps of one estimate, on average.
    - `seconds`: of one estimate, without compiling.
    - `effective_share`: the effective size of an importance-weighted sample as a share of its size; else 1.
    """

    name: str
    identifier: str
    meaning: str
    estimates: str
    quality: Quality
    episodes: int
    repeats: int
    steps: float
    seconds: float
    effective_share: float = 1.0

    @property
    def measurable(self) -> bool:
        """Whether bias and variance can be measured; they cannot where importance weights are too uneven."""
        return self.effective_share >= _SMALLEST_SHARE or self.effective_share * self.episodes >= _FEWEST_EPISODES

    @property
    def verdict(self) -> str:
        """`biased`, `no bias found`, or `unknown` with too few estimates or too uneven weights."""
        if not self.measurable or np.isnan(self.quality.bias_standard_errors):
            return "unknown"
        return "biased" if self.quality.biased else "no bias found"

    @property
    def variance_steps(self) -> float:
        """Variance × steps, which compares estimators at equal cost, since more data divide the variance."""
        return self.quality.variance * self.steps

    def columns(self) -> dict:
        """Everything by name, in one flat row."""
        own = {name: value for name, value in vars(self).items() if name != "quality"}
        said = {name: own.pop(name) for name in ("name", "identifier", "meaning", "estimates")}
        numbers = dataclasses.asdict(self.quality)
        return said | {"verdict": self.verdict} | numbers | own | {"variance_steps": self.variance_steps}


@dataclasses.dataclass(frozen=True)
class GradientComparison:
    """The result of a comparison: a row for each estimator, the reference, and notes."""

    rows: tuple[Row, ...]
    reference: Reference
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Row:
        """The row of an estimator."""
        return next(row for row in self.rows if row.name == name)

    def steps_needed(self, row: Row) -> float:
        """Environment steps after which an estimator's noise is as large as ∇J: variance × steps / ‖∇J‖²."""
        return row.variance_steps / self.reference.norm**2 if self.reference.norm > 0 else float("inf")

    @property
    def columns(self) -> dict[str, list]:
        """A tidy table: for each quantity its values, one for each estimator. Data-frame libraries take it as it is."""
        rows = [row.columns() | {"steps_for_signal_to_noise_1": self.steps_needed(row)} for row in self.rows]
        return {name: [row[name] for row in rows] for name in rows[0]}


def compare(
    estimators: Mapping[str, AbstractEstimator],
    policy: Policy,
    open_rollouts: Callable[[], AbstractRollouts],
    reference: Reference,
    key: Key[Array, ""],
    *,
    episodes: int,
    repeats: int,
    present: tuple[str, ...],
    report: Report,
) -> tuple[Row, ...]:
    """Estimate the gradient repeatedly with each estimator, and measure its quality.

    All get the same key, so that estimators with the same policy play the same episodes.

    **Arguments**

    - `open_rollouts`: called for each estimator; the rollouts must be independent of earlier episodes, so that no
      estimator depends on which others are compared.
    - `present`: the causes of bias that apply, of `Entry.biased_by`.
    """
    rows = []
    for name, estimator in estimators.items():
        rollouts = open_rollouts()
        count = episodes_each(estimator, policy, episodes)
        try:
            samples, seconds = one_by_one(
                estimator,
                policy,
                rollouts,
                key,
                episodes=count,
                repeats=repeats,
                advance=lambda name=name: report(name),
            )
        finally:
            rollouts.close()
        entry = ESTIMATORS.get(name)
        rows.append(
            Row(
                name=name,
                identifier=entry.identifier if entry else "",
                meaning=entry.meaning if entry else type(estimator).__name__,
                estimates=entry.estimates(present) if entry else "?",
                quality=quality(samples.matrix, reference),
                episodes=episodes,
                repeats=repeats,
                steps=float(np.mean(samples.info["steps"])),
                seconds=seconds,
                effective_share=_effective_share(estimator, samples.info, episodes),
            )
        )
    return tuple(rows)


def _effective_share(estimator: AbstractEstimator, info: Info, episodes: int) -> float:
    if not isinstance(estimator, ImportanceSampled):
        return 1.0
    size = np.asarray(info["effective_sample_size"], np.float64)
    return float(np.mean(size / (episodes if estimator.weighting.kind == "whole" else np.asarray(info["steps"]))))


def episodes_each(estimator: AbstractEstimator, policy: Policy, episodes: int) -> int:
    """Episodes under one policy: those of an estimate are shared out among all policies that are to be evaluated."""
    if not isinstance(estimator, Perturbed):
        return episodes
    size = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(policy))
    return max(1, episodes // estimator.perturbation.count(size))


def sampled_reference(
    estimator: AbstractEstimator,
    policy: Policy,
    rollouts: AbstractRollouts,
    key: Key[Array, ""],
    *,
    episodes: int,
    blocks: int,
    meaning: str,
    report: Report,
) -> Reference:
    """A sampled reference: the mean of `blocks` estimates of `episodes` episodes each, by an unbiased estimator."""
    try:
        samples, _ = one_by_one(
            estimator, policy, rollouts, key, episodes=episodes, repeats=blocks, advance=lambda: report("reference")
        )
    finally:
        rollouts.close()
    matrix = np.asarray(samples.matrix, np.float64)
    return Reference(matrix.mean(axis=0), matrix, meaning)
