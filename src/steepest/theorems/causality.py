"""T12: causality (rewards-to-go in place of whole returns), and the two discountings."""

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

STATES, ACTIONS, STEPS = 2, 2, 5
LEAST = 50
"""The smallest number of problems, so that averages over them are reliable."""


def causality(seed: int = 0, instances: int | None = None) -> Result:
    r"""T12: unbiased for ∇J are $\sum_t\nabla\log\pi\,R(\tau)$ (G3), and $\sum_t\gamma^t\nabla\log\pi\,R_t$.

    The latter is G4 with option 2 of G5. Option 1, $\sum_t\nabla\log\pi\,R_t$, is unbiased for
    $\sum_tE[\nabla\log\pi\,A_t]$ and biased for ∇J.

    Rewards-to-go have less variance than whole returns on average over problems and in most of them, but not in every
    one, since the terms left out may cancel others. Both numbers are measured, by sums over every trajectory of small
    problems.
    """
    count, rng = max(instances or 100, LEAST), np.random.default_rng(seed)
    tables = random_tables(rng, count, STATES, ACTIONS)
    bias, variance = _measured(tables, random_probabilities(rng, count, STATES, ACTIONS))
    whole, causal, option_1, option_1_for_j = bias.T
    ratio = variance[:, 1] / variance[:, 0]
    claims = (
        Claim("relative bias of G3 for ∇J", whole.max(), 1e-10),
        Claim("relative bias of option 2 for ∇J", causal.max(), 1e-10),
        Claim("relative bias of option 1 for Σ E[∇log π A]", option_1.max(), 1e-10),
        Claim("median relative bias of option 1 for ∇J", float(np.median(option_1_for_j)), 0.05, "≥"),
        Claim("mean variance with causality / without", variance[:, 1].mean() / variance[:, 0].mean(), 1.0),
        Claim("share of problems where causality lowers it", float(np.mean(ratio < 1)), 0.5, "≥"),
    )
    return Result("T12", "causality and both discountings: unbiased for what, and with what variance", count, claims)


@in_float64()
def _measured(tables: Tables, probs) -> PyTree:
    every = every_trajectory(STATES, ACTIONS, STEPS)

    def one(table, probs):
        mdp = TabularMDP(*table, horizon=STEPS)
        chance, score, weight = probability(mdp, probs, every), scores(probs, every), powers(mdp.discount, STEPS)
        to_go = discounted_to_go(rewards(mdp, every), mdp.discount)
        whole, whole_variance = moments(chance, jnp.sum(score, axis=1) * to_go[:, :1])
        causal, causal_variance = moments(chance, jnp.einsum("t,ktn,kt->kn", weight, score, to_go))
        option_1, _ = moments(chance, jnp.einsum("ktn,kt->kn", score, to_go))
        truth = exact_gradient(mdp, probs, discount_states=True)
        undiscounted = exact_gradient(mdp, probs, discount_states=False)

        def off(mean, target):
            return jnp.linalg.norm(mean - target) / jnp.linalg.norm(target)

        bias = [off(whole, truth), off(causal, truth), off(option_1, undiscounted), off(option_1, truth)]
        return jnp.stack(bias), jnp.stack([whole_variance, causal_variance])

    return jax.vmap(one)(tables, probs)
