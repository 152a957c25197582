"""Several independent heads, as one distribution over trees of actions."""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float, Key

from steepest.core.distributions.abstract import AbstractDistribution
from steepest.core.distributions.multi_discrete import sum_of
from steepest.core.errors import InputError
from steepest.core.types import PyTree

Parts = dict[str, AbstractDistribution] | tuple[AbstractDistribution, ...]


class Product(AbstractDistribution["Product"]):
    r"""Independent distributions side by side, by name or in a row; a part may be a product itself.

    $$\pi(a) = \prod_i \pi_i(a_i)$$

    so log-probabilities, entropies and divergences are sums over the parts, and the Fisher metric has one block for
    each.

    **Arguments**

    - `parts`: the distributions, all of one batch.

    An action is a dictionary or a tuple as `parts` is, with an action of each part in it.

    **Example**

    >>> import jax.numpy as jnp
    >>> from steepest.core.distributions import Bernoulli, Categorical
    >>> policy = Product({"gear": Categorical(jnp.zeros(4)), "lights": Bernoulli(jnp.zeros(3))})
    >>> action = {"gear": jnp.array(3), "lights": jnp.array([0, 1, 1])}
    >>> print(f"{policy.log_prob(action):.4f}")  # −log(4 × 2³)
    -3.4657

    **Reference** Hausknecht and Stone, *Deep Reinforcement Learning in Parameterized Action Space*, 2016, section 2.
    """

    parts: Parts

    def __check_init__(self):
        if not self.parts:
            raise InputError("Product: there are no parts; give at least one distribution.")

    def sample(self, key: Key[Array, ""]) -> PyTree:
        """Draw one action for each batch entry; each part draws with a key of its own."""
        return self._each(lambda part, key: part.sample(key), self._keys(key))

    def sample_and_log_prob(self, key: Key[Array, ""]) -> tuple[PyTree, Float[Array, "*batch"]]:
        drawn = self._each(lambda part, key: part.sample_and_log_prob(key), self._keys(key))
        return self._each(lambda _, both: both[0], drawn), self._sum(lambda _, both: both[1], drawn)

    def log_prob(self, action: PyTree) -> Float[Array, "*batch"]:
        """$\\sum_i \\log\\pi_i(a_i)$."""
        return self._sum(lambda part, chosen: part.log_prob(chosen), action)

    def entropy(self) -> Float[Array, "*batch"]:
        """$\\sum_i H(\\pi_i)$."""
        return self._sum(lambda part: part.entropy())

    def kl(self, other: "Product") -> Float[Array, "*batch"]:
        """$\\sum_i KL(\\pi_i\\,\\|\\,\\pi'_i)$."""
        return self._sum(lambda part, its: part.kl(its), other.parts)

    def mode(self) -> PyTree:
        """The mode of every part."""
        return self._each(lambda part: part.mode())

    def squash(self, action: PyTree) -> PyTree:
        return self._each(lambda part, chosen: part.squash(chosen), action)

    def unsquash(self, taken: PyTree) -> tuple[PyTree, Array]:
        both = self._each(lambda part, its: part.unsquash(its), taken)
        return self._each(lambda _, one: one[0], both), self._sum(lambda _, one: one[1], both)

    def fisher_product(self, tangent: "Product") -> "Product":
        """$(F_1 v_1, …, F_k v_k)$."""
        return Product(self._each(lambda part, direction: part.fisher_product(direction), tangent.parts))

    def _names(self) -> list:
        return list(self.parts) if isinstance(self.parts, dict) else list(range(len(self.parts)))

    def _each(self, function: Callable, *others: PyTree) -> PyTree:
        """What `function` makes of every part, and of what the others have in its place; shaped like `parts`."""
        made = [function(self.parts[name], *(other[name] for other in others)) for name in self._names()]
        return dict(zip(self._names(), made, strict=True)) if isinstance(self.parts, dict) else tuple(made)

    def _sum(self, function: Callable, *others: PyTree) -> Array:
        made = self._each(function, *others)
        return sum_of(list(made.values() if isinstance(made, dict) else made))

    def _keys(self, key: Key[Array, ""]) -> PyTree:
        return dict(zip(self._names(), jax.random.split(key, len(self.parts)), strict=True))
