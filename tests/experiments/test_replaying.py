"""Whole experiments of algorithms with a ring: kept, gone on with, on every kind of environment, and after a run."""

import numpy as np
import pytest

import steepest
from steepest.core.errors import InputError
from steepest.experiments.loop import train_seeds
from steepest.experiments.preparing import prepare
from steepest.experiments.progress import ProgressDisplay
from steepest.policies.behaviour import Other
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import MetricsTable, RowsInMemory

SMALL = {"hidden": (8,), "batch_size": 16, "warm_up_steps": 40, "num_envs": 2}


def trained(path, *, stops):
    """The arrays of the last checkpoint, of a run that was stopped so many times."""
    path.mkdir()
    run = RunDirectory(path)
    hyper = {**SMALL, "exploration": "ornstein_uhlenbeck", "normalise_observations": True, "return_steps": 3}
    made = prepare("ddpg", "Pendulum-v1", total_steps=500, seeds=(0,), run=run, evaluation_episodes=0, hyper=hyper)
    for again in range(stops, -1, -1):
        outcome = train_seeds(
            made.config, made.task, (0,), run, listener=MetricsTable(run.metrics), stop=lambda again=again: again > 0
        )
    assert outcome[0].finished
    return max(run.checkpoints(0).glob("*.safetensors")).read_bytes()


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path):
    """ReplayBuffer, noise, statistics, targets and rules: all of it is in the checkpoint."""
    assert trained(tmp_path / "one", stops=0) == trained(tmp_path / "other", stops=2)


@pytest.mark.parametrize("backend", ["gymnasium", "envpool"])
def test_it_trains_on_environments_of_the_host(backend):
    options = {**SMALL, "backend": backend, "total_steps": 100, "evaluation_episodes": 2, "preset": False}
    for name, more in (("ddpg", {"exploration": "ornstein_uhlenbeck"}), ("dpg", {"segment_length": 8, "capacity": 16})):
        done = steepest.train(name, "Pendulum-v1", **options, **more, replay_ratio=0.5)
        steps = 100 if name == "ddpg" else 112
        assert done.metrics["replayed"][-1] == min(steps, 100 if name == "ddpg" else 16)
        assert np.abs(done.policy([1.0, 0.0, 0.0])) <= 2


def test_the_policy_of_a_run_acts_for_another(tmp_path):
    """Off-PAC: the log-probabilities in the ring are those of the run's policy."""
    steepest.train("a2c", "CartPole-v1", total_steps=64, num_envs=8, hidden=(8,), run_dir=tmp_path / "run")
    options = {**SMALL, "total_steps": 64, "segment_length": 4, "replay_ratio": 0.25, "evaluation_episodes": 2}
    done = steepest.train("off_pac", "CartPole-v1", behaviour=str(tmp_path / "run"), preset=False, **options)
    behaviour = done.algorithm.exploration
    assert isinstance(behaviour, Other)
    ring = done.agents[0].experience.ring
    late = slice(40, 64)  # after the uniform actions
    expected = behaviour.agent.policy(ring.obs[late]).log_prob(ring.action[late])
    np.testing.assert_allclose(ring.log_prob[late], expected, rtol=1e-4, atol=1e-5)
    assert done.config.hyper_parameters["behaviour"] == str(tmp_path / "run")
    with pytest.raises(InputError, match=r"its observation space is Box\[4\].*, and here it is Box\[3\]"):
        steepest.train("off_pac", "Pendulum-v1", behaviour=str(tmp_path / "run"), total_steps=64)
    with pytest.raises(InputError, match="nowhere"):
        steepest.train("off_pac", "CartPole-v1", behaviour=str(tmp_path / "nowhere"), total_steps=64)


def test_a_ring_that_does_not_fit_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("steepest.replay.memory.available_memory", lambda: 10**6)
    with pytest.raises(InputError, match=r"capacity is 50000; .* need 0.0019 GB, and 0.001 GB are free. Use at most 2"):
        steepest.train("ddpg", "Pendulum-v1", total_steps=50_000, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_run_that_acts_is_named_from_everywhere_and_needed_only_to_learn(tmp_path, monkeypatch):
    """On the host: what is evaluated there is compiled with the other policy's arrays at hand."""
    monkeypatch.chdir(tmp_path)
    steepest.train("a2c", "CartPole-v1", total_steps=64, num_envs=8, hidden=(8,), run_dir="first")
    options = {**SMALL, "total_steps": 64, "evaluation_episodes": 2, "backend": "gymnasium", "preset": False}
    done = steepest.train("off_pac", "CartPole-v1", behaviour="first", run_dir="second", replay_ratio=0.5, **options)
    assert done.evaluation["episodes"] == 2
    assert done.config.hyper_parameters["behaviour"] == str(tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "moved")
    assert steepest.evaluate("second", episodes=2)["episodes"] == 2
    with pytest.raises(
        InputError, match=r"behaviour is neither 'uniform' nor 'soft', and as a run .*first: there is no"
    ):
        steepest.train("off_pac", "CartPole-v1", behaviour="first", **options)


def test_whoever_always_does_the_same_cannot_act_for_another(tmp_path):
    steepest.train("ddpg", "Pendulum-v1", total_steps=60, evaluation_episodes=0, run_dir=tmp_path / "run", **SMALL)
    with pytest.raises(InputError, match=r"ddpg has one action for each state.* Give a run of a stochastic policy"):
        steepest.train("off_pac", "Pendulum-v1", behaviour=str(tmp_path / "run"), total_steps=60)


def test_a_run_that_ends_before_learning_begins_says_so(tmp_path):
    for steps, warned in ((38, True), (39, False)):  # 2 in an update, so that 39 are 40
        made = prepare("ddpg", "Pendulum-v1", total_steps=steps, seeds=(0,), evaluation_episodes=0, hyper=SMALL)
        memory, notices = RowsInMemory(), []
        memory.notice = lambda seed, text, notices=notices: notices.append(text)
        train_seeds(made.config, made.task, (0,), None, listener=memory, stop=lambda: False)
        assert (memory.kept[-1]["gradient_steps"] == 0) == warned
        assert notices == ["warm_up_steps is 40 and total_steps 38: nothing will be learnt."] * warned


def test_more_episodes_than_fit_are_refused():
    with pytest.raises(InputError, match=r"batches is 10000000; its transitions .* GB are free. Use at most \d+\."):
        steepest.train("importance_sampled_pg", "CartPole-v1", total_steps=100, batches=10**7)


def test_the_return_that_is_shown_is_of_all_episodes_since_it_was_shown_last():
    """Where an update is a few steps, hardly any update ends an episode, and least of all the last one."""
    nothing = {"episodes": 0, "return": np.nan}
    rows = [{"episodes": 1, "return": 4.0}, nothing, {"episodes": 3, "return": 8.0}, nothing]
    rows = [row | {"steps": 8 * index, "seed": 0, "steps_per_second": 1.0} for index, row in enumerate(rows)]
    config = prepare("ddpg", "Pendulum-v1", total_steps=100, seeds=(0,)).config
    display = ProgressDisplay(config, show=False)
    display.rows(rows)
    (task,) = display._bars.tasks
    assert (task.completed, task.fields["recent"]) == (24, "7.0")
    display.rows(rows[-1:])
    assert display._bars.tasks[0].fields["recent"] == "7.0"
