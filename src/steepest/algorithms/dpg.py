"""Deterministic policy gradient (A10)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from steepest.algorithms.hyper_parameters import Number
from steepest.algorithms.replaying import DeterministicHyperParameters
from steepest.core.errors import InputError

if TYPE_CHECKING:
    from steepest.algorithms.replay_actor_critic import ReplayActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class DPG(DeterministicHyperParameters):
    """Deterministic policy gradient: the policy follows the slope of its critic, from what was just done.

    | part | choice |
    |---|---|
    | who acts | the policy with a little noise, or uniform actions, whatever the policy |
    | critic | a network of (s, a), or the compatible one: (a − μ)ᵀ∇μᵀw + V(s); regression to r + γQ̄(s′, μ̄(s′)) |
    | objective | Q(s, μ(s)) (G15) |
    | step rule | ascent steps with Adam, on minibatches of the newest segment |

    Nothing older than the newest segment is learned from, unless `capacity` says so; with a large one and a segment of
    one step it is `ddpg`. Without noise the critic learns nothing of other actions, so on-policy means that the noise
    is small. With `behaviour='uniform'` it is off-policy: no ratio is needed, as the policy has no probabilities.

    What differs from the paper: Adam, minibatches and slow targets in place of one plain step for each transition; and
    V is a network.

    **Reference** Silver et al., *Deterministic Policy Gradient Algorithms*, 2014: COPDAC-Q with the compatible critic.
    """

    name: ClassVar[str] = "dpg"
    title: ClassVar[str] = "Deterministic policy gradient (Silver et al., 2014)"

    num_envs: int = 8
    segment_length: int = 32
    replay_ratio: float = 0.25
    capacity: int = 256
    """Transitions that are remembered: one segment of every environment."""
    warm_up_steps: int = 0
    action_value: Literal["network", "compatible"] = "network"
    """The critic: a network of its own; or one whose slope in the action is linear in the policy's features."""
    behaviour: Literal["noisy", "uniform"] = "noisy"
    """Who acts: the policy with noise, or uniform actions."""
    target_rate: Number = 0.01

    def build(self, spec: Spec) -> ReplayActorCritic:
        """Put the parts together for a task. **Raises** `InputError` unless actions are continuous and bounded."""
        from steepest.algorithms.improvement import ByDeterministicGradient
        from steepest.policies.behaviour import Uniform

        if self.behaviour == "uniform" and self.exploration != "gaussian":
            raise InputError(
                f"exploration is '{self.exploration}', but behaviour is 'uniform', which plays no noise. Leave one out."
            )
        noisy = self.exploration_noise(spec)
        behaviour = Uniform(spec.action) if self.behaviour == "uniform" else noisy
        return self.replaying(spec, improvement=ByDeterministicGradient(), behaviour=behaviour, deterministic=True)
