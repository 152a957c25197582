"""What the hyper-parameters of every algorithm can do, and what families of them share: methods, never fields.

This file and those of the algorithms do not import JAX, so that the command line can read them at once: the parts are
imported where an algorithm is built.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.core.errors import InputError
from steepest.core.spaces import Spec
from steepest.core.validation import check_choice, check_fields, check_start_of_log_std

if TYPE_CHECKING:
    from jax import Array

    from steepest.advantages import AbstractAdvantage
    from steepest.algorithms.architecture import Architecture
    from steepest.algorithms.bodies.actor_critic import ActorCritic
    from steepest.core.interfaces import AbstractActor, AbstractAlgorithm, AbstractStepRule, RolloutSpec
    from steepest.core.spaces import Space, SpacesOfEnvironment
    from steepest.critics import AbstractCriticObjective
    from steepest.objectives import AbstractObjective


ENCODERS = ("auto", "mlp", "nature", "impala", "embedding")
"""What observations may go through, beside modules of the user's own."""


@dataclasses.dataclass(frozen=True)
class HyperParameters(metaclass=abc.ABCMeta):
    """The hyper-parameters of an algorithm: a frozen dataclass that lists all of them, and `build`.

    They are checked where they are constructed. Numbers that are no counts may be JAX arrays, so that `jax.vmap` can
    train over many of them at once.

    - `name`, `title`: as the command line shows them.
    - `demonstrated`: whether it learns from demonstrations, and plays no environment.
    - `asynchronous`: whether gradients come from workers of their own, on Ray; then it has `workers` and `ray_address`.
    - `stochastic`: whether every action has a probability, so that others can learn from what its policy does.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    demonstrated: ClassVar[bool] = False
    asynchronous: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check every field against its annotation. What concerns two fields of one algorithm is its own to check."""
        check_fields(self)
        check_start_of_log_std(getattr(self, "gaussian", ""), getattr(self, "log_std", 0.0))
        self._check_encoder()

    @abc.abstractmethod
    def build(self, spec: Spec) -> AbstractAlgorithm:
        """The algorithm for a task, put together from its parts."""

    @abc.abstractmethod
    def num_streams(self, observation: Space, action: Space) -> int:
        """Streams that are sampled side by side, for these spaces: the N of a trajectory."""

    @property
    @abc.abstractmethod
    def steps_per_update(self) -> int | None:
        """Steps that one update learns from; None where it depends on how long episodes are."""

    def for_env(self, env: SpacesOfEnvironment, *, updates: int) -> AbstractAlgorithm:
        """The algorithm for an environment, built for a run of so many updates.

        >>> from steepest import PPO
        >>> from steepest.envs.cart_pole import CartPole
        >>> algorithm = PPO(num_envs=8).for_env(CartPole(), updates=50)
        >>> algorithm.spec.num_envs, algorithm.spec.total_updates, algorithm.spec.max_episode_steps
        (8, 50, 500)
        """
        observation, action = env.observation_space, env.action_space
        streams = self.num_streams(observation, action)
        return self.build(Spec(observation, action, streams, updates, env.max_episode_steps))

    @property
    def acting_run(self) -> str | None:
        """The directory of a run whose policy acts while this one learns; None where it acts itself."""
        return None

    def build_with_actor(self, spec: Spec, actor: AbstractActor, agent: object) -> AbstractAlgorithm:
        """The algorithm where `acting_run` names a run, with the actor of that run and its agent."""
        raise InputError(f"{self.name} learns from what it does itself, and no other actor can act for it.")

    def for_evaluation(self) -> HyperParameters:
        """Hyper-parameters of the same policy that ask for nothing which only learning needs."""
        return self

    def with_absolute_paths(self) -> HyperParameters:
        """The same, with whole paths in place of relative ones: the run may be looked at from elsewhere."""
        return self

    def notices(self, total_steps: int) -> tuple[str, ...]:
        """What a person should know before training begins: settings that are allowed, and hardly meant."""
        return ()

    @property
    def critic_rate(self) -> float | Array:
        """The critic's learning rate, which is the policy's where none is given."""
        own = getattr(self, "critic_learning_rate", None)
        return getattr(self, "learning_rate") if own is None else own  # noqa: B009  not every algorithm has the field

    def architecture(self, **changes: object) -> Architecture:
        """The networks that the fields describe: `policy`, `hidden`, `activation` and what else of them there is."""
        from steepest.algorithms.architecture import Architecture, architecture

        names = [field.name for field in dataclasses.fields(Architecture)]
        described = {name: getattr(self, name) for name in names if hasattr(self, name)}
        return architecture(**described | changes)

    def actor_critic(
        self,
        spec: Spec,
        *,
        rollout: RolloutSpec,
        advantage: AbstractAdvantage,
        objective: AbstractObjective,
        policy_rule: AbstractStepRule,
        critic_rule: AbstractStepRule | None = None,
        critic_objective: AbstractCriticObjective | None = None,
    ) -> ActorCritic:
        """The body of on-policy algorithms with these parts; its networks and its normalisation are as the fields say.

        Where actor and critic share a network, one step rule moves both, on the sum of their objectives.
        """
        from steepest.advantages import Standardised
        from steepest.algorithms.bodies.actor_critic import ActorCritic
        from steepest.critics import SquaredError
        from steepest.objectives import WithValue

        networks = self.architecture()
        shared = getattr(self, "shared_network", False)
        alone = networks.separate if critic_rule is not None else networks.without_critic
        return ActorCritic(
            spec=spec,
            rollout=rollout,
            networks=networks.shared if shared else alone,
            advantage=Standardised(advantage) if getattr(self, "normalise_advantages", False) else advantage,
            objective=WithValue(objective, getattr(self, "value_coefficient", 0.5)) if shared else objective,
            policy_rule=policy_rule,
            critic_objective=critic_objective or SquaredError(),
            critic_rule=None if shared else critic_rule,
            discount=getattr(self, "discount", 1.0),
            normalise_observations=getattr(self, "normalise_observations", False),
            scale_rewards=getattr(self, "scale_rewards", False),
        )

    def _check_encoder(self) -> None:
        """Refuse an encoder that has no such name, or stands before a policy that sees observations as they are."""
        encoder, policy = getattr(self, "encoder", "auto"), getattr(self, "policy", "network")
        if ":" not in encoder:
            check_choice("encoder", encoder, (*ENCODERS, "module:Class"))
        if encoder not in ("auto", "mlp") and policy != "network":
            raise InputError(f"encoder is {encoder!r}, but policy is {policy!r}, which has none. Use 'network'.")

    def check_memory(self) -> None:
        """Refuse a memory where the policy is not a network."""
        if getattr(self, "memory", "none") != "none" and getattr(self, "policy", "network") != "network":
            raise InputError(
                f"memory is {getattr(self, 'memory')!r}, but policy is {getattr(self, 'policy')!r}, which has none. "  # noqa: B009
                "Use 'network'; with hidden layers left out, say."
            )

    def check_shared_network(self) -> None:
        """Refuse a shared network where the policy is a table."""
        if getattr(self, "shared_network", False) and getattr(self, "policy", "network") == "tabular":
            raise InputError(
                "shared_network is True, but policy is 'tabular', which has no layers to share. Use 'network'."
            )


class OnSegments(HyperParameters):
    """Algorithms that learn from segments of running episodes: `num_envs` × `segment_length` steps an update."""

    num_envs: int
    segment_length: int

    def num_streams(self, observation: Space, action: Space) -> int:
        return self.num_envs

    @property
    def steps_per_update(self) -> int:
        """One segment of every environment."""
        return self.num_envs * self.segment_length

    def check_minibatch(self) -> None:
        """Refuse a minibatch that does not divide the rows of an update, and name the nearest that does."""
        size, rows = getattr(self, "minibatch_size", 1), self.steps_per_update
        if rows % size:
            divisor = min((each for each in range(1, rows + 1) if rows % each == 0), key=lambda each: abs(each - size))
            raise InputError(
                f"minibatch_size is {size}; it must divide segment_length × num_envs = {self.segment_length} × "
                f"{self.num_envs} = {rows}. The nearest that does is {divisor}."
            )


class OnEpisodes(HyperParameters):
    """Algorithms that learn from whole episodes: one of every environment an update."""

    num_envs: int

    def num_streams(self, observation: Space, action: Space) -> int:
        return self.num_envs

    @property
    def steps_per_update(self) -> None:
        """As many as the episodes have."""
        return
