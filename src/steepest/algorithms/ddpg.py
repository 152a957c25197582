"""DDPG (A11)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.replaying import DeterministicHyperParameters

if TYPE_CHECKING:
    from steepest.algorithms.replay_actor_critic import ReplayActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class DDPG(DeterministicHyperParameters):
    """Deep deterministic policy gradient: a ring of transitions, slow targets, and noise around one best action.

    | part | choice |
    |---|---|
    | who acts | the policy, with Gaussian noise or noise that drifts; uniform actions at first |
    | critic | one or two networks of (s, a), regression to r + γQ̄(s′, μ̄(s′)) with slow targets (C4, C6) |
    | objective | Q(s, μ(s)) (G15) |
    | step rule | one ascent step with Adam, on a minibatch of the ring, for each transition |

    What differs from the paper: Gaussian noise unless told otherwise; actions enter the critic at its first layer; no
    batch normalisation, but `normalise_observations`, and no weight decay; a warm-up of uniform actions. `critics=2`
    takes the lesser of two, as TD3 does.

    **Reference** Lillicrap et al., *Continuous control with deep reinforcement learning*, 2016.
    """

    name: ClassVar[str] = "ddpg"
    title: ClassVar[str] = "Deep deterministic policy gradient (Lillicrap et al., 2016)"

    def build(self, spec: Spec) -> ReplayActorCritic:
        """Put the parts together for a task. **Raises** `InputError` unless actions are continuous and bounded."""
        from steepest.algorithms.improvement import ByDeterministicGradient

        return self.replaying(
            spec, improvement=ByDeterministicGradient(), behaviour=self.exploration_noise(spec), deterministic=True
        )
