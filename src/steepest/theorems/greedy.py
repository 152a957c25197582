"""T8: greedy improvement on what was learnt elsewhere, and a step that stays near."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from steepest.curvature import NaturalDirection
from steepest.oracles import TabularMDP, random_mdp
from steepest.policies import TwoActionPolicy
from steepest.steps import TrustRegion
from steepest.theorems.claims import Claim, Result

STATES, ACTIONS, HORIZON = 5, 3, 10
ROUNDS, RADIUS = 30, 0.01


def greedy(seed: int = 0, instances: int | None = None) -> Result:
    r"""$V^{k+1}(s_0) \ge V^k(s_0) - H|\Delta_\infty|$ with $\Delta_\infty = \min_{t,s}A^k_t(s, \pi^{k+1}(s)) < 0$.

    Measured is the share of that loss that occurs: in random problems with π greedy in noisy advantages, and in the
    temptation, where fitted policy iteration loses nearly all of it at every second round. There the step of the
    trust region of KL ≤ 0.01 (S4) sees the same averages over states, and loses next to nothing.
    """
    count, rng = instances or 200, np.random.default_rng(seed)
    shares = []
    for _ in range(count):
        mdp = random_mdp(rng, STATES, ACTIONS, branching=2, discount=1.0, horizon=HORIZON)
        old = np.eye(ACTIONS)[rng.integers(ACTIONS, size=STATES)]
        advantages = mdp.advantages(old)
        chosen = (advantages.mean(axis=0) + rng.normal(size=(STATES, ACTIONS))).argmax(axis=1)
        worst = advantages[:, np.arange(STATES), chosen].min()
        new = np.eye(ACTIONS)[chosen]
        loss = mdp.values(old)[0] - mdp.values(new)[0]
        shares.append(loss.max() / (HORIZON * max(-worst, 1e-12)) if worst < 0 else 0.0)
    collapse, climb = fitted_policy_iteration(), limited_steps()
    lost = collapse.performance[:-1] - collapse.performance[1:]
    share = (lost / (HORIZON * -collapse.worst_advantage)).max()
    claims = (
        Claim("largest loss / H|Δ∞|, random problems", max(shares), 1.0 + 1e-9),
        Claim("largest loss / H|Δ∞|, fitted policy iteration on the temptation", share, 1.0 + 1e-9),
        Claim("the same: it is nearly attained", share, 0.8, "≥"),
        Claim("largest loss of a round of fitted policy iteration", lost.max(), 20.0, "≥"),
        Claim("largest loss of a KL-limited step", (climb[:-1] - climb[1:]).max(), 0.05),
        Claim(
            "last J of KL-limited steps − best J of fitted policy iteration",
            climb[-1] - collapse.performance.max(),
            0.0,
            "≥",
        ),
    )
    return Result("T8", "greedy on fitted advantages loses up to H|Δ∞|; a KL-limited step does not", count, claims)


def temptation() -> TabularMDP:
    """A home that pays 1 a step, and a pit. Leaving home pays 2.5 once; staying in the pit costs 2 a step.

    Action 0 stays at home, and leads out of the pit; action 1 leaves home, and stays in the pit. A learner that cannot
    tell the two states apart sees from home only that action 1 pays.
    """
    transition = np.zeros((2, 2, 2))
    transition[:, 0, 0] = transition[:, 1, 1] = 1
    return TabularMDP(transition, [[1.0, 2.5], [0.0, -2.0]], [1.0, 0.0], discount=1.0, horizon=HORIZON)


class Rounds(NamedTuple):
    """J of each policy, and $\\Delta_\\infty$ of each change of policy."""

    performance: Float[np.ndarray, " R"]
    worst_advantage: Float[np.ndarray, " R-1"]


def fitted_policy_iteration() -> Rounds:
    """Take the action whose advantage is larger, on average over the states that the policy before it visits."""
    mdp, chosen, performance, worst = temptation(), 0, [], []
    for _ in range(ROUNDS):
        probs = np.tile(np.eye(2)[chosen], (2, 1))
        performance.append(float(mdp.performance(probs)))
        _, coefficient = mdp.decisions(probs)
        chosen = int(coefficient.sum(axis=0).argmax())
        worst.append(mdp.advantages(probs)[:, :, chosen].min())
    return Rounds(np.array(performance), np.array(worst[:-1]))


def limited_steps() -> Float[np.ndarray, " R"]:
    """J of a policy that a trust region moves (S4): natural steps within a KL of `RADIUS`, measured before they count.

    Its actions do not depend on the state either, and its surrogate is the same average over visited states.
    """
    mdp, rule, performance = temptation(), TrustRegion(RADIUS, NaturalDirection(0.0, "dense"), 40), []
    step = jax.jit(lambda policy, problem: rule.step(jax.random.key(0), policy, problem, None)[0])
    with jax.enable_x64(True):
        policy = TwoActionPolicy(jnp.zeros(()))  # even odds
        for _ in range(ROUNDS):
            performance.append(float(mdp.performance(mdp.probabilities(policy))))
            policy = step(policy, mdp.problem(policy))
    return np.array(performance)
