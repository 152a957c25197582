"""Algorithms that learn from a replay buffer of transitions, with critics of actions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from steepest.algorithms import fields
from steepest.algorithms.hyper_parameters import HyperParameters
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Spec, leaves
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.bodies.improvement import AbstractImprovement
    from steepest.algorithms.bodies.replay_actor_critic import ReplayActorCritic
    from steepest.core.spaces import Space
    from steepest.policies.behaviour import AbstractBehaviour


class ReplayHyperParameters(HyperParameters):
    """Of algorithms with a replay buffer, and gradient steps on rows drawn from all of it."""

    num_envs: fields.NumEnvs
    segment_length: fields.SegmentLength
    discount: fields.Discount
    learning_rate: fields.LearningRate
    critic_learning_rate: fields.CriticLearningRate
    clip_global_norm: fields.ClipGlobalNorm
    replay_ratio: fields.ReplayRatio
    capacity: fields.Capacity
    batch_size: fields.BatchSize
    warm_up_steps: fields.WarmUpSteps
    return_steps: fields.ReturnSteps
    target_rate: fields.TargetRate
    normalise_observations: fields.NormaliseObservations

    def __post_init__(self) -> None:
        super().__post_init__()
        rows = self.steps_per_update
        whole = max(1, round(self.replay_ratio * rows))
        if not math.isclose(self.replay_ratio * rows, whole, rel_tol=1e-4):  # a ratio is typed with a few digits
            raise InputError(
                f"replay_ratio is {self.replay_ratio:g}; num_envs × segment_length × replay_ratio = {self.num_envs} × "
                f"{self.segment_length} × {self.replay_ratio:g} gradient steps cannot be made. The nearest that can is "
                f"{whole / rows:g}."
            )
        slots = self.capacity // self.num_envs
        for field, least, most, remedy in (
            ("capacity", rows, None, f"An update adds {rows} transitions; 1000000 is usual."),
            ("batch_size", 1, self.capacity, f"64 to 256 are usual; the capacity is {self.capacity}."),
            ("return_steps", 1, slots, f"1 to 5 are usual; {slots} transitions of each environment are remembered."),
        ):
            check_number(field, getattr(self, field), at_least=least, at_most=most, whole=True, remedy=remedy)

    def num_streams(self, observation: Space, action: Space) -> int:
        return self.num_envs

    @property
    def steps_per_update(self) -> int:
        """One segment of every environment."""
        return self.num_envs * self.segment_length

    def notices(self, total_steps: int) -> tuple[str, ...]:
        each = self.steps_per_update
        if self.warm_up_steps <= math.ceil(total_steps / each) * each:
            return ()
        return (f"warm_up_steps is {self.warm_up_steps} and total_steps {total_steps}: nothing will be learnt.",)

    def replay_actor_critic(
        self,
        spec: Spec,
        *,
        exploration: AbstractBehaviour,
        improvement: AbstractImprovement,
        deterministic: bool = False,
        **networks: object,
    ) -> ReplayActorCritic:
        """The body of algorithms with a replay buffer, with these parts and what the fields say.

        **Arguments**

        - `networks`: what of the architecture is not among the fields.

        **Raises** `InputError` where the buffer does not fit into memory, or actions have no bounds.
        """
        from steepest.algorithms.bodies.replay_actor_critic import ReplayActorCritic
        from steepest.core.interfaces import RolloutSpec
        from steepest.replay import check_memory
        from steepest.steps import Ascent, Optimiser

        if any(isinstance(leaf, Box) and not leaf.bounded for _, leaf in leaves(spec.action)):
            raise InputError(
                f"action space: a Box without finite bounds; {self.name} acts within them. "
                "Give bounds with --action-low and --action-high (action_low=…, action_high=… in Python)."
            )
        algorithm = ReplayActorCritic(
            spec=spec,
            rollout=RolloutSpec(self.segment_length, overlaps=True),
            networks=self.architecture(**networks).with_action_values,
            exploration=exploration,
            improvement=improvement,
            policy_rule=Ascent(Optimiser(self.learning_rate, self.clip_global_norm)),
            critic_rule=Ascent(Optimiser(self.critic_rate, self.clip_global_norm)),
            discount=self.discount,
            target_rate=self.target_rate,
            deterministic=deterministic,
            capacity=self.capacity,
            batch_size=self.batch_size,
            gradient_steps=round(self.replay_ratio * self.steps_per_update),
            return_steps=self.return_steps,
            warm_up_steps=self.warm_up_steps,
            normalise_observations=self.normalise_observations,
        )
        check_memory(spec, algorithm.kept, in_ring=True)
        return algorithm


def noisy_behaviour(
    name: str, spec: Spec, exploration: Literal["gaussian", "ornstein_uhlenbeck", "uniform"], log_std: float
) -> AbstractBehaviour:
    """The behaviour that explores around the mode of a policy, or uniformly.

    **Raises** `InputError` unless actions are continuous, which deterministic policy gradients (of the algorithm
    `name`) need.
    """
    from steepest.policies.behaviour import NoisyMode, OrnsteinUhlenbeck, Uniform

    if not isinstance(spec.action, Box):
        raise InputError(
            f"{name} asks how its critic changes with the action, but the action space is "
            f"{type(spec.action).__name__}. Use off_policy_actor_critic there."
        )
    if exploration == "uniform":
        return Uniform(spec.action)
    if exploration == "ornstein_uhlenbeck":
        return OrnsteinUhlenbeck(spec.action, std=math.exp(log_std))
    return NoisyMode(spec.action)
