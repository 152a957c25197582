"""Demonstrations: what fits an environment, and what is held out."""

import numpy as np
import pytest

from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError
from steepest.core.spaces import (
    Box,
    Dict,
    Discrete,
    Mask,
    Masked,
    MaskedObservation,
    MultiBinary,
    MultiDiscrete,
    Tuple,
)

OBS, REAL = Box(-1.0, 1.0, (2,)), Box(np.array([-1.0, -3.0]), np.array([1.0, 3.0]))


def test_what_fits_comes_out_in_the_types_that_steepest_computes_in():
    found = Demonstrations(np.zeros((3, 2)), np.array([1, 2, 3], np.uint8)).checked("E", OBS, Discrete(3, start=1))
    assert (found.obs.dtype, found.action.dtype) == (np.float32, np.int32)
    assert found.action.tolist() == [1, 2, 3]
    edge = Demonstrations(np.full((1, 2), 9.0), np.array([[1.0, -3.0]])).checked("E", OBS, REAL)
    assert edge.action.tolist() == [[1.0, -3.0]], "the bounds are inside, and those of observations do not matter"
    switches = Demonstrations([[0, 1]], [[True, False]]).checked("E", MultiDiscrete((2, 2)), MultiBinary(2))
    assert switches.action.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (([], []), "obs has no rows. Give at least one"),
        (([[0.0, 0.0]], [0, 1]), "obs has 1 rows and action 2"),
        (([[0.0], [0.0, 1.0]], [0, 1]), "obs is no array of numbers"),
        (([["a", "b"]], [0]), "obs is no array of numbers"),
        ((np.array([None, {}]), [0, 1]), "obs is no array of numbers"),
        ((0.5, [0]), "obs is no array of numbers"),
        (([[0.0, 0.0]], [0], [0, 1]), r"episode is int64\[2\]; it must be whole numbers of shape \[1\]"),
        (([[0.0, 0.0]], [0], [0.5]), r"episode is float64\[1\]; it must be whole numbers"),
    ],
)
def test_what_is_no_demonstration_is_refused(arrays, message):
    with pytest.raises(InputError, match=message):
        Demonstrations(*arrays)


