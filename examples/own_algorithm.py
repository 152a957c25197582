"""An algorithm of your own, from parts: n-step advantages, the clipped ratio, and a trust region around both.

    python examples/own_algorithm.py

A function from a `Spec` to an algorithm goes into `steepest.train` as a name does. It is evaluated, saved, and resumed
with `steepest.resume(run, algorithm=clipped_within_a_trust_region)`.
"""

import dataclasses

import steepest
from steepest.advantages import NStep, Standardised
from steepest.algorithms.bodies.actor_critic import ActorCritic
from steepest.core.schedules import Linear
from steepest.objectives import Clipped, Entropy


def clipped_within_a_trust_region(spec: steepest.Spec) -> ActorCritic:
    """PPO's body, networks and critic, with an advantage, an objective and a step rule in place of its own."""
    ppo = steepest.PPO(num_envs=spec.num_envs, segment_length=64, minibatch_size=128, critic_learning_rate=1e-3)
    return dataclasses.replace(
        ppo.build(spec),
        advantage=Standardised(NStep(discount=0.99, n=8)),
        objective=Clipped(radius=Linear(0.3, 0.1)) + 0.001 * Entropy(),
        policy_rule=steepest.TrustRegion(radius=0.02),
    )


def main(total_steps: int = 60_000) -> None:
    """Train it on CartPole with two seeds, side by side."""
    result = steepest.train(
        clipped_within_a_trust_region,
        "CartPole-v1",
        num_envs=8,
        total_steps=total_steps,
        seeds=2,
        evaluation_episodes=20,
    )
    assert result.evaluation is not None
    print(f"interquartile mean of the return: {result.evaluation['iqm']:.0f}")
    print(f"largest measured KL of an update: {result.metrics['measured_kl'].max():.4f}")


if __name__ == "__main__":
    main()
