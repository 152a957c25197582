"""From a file to runs: what is crossed with what, what runs are called, and what is refused."""

import itertools
import pathlib
import tomllib

import pytest

from steepest.core.errors import InputError
from steepest.studies.description import parsed_seeds, read_study, study_of, to_toml
from steepest.studies.planned import PlannedRun, named

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "study.toml"


def names(**content):
    return [run.name for run in study_of({"algorithms": "ppo", "envs": "CartPole-v1", **content}).runs]


def test_everything_is_crossed_with_everything():
    runs = read_study(EXAMPLE).runs
    assert len(runs) == 2 * 2 * 2 * 5
    found = {(run.algorithm, run.env, run.hyper["learning_rate"], run.seed) for run in runs}
    assert found == set(itertools.product(("ppo", "a2c"), ("CartPole-v1", "Acrobot-v1"), (1e-3, 3e-4), range(5)))
    assert all(run.hyper["hidden"] == [64, 64] for run in runs)
    assert {(run.env, run.options["total_steps"]) for run in runs} == {
        ("CartPole-v1", 100_000),
        ("Acrobot-v1", 200_000),
    }


def test_a_name_says_what_varies_and_nothing_else():
    assert names() == ["ppo-CartPole-v1-seed-0"]
    assert names(hyper_parameters={"epochs": 4}) == ["ppo-CartPole-v1-seed-0"]
    assert names(grid={"epochs": [4], "anneal": [True, False]}) == [
        "ppo-CartPole-v1-anneal=true-seed-0",
        "ppo-CartPole-v1-anneal=false-seed-0",
    ]
    assert names(grid={"hidden": [[64, 64], [32]], "learning_rate": [1e-3]}) == [
        "ppo-CartPole-v1-hidden=64x64-seed-0",
        "ppo-CartPole-v1-hidden=32-seed-0",
    ]


def test_a_setting_is_called_by_its_name_and_crossed_with_the_grid():
    settings = [{"name": "small", "hidden": [8]}, {"name": "with a/slash", "hidden": [64], "epochs": 3}]
    assert names(settings=settings, grid={"learning_rate": [0.001, 3e-4]}) == [
        "ppo-CartPole-v1-small-learning_rate=0.001-seed-0",
        "ppo-CartPole-v1-small-learning_rate=0.0003-seed-0",
        "ppo-CartPole-v1-with_a_slash-learning_rate=0.001-seed-0",
        "ppo-CartPole-v1-with_a_slash-learning_rate=0.0003-seed-0",
    ]


def test_blocks_add_to_what_stands_above_them():
    runs = study_of(
        {
            "envs": ["CartPole-v1", "Acrobot-v1"],
            "seeds": 2,
            "hyper_parameters": {"num_envs": 4},
            "runs": [
                {"algorithms": "ppo", "grid": {"epochs": [2, 3]}, "hyper_parameters": {"anneal": True}},
                {"algorithms": "a2c", "envs": ["CartPole-v1"], "seeds": "5-6", "total_steps": 50},
            ],
        }
    ).runs
    assert [run.name for run in runs[:2]] == ["ppo-CartPole-v1-epochs=2-seed-0", "ppo-CartPole-v1-epochs=2-seed-1"]
    assert [run.name for run in runs[8:]] == ["a2c-CartPole-v1-seed-5", "a2c-CartPole-v1-seed-6"]
    assert dict(runs[0].hyper) == {"num_envs": 4, "anneal": True, "epochs": 2}
    assert (runs[0].options["total_steps"], runs[8].options["total_steps"]) == (100_000, 50)


def test_names_can_be_names_of_files_and_are_told_apart():
    odd = [PlannedRun("", "ppo", env, 0) for env in ("ALE/Pong v5", "ALE_Pong_v5", "../../x", "module:Id-v0")]
    found = [run.name for run in named(odd)]
    assert found == [
        "ppo-ALE_Pong_v5-seed-0",
        "ppo-ALE_Pong_v5-seed-0-2",
        "ppo-.._.._x-seed-0",
        "ppo-module_Id-v0-seed-0",
    ]
    long = [PlannedRun("", "ppo", "E", 3, hyper={"word": letter * 400}) for letter in "ab"]
    first, second = (run.name for run in named(long))
    assert len(first) < 200
    assert first != second
    assert first.endswith("-seed-3")


