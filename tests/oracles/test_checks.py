"""What cannot be used is refused in one line that names the field, its first bad entry and a way out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, Spec
from steepest.oracles import TabularMDP, bandit, gymnasium_mdp, random_mdp
from steepest.policies import TabularPolicy, TwoActionPolicy, network_policy


def table(**changes):
    fields = {
        "transition": np.full((2, 2, 2), 0.5),
        "reward": np.ones((2, 2)),
        "initial": np.array([0.5, 0.5]),
        "discount": 0.9,
    }
    return TabularMDP(**fields | changes)


def changed(shape, value, index, entry):
    array = np.full(shape, value)
    array[index] = entry
    return array


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"transition": changed((2, 2, 2), 0.5, (1, 0, 1), 0.6)}, "transition[1, 0, :] sums to 1.1; it must sum to 1"),
        ({"transition": changed((2, 2, 2), 0.5, (0, 1), (1.5, -0.5))}, "transition[0, 1, 1] is -0.5; it must not be"),
        ({"transition": np.full((2, 2, 3), 0.5)}, "transition has shape [2, 2, 3]; it must be [2, 2, 2]"),
        ({"transition": "x"}, "transition: not an array of numbers"),
        ({"reward": changed((2, 2), 1.0, (1, 1), np.nan)}, "reward[1, 1] is nan; it must be finite"),
        ({"reward": np.ones(2)}, "reward has shape [2]; it must be [any, any]"),
        ({"reward": np.ones((0, 2))}, "no length may be 0"),
        ({"reward": [[1.0], [1.0, 2.0]]}, "reward: not an array of numbers"),
        ({"initial": np.array([0.5, 0.4])}, "initial[:] sums to 0.9; it must sum to 1"),
        ({"initial": np.array([-0.5, 1.5])}, "initial[0] is -0.5; it must not be negative"),
        ({"discount": 1.0}, "discount is 1; without a horizon it must be below 1"),
        ({"discount": 1.2, "horizon": 3}, "discount is 1.2; it must be at least 0 and at most 1"),
        ({"discount": float("nan")}, "discount is nan"),
        ({"horizon": 0}, "horizon is 0; it must be a whole number and at least 1"),
        ({"reward": np.zeros((2, 2)), "transition": np.eye(2)[:, None].repeat(2, axis=1)}, "state 0 is absorbing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_table_is_refused_in_one_line(changes, says):
    with pytest.raises(InputError) as refused:
        table(**changes)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (TabularPolicy(jnp.zeros((1, 2))), "policy has logits of shape [1, 2]"),
        (TabularPolicy(jnp.zeros((2, 3))), "policy has logits of shape [2, 3]"),
        (network_policy(jax.random.key(0), Spec(Discrete(3), Discrete(2), 1, 1)), "policy observes Discrete(n=3"),
        (
            network_policy(jax.random.key(0), Spec(Discrete(2), Discrete(3), 1, 1)),
            "policy gives logits of shape [2, 3]",
        ),
        (network_policy(jax.random.key(0), Spec(Discrete(2), Box(-1, 1, (1,)), 1, 1)), "policy gives a Gaussian"),
        (np.zeros((2, 2)), "policy is a ndarray"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_policy_for_something_else_is_refused(policy, says):
    for method in (table().policy_gradient, table().fisher, table().problem, table().probabilities):
        with pytest.raises(InputError, match="it must choose among 2 actions in each of 2 states") as refused:
            method(policy)
        assert says in str(refused.value)


@pytest.mark.parametrize(
    ("probs", "says"),
    [
        (np.full((2, 2), 0.4), "probs[0, :] sums to 0.8; it must sum to 1"),
        (np.array([[0.5, 0.5], [1.5, -0.5]]), "probs[1, 1] is -0.5; it must not be negative"),
        (np.full((2, 3), 1 / 3), "probs has shape [2, 3]; it must be [2, 2]"),
        (np.full((2, 2), np.inf), "probs[0, 0] is inf; it must be finite"),
    ],
)
@pytest.mark.parametrize("method", ["performance", "values", "action_values", "advantages", "state_distribution"])
def test_probabilities_that_are_none_are_refused(probs, says, method):
    with pytest.raises(InputError) as refused:
        getattr(table(), method)(probs)
    assert says in str(refused.value)


def test_single_precision_is_good_enough_for_probabilities():
    policy = TabularPolicy(jax.random.normal(jax.random.key(0), (2, 2)))
    assert np.isfinite(table().performance(jax.nn.softmax(policy.logits)))
    table(transition=np.full((2, 2, 2), 0.5, np.float32))


def test_numbers_of_random_problems_are_checked():
    with pytest.raises(InputError, match="branching is 4; it must be a whole number and at least 1 and at most 3"):
        random_mdp(0, 3, 2, branching=4)
    with pytest.raises(InputError, match="states is 0; it must be"):
        random_mdp(0, 0, 2)
    with pytest.raises(InputError, match=r"steps is 0; it must be a whole number and at least 1"):
        table().policy_gradient(TabularPolicy(jnp.zeros((2, 2))), steps=0)
    with pytest.raises(InputError, match=r"reward has shape \[1, 2\]; it must be \[any\]"):
        bandit([[1.0, 2.0]])


def test_a_policy_of_two_actions_suits_any_number_of_states():
    assert table().probabilities(TwoActionPolicy(0.0)).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    with pytest.raises(InputError, match="policy gives logits of shape"):
        random_mdp(0, 2, 3).probabilities(TwoActionPolicy(0.0))


@pytest.mark.parametrize(
    ("name", "shape", "ends", "value"),
    [
        ("FrozenLake-v1", (16, 4), 5, 0.5420259),  # as published for the slippery lake with a discount of 0.99
        ("CliffWalking-v1", (48, 4), 1, -(1 - 0.99**13) / 0.01),  # thirteen steps of −1 along the edge
        ("CliffWalking-v0", (48, 4), 1, -(1 - 0.99**13) / 0.01),
        ("Taxi-v3", (500, 6), 4, None),
    ],
)
def test_gymnasiums_tables_have_the_optima_that_are_known(name, shape, ends, value):
    mdp = gymnasium_mdp(name, discount=0.99)
    assert mdp.reward.shape == shape
    assert mdp.absorbing.sum() == ends
    values, actions = mdp.optimal()
    np.testing.assert_allclose(mdp.values(np.eye(shape[1])[actions]), values, rtol=1e-9, atol=1e-9)
    if value is not None:
        np.testing.assert_allclose(mdp.initial @ values, value, rtol=1e-6)
    else:
        assert 0 < mdp.initial @ values < 20


def test_environments_without_a_table_are_refused():
    with pytest.raises(InputError, match="environment CartPole-v1 has no table"):
        gymnasium_mdp("CartPole-v1", discount=0.99)
    with pytest.raises(InputError, match="unknown environment 'FrozenLak-v1'"):
        gymnasium_mdp("FrozenLak-v1", discount=0.99)
