"""Exported policies: what act.py does is what the policy of the run does, whatever it observes and does."""

import dataclasses
import hashlib
import importlib.util
import inspect
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import steepest
from steepest.cli.main import main
from steepest.core.distributions import Categorical
from steepest.core.errors import InputError
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Spec
from steepest.experiments.preparing import prepare
from steepest.experiments.train import execute
from steepest.experiments.trained import TrainedPolicy
from steepest.exports import exporting, verification
from steepest.exports.exporting import FORMATS
from steepest.exports.programs import program
from steepest.policies import AbstractPolicy, NetworkPolicy
from steepest.runs.directory import RunDirectory

KEY = jax.random.key(0)
LIMITED = Box(-1, 1, (3,))
REAL = Box(np.array([-2.0, 0.0]), np.array([2.0, 0.1]), (2,))

UNBOUNDED, COUNTED = Box(-np.inf, np.inf, (4,)), MultiDiscrete((3, 4), (5, -2))
DOUBLES = Box(np.array([-0.1, -0.3]), 0.1, (2,), native=np.float64)


def large(agent):
    """An agent whose actions differ, reach the bounds, and whose normaliser has seen something."""

    def larger(leaf):
        if leaf.ndim not in (1, 2) or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return 30 * leaf + jax.random.normal(KEY, leaf.shape) if leaf.ndim == 2 else leaf + 0.1

    return jax.tree.map(larger, agent)


def written(place, algorithm, agent, form):
    """An export without a run, and its policy."""
    content, about = exporting._encoded(algorithm, agent, form)
    spec = algorithm.spec
    spaces = {
        "observation": exporting._described(spec.observation, taken=False),
        "action": exporting._described(spec.action, taken=True),
    }
    exporting._write(place, form, content, about | spaces)
    return acting(place)


