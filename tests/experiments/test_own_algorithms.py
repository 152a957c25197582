"""Algorithms of the user's own: what is refused, what is recorded, and on which environments they train."""

import dataclasses
import inspect

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Corridor, Match

import steepest
from steepest.advantages import NStep
from steepest.cli.main import main
from steepest.core.errors import InputError
from steepest.experiments.own import describe
from steepest.steps import Restricted

NONE = {"evaluation_episodes": 0}
A2C = steepest.A2C(num_envs=4, segment_length=8, hidden=(8,))


def own(spec):
    return dataclasses.replace(
        dataclasses.replace(A2C, num_envs=spec.num_envs).build(spec),
        advantage=NStep(0.9, 3),
        policy_rule=Restricted(0.01),
    )


@pytest.mark.parametrize(
    ("algorithm", "options", "message"),
    [
        (steepest.PPO, {}, r"algorithm is the class PPO; give an object of it, PPO\(…\)\."),
        (lambda spec: A2C.for_env(Corridor(), updates=3), {}, "for another Spec than the one it is called with"),
        (lambda spec: A2C, {}, r"a function that returns a A2C; it must return an algorithm"),
        (own, {"num_envs": 0}, "num_envs is 0; it must be a whole number and at least 1"),
        (own, {"learning_rate": 0.1}, "learning_rate: the algorithm is your own; set it there"),
        (A2C, {"num_envs": 3}, "num_envs: the algorithm is given as an object; set it there"),
        (steepest.BehaviourCloning().for_env(Corridor(), updates=3), {}, "demonstrations are missing; the algorithm"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_written(algorithm, options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        steepest.train(algorithm, Corridor(), run_dir=tmp_path / "run", total_steps=64, **NONE, **options)
    assert not (tmp_path / "run").exists()


class Shifted(gymnasium.Env):
    """On the host, found by no id; the right action is the second."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(3, start=5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time += 1
        return np.zeros(2, np.float32), float(action == 6), self.time == 4, False, {}


def test_several_seeds_train_on_the_host_and_everything_is_found_again(tmp_path):
    run = tmp_path / "run"
    done = steepest.train(own, Shifted, total_steps=96, seeds=2, num_envs=2, run_dir=run, evaluation_episodes=3)
    assert done.algorithm.spec.num_envs == 2
    assert done.algorithm.spec.total_updates == 6
    assert done.metrics["steps"].tolist() == [16, 32, 48, 64, 80, 96] * 2
    assert done.policy(np.zeros(2)) in (5, 6, 7)
    assert done.policy_of(1)(np.zeros((3, 2))).shape == (3,)
    again = steepest.evaluate(run, algorithm=own, env=Shifted, episodes=3)
    assert [each["seed"] for each in again["seeds"]] == [0, 1]
    assert steepest.resume(run, algorithm=own, env=Shifted).finished
    with pytest.raises(InputError, match=r"environment Match: the run was made on Shifted\. Give that\."):
        steepest.evaluate(run, algorithm=own, env=Match())
    with pytest.raises(InputError, match="seed 7 is not among those that were trained"):
        done.policy_of(7)


def test_the_command_line_says_that_such_runs_go_on_from_python(tmp_path, capsys):
    run = tmp_path / "run"
    steepest.train(own, "CartPole-v1", total_steps=64, run_dir=run, **NONE)
    for words in (["resume"], ["evaluate"], ["demonstrate", "--out", "x.npz"], ["gradients", "--policy"]):
        assert main([*words, str(run)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "an algorithm of your own, which no file holds." in said
        assert "from Python: steepest.resume(run, algorithm=…)" in said


def test_one_that_learns_from_demonstrations_gets_them():
    cloning = steepest.BehaviourCloning(batch_size=8, hidden=(8,)).for_env(Corridor(), updates=3)
    built = dataclasses.replace(cloning, policy_rule=steepest.steps.Ascent(steepest.Optimiser(0.1)))
    shown = np.arange(20) % 4, np.ones(20, int)
    done = steepest.train(built, Corridor(), total_steps=400, demonstrations=shown, evaluation_episodes=2)
    assert done.metrics["log_likelihood"][-1] > done.metrics["log_likelihood"][0]
    assert "held_out_log_likelihood" in done.metrics
    assert done.policy(1) == 1


class Weighted(eqx.Module):
    weights: jax.Array
    key: jax.Array


def test_a_description_tells_long_arrays_and_keys_apart():
    """Words leave out the middle of long arrays, and addresses are not the same in another process."""
    one = Weighted(jnp.zeros(5000), jax.random.key(0))
    other = dataclasses.replace(one, weights=one.weights.at[2500].set(1))
    describe_any = inspect.unwrap(describe)  # of any tree
    words = {describe_any(each) for each in (one, other, dataclasses.replace(one, key=jax.random.key(1)))}
    assert len(words) == 3
    assert describe_any(one) == describe_any(dataclasses.replace(one))
    assert " at 0x" not in describe(own(A2C.for_env(Corridor(), updates=2).spec))
