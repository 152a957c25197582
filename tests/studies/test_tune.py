"""`steepest tune` as a whole, with the smallest runs there are, and trainings side by side in one program."""

import json
import re

import jax
import numpy as np
import pytest

import steepest
from steepest.algorithms.presets import parse
from steepest.cli.main import main
from steepest.core.errors import InputError
from steepest.envs.cart_pole import CartPole
from steepest.studies.lanes import stack, train_lanes
from steepest.studies.tuning import _seconds
from steepest.training.compiled import CompiledTraining

SMALL = {"num_envs": 2, "segment_length": 4, "hidden": (4,)}


def small(**hyper):
    return steepest.A2C(**SMALL, **hyper).for_env(CartPole(), updates=4)


def test_a_search_ends_with_an_answer_and_goes_on_where_it_was(tmp_path):
    out = tmp_path / "study"
    options = {
        "seeds": 1,
        "fresh_seeds": 2,
        "total_steps": 32,
        "evaluation_episodes": 2,
        "processes": 1,
        "which": "rates",
        "out": out,
    }
    found = steepest.tune("a2c", "CartPole-v1", trials=2, **options, **SMALL)
    assert [each.number for each in found.trials] == [0, 1]
    assert {each.name for each in out.iterdir()} >= {"best.toml", "answer.json", "trials.png", "fresh_seeds.png"}
    assert parse((out / "best.toml").read_text()) == {"a2c": {"CartPole-v1": found.hyper}}
    assert found.hyper | SMALL == found.hyper
    assert "num_envs" not in found.trials[1].hyper
    told = json.loads((out / "answer.json").read_text())
    assert {run.name for run in (out / "runs").iterdir()} == {
        f"{each['name']}-seed-{seed}" for each in (*told["contenders"], *told["defaults"]) for seed in (1, 2)
    }
    with pytest.raises(InputError, match="seeds was"):
        steepest.tune("a2c", "CartPole-v1", trials=2, **options | {"seeds": 2}, **SMALL)
    again = steepest.tune("a2c", "CartPole-v1", trials=2, **options, **SMALL)
    assert again.trials == found.trials
    assert again.hyper == found.hyper


def test_side_by_side_is_what_each_is_alone():
    rates = (1e-3, 3e-2)
    both = train_lanes([small(learning_rate=rate) for rate in rates], CartPole(), (5, 6), total_steps=32, lanes=3)
    assert both is not None
    for (agent, finite), rate, seed in zip(both, rates, (5, 6), strict=True):
        alone = CompiledTraining(small(learning_rate=rate), CartPole(), seeds=(seed,), total_steps=32)
        while not alone.finished:
            alone.advance(1.0)
        assert finite
        for one, other in zip(jax.tree.leaves(agent.policy), jax.tree.leaves(alone.agents()[seed].policy), strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
    assert (
        train_lanes([small(learning_rate=1e-3)] * 2, CartPole(), (5, 6), total_steps=32, lanes=3, stop=bool) is not None
    )
    assert train_lanes([small()], CartPole(), (5,), total_steps=32, lanes=3, stop=lambda: True) is None


def test_what_is_not_finite_in_one_lane_is_told_of_that_one():
    algorithms = [small(learning_rate=1e-3, clip_global_norm=1e30), small(learning_rate=1e38, clip_global_norm=1e30)]
    found = train_lanes(algorithms, CartPole(), (5, 6), total_steps=64, lanes=3)
    assert [finite for _, finite in found] == [True, False]


def test_only_what_shares_a_program_goes_side_by_side():
    with pytest.raises(ValueError, match="2 algorithms are 2 programs"):
        stack([small(), small(anneal=False)])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h", 3600), ("90m", 5400), ("1h30m", 5400), ("2d", 172800), ("45s", 45), ("20", 20), (7.5, 7.5)],
)
def test_times_are_read(text, seconds):
    assert _seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3", "0", "1x", "h", "inf", "1h 30", "nan"])
def test_what_is_no_time_is_told(text):
    with pytest.raises(InputError, match=f"^time is {re.escape(repr(text))}; it must be a time"):
        _seconds(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ppo"], "--env is missing"),
        (["pp", "--env", "CartPole-v1"], "unknown algorithm 'pp'; did you mean 'ppo'?"),
        (["ppo", "--env", "CartPole-v1", "--trials", "0"], "trials is 0; it must be"),
        (["ppo", "--env", "CartPole-v1", "--search", "foo=1..2"], "unknown hyper-parameter of ppo 'foo'"),
        (["ppo", "--env", "CartPole-v1", "--time", "soon"], "time is 'soon'"),
        (["behaviour_cloning", "--env", "CartPole-v1"], "demonstrations are missing"),
    ],
)
def test_a_wrong_word_gets_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["tune", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_help_names_the_algorithms(capsys):
    assert main(["tune"]) == 0
    assert "ppo_penalty" in capsys.readouterr().out
