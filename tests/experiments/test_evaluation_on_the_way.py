"""Evaluations between updates: where they are due, what they find, and that learning does not notice them."""

import jax
import numpy as np
import pytest

import steepest
from steepest.core.errors import InputError
from steepest.experiments import session
from steepest.experiments.train import prepare
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
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


def test_the_last_of_them_is_the_evaluation_at_the_end_for_every_seed():
    options = {"total_steps": 200, "evaluation_episodes": 3, "preset": False}
    found = steepest.train("a2c", "CartPole-v1", seeds=2, evaluation_every=100, **options, **SMALL)
    steps, returns = evaluation_curve(found.metrics)
    np.testing.assert_array_equal(steps, [100, 200])
    np.testing.assert_allclose(returns[-1], [each["mean_return"] for each in found.evaluation["seeds"]], rtol=1e-6)
    assert np.any(returns[0] != returns[1])


def test_a_seed_that_is_there_first_is_evaluated_there_and_waits_for_the_others():
    """Whole episodes differ in length, so that after one update one seed has made the steps and the other has not."""
    options = {
        "total_steps": 1000,
        "evaluation_episodes": 2,
        "preset": False,
        "num_envs": 4,
        "hidden": (8,),
        "seeds": 2,
    }
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
            session.train_seeds(
                made.config, made.task, (0,), directory, report=lambda event: None, stop=lambda again=again: again > 0
            )
        columns = metrics.read(directory.metrics)
        return columns["steps"], columns[EVALUATED]

    jax.tree.map(np.testing.assert_array_equal, run("one", 0), run("other", 2))


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"evaluation_every is 100, but evaluation_episodes is 0\. Give 10, say"):
        steepest.train("a2c", "CartPole-v1", evaluation_every=100, evaluation_episodes=0)
    with pytest.raises(InputError, match="evaluation_every is -1; it must be"):
        steepest.train("a2c", "CartPole-v1", evaluation_every=-1)
