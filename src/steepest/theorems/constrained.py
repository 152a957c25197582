"""T9: plain and natural gradient steps as solutions of constrained problems."""

import jax
import jax.numpy as jnp
import jax.scipy.optimize
import numpy as np

from steepest.core.distributions import Categorical
from steepest.core.types import PyTree
from steepest.oracles import TabularMDP, in_float64
from steepest.theorems.claims import Claim, Result
from steepest.theorems.instances import Tables, random_tables

STATES, ACTIONS, RADIUS = 3, 3, 1e-5
STARTS, ROUNDS = 3, 3


def constrained(seed: int = 0, instances: int | None = None) -> Result:
    r"""T9: among steps with $\tfrac12\lVert\Delta\rVert^2 \le \epsilon$, $\sqrt{2\epsilon/g^\top g}\,g$ gains most.

    Among those with $\tfrac12\Delta^\top F\Delta \le \epsilon$, $\sqrt{2\epsilon/g^\top F^{-1}g}\,F^{-1}g$ does.

    Gain is $g^\top\Delta$. Both are compared with a numerical maximiser that uses neither formula: BFGS on the gain
    of a direction scaled to its limit. The KL of the policy after the second step is compared with ε.
    """
    count, rng = instances or 100, np.random.default_rng(seed)
    tables = random_tables(rng, count, STATES, ACTIONS)
    logits = rng.normal(size=(count, STATES, ACTIONS))
    found = _measured(tables, logits, rng.normal(size=(count, STARTS, STATES * (ACTIONS - 1))))
    plain, natural, kl = (np.abs(each).max() for each in found)
    claims = (
        Claim("relative difference of gains, plain against numerical", plain, 1e-6),
        Claim("relative difference of gains, natural against numerical", natural, 1e-6),
        Claim(f"|KL / ε − 1| of the natural step, ε = {RADIUS:g}", kl, 0.1),
    )
    return Result("T9", "gradient ascent is best within a ball, the natural gradient within a KL", count, claims)


@in_float64()
def _measured(tables: Tables, logits, starts) -> PyTree:
    def one(table, logits, starts):
        mdp = TabularMDP(*table)

        def with_free(free):  # the last logit of each state stays: all of them together change nothing
            return jnp.concatenate([free.reshape(STATES, ACTIONS - 1), logits[:, -1:]], axis=1)

        def probs(free):
            return jax.nn.softmax(with_free(free))

        free = logits[:, :-1].ravel()
        gradient = jax.grad(lambda each: mdp.performance(probs(each)))(free)
        share = mdp.state_distribution(probs(free)) * (1 - mdp.discount)
        slopes = jax.jacobian(lambda each: jnp.log(probs(each)))(free)
        fisher = jnp.einsum("s,sa,sai,saj->ij", share, probs(free), slopes, slopes)

        plain = jnp.sqrt(2 * RADIUS / jnp.dot(gradient, gradient)) * gradient
        natural = natural_step(gradient, fisher, RADIUS)
        differences = [
            1 - jnp.dot(gradient, step) / numerical_gain(gradient, metric, RADIUS, starts)
            for step, metric in ((plain, jnp.eye(len(free))), (natural, fisher))
        ]
        kl = jnp.dot(share, Categorical(with_free(free)).kl(Categorical(with_free(free + natural))))
        return *differences, kl / RADIUS - 1

    return jax.vmap(one)(tables, logits, starts)


def natural_step(gradient, fisher, radius):
    """The natural-gradient step $\\sqrt{2\\epsilon/(g^\\top F^{-1}g)}\\;F^{-1}g$ (S3)."""
    direction = jnp.linalg.solve(fisher, gradient)
    return jnp.sqrt(2 * radius / jnp.dot(gradient, direction)) * direction


def numerical_gain(gradient, metric, radius, starts):
    """The largest $g^\\top\\Delta$ with $\\tfrac12\\Delta^\\top M\\Delta \\le \\epsilon$ found by BFGS.

    It maximises the gain of a direction scaled to the limit, for g of length 1, from several starts.
    """
    unit = gradient / jnp.linalg.norm(gradient)

    def loss(direction):
        return -jnp.dot(unit, direction) / jnp.sqrt(jnp.dot(direction, metric @ direction))

    def search(start):
        begin = jnp.where(jnp.dot(unit, start) > 0, start, -start)
        for _ in range(ROUNDS):  # a line search may give up; beginning anew where it did goes on
            begin = jax.scipy.optimize.minimize(loss, begin / jnp.linalg.norm(begin), method="BFGS", tol=1e-9).x
        return -loss(begin)

    found = jnp.max(jax.vmap(search)(jnp.concatenate([unit[None], starts])))
    return found * jnp.linalg.norm(gradient) * jnp.sqrt(2 * radius)
