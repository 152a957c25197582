"""What the algorithms that perturb parameters share."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Literal

from steepest.algorithms.hyper_parameters import Number, PlayingHyperParameters
from steepest.core.errors import InputError
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.perturbation_ascent import PerturbationAscent
    from steepest.core.interfaces import AbstractStepRule
    from steepest.core.spaces import Space, Spec
    from steepest.perturbation import AbstractPerturbation


@dataclasses.dataclass(frozen=True)
class PerturbingHyperParameters(PlayingHyperParameters):
    """Of algorithms that ask what the return is at moved parameters: one whole episode of every stream, then a step."""

    num_envs: int | None = None
    """Environments that are sampled side by side: a multiple of the perturbed policies, which share them evenly. When
    left out, one for each."""
    policy: Literal["network", "linear", "tabular"] = "network"
    """A network; none, so that it is linear in the observation; or a logit for each pair of discrete observation and
    action."""
    hidden: tuple[int, ...] = ()
    """Widths of the hidden layers of the policy; none gives a linear one. Every parameter costs episodes."""
    discount: Number = 1.0
    """γ, per step: a reward k steps ahead counts γ^k."""
    learning_rate: Number = 0.1
    """Adam's."""
    radius: Number | None = None
    """ε: take the restricted gradient (S2) in place of Adam, with steps of length √(2ε)."""
    noisy_actions: bool = False
    """Draw actions from the policy while finding out, in place of its best guess. The perturbations explore already."""

    def __post_init__(self):
        super().__post_init__()
        check_number("num_envs", self.num_envs, at_least=1, whole=True, remedy="Left out, it is as many as needed.")
        check_number("learning_rate", self.learning_rate, above=0, at_most=1e3, remedy="0.1 is usual.")
        check_number("radius", self.radius, above=0, remedy="0.01 is usual.")

    @property
    def steps_per_update(self) -> None:
        """One whole episode of every environment."""
        return

    @abc.abstractmethod
    def perturbation(self) -> AbstractPerturbation:
        """Where to evaluate J, and what that says of the gradient."""

    def num_streams(self, observation: Space, action: Space) -> int:
        """As many as there are perturbed policies, or a multiple. **Raises** `InputError` for any other number."""
        from steepest.algorithms.architecture import Architecture
        from steepest.core.spaces import Spec

        size = Architecture.of(self).policy_size(Spec(observation, action, num_envs=1, total_updates=1))
        count = self.perturbation().count(size)
        if self.num_envs is not None and self.num_envs % count:
            nearest = max(1, round(self.num_envs / count)) * count
            raise InputError(
                f"num_envs is {self.num_envs}; it must be a multiple of the {count} policies that {size} parameters "
                f"need. The nearest is {nearest}."
            )
        return self.num_envs or count

    def build(self, spec: Spec) -> PerturbationAscent:
        """Put the parts together for a task."""
        from steepest.algorithms.architecture import Architecture
        from steepest.algorithms.perturbation_ascent import PerturbationAscent

        return PerturbationAscent(
            spec=spec,
            architecture=Architecture.of(self),
            perturbation=self.perturbation(),
            policy_rule=self._step_rule(),
            discount=self.discount,
            noisy_actions=self.noisy_actions,
            normalise_observations=self.normalise_observations,
        )

    def _step_rule(self) -> AbstractStepRule:
        from steepest.steps import Ascent, Optimiser, Restricted

        return Ascent(Optimiser(self.learning_rate)) if self.radius is None else Restricted(self.radius)
