"""T6: two actions, where the natural gradient step is constant and the plain gradient vanishes."""

import numpy as np
from jaxtyping import Float

from steepest.oracles import bandit
from steepest.policies import TwoActionPolicy
from steepest.theorems.claims import Claim, Result

REWARD = (100.0, 1.0)
START, STEPS, LEARNING_RATE = -10.0, 40, 0.01


def two_actions(seed: int = 0, instances: int | None = None) -> Result:
    r"""T6: for one state and two actions, $J = 100\pi_1 + \pi_2$ with $\pi_1 = e^\theta/(1+e^\theta)$:

    $$J' = \frac{99e^\theta}{(1+e^\theta)^2}, \qquad F = \frac{e^\theta}{(1+e^\theta)^2}, \qquad
      \eta F^{-1}J' = 99\eta \ \text{ at every } \theta.$$

    Where one action is rare, J' is nearly 0 however good the action is, and plain ascent stalls.
    """
    count, rng = instances or 100, np.random.default_rng(seed)
    problem = bandit(REWARD)
    errors = []
    for theta in rng.uniform(-12, 12, count):
        policy, odds = TwoActionPolicy(float(theta)), np.exp(theta)
        fisher = odds / (1 + odds) ** 2
        gradient, found = problem.policy_gradient(policy).logit, problem.fisher(policy).item()
        errors.append((gradient / (99 * fisher) - 1, found / fisher - 1, gradient / found / 99 - 1))
    slope, fisher, step = np.abs(errors).max(axis=0)
    plain, natural = (climb(kind)[-1] for kind in ("plain", "natural"))
    where = f"J after {STEPS} steps of {LEARNING_RATE} from θ = {START:g}"
    claims = (
        Claim("relative error of J'", slope, 1e-9),
        Claim("relative error of F", fisher, 1e-9),
        Claim("relative error of the step 99η", step, 1e-9),
        Claim(f"{where}, plain", plain, 1.1),
        Claim(f"{where}, natural", natural, 99.9, "≥"),
    )
    return Result("T6", "two actions: F⁻¹J' = 99 at every θ, while J' vanishes", count, claims)


def climb(kind: str, start: float = START) -> Float[np.ndarray, " steps_and_start"]:
    """J at the start and after each step of plain or natural gradient ascent."""
    problem, theta, found = bandit(REWARD), start, []
    for _ in range(STEPS + 1):
        policy = TwoActionPolicy(theta)
        found.append(problem.performance(problem.probabilities(policy)))
        step = problem.policy_gradient(policy).logit
        theta += LEARNING_RATE * (step / problem.fisher(policy).item() if kind == "natural" else step)
    return np.array(found)
