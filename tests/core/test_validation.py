"""Values in the types of their fields: converted where they mean the same, refused in one line where they do not."""

import dataclasses
import inspect
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import steepest
from steepest.algorithms import ALGORITHMS, PPO, OffPAC
from steepest.core.errors import InputError
from steepest.core.validation import LOG_STD_BOUNDS, check_number, check_start_of_log_std, converted, describe
from steepest.experiments.preparing import prepare
from steepest.networks.heads import SquashedGaussianHead, StateDependentGaussianHead

SCALARS = {
    "a scalar of NumPy": lambda value: np.asarray(value)[()],
    "an array without axes": np.asarray,
    "a scalar of JAX": lambda value: jnp.asarray(value, jnp.result_type(type(value))),
}


def with_field(parameters, name, value):
    """The same hyper-parameters with a field of any type, which the checks of types in these tests would refuse."""
    changed = dataclasses.replace(parameters)
    object.__setattr__(changed, name, value)
    changed.__post_init__()
    return changed


@pytest.mark.parametrize("scalar", SCALARS.values(), ids=SCALARS)
@pytest.mark.parametrize("algorithm", ["ppo", "off_pac", "behaviour_cloning", "a3c"])
def test_scalars_of_numpy_and_jax_become_numbers_that_a_configuration_can_hold(algorithm, scalar):
    parameters = ALGORITHMS[algorithm]()
    for field in dataclasses.fields(parameters):
        value = getattr(parameters, field.name)
        if isinstance(value, bool | int | float) and math.isfinite(value):
            found = getattr(with_field(parameters, field.name, scalar(value)), field.name)
            assert type(found) is type(value), field.name
            assert found == pytest.approx(value, rel=1e-6)
            json.dumps(found)


def test_widths_may_be_any_sequence_of_whole_numbers():
    for given in ([64, np.int64(32)], (64.0, jnp.int32(32)), np.array([64, 32]), jnp.array([64, 32])):
        found = with_field(PPO(), "hidden", given).hidden
        assert found == (64, 32)
        assert {type(each) for each in found} == {int}


def test_counts_given_as_floats_become_counts():
    found = with_field(PPO(), "epochs", 4.0).epochs
    assert (type(found), found) == (int, 4)
    assert type(dataclasses.replace(PPO(), learning_rate=1).learning_rate) is float


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hidden", 64, "hidden is 64; it must be numbers, such as (64, 64). 64 64 is usual."),
        ("hidden", "64", "hidden is '64'; it must be numbers, such as (64, 64). 64 64 is usual."),
        ("hidden", (64, "64"), "hidden is '64'; it must be a whole number. 64 64 is usual."),
        ("hidden", (64, 32.5), "hidden is 32.5; it must be a whole number and at least 1"),
        ("hidden", None, "hidden is None; it must be numbers, such as (64, 64). 64 64 is usual."),
        ("anneal", "False", "anneal is 'False'; it must be True or False."),
        ("anneal", 0, "anneal is 0; it must be True or False."),
        ("anneal", None, "anneal is None; it must be True or False."),
        ("epochs", True, "epochs is True; it must be a whole number. 4 to 10 are usual."),
        ("epochs", 4.5, "epochs is 4.5; it must be a whole number and at least 1"),
        ("epochs", "4", "epochs is '4'; it must be a whole number. 4 to 10 are usual."),
        ("epochs", None, "epochs is None; it must be a whole number. 4 to 10 are usual."),
        ("epochs", [4], "epochs is [4]; it must be a whole number. 4 to 10 are usual."),
        ("learning_rate", None, "learning_rate is None; it must be a number. 3e-4 is usual."),
        ("learning_rate", True, "learning_rate is True; it must be a number. 3e-4 is usual."),
        ("learning_rate", 1j, "learning_rate is 1j; it must be a number. 3e-4 is usual."),
        ("learning_rate", np.float32("nan"), "learning_rate is nan; it must be above 0"),
        ("discount", np.float64(1.5), "discount is 1.5; it must be at least 0 and at most 1. 0.99 is usual."),
        ("policy", 3, "policy is 3; it must be 'network', 'linear' or 'tabular'."),
        ("policy", np.array(["network"]), "policy is array("),
    ],
)  # fmt: skip
def test_other_types_are_refused_in_one_line_with_the_field_and_its_value(field, value, message):
    with pytest.raises(InputError) as error:
        with_field(PPO(), field, value)
    said = str(error.value)
    assert said.startswith(message)
    assert "\n" not in said


