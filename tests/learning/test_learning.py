"""The main job, small: what ships learns what it says. Every seed counts, and the last policy does."""

import gymnasium
import numpy as np
import pytest

import steepest
from steepest.envs.cart_pole import CartPole


@pytest.fixture(autouse=True)
def programs_as_users_have_them(monkeypatch):
    """The processes that train compile as they do for users: another order of rounding is another run after all."""
    monkeypatch.delenv("JAX_DISABLE_MOST_OPTIMIZATIONS")
    monkeypatch.delenv("XLA_FLAGS")


@pytest.mark.parametrize(
    ("algorithm", "total_steps", "bar"), [("ppo", 100_000, 475), ("a2c", 500_000, 475), ("reinforce", 500_000, 450)]
)
def test_cart_pole_is_balanced(algorithm, total_steps, bar):
    result = steepest.train(algorithm, "CartPole-v1", total_steps=total_steps, seed=10, seeds=2)
    assert all(each["mean_return"] >= bar for each in result.evaluation["seeds"]), result.evaluation


def test_cart_pole_is_balanced_by_who_has_only_watched():
    """20 episodes of a rule that is known to balance: push towards where the pole leans, and where the cart drifts."""
    env, episodes = CartPole(), []
    rule = np.array([0.1, 0.5, 3.0, 1.0])
    world = gymnasium.make("CartPole-v1")
    for seed in range(20):
        obs, over, seen = world.reset(seed=seed)[0], False, []
        while not over:
            seen.append((obs, int(obs @ rule > 0)))
            obs, _, terminated, truncated, _ = world.step(seen[-1][1])
            over = terminated or truncated
        assert truncated
        episodes += [(row, action, seed) for row, action in seen]
    shown = steepest.Demonstrations(*map(list, zip(*episodes, strict=True)))
    result = steepest.train("behaviour_cloning", env, total_steps=20_000, seed=10, seeds=2, demonstrations=shown)
    assert all(each["mean_return"] >= 475 for each in result.evaluation["seeds"]), result.evaluation
