"""What the algorithms that learn from a ring of transitions share."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar, Literal

from steepest.algorithms.hyper_parameters import Number, PlayingHyperParameters
from steepest.core.errors import InputError
from steepest.core.spaces import Box
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.improvement import AbstractImprovement
    from steepest.algorithms.replay_actor_critic import ReplayActorCritic
    from steepest.core.interfaces import AbstractStepRule
    from steepest.core.spaces import Space, Spec
    from steepest.policies.behaviour import AbstractBehaviour


@dataclasses.dataclass(frozen=True)
class ReplayingHyperParameters(PlayingHyperParameters):
    """Of algorithms with a ring of transitions, critics of actions, and gradient steps on rows drawn from all of it."""

    num_envs: int = 1
    """Environments that are sampled side by side."""
    segment_length: int = 1
    """Steps of each environment between two updates."""
    replay_ratio: float = 1.0
    """Gradient steps for each step of an environment; num_envs × segment_length × this must be a whole number."""
    capacity: int = 1_000_000
    """Transitions that are remembered, of all environments together; no more are laid out than the run will make."""
    batch_size: int = 128
    """Transitions in a gradient step."""
    warm_up_steps: int = 1000
    """Transitions that are gathered by uniform actions, before learning begins."""
    return_steps: int = 1
    """n: rewards that are added up before the critic is asked. Above 1, what follows an old action is taken for what
    the policy would do."""
    critics: Literal[1, 2] = 1
    """Two, and the lesser of their words counts, which keeps errors from growing upwards."""
    target_rate: Number = 0.005
    """τ: how far targets follow in one gradient step."""
    learning_rate: Number = 1e-3
    """Adam's, for the policy."""
    critic_learning_rate: Number = 1e-3
    """Adam's, for the critics."""
    clip_global_norm: Number = float("inf")
    """Longer gradients are shortened to this; infinite never clips."""
    hidden: tuple[int, ...] = (256, 256)
    activation: Literal["tanh", "relu", "elu", "gelu", "silu"] = "relu"

    def __post_init__(self):
        super().__post_init__()
        check_number("num_envs", self.num_envs, at_least=1, whole=True, remedy="1 to 16 are usual.")
        check_number("segment_length", self.segment_length, at_least=1, whole=True, remedy="1 is usual.")
        check_number("replay_ratio", self.replay_ratio, above=0, remedy="1 is usual.")
        check_number("warm_up_steps", self.warm_up_steps, at_least=0, whole=True, remedy="1000 is usual.")
        check_number("target_rate", self.target_rate, above=0, at_most=1, remedy="0.005 is usual; 1 copies.")
        check_number("learning_rate", self.learning_rate, above=0, remedy="1e-3 is usual.")
        check_number("critic_learning_rate", self.critic_learning_rate, above=0, remedy="1e-3 is usual.")
        check_number("clip_global_norm", self.clip_global_norm, above=0, infinite=True, remedy="inf never clips.")
        rows = self.num_envs * self.segment_length
        whole = max(1, round(self.replay_ratio * rows))
        if not math.isclose(self.replay_ratio * rows, whole, rel_tol=1e-4):  # a ratio is typed with a few digits
            raise InputError(
                f"replay_ratio is {self.replay_ratio:g}; num_envs × segment_length × replay_ratio = {self.num_envs} × "
                f"{self.segment_length} × {self.replay_ratio:g} gradient steps cannot be made. The nearest that can is "
                f"{whole / rows:g}."
            )
        check_number(
            "capacity",
            self.capacity,
            at_least=rows,
            whole=True,
            remedy=f"An update adds {rows} transitions; 1000000 is usual.",
        )
        check_number(
            "batch_size",
            self.batch_size,
            at_least=1,
            at_most=self.capacity,
            whole=True,
            remedy=f"64 to 256 are usual; the capacity is {self.capacity}.",
        )
        slots = self.capacity // self.num_envs
        check_number(
            "return_steps",
            self.return_steps,
            at_least=1,
            at_most=slots,
            whole=True,
            remedy=f"1 to 5 are usual; {slots} transitions of each environment are remembered.",
        )

    @property
    def steps_per_update(self) -> int:
        """One segment of every environment."""
        return self.num_envs * self.segment_length

    def num_streams(self, observation: Space, action: Space) -> int:
        return self.num_envs

    def notices(self, total_steps: int) -> tuple[str, ...]:
        each = self.steps_per_update
        if self.warm_up_steps <= math.ceil(total_steps / each) * each:
            return ()
        return (f"warm_up_steps is {self.warm_up_steps} and total_steps {total_steps}: nothing will be learnt.",)

    def replaying(
        self, spec: Spec, *, improvement: AbstractImprovement, behaviour: AbstractBehaviour, deterministic: bool = False
    ) -> ReplayActorCritic:
        """The shared body with these parts. **Raises** `InputError` where the ring does not fit into memory."""
        from steepest.algorithms.architecture import Architecture
        from steepest.algorithms.replay_actor_critic import ReplayActorCritic
        from steepest.core.interfaces import RolloutSpec
        from steepest.replay import check_memory

        # Whole segments: a ring that is as long as one must hold all of it.
        capacity = max(min(self.capacity, spec.total_updates * self.steps_per_update), self.steps_per_update)
        check_memory(spec, capacity)
        if isinstance(spec.action, Box) and not spec.action.bounded:
            raise InputError(
                f"action space: a Box without finite bounds; {self.name} acts within them. "
                "Give bounds with --action-low and --action-high (action_low=…, action_high=… in Python)."
            )
        if behaviour.together and self.segment_length > 1:
            raise InputError(
                f"segment_length is {self.segment_length}; noise that drifts moves on only between updates. "
                f"Use segment_length 1, or Gaussian noise."
            )
        return ReplayActorCritic(
            spec=spec,
            rollout=RolloutSpec(self.segment_length, together=behaviour.together, overlaps=True),
            architecture=Architecture.of(self),
            behaviour=behaviour,
            improvement=improvement,
            policy_rule=self._ascent(self.learning_rate),
            critic_rule=self._ascent(self.critic_learning_rate),
            discount=self.discount,
            target_rate=self.target_rate,
            deterministic=deterministic,
            critics=self.critics,
            capacity=capacity,
            batch_size=self.batch_size,
            gradient_steps=round(self.replay_ratio * self.steps_per_update),
            return_steps=self.return_steps,
            warm_up_steps=self.warm_up_steps,
            normalise_observations=self.normalise_observations,
        )

    def _ascent(self, rate: Number) -> AbstractStepRule:
        from steepest.steps import Ascent, Optimiser

        return Ascent(Optimiser(rate, clip_global_norm=self.clip_global_norm))


