"""What an environment takes for an action, and what a policy sees of an observation."""

import numpy as np
import pytest

from steepest.core.conversion import from_environment, to_environment
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete

LARGEST = {kind: np.iinfo(kind).max for kind in (np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64)}


@pytest.mark.parametrize("bound", [0.1, np.pi, 1 / 3, 1e-9, 12345.6789])
@pytest.mark.parametrize("native", [np.float64, np.float32, np.float16])
def test_a_bound_is_the_environments_own(bound, native):
    """In single precision most of them lie outside: the nearest number to 0.1 is above it."""
    space = Box(-bound, bound, (2,), native=native)
    for chosen in (np.float32([[-9e9, 9e9]]), np.stack([[space.low[0], space.high[0]]])):
        taken = to_environment(space, chosen)
        assert taken.dtype == native
        np.testing.assert_array_equal(taken, [[native(-bound), native(bound)]])
    inside = np.float32([[bound / 3, -bound / 5]])
    np.testing.assert_array_equal(to_environment(space, inside), inside.astype(native))


@pytest.mark.parametrize("native", LARGEST)
def test_the_largest_whole_number_does_not_wrap_around(native):
    space = Box(0, LARGEST[native], (3,), native=native)
    taken = to_environment(space, np.array([[-5.0, 2.6, 2.0 * LARGEST[native]]], np.float32))
    assert taken.dtype == native
    np.testing.assert_array_equal(taken, np.array([[0, 3, LARGEST[native]]], native))
    edge = to_environment(space, space.high[None])
    np.testing.assert_array_equal(edge, np.array([[LARGEST[native]] * 3], native))


def test_where_there_is_no_bound_nothing_is_cut_and_nan_remains():
    space = Box([-np.inf, -1.0], [np.inf, np.inf], native=np.float64)
    taken = to_environment(space, np.float32([[-1e30, 1e30], [np.nan, np.nan]]))
    np.testing.assert_array_equal(taken, np.float32([[-1e30, 1e30], [np.nan, np.nan]]).astype(np.float64))


@pytest.mark.parametrize(
    ("space", "ours", "theirs"),
    [
        (Discrete(3), [0, 2], [0, 2]),
        (Discrete(3, start=-1), [0, 2], [-1, 1]),
        (MultiDiscrete((2, 3)), [[1, 2]], [[1, 2]]),
        (MultiDiscrete((2, 3), start=(10, -3)), [[1, 2]], [[11, -1]]),
        (MultiBinary(3), [[1, 0, 1]], [[1, 0, 1]]),
    ],
)
def test_choices_are_counted_from_0_by_policies_and_from_the_start_by_environments(space, ours, theirs):
    np.testing.assert_array_equal(to_environment(space, np.array(ours, np.int32)), theirs)
    back = from_environment(space, np.array(theirs))
    np.testing.assert_array_equal(back, ours)
    assert back.dtype == space.dtype


def test_a_space_says_where_it_starts_only_if_that_is_not_0():
    assert str(MultiDiscrete((2, 3))) == "MultiDiscrete(nvec=(2, 3))"
    assert str(MultiDiscrete((2, 3), (10, -3))) == "MultiDiscrete(nvec=(2, 3), start=(10, -3))"
    assert MultiDiscrete((2, 3)) != MultiDiscrete((2, 3), (1, 0))


def test_bytes_are_bytes_and_nothing_else_becomes_one():
    """Pictures between 0 and 1 in a space of bytes would all be black."""
    space = Box(0, 255, (2,), dtype=np.uint8)
    for given in (np.uint8([[3, 250]]), np.array([[3, 250]]), np.float32([[3, 250]])):
        found = from_environment(space, given)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, [[3, 250]])
    for wrong in ([[0.5, 1.0]], [[-1, 0]], [[256, 0]], [[np.nan, 0]]):
        with pytest.raises(InputError, match=r"^an observation holds .*, and its space whole numbers from 0 to 255"):
            from_environment(space, np.array(wrong))
    with pytest.raises(InputError, match="Box: dtype is int8"):
        Box(0, 1, (2,), dtype=np.int8)
    assert space != Box(0, 255, (2,))
