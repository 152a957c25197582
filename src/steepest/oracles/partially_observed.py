"""Partially observed problems given as tables, solved for policies of histories by writing every history down (G19)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from steepest.core.distributions import AbstractDistribution, Categorical
from steepest.core.errors import InputError
from steepest.core.types import AnyArray, PyTree
from steepest.oracles.checks import check_probabilities, check_steps, checked_array
from steepest.oracles.precision import in_float64, is_traced
from steepest.oracles.sampling import PartiallyObservedEnvironment
from steepest.oracles.tabular import TabularMDP

MOST_HISTORIES = 1_000_000
"""More are not written down."""
_SAME = 1e-9
"""By how much probabilities of one history may differ, from rounding."""

ByTime = list[AnyArray]
"""For each time step t, an array with a leading axis of all the histories there are at t."""


class HistoryTable(eqx.Module):
    r"""A policy of histories with parameters of its own for every history: $\pi(a|h_t) \propto e^{z_t(h_t, a)}$.

    No policy of histories is more general: gradients of all others are this one's, by the chain rule.

    - `logits`: for each time step t, $z_t$, [histories, A], in the order of `TabularPOMDP.histories`.
    """

    logits: tuple[Float[AnyArray, "_ A"], ...]

    def __call__(self, obs: Int[Array, "T N"], action: Int[Array, "T N"]) -> Categorical:
        """The distributions at every step of sequences from their first step on."""
        numbers = history_numbers(obs, action, self.logits[0].shape[0], self.logits[0].shape[1])
        return Categorical(jnp.stack([table[row] for table, row in zip(self.logits, numbers, strict=False)]))


class TabularPOMDP(eqx.Module):
    r"""A Markov decision process whose states are not seen, but something that depends on them: O observations (G19).

    At every step an observation is drawn from $K(o|s)$, and the policy chooses by the history
    $h_t = (o_0, a_0, o_1, \dots, o_t)$. What holds of states in an MDP holds of histories here:

    $$\nabla J = \sum_t \gamma^t E\big[\nabla\log\pi(a_t|h_t)\,A_t(h_t, a_t)\big], \qquad
      A_t(h, a) = E\Big[\sum_{k \ge t}\gamma^{k-t} r_k \,\Big|\, h_t = h, a_t = a\Big] - V_t(h).$$

    All histories are written down, and all sums are exact, in float64, of arrays in NumPy. Under `jax.vmap`, `jax.grad`
    or `jax.jit` they are part of the trace. Answers about histories are lists with an entry for each time step.

    Policies are modules with `initial_carry` and `step`, as every policy of the library has them; or a `HistoryTable`,
    or another function `(obs, action) -> distribution` of whole sequences, both [T, N], whose distribution at step t
    depends on `obs[:t + 1]` and `action[:t]`. Gradients are trees like the policy.

    **Arguments**

    - `mdp`: the process, with a horizon. Its absorbing states end an episode, and nothing is decided there.
    - `observation`: $K(o|s)$, [S, O].

    **Raises** `InputError` that names the field, and what to do; also for a policy that looks ahead.

    **Example** Two states that look alike, and stay as they are; the action that pays is the state's own.

    >>> same = TabularMDP(np.eye(2)[:, None].repeat(2, 1), np.eye(2), [0.5, 0.5], discount=1.0, horizon=3)
    >>> blind, seen = TabularPOMDP(same, np.ones((2, 1))), TabularPOMDP(same, np.eye(2))
    >>> [float(each.performance(each.uniform_policy())) for each in (blind, seen)]
    [1.5, 1.5]
    >>> seen.policy_gradient(seen.uniform_policy()).logits[0]  # with the state in sight, the right action is better
    array([[ 0.125, -0.125],
           [-0.125,  0.125]])
    """

    mdp: TabularMDP
    observation: Float[AnyArray, "S O"]

    def __init__(self, mdp: TabularMDP, observation):
        self.mdp = mdp
        if mdp.mask is not None:
            raise InputError("mdp has a mask, which would tell of the state. Leave it out, or solve the TabularMDP.")
        self.observation = checked_array("observation", observation, (mdp.states, None))
        check_probabilities("observation", self.observation)
        if mdp.horizon is None:
            raise InputError("horizon is None; every history is written down, so it must be a number of steps, say 4.")
        count = self.observations * (self.observations * mdp.actions) ** (mdp.horizon - 1)
        if count > MOST_HISTORIES:
            raise InputError(
                f"horizon is {mdp.horizon}; with {self.observations} observations and {mdp.actions} actions these are "
                f"{count} histories, and at most {MOST_HISTORIES} are written down. Give a shorter one."
            )

    @property
    def horizon(self) -> int:
        """The number of steps of an episode, H."""
        assert self.mdp.horizon is not None
        return self.mdp.horizon

    @property
    def discount(self) -> float | Float[AnyArray, ""]:
        """$\\gamma$, of the process."""
        return self.mdp.discount

    @property
    def observations(self) -> int:
        """The number of observations, O."""
        return self.observation.shape[1]

    @property
    def actions(self) -> int:
        """The number of actions, A."""
        return self.mdp.actions

    def histories(self, time: int) -> tuple[Int[np.ndarray, "_ _"], Int[np.ndarray, "_ _"]]:
        """All histories at a time step, in their order: the observations, [n, time + 1], and the actions, [n, time].

        Later entries change faster than earlier ones, in the order in which they happen: $o_0, a_0, o_1, \\dots$
        """
        pair = self.observations, self.actions
        entries = np.indices([pair[each % 2] for each in range(2 * time + 1)], np.int32).reshape(2 * time + 1, -1).T
        return entries[:, ::2], entries[:, 1::2]

    def uniform_policy(self) -> HistoryTable:
        """The policy that chooses at random, in every history."""
        counts = [self.observations * (self.observations * self.actions) ** time for time in range(self.horizon)]
        return HistoryTable(tuple(jnp.zeros((count, self.actions), jnp.float32) for count in counts))

    def probabilities(self, policy: PyTree) -> ByTime:
        """The action probabilities $\\pi(a|h_t)$, [histories, A] for each time step."""
        return self._by_time(self._checked(policy))

    def performance(self, policy: PyTree) -> Float[AnyArray, ""]:
        """J, the expected discounted return."""
        return self._performance(self.probabilities(policy))

    def values(self, policy: PyTree) -> ByTime:
        """$V_t(h)$, discounted from t on, [histories] for each time step; 0 where a history cannot happen."""
        return self._values(self.probabilities(policy))

    def advantages(self, policy: PyTree) -> ByTime:
        """$A_t(h, a)$, [histories, A] for each time step; 0 where a history cannot happen."""
        return self._advantages(self.probabilities(policy))

    def decisions(
        self, policy: PyTree, *, discount_states: bool = True, steps: int | None = None
    ) -> tuple[ByTime, ByTime]:
        r"""The weights $w_t p_t(h)$, and the coefficients $w_t p_t(h) A_t(h, a)$, for each time step.

        $p_t(h)$ is the probability that the history happens and the episode is not over.

        **Arguments**

        - `discount_states`: $w_t = \gamma^t$, option 2 of G5, which makes it ∇J; otherwise $w_t = 1$, option 1.
        - `steps`: only so many first time steps count, with the advantages of the whole problem: what samples that are
          truncated there estimate, with the exact value of the history bootstrapped. `None` counts all.
        """
        check_steps(steps, self.horizon)
        return self._decisions(self.probabilities(policy), discount_states, steps)

    def policy_gradient(self, policy: PyTree, *, discount_states: bool = True, steps: int | None = None) -> PyTree:
        """The policy gradient $\\sum_t w_t E[\\nabla\\log\\pi(a_t|h_t) A_t(h_t,a_t)]$, like the policy; by default ∇J.

        The arguments are those of `decisions`.
        """
        _, coefficients = self.decisions(policy, discount_states=discount_states, steps=steps)
        return self._gradient(policy, coefficients)

    def fisher(
        self, policy: PyTree, *, discount_states: bool = True, steps: int | None = None
    ) -> Float[AnyArray, "n n"]:
        """The Fisher information $F = \\sum_{t,h} \\bar w\\,E_a[\\nabla\\log\\pi\\,\\nabla\\log\\pi^\\top]$, [n, n].

        n counts the ravelled parameters. $\\bar w$ are the weights of `decisions`, divided by their sum.
        """
        weights, _ = self.decisions(policy, discount_states=discount_states, steps=steps)
        return self._fisher(policy, weights)

    def kl(
        self, policy: PyTree, other: PyTree, *, discount_states: bool = True, steps: int | None = None
    ) -> Float[AnyArray, ""]:
        """The mean of $\\mathrm{KL}(\\pi(\\cdot|h)\\,\\|\\,\\pi'(\\cdot|h))$ over the histories of `policy`.

        The weights are those of `decisions`, divided by their sum.
        """
        weights, _ = self.decisions(policy, discount_states=discount_states, steps=steps)
        return self._kl(self.probabilities(policy), self.probabilities(other), weights)

    def as_env(self, max_episode_steps: int | None = None) -> PartiallyObservedEnvironment:
        """The problem as an environment. A time limit below the horizon truncates episodes there."""
        check_steps(max_episode_steps, self.horizon)
        return PartiallyObservedEnvironment(self.mdp.as_env(), self.observation, max_episode_steps or self.horizon)

    # How it is computed: `worlds[t]` is what the world contributes to the probability of (h_t, s_t), [histories, S].

    def _worlds(self) -> ByTime:
        open_states = 1 - self.mdp.absorbing.astype(self.observation.dtype)
        sight = self.observation * open_states[:, None]
        worlds = [(jnp.asarray(self.mdp.initial)[:, None] * sight).T]
        for _ in range(1, self.horizon):
            following = jnp.einsum("hs,saz,zo->haoz", worlds[-1], self.mdp.transition, sight)
            worlds.append(following.reshape(-1, self.mdp.states))
        return worlds

    def _checked(self, policy: PyTree) -> Float[AnyArray, "H M A"]:
        """The probabilities of `_every`. **Raises** `InputError` where one history has several."""
        probs = self._every(policy)
        if is_traced(probs):
            return probs
        for time in range(self.horizon):
            of_history = probs[time].reshape(-1, self._completions(time), self.actions)
            apart = np.ptp(of_history, axis=1).max()
            if apart > _SAME:
                raise InputError(
                    f"policy looks ahead: at step {time} its probabilities differ by {apart:.2g} where the history is "
                    f"the same so far. Give one that depends on nothing later."
                )
        return probs

    @in_float64()
    def _every(self, policy: PyTree) -> Float[AnyArray, "H M A"]:
        """The action probabilities at every step of the longest histories."""
        obs, action = self.histories(self.horizon - 1)
        last = np.zeros((len(obs), 1), np.int32)  # nothing may depend on what comes after the last observation
        return _probabilities(policy, obs.T, np.concatenate([action, last], axis=1).T, self.actions)

    def _completions(self, time: int) -> int:
        """How many of the longest histories begin with a history at this time step."""
        return (self.observations * self.actions) ** (self.horizon - 1 - time)

    def _by_time(self, every: Float[AnyArray, "H M A"]) -> ByTime:
        return [every[time, :: self._completions(time)] for time in range(self.horizon)]

    def _action_values(self, probs: ByTime) -> tuple[ByTime, ByTime]:
        """$Q_t(h, a)$ and $V_t(h)$, each times what the world contributes to the probability of h."""
        action_values, values = [], []
        for world, chosen in zip(reversed(self._worlds()), reversed(probs), strict=True):
            gained = world @ self.mdp.reward
            if values:
                gained = gained + self.mdp.discount * values[-1].reshape(*gained.shape, self.observations).sum(axis=2)
            action_values.append(gained)
            values.append(jnp.sum(chosen * gained, axis=1))
        return action_values[::-1], values[::-1]

    @in_float64()
    def _performance(self, probs: ByTime) -> Float[AnyArray, ""]:
        return jnp.sum(self._action_values(probs)[1][0])

    @in_float64()
    def _values(self, probs: ByTime) -> ByTime:
        _, values = self._action_values(probs)
        return [_over(value, world.sum(axis=1)) for value, world in zip(values, self._worlds(), strict=True)]

    @in_float64()
    def _advantages(self, probs: ByTime) -> ByTime:
        rows = zip(*self._action_values(probs), self._worlds(), strict=True)
        return [_over(gained - value[:, None], world.sum(axis=1)[:, None]) for gained, value, world in rows]

    @in_float64()
    def _decisions(self, probs: ByTime, discount_states: bool, steps: int | None) -> tuple[ByTime, ByTime]:
        rows = list(zip(*self._action_values(probs), self._worlds(), probs, strict=True))
        weights, coefficients = [], []
        reached = jnp.ones_like(rows[0][1])
        for time, (gained, value, world, chosen) in enumerate(rows):
            factor = self.mdp.discount**time if discount_states else 1.0
            counted = factor * reached if steps is None or time < steps else jnp.zeros_like(reached)
            weights.append(counted * world.sum(axis=1))
            coefficients.append(counted[:, None] * (gained - value[:, None]))
            reached = jnp.repeat(reached[:, None] * chosen, self.observations, axis=1).ravel()
        return weights, coefficients

    @in_float64()
    def _gradient(self, policy: PyTree, coefficients: ByTime) -> PyTree:
        parameters, rest = eqx.partition(policy, eqx.is_inexact_array)
        _, pullback = jax.vjp(lambda each: self._by_time(self._every(eqx.combine(each, rest))), parameters)
        return eqx.combine(pullback(coefficients)[0], rest)

    @in_float64()
    def _fisher(self, policy: PyTree, weights: ByTime) -> Float[AnyArray, "n n"]:
        vector, unravel = ravel_pytree(policy)

        def rows(vector):
            return jnp.concatenate(self._by_time(self._every(unravel(vector))))

        probs, slopes, weight = rows(vector), jax.jacrev(rows)(vector), jnp.concatenate(weights)
        share = _over(weight[:, None] / weight.sum(), probs)
        return jnp.einsum("ha,hai,haj->ij", share, slopes, slopes)

    @in_float64()
    def _kl(self, probs: ByTime, others: ByTime, weights: ByTime) -> Float[AnyArray, ""]:
        one, other, weight = (jnp.concatenate(each) for each in (probs, others, weights))
        terms = jnp.where(one > 0, one * (jnp.log(jnp.where(one > 0, one, 1)) - jnp.log(other)), 0)
        return jnp.sum(weight[:, None] * terms) / weight.sum()


def history_numbers(
    obs: Int[Array, "T N"], action: Int[Array, "T N"], observations: int, actions: int
) -> Int[Array, "T N"]:
    """The number of the history at every step of sequences, in the order of `TabularPOMDP.histories`."""
    numbers = [obs[0]]
    for before, seen in zip(action, obs[1:], strict=False):
        numbers.append((numbers[-1] * actions + before) * observations + seen)
    return jnp.stack(numbers)


def _probabilities(policy: PyTree, obs: AnyArray, action: AnyArray, actions: int) -> Float[Array, "T N A"]:
    """$\\pi(a|h_t)$ at every step of sequences, [T, N] each."""
    obs, action = jnp.asarray(obs), jnp.asarray(action)
    distribution = _unrolled(policy, obs) if hasattr(policy, "initial_carry") else policy(obs, action)
    if not isinstance(distribution, Categorical) or distribution.logits.shape != (*obs.shape, actions):
        found = getattr(getattr(distribution, "logits", None), "shape", None)
        raise InputError(
            f"policy gives a {type(distribution).__name__}{'' if found is None else f' with logits {list(found)}'}; it "
            f"must choose among {actions} actions. Make it for Discrete({actions}) actions."
        )
    every = jnp.arange(actions, dtype=jnp.int32)
    return jnp.exp(jax.vmap(lambda each: distribution.log_prob(jnp.broadcast_to(each, obs.shape)), out_axes=-1)(every))


def _unrolled(policy: PyTree, obs: Int[Array, "T N"]) -> AbstractDistribution:
    """The distributions of a policy with memory, step by step from the start of episodes."""
    carry, found = policy.initial_carry(obs.shape[1]), []
    for seen in obs:
        distribution, carry = policy.step(carry, seen)
        found.append(distribution)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def _over(value: Float[Array, "..."], by: Float[Array, "..."]) -> Float[Array, "..."]:
    """`value` / `by`, and 0 where `by` is 0."""
    return jnp.where(by > 0, value / jnp.where(by > 0, by, 1), 0)
