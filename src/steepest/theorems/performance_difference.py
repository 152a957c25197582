"""T1: the performance difference lemma."""

import jax
import jax.numpy as jnp
import numpy as np

from steepest.core.types import PyTree
from steepest.oracles import TabularMDP, in_float64
from steepest.theorems.claims import Claim, Result
from steepest.theorems.instances import Tables, random_probabilities, random_tables

STATES, ACTIONS, HORIZON = 10, 4, 12


def performance_difference(seed: int = 0, instances: int | None = None) -> Result:
    r"""T1: $J(\pi') - J(\pi) = E_{\tau\sim\pi'}\big[\sum_t\gamma^t A^\pi(s_t, a_t)\big]$, with and without a horizon.

    The left side is computed from the values of both policies, the right side from the states of π' and the advantages
    of π. Measured is their difference relative to $|J(\pi)| + |J(\pi')|$.

    **Reference** Kakade, Langford, *Approximately Optimal Approximate Reinforcement Learning*, 2002, lemma 6.1.
    """
    count, rng = instances or 1000, np.random.default_rng(seed)
    tables = random_tables(rng, count, STATES, ACTIONS, branching=4)
    old, new = (random_probabilities(rng, count, STATES, ACTIONS) for _ in range(2))
    claims = [
        Claim(f"relative difference of the two sides, {name}", _differences(tables, old, new, horizon).max(), 1e-10)
        for name, horizon in (("no end", None), (f"horizon {HORIZON}", HORIZON))
    ]
    return Result("T1", "J(π') − J(π) = E_π'[Σ γᵗ A_π]", count, tuple(claims))


@in_float64()
def _differences(tables: Tables, old, new, horizon: int | None) -> PyTree:
    def one(table, old, new):
        mdp = TabularMDP(*table, horizon=horizon)
        advantages, before, after = mdp.advantages(old), mdp.performance(old), mdp.performance(new)
        states = mdp.state_distribution(new)
        if horizon is None:
            gained = jnp.sum(states[:, None] * new * advantages)
        else:
            weight = mdp.discount ** jnp.arange(horizon, dtype=states.dtype)
            gained = jnp.einsum("t,ts,sa,tsa->", weight, states, new, advantages)
        return jnp.abs(after - before - gained) / (jnp.abs(before) + jnp.abs(after))

    return jax.vmap(one)(tables, old, new)
