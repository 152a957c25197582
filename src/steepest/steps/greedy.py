"""Improvement without a limit (S8)."""

from typing import Any, ClassVar

from jaxtyping import Array, Key

from steepest.core.interfaces import AbstractStepRule
from steepest.core.problem import AbstractMaximisation, Info, Parameters, with_kl
from steepest.core.types import PyTree


class Greedy(AbstractStepRule):
    r"""$\pi_{k+1} = \arg\max_{\pi'} \bar A(\pi')$, as nearly as the `inner` climb gets there.

    The surrogate is linear in the probabilities of π′, so a policy that can say anything puts all of them on
    $\arg\max_a \tilde A(s,a)$ in every state. Nothing keeps it near the policy that gathered the data. On an exact
    problem that is policy iteration; on a sampled one it may lose what it had (T8).

    **Arguments**

    - `inner`: what climbs, for as long as it takes to arrive.

    `info` holds the inner rule's, and the `measured_kl` and `measured_gain` of the whole step.

    **Reference** Kakade and Langford, *Approximately Optimal Approximate Reinforcement Learning*, 2002.
    """

    needs_surrogate: ClassVar[bool] = True

    inner: AbstractStepRule

    def init(self, parameters: PyTree) -> PyTree:
        return self.inner.init(parameters)

    def step(
        self, key: Key[Array, ""], parameters: Parameters, problem: AbstractMaximisation, state: Any
    ) -> tuple[Parameters, PyTree, Info]:
        problem = with_kl(problem)
        before = problem.evaluate(parameters)[0]
        moved, state, info = self.inner.step(key, parameters, problem, state)
        gain = problem.evaluate(moved)[0] - before
        return moved, state, info | {"measured_kl": problem.kl(moved), "measured_gain": gain}
