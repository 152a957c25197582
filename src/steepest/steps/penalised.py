"""A price on the KL: fixed, adapted to a target, or a Lagrange multiplier (S5, S6)."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, Int, Key

from steepest.core.interfaces import AbstractStepRule
from steepest.core.problem import AbstractMaximisation, AbstractProblem, Info, Parameters, with_kl
from steepest.core.types import PyTree
from steepest.core.validation import check_number


class Penalised(AbstractProblem[Parameters]):
    """`problem`'s objective less `price` × KL, on the rows at hand; the KL and its curvature are `problem`'s."""

    problem: AbstractProblem
    price: float | Float[Array, ""]
    reverse_kl: bool = eqx.field(static=True, default=False)

    @property
    def size(self) -> int:
        return self.problem.size

    @property
    def streams(self) -> int | None:
        return self.problem.streams

    def minibatch(self, indices: Int[Array, " M"]) -> "Penalised[Parameters]":
        return Penalised(with_kl(self.problem.minibatch(indices)), self.price, self.reverse_kl)

    def in_sequences(self, parameters: Parameters, length: int) -> "Penalised[Parameters]":
        return Penalised(with_kl(self.problem.in_sequences(parameters, length)), self.price, self.reverse_kl)

    def evaluate(self, parameters: Parameters) -> tuple[Float[Array, ""], Info]:
        gain, info = self.problem.evaluate(parameters)
        return gain - self.price * self.problem.kl(parameters, reverse=self.reverse_kl), info

    def thinned(self, rows: int) -> "Penalised[Parameters]":
        return Penalised(self.problem.thinned(rows), self.price, self.reverse_kl)

    def kl(self, policy: Parameters, *, reverse: bool = False) -> Float[Array, ""]:
        return self.problem.kl(policy, reverse=reverse)

    def fisher(self, policy: Parameters) -> lx.AbstractLinearOperator:
        return self.problem.fisher(policy)

    def empirical_fisher(self, policy: Parameters) -> lx.AbstractLinearOperator:
        return self.problem.empirical_fisher(policy)


class PriceState(eqx.Module):
    """`price`: of a nat of KL, in units of the objective. `inner`: the state of the inner rule."""

    price: Float[Array, ""]
    inner: PyTree


class AbstractPrice(AbstractStepRule):
    """Improves the penalised objective with an inner rule, then sets the price anew by the KL that came of it.

    - `inner`: what climbs, `MinibatchAscent` say; it sees the penalised objective.
    - `initial_price`: λ at first.
    - `rounds`: inner climbs in a step, each with the price that the last one left.
    - `reverse_kl`: KL(new ‖ old) in place of KL(old ‖ new).

    `info` holds the inner rule's, the `price` that the last climb was made with, `measured_kl` and `measured_gain` of
    the objective without its penalty.
    """

    needs_surrogate: ClassVar[bool] = True

    inner: eqx.AbstractVar[AbstractStepRule]
    initial_price: eqx.AbstractVar[float | Float[Array, ""]]
    rounds: eqx.AbstractVar[int]
    reverse_kl: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def repriced(self, price: Float[Array, ""], kl: Float[Array, ""]) -> Float[Array, ""]:
        """The next price, after a step of that KL."""

    def init(self, parameters: PyTree) -> PriceState:
        return PriceState(jnp.asarray(self.initial_price, jnp.float32), self.inner.init(parameters))

    def step(
        self, key: Key[Array, ""], parameters: Parameters, problem: AbstractMaximisation, state: PriceState
    ) -> tuple[Parameters, PriceState, Info]:
        problem = with_kl(problem)
        before = problem.evaluate(parameters)[0]

        def climb(carry: tuple[Any, Any, Any], key):
            policy, price, inner = carry
            policy, inner, info = self.inner.step(key, policy, Penalised(problem, price, self.reverse_kl), inner)
            kl = problem.kl(policy, reverse=self.reverse_kl)
            return (policy, self.repriced(price, kl), inner), info | {"price": price, "measured_kl": kl}

        keys = jax.random.split(key, self.rounds)
        (policy, price, inner), infos = jax.lax.scan(climb, (parameters, state.price, state.inner), keys)
        info = jax.tree.map(lambda leaf: leaf[-1], infos)
        gain = problem.evaluate(policy)[0] - before
        return policy, PriceState(price, inner), info | {"measured_gain": gain}


class KLPenalty(AbstractPrice):
    r"""$\bar A(\theta') - \lambda\,KL$, with λ fixed, or doubled and halved to keep the KL near a target (S6).

    **Arguments**: of `AbstractPrice`, and

    - `target`: in nats; a KL above 1.5 × doubles the price, one below it by as much halves it. `None` fixes the price.

    **Reference** Schulman et al., *Proximal Policy Optimization Algorithms*, 2017, section 4.
    """

    inner: AbstractStepRule
    initial_price: float | Float[Array, ""] = 1.0
    target: float | Float[Array, ""] | None = None
    rounds: int = eqx.field(static=True, default=1)
    reverse_kl: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_number("KL price", self.initial_price, at_least=0, remedy="1 is usual.")
        check_number("KL target", self.target, above=0, remedy="0.01 is usual.")
        check_number("rounds", self.rounds, at_least=1, whole=True, remedy="1 is usual.")

    def repriced(self, price: Float[Array, ""], kl: Float[Array, ""]) -> Float[Array, ""]:
        if self.target is None:
            return price
        return jnp.where(kl > 1.5 * self.target, 2 * price, jnp.where(kl < self.target / 1.5, price / 2, price))


class Lagrangian(AbstractPrice):
    r"""Dual gradient descent on $\bar A(\theta') - \lambda\,(KL - \epsilon)$ (S5):

    ascend in θ', then $\lambda \leftarrow \max(0, \lambda + \alpha\,(KL - \epsilon))$. Where the constraint is slack
    the price falls, to nothing if need be; where it is violated, it rises. λ is carried from step to step.

    **Arguments**: of `AbstractPrice`, and

    - `radius`: $\epsilon > 0$, in nats.
    - `price_rate`: $\alpha > 0$, in units of the objective per nat².

    **Reference** Boyd and Vandenberghe, *Convex Optimization*, 2004, section 5.5; Boyd et al., *Distributed
    Optimization and Statistical Learning via ADMM*, 2011, section 2.1.
    """

    inner: AbstractStepRule
    radius: float | Float[Array, ""]
    initial_price: float | Float[Array, ""] = 1.0
    price_rate: float | Float[Array, ""] = 100.0
    rounds: int = eqx.field(static=True, default=1)
    reverse_kl: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_number("kl radius", self.radius, above=0, remedy="0.01 is usual.")
        check_number("KL price", self.initial_price, at_least=0, remedy="1 is usual.")
        check_number("price_rate", self.price_rate, above=0, remedy="100 is usual.")
        check_number("rounds", self.rounds, at_least=1, whole=True, remedy="1 is usual.")

    def repriced(self, price: Float[Array, ""], kl: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.maximum(0, price + self.price_rate * (kl - self.radius))
