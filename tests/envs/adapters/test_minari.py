"""Minari's data sets: what is on this machine, in steepest's words, and nothing from anywhere else."""

import sys

import gymnasium
import numpy as np
import pytest

from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, MultiDiscrete
from steepest.envs.adapters.minari import load

pytest.importorskip("minari")
from data_sets import make_data_set

spaces = gymnasium.spaces


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Minari with nothing in it, and a way to put a data set there."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setattr("minari.storage.hosting.download_dataset", lambda *_, **__: pytest.fail("it was downloaded"))

    return make_data_set


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_rows_are_transitions_without_the_observation_after_the_last_action(library):
    obs = [np.arange(4, dtype=np.float32)[:, None], np.arange(10, 13, dtype=np.float32)[:, None]]
    library(
        "test/line-v0", spaces.Box(-np.inf, np.inf, (1,)), spaces.Discrete(2, start=5),
        (obs[0], np.array([5, 6, 5])), (obs[1], np.array([6, 6])),
    )  # fmt: skip
    found, observation, action = load("test/line-v0")
    assert found.obs[:, 0].tolist() == [0, 1, 2, 10, 11]
    assert found.action.tolist() == [5, 6, 5, 6, 6]
    assert found.episode.tolist() == [0, 0, 0, 1, 1]
    assert (observation, action) == (Box(-np.inf, np.inf, (1,)), Discrete(2, start=5))
    assert len(found.checked("E", observation, action)) == 5


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_several_choices_count_as_the_environment_counts_them(library):
    library(
        "test/many-v0", spaces.Discrete(3), spaces.MultiDiscrete([2, 3], start=[1, 4]),
        (np.array([0, 1, 2]), np.array([[1, 4], [2, 6]])),
    )  # fmt: skip
    found, observation, action = load("test/many-v0")
    assert action == MultiDiscrete((2, 3), start=(1, 4))
    assert found.action.tolist() == [[1, 4], [2, 6]]
    assert len(found.checked("E", observation, action)) == 2


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_trees_come_array_by_array(library):
    first = {"x": np.array([0, 1, 1]), "y": np.zeros((3, 2), np.float32)}
    second = {"x": np.array([1, 0]), "y": np.ones((2, 2), np.float32)}
    library(
        "test/tree-v0", spaces.Dict({"x": spaces.Discrete(2), "y": spaces.Box(-1, 1, (2,))}), spaces.Discrete(2),
        (first, np.array([1, 0])), (second, np.array([1])),
    )  # fmt: skip
    found, observation, action = load("test/tree-v0")
    assert found.obs["x"].tolist() == [0, 1, 1]
    assert found.obs["y"].tolist() == [[0, 0], [0, 0], [1, 1]]
    assert len(found.checked("E", observation, action)) == 3


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_cannot_be_had_is_refused_with_the_way_to_it(library, monkeypatch):
    with pytest.raises(
        InputError, match=r"'test/line-v0' is not on this machine.*Fetch it: minari download test/line-v0"
    ):
        load("test/line-v0")
    library("test/lime-v0", spaces.Dict({"x": spaces.Discrete(2)}), spaces.Discrete(2), ({"x": np.zeros(2, int)}, [0]))
    with pytest.raises(InputError, match=r"unknown Minari data set on this machine 'test/line-v0'.*'test/lime-v0'"):
        load("test/line-v0")
    with pytest.raises(InputError, match=r"unknown Minari data set on this machine '\.\./\.\.'"):
        load("../..")
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(InputError, match=r"Minari is not installed. Run: pip install 'steepest\[demos\]'"):
        load("test/lime-v0")
