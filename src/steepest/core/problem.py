"""What a step rule may ask of the world."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, Int

from steepest.core.distributions import AbstractDistribution
from steepest.core.histories import Histories, sequence_rows, streams_of, take_rows
from steepest.core.trajectory import Batch
from steepest.core.types import PyTree

Parameters = TypeVar("Parameters")
Info = dict[str, Array]
Objective = Callable[..., tuple[Array, Info]]


class AbstractMaximisation(eqx.Module, Generic[Parameters]):
    """Something to be made larger by moving parameters, made of `size` rows that can be taken a few at a time."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many rows there are; 1 for a problem that is not made of samples."""

    @property
    def streams(self) -> int | None:
        """N, where the rows are T × N laid end to end and only whole streams, in the order of time, make a minibatch.

        So it is where the parameters are of something with memory. None where every row stands alone.
        """
        return None

    @abc.abstractmethod
    def minibatch(self, indices: Int[Array, " M"]) -> "AbstractMaximisation[Parameters]":
        """The same problem on some of its rows."""

    def in_sequences(self, parameters: Parameters, length: int) -> "AbstractMaximisation[Parameters]":
        """The same problem with every stream cut into sequences of `length` rows, each a stream of its own.

        A sequence begins with the memory that something with these parameters has there, and no gradient goes further
        back. Where every row stands alone there is nothing to cut.
        """
        return self

    @abc.abstractmethod
    def evaluate(self, parameters: Parameters) -> tuple[Float[Array, ""], Info]:
        """The objective, and what else was learnt on the way to it."""

    def gradient(self, parameters: Parameters) -> tuple[Parameters, Info]:
        """The gradient of the objective, shaped like the parameters, with `evaluate`'s info and the `objective`."""
        (objective, info), gradient = jax.value_and_grad(self.evaluate, has_aux=True)(parameters)
        return gradient, info | {"objective": objective}


class AbstractProblem(AbstractMaximisation[Parameters]):
    """A policy-improvement problem around the policy that gathered the data.

    A step rule sees nothing else, so it cannot tell a problem made of samples from an exact one:
    that is what lets every step rule be tested against the truth.
    """

    @abc.abstractmethod
    def kl(self, policy: Parameters, *, reverse: bool = False) -> Float[Array, ""]:
        """Mean over states of KL(old ‖ new), or in reverse of KL(new ‖ old), in closed form, in nats."""

    @abc.abstractmethod
    def fisher(self, policy: Parameters) -> lx.AbstractLinearOperator:
        """The Fisher information at `policy`: the Hessian of `kl` (T5), as an operator on trees shaped like it."""

    @abc.abstractmethod
    def empirical_fisher(self, policy: Parameters) -> lx.AbstractLinearOperator:
        """The mean outer product of the scores of the actions taken, an operator on trees shaped like `policy`."""

    @abc.abstractmethod
    def thinned(self, rows: int) -> "AbstractProblem[Parameters]":
        """The same problem on every k-th row, so that at least `rows` are left where there were as many.

        Where streams must stay whole, on every k-th of them.
        """


def with_kl(problem: AbstractMaximisation[Parameters]) -> AbstractProblem[Parameters]:
    """The same problem, for rules that ask for its KL. **Raises** `TypeError` for one that has none."""
    if not isinstance(problem, AbstractProblem):
        raise TypeError("this rule limits a KL, but the problem has none. Use it on a policy, or another rule here.")
    return problem


