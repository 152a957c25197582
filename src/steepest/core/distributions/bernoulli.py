"""Independent switches."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from steepest.core.distributions.abstract import AbstractDistribution
from steepest.core.distributions.categorical import entropy_terms, kl_terms


class Bernoulli(AbstractDistribution["Bernoulli"]):
    r"""n independent switches, each on with its own probability.

    $$p_i = \frac{1}{1 + e^{-z_i}}, \qquad \pi(a) = \prod_i p_i^{a_i}(1-p_i)^{1-a_i}, \qquad
      F = \mathrm{diag}(p_i(1-p_i))$$

    **Arguments**

    - `logits`: $z$, the log-odds of being on, [*batch, n]. $-\infty$ is always off, $\infty$ always on.

    Actions are int32, [*batch, n], 1 for on and 0 for off; any other number has probability 0.

    **Example**

    >>> policy = Bernoulli(jnp.log(jnp.array([1.0, 3.0])))  # on with probability ½ and ¾
    >>> print(f"{policy.log_prob(jnp.array([0, 1])):.4f}")  # log ⅜
    -0.9808

    **Reference** Bishop, *Pattern Recognition and Machine Learning*, 2006, section 2.1.
    """

    logits: Float[Array, "*batch n"]

    def masked(self, mask: Bool[Array, "*batch m"]) -> "Bernoulli":
        both = mask.reshape(*mask.shape[:-1], mask.shape[-1] // 2, 2)
        off, on = both[..., 0], both[..., 1]
        forced = jnp.where(on, jnp.where(off, 0.0, jnp.inf), jnp.where(off, -jnp.inf, jnp.nan))
        return Bernoulli(jnp.where(on & off, self.logits, forced.astype(self.logits.dtype)))

    def sample(self, key: Key[Array, ""]) -> Int[Array, "*batch n"]:
        """Draw one action for each batch entry."""
        level = jax.random.uniform(key, self.logits.shape, self.logits.dtype)
        return (level < jax.nn.sigmoid(self.logits)).astype(jnp.int32)

    def log_prob(self, action: Int[Array, "*batch n"]) -> Float[Array, "*batch"]:
        """$\\sum_i a_i\\log p_i + (1-a_i)\\log(1-p_i)$."""
        log_p = jax.nn.log_sigmoid(jnp.where(action == 1, self.logits, -self.logits))
        known = (action == 0) | (action == 1)
        return jnp.sum(jnp.where(known, log_p, -jnp.inf), axis=-1)

    def entropy(self) -> Float[Array, "*batch"]:
        """$-\\sum_i p_i\\log p_i + (1-p_i)\\log(1-p_i)$."""
        on, off = log_on_off(self.logits)
        return jnp.sum(entropy_terms(on) + entropy_terms(off), axis=-1)

    def kl(self, other: "Bernoulli") -> Float[Array, "*batch"]:
        """$\\sum_i p_i\\log\\frac{p_i}{p'_i} + (1-p_i)\\log\\frac{1-p_i}{1-p'_i}$."""
        (on, off), (other_on, other_off) = log_on_off(self.logits), log_on_off(other.logits)
        return jnp.sum(kl_terms(on, other_on) + kl_terms(off, other_off), axis=-1)

    def mode(self) -> Int[Array, "*batch n"]:
        """The more probable position of each switch; off, if they are equally so."""
        return (self.logits > 0).astype(jnp.int32)

    def fisher_product(self, tangent: "Bernoulli") -> "Bernoulli":
        """$p_i(1-p_i)\\,v_i$."""
        return Bernoulli(jax.nn.sigmoid(self.logits) * jax.nn.sigmoid(-self.logits) * tangent.logits)


def log_on_off(logits: Float[Array, "*batch n"]) -> tuple[Float[Array, "*batch n"], Float[Array, "*batch n"]]:
    """$\\log p$ and $\\log(1-p)$, neither computed from the other."""
    return jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
