"""Runs that are made longer: as if they had been so from the start, or refused, since their schedules have ended."""

import inspect
import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

import steepest
from steepest.cli.main import main
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Spec
from steepest.replay import ReplayBuffer
from steepest.runs import checkpoints
from steepest.runs.directory import RunDirectory

SMALL = {"num_envs": 4, "segment_length": 8, "hidden": (4,), "preset": False, "evaluation_episodes": 2}
RING = {"num_envs": 2, "hidden": (4,), "batch_size": 4, "warm_up_steps": 20, "replay_ratio": 0.5}


def final(run, seed=0):
    path = checkpoints.latest(RunDirectory(run).checkpoints(seed))
    return path.stem, path.with_suffix(".safetensors").read_bytes(), json.loads(path.read_text())


def same(one, other):
    for name in set(one.metrics) - {"wall_time", "steps_per_second"}:
        np.testing.assert_array_equal(one.metrics[name], other.metrics[name], err_msg=name)
    assert one.evaluation == other.evaluation


@pytest.mark.parametrize(
    ("algorithm", "env", "steps", "more"),
    [
        ("a2c", "CartPole-v1", 160, {"anneal": False, **SMALL}),
        ("off_policy_actor_critic", "CartPole-v1", 60, {"preset": False, "evaluation_episodes": 0, **RING}),
    ],
)
def test_a_run_without_schedules_is_as_if_it_had_been_longer_from_the_start(tmp_path, algorithm, env, steps, more):
    """Bit for bit, replay buffer included."""
    steepest.train(algorithm, env, total_steps=steps, run_dir=tmp_path / "short", **more)
    made = steepest.resume(tmp_path / "short", total_steps=2 * steps)
    wanted = steepest.train(algorithm, env, total_steps=2 * steps, run_dir=tmp_path / "long", **more)
    assert final(tmp_path / "short") == final(tmp_path / "long")
    same(made, wanted)
    configs = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("short", "long")]
    (earlier,) = configs[0].pop("earlier")
    assert earlier["total_steps"] == steps
    assert configs[1].pop("earlier") == []
    assert configs[0] == configs[1]


@pytest.fixture(scope="module")
def annealed(tmp_path_factory):
    path = tmp_path_factory.mktemp("annealed") / "run"
    steepest.train("a2c", "CartPole-v1", total_steps=160, run_dir=path, anneal=True, **SMALL)
    return path


@pytest.fixture
def run(annealed, tmp_path):
    shutil.copytree(annealed, tmp_path / "run")
    return tmp_path / "run"


def test_a_run_with_schedules_is_refused_and_left_as_it_is(run, annealed, capsys):
    assert main(["resume", str(run), "--total-steps", "320"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "total_steps is 320, but numbers of this run (anneal, or another schedule) change" in said
    assert "--restart-schedules" in said
    with pytest.raises(InputError, match="--restart-schedules to begin them anew"):
        steepest.resume(run, total_steps=320)
    for path in annealed.rglob("*"):
        assert path.is_dir() or (run / path.relative_to(annealed)).read_bytes() == path.read_bytes()


def test_schedules_begin_anew_for_the_steps_that_are_added(run, capsys):
    """They go from their first number at the old end to their last at the new one, also after a second interruption."""
    assert main(["resume", str(run), "--total-steps", "3.2e2", "--restart-schedules"]) == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["total_steps"], config["schedules_begin"]) == (320, 160)
    result = steepest.resume(run)
    assert result.algorithm.spec.total_updates == 5
    assert int(result.agents[0].updates) == 5
    assert result.metrics["steps"][-1] == 320
    again = steepest.resume(run, total_steps=352, restart_schedules=True)
    assert again.algorithm.spec.total_updates == 1
    assert again.metrics["update"].tolist() == [*range(1, 12)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_steps": 100}, "total_steps is 100; it must be a whole number and at least 160"),
        ({"total_steps": 10**12, "restart_schedules": True}, "total_steps is 1000000000000; it must be"),
        ({"total_steps": "320"}, "total_steps is '320'; it must be a whole number"),
        ({"total_steps": 320, "restart_schedules": "False"}, "restart_schedules is 'False'; it must be True or False"),
        ({"restart_schedules": True}, "restart_schedules is given without total_steps"),
    ],
)
def test_what_cannot_be_is_refused(annealed, options, message):
    with pytest.raises(InputError, match=message):
        inspect.unwrap(steepest.resume)(annealed, **options)


