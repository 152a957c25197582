"""T7: directions of the plain and the natural gradient in the linear-quadratic problem."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from steepest.core.types import AnyArray
from steepest.oracles import LinearQuadratic, in_float64
from steepest.policies import LinearGaussian
from steepest.theorems.claims import Claim, Result


def starting_at_rest() -> LinearQuadratic:
    """The linear-quadratic problem with first state 0, so that states are of the size of the policy's noise σ."""
    return LinearQuadratic(discount=0.99, initial_std=0.0)


def directions(seed: int = 0, instances: int | None = None) -> Result:
    r"""T7: as σ → 0 the plain gradient is dominated by its σ-component, and the natural gradient points at $k^*$.

    The problem is $s' = s + a$, reward $-s^2 - a^2$, $a \sim N(ks, \sigma^2)$, in the coordinates $(k, \sigma)$. The
    k-component is proportional to $E[s^2]$, which is of order σ² where σ alone moves the states; the natural gradient
    divides that out. A spread of first states, of size $m$, keeps the k-component at σ below about
    $\sqrt{(1-\gamma)m}$.

    Measured are angles to the direction of the optimum, $(k^* - k, -\sigma)$, at random policies with σ from 0.003 to
    0.1.
    """
    count, rng = instances or 400, np.random.default_rng(seed)
    best = starting_at_rest().optimal_gain().item()
    gain = rng.uniform(-0.95, -0.15, 4 * count)
    gain = gain[np.abs(gain - best) > 0.1][:count]  # where there is still something to be learnt about k
    std = 10 ** rng.uniform(-2.5, -1, len(gain))
    plain, natural = fields(gain, std)
    to_optimum = np.stack([best - gain, -std])
    angles = [angle(field, to_optimum) for field in (plain, natural)]
    ratio = [np.abs(field[1] / field[0]) * scale for field, scale in ((plain, std), (natural, 1 / std))]
    claims = (
        Claim("plain: least |∂σ / ∂k| · σ, which stays as σ → 0", ratio[0].min(), 0.05, "≥"),
        Claim("natural: largest |∂σ / ∂k| / σ, which stays as σ → 0", ratio[1].max(), 20.0),
        Claim("plain: least angle to the optimum, degrees", angles[0].min(), 40.0, "≥"),
        Claim("natural: largest angle to the optimum, degrees", angles[1].max(), 20.0),
        Claim("largest angle of natural − plain, degrees", (angles[1] - angles[0]).max(), 0.0),
    )
    return Result("T7", "as σ → 0 the plain gradient forgets k, the natural gradient points at k*", len(gain), claims)


@in_float64()
def fields(
    gain: Float[AnyArray, " B"], std: Float[AnyArray, " B"]
) -> tuple[Float[AnyArray, "2 B"], Float[AnyArray, "2 B"]]:
    """The plain and the natural gradient in (k, σ) at each of B policies."""
    problem = starting_at_rest()

    def one(gain, std):
        policy = LinearGaussian(gain, jnp.log(std))
        gradient = problem.policy_gradient(policy)
        jacobian = jnp.diag(jnp.stack([jnp.ones_like(std), 1 / std]))  # of log σ by σ
        plain = jacobian @ jnp.stack([gradient.gain, gradient.log_std])
        fisher = jacobian @ problem.fisher(policy) @ jacobian
        return plain, jnp.linalg.solve(fisher, plain)

    return jax.vmap(one, out_axes=1)(gain, std)


def angle(field: Float[np.ndarray, "2 B"], other: Float[np.ndarray, "2 B"]) -> Float[np.ndarray, " B"]:
    """The angles between two fields of vectors, in degrees."""
    cross, dot = field[0] * other[1] - field[1] * other[0], (field * other).sum(axis=0)
    return np.degrees(np.abs(np.arctan2(cross, dot)))
