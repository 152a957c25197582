"""Several choices at once."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from steepest.core.distributions.abstract import AbstractDistribution
from steepest.core.distributions.categorical import Categorical
from steepest.core.errors import InputError


class MultiDiscrete(AbstractDistribution["MultiDiscrete"]):
    r"""k independent choices, the i-th among $n_i$.

    $$\pi(a) = \prod_{i=1}^k \pi_i(a_i)$$

    so log-probabilities, entropies and divergences are sums over the choices, and the Fisher metric has one block
    for each.

    **Arguments**

    - `logits`: k arrays, the i-th [*batch, $n_i$]; see `Categorical`.

    Actions are int32, [*batch, k].

    **Example**

    >>> policy = MultiDiscrete((jnp.zeros(2), jnp.zeros(4)))
    >>> print(f"{policy.log_prob(jnp.array([1, 3])):.4f}")  # −log 8
    -2.0794

    **Reference** Tavakoli et al., *Action Branching Architectures for Deep Reinforcement Learning*, 2018.
    """

    logits: tuple[Float[Array, "*batch _"], ...]

    def __check_init__(self):
        if not self.logits:
            raise InputError("MultiDiscrete: logits is empty; give one array of logits for each choice.")

    def choices(self) -> tuple[Categorical, ...]:
        """The k distributions that this one is the product of."""
        return tuple(Categorical(logits) for logits in self.logits)

    def masked(self, mask: Bool[Array, "*batch m"]) -> "MultiDiscrete":
        ends = np.cumsum([logits.shape[-1] for logits in self.logits])[:-1].tolist()
        parts = zip(self.choices(), jnp.split(mask, ends, axis=-1), strict=True)
        return MultiDiscrete(tuple(each.masked(part).logits for each, part in parts))

    def sample(self, key: Key[Array, ""]) -> Int[Array, "*batch k"]:
        """Draw one action for each batch entry."""
        first = self.logits[0]
        level = jax.random.uniform(key, (*first.shape[:-1], len(self.logits)), first.dtype)
        return jnp.stack([each.quantile(level[..., i]) for i, each in enumerate(self.choices())], axis=-1)

    def log_prob(self, action: Int[Array, "*batch k"]) -> Float[Array, "*batch"]:
        """$\\sum_i \\log\\pi_i(a_i)$."""
        return sum_of([each.log_prob(action[..., i]) for i, each in enumerate(self.choices())])

    def entropy(self) -> Float[Array, "*batch"]:
        """$\\sum_i H(\\pi_i)$."""
        return sum_of([each.entropy() for each in self.choices()])

    def kl(self, other: "MultiDiscrete") -> Float[Array, "*batch"]:
        """$\\sum_i KL(\\pi_i\\,\\|\\,\\pi'_i)$."""
        return sum_of([mine.kl(its) for mine, its in zip(self.choices(), other.choices(), strict=True)])

    def mode(self) -> Int[Array, "*batch k"]:
        """The most probable action."""
        return jnp.stack([each.mode() for each in self.choices()], axis=-1)

    def fisher_product(self, tangent: "MultiDiscrete") -> "MultiDiscrete":
        """$(F_1 v_1, …, F_k v_k)$."""
        pairs = zip(self.choices(), tangent.choices(), strict=True)
        return MultiDiscrete(tuple(each.fisher_product(direction).logits for each, direction in pairs))


def sum_of(terms: list[Float[Array, "*batch"]]) -> Float[Array, "*batch"]:
    """The sum of arrays of one shape."""
    total, *rest = terms
    for term in rest:
        total = total + term
    return total
