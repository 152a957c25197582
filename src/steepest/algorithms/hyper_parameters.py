"""The hyper-parameters that algorithms share, checked where they are given.

This file and those of the algorithms do not import JAX, so that the command line can read them at once: the parts are
imported where they are composed.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from steepest.core.errors import InputError
from steepest.core.validation import check_choices, check_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.interfaces import AbstractActor, AbstractAlgorithm, AbstractStepRule, RolloutSpec
    from steepest.core.spaces import Space, Spec
    from steepest.core.trajectory import Estimates
    from steepest.objectives import AbstractObjective
    from steepest.steps import MinibatchAscent

Number = Annotated[Any, tyro.conf.arg(constructor=float, metavar="FLOAT")]
"""A float; or an array of one, under `jax.vmap`."""


@dataclasses.dataclass(frozen=True)
class HyperParameters(abc.ABC):
    """What every algorithm can be told: what its policy is like.

    Numbers may be JAX arrays where they are not counts, so that `jax.vmap` can train over many of them at once.

    - `demonstrated`: whether it learns from what somebody else did, and plays no environment.
    - `asynchronous`: whether gradients come from workers of their own, on Ray; then it has `workers` and `ray_address`.
    - `stochastic`: whether every action has a probability, so that others can learn from what its policy does.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    demonstrated: ClassVar[bool] = False
    asynchronous: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True

    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers of policy and critic; none gives linear ones."""
    activation: Literal["tanh", "relu", "elu", "gelu", "silu"] = "tanh"
    """Between the layers."""
    gaussian: Literal["gaussian", "state_dependent", "squashed"] = "gaussian"
    """For continuous actions: σ the same in all states, σ by state, or that and a tanh that ends at the bounds."""
    log_std: float = 0.0
    """log σ at first, relative to half the width of the action space."""
    normalise_observations: bool = False
    """Shift and scale observations by their running mean and deviation."""

    def __post_init__(self):
        """Refuse what cannot work, with the field, the value, the bound and the remedy."""
        check_choices(self)
        check_number("log_std", self.log_std, at_least=-5, at_most=2, remedy="0 is usual; below it explores less.")
        for width in self.hidden:
            check_number("hidden", width, at_least=1, whole=True, remedy="64 64 is usual.")

    @abc.abstractmethod
    def build(self, spec: Spec) -> AbstractAlgorithm:
        """Put the parts together for a task."""

    @property
    def acting_run(self) -> str | None:
        """The directory of a run whose policy acts while this one learns; None where it acts itself."""
        return None

    def build_with_actor(self, spec: Spec, actor: AbstractActor, agent: object) -> AbstractAlgorithm:
        """Put the parts together where `acting_run` names a run: `actor` and `agent` are what it came to."""
        raise InputError(f"{self.name} learns from what it does itself, and no other actor can act for it.")

    def for_evaluation(self) -> HyperParameters:
        """Hyper-parameters of the same policy for whoever only acts: they ask for nothing that learning needs."""
        return self

    def with_absolute_paths(self) -> HyperParameters:
        """The same, with whole paths in place of relative ones: the run may be looked at from elsewhere."""
        return self

    def notices(self, total_steps: int) -> tuple[str, ...]:
        """What a person should know before training begins: settings that are allowed, and hardly meant."""
        return ()

    @abc.abstractmethod
    def num_streams(self, observation: Space, action: Space) -> int:
        """Streams that are sampled side by side, for these spaces: the N of a trajectory."""

    @property
    @abc.abstractmethod
    def steps_per_update(self) -> int | None:
        """Steps that one update learns from; None where it depends on how long episodes are."""


@dataclasses.dataclass(frozen=True)
class PlayingHyperParameters(HyperParameters):
    """Of algorithms that learn from rewards, in environments."""

    discount: Number = 0.99
    """γ, per step: a reward k steps ahead counts γ^k."""

    def __post_init__(self):
        super().__post_init__()
        check_number("discount", self.discount, at_least=0, at_most=1, remedy="0.99 is usual.")


@dataclasses.dataclass(frozen=True)
class OnPolicyHyperParameters(PlayingHyperParameters):
    """Of algorithms that learn from what the policy itself has just done."""

    num_envs: int = 8
    """Environments that are sampled side by side."""
    policy: Literal["network", "linear", "shared", "tabular"] = "network"
    """A network of its own; none, so that it is linear in the observation; a network that the critic shares, with two
    heads, and `value_coefficient` between their losses; or a logit for each pair of discrete observation and action."""
    value_coefficient: Number = 0.5
    """Weight of the critic's loss beside the policy's objective, where they share a network."""
    scale_rewards: bool = False
    """Divide rewards by the running deviation of the discounted return."""
    normalise_advantages: bool = False
    """Standardise advantages over the update."""

    def __post_init__(self):
        super().__post_init__()
        check_number("num_envs", self.num_envs, at_least=1, whole=True, remedy="8 is usual.")
        check_number("value_coefficient", self.value_coefficient, above=0, remedy="0.5 is usual.")

    def num_streams(self, observation: Space, action: Space) -> int:
        return self.num_envs

    def actor_critic(
        self,
        spec: Spec,
        *,
        rollout: RolloutSpec,
        advantage: Callable[..., Estimates],
        objective: AbstractObjective,
        policy_rule: AbstractStepRule,
        critic_rule: AbstractStepRule | None,
        **options: Any,
    ) -> ActorCritic:
        """The shared body with these parts, and with what all algorithms can be told.

        Where the critic shares the policy's network, one step rule moves both, on the sum of their objectives.
        """
        from steepest.algorithms.actor_critic import ActorCritic
        from steepest.algorithms.architecture import Architecture
        from steepest.objectives import PlusValue

        if self.policy == "shared" and critic_rule is None:
            raise InputError(f"policy is 'shared', but {self.name} has no critic to share with. Use 'network'.")
        shared = self.policy == "shared"
        return ActorCritic(
            spec=spec,
            rollout=rollout,
            architecture=Architecture.of(self),
            advantage=advantage,
            objective=PlusValue(objective, self.value_coefficient) if shared else objective,
            policy_rule=policy_rule,
            critic_rule=None if shared else critic_rule,
            discount=self.discount,
            normalise_advantages=self.normalise_advantages,
            normalise_observations=self.normalise_observations,
            scale_rewards=self.scale_rewards,
            **options,
        )


@dataclasses.dataclass(frozen=True)
class SegmentHyperParameters(OnPolicyHyperParameters):
    """Of algorithms that learn from segments of running episodes, with GAE."""

    segment_length: int = 256
    """Steps of each environment in an update; num_envs × segment_length rows in all."""
    gae_lambda: Number = 0.95
    """λ of GAE: 0 trusts the critic, 1 the returns."""
    entropy_bonus: Number = 0.0
    """β: the weight of the policy's entropy, in units of advantage per nat."""
    clip_global_norm: Number = 0.5
    """Longer gradients of first-order steps are shortened to this."""
    critic_learning_rate: Number | None = None
    """Of the critic's optimiser; the policy's, where it has one, when left out. A shared network moves with its own."""
    anneal: bool = False
    """Let learning rates fall linearly to 0 at the end of training."""

    def __post_init__(self):
        super().__post_init__()
        check_number("segment_length", self.segment_length, at_least=1, whole=True, remedy="5 to 2048 are usual.")
        check_number("gae_lambda", self.gae_lambda, at_least=0, at_most=1, remedy="0.95 is usual.")
        check_number("entropy_bonus", self.entropy_bonus, at_least=0, remedy="0 to 0.01 are usual.")
        check_number(
            "clip_global_norm", self.clip_global_norm, above=0, infinite=True, remedy="0.5 is usual; inf never clips."
        )
        check_number("critic_learning_rate", self.critic_learning_rate, above=0, remedy="1e-3 is usual.")

    @property
    def steps_per_update(self) -> int:
        """One segment of every environment."""
        return self.segment_length * self.num_envs

    def anneal_over(self, spec: Spec) -> float:
        """The updates over which learning rates fall to 0."""
        return float(spec.total_updates) if self.anneal else math.inf

    def improving(
        self,
        spec: Spec,
        objective: AbstractObjective,
        policy_rule: AbstractStepRule,
        critic_rule: AbstractStepRule,
        *,
        advantage: Callable[..., Estimates] | None = None,
        **options: Any,
    ) -> ActorCritic:
        """The shared body on segments, with GAE unless told otherwise: left to say are the objective and two rules."""
        from steepest.advantages import GAE
        from steepest.core.interfaces import RolloutSpec
        from steepest.objectives import plus_entropy

        return self.actor_critic(
            spec,
            rollout=RolloutSpec(self.segment_length),
            advantage=GAE(self.discount, self.gae_lambda) if advantage is None else advantage,
            objective=plus_entropy(objective, self.entropy_bonus),
            policy_rule=policy_rule,
            critic_rule=critic_rule,
            **options,
        )


