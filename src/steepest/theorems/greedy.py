"""T8: greedy improvement on fitted advantages, compared with a KL-limited step."""

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
    r"""T8: $V^{k+1}(s_0) \ge V^k(s_0) - H|\Delta_\infty|$ with $\Delta_\infty = \min_{t,s}A^k_t(s, \pi^{k+1}(s)) < 0$.

    Measured is the loss divided by $H|\Delta_\infty|$: in random problems with π greedy in noisy advantages, and in
    `temptation`, where fitted policy iteration loses nearly all of it at every second round. The trust-region step of
    KL ≤ 0.01 (S4), on the same averages over states, loses next to nothing there.
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
    """A two-state MDP in which greedy improvement on state-averaged advantages fails: a home and a pit.

    Action 0 stays at home, which pays 1, and leads out of the pit; action 1 leaves home, which pays 2.5, and stays in
    the pit, which costs 2. Averaged over the states of a policy that stays at home, action 1 has the larger advantage.
    """
    transition = np.zeros((2, 2, 2))
    transition[:, 0, 0] = transition[:, 1, 1] = 1
    return TabularMDP(transition, [[1.0, 2.5], [0.0, -2.0]], [1.0, 0.0], discount=1.0, horizon=HORIZON)


class Rounds(NamedTuple):
    """The rounds of policy iteration: J of each policy, and $\\Delta_\\infty$ of each change of policy."""

    performance: Float[np.ndarray, " R"]
    worst_advantage: Float[np.ndarray, " R-1"]


def fitted_policy_iteration() -> Rounds:
    """Fitted policy iteration: greedy in the advantage averaged over the states that the previous policy visits."""
    mdp, chosen, performance, worst = temptation(), 0, [], []
    for _ in range(ROUNDS):
        probs = np.tile(np.eye(2)[chosen], (2, 1))
        performance.append(float(mdp.performance(probs)))
        _, coefficient = mdp.decisions(probs)
        chosen = int(coefficient.sum(axis=0).argmax())
        worst.append(mdp.advantages(probs)[:, :, chosen].min())
    return Rounds(np.array(performance), np.array(worst[:-1]))


def limited_steps() -> Float[np.ndarray, " R"]:
    """J after each trust-region step (S4), within a KL of `RADIUS`.

    The policy ignores the state, as in fitted policy iteration, and its surrogate is the same average over states.
    """
    mdp, rule, performance = temptation(), TrustRegion(RADIUS, NaturalDirection(0.0, "dense"), 40), []
    step = jax.jit(lambda policy, problem: rule.step(jax.random.key(0), policy, problem, None)[0])
    with jax.enable_x64(True):
        policy = TwoActionPolicy(jnp.zeros(()))  # even odds
        for _ in range(ROUNDS):
            performance.append(float(mdp.performance(mdp.probabilities(policy))))
            policy = step(policy, mdp.problem(policy))
    return np.array(performance)
