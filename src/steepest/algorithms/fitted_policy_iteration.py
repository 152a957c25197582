"""Fitted policy iteration (A17)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.segments import SegmentHyperParameters
from steepest.core.errors import InputError
from steepest.core.spaces import Discrete

if TYPE_CHECKING:
    from steepest.algorithms.bodies.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class FittedPolicyIteration(SegmentHyperParameters):
    """Fitted policy iteration: evaluate, then act greedily, however far that is from what was evaluated.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | importance ratio: linear in π′, so its maximum is a greedy policy |
    | step rule | greedy improvement (S8): minibatch ascent; no limit on the KL but `kl_stop`, if given |
    | critic | its own network, regression to advantage + value (C3), the same minibatches |

    This is what the trust region repairs. The advantages were measured where the old policy goes; the new one leaves
    that place at once, and returns may collapse from one update to the next (T8). The policy stays soft, with a share
    `uniform_share` of uniform choices, since a greedy one would never see what it does not choose.

    What differs from the books: the greedy policy is fitted to the advantages seen, as a classifier is, in place of
    fitting the advantages and taking their argmax in each state.

    **Reference** Lazaric, Ghavamzadeh and Munos, *Analysis of a Classification-based Policy Iteration Algorithm*, 2010;
    what goes wrong: Kakade and Langford, *Approximately Optimal Approximate Reinforcement Learning*, 2002.
    """

    name: ClassVar[str] = "fitted_policy_iteration"
    title: ClassVar[str] = "Fitted policy iteration, greedy (Lazaric et al., 2010)"

    num_envs: fields.NumEnvs = 8
    segment_length: fields.SegmentLength = 256
    discount: fields.Discount = 0.99
    gae_lambda: fields.GAELambda = 0.95
    normalise_advantages: fields.NormaliseAdvantages = True
    entropy_bonus: fields.EntropyBonus = 0.0
    value_coefficient: fields.ValueCoefficient = 0.5
    learning_rate: fields.LearningRate = 3e-4
    critic_learning_rate: fields.CriticLearningRate = None
    anneal: fields.Anneal = False
    clip_global_norm: fields.ClipGlobalNorm = 0.5
    epochs: fields.Epochs = 10
    minibatch_size: fields.MinibatchSize = 64
    kl_stop: fields.KLStop = math.inf
    policy: fields.Policy = "network"
    shared_network: fields.SharedNetwork = False
    encoder: fields.Encoder = "auto"
    channels: fields.Channels = "auto"
    hidden: fields.Hidden = (64, 64)
    activation: fields.Activation = "tanh"
    uniform_share: fields.UniformShare = 0.1
    normalise_observations: fields.NormaliseObservations = False
    scale_rewards: fields.ScaleRewards = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_minibatch(self.minibatch_size)
        self.check_shared_network()

    def build(self, spec: Spec) -> ActorCritic:
        """The algorithm for a task. **Raises** `InputError` unless actions are one discrete choice."""
        from steepest.advantages import GAE
        from steepest.core.interfaces import RolloutSpec
        from steepest.objectives import Entropy, Ratio
        from steepest.steps import Greedy, MinibatchAscent, Optimiser

        if not isinstance(spec.action, Discrete):
            raise InputError(
                f"fitted_policy_iteration chooses one of some actions, but the action space is "
                f"{type(spec.action).__name__}. Use trpo or ppo there."
            )
        policy_optimiser = Optimiser(self.annealed(self.learning_rate), self.clip_global_norm)
        critic_optimiser = Optimiser(self.annealed(self.critic_rate), self.clip_global_norm)
        climb = MinibatchAscent(policy_optimiser, self.epochs, self.minibatch_size, self.kl_stop)
        return self.actor_critic(
            spec,
            rollout=RolloutSpec(self.segment_length),
            advantage=GAE(self.discount, self.gae_lambda),
            objective=Ratio() + self.entropy_bonus * Entropy(),
            policy_rule=Greedy(climb),
            critic_rule=MinibatchAscent(critic_optimiser, self.epochs, self.minibatch_size),
        )
