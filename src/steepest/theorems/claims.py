"""The result of the check of a theorem."""

import dataclasses
import math
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Claim:
    """A measured number, and the bound that it must satisfy.

    - `what`: the quantity measured; the worst over all instances.
    - `relation`: whether it must be at most, or at least, the `bound`.
    """

    what: str
    measured: float
    bound: float
    relation: Literal["≤", "≥"] = "≤"

    def __post_init__(self):
        object.__setattr__(self, "measured", float(self.measured))  # NumPy's numbers are not serialised by JSON

    @property
    def slack(self) -> float:
        """The distance of the measured number to the bound; negative where it is violated."""
        return self.bound - self.measured if self.relation == "≤" else self.measured - self.bound

    @property
    def holds(self) -> bool:
        """Whether the bound is satisfied; False for NaN."""
        return math.isfinite(self.measured) and self.slack >= 0


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of checking a theorem.

    - `id`, `statement`: of the theorem.
    - `instances`: the number of random instances; 1 where there is a single problem.
    """

    id: str
    statement: str
    instances: int
    claims: tuple[Claim, ...]

    @property
    def holds(self) -> bool:
        """Whether every claim holds."""
        return all(claim.holds for claim in self.claims)