def test_numbers_of_other_kinds_are_taken():
    run = study_of({"algorithms": "ppo", "envs": "CartPole-v1", "total_steps": 1e4}).runs[0]
    assert repr(run.options["total_steps"]) == "10000"
    assert PlannedRun.parse(run.dump()) == run


def test_a_dictionary_becomes_a_file_that_means_the_same():
    content = {
        "a b": [1, 2.5, 'x"\\\n\u007f é😀'],
        "deep": {"true": True, "CartPole-v1": {"x": [[1], [2]]}},
        "inf": 1e300,
    }
    assert tomllib.loads(to_toml(content)) == content
    assert tomllib.loads(to_toml({"seeds": range(3)})) == {"seeds": [0, 1, 2]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"algorithms": []}, "algorithms is []; it must be a list of names"),
        ({"algorithms": ["pp"]}, "unknown algorithm 'pp'; did you mean 'ppo'?"),
        ({"algorithms": ["ppo", "ppo"]}, "algorithms has 'ppo' twice. Leave one out."),
        ({"envs": 3}, "envs is 3; it must be a list of names"),
        ({"total_step": 3}, "unknown key 'total_step'; did you mean 'total_steps'?"),
        ({"learning_rate": 0.1}, "Hyper-parameters belong into [hyper_parameters]"),
        ({"hyper_parameters": {"epoch": 1}}, "ppo on CartPole-v1: unknown hyper-parameter of ppo 'epoch'; did"),
        ({"grid": {"epochs": [4, -1]}}, "ppo on CartPole-v1: epochs is -1; it must be"),
        ({"grid": {"epochs": 4}}, "grid.epochs is 4; it must be a list of values"),
        ({"grid": [1]}, "grid is [1]; it must be a table: [grid]."),
        ({"settings": [{"epochs": 4}]}, "settings[0].name is None; each of them needs a name of its own"),
        ({"settings": [{"name": "a"}, {"name": "a"}]}, "settings[0].name is 'a'; each of them needs a name"),
        ({"settings": {"name": "a"}}, "it must be a list of tables: [[settings]]"),
        ({"settings": [{"name": "a", "epochs": 1}], "grid": {"epochs": [2]}}, "epochs is in the grid and in the"),
        ({"seeds": "0-"}, "seeds is '0-'. Give a list, a range such as"),
        ({"seeds": "9-0"}, "seeds is '9-0'. Give a list"),
        ({"seeds": "0-999999999"}, "seeds is '0-999999999'. Give a list"),
        ({"seeds": [0, 0]}, "seeds is [0, 0]; each may be there once only"),
        ({"seeds": -1}, "seeds is -1; it must be a whole number and at least 1"),
        ({"total_steps": {"Acrobot-v1": 5}}, "unknown environment in total_steps 'Acrobot-v1'"),
        ({"total_steps": {}}, "total_steps has no value for CartPole-v1. Add one."),
        ({"total_steps": "many"}, "total_steps is 'many'; it must be a whole number"),
        ({"runs": [{"algorithm": "ppo"}]}, "unknown key 'runs[0].algorithm'; did you mean 'runs[0].algorithms'?"),
        ({"runs": [{}, {}]}, "ppo on CartPole-v1, seed 0 is there twice with the same setting. Leave one out."),
        ({"grid": {f"x{i}": list(range(10)) for i in range(6)}}, "unknown hyper-parameter"),
        ({"env_kwargs": {"f": object()}}, "env_kwargs is a object; a study is kept as a file"),
        ({"env_kwargs": {3: 1}}, "study has a key 3; it must be a word"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(content, says):
    with pytest.raises(InputError) as caught:
        study_of({"algorithms": ["ppo"], "envs": ["CartPole-v1"], **content})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many_runs_are_not_even_listed():
    with pytest.raises(InputError, match="more than 10,000 runs"):
        names(seeds=5_001, grid={"learning_rate": [1e-3, 1e-4]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"algorithms = [", "not valid TOML"),
        (b"a = " + b"[" * 20_000, "not valid TOML"),
        (b"\xff\xfe", "it is no text"),
        (b"envs = ['CartPole-v1']", "study.toml: algorithms is missing; give a list"),
        (None, "there is no such file. Give a file in TOML"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, text, says):
    path = tmp_path / "study.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_seeds_can_be_given_in_three_ways():
    assert parsed_seeds("0 - 2,5") == (0, 1, 2, 5)
    assert parsed_seeds(3) == (0, 1, 2)
    assert parsed_seeds([4.0, 2]) == (4, 2)