def test_arrays_of_several_rates_are_refused_outside_vmap_and_traced_ones_pass_within():
    with pytest.raises(InputError, match=r"learning_rate is .* it must be a number"):
        with_field(PPO(), "learning_rate", jnp.array([1e-4, 1e-3]))

    def rate(given):
        found = with_field(PPO(), "learning_rate", given).learning_rate
        assert found is given
        return found

    np.testing.assert_array_equal(jax.jit(jax.vmap(rate))(jnp.array([1e-4, 1e-3])), np.float32([1e-4, 1e-3]))
    for field in ("epochs", "log_std"):  # part of the program
        with pytest.raises(InputError, match=f"{field} is traced, but it is part of the program"):
            jax.jit(lambda given, field=field: with_field(PPO(), field, given).learning_rate)(1.0)


def test_bounds_hold_for_scalars_of_numpy_and_jax_in_parts_too():
    for value in (np.float32(1.5), np.array(1.5), jnp.float32(1.5)):
        with pytest.raises(InputError, match=r"discount is 1\.5; it must be at least 0 and at most 1"):
            check_number("discount", value, at_least=0, at_most=1, remedy="0.99 is usual.")
    with pytest.raises(InputError, match="discount is True; it must be a number"):
        check_number("discount", True, at_least=0, at_most=1, remedy="0.99 is usual.")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("total_steps", "many", "total_steps is 'many'; it must be a whole number. 100000, say."),
        ("total_steps", 99.5, "total_steps is 99.5; it must be a whole number and"),
        ("evaluation_episodes", None, "evaluation_episodes is None; it must be a whole number."),
        ("evaluation_every", "0", "evaluation_every is '0'; it must be a whole number."),
        ("preset", "no", "preset is 'no'; it must be True or False."),
        ("action_bounds", ("-1", 1.0), "action_low is '-1'; it must be a number."),
    ],
)
def test_what_a_run_is_asked_for_has_types_too(option, value, message, tmp_path):
    options = {"total_steps": 100, "seeds": (0,)} | {option: value}
    with pytest.raises(InputError) as error:
        inspect.unwrap(prepare)("ppo", "CartPole-v1", **options)
    assert str(error.value).startswith(message)


def test_a_run_may_be_asked_for_in_scalars_of_numpy():
    experiment = inspect.unwrap(prepare)(
        "ppo",
        "CartPole-v1",
        total_steps=np.int64(4096),
        seeds=(0,),
        evaluation_episodes=np.array(4),
        evaluation_every=2048.0,
        hyper={"learning_rate": 1e-3},
    )
    config = experiment.config
    assert (config.total_steps, config.evaluation_episodes, config.evaluation_every) == (4096, 4, 2048)
    json.loads(config.dump())
    with pytest.raises(InputError, match="seeds is 0; it must be a whole number and at least 1"):
        inspect.unwrap(steepest.train)("ppo", "CartPole-v1", seeds=np.int64(0))


@pytest.mark.parametrize("kind", [each for each in ALGORITHMS.values() if hasattr(each, "gaussian")])
@pytest.mark.parametrize("gaussian", ["state_dependent", "squashed"])
def test_a_deviation_that_could_never_move_is_refused(kind, gaussian):
    for bound in LOG_STD_BOUNDS:
        assert kind(gaussian="gaussian", log_std=bound).log_std == bound
        with pytest.raises(InputError, match=rf"log_std is {bound}; .* a σ that depends on the state never moves"):
            kind(gaussian=gaussian, log_std=bound)


@pytest.mark.parametrize("kind", [StateDependentGaussianHead, SquashedGaussianHead])
def test_the_deviation_moves_from_every_start_that_is_allowed(kind):
    low, high = LOG_STD_BOUNDS
    for start in (low + 1e-3, low + 0.1, 0.0, high - 0.1, high - 1e-3):
        check_start_of_log_std("squashed", start)
        head = kind((0.0,), (1.0,), start)
        value, slope = jax.value_and_grad(lambda scale, head=head: head(jnp.stack([0.0, scale])).log_std[0])(0.0)
        np.testing.assert_allclose(value, start, atol=1e-5)
        assert slope > 1e-3
    with pytest.raises(InputError, match=r"log_std is 2\.0"):
        check_start_of_log_std("squashed", 2.0)


def test_a_policy_that_is_uniform_whatever_it_learns_is_refused():
    with pytest.raises(InputError, match=r"uniform_share is 1\.0; .* at 1 there is nothing to learn"):
        OffPAC(behaviour="soft", uniform_share=1.0)


def test_every_field_of_every_algorithm_has_a_type_that_can_be_checked():
    for algorithm, kind in ALGORITHMS.items():
        for each in describe(kind):
            with pytest.raises(InputError, match=f"{each.name} is "):
                converted(each.name, {}, each.kind, "") if not each.choices else with_field(kind(), each.name, {})
            assert algorithm