def acting(place):
    found = importlib.util.spec_from_file_location("act", place / "act.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.Policy()


def observations(space, count=64):
    rng = np.random.default_rng(1)
    played = rng.normal(0, 3, (100, *space.shape))
    return verification._drawn(space, played if isinstance(space, Box) else np.zeros(0), rng, count)


CASES = {
    "choice": (steepest.PPO(hidden=(16,), normalise_observations=True), UNBOUNDED, Discrete(3, start=7)),
    "choices of bytes": (
        steepest.A2C(hidden=(8, 8), activation="relu"), Box(0, 255, (2, 3), dtype=np.uint8), COUNTED,
    ),
    "switches of choices": (steepest.A2C(hidden=(8,), activation="elu"), COUNTED, MultiBinary(5)),
    "one trunk": (steepest.A2C(hidden=(8, 8), shared_network=True, activation="gelu"), LIMITED, Discrete(4)),
    "doubles": (
        steepest.PPO(hidden=(8,), activation="silu"), LIMITED, DOUBLES,
    ),
    "whole numbers": (steepest.A2C(hidden=(8,)), LIMITED, Box(0, 5, (2,), native=np.int64)),
    "squashed": (steepest.PPO(hidden=(8,), gaussian="squashed"), LIMITED, REAL),
    "bounded": (steepest.DDPG(hidden=(8,)), LIMITED, REAL),
    "by state": (steepest.A2C(hidden=(), gaussian="state_dependent"), LIMITED, REAL),
    "table": (steepest.Reinforce(policy="tabular"), Discrete(5, start=3), Discrete(3, start=1)),
    "perturbed": (steepest.FiniteDifferenceAscent(policy="linear"), Discrete(5), Discrete(3)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_an_exported_policy_acts_as_the_policy_does(case, form, tmp_path):
    kind, observation, action = CASES[case]
    streams = kind.num_streams(observation, action)
    algorithm = kind.build(Spec(observation, action, streams, 10, 20))
    agent = large(algorithm.init(KEY))
    policy, original = written(tmp_path, algorithm, agent, form), TrainedPolicy(algorithm, agent)
    rows = observations(observation)
    found, expected = policy(rows), original(rows)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert len(np.unique(expected, axis=0)) > 1
    if np.issubdtype(expected.dtype, np.floating):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        at_bounds = (expected == action.native_low) | (expected == action.native_high)
        np.testing.assert_array_equal(found[at_bounds], expected[at_bounds])  # digit for digit
    else:
        np.testing.assert_array_equal(found, expected)
    one = policy(rows[3])
    assert one.shape == action.shape
    np.testing.assert_allclose(one, expected[3], rtol=1e-5, atol=1e-6)


class Alternating(AbstractPolicy):
    """A policy with memory: it takes the actions 0 and 1 in turn, and remembers the sum of what it saw."""

    logit: jax.Array

    def __call__(self, obs):
        return self.step(self.initial_carry(jnp.shape(obs)[0]), obs)[0]

    def initial_carry(self, num_streams):
        return {"turn": jnp.zeros(num_streams, jnp.int32), "sum": jnp.zeros((num_streams, 2))}

    def step(self, carry, obs):
        turn = (carry["turn"] > 0) ^ (carry["sum"].sum(axis=-1) > 2)
        logits = jnp.where(turn[:, None], self.logit * jnp.array([[0.0, 1.0]]), self.logit * jnp.array([[1.0, 0.0]]))
        return Categorical(logits), {"turn": 1 - carry["turn"], "sum": carry["sum"] + obs}


def remembering():
    spec = Spec(Box(-1, 1, (2,)), Discrete(2, start=3), 4, 1)
    ppo = steepest.PPO(num_envs=4, segment_length=8, minibatch_size=32, epochs=1).build(spec)
    networks = lambda key, spec: steepest.Networks(Alternating(jnp.asarray(50.0)), None)  # noqa: E731
    algorithm = dataclasses.replace(ppo, networks=networks, critic_rule=None)
    return algorithm, algorithm.init(KEY)


def recurrent():
    """The memory of the policy goes with it, and that of the critic does not."""
    spec = Spec(Box(-1, 1, (2,)), Discrete(2, start=3), 4, 1)
    algorithm = steepest.A2C(num_envs=4, hidden=(4,), memory="lstm", memory_size=3).build(spec)
    return algorithm, large(algorithm.init(KEY))


@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_the_memory_of_a_recurrent_policy(form, tmp_path):
    algorithm, agent = recurrent()
    policy, original = written(tmp_path, algorithm, agent, form), TrainedPolicy(algorithm, agent)
    rows = np.random.default_rng(0).uniform(-1, 1, (12, 5, 2)).astype(np.float32)
    expected = np.stack([original(each) for each in rows])
    assert len(np.unique(expected, axis=0)) > 1
    np.testing.assert_array_equal(np.stack([policy(each) for each in rows]), expected)
    about = json.loads((tmp_path / "policy.json").read_text())
    assert [each["shape"] for each in about["carry"]] == [[3], [3]]


@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_memory_goes_in_and_comes_out(form, tmp_path):
    algorithm, agent = remembering()
    policy, original = written(tmp_path, algorithm, agent, form), TrainedPolicy(algorithm, agent)
    rows = np.random.default_rng(0).uniform(-1, 1, (12, 5, 2)).astype(np.float32)
    expected = np.stack([original(each) for each in rows])
    assert len(np.unique(expected[:, 0])) == 2
    for _ in range(2):
        np.testing.assert_array_equal(np.stack([policy(each) for each in rows]), expected)
        policy.reset()
    assert [int(policy(np.zeros(2))) for _ in range(3)] == [3, 4, 3]  # of another number of streams: from the start
    about = json.loads((tmp_path / "policy.json").read_text())
    assert [each["dtype"] for each in about["carry"]] == ["float32", "int32"]


def test_numpy_says_what_it_cannot_write():
    algorithm, agent = remembering()
    with pytest.raises(InputError, match=r"format is 'numpy', and the policy has memory. Take the format onnx or"):
        exporting._encoded(algorithm, agent, "numpy")

    class Own(NetworkPolicy):
        """Another kind."""

    spec = Spec(LIMITED, REAL, 1, 1)
    built = steepest.PPO(num_envs=1, hidden=(4,)).build(spec)
    agent = built.init(KEY)
    own = dataclasses.replace(agent, policy=Own(agent.policy.encoder, agent.policy.network, agent.policy.head))
    with pytest.raises(
        InputError, match=r"a part that only JAX can compute, .*Own of test_export. Take the format onnx"
    ):
        exporting._encoded(built, own, "numpy")


def test_noise_that_drifts_is_no_memory():
    built = steepest.DDPG(hidden=(4,), exploration="ornstein_uhlenbeck").build(Spec(LIMITED, REAL, 2, 1))
    agent = built.init(KEY)
    assert jax.tree.leaves(built.initial_carry(built.spec))
    assert program(built, agent).first == ()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two seeds, trained in this process."""
    path = tmp_path_factory.mktemp("exported") / "run"
    small = {"num_envs": 4, "segment_length": 64, "minibatch_size": 64, "epochs": 1, "normalise_observations": True}
    experiment = prepare(
        "ppo", "CartPole-v1", total_steps=1024, seeds=(0, 1), run=RunDirectory.fresh(path, ""), evaluation_episodes=0,
        preset=False, hyper=small,
    )  # fmt: skip
    config = dataclasses.replace(experiment.config, seeds_per_process=((0, 1),))
    execute(dataclasses.replace(experiment, config=config), show=False)
    return path


def test_the_command_writes_verifies_and_says_what_it_is(run, capsys):
    assert main(["export", str(run), "--format", "onnx", "--seed", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["format"], said["seed"], said["steps"]) == ("onnx", 1, 1024)
    assert said["verification"]["observations"] == 1000
    assert said["verification"]["identical"] + said["verification"]["tied"] == 1000
    assert 200 < said["verification"]["played"] <= 500
    place = run / "export" / "onnx-seed-1"
    assert said["directory"] == str(place)
    about = json.loads((place / "policy.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert (
        set(about["sha256"]) == {"policy.onnx", "act.py"} == {each.name for each in place.iterdir()} - {"policy.json"}
    )
    for name, digest in about["sha256"].items():
        assert hashlib.sha256((place / name).read_bytes()).hexdigest() == digest
    assert about["action"] == {
        "kind": "Discrete", "shape": [], "dtype": "int32", "units": "those of the environment",
        "choices": [2], "first": [0],
    }  # fmt: skip
    assert about["observation"]["low"][1] == "-inf"
    assert about["trained_with"]["jax"] == about["exported_with"]["jax"] == jax.__version__


def test_numpy_is_all_that_act_needs(run, tmp_path):
    """In a process where neither JAX nor steepest can be imported; and another export in the same place replaces it."""
    made = steepest.export(run, out=tmp_path, observations=50)
    assert made.verification.agrees
    needs = """
import sys
for name in ("jax", "steepest", "onnxruntime", "equinox"):
    sys.modules[name] = None
import numpy as np
from act import Policy
print(Policy()(np.zeros((3, 4))).tolist(), int(Policy()([0.0, 0.0, 0.1, 0.0])))
"""
    done = subprocess.run([sys.executable, "-B", "-c", needs], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] in "01"
    (tmp_path / "policy.npz").write_bytes((tmp_path / "policy.npz").read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"policy.npz is not the file that was exported"):
        acting(tmp_path)
    steepest.export(run, format="stablehlo", out=tmp_path, observations=10)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["act.py", "policy.json", "policy.stablehlo"]


def test_one_that_does_not_agree_is_found(run, capsys, monkeypatch):
    """Its status is 1: nothing that was given is wrong."""
    broken = exporting._act("numpy").replace(b"argmax", b"argmin")
    monkeypatch.setattr(exporting, "_act", lambda form: broken)
    assert main(["export", str(run), "--observations", "40"]) == 1
    out, err = capsys.readouterr()
    assert "does not agree" in err
    assert "the largest difference is 1" in err
    assert out.strip() == str(run / "export" / "numpy-seed-0")
    monkeypatch.setattr(exporting, "_act", lambda form: b"import nowhere\n")
    assert main(["export", str(run), "--observations", "40"]) == 1
    assert "act.py did not run: ModuleNotFoundError: No module named 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "there is no such directory"),
        (["RUN", "--format", "torch"], "torch"),
        (["RUN", "--seed", "7"], "seed 7 is not among its seeds, [0, 1]. Give one of them."),
        (["RUN", "--observations", "0"], "observations is 0; it must be a whole number and at least 1"),
        (["RUN", "--out", "RUN"], "it is not empty, and holds no exported policy. Give another."),
        (["RUN", "--out", "RUN/config.json"], "config.json: it is a file. Give a directory."),
    ],
)
def test_wrong_words_get_one_line(words, says, run, capsys):
    assert main(["export", *(word.replace("RUN", str(run)) for word in words)]) == 2
    out, err = capsys.readouterr()
    assert says in " ".join(err.split())
    assert (out, err.count("\n")) == ("", 1)


def compared(space, expected, found, alone=None, tied=False, monkeypatch=None):
    """The verdict on actions of one observation each."""
    if monkeypatch is not None:
        monkeypatch.setattr(verification, "_decided_by_rounding", lambda *_: np.full((1, len(expected)), tied))
    expected, found = np.asarray(expected)[None], np.asarray(found)[None]
    rows = np.zeros((1, expected.shape[1], 1), np.float32)
    compare = inspect.unwrap(verification._compare)
    alone = np.asarray(found[0, 0] if alone is None else alone)
    return compare(None, None, [space], rows, [expected], [found], [alone], 0)


def test_real_numbers_may_differ_by_rounding_and_choices_not_at_all(monkeypatch):
    box = Box(-2, 2, (1,))
    expected = np.float32([[0.5], [1.0]])
    near, far = expected + np.float32([[1e-5], [0]]), expected + np.float32([[1e-2], [0]])
    assert compared(box, expected, near).agrees
    assert compared(box, expected, near).identical == 1
    assert not compared(box, expected, far).agrees
    assert not compared(box, expected, expected * np.float32(np.nan)).agrees
    assert not compared(box, expected, near, alone=np.float32([0.7])).agrees
    choice = Discrete(2)
    assert compared(choice, [0, 1], [0, 1], monkeypatch=monkeypatch).agrees
    assert not compared(choice, [0, 1], [1, 1], monkeypatch=monkeypatch).agrees
    tied = compared(choice, [0, 1], [1, 1], tied=True, monkeypatch=monkeypatch)
    assert (tied.agrees, tied.identical, tied.tied) == (True, 1, 1)
    assert not compared(choice, [0, 1], [0, 1], alone=1, monkeypatch=monkeypatch).agrees
    whole = Box(0, 5, (1,), native=np.int32)
    assert not compared(whole, [[1], [2]], [[1], [3]], monkeypatch=monkeypatch).agrees


def test_a_tie_is_where_the_policy_itself_turns_with_a_little():
    class Threshold(AbstractPolicy):
        def __call__(self, obs):
            return Categorical(jnp.concatenate([obs, jnp.full_like(obs, 0.5)], axis=-1))

    spec = Spec(Box(0, 1, (1,)), Discrete(2), 1, 1)
    ppo = steepest.PPO(num_envs=1).build(spec)
    networks = lambda key, spec: steepest.Networks(Threshold(), None)  # noqa: E731
    algorithm = dataclasses.replace(ppo, networks=networks, critic_rule=None)
    assert isinstance(algorithm, AbstractAlgorithm)
    rows = np.float32([[[0.2], [0.5], [0.8]]])
    agent = algorithm.init(KEY)
    assert verification._decided_by_rounding(algorithm, agent, rows).tolist() == [[False, True, False]]


@pytest.mark.parametrize("form", FORMATS)
def test_act_has_40_lines_of_code_at_most_and_opens_nothing_that_executes(form):
    text = exporting._act(form).decode()
    assert sum(bool(line.strip()) for line in text.splitlines()) <= 40
    assert "steepest" not in text
    assert "pickle=False" in text or form != "numpy"
    assert all(word not in text for word in ("eval(", "exec(", "pickle.load"))
