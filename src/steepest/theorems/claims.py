"""What a check found."""

import dataclasses
import math
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Claim:
    """One number that was measured, and where it must lie.

    - `what`: what was measured; the worst over all instances.
    - `relation`: whether it must be at most, or at least, the `bound`.
    """

    what: str
    measured: float
    bound: float
    relation: Literal["≤", "≥"] = "≤"

    def __post_init__(self):
        object.__setattr__(self, "measured", float(self.measured))  # so that JSON can say what NumPy measured

    @property
    def slack(self) -> float:
        """How far the measured number is on the good side; negative on the bad one."""
        return self.bound - self.measured if self.relation == "≤" else self.measured - self.bound

    @property
    def holds(self) -> bool:
        """Whether it lies where it must. NaN does not."""
        return math.isfinite(self.measured) and self.slack >= 0


@dataclasses.dataclass(frozen=True)
class Result:
    """A theorem, and what was measured of it.

    - `id`, `statement`: of the theorem.
    - `instances`: on how many random instances; 1 where there is but one problem to look at.
    """

    id: str
    statement: str
    instances: int
    claims: tuple[Claim, ...]

    @property
    def holds(self) -> bool:
        """Whether every claim does."""
        return all(claim.holds for claim in self.claims)
