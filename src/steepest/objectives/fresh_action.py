"""What the policy itself would do in states that are given, as a critic judges it (G14)."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.distributions import AbstractDistribution, Categorical
from steepest.core.errors import InputError
from steepest.core.problem import Info, weighted_mean
from steepest.core.trajectory import Batch
from steepest.core.validation import check_number
from steepest.objectives.objective import AbstractObjective

FreshActionForm = Literal["expected", "score", "reparameterised"]


class FreshAction(AbstractObjective):
    r"""$\mathrm{mean}_s\,E_{a\sim\pi_\theta(\cdot|s)}[Q(s,a)]$, as something whose gradient can be had.

    The actions of the batch are not looked at: they are somebody else's. Each form has the same mean gradient.

    | `form` | gradient |
    |---|---|
    | `expected` | $\sum_a \nabla\pi(a|s)\,Q(s,a)$: no noise, for one discrete choice |
    | `score` | $\nabla\log\pi(a|s)\,(Q(s,a) - b)$ with $a\sim\pi$; $b$ is the mean of Q at the other actions drawn |
    | `reparameterised` | $\nabla_\theta Q(s, a_\theta(\varepsilon))$: less noise, but it asks for $\nabla_a Q$ |

    **Arguments**

    - `action_value`: $Q$, `(obs, action) -> value`, and `values(obs)` for `expected`; it is not learned here.
    - `key`: draws the actions; a new one for every step.
    - `actions`: drawn in each state; with one there is no baseline.

    **Reference** Degris, White and Sutton, *Off-Policy Actor-Critic*, 2012, has ratios where this has new actions;
    reparameterised: Haarnoja et al., *Soft Actor-Critic*, 2018, without its entropy.
    """

    action_value: Any
    key: Key[Array, ""]
    form: FreshActionForm = eqx.field(static=True)
    actions: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_number("actions", self.actions, at_least=1, whole=True, remedy="1 to 16 are usual.")

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        if self.form == "expected":
            if not isinstance(distribution, Categorical):
                raise InputError("form is 'expected'; that is a sum over one discrete choice. Use 'score'.")
            chance = jax.nn.softmax(distribution.logits)
            value = jnp.sum(chance * jax.lax.stop_gradient(self.action_value.values(batch.obs)), axis=-1)
            return weighted_mean(value, batch.weight), {}
        one = jax.vmap(lambda key: self._judged(key, distribution, batch))
        action, value = one(jax.random.split(self.key, self.actions))
        if self.form == "reparameterised":
            return weighted_mean(jnp.mean(value, axis=0), batch.weight), {}
        value = jax.lax.stop_gradient(value)
        advantage = value
        if self.actions > 1:
            advantage = (value - jnp.mean(value, axis=0, keepdims=True)) * (self.actions / (self.actions - 1))
        score = jax.vmap(distribution.log_prob)(jax.lax.stop_gradient(action))
        return weighted_mean(jnp.mean(score * advantage, axis=0), batch.weight), {}

    def _judged(self, key: Key[Array, ""], distribution: AbstractDistribution, batch: Batch) -> tuple[Array, Array]:
        action = distribution.sample(key)
        return action, self.action_value(batch.obs, distribution.squash(action))
