"""Off-policy actor–critic (A8)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar, Literal

from steepest.algorithms import fields
from steepest.algorithms.families.replay import ReplayHyperParameters
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete

if TYPE_CHECKING:
    from steepest.algorithms.bodies.replay_actor_critic import ReplayActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class OffPolicyActorCritic(ReplayHyperParameters):
    """Off-policy actor–critic: states from the ring, and what the policy would do there now.

    | part | choice |
    |---|---|
    | who acts | the policy; uniform actions at first |
    | critic | two networks of (s, a), regression to r + γQ̄(s′, a′) with a′ from the policy, not from the ring (C4) |
    | objective | E[Q(s, a)] with new actions from the policy (G14) + β · entropy |
    | step rule | one ascent step with Adam, on a minibatch of the ring, for each transition |

    Two things are easily got wrong, and nothing crashes: fitting V(s) to rewards that another policy earned, and
    taking the score of an action that it chose. `examples/broken_off_policy_actor_critic.py` does both.

    **Reference** Degris, White and Sutton, *Off-Policy Actor-Critic*, 2012, with new actions in place of ratios;
    reparameterised: Heess et al., *Learning Continuous Control Policies by Stochastic Value Gradients*, 2015, SVG(0).
    """

    name: ClassVar[str] = "off_policy_actor_critic"
    title: ClassVar[str] = "Off-policy actor–critic with a ring and new actions"

    num_envs: fields.NumEnvs = 1
    segment_length: fields.SegmentLength = 1
    discount: fields.Discount = 0.99
    entropy_bonus: fields.EntropyBonus = 0.01
    form: fields.Form = "auto"
    fresh_actions: fields.FreshActions = 8
    learning_rate: fields.LearningRate = 1e-3
    critic_learning_rate: fields.CriticLearningRate = 1e-3
    clip_global_norm: fields.ClipGlobalNorm = math.inf
    replay_ratio: fields.ReplayRatio = 1.0
    capacity: fields.Capacity = 1_000_000
    batch_size: fields.BatchSize = 128
    warm_up_steps: fields.WarmUpSteps = 1000
    return_steps: fields.ReturnSteps = 1
    critics: fields.Critics = 2
    target_rate: fields.TargetRate = 0.005
    policy: fields.Policy = "network"
    encoder: fields.Encoder = "auto"
    channels: fields.Channels = "auto"
    hidden: fields.Hidden = (256, 256)
    activation: fields.Activation = "relu"
    gaussian: fields.GaussianKind = "squashed"
    log_std: fields.LogStd = 0.0
    normalise_observations: fields.NormaliseObservations = False

    def build(self, spec: Spec) -> ReplayActorCritic:
        """The algorithm for a task. **Raises** `InputError` where the form does not suit the actions."""
        from steepest.algorithms.bodies.improvement import ByFreshActions
        from steepest.policies.behaviour import OwnPolicy

        form = self._form(isinstance(spec.action, Discrete), isinstance(spec.action, Box))
        count = 1 if form == "reparameterised" else self.fresh_actions
        improvement = ByFreshActions(form=form, actions=count, entropy_bonus=self.entropy_bonus)
        return self.replay_actor_critic(spec, exploration=OwnPolicy(), improvement=improvement)

    def _form(self, discrete: bool, continuous: bool) -> Literal["expected", "score", "reparameterised"]:
        if self.form == "auto":
            return "expected" if discrete else "score"
        if (self.form == "expected" and not discrete) or (self.form == "reparameterised" and not continuous):
            needs = "one discrete choice" if self.form == "expected" else "continuous actions"
            raise InputError(f"form is '{self.form}'; it needs {needs}. Use 'score', or leave it out.")
        return self.form
