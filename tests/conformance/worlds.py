"""Problems so small that every episode can be written down, and what estimators must return on them.

The expectation of an estimator is then a finite sum, exact up to float32: no repeats, no standard errors.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from steepest.core.spaces import MaskedObservation
from steepest.core.trajectory import Trajectory
from steepest.oracles import TabularMDP
from steepest.policies import TabularPolicy

DISCOUNT = 0.8
STATES, ACTIONS, LENGTH = 3, 2, 3


def _tables():
    generator = np.random.default_rng(5)
    transition = generator.dirichlet(np.ones(STATES), (STATES, ACTIONS))
    reward = generator.normal(size=(STATES, ACTIONS)) + 0.5
    initial = np.array([0.6, 0.4, 0.0])
    return transition, reward, initial


def finite() -> TabularMDP:
    """Over after 3 steps: the last one terminates."""
    transition, reward, initial = _tables()
    return TabularMDP(transition, reward, initial, DISCOUNT, horizon=LENGTH)


def endless() -> TabularMDP:
    """Goes on until the last state, which absorbs; sampled with a time limit of 3 steps, that is a truncation."""
    transition, reward, initial = _tables()
    transition[-1], reward[-1] = np.eye(STATES)[-1], 0
    return TabularMDP(transition, reward, initial, DISCOUNT)


def masked() -> TabularMDP:
    """`endless` with a third action, and a mask: one action in the second state, two in the first."""
    generator = np.random.default_rng(6)
    transition = generator.dirichlet(np.ones(STATES), (STATES, 3))
    reward = generator.normal(size=(STATES, 3)) + 0.5
    transition[-1], reward[-1] = np.eye(STATES)[-1], 0
    mask = np.array([[True, False, True], [False, True, False], [True, True, True]])
    return TabularMDP(transition, reward, [0.6, 0.4, 0.0], DISCOUNT, mask=mask)


def policy(seed: int = 0, actions: int = ACTIONS) -> TabularPolicy:
    return TabularPolicy(jnp.asarray(np.random.default_rng(seed).normal(size=(STATES, actions)), jnp.float32))


def wrong_values() -> np.ndarray:
    """A critic that is quite wrong, but knows that nothing follows the last state."""
    return np.array([0.7, -1.1, 0.4])


@functools.cache
def _shapes(initial: tuple, absorbing: tuple, actions: int):
    """All sequences s0 a0 s1 … that are cut after LENGTH steps or end in an absorbing state."""
    episodes = [([state], []) for state in range(STATES) if initial[state] > 0]
    for _ in range(LENGTH):
        grown = []
        for states, chosen in episodes:
            if absorbing[states[-1]]:
                grown.append((states, chosen))
                continue
            grown += [
                ([*states, following], [*chosen, action]) for action in range(actions) for following in range(STATES)
            ]
        episodes = grown
    return episodes


def episodes_of(mdp: TabularMDP, behaviour: TabularPolicy) -> tuple[Trajectory, np.ndarray]:
    """Every episode that can happen, [T, M], and its probability, [M]."""
    probs = mdp.probabilities(behaviour)
    episodes = _shapes(tuple(mdp.initial), tuple(bool(each) for each in mdp.absorbing), mdp.actions)
    count = len(episodes)
    rows = {
        "obs": np.zeros((LENGTH, count), np.int32),
        "action": np.zeros((LENGTH, count), np.int32),
        "next_obs": np.zeros((LENGTH, count), np.int32),
        # What stands in rows that are not valid must not matter.
        "reward": np.full((LENGTH, count), 77, np.float32),
        "log_prob": np.full((LENGTH, count), -3, np.float32),
        "terminated": np.zeros((LENGTH, count), bool),
        "truncated": np.zeros((LENGTH, count), bool),
        "valid": np.zeros((LENGTH, count), bool),
    }
    probability = np.zeros(count)
    for index, (states, actions) in enumerate(episodes):
        weight = mdp.initial[states[0]]
        for time, action in enumerate(actions):
            state, following = states[time], states[time + 1]
            weight *= probs[state, action] * mdp.transition[state, action, following]
            last = time == LENGTH - 1
            over = bool(mdp.absorbing[following]) or (mdp.horizon is not None and last)
            for name, value in {
                "obs": state,
                "action": action,
                "next_obs": following,
                "reward": mdp.reward[state, action],
                "log_prob": np.log(probs[state, action]) if probs[state, action] > 0 else 0,
                "terminated": over,
                "truncated": last and mdp.horizon is None,
                "valid": True,
            }.items():
                rows[name][time, index] = value
        probability[index] = weight
    assert abs(probability.sum() - 1) < 1e-9
    possible = probability > 0
    kept = {name: jnp.asarray(row[:, possible]) for name, row in rows.items()}
    if mdp.mask is not None:
        kept |= {name: MaskedObservation(kept[name], jnp.asarray(mdp.mask)[kept[name]]) for name in ("obs", "next_obs")}
    return Trajectory(**kept), probability[possible]


def expectation(estimator, target_policy, mdp, behaviour=None) -> np.ndarray:
    """The exact mean of an estimator on one episode."""
    trajectory, probability = episodes_of(mdp, target_policy if behaviour is None else behaviour)
    alone = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1)[:, :, None], trajectory)
    gradients = _each(estimator, target_policy, alone)
    return np.einsum("m,msa->sa", probability, gradients)


def expectation_of_pairs(estimator, target_policy, mdp) -> np.ndarray:
    """The exact mean of an estimator on two independent episodes."""
    trajectory, probability = episodes_of(mdp, target_policy)
    one, other = (each.ravel() for each in np.indices((len(probability),) * 2))
    pairs = jax.tree.map(lambda leaf: jnp.stack([leaf[:, one], leaf[:, other]], 2).swapaxes(0, 1), trajectory)
    gradients = _each(estimator, target_policy, pairs)
    return np.einsum("m,msa->sa", probability[one] * probability[other], gradients)


def expectation_of_splits(estimator, target_policy, mdp) -> np.ndarray:
    """The exact mean of an estimator that fits on one episode and forms the gradient on another."""
    trajectory, probability = episodes_of(mdp, target_policy)
    one, other = (each.ravel() for each in np.indices((len(probability),) * 2))
    first, second = (
        jax.tree.map(lambda leaf, which=which: leaf[:, which].swapaxes(0, 1)[:, :, None], trajectory)
        for which in (one, other)
    )
    gradients = _each(estimator, target_policy, (first, second))
    return np.einsum("m,msa->sa", probability[one] * probability[other], gradients)


def _each(estimator, target_policy, data) -> np.ndarray:
    """The gradient of every entry along the leading axis."""
    one = jax.jit(jax.vmap(lambda each: estimator.gradient(target_policy, each)[0].logits))
    return np.asarray(one(data), np.float64)


def expected_advantages(mdp, probs, value, *, kind: str, n: int = 1, gae_lambda: float = 0.0) -> np.ndarray:
    r"""$E[\hat A_t | s_t, a_t]$ of a bootstrapped advantage with the critic `value`, [T, S, A], by recursion.

    - `kind`: "n_step" or "gae".

    After a termination nothing follows, after the time limit the critic is asked.
    """
    discount = mdp.discount
    goes_on = 1.0 - np.asarray(mdp.absorbing, float)

    def n_step(time, left):
        last = time == LENGTH - 1
        if last and mdp.horizon is not None:
            return mdp.reward
        asked = last or left == 1
        following = value if asked else (probs * n_step(time + 1, left - 1)).sum(1)
        return mdp.reward + discount * mdp.transition @ (goes_on * following)

    def gae(time):
        last = time == LENGTH - 1
        kept = goes_on * (0.0 if last and mdp.horizon is not None else 1.0)
        delta = mdp.reward + discount * mdp.transition @ (kept * value) - value[:, None]
        if last:
            return delta
        return delta + discount * gae_lambda * mdp.transition @ (goes_on * (probs * gae(time + 1)).sum(1))

    if kind == "gae":
        return np.stack([gae(time) for time in range(LENGTH)])
    return np.stack([n_step(time, n) - value[:, None] for time in range(LENGTH)])


def gradient_with(mdp, target_policy, weights, *, behaviour=None, discount_states: bool = True) -> np.ndarray:
    r"""$\sum_t [\gamma^t] \sum_s p_t(s) \sum_a \nabla\pi(a|s)\, W_t(s,a)$, with the states of `behaviour`."""
    acting = mdp.probabilities(target_policy if behaviour is None else behaviour)
    visits = mdp.state_probabilities(acting, LENGTH) * ~np.asarray(mdp.absorbing)
    factor = mdp.discount ** np.arange(LENGTH) if discount_states else np.ones(LENGTH)
    weights = np.broadcast_to(weights, (LENGTH, *mdp.reward.shape))
    return mdp.gradient_of(target_policy, np.einsum("t,ts,tsa->sa", factor, visits, weights)).logits
