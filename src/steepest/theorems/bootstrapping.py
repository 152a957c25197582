"""T11: bias and variance of bootstrapping from a wrong value function."""

import jax
import jax.numpy as jnp
import numpy as np

from steepest.core.types import PyTree
from steepest.oracles import TabularMDP, in_float64
from steepest.theorems.claims import Claim, Result
from steepest.theorems.enumeration import (
    discounted_to_go,
    every_trajectory,
    exact_gradient,
    moments,
    powers,
    probability,
    rewards,
    scores,
)
from steepest.theorems.instances import Tables, random_probabilities, random_tables

STATES, ACTIONS, STEPS, ERROR = 2, 2, 5, 0.1
LAMBDAS = (0.0, 0.25, 0.5, 0.75, 1.0)
LEAST = 100
"""The smallest number of problems, so that averages over them are reliable."""


def bootstrapping(seed: int = 0, instances: int | None = None) -> Result:
    r"""T11: with a wrong $\hat V = V + e$, bias falls and variance rises with n (G10) and with λ (G11).

    Exactly: $|E[\hat A^{(n)}|s,a] - A(s,a) + e(s)| \le \gamma^n\max|e|$, and with n to the end, or λ = 1,
    there is no bias at all. That bias falls and variance rises at every step in between holds on average over
    problems, and need not hold in each. Expectations and variances are sums over every trajectory of small problems.
    """
    count = max(instances or 200, LEAST)
    bias, variance, used, exact_ends = curves(seed, count)
    by_n, by_trace = slice(0, STEPS), slice(STEPS, None)
    claims = [
        Claim("largest |E[Â⁽ⁿ⁾] − A + e| / γⁿ max|e|", used.max(), 1.0 + 1e-9),
        Claim("relative bias with n to the end, and with λ = 1", exact_ends.max(), 1e-10),
    ]
    for name, chosen in (("n", by_n), ("λ", by_trace)):
        middle_bias, mean_variance = np.median(bias[:, chosen], axis=0), variance[:, chosen].mean(axis=0)
        falls = (middle_bias[1:-1] / middle_bias[:-2]).max()
        rises = (mean_variance[:-1] / mean_variance[1:]).max()
        claims += [
            Claim(f"median bias at the next {name} / at this one", falls, 1.0),
            Claim(f"mean variance at this {name} / at the next", rises, 1.0),
        ]
    return Result("T11", "bias falls and variance rises with n and with λ", count, tuple(claims))


def curves(seed: int, instances: int) -> PyTree:
    """Exact bias and variance for n = 1 … STEPS and then each of `LAMBDAS`, [instances, STEPS + LAMBDAS].

    The bias is relative to the gradient, the variance to that with no bootstrapping. Also the share of the bound on the
    bias that is used, and the relative bias where there should be none.
    """
    rng = np.random.default_rng(seed)
    tables = random_tables(rng, instances, STATES, ACTIONS)
    probs = random_probabilities(rng, instances, STATES, ACTIONS)
    return _measured(tables, probs, rng.normal(size=(instances, STEPS, STATES)))


@in_float64()
def _measured(tables: Tables, probs, errors) -> PyTree:
    every = every_trajectory(STATES, ACTIONS, STEPS)
    times = np.arange(STEPS)[None]

    def one(table, probs, error):
        mdp = TabularMDP(*table, horizon=STEPS)
        chance, score, weight = probability(mdp, probs, every), scores(probs, every), powers(mdp.discount, STEPS)
        values, advantages = mdp.values(probs), mdp.advantages(probs)
        # An error that is some fraction of what the values differ by.
        error = ERROR * jnp.std(values) * error
        wrong = (values + error)[times, every.states]
        after = jnp.concatenate([wrong[:, 1:], jnp.zeros_like(wrong[:, :1])], axis=1)
        surprise = rewards(mdp, every) + mdp.discount * after - wrong

        def n_step(n):
            """The sum of n discounted surprises telescopes to the n-step advantage (G10)."""
            rest = discounted_to_go(surprise, mdp.discount)
            beyond = jnp.concatenate([rest[:, n:], jnp.zeros_like(rest[:, :n])], axis=1)
            return rest - mdp.discount**n * beyond

        estimates = [n_step(n) for n in range(1, STEPS + 1)]
        estimates += [discounted_to_go(surprise, mdp.discount * trace) for trace in LAMBDAS]
        truth = exact_gradient(mdp, probs, discount_states=True)
        found = [moments(chance, jnp.einsum("t,ktn,kt->kn", weight, score, each)) for each in estimates]
        bias = jnp.stack([jnp.linalg.norm(mean - truth) for mean, _ in found]) / jnp.linalg.norm(truth)
        variance = jnp.stack([each for _, each in found])
        variance = variance / variance[-1]

        first = jax.nn.one_hot(every.states[:, 0] * ACTIONS + every.actions[:, 0], STATES * ACTIONS, dtype=chance.dtype)
        used = []
        for n in range(1, STEPS + 1):
            mean = (chance * estimates[n - 1][:, 0]) @ first / (chance @ first)
            off = mean.reshape(STATES, ACTIONS) - advantages[0] + error[0][:, None]
            used.append(jnp.max(jnp.abs(off)) / (mdp.discount**n * jnp.max(jnp.abs(error))))
        return bias, variance, jnp.stack(used), bias[jnp.array([STEPS - 1, -1])]

    return jax.vmap(one)(tables, probs, errors)
