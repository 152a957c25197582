"""T5: the Fisher information as the Hessian of the KL divergence."""

import jax
import jax.numpy as jnp
import numpy as np

from steepest.core.distributions import Categorical
from steepest.core.types import PyTree
from steepest.oracles import TabularMDP, in_float64
from steepest.theorems.claims import Claim, Result
from steepest.theorems.enumeration import every_trajectory, probability
from steepest.theorems.instances import Tables, random_tables

STATES, ACTIONS, STEPS = 2, 2, 4


def divergence(seed: int = 0, instances: int | None = None) -> Result:
    r"""T5: $KL(\pi_\theta\|\pi_{\theta'})$ is 0 at $\theta' = \theta$, its gradient there is 0, its Hessian is F.

    And $F = E[\nabla\log\pi\,\nabla\log\pi^\top] = -E[\nabla^2\log\pi]$, and the KL between distributions over
    trajectories is the sum of those at every step: $KL(p(\tau)\|p'(\tau)) = \sum_t E_{s\sim p_t}[KL(\pi\|\pi')]$.
    """
    count, rng = instances or 200, np.random.default_rng(seed)
    tables = random_tables(rng, count, STATES, ACTIONS)
    found = _measured(tables, rng.normal(size=(count, STATES, ACTIONS)), rng.normal(size=(count, STATES, ACTIONS)))
    names = (
        "KL at θ' = θ",
        "norm of its gradient there",
        "largest entry of its Hessian − F",
        "largest entry of F + E[∇² log π]",
        "relative difference of KL(τ) and Σₜ KLₜ",
    )
    claims = tuple(Claim(name, each.max(), 1e-10) for name, each in zip(names, found, strict=True))
    return Result("T5", "KL = 0, ∇KL = 0, ∇²KL = F = −E[∇² log π]; KL(τ) = Σ KLₜ", count, claims)


@in_float64()
def _measured(tables: Tables, logits, other_logits) -> PyTree:
    every = every_trajectory(STATES, ACTIONS, STEPS)

    def one(table, logits, other_logits):
        mdp = TabularMDP(*table, horizon=STEPS)
        old, new = Categorical(logits), Categorical(other_logits)
        probs, other = jax.nn.softmax(logits), jax.nn.softmax(other_logits)
        weight, _ = mdp.decisions(probs, discount_states=False)
        share = weight / jnp.sum(weight)

        def mean_kl(each):
            return jnp.dot(share, old.kl(Categorical(each)))

        def log_probs(each):
            return jax.nn.log_softmax(each)

        size = logits.size
        slopes = jax.jacobian(log_probs)(logits).reshape(STATES, ACTIONS, size)
        curvature = jax.hessian(log_probs)(logits).reshape(STATES, ACTIONS, size, size)
        fisher = jnp.einsum("s,sa,sai,saj->ij", share, probs, slopes, slopes)
        hessian = jax.hessian(mean_kl)(logits).reshape(size, size)
        expected_curvature = jnp.einsum("s,sa,saij->ij", share, probs, curvature)
        of_old, of_new = probability(mdp, probs, every), probability(mdp, other, every)
        of_trajectories = jnp.sum(of_old * jnp.log(of_old / of_new))
        of_steps = jnp.dot(weight, old.kl(new))
        return (
            jnp.abs(mean_kl(logits)),
            jnp.linalg.norm(jax.grad(mean_kl)(logits)),
            jnp.max(jnp.abs(hessian - fisher)),
            jnp.max(jnp.abs(fisher + expected_curvature)),
            jnp.abs(of_trajectories - of_steps) / of_steps,
        )

    return jax.vmap(one)(tables, logits, other_logits)
