"""What every distribution over actions can do."""

import abc
from typing import Generic, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from steepest.core.errors import InputError
from steepest.core.types import PyTree

Distribution = TypeVar("Distribution")


class AbstractDistribution(eqx.Module, Generic[Distribution]):
    r"""A batch of independent distributions over actions, one for each observation.

    Parameters have shape [*batch, event…]; every leading axis is a batch axis, so nothing needs to be mapped over,
    though everything may be. The parameters are the only leaves: a tangent, a gradient or a metric product is
    an object of the same class. A subclass names itself: `class Categorical(AbstractDistribution["Categorical"])`.

    NaN in a parameter comes out of everything that depends on it as NaN; it is never clipped away. Discrete actions
    cannot be NaN, so sampling from NaN gives some action, whose log-probability is NaN.

    An action is what the distribution is over: what `sample` draws, trajectories hold and `log_prob` judges. What the
    environment takes may be a function of it, without parameters: `squash`.
    """

    def masked(self, mask: Bool[Array, "*batch m"]) -> Distribution:
        """This distribution given that the action is an allowed one; the others have probability 0, and no gradient.

        **Arguments**

        - `mask`: True for each choice that is allowed, as `steepest.core.spaces.Mask` orders them. A row in which a
          component has none gives NaN.

        **Raises** `InputError` for a distribution whose actions are no choices.
        """
        raise InputError(f"there is an action mask, but actions are of a {type(self).__name__}, which has no choices.")

    @abc.abstractmethod
    def sample(self, key: Key[Array, ""]) -> PyTree:
        """Draw one action for each batch entry, [*batch, …]. One key serves the whole batch."""

    def sample_and_log_prob(self, key: Key[Array, ""]) -> tuple[PyTree, Float[Array, "*batch"]]:
        """Draw the action that `sample` draws with this key, and its log-probability.

        Derivatives of the second go through the action as well. The score $\\nabla\\log\\pi(a)$ at a fixed action
        is the gradient of `log_prob`.
        """
        action = self.sample(key)
        return action, self.log_prob(action)

    @abc.abstractmethod
    def log_prob(self, action: PyTree) -> Float[Array, "*batch"]:
        """$\\log\\pi(a)$ in nats: of the probability of a discrete action, of the density of a continuous one."""

    @abc.abstractmethod
    def entropy(self) -> Float[Array, "*batch"]:
        """$H(\\pi) = -E_{a\\sim\\pi}[\\log\\pi(a)]$ in nats, of the action as the environment takes it."""

    @abc.abstractmethod
    def kl(self, other: Distribution) -> Float[Array, "*batch"]:
        """$KL(\\pi\\,\\|\\,\\pi') = E_{a\\sim\\pi}[\\log\\pi(a) - \\log\\pi'(a)]$ in nats, in closed form.

        `self` is the distribution that the expectation is under: the old policy, by the convention of this library.
        """

    @abc.abstractmethod
    def mode(self) -> PyTree:
        """The action to take when acting without noise, [*batch, …]."""

    def squash(self, action: PyTree) -> PyTree:
        """The action as the environment takes it; the same, unless a subclass squashes it.

        Critics of actions judge this one, and so may demonstrations and other policies choose it.
        """
        return action

    def unsquash(self, taken: PyTree) -> tuple[PyTree, Array]:
        """An action that `squash` makes `taken` of, and the log of the slope there, summed over coordinates.

        Where p is a density of `taken`, $\\log p$ plus that is the density of the action.
        """
        return taken, jnp.zeros((), jnp.float32)

    @abc.abstractmethod
    def fisher_product(self, tangent: Distribution) -> Distribution:
        """The Fisher metric of the parameters, $E[\\nabla\\log\\pi\\,\\nabla\\log\\pi^\\top]$, applied to a tangent.

        It is the Hessian of `self.kl(other)` in the parameters of `other`, at `other` = `self` (T5). `tangent` holds
        a direction in place of every parameter, as `jax.jvp` of a policy gives it; so does what is returned.
        """
