"""Learning from demonstrations, from start to end: where they come from, what is kept, and how a run goes on."""

import contextlib
import dataclasses
import inspect
import json
import subprocess
import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Corridor, Match

import steepest
from steepest.cli.main import main
from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError
from steepest.core.interrupts import Stop
from steepest.core.spaces import Spec
from steepest.envs.cart_pole import CartPole
from steepest.experiments.trained import WithoutNoise
from steepest.runs import demonstration_files as files
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.sampling.demonstration_source import DemonstrationSource
from steepest.training.compiled import CompiledTraining

SMALL = {"hidden": (8,), "batch_size": 32, "evaluation_episodes": 2}
CLONE = ["train", "behaviour_cloning", "--env", "CartPole-v1", "--hidden", "8", "--evaluation-episodes", "2"]


@pytest.fixture(scope="module")
def expert(tmp_path_factory):
    """A run whose policy has learnt next to nothing."""
    run = tmp_path_factory.mktemp("expert") / "run"
    steepest.train(
        "ppo", CartPole(), total_steps=256, seeds=2, run_dir=run, preset=False, evaluation_episodes=0,
        num_envs=4, segment_length=32, minibatch_size=32, epochs=1, hidden=(8,),
    )  # fmt: skip
    return run


@pytest.fixture(scope="module")
def recorded(expert):
    return steepest.demonstrate(expert, episodes=5)


def test_what_is_recorded_is_what_the_policy_does_and_what_the_environment_answers(expert, recorded):
    """Played again in NumPy's CartPole: from an observation and its action follows the next observation."""
    assert recorded.episodes == 5
    policy = steepest.load(expert).module
    np.testing.assert_array_equal(recorded.action, policy(jnp.asarray(recorded.obs)).mode())
    world = gymnasium.make("CartPole-v1").unwrapped
    world.reset()
    for row in np.flatnonzero(np.diff(recorded.episode) == 0)[:50]:
        world.state = recorded.obs[row]
        np.testing.assert_allclose(world.step(int(recorded.action[row]))[0], recorded.obs[row + 1], atol=1e-5)


def test_other_seeds_episodes_and_noise_give_other_demonstrations(expert, recorded):
    def same(other):
        return np.array_equal(recorded.obs, other.obs)

    assert same(steepest.demonstrate(expert, episodes=5))
    assert not same(steepest.demonstrate(expert, episodes=5, episode_seed=1))
    assert not same(steepest.demonstrate(expert, episodes=5, seed=1))
    assert not same(steepest.demonstrate(expert, episodes=5, stochastic=True))


def test_the_best_guess_stands_in_for_a_sample():
    policy = steepest.PPO(hidden=()).build(Spec(*spaces_of(Match(kind="box")), 1, 1)).init(jax.random.key(0)).policy
    obs = jnp.ones((3, 2))
    action, log_prob = WithoutNoise(policy)(obs).sample_and_log_prob(jax.random.key(1))
    np.testing.assert_array_equal(action, policy(obs).mode())
    np.testing.assert_array_equal(log_prob, policy(obs).log_prob(action))


def spaces_of(env):
    return env.observation_space, env.action_space


