"""Markov decision processes given as tables, about which everything is known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from steepest.core.errors import InputError
from steepest.core.problem import SampledProblem
from steepest.core.spaces import MaskedObservation
from steepest.core.trajectory import Batch
from steepest.core.types import AnyArray, PyTree
from steepest.objectives import AbstractObjective, Ratio
from steepest.oracles.checks import (
    check_allowed,
    check_policy,
    check_probabilities,
    check_steps,
    check_time,
    checked_array,
    checked_mask,
)
from steepest.oracles.precision import in_float64, is_traced
from steepest.oracles.sampling import MaskedTabularEnvironment, TabularEnvironment


def _check_probs(mdp: "TabularMDP", probs: object, *_: object) -> None:
    array = checked_array("probs", probs, mdp.reward.shape)
    check_probabilities("probs", array)
    check_allowed("probs", array, mdp.mask)


class TabularMDP(eqx.Module):
    r"""A Markov decision process with S states and A actions, solved exactly in float64 (G17).

    $$J(\pi) = E\Big[\sum_{t<H} \gamma^t r_t\Big] = \mu^\top V, \qquad
      V = (I - \gamma P_\pi)^{-1} r_\pi \ \text{ without a horizon}, \qquad
      \nabla J = \sum_{t,s,a} \gamma^t p_t(s)\, \nabla\pi(a|s)\, A_t(s, a)$$

    Methods take probabilities `probs` [S, A] or a policy, and return NumPy float64 arrays. Under `jax.vmap`, `jax.grad`
    or `jax.jit` they are part of the trace. With a horizon H, values have a leading axis of H time steps.

    **Arguments**

    - `transition`: $P(s'|s,a)$, [S, A, S].
    - `reward`: the mean of $r$ given s and a, [S, A].
    - `initial`: $\mu$, the probabilities of the first state, [S].
    - `discount`: $\gamma$, at most 1, and below 1 without a horizon.
    - `horizon`: H, the number of steps of an episode; `None` for no end.
    - `mask`: which actions are allowed in which state, [S, A]; `None` for all (G20). Policies are then called with
      `MaskedObservation`, and nothing that is ruled out ever happens.

    A state is *absorbing* when every action stays there and pays 0: an episode ends there.

    **Raises** `InputError` that names the field, its first bad entry, and what to do.

    **Example**

    >>> work_or_rest = TabularMDP(np.ones((1, 2, 1)), [[1.0, 0.0]], [1.0], discount=0.9)
    >>> float(work_or_rest.performance(np.array([[0.5, 0.5]])).round(9))  # ½ / (1 − 0.9)
    5.0
    """

    transition: Float[AnyArray, "S A S"]
    reward: Float[AnyArray, "S A"]
    initial: Float[AnyArray, " S"]
    discount: float | Float[AnyArray, ""]
    horizon: int | None = eqx.field(static=True)
    mask: Bool[AnyArray, "S A"] | None = None

    def __init__(self, transition, reward, initial, discount, horizon: int | None = None, mask=None):
        self.reward = checked_array("reward", reward, (None, None))
        states, actions = self.reward.shape
        self.transition = checked_array("transition", transition, (states, actions, states))
        self.initial = checked_array("initial", initial, (states,))
        check_probabilities("transition", self.transition)
        check_probabilities("initial", self.initial)
        check_time(discount, horizon)
        self.discount = discount if is_traced(discount) else float(discount)
        self.horizon = horizon
        self.mask = None if mask is None else checked_mask(mask, self.reward.shape, self.absorbing)
        if not is_traced((self.transition, self.reward, self.initial)):
            over = np.flatnonzero((self.initial > 0) & np.asarray(self.absorbing))
            if over.size:
                raise InputError(
                    f"initial[{over[0]}] is {self.initial[over[0]]:g}, but state {over[0]} is absorbing: every action "
                    f"stays there and pays 0. Begin elsewhere."
                )

    @property
    def states(self) -> int:
        """The number of states, S."""
        return self.reward.shape[0]

    @property
    def actions(self) -> int:
        """The number of actions, A."""
        return self.reward.shape[1]

    @property
    def absorbing(self) -> Bool[AnyArray, " S"]:
        """The absorbing states, in which an episode ends, as flags."""
        numbers = np.arange(self.states)
        stays = self.transition[numbers, :, numbers] == 1
        return (stays & (self.reward == 0)).all(axis=1)

    @in_float64(check=lambda mdp, policy: check_policy(policy, mdp.states, mdp.actions, mdp.mask))
    def probabilities(self, policy: PyTree) -> Float[AnyArray, "S A"]:
        """The action probabilities $\\pi(a|s)$ of a policy, which is called on numbers of states, with their masks."""
        return self._probabilities(policy)

    def _probabilities(self, policy: PyTree) -> Float[Array, "S A"]:
        states, actions = self.reward.shape
        distribution = policy(self._seen(jnp.arange(states, dtype=jnp.int32)))
        every_action = jnp.broadcast_to(jnp.arange(actions, dtype=jnp.int32)[:, None], (actions, states))
        return jnp.exp(jax.vmap(distribution.log_prob, out_axes=1)(every_action))

    def _seen(self, states: Int[AnyArray, " n"]) -> PyTree:
        """What policies are called with in these states."""
        return states if self.mask is None else MaskedObservation(states, jnp.asarray(self.mask)[states])

    @in_float64(check=_check_probs)
    def performance(self, probs: Float[AnyArray, "S A"]) -> Float[AnyArray, ""]:
        """J, the expected discounted return."""
        values = self.values(probs)
        return jnp.dot(self.initial, values if self.horizon is None else values[0])

    @in_float64(check=_check_probs)
    def values(self, probs: Float[AnyArray, "S A"]) -> Float[AnyArray, "*H S"]:
        """The value function V(s), [S]; with a horizon $V_t(s)$, [H, S], discounted from t on."""
        transition, reward = self._chain(probs)
        if self.horizon is None:
            return jnp.linalg.solve(jnp.eye(self.states) - self.discount * transition, reward)

        def earlier(later, _):
            values = reward + self.discount * (transition @ later)
            return values, values

        return jax.lax.scan(earlier, jnp.zeros_like(reward), length=self.horizon, reverse=True)[1]

    @in_float64(check=_check_probs)
    def action_values(self, probs: Float[AnyArray, "S A"]) -> Float[AnyArray, "*H S A"]:
        """The action values $Q(s,a) = r(s,a) + \\gamma\\sum_{s'} P(s'|s,a) V(s')$, [S, A] or [H, S, A]."""
        values = self.values(probs)
        if self.horizon is None:
            return self.reward + self.discount * (self.transition @ values)
        successors = jnp.concatenate([values[1:], jnp.zeros_like(values[:1])])
        return self.reward[None] + self.discount * jnp.einsum("saz,tz->tsa", self.transition, successors)

    @in_float64(check=_check_probs)
    def advantages(self, probs: Float[AnyArray, "S A"]) -> Float[AnyArray, "*H S A"]:
        """The advantages $A(s,a) = Q(s,a) - V(s)$, [S, A] or [H, S, A]."""
        return self.action_values(probs) - self.values(probs)[..., None]

    @in_float64(check=_check_probs)
    def state_probabilities(self, probs: Float[AnyArray, "S A"], steps: int) -> Float[AnyArray, "steps S"]:
        """The state distributions $p_t(s)$ at times t < `steps`."""
        transition, _ = self._chain(probs)
        start = jnp.asarray(self.initial, transition.dtype)
        return jax.lax.scan(lambda now, _: (now @ transition, now), start, length=steps)[1]

    @in_float64(check=_check_probs)
    def state_distribution(self, probs: Float[AnyArray, "S A"]) -> Float[AnyArray, "*H S"]:
        """The state weights $\\sum_t\\gamma^t p_t(s)$, [S], of sum $1/(1-\\gamma)$; with a horizon $p_t(s)$, [H, S]."""
        if self.horizon is not None:
            return self.state_probabilities(probs, self.horizon)
        transition, _ = self._chain(probs)
        return jnp.linalg.solve(jnp.eye(self.states) - self.discount * transition.T, self.initial)

    def _chain(self, probs: Float[AnyArray, "S A"]) -> tuple[Float[AnyArray, "S S"], Float[AnyArray, " S"]]:
        """The transition matrix $P_\\pi$ and the mean rewards $r_\\pi$ under a policy."""
        return jnp.einsum("sa,saz->sz", probs, self.transition), jnp.sum(probs * self.reward, axis=1)

    def decisions(
        self, probs: Float[AnyArray, "S A"], *, discount_states: bool = True, steps: int | None = None
    ) -> tuple[Float[AnyArray, " S"], Float[AnyArray, "S A"]]:
        r"""The state weights $d(s) = \sum_t w_t p_t(s)$, and the coefficients $c(s,a) = \sum_t w_t p_t(s) A_t(s,a)$.

        $\sum_{s,a} c\,\nabla\pi$ is the policy gradient. Absorbing states have d = 0.

        **Arguments**

        - `discount_states`: $w_t = \gamma^t$, option 2 of G5, which makes it ∇J; otherwise $w_t = 1$, option 1.
        - `steps`: only so many first time steps count, with the advantages of the whole problem. This is what
          samples truncated by a time limit estimate, with an exact value bootstrapped there. `None` counts all.

        **Raises** `InputError` for `discount_states=False` where neither a horizon nor `steps` nor absorbing states
        that `probs` certainly reach make the sum finite.
        """
        check_steps(steps, self.horizon)
        open_states = None
        if not discount_states and steps is None and self.horizon is None:
            open_states = self._open_states(probs)
        return self._decisions(probs, discount_states, steps, open_states)

    @in_float64(check=_check_probs)
    def _decisions(
        self,
        probs: Float[AnyArray, "S A"],
        discount_states: bool,
        steps: int | None,
        open_states: Bool[AnyArray, " S"] | None,
    ) -> tuple[Float[AnyArray, " S"], Float[AnyArray, "S A"]]:
        advantages = self.advantages(probs)
        if open_states is not None:
            inside = open_states.astype(advantages.dtype)
            transition = self._chain(probs)[0] * inside[:, None] * inside[None, :]
            weight = inside * jnp.linalg.solve(jnp.eye(self.states) - transition.T, self.initial * inside)
            return weight, weight[:, None] * advantages
        counted = 1 - self.absorbing.astype(advantages.dtype)
        length = steps or self.horizon
        if length is None:
            weight = counted * self.state_distribution(probs)
            return weight, weight[:, None] * advantages
        visits = counted[None] * self.state_probabilities(probs, length)
        if discount_states:
            visits = visits * self.discount ** jnp.arange(len(visits), dtype=visits.dtype)[:, None]
        weight = jnp.sum(visits, axis=0)
        if self.horizon is None:
            return weight, weight[:, None] * advantages
        return weight, jnp.einsum("ts,tsa->sa", visits, advantages[:steps])

    def _open_states(self, probs: Float[AnyArray, "S A"]) -> Bool[np.ndarray, " S"]:
        """The non-absorbing states that are reachable; an absorbing state must be reachable from each."""
        if is_traced(self.transition):
            raise InputError("discount_states is False; under a trace it needs a horizon, or steps. Give either.")
        allowed = np.ones(self.reward.shape, bool) if is_traced(probs) else np.asarray(probs) > 0
        leads = np.einsum("sa,saz->sz", allowed.astype(float), self.transition) > 0
        reachable, ending = self.initial > 0, self.absorbing
        for _ in range(self.states):
            reachable = reachable | (reachable @ leads)
            ending = ending | (leads @ ending)
        endless = np.flatnonzero(reachable & ~ending)
        if endless.size:
            raise InputError(
                f"discount_states is False, but from state {endless[0]} this policy reaches no absorbing state, so "
                f"the sum over time need not be finite. Give steps, a horizon, or discount_states=True."
            )
        return reachable & ~self.absorbing

    @in_float64()
    def gradient_of(self, policy: PyTree, coefficient: Float[AnyArray, "S A"]) -> PyTree:
        """The gradient $\\sum_{s,a} c(s,a)\\,\\nabla_\\theta\\pi_\\theta(a|s)$, a tree like the policy."""
        parameters, rest = eqx.partition(policy, eqx.is_inexact_array)
        _, pullback = jax.vjp(lambda each: self._probabilities(eqx.combine(each, rest)), parameters)
        return eqx.combine(pullback(jnp.asarray(coefficient))[0], rest)

    def policy_gradient(self, policy: PyTree, *, discount_states: bool = True, steps: int | None = None) -> PyTree:
        """The policy gradient $\\sum_t w_t E[\\nabla\\log\\pi(a_t|s_t) A_t(s_t,a_t)]$, like the policy; by default ∇J.

        The arguments, and what is refused, are those of `decisions`.
        """
        probs = self.probabilities(policy)
        _, coefficient = self.decisions(probs, discount_states=discount_states, steps=steps)
        return self.gradient_of(policy, coefficient)

    def fisher(
        self, policy: PyTree, *, discount_states: bool = True, steps: int | None = None
    ) -> Float[AnyArray, "n n"]:
        """The Fisher information $F = \\sum_s \\bar d(s)\\,E_a[\\nabla\\log\\pi\\,\\nabla\\log\\pi^\\top]$, [n, n].

        n counts the ravelled parameters. $\\bar d$ is the d of `decisions`, whose arguments these are, divided by its
        sum.
        """
        weight, _ = self.decisions(self.probabilities(policy), discount_states=discount_states, steps=steps)
        return self._fisher(policy, weight / weight.sum())

    @in_float64()
    def _fisher(self, policy: PyTree, weight: Float[AnyArray, " S"]) -> Float[AnyArray, "n n"]:
        vector, unravel = ravel_pytree(policy)
        probs = self._probabilities(policy)
        slopes = jax.jacrev(lambda each: self._probabilities(unravel(each)))(vector)
        share = weight[:, None] / jnp.where(probs > 0, probs, 1)
        return jnp.einsum("sa,sai,saj->ij", share, slopes, slopes)

    def problem(
        self,
        policy: PyTree,
        objective: AbstractObjective | None = None,
        *,
        discount_states: bool = True,
        steps: int | None = None,
    ) -> SampledProblem:
        """The policy-improvement problem at `policy`, for step rules: every pair of state and action is a row.

        The row of (s, a) has weight $\\bar d(s)\\pi(a|s)$ and the true advantage, so that the surrogate, the KL and the
        Fisher information are exact expectations. With the ratio as the objective, the default, the gradient at
        `policy` is the policy gradient divided by $\\sum_s d(s)$. Arrays are in the precision that JAX is set to; the
        other arguments are those of `decisions`.
        """
        probs = self.probabilities(policy)
        weight, coefficient = self.decisions(probs, discount_states=discount_states, steps=steps)
        batch, old = self._rows(policy, probs, weight, coefficient)
        batch, old = jax.tree.map(jnp.asarray, (batch, old))
        return SampledProblem(Ratio() if objective is None else objective, Batch(**batch), old)

    @in_float64()
    def _rows(self, policy, probs, weight, coefficient):
        count = weight[:, None]
        advantage = jnp.where(count > 0, coefficient / jnp.where(count > 0, count, 1), 0)
        state, action = jnp.meshgrid(*(jnp.arange(n, dtype=jnp.int32) for n in self.reward.shape), indexing="ij")
        rows = {
            "action": action,
            # A pair that never happens has weight 0; a ratio to it must not bring infinities in.
            "log_prob": jnp.log(jnp.where(probs > 0, probs, 1)),
            "advantage": advantage,
            "weight": count / jnp.sum(weight) * probs,
        }
        seen = self._seen(state.ravel())
        return jax.tree.map(jnp.ravel, rows) | {"obs": seen}, policy(seen)

    def optimal(self) -> tuple[Float[np.ndarray, "*H S"], Int[np.ndarray, "*H S"]]:
        """The optimal values, and optimal actions: [S], or [H, S] with a horizon."""
        if self.horizon is not None:
            return self._backward_induction()
        numbers, actions = np.arange(self.states), self._allowed(np.zeros(self.reward.shape)).argmax(axis=1)
        while True:  # policy iteration: it ends, since every round is better and there are finitely many policies
            chain = np.eye(self.states) - self.discount * self.transition[numbers, actions]
            values = np.linalg.solve(chain, self.reward[numbers, actions])
            action_values = self._allowed(self.reward + self.discount * self.transition @ values)
            gain = action_values.max(axis=1) - action_values[numbers, actions]
            better = gain > 1e-11 * max(1.0, np.abs(values).max())
            if not better.any():
                return values, actions
            actions = np.where(better, action_values.argmax(axis=1), actions)

    def _backward_induction(self) -> tuple[Float[np.ndarray, "H S"], Int[np.ndarray, "H S"]]:
        values, actions, later = [], [], np.zeros(self.states)
        for _ in range(self.horizon or 0):
            action_values = self._allowed(self.reward + self.discount * self.transition @ later)
            later = action_values.max(axis=1)
            values.append(later)
            actions.append(action_values.argmax(axis=1))
        return np.stack(values[::-1]), np.stack(actions[::-1])

    def _allowed(self, action_values: Float[np.ndarray, "S A"]) -> Float[np.ndarray, "S A"]:
        """The values of allowed actions; −∞ for the others."""
        return action_values if self.mask is None else np.where(self.mask, action_values, -np.inf)

    def as_env(self, max_episode_steps: int | None = None) -> TabularEnvironment:
        """The MDP as a `TabularEnvironment`, with a mask where it has one. With a horizon this is the time limit."""
        tables = self.transition, self.reward, self.initial, self.absorbing
        if self.mask is None:
            return TabularEnvironment(*tables, horizon=self.horizon, max_episode_steps=max_episode_steps)
        return MaskedTabularEnvironment(
            *tables, allowed=self.mask, horizon=self.horizon, max_episode_steps=max_episode_steps
        )