class SampledProblem(AbstractProblem[Parameters]):
    """The problem that a batch of transitions poses.

    **Arguments**

    - `objective`: a function `(policy, batch) -> (scalar, info)`, maximised.
    - `batch`: the rows.
    - `old`: the distributions of the policy that gathered them, one for each row.
    """

    objective: Objective
    batch: Batch
    old: AbstractDistribution

    @property
    def size(self) -> int:
        return self.batch.weight.shape[0]

    @property
    def streams(self) -> int | None:
        return streams_of(self.batch.obs)

    def minibatch(self, indices: Int[Array, " M"]) -> "SampledProblem[Parameters]":
        batch, old = take_rows((self.batch, self.old), indices)
        return SampledProblem(self.objective, batch, old)

    def in_sequences(self, parameters: Parameters, length: int) -> "SampledProblem[Parameters]":
        obs = self.batch.obs
        if not isinstance(obs, Histories):
            return self
        rows = sequence_rows(obs.length, obs.streams, length)
        cut = obs.in_sequences(parameters, length)
        batch, old = jax.tree.map(lambda each: each[rows], (dataclasses.replace(self.batch, obs=None), self.old))
        return SampledProblem(self.objective, dataclasses.replace(batch, obs=cut), old)

    def thinned(self, rows: int) -> "SampledProblem[Parameters]":
        if self.streams is not None:
            length = self.size // self.streams
            kept = jnp.arange(0, self.streams, max(1, self.streams // -(-rows // length)), jnp.int32)
            times = jnp.arange(length, dtype=jnp.int32)[:, None]
            return self.minibatch((times * self.streams + kept[None, :]).reshape(-1))
        stride = max(1, self.size // rows)
        batch, old = jax.tree.map(lambda leaf: leaf[::stride], (self.batch, self.old))
        return SampledProblem(self.objective, batch, old)

    def evaluate(self, parameters: Parameters) -> tuple[Float[Array, ""], Info]:
        return self.objective(parameters, self.batch)

    def kl(self, policy: Parameters, *, reverse: bool = False) -> Float[Array, ""]:
        new = _distribution(policy, self.batch)
        return weighted_mean(new.kl(self.old) if reverse else self.old.kl(new), self.batch.weight)

    def fisher(self, policy: Parameters) -> lx.AbstractLinearOperator:
        """$F v = \\frac{1}{\\sum w}\\sum_s w_s\\, J_s^\\top H_s J_s v$: the mean is taken after the product (S3)."""
        distribution, forward = jax.linearize(lambda each: _distribution(each, self.batch), policy)
        backward = jax.linear_transpose(forward, policy)
        share = self.batch.weight / jnp.sum(self.batch.weight)

        def product(tangent: Parameters) -> Parameters:
            curved = distribution.fisher_product(forward(tangent))
            weighted = jax.tree.map(lambda leaf: jax.vmap(jnp.multiply)(share, leaf), curved)
            return backward(weighted)[0]

        return lx.FunctionLinearOperator(product, jax.eval_shape(lambda: policy), lx.positive_semidefinite_tag)

    def empirical_fisher(self, policy: Parameters) -> lx.AbstractLinearOperator:
        """$F v = \\sum_i w_i\\, s_i s_i^\\top v / \\sum_i w_i$ with the scores $s_i = \\nabla\\log\\pi(a_i|s_i)$."""
        _, forward = jax.linearize(lambda each: _distribution(each, self.batch).log_prob(self.batch.action), policy)
        backward = jax.linear_transpose(forward, policy)
        share = self.batch.weight / jnp.sum(self.batch.weight)

        def product(tangent: Parameters) -> Parameters:
            return backward(share * forward(tangent))[0]

        return lx.FunctionLinearOperator(product, jax.eval_shape(lambda: policy), lx.positive_semidefinite_tag)


def _distribution(policy: PyTree, batch: Batch) -> AbstractDistribution:
    return policy(batch.obs)


def weighted_mean(values: Float[Array, " B"], weight: Float[Array, " B"]) -> Float[Array, ""]:
    """$\\sum w x / \\sum w$. A row of weight 0 counts for nothing, even when it holds NaN; no rows at all give 0."""
    total = jnp.sum(weight)
    return jnp.sum(jnp.where(weight > 0, values * weight, 0)) / jnp.where(total > 0, total, 1)
