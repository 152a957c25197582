"""The main job, small: what ships learns what it says. Every seed counts, and the last policy does."""

import pytest

import steepest


@pytest.mark.parametrize(
    ("algorithm", "total_steps", "bar"), [("ppo", 100_000, 475), ("a2c", 500_000, 475), ("reinforce", 500_000, 450)]
)
def test_cart_pole_is_balanced(algorithm, total_steps, bar):
    result = steepest.train(algorithm, "CartPole-v1", total_steps=total_steps, seed=10, seeds=2)
    assert all(each["mean_return"] >= bar for each in result.evaluation["seeds"]), result.evaluation
