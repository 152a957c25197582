"""config.json as it may be found: damaged by hand, by a disk, or written to harm. One line each, naming the field."""

import copy
import json

import pytest

from steepest.core.errors import InputError
from steepest.experiments.configuration import RunConfiguration
from steepest.runs.directory import RunDirectory

WHOLE = {
    "algorithm": "ppo",
    "hyper_parameters": {
        "num_envs": 4,
        "segment_length": 32,
        "discount": 0.99,
        "gae_lambda": 0.95,
        "normalise_advantages": True,
        "clip_radius": 0.2,
        "final_clip_radius": None,
        "value_clip_radius": None,
        "entropy_bonus": 0.0,
        "value_coefficient": 0.5,
        "learning_rate": 0.0003,
        "critic_learning_rate": None,
        "anneal": False,
        "clip_global_norm": 0.5,
        "epochs": 1,
        "minibatch_size": 32,
        "kl_stop": "inf",
        "policy": "network",
        "shared_network": False,
        "hidden": [8],
        "activation": "tanh",
        "gaussian": "gaussian",
        "log_std": 0.0,
        "normalise_observations": False,
        "scale_rewards": False,
    },
    "preset": False,
    "env": "CartPole-v1",
    "backend": "compiled",
    "library": "steepest",
    "spaces": {"observation": "Box[4] in [-inf, inf]", "action": "Discrete(n=2, start=0)"},
    "action_bounds": [None, None],
    "total_steps": 1024,
    "seeds": [0, 1],
    "seeds_per_process": [[0], [1]],
    "evaluation_episodes": 2,
    "checkpoint_seconds": 0.0,
    "versions": {"python": "3.11.7"},
    "evaluation_every": 0,
    "demonstrations": None,
    "importable": True,
}
DEMONSTRATIONS = {"origin": "arrays", "transitions": 10, "episodes": None, "sha256": "0" * 64}
WRONG = [None, True, -1, 1.5, 10**18, float("nan"), float("inf"), "text", "", [], [[]], [None], ["a"], {}, {"a": []}]
FITS = {
    "algorithm": [],
    "preset": [True],
    "env": ["text", ""],  # whether there is such an environment is asked later
    "backend": [],
    "library": ["text", ""],
    "action_bounds": [],
    "total_steps": [],
    "seeds": [],
    "seeds_per_process": [],
    "evaluation_episodes": [],
    "checkpoint_seconds": [1.5],
    "versions": [{}],
    "evaluation_every": [],
    "demonstrations": [None],
    "importable": [True],
    "schedules_begin": [],
    "earlier": [[]],
    "spaces": [],
    "hyper_parameters": [],
}


def read(tmp_path, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "config.json").write_text(text)
    return RunConfiguration.parse(RunDirectory.existing(tmp_path).read_config())


def refused(tmp_path, content):
    with pytest.raises(InputError) as error:
        read(tmp_path, content)
    said = str(error.value)
    assert "config.json" in said
    assert "\n" not in said
    assert len(said) < 400
    return said


def same(one, other):
    return one is other or (type(one) is type(other) and one == other)


def test_a_whole_one_is_read(tmp_path):
    config = read(tmp_path, WHOLE)
    assert config.seeds_per_process == ((0,), (1,))
    assert config.parameters().hidden == (8,)
    assert read(tmp_path, json.loads(config.dump())) == config


@pytest.mark.parametrize("name", FITS)
def test_a_field_of_another_type_or_out_of_bounds_is_named(tmp_path, name):
    for value in WRONG:
        if any(same(value, good) for good in FITS[name]):
            read(tmp_path, WHOLE | {name: value})
        else:
            assert name.split("_per_")[0] in refused(tmp_path, WHOLE | {name: value}), value


