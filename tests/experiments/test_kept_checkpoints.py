"""Checkpoints that stay for good: at which steps, in a run that goes on, and what they change in it: nothing."""

import json

import numpy as np
import pytest

import steepest
from steepest.core.errors import InputError
from steepest.envs.cart_pole import CartPole
from steepest.experiments.trained import load, load_each
from steepest.runs import checkpoints
from steepest.runs.directory import RunDirectory

SMALL = {
    "num_envs": 4, "segment_length": 16, "minibatch_size": 32, "epochs": 1, "hidden": (8,), "preset": False,
    "evaluation_episodes": 2, "learning_rate": 0.01,
}  # fmt: skip
"""Updates of 64 steps"""


def train(path, **options):
    return steepest.train("ppo", CartPole(), run_dir=path, total_steps=512, **SMALL, **options)


def steps(path, seed=0):
    found = reversed(checkpoints.manifests(RunDirectory(path).checkpoints(seed)))
    return [checkpoints.read_manifest(each).steps for each in found]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "run"
    return path, train(path, keep_every=150, evaluation_every=200, seeds=2)


def test_they_stand_at_the_first_update_after_every_so_many_steps_and_change_nothing(kept, tmp_path):
    path, result = kept
    for seed in (0, 1):
        assert steps(path, seed) == [0, 192, 320, 512]
    other = train(tmp_path / "other", evaluation_every=200, seeds=2)  # as an object: in this process
    assert steps(tmp_path / "other")[-1] == 512
    assert len(steps(tmp_path / "other")) <= 2
    for name in set(result.metrics) - {"wall_time", "steps_per_second"}:
        np.testing.assert_array_equal(result.metrics[name], other.metrics[name])
    assert json.loads((path / "config.json").read_text())["keep_every"] == 150


def test_they_stay_when_the_run_goes_on_and_its_policies_are_those_of_then(kept):
    path, _ = kept
    before = {policy.steps: policy.distribution(np.ones(4)).logits for policy in load_each(path, env=CartPole())}
    assert list(before) == [0, 192, 320, 512]
    assert len({str(each) for each in before.values()}) == 4
    np.testing.assert_array_equal(before[512], load(path, env=CartPole()).distribution(np.ones(4)).logits)
    steepest.resume(path, env=CartPole(), total_steps=1024)
    assert steps(path) == [0, 192, 320, 512, 640, 768, 960, 1024]
    after = {policy.steps: policy.distribution(np.ones(4)).logits for policy in load_each(path, env=CartPole())}
    for each, logits in before.items():
        np.testing.assert_array_equal(after[each], logits)


def test_a_damaged_one_is_left_out(kept):
    path, _ = kept
    first = checkpoints.manifests(RunDirectory(path).checkpoints(1))[-1].with_suffix(".safetensors")
    first.write_bytes(first.read_bytes()[:-1])
    assert next(policy.steps for policy in load_each(path, seed=1, env=CartPole())) == 192


def test_what_is_no_number_of_steps_is_refused():
    with pytest.raises(InputError, match="keep_every is -1; it must be"):
        steepest.train("ppo", "CartPole-v1", keep_every=-1)
