"""How a policy is improved on transitions that were drawn from a ring, given a critic of actions."""

import abc
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.distributions import Categorical
from steepest.core.problem import SampledProblem
from steepest.core.trajectory import Batch
from steepest.critics import AbstractActionValue
from steepest.objectives import AbstractObjective, Deterministic, Entropy, FreshAction, FreshActionForm, Ratio
from steepest.policies import AbstractPolicy


class AbstractImprovement(eqx.Module):
    """How a policy is improved with a critic of actions: makes the problem whose gradient moves the policy."""

    entropy_bonus: eqx.AbstractVar[float | Float[Array, ""]]

    @abc.abstractmethod
    def objective(self, key: Key[Array, ""], critic: AbstractActionValue) -> AbstractObjective:
        """What is made larger."""

    def advantage(
        self, key: Key[Array, ""], policy: AbstractPolicy, critic: AbstractActionValue, batch: Batch
    ) -> Array:
        """What the objective weights rows with; 1 where it asks the critic itself."""
        return batch.weight

    def problem(
        self, key: Key[Array, ""], policy: AbstractPolicy, critic: AbstractActionValue, batch: Batch
    ) -> SampledProblem:
        """The problem of the rows of `batch`, whose advantages are not filled in yet."""
        advantage = jax.lax.stop_gradient(self.advantage(key, policy, critic, batch))
        batch = dataclasses.replace(batch, advantage=advantage)
        objective = self.objective(key, critic) + self.entropy_bonus * Entropy()
        return SampledProblem(objective, batch, policy(batch.obs))


class ByDeterministicGradient(AbstractImprovement):
    """$Q(s, \\mu_\\theta(s))$ (G15)."""

    entropy_bonus: float | Float[Array, ""] = 0.0

    def objective(self, key: Key[Array, ""], critic: AbstractActionValue) -> AbstractObjective:
        return Deterministic(critic)


class ByFreshActions(AbstractImprovement):
    """What the policy would do in the states of the ring (G14)."""

    form: FreshActionForm = eqx.field(static=True)
    actions: int = eqx.field(static=True)
    entropy_bonus: float | Float[Array, ""] = 0.0

    def objective(self, key: Key[Array, ""], critic: AbstractActionValue) -> AbstractObjective:
        return FreshAction(critic, key, self.form, self.actions)


class ByRatio(AbstractImprovement):
    """$\\rho\\,(Q(s,a) - V(s))$ at the actions that were taken (G13), with $V(s) = E_{a\\sim\\pi}Q(s,a)$.

    Under β the mean of $\\rho\\nabla\\log\\pi$ is 0 in every state, so V changes no mean, and takes noise away. It is
    the sum over one discrete choice, else a mean over `actions` that are drawn.
    """

    actions: int = eqx.field(static=True)
    entropy_bonus: float | Float[Array, ""] = 0.0

    def objective(self, key: Key[Array, ""], critic: AbstractActionValue) -> AbstractObjective:
        return Ratio()

    def advantage(
        self, key: Key[Array, ""], policy: AbstractPolicy, critic: AbstractActionValue, batch: Batch
    ) -> Array:
        distribution = policy(batch.obs)
        if isinstance(distribution, Categorical):
            worth = jnp.sum(jax.nn.softmax(distribution.logits) * critic.values(batch.obs), axis=-1)
        else:
            keys = jax.random.split(key, self.actions)

            def judged(key: Key[Array, ""]) -> Array:
                return critic(batch.obs, distribution.squash(distribution.sample(key)))

            worth = jnp.mean(jax.vmap(judged)(keys), axis=0)
        return critic(batch.obs, distribution.squash(batch.action)) - worth
