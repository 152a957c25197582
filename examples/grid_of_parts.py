"""The grid of the lecture, typed: every advantage with every objective and every step rule.

    python examples/grid_of_parts.py

On a problem whose every return is known exactly, each combination that has a meaning takes ten updates, and its gain is
shown as a share of the largest possible. The score is the gradient of nothing away from the policy that acted, so rules
that look there refuse it.
"""

import dataclasses

import jax
import numpy as np

import steepest
from steepest.advantages import GAE, MonteCarlo, NStep, Standardised
from steepest.core.errors import InputError
from steepest.objectives import Clipped, Ratio, Score
from steepest.oracles import TabularMDP, random_mdp
from steepest.steps import Ascent, KLPenalty, Lagrangian, MinibatchAscent, Natural, Optimiser, TrustRegion
from steepest.training.compiled import train

STREAMS, LENGTH, UPDATES = 32, 32, 10
CLIMB = MinibatchAscent(Optimiser(0.02), epochs=4, minibatch_size=256)
ADVANTAGES = {"Monte Carlo": MonteCarlo(0.9), "n-step": NStep(0.9, 5), "GAE": GAE(0.9, 0.95)}
OBJECTIVES = {"score": Score(), "ratio": Ratio(), "clipped": Clipped(0.2)}
STEP_RULES = {
    "ascent": Ascent(Optimiser(0.1)),
    "minibatch ascent": CLIMB,
    "natural": Natural(0.02),
    "trust region": TrustRegion(0.02),
    "KL penalty": KLPenalty(CLIMB, target=0.02),
    "Lagrangian": Lagrangian(CLIMB, radius=0.02),
}


def best_performance(problem: TabularMDP) -> float:
    """J of the best policy, by policy iteration."""
    probabilities = np.full(problem.reward.shape, 1 / problem.reward.shape[1])
    for _ in range(20):
        values = np.asarray(problem.action_values(probabilities))
        probabilities = np.eye(problem.reward.shape[1])[values.argmax(axis=1)]
    return float(problem.performance(probabilities))


def main(updates: int = UPDATES) -> None:
    """Print the grid."""
    steepest.configure_platform()
    problem = random_mdp(3, states=5, actions=3, discount=0.9)
    env = problem.as_env(LENGTH)
    ppo = steepest.PPO(num_envs=STREAMS, segment_length=LENGTH, policy="tabular", hidden=(), discount=0.9)
    base = ppo.for_env(env, updates=updates)
    uniform = float(problem.performance(np.full((5, 3), 1 / 3)))
    best = best_performance(problem)
    print(f"{'gain in % of the largest':26}" + "".join(f"{name:>13}" for name in ADVANTAGES))
    for rule, policy_rule in STEP_RULES.items():
        for name, objective in OBJECTIVES.items():
            cells = []
            for advantage in ADVANTAGES.values():
                try:
                    algorithm = dataclasses.replace(
                        base, advantage=Standardised(advantage), objective=objective, policy_rule=policy_rule
                    )
                except InputError:
                    cells.append("–")
                    continue
                state, _ = jax.jit(lambda key, built=algorithm: train(built, env, key, updates=updates))(
                    jax.random.key(0)
                )
                reached = float(problem.performance(problem.probabilities(state.agent.policy)))
                cells.append(f"{100 * (reached - uniform) / (best - uniform):.0f}")
            print(f"{rule + ', ' + name:26}" + "".join(f"{cell:>13}" for cell in cells))


if __name__ == "__main__":
    main()
