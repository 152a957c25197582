"""Exact moments of estimators, by enumeration of every trajectory of a small problem."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from steepest.core.types import AnyArray
from steepest.oracles import TabularMDP


class Trajectories(NamedTuple):
    """K sequences of T states and actions, without the state after the last action."""

    states: Int[np.ndarray, "K T"]
    actions: Int[np.ndarray, "K T"]


def every_trajectory(states: int, actions: int, steps: int) -> Trajectories:
    """All $(SA)^T$ trajectories, also those of probability 0."""
    pairs = np.array(list(itertools.product(range(states * actions), repeat=steps)), np.int32)
    return Trajectories(pairs // actions, pairs % actions)


def probability(mdp: TabularMDP, probs: Float[AnyArray, "S A"], every: Trajectories) -> Float[Array, " K"]:
    """The probabilities $p(\\tau) = \\mu(s_0)\\prod_t \\pi(a_t|s_t)\\,P(s_{t+1}|s_t,a_t)$."""
    states, actions = every
    chosen = jnp.prod(jnp.asarray(probs)[states, actions], axis=1)
    moved = jnp.prod(jnp.asarray(mdp.transition)[states[:, :-1], actions[:, :-1], states[:, 1:]], axis=1)
    return jnp.asarray(mdp.initial)[states[:, 0]] * chosen * moved


def rewards(mdp: TabularMDP, every: Trajectories) -> Float[Array, "K T"]:
    """The rewards $r_t$ of every trajectory."""
    return jnp.asarray(mdp.reward)[every.states, every.actions]


def discounted_to_go(values: Float[Array, "K T"], discount: Float[AnyArray, ""]) -> Float[Array, "K T"]:
    """The discounted sums $\\sum_{k\\ge t}\\gamma^{k-t} x_k$."""

    def earlier(later, now):
        total = now + discount * later
        return total, total

    return jax.lax.scan(earlier, jnp.zeros_like(values[:, 0]), values.T, reverse=True)[1].T


def scores(probs: Float[AnyArray, "S A"], every: Trajectories) -> Float[Array, "K T n"]:
    """The scores $\\nabla\\log\\pi(a_t|s_t)$ in the logits of a table, n = S · A."""
    states, actions = probs.shape
    state = jnp.eye(states)[every.states]
    chosen = jnp.eye(actions)[every.actions] - jnp.asarray(probs)[every.states]
    return (state[..., :, None] * chosen[..., None, :]).reshape(*every.states.shape, states * actions)


def powers(discount: Float[AnyArray, ""], steps: int) -> Float[Array, " T"]:
    """The powers $\\gamma^t$ for t < `steps`."""
    return discount ** jnp.arange(steps, dtype=jnp.result_type(discount))


def moments(
    probability: Float[Array, " K"], estimate: Float[Array, "K n"]
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """The expectation of an estimator, and its variance summed over its components."""
    mean = probability @ estimate
    return mean, jnp.sum(probability[:, None] * (estimate - mean[None]) ** 2)


def exact_gradient(mdp: TabularMDP, probs: Float[AnyArray, "S A"], *, discount_states: bool) -> Float[Array, " n"]:
    """The policy gradient in the logits of a table, from the policy gradient theorem."""
    _, coefficient = mdp.decisions(probs, discount_states=discount_states)
    slope = probs * (coefficient - jnp.sum(probs * coefficient, axis=1, keepdims=True))
    return slope.ravel()