@dataclasses.dataclass(frozen=True)
class DeterministicHyperParameters(ReplayingHyperParameters):
    """Of those among them whose policy is one action for each state, with noise around it for exploring."""

    stochastic: ClassVar[bool] = False

    policy: Literal["network", "linear"] = "network"
    """A network of its own; or none, so that it is linear in the observation."""
    gaussian: Literal["bounded"] = "bounded"  # pyright: ignore[reportIncompatibleVariableOverride]
    """The action ends at the bounds of the space, by tanh; the noise is for exploring only."""
    log_std: float = -2.3
    """log σ of that noise, relative to half the width of the action space: −2.3 is a tenth of it."""
    exploration: Literal["gaussian", "ornstein_uhlenbeck"] = "gaussian"
    """The noise: new at every step; or drifting, so that neighbouring steps get nearly the same."""

    def exploration_noise(self, spec: Spec) -> AbstractBehaviour:
        """Who acts. **Raises** `InputError` unless actions are continuous."""
        from steepest.policies.behaviour import NoisyMode, OrnsteinUhlenbeck

        if not isinstance(spec.action, Box):
            raise InputError(
                f"{self.name} asks how its critic changes with the action, but the action space is "
                f"{type(spec.action).__name__}. Use off_policy_actor_critic there."
            )
        if self.exploration == "ornstein_uhlenbeck":
            return OrnsteinUhlenbeck(spec.action, std=math.exp(self.log_std))
        return NoisyMode(spec.action)