@dataclasses.dataclass(frozen=True)
class FittingHyperParameters(SegmentHyperParameters):
    """Of algorithms whose policy takes one step an update, while the critic is fitted in minibatches with Adam."""

    critic_epochs: int = 10
    """Passes of the critic over the rows of an update."""
    minibatch_size: int = 64
    """Rows in one gradient step of the critic; must divide num_envs × segment_length."""
    critic_learning_rate: Number = 1e-3
    """Adam's, for the critic."""
    normalise_advantages: bool = True
    """Standardise advantages over the update."""

    def __post_init__(self):
        super().__post_init__()
        check_number("critic_epochs", self.critic_epochs, at_least=1, whole=True, remedy="10 is usual.")
        check_minibatch(self.minibatch_size, self.segment_length, self.num_envs)

    def fitting(self, spec: Spec) -> MinibatchAscent:
        """The critic's climb."""
        from steepest.steps import MinibatchAscent, Optimiser

        optimiser = Optimiser(self.critic_learning_rate, self.anneal_over(spec), self.clip_global_norm)
        return MinibatchAscent(optimiser, self.critic_epochs, self.minibatch_size)


def check_minibatch(size: int, segment_length: int, num_envs: int) -> None:
    """Refuse a minibatch that does not divide the rows of an update, and name the nearest that does."""
    check_number("minibatch_size", size, at_least=1, whole=True, remedy="64 to 512 are usual.")
    rows = segment_length * num_envs
    if rows % size:
        divisor = min((each for each in range(1, rows + 1) if rows % each == 0), key=lambda each: abs(each - size))
        raise InputError(
            f"minibatch_size is {size}; it must divide segment_length × num_envs = {segment_length} × {num_envs} = "
            f"{rows}. The nearest that does is {divisor}."
        )
