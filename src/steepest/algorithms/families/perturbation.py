"""Algorithms that ask what the return is at moved parameters."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from steepest.algorithms import fields
from steepest.algorithms.hyper_parameters import HyperParameters
from steepest.core.spaces import Spec

if TYPE_CHECKING:
    from steepest.algorithms.bodies.perturbation_ascent import PerturbationAscent
    from steepest.core.spaces import Space
    from steepest.perturbation import AbstractPerturbation


class PerturbationHyperParameters(HyperParameters):
    """Of algorithms that play some episodes with each of many perturbed policies, and then take a step."""

    episodes_per_policy: fields.EpisodesPerPolicy
    discount: fields.Discount
    learning_rate: fields.LearningRate
    restricted_radius: fields.RestrictedRadius
    noisy_actions: fields.NoisyActions
    normalise_observations: fields.NormaliseObservations

    @abc.abstractmethod
    def perturbation(self) -> AbstractPerturbation:
        """Where to evaluate J, and the gradient that follows from the values there."""

    def num_streams(self, observation: Space, action: Space) -> int:
        """`episodes_per_policy` for each perturbed policy."""
        size = self.architecture().policy_size(Spec(observation, action, num_envs=1, total_updates=1))
        return self.episodes_per_policy * self.perturbation().count(size)

    @property
    def steps_per_update(self) -> None:
        """As many as the episodes have."""
        return

    def build(self, spec: Spec) -> PerturbationAscent:
        from steepest.algorithms.bodies.perturbation_ascent import PerturbationAscent
        from steepest.steps import Ascent, Optimiser, Restricted

        radius = self.restricted_radius
        return PerturbationAscent(
            spec=spec,
            networks=self.architecture().policy_alone,
            perturbation=self.perturbation(),
            policy_rule=Ascent(Optimiser(self.learning_rate)) if radius is None else Restricted(radius),
            discount=self.discount,
            noisy_actions=self.noisy_actions,
            normalise_observations=self.normalise_observations,
        )
