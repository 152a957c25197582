"""Which estimators there are, what they need, and what is said where it is missing."""

import subprocess
import sys

import pytest

from steepest.core.errors import InputError
from steepest.diagnostics import builders
from steepest.diagnostics.catalogue import ESTIMATORS, MANY_PARAMETERS, NEEDS, select

ALL = set(NEEDS)


def test_what_is_in_the_catalogue_can_be_built_and_the_other_way_round():
    assert list(ESTIMATORS) == list(builders._BUILDERS)
    assert {entry.identifier for entry in ESTIMATORS.values()} == {
        *("G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9", "G10", "G11", "G12", "G13", "G14", "G15")
    }
    assert {need for entry in ESTIMATORS.values() for need in entry.needs} == ALL


def test_reading_it_does_not_start_jax():
    code = "import sys, steepest.diagnostics.catalogue; print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("name", "lacks", "says"),
    [
        ("exact_baseline", "exact_values", "needs exact values"),
        ("off_policy", "exact_action_values", "needs exact Q"),
        ("importance_whole", "behaviour", "needs episodes of another policy. Give --behaviour"),
        ("deterministic", "continuous", "needs continuous actions"),
    ],
)
def test_what_lacks_something_is_refused_by_name_and_otherwise_left_out(name, lacks, says):
    with pytest.raises(InputError, match=f"estimator {name} {says}"):
        select([name], ALL - {lacks}, 10)
    assert name not in select([], ALL - {lacks}, 10)[0]
    assert name in select([], ALL, 10)[0]


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(InputError, match="unknown estimator 'reward_to_o'; did you mean 'reward_to_go'"):
        select(["reward_to_o"], ALL, 10)


def test_moving_each_of_many_parameters_is_for_those_who_ask():
    chosen, notes = select([], ALL, MANY_PARAMETERS + 1)
    assert len(chosen) == len(ESTIMATORS) - 3
    assert "finite_difference, finite_difference_forward, perturbation_regression" in notes[0]
    assert select(["finite_difference"], ALL, MANY_PARAMETERS + 1) == (["finite_difference"], [])
    assert select([], ALL, MANY_PARAMETERS)[1] == []


@pytest.mark.parametrize(
    ("name", "present", "says"),
    [
        ("whole_return", ("discount", "fitted", "behaviour"), "∇J"),
        ("reward_to_go_undiscounted_states", ("discount",), "other"),
        ("reward_to_go_undiscounted_states", (), "∇J"),
        ("gae", ("fitted",), "other"),
        ("gae", ("discount",), "∇J"),
        ("learned_baseline", ("fitted",), "∇J"),
        ("fresh_action", ("behaviour",), "other"),
        ("fresh_action", (), "∇J"),
        ("importance_causal", ("behaviour",), "∇J"),
        ("importance_first_order", ("behaviour",), "other"),
        ("finite_difference", (), "other"),
    ],
)
def test_what_each_estimates(name, present, says):
    assert ESTIMATORS[name].estimates(present) == says