@pytest.mark.parametrize("name", WHOLE)
def test_a_field_that_is_missing_is_named(tmp_path, name):
    rest = {field: value for field, value in WHOLE.items() if field != name}
    if name in ("demonstrations", "evaluation_every", "importable"):
        read(tmp_path, rest)
    else:
        assert name in refused(tmp_path, rest)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"surprise": 1}, "field 'surprise' is unknown"),
        ({"seeds": [0, 0]}, "seeds"),
        ({"seeds": [1.0, 2.0]}, "seeds"),
        ({"seeds": [True, False]}, "seeds"),
        ({"seeds": [0, 1, 2]}, "seeds_per_process"),
        ({"seeds_per_process": [[0], [1], [1]]}, "seeds_per_process"),
        ({"seeds_per_process": [[0, 1], []]}, "seeds_per_process"),
        ({"seeds_per_process": [[0], ["1"]]}, "seeds_per_process"),
        ({"seeds_per_process": [0, 1]}, "seeds_per_process"),
        ({"total_steps": 2**31}, "total_steps"),
        ({"total_steps": 1e5}, "total_steps"),
        ({"evaluation_episodes": 10**12}, "evaluation_episodes is 1000000000000; it must be"),
        ({"evaluation_episodes": 0, "evaluation_every": 5}, "evaluation_every is 5, but evaluation_episodes is 0"),
        ({"action_bounds": [1.0]}, "action_bounds"),
        ({"action_bounds": [0, "1"]}, "action_bounds"),
        ({"action_bounds": [0, 1, 2]}, "action_bounds"),
        ({"spaces": {"observation": "Box"}}, "spaces"),
        ({"spaces": {"observation": "Box", "action": 3}}, "spaces"),
        ({"algorithm": "pp0"}, "unknown algorithm 'pp0'; did you mean 'ppo'"),
        ({"algorithm": "own"}, "hyper_parameters"),
        ({"algorithm": "own", "hyper_parameters": {"num_envs": 10**18, "description": ""}}, "num_envs"),
        ({"earlier": [{"total_steps": 5}]}, "earlier.description"),
        ({"earlier": [{"total_steps": "5", "schedules_begin": 0, "description": None}]}, "earlier.total_steps"),
        ({"earlier": [{"total_steps": 10**18, "schedules_begin": 0, "description": None}]}, "total_steps is 1000"),
        ({"backend": "gym"}, "backend"),
        ({"backend": "auto"}, "backend"),
        ({"demonstrations": DEMONSTRATIONS | {"sha256": 3}}, "demonstrations.sha256"),
        ({"demonstrations": {"origin": "arrays"}}, "demonstrations"),
        ({"demonstrations": DEMONSTRATIONS}, "demonstrations"),  # PPO has none
        ({"algorithm": "behaviour_cloning", "hyper_parameters": {}}, "hyper_parameters"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_named(tmp_path, change, says):
    assert says in refused(tmp_path, WHOLE | change)


@pytest.mark.parametrize("name", WHOLE["hyper_parameters"])
def test_a_hyper_parameter_of_another_type_is_named(tmp_path, name):
    whole = WHOLE["hyper_parameters"][name]
    for value in ([[]], {}, [None], ["a"], "no such word", 10**18, -(10**18), None):
        number = isinstance(value, int) and (whole is None or isinstance(whole, float) or name == "kl_stop")
        if (value is None and whole is None) or (number and value > 0):
            continue
        content = copy.deepcopy(WHOLE)
        content["hyper_parameters"][name] = value
        assert name in refused(tmp_path, content), value
    content = copy.deepcopy(WHOLE)
    del content["hyper_parameters"][name]
    assert name in refused(tmp_path, content)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"text"', "[" * 100_000, '{"a":' * 100_000, "9" * 10_000, "\x00\x00", "\ufeff{}"],
    ids=lambda text: f"{len(text)} of {text[:4]}",
)
def test_what_is_no_object_is_one_line(tmp_path, text):
    refused(tmp_path, text)


def test_bytes_that_are_no_text_and_too_many_of_them_are_one_line(tmp_path):
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(InputError, match=r"config.json: not valid JSON"):
        RunDirectory.existing(tmp_path).read_config()
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(10**13)  # none of it is on the disk
    with pytest.raises(InputError, match=r"config.json: it has 10000000000000 bytes"):
        RunDirectory.existing(tmp_path).read_config()
