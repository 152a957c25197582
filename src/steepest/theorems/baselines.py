"""T10: baselines leave the policy gradient unbiased, and the optimal ones minimise its variance."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

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

STATES, ACTIONS, STEPS = 2, 2, 4
LEAST = 50
"""The smallest number of problems, so that averages over them are reliable."""
NAMES = ("none", "average return", "average per time step", "V(s)", "optimal scalar", "optimal per parameter")
"""The baselines that are compared, in the order of `variances`."""


def baselines(seed: int = 0, instances: int | None = None) -> Result:
    r"""T10: any baseline $b_t(s)$ leaves $E[\sum_t\gamma^t\nabla\log\pi\,(R_t - b_t(s_t))] = \nabla J$.

    Of the constants in $g\,(R - b)$, $g = \sum_t\nabla\log\pi$, that with the least variance is (G6)

    $$b_j = E[g_j^2R]/E[g_j^2] \ \text{ for each parameter}, \qquad
      b = E[\lVert g\rVert^2R]/E[\lVert g\rVert^2] \ \text{ for all together}.$$

    Expectations and variances are sums over every trajectory of small problems, under their exact probabilities.

    **Reference** Greensmith, Bartlett, Baxter, *Variance Reduction Techniques for Gradient Estimates in Reinforcement
    Learning*, 2004.
    """
    count, rng = max(instances or 200, LEAST), np.random.default_rng(seed)
    tables = random_tables(rng, count, STATES, ACTIONS)
    probs = random_probabilities(rng, count, STATES, ACTIONS)
    arbitrary = 3 * rng.normal(size=(count, STEPS, STATES))
    bias, excess, found = _measured(tables, probs, arbitrary, rng.normal(size=(count, 8)))
    excess = excess.max(axis=0)
    claims = (
        Claim("relative bias with an arbitrary b(s, t)", bias.max(), 1e-10),
        Claim("variance with the optimal b / with any other, each parameter", excess[0], 1.0 + 1e-9),
        Claim("variance with the optimal b / with any other, all together", excess[1], 1.0 + 1e-9),
        Claim("mean variance with V(s) / with none", float(np.mean(found[:, 3]) / np.mean(found[:, 0])), 1.0),
    )
    return Result("T10", "a baseline b(s) leaves the gradient unbiased; G6's has the least variance", count, claims)


def variances(seed: int = 0, instances: int = 200) -> Float[np.ndarray, "B names"]:
    """The variance of the estimator with each of `NAMES`, divided by that with none, [instances, names]."""
    rng = np.random.default_rng(seed)
    tables = random_tables(rng, instances, STATES, ACTIONS)
    probs = random_probabilities(rng, instances, STATES, ACTIONS)
    arbitrary, others = np.zeros((instances, STEPS, STATES)), np.zeros((instances, 8))
    found = _measured(tables, probs, arbitrary, others)[2]
    return found / found[:, :1]


@in_float64()
def _measured(tables: Tables, probs, arbitrary, others) -> PyTree:
    every = every_trajectory(STATES, ACTIONS, STEPS)
    times = np.arange(STEPS)[None]

    def one(table, probs, arbitrary, others):
        mdp = TabularMDP(*table, horizon=STEPS)
        chance, score = probability(mdp, probs, every), scores(probs, every)
        weight = powers(mdp.discount, STEPS)
        to_go = discounted_to_go(rewards(mdp, every), mdp.discount)

        def causal(baseline):  # [K, T]
            return jnp.einsum("t,ktn,kt->kn", weight, score, to_go - baseline)

        truth = exact_gradient(mdp, probs, discount_states=True)
        mean, _ = moments(chance, causal(arbitrary[times, every.states]))
        bias = jnp.linalg.norm(mean - truth) / jnp.linalg.norm(truth)

        whole, returns = jnp.sum(score, axis=1), to_go[:, 0]
        square = whole**2
        each = (chance * returns) @ square / (chance @ square)
        together = jnp.sum((chance * returns) @ square) / jnp.sum(chance @ square)

        def variance_of_each(baseline):  # [n]
            estimate = whole * (returns[:, None] - baseline[None])
            return chance @ estimate**2 - (chance @ estimate) ** 2

        spread = jnp.sqrt(chance @ returns**2 - (chance @ returns) ** 2)
        alternatives = chance @ returns + spread * others
        least = variance_of_each(each)
        ratio_each = jnp.max(jnp.stack([least / variance_of_each(jnp.full_like(each, b)) for b in alternatives]))
        least_together = jnp.sum(variance_of_each(jnp.full_like(each, together)))
        ratio_together = jnp.max(
            jnp.stack([least_together / jnp.sum(variance_of_each(jnp.full_like(each, b))) for b in alternatives])
        )
        average = (chance @ to_go)[None]
        values = mdp.values(probs)[times, every.states]
        compared = [jnp.zeros_like(to_go), jnp.broadcast_to(average[:, :1], to_go.shape), average, values]
        of_steps = [moments(chance, causal(jnp.broadcast_to(b, to_go.shape)))[1] for b in compared]
        return bias, jnp.stack([ratio_each, ratio_together]), jnp.stack([*of_steps, least_together, jnp.sum(least)])

    return jax.vmap(one)(tables, probs, arbitrary, others)
