"""The smallest policy that can learn: two actions, one number."""

import jax.numpy as jnp
from jaxtyping import Float

from steepest.core.distributions import Categorical
from steepest.core.types import AnyArray, PyTree
from steepest.policies.policy import AbstractPolicy


class TwoActionPolicy(AbstractPolicy):
    r"""The first of two actions with probability $\pi_1 = e^\theta/(1+e^\theta)$, whatever is observed (T6).

    **Arguments**

    - `logit`: $\theta$, the log-odds of the first action.
    """

    logit: float | Float[AnyArray, ""]

    def __call__(self, obs: PyTree) -> Categorical:
        """The same distribution for every number of a state in `obs`, [*batch]."""
        logits = jnp.stack([jnp.asarray(self.logit), jnp.zeros_like(self.logit)])
        return Categorical(jnp.broadcast_to(logits, (*obs.shape, 2)))