def test_all_sources_of_the_same_demonstrations_train_the_same_policy(expert, recorded, tmp_path):
    """A run, a file of either kind, an object, a pair of arrays."""
    paths = [tmp_path / f"file{suffix}" for suffix in files.SUFFIXES]
    for path in paths:
        files.save(path, recorded)
    sources = [expert, str(paths[0]), paths[1], recorded]
    results = [
        steepest.train(
            "behaviour_cloning", "CartPole-v1", total_steps=96, demonstrations=source, demonstration_episodes=5, **SMALL
        )
        for source in sources
    ]
    for other in results[1:]:
        jax.tree.map(np.testing.assert_array_equal, other.agents[0], results[0].agents[0])
    assert results[0].config.demonstrations["origin"].startswith(f"{expert}, seed 0, without noise, mean return")
    assert len({result.config.demonstrations["sha256"] for result in results}) == 1
    pair = steepest.train(
        "behaviour_cloning",
        Corridor(),
        total_steps=64,
        demonstrations=([0, 1, 2], [1, 1, 1]),
        policy="tabular",
        **SMALL,
    )
    assert pair.policy(1) == 1
    assert pair.config.demonstrations["origin"] == "arrays"
    assert set(pair.metrics) >= {"log_likelihood", "held_out_log_likelihood", "steps", "objective"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_minari_data_set_trains_where_its_spaces_are_those_of_the_environment(tmp_path, monkeypatch, recorded):
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    from data_sets import make_data_set

    world = gymnasium.make("CartPole-v1")
    rows = np.append(recorded.obs, recorded.obs[-1:], axis=0), recorded.action
    make_data_set("cartpole/test-v0", world.observation_space, world.action_space, rows, rows)
    result = steepest.train(
        "behaviour_cloning", "CartPole-v1", total_steps=64, demonstrations="minari:cartpole/test-v0", **SMALL
    )
    assert result.config.demonstrations["transitions"] == 2 * len(recorded)
    assert result.config.demonstrations["episodes"] == 2
    with pytest.raises(InputError, match=r"the observation space of Minari data set .* is Box\[4\].* of Acrobot-v1 is"):
        steepest.train("behaviour_cloning", "Acrobot-v1", demonstrations="minari:cartpole/test-v0")


def test_an_environment_on_the_host_is_only_played_at_the_end(recorded):
    played = []

    class Counted(gymnasium.Wrapper):
        def step(self, action):
            played.append(action)
            return super().step(action)

    result = steepest.train(
        "behaviour_cloning", lambda: Counted(gymnasium.make("CartPole-v1")), total_steps=64, demonstrations=recorded,
        **{**SMALL, "evaluation_episodes": 0},
    )  # fmt: skip
    assert not played
    assert result.finished
    assert result.config.backend == "gymnasium"


@pytest.mark.parametrize(
    ("algorithm", "options", "message"),
    [
        ("ppo", {"demonstrations": ([[0.0] * 4], [0])}, "demonstrations are given, but ppo learns from what it does"),
        ("behaviour_cloning", {}, "demonstrations are missing; behaviour_cloning learns from them"),
        ("behaviour_cloning", {"demonstrations": 3}, "demonstrations is a int; it must be a run directory"),
        ("behaviour_cloning", {"demonstrations": "nowhere"}, "demonstrations nowhere: there is no such run directory"),
        ("behaviour_cloning", {"demonstrations": "nowhere.npz"}, "demonstrations nowhere.npz: No such file"),
        ("behaviour_cloning", {"demonstrations": "."}, "it has no config.json"),
        ("behaviour_cloning", {"demonstrations": ([[0.0]], [0])}, r"a row of obs has shape \(1,\); .* CartPole-v1"),
        ("behaviour_cloning", {"demonstrations": ([[0.0] * 4], [2])}, r"action\[0\] is 2"),
        ("behaviour_cloning", {"demonstrations": "EXPERT", "demonstration_episodes": 0}, "episodes is 0; it must be"),
        ("behaviour_cloning", {"demonstrations": "EXPERT", "num_envs": 8}, "behaviour_cloning has no num_envs; ppo"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_before_anything_is_written(algorithm, options, message, expert, tmp_path):
    options = {name: expert if value == "EXPERT" else value for name, value in options.items()}
    with pytest.raises(InputError, match=message):
        inspect.unwrap(steepest.train)(
            algorithm, "CartPole-v1", run_dir=tmp_path / "run", **options
        )  # without a check of types
    assert not (tmp_path / "run").exists()


def test_a_run_in_another_environment_is_no_expert_here(expert):
    with pytest.raises(InputError, match=r"space of run .* is Box\[4\] .* of Pendulum-v1 is Box\[3\]"):
        steepest.train("behaviour_cloning", "Pendulum-v1", demonstrations=expert)


def test_the_command_line_records_trains_evaluates_and_plots(expert, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demonstrate", str(expert), "--episodes", "3", "--out", "demos.npz"]) == 0
    assert "transitions of 3 episodes of CartPole-v1, mean return" in capsys.readouterr().err
    rest = ["--total-steps", "96", "--run-dir", "clone", "--batch-size", "32"]
    assert main([*CLONE, "--demonstrations", "demos.npz", *rest]) == 0
    out, err = capsys.readouterr()
    assert "demonstrated transitions of 3 episodes: demos.npz" in err
    assert "mean return" in out
    assert {each.name for each in (tmp_path / "clone").iterdir()} == {
        "config.json", "metrics.csv", "metrics.csv.sha256", "checkpoints", "demonstrations.safetensors",
        "evaluation.json", "curve.png",
    }  # fmt: skip
    evaluation = json.loads((tmp_path / "clone" / "evaluation.json").read_text())
    assert steepest.evaluate("clone", episodes=2) == evaluation
    assert main(["plot", "clone", str(expert), "--out", "both.png"]) == 0
    assert main(["resume", "clone"]) == 0
    capsys.readouterr()
    for words, says in [
        (CLONE, "--demonstrations is missing; give a run directory"),
        ([*CLONE, "--demonstration", "x"], "--demonstration"),
        ([*CLONE, "--demonstrations", "nowhere"], "there is no such run directory or file"),
        ([*CLONE, "--demonstrations", "x", "--num-envs", "8"], "behaviour_cloning has no num_envs; ppo"),
        (["train", "ppo", "--env", "CartPole-v1", "--demonstrations", "x"], "unknown flag '--demonstrations'"),
        (["demonstrate", str(expert)], "--out is"),
        (["demonstrate", str(expert), "--out", "x.pkl"], "--out is 'x.pkl'; give a file that ends in"),
        (["demonstrate", str(expert), "--out", "x.npz", "--seed", "7"], "seed 7 is not among its seeds, [0, 1]"),
        (["demonstrate", "nowhere", "--out", "x.npz"], "there is no such directory"),
    ]:
        assert main(words) == 2
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1


def test_a_run_that_was_stopped_goes_on_bit_for_bit(recorded, tmp_path, monkeypatch):
    """Stopped after one call of the driver, and gone on with from the copy of the demonstrations in its directory."""
    from steepest.experiments import train as experiments

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    options = {"seeds": 2, "total_steps": 32 * 400, "demonstrations": recorded, **SMALL}
    steepest.train("behaviour_cloning", CartPole(), run_dir=whole, **options)
    experiment = experiments.prepare(
        "behaviour_cloning", "CartPole-v1", total_steps=32 * 400, seeds=(0, 1), demonstrations=recorded,
        run=RunDirectory.fresh(cut, ""), evaluation_episodes=2, hyper={"hidden": (8,), "batch_size": 32},
    )  # fmt: skip
    in_process = dataclasses.replace(experiment.config, seeds_per_process=((0, 1),))
    with monkeypatch.context() as patched:
        patched.setattr(experiments, "interruptible", stopping_after_the_first_call)
        stopped = experiments.execute(dataclasses.replace(experiment, config=in_process), show=False)
    assert not stopped.finished
    assert 0 < stopped.metrics["update"].max() < 400
    done = subprocess.run(
        [sys.executable, "-m", "steepest", "resume", str(cut)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for seed in (0, 1):
        one, other = (max(RunDirectory(run).checkpoints(seed).glob("*.safetensors")) for run in (whole, cut))
        assert one.name == other.name == "000000400.safetensors"
        assert one.read_bytes() == other.read_bytes()
    one, other = (metrics.read(run / "metrics.csv") for run in (whole, cut))
    for name in set(one) - {"wall_time", "steps_per_second"}:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    (cut / "demonstrations.safetensors").write_bytes(files.encode(Demonstrations([[0.0] * 4], [0])))
    with pytest.raises(InputError, match=r"does not match the SHA-256 in config\.json"):
        experiments.execute(experiments.reopen(cut), show=False)


class AfterTheFirstQuestion(Stop):
    """As if Ctrl-C had come: not before training begins, but at the first question after that."""

    asked = False

    def __call__(self):
        before, self.asked = self.asked, True
        return before


def stopping_after_the_first_call():
    return contextlib.nullcontext(AfterTheFirstQuestion())


def test_where_a_run_is_cut_into_calls_does_not_matter(recorded):
    env = CartPole()
    spec = Spec(env.observation_space, env.action_space, 16, 20)
    algorithm = steepest.BehaviourCloning(hidden=(8,), batch_size=16).build(spec)
    source = DemonstrationSource.of(recorded.checked("E", *spaces_of(env)), spec, 0.2)
    states = []
    for seconds in (0.0, 100.0):
        training = CompiledTraining(algorithm, source, seeds=(0, 1), total_steps=16 * 20)
        while not training.finished:
            training.advance(seconds)
        states.append([state.agent for state in training.states().values()])
    jax.tree.map(np.testing.assert_array_equal, *states)