def test_as_many_steps_as_before_change_nothing(run):
    before = final(run)
    assert steepest.resume(run, total_steps=160).finished
    assert final(run) == before


def test_until_it_has_learnt_more_a_longer_run_is_what_it_was(run, monkeypatch):
    """Its newest checkpoint is one of the shorter run, however often it was made longer before it went on."""
    before = steepest.evaluate(run, episodes=2)

    def killed(*_, **__):
        raise ZeroDivisionError

    for steps in (320, 480):
        with monkeypatch.context() as patched:
            patched.setattr("steepest.experiments.train.train_seeds", killed)
            with pytest.raises(ZeroDivisionError):
                steepest.resume(run, total_steps=steps, restart_schedules=True)
    assert steepest.evaluate(run, episodes=2) == before
    config = json.loads((run / "config.json").read_text())
    assert [each["total_steps"] for each in config["earlier"]] == [160, 320]
    result = steepest.resume(run)
    assert result.algorithm.spec.total_updates == 10
    assert int(result.agents[0].updates) == 10
    assert result.metrics["steps"][-1] == 480


def test_an_algorithm_of_ones_own_is_made_longer_too(tmp_path, monkeypatch):
    """Though its description names the updates of the run; and its schedules are found."""

    def own(spec):
        return steepest.A2C(num_envs=4, segment_length=8, hidden=(4,), anneal=False).build(spec)

    def annealed(spec):
        return steepest.A2C(num_envs=4, segment_length=8, hidden=(4,), anneal=True).build(spec)

    options = {"num_envs": 4, "evaluation_episodes": 0, "total_steps": 32}
    steepest.train(own, "CartPole-v1", run_dir=tmp_path / "run", **options)
    longer = steepest.resume(tmp_path / "run", algorithm=own, total_steps=64)
    assert longer.metrics["steps"].tolist() == [32, 64]
    with monkeypatch.context() as patched:
        patched.setattr("steepest.experiments.train.train_seeds", lambda *_, **__: {})
        steepest.train(annealed, "CartPole-v1", run_dir=tmp_path / "annealed", **options)
    with pytest.raises(InputError, match="total_steps is 64, but numbers of this run"):
        steepest.resume(tmp_path / "annealed", algorithm=annealed, total_steps=64)


def test_a_ring_that_grows_keeps_every_transition_and_one_that_went_round_is_refused():
    spec = Spec(Box(-1, 1, (3,)), Box(-1, 1, (1,)), num_envs=2, total_updates=1)
    ring = ReplayBuffer.initial(spec, 8)
    obs = jnp.arange(24, dtype=jnp.float32).reshape(8, 3)
    ring = ReplayBuffer(
        **{
            **{name: getattr(ring, name) for name in ring.__annotations__},
            "obs": obs,
            "written": jnp.array([4, 3], jnp.int32),
        }
    )
    grown = ring.grown(7)
    assert grown.length == 7
    np.testing.assert_array_equal(grown.obs[:8], obs)
    np.testing.assert_array_equal(grown.obs[8:], 0)
    np.testing.assert_array_equal(grown.written, ring.written)
    with pytest.raises(InputError, match="holds 8 transitions and cannot become one of 4"):
        ring.grown(2)
    round_it = ReplayBuffer(
        **{**{name: getattr(ring, name) for name in ring.__annotations__}, "written": jnp.array([5, 3], jnp.int32)}
    )
    with pytest.raises(InputError, match="holds 8 transitions and cannot become one of 14"):
        round_it.grown(7)