@pytest.mark.parametrize(
    ("obs", "action", "spaces", "message"),
    [
        ([[0.0]], [0], (OBS, Discrete(2)), r"a row of obs has shape \(1,\); observations of E have \(2,\)"),
        ([0.0], [0], (OBS, Discrete(2)), r"a row of obs has shape \(\); .* Give an array \[transitions, 2\]"),
        ([[0.0, np.nan]], [0], (OBS, Discrete(2)), r"obs\[0, 1\] is nan; it must be finite"),
        ([[0.0, 1e300]], [0], (OBS, Discrete(2)), r"obs\[0, 1\] is inf; it must be finite"),
        ([[0.0, 0.0]] * 2, [0, 2], (OBS, Discrete(2)), r"action\[1\] is 2; actions of E lie between 0 and 1"),
        ([[0.0, 0.0]], [0], (OBS, Discrete(2, start=1)), r"action\[0\] is 0; actions of E lie between 1 and 2"),
        ([[0.0, 0.0]], [-1], (OBS, Discrete(2)), r"action\[0\] is -1"),
        ([[0.0, 0.0]], [2**32], (OBS, Discrete(2)), r"action\[0\] is 4294967296"),
        ([[0.0, 0.0]], [1.0], (OBS, Discrete(2)), "action is float64; actions of E are choices. Give whole numbers"),
        ([[0.0, 0.0]], [[1]], (OBS, Discrete(2)), r"a row of action has shape \(1,\); actions of E have \(\)"),
        (
            [[0.0, 0.0]],
            [[0.0, 3.1]],
            (OBS, REAL),
            r"action\[0, 1\] is 3\.0999.*; actions of E lie between \[-1\.0, -3\.0\]",
        ),
        ([[0.0, 0.0]], [[0.0, np.nan]], (OBS, REAL), r"action\[0, 1\] is nan"),
        ([[0.0, 0.0]], [[0, 3]], (OBS, MultiDiscrete((2, 3))), r"action\[0, 1\] is 3; .* between 0 and \[1, 2\]"),
        ([5], [0], (Discrete(5), Discrete(2)), r"obs\[0\] is 5; observations of E lie between 0 and 4"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_place_and_the_rule(obs, action, spaces, message):
    with pytest.raises(InputError, match=message):
        Demonstrations(obs, action).checked("E", *spaces)


def test_whole_episodes_are_held_out_and_every_row_is_on_one_side():
    episode = np.repeat(np.arange(20), 5)
    given = Demonstrations(np.arange(100.0)[:, None], np.arange(100), episode)
    learnt, out = given.split(0.1)
    assert (learnt.episodes, out.episodes) == (18, 2)
    assert not set(learnt.episode) & set(out.episode)
    assert sorted([*learnt.action, *out.action]) == list(range(100))
    assert np.array_equal(learnt.obs[:, 0], learnt.action), "rows stay together"
    again = given.split(0.1)[1]
    assert np.array_equal(again.action, out.action), "every seed has the same"


@pytest.mark.parametrize("episode", [None, np.zeros(50, np.int32)])
def test_single_rows_are_held_out_where_episodes_are_not_told_or_there_is_one(episode):
    learnt, out = Demonstrations(np.zeros((50, 1)), np.arange(50), episode).split(0.2)
    assert (len(learnt), len(out)) == (40, 10)
    assert not set(learnt.action) & set(out.action)


def test_something_is_always_left_and_nothing_is_held_out_where_nothing_can_be():
    two = Demonstrations(np.zeros((2, 1)), [0, 1])
    assert [len(each) for each in two.split(0.9)] == [1, 1]
    assert [len(each) for each in two.split(0.01)] == [1, 1]
    assert two.split(0.0) == (two, None)
    one = Demonstrations(np.zeros((1, 1)), [0])
    assert one.split(0.5) == (one, None)


LIFT = Dict({"floor": Discrete(3, start=1), "load": Tuple((Box(-1.0, 1.0, (2,)), MultiBinary(2)))})
TREE = {"floor": [1, 3, 2], "load": (np.zeros((3, 2)), np.array([[0, 1]] * 3))}


def test_trees_of_arrays_are_checked_array_by_array():
    found = Demonstrations(TREE, {"push": np.zeros((3, 1)), "floor": [1, 2, 3]}, [0, 0, 1])
    checked = found.checked("E", LIFT, Dict({"floor": Discrete(3, start=1), "push": Box(-2.0, 2.0, (1,))}))
    assert checked.obs["load"][0].dtype == np.float32
    assert checked.action["floor"].tolist() == [1, 2, 3]
    learnt, out = checked.split(0.5)
    assert sorted([*learnt.obs["floor"], *out.obs["floor"]]) == [1, 2, 3]
    assert len(learnt.obs["load"][1]) == len(learnt.action["push"]) == len(learnt)


@pytest.mark.parametrize(
    ("obs", "message"),
    [
        ({}, "obs or action has no arrays"),
        (
            {"floor": [1, 2], "load": TREE["load"]},
            r'^demonstrations: obs\["floor"\] has 2 rows and obs\["load"\]\[0\] 3',
        ),
        ({"floor": [1, 2, "x"]}, r"^demonstrations: obs\['floor'\] is no array of numbers"),
        ({"floor": [1, 2, 3]}, r"^demonstrations: obs has the arrays \{.*\[3\]\}, and observations of E are Dict\("),
        (
            np.zeros((3, 2)),
            r"^demonstrations: obs has the arrays \{'obs': \[3, 2\]\}, and observations of E are Dict\(",
        ),
        (
            TREE | {"floor": [1, 4, 2]},
            r"^demonstrations: obs\['floor'\]\[1\] is 4; observations of E lie between 1 and 3",
        ),
    ],
)
def test_trees_that_do_not_fit_are_refused_by_the_name_of_the_array(obs, message):
    with pytest.raises(InputError, match=message):
        Demonstrations(obs, [0, 1, 0]).checked("E", LIFT, Discrete(2))


def test_demonstrations_keep_to_their_masks():
    space, mask = Masked(Discrete(3), Mask((2, 2))), np.array([[True, False, True, True]] * 2)
    action = MultiDiscrete((2, 2))
    given = {"observation": [0, 2], "action_mask": mask}
    found = Demonstrations(given, [[0, 1], [0, 0]]).checked("E", space, action)
    assert isinstance(found.obs, MaskedObservation)
    assert Demonstrations(given, [[0, 1], [0, 0]]).checked("E", Discrete(3), action).obs.tolist() == [0, 2]
    with pytest.raises(
        InputError, match=r"^demonstrations: action\[1\] is \[1 0\], counted from 0, which obs\.mask\[1\]"
    ):
        Demonstrations(given, [[0, 1], [1, 0]]).checked("E", space, action)
    none = MaskedObservation([0, 2], mask & [[True], [False]])
    with pytest.raises(InputError, match=r"^demonstrations: obs\.mask\[1\] allows no action\. Correct the row"):
        Demonstrations(none, [[0, 1], [1, 0]]).checked("E", space, action)
    with pytest.raises(
        InputError, match=r"^demonstrations: obs has the arrays \{'obs': \[2\]\}, and observations of E"
    ):
        Demonstrations([0, 2], [[0, 1], [0, 0]]).checked("E", space, action)
