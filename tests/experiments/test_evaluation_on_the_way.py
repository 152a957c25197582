"""Evaluations between updates: where they are due, what they find, and that learning does not notice them."""

import itertools

import jax
import numpy as np
import pytest

import steepest
from steepest.core.errors import InputError
from steepest.experiments import loop
from steepest.experiments.loop import train_seeds
from steepest.experiments.preparing import prepare
from steepest.runs import metrics, plot
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import MetricsTable
from steepest.runs.metrics import EVALUATED
from steepest.runs.plot import evaluation_curve

SMALL = {"num_envs": 4, "segment_length": 5, "hidden": (8,)}
TIMES = ("wall_time", "steps_per_second")


@pytest.mark.parametrize("backend", ["compiled", "gymnasium"])
@pytest.mark.parametrize("algorithm", ["a2c", "off_policy_actor_critic"])
def test_policies_play_where_it_is_due_and_learning_does_not_notice(algorithm, backend):
    more = {"replay_ratio": 0.1, "warm_up_steps": 40} if algorithm == "off_policy_actor_critic" else {}
    options = {"total_steps": 300, "evaluation_episodes": 3, "backend": backend, "preset": False, **SMALL, **more}
    plain = steepest.train(algorithm, "CartPole-v1", **options)
    found = steepest.train(algorithm, "CartPole-v1", evaluation_every=70, **options)
    played = ~np.isnan(found.metrics[EVALUATED])
    np.testing.assert_array_equal(found.metrics["steps"][played], [80, 140, 220, 280])
    for name in set(plain.metrics) - set(TIMES):
        np.testing.assert_array_equal(found.metrics[name], plain.metrics[name], err_msg=name)
    jax.tree.map(np.testing.assert_array_equal, found.agents, plain.agents)
    assert found.evaluation == plain.evaluation


def test_the_last_of_them_is_the_evaluation_at_the_end_for_every_seed(monkeypatch):
    """And is not played again."""
    evaluate, count = loop.evaluate_agent, itertools.count()

    def counted(*arguments, **options):
        next(count)
        return evaluate(*arguments, **options)

    monkeypatch.setattr(loop, "evaluate_agent", counted)
    options = {"total_steps": 200, "evaluation_episodes": 3, "preset": False}
    found = steepest.train("a2c", "CartPole-v1", seeds=2, evaluation_every=100, **options, **SMALL)
    steps, returns = evaluation_curve(found.metrics)
    np.testing.assert_array_equal(steps, [100, 200])
    np.testing.assert_allclose(returns[-1], [each["mean_return"] for each in found.evaluation["seeds"]], rtol=1e-6)
    assert np.any(returns[0] != returns[1])
    assert next(count) == 4


def test_a_seed_that_is_there_first_is_evaluated_there_and_waits_for_the_others():
    """Whole episodes differ in length, so that after one update one seed has made the steps and the other has not."""
    options = {"total_steps": 1000, "evaluation_episodes": 2, "preset": False, "num_envs": 4, "hidden": (8,)}
    plain = steepest.train("reinforce", "CartPole-v1", seeds=2, **options).metrics
    first = {int(plain["steps"][(plain["seed"] == seed) & (plain["update"] == 1)][0]) for seed in (0, 1)}
    assert len(first) == 2
    found = steepest.train("reinforce", "CartPole-v1", seeds=2, evaluation_every=max(first), **options).metrics
    for seed in (0, 1):
        chosen = found["seed"] == seed
        steps, played = found["steps"][chosen], ~np.isnan(found[EVALUATED][chosen])
        assert played[np.searchsorted(steps, max(first))]
        np.testing.assert_array_equal(steps, plain["steps"][plain["seed"] == seed])


def test_a_run_that_was_stopped_is_evaluated_where_the_uninterrupted_one_is(tmp_path):
    def run(name, stops):
        directory = RunDirectory(tmp_path / name)
        directory.path.mkdir()
        made = prepare(
            "a2c", "CartPole-v1", total_steps=300, seeds=(0,), run=directory, evaluation_episodes=2,
            evaluation_every=70, preset=False, hyper=SMALL,
        )  # fmt: skip
        for again in range(stops, -1, -1):
            train_seeds(
                made.config,
                made.task,
                (0,),
                directory,
                listener=MetricsTable(directory.metrics),
                stop=lambda again=again: again > 0,
            )
        columns = metrics.read(directory.metrics)
        return columns["steps"], columns[EVALUATED]

    jax.tree.map(np.testing.assert_array_equal, run("one", 0), run("other", 2))


def test_seeds_are_drawn_where_they_were_evaluated_and_not_by_their_count():
    """An interrupt may cost a seed one evaluation, and another has none yet."""
    columns = {
        "seed": np.repeat([0.0, 1.0, 2.0], 3),
        "steps": np.tile([100.0, 200.0, 300.0], 3),
        EVALUATED: np.array([1, 2, 3, np.nan, 20, 30, np.nan, np.nan, np.nan]),
    }
    steps, returns = evaluation_curve(columns)
    np.testing.assert_array_equal(steps, [200, 300])
    np.testing.assert_array_equal(returns, [[2, 20], [3, 30]])
    assert len(evaluation_curve(columns | {EVALUATED: np.full(9, np.nan)})[0]) == 0


def test_the_curve_of_a_clone_shows_what_it_returns(tmp_path, monkeypatch):
    obs = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    lines, draw = [], plot._draw

    def seen(axes, steps, values, **style):
        lines.append((style["label"], len(steps)))
        return draw(axes, steps, values, **style)

    monkeypatch.setattr(plot, "_draw", seen)
    for every in (0, 100):
        steepest.train(
            "behaviour_cloning", "CartPole-v1", total_steps=256, demonstrations=(obs, (obs[:, 2] > 0).astype(int)),
            evaluation_every=every, evaluation_episodes=2, run_dir=tmp_path / str(every), hidden=(8,), batch_size=32,
        )  # fmt: skip
    likelihoods = ["behaviour_cloning, held out (1 seed)", "behaviour_cloning, learnt from (1 seed)"]
    assert [label for label, _ in lines[:-1]] == likelihoods
    assert lines[-1] == ("behaviour_cloning (1 seed), evaluated", 2)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"evaluation_every is 100, but evaluation_episodes is 0\. Give 10, say"):
        steepest.train("a2c", "CartPole-v1", evaluation_every=100, evaluation_episodes=0)
    with pytest.raises(InputError, match="evaluation_every is -1; it must be"):
        steepest.train("a2c", "CartPole-v1", evaluation_every=-1)
