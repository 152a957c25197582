"""T2 and T3: the shift of the state distribution under a change of policy, and the bound on improvement from it."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from steepest.core.types import PyTree
from steepest.oracles import TabularMDP, in_float64
from steepest.theorems.claims import Claim, Result
from steepest.theorems.instances import Tables, random_probabilities, random_tables

STATES, ACTIONS, STEPS = 6, 3, 20


def pairs(rng: np.random.Generator, count: int) -> tuple[Tables, np.ndarray, np.ndarray]:
    """Random MDPs with two policies each, the second a mixture of the first and another with a random share."""
    tables = random_tables(rng, count, STATES, ACTIONS, branching=2)
    old, other = (random_probabilities(rng, count, STATES, ACTIONS) for _ in range(2))
    share = 10 ** rng.uniform(-3, 0, (count, 1, 1))
    return tables, old, (1 - share) * old + share * other


def total_variation(old: Float[np.ndarray, "*B S A"], new: Float[np.ndarray, "*B S A"]) -> Float[np.ndarray, "*B"]:
    """The largest total variation $\\epsilon = \\max_s \\tfrac12\\sum_a|\\pi'(a|s) - \\pi(a|s)|$."""
    return np.asarray(0.5 * np.abs(new - old).sum(axis=-1).max(axis=-1))


def leaving(chance: float) -> tuple[TabularMDP, np.ndarray, np.ndarray]:
    """A two-state MDP in which the bound of T2 is nearly attained.

    Returns the MDP, a policy that stays, and one that leaves for good with probability `chance` at each step.
    """
    transition = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    stay = np.array([[1.0, 0.0], [1.0, 0.0]])
    leave = np.array([[1 - chance, chance], [1.0, 0.0]])
    return TabularMDP(transition, [[1.0, 0.0], [0.0, 0.0]], [1.0, 0.0], discount=0.9), stay, leave


def state_shift(seed: int = 0, instances: int | None = None) -> Result:
    r"""T2: $\lVert p_{\pi'}(s_t) - p_\pi(s_t)\rVert_1 \le 2\epsilon t$ when $\max_s TV(\pi', \pi) \le \epsilon$.

    The norm is L1, twice the total variation: the bound needs its factor 2 with L1, and not with the total variation.
    A problem in which it is nearly attained shows that.

    **Reference** Schulman et al., *Trust Region Policy Optimization*, 2015, appendix A.
    """
    count, rng = instances or 500, np.random.default_rng(seed)
    tables, old, new = pairs(rng, count)
    shift = _shift(tables, old, new)[:, 1:]
    ratio = shift / (2 * total_variation(old, new)[:, None] * np.arange(1, STEPS))
    problem, stay, leave = leaving(1e-3)
    moved = problem.state_probabilities(leave, 2)[1] - problem.state_probabilities(stay, 2)[1]
    attained = np.abs(moved).sum() / (2 * total_variation(stay, leave))
    claims = (
        Claim("largest ‖p'ₜ − pₜ‖₁ / 2εt", ratio.max(), 1.0 + 1e-9),
        Claim("the same at t = 1 where it is attained", attained, 1 - 1e-9, "≥"),
    )
    return Result("T2", "‖p'(sₜ) − p(sₜ)‖₁ ≤ 2εt", count, claims)


@in_float64()
def _shift(tables: Tables, old, new) -> PyTree:
    def one(table, old, new):
        mdp = TabularMDP(*table)
        return jnp.sum(jnp.abs(mdp.state_probabilities(new, STEPS) - mdp.state_probabilities(old, STEPS)), axis=1)

    return jax.vmap(one)(tables, old, new)


def lower_bound(seed: int = 0, instances: int | None = None) -> Result:
    r"""T3: $E_{p'}[f] \ge E_p[f] - 2\epsilon t\max|f|$, and therefore

    $$J(\pi') - J(\pi) \ge \sum_t\gamma^t E_{s\sim p_t}\big[\bar A(s)\big]
      - \frac{2\epsilon\gamma}{(1-\gamma)^2}\max_s|\bar A(s)|, \qquad
      \bar A(s) = \sum_a\pi'(a|s)A^\pi(s,a).$$

    Measured is the loss as a share of the term that is subtracted; the bound is attained at 1.

    **Reference** Achiam et al., *Constrained Policy Optimization*, 2017, corollary 1.
    """
    count, rng = instances or 500, np.random.default_rng(seed)
    tables, old, new = pairs(rng, count)
    epsilon = total_variation(old, new)
    expectation, performance = _used(tables, old, new, rng.standard_normal((count, STATES)), epsilon)
    claims = (
        Claim("largest (E_p[f] − E_p'[f]) / (2εt max|f|)", expectation.max(), 1.0 + 1e-9),
        Claim("share of the allowance used by J(π')", performance.max(), 1.0 + 1e-9),
    )
    return Result("T3", "J(π') − J(π) ≥ Σ γᵗ E_p[Ā] − 2εγ/(1−γ)² max|Ā|", count, claims)


@in_float64()
def _used(tables: Tables, old, new, functions, epsilon) -> PyTree:
    def one(table, old, new, function, epsilon):
        mdp = TabularMDP(*table)
        before, after = (mdp.state_probabilities(each, STEPS) @ function for each in (old, new))
        allowed = 2 * epsilon * jnp.arange(1.0, STEPS) * jnp.max(jnp.abs(function))
        expectation = jnp.max((before - after)[1:] / allowed)
        mean_advantage = jnp.sum(new * mdp.advantages(old), axis=1)
        promised = jnp.dot(mdp.state_distribution(old), mean_advantage)
        missing = promised - (mdp.performance(new) - mdp.performance(old))
        allowance = 2 * epsilon * mdp.discount / (1 - mdp.discount) ** 2 * jnp.max(jnp.abs(mean_advantage))
        return expectation, missing / allowance

    return jax.vmap(one)(tables, old, new, functions, epsilon)
