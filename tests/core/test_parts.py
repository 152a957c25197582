"""The small parts that everything stands on: networks, moments, results, problems, checks."""

import dataclasses
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steepest.core.distributions import Categorical, Gaussian
from steepest.core.errors import InputError, unknown
from steepest.core.finiteness import Finite
from steepest.core.moments import Moments, ObservationNormaliser, RewardScaler
from steepest.core.problem import SampledProblem, weighted_mean
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Spec
from steepest.core.trajectory import Batch
from steepest.core.validation import check_fields, check_number
from steepest.networks import Dense, feature_count, features
from steepest.objectives import Score
from steepest.policies import TabularPolicy, network_policy

KEY = jax.random.key(0)


def test_weights_start_orthogonal_with_the_gain_asked_for_and_biases_at_0():
    network = Dense.initial(KEY, (5, 8, 3), activation="tanh", output_scale=0.01)
    for weight, gain in zip(network.weights, (np.sqrt(2), 0.01), strict=True):
        matrix = np.asarray(weight) / gain
        gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
    assert all(not bias.any() for bias in network.biases)


def test_a_network_treats_leading_axes_as_batch_axes_and_without_hidden_layers_is_linear():
    network = Dense.initial(KEY, (4, 6, 2), activation="relu", output_scale=1.0)
    inputs = jax.random.normal(KEY, (3, 5, 4))
    by_hand = np.maximum(np.asarray(inputs) @ network.weights[0], 0) @ network.weights[1]
    np.testing.assert_allclose(network(inputs), by_hand, rtol=1e-4, atol=1e-5)
    linear = Dense.initial(KEY, (4, 2), activation="tanh", output_scale=1.0)
    np.testing.assert_allclose(linear(inputs[0] * 2), 2 * linear(inputs[0]), rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 64), (64, 64), (64, 2), (3, 1), (9, 5), (5, 5)])
def test_however_a_layer_is_computed_it_is_the_same_affine_map_and_so_is_its_gradient(shape):
    weight, bias = jax.random.normal(KEY, shape), jax.random.normal(KEY, shape[1:])
    network, inputs = Dense((weight,), (bias,), "tanh"), jax.random.normal(KEY, (7, shape[0]))
    wanted = jax.random.normal(KEY, (7, shape[1]))

    def error(function):
        return lambda parameters: jnp.sum(jnp.square(function(parameters) - wanted))

    plain = error(lambda parameters: inputs @ parameters[0] + parameters[1][None, :])
    found = jax.jit(jax.grad(error(lambda each: each(inputs))))(network)
    expected = jax.jit(jax.grad(plain))((weight, bias))
    np.testing.assert_allclose(network(inputs), inputs @ weight + bias[None, :], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.weights[0], expected[0], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.biases[0], expected[1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("space", "obs", "expected"),
    [
        (Discrete(3), jnp.array([2, 0]), [[0, 0, 1], [1, 0, 0]]),
        (MultiDiscrete((2, 3)), jnp.array([[1, 0]]), [[0, 1, 1, 0, 0]]),
        (MultiBinary(2), jnp.array([[1, 0]]), [[1, 0]]),
        (Box(-1, 1, (2, 2)), jnp.ones((3, 2, 2)), np.ones((3, 4))),
        (Box(0, 1, ()), jnp.ones(3), np.ones((3, 1))),
    ],
)
def test_observations_become_features(space, obs, expected):
    found = features(space, obs)
    np.testing.assert_array_equal(found, expected)
    assert found.shape[-1] == feature_count(space)
    assert found.dtype == jnp.float32


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 10**6))
def test_moments_merged_in_pieces_are_those_of_the_whole(sizes, seed):
    generator = np.random.default_rng(seed)
    rows = generator.normal(5, 3, (sum(sizes), 2)).astype(np.float32)
    weight = (generator.random(len(rows)) < 0.7).astype(np.float32)
    moments, start = Moments.initial((2,)), 0
    for size in sizes:
        part = slice(start, start + size)
        moments = moments.merge(Moments.of(jnp.asarray(rows[part]), jnp.asarray(weight[part])))
        start += size
    chosen = rows[weight > 0].astype(np.float64)
    assert moments.count == len(chosen)
    if len(chosen):
        np.testing.assert_allclose(moments.mean, chosen.mean(axis=0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(moments.variance, chosen.var(axis=0), rtol=1e-3, atol=1e-4)


def test_a_normaliser_that_has_seen_nothing_changes_nothing_and_then_standardises():
    normaliser = ObservationNormaliser(Moments.initial((3,)))
    obs = jax.random.normal(KEY, (50, 3)) * 4 + 2
    np.testing.assert_allclose(normaliser(obs), jnp.clip(obs, -10, 10), rtol=1e-5)
    seen = normaliser.merge(normaliser.measure(obs, jnp.ones(50)))
    after = np.asarray(seen(obs))
    np.testing.assert_allclose(after.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(after.std(axis=0), 1, atol=1e-3)


def test_the_reward_scale_is_the_deviation_of_the_discounted_return_of_a_stream():
    generator = np.random.default_rng(0)
    reward = generator.normal(1, 2, (30, 2)).astype(np.float32)
    ended, valid = generator.random((30, 2)) < 0.2, generator.random((30, 2)) < 0.8
    streams, passed = np.zeros(2), []
    for t in range(30):
        streams = np.where(valid[t], streams * 0.9 + reward[t], streams)
        passed.append(streams.copy())
        streams = np.where(ended[t], 0, streams)
    scaler = RewardScaler.initial(2)
    for part in (slice(0, 10), slice(10, 30)):
        rows = jnp.asarray(reward[part]), jnp.asarray(ended[part]), jnp.asarray(valid[part])
        scaler = scaler.merge(scaler.measure(*rows, 0.9))
    deviation = np.array(passed)[valid].std()
    np.testing.assert_allclose(scaler(jnp.asarray(reward)), np.clip(reward / deviation, -10, 10), rtol=1e-3)


def test_the_first_bad_quantity_is_named_not_a_later_one():
    good, bad = jnp.ones(3), jnp.array([1.0, jnp.inf, 0.0])
    assert Finite.of(reward=good, count=jnp.array(3)).first_bad == -1
    found = Finite.of(reward=good, value=(good, bad)).then(Finite.of(policy=bad * jnp.nan))
    assert found.names[int(found.first_bad)] == "value"


def test_a_weighted_mean_ignores_rows_of_weight_0_even_nan_and_is_0_over_nothing():
    values, weight = jnp.array([1.0, jnp.nan, 3.0]), jnp.array([1.0, 0.0, 1.0])
    assert weighted_mean(values, weight) == 2
    assert weighted_mean(values, jnp.zeros(3)) == 0
    assert jnp.isnan(weighted_mean(values, jnp.ones(3)))


@eqx.filter_jit
def problem_for(policy, obs, weight):
    old = policy(obs)
    action, log_prob = old.sample_and_log_prob(KEY)
    advantage = jax.random.normal(KEY, weight.shape)
    return SampledProblem(Score(), Batch(obs, action, log_prob, advantage, weight), old)


SPECS = {
    "discrete": Spec(Box(-1, 1, (3,)), Discrete(4), 1, 1),
    "several choices": Spec(Box(-1, 1, (3,)), MultiDiscrete((2, 3)), 1, 1),
    "switches": Spec(Box(-1, 1, (3,)), MultiBinary(2), 1, 1),
    "continuous": Spec(Box(-1, 1, (3,)), Box(-2, 2, (2,)), 1, 1),
}


@pytest.mark.parametrize(
    ("space", "gaussian"),
    [(space, "gaussian") for space in SPECS] + [("continuous", "state_dependent"), ("continuous", "squashed")],
)
def test_the_fisher_operator_is_the_hessian_of_the_kl(space, gaussian):
    """T5, on the parameters of a network, log σ among them; rows of weight 0 are left out of both."""
    make = eqx.filter_jit(network_policy)
    policy = make(KEY, SPECS[space], hidden=(4,), output_scale=1.0, gaussian=gaussian, log_std=-0.3)
    obs = jax.random.normal(KEY, (6, 3))
    problem = problem_for(policy, obs, jnp.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0]))
    vector, unravel = jax.flatten_util.ravel_pytree(policy)
    hessian = jax.jit(jax.hessian(lambda flat: problem.kl(unravel(flat))))(vector)

    @jax.jit
    def fisher(directions):
        operator = problem.fisher(policy)
        return jax.vmap(lambda each: jax.flatten_util.ravel_pytree(operator.mv(unravel(each)))[0])(directions)

    columns = fisher(jnp.eye(len(vector)))
    np.testing.assert_allclose(columns, hessian, atol=2e-3)
    assert np.abs(np.asarray(hessian)).max() > 0.05
    np.testing.assert_allclose(eqx.filter_jit(problem.kl)(policy), 0, atol=1e-6)


def test_a_mean_taken_before_the_product_is_another_matrix():
    """What `mean after the product` guards against: (mean J)ᵀ H (mean J) is not the Fisher."""
    policy = TabularPolicy(jnp.array([[1.0, 0.0], [-1.0, 0.5]]))
    obs = jnp.array([0, 1, 1])
    problem = problem_for(policy, obs, jnp.ones(3))
    operator = problem.fisher(policy)
    tangent = TabularPolicy(jnp.array([[1.0, 0.0], [0.0, 0.0]]))
    probability = jax.nn.softmax(policy.logits)[0]
    expected = probability[0] * probability[1] / 3
    np.testing.assert_allclose(operator.mv(tangent).logits[0], [expected, -expected], rtol=1e-5)


def test_a_minibatch_of_a_problem_holds_the_rows_asked_for():
    policy = TabularPolicy(jax.random.normal(KEY, (5, 2)))
    problem = problem_for(policy, jnp.arange(5), jnp.ones(5))
    part = problem.minibatch(jnp.array([3, 1]))
    assert (problem.size, part.size) == (5, 2)
    np.testing.assert_array_equal(part.batch.obs, [3, 1])
    np.testing.assert_array_equal(part.old.logits, problem.old.logits[jnp.array([3, 1])])


def test_a_gaussian_policy_speaks_the_units_of_the_action_space():
    """An output of ±1 is a bound, and log σ = 0 a deviation of half the width, whatever the bounds are."""
    spec = Spec(Box(-1, 1, (3,)), Box(np.array([-2.0, 10.0]), np.array([2.0, 400.0])), 1, 1)
    policy = network_policy(KEY, spec, output_scale=0.0)
    found = policy(jnp.zeros((1, 3)))
    np.testing.assert_allclose(found.mean[0], [0, 205], rtol=1e-6)
    np.testing.assert_allclose(jnp.exp(found.log_std[0]), [2, 195], rtol=1e-5)


@pytest.mark.parametrize("kind", ["state_dependent", "squashed"])
def test_a_state_dependent_deviation_starts_where_it_was_asked_to(kind):
    spec = Spec(Box(-1, 1, (3,)), Box(-1, 1, (2,)), 1, 1)
    policy = network_policy(KEY, spec, output_scale=0.0, gaussian=kind, log_std=-0.5)
    np.testing.assert_allclose(policy(jnp.zeros((1, 3))).log_std, -0.5, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (Spec(Box(-1, 1, (3,)), Box(-np.inf, np.inf, (2,)), 1, 1), "without finite bounds.*--action-low"),
        (Spec(Box(-1, 1, (3,)), Box(-1, 1, (2, 2)), 1, 1), r"shape \(2, 2\); it must have one axis"),
    ],
)
def test_action_spaces_that_a_policy_cannot_have_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        network_policy(KEY, spec)


def test_a_tabular_policy_needs_two_discrete_spaces():
    assert isinstance(TabularPolicy.initial(Spec(Discrete(3), Discrete(2), 1, 1))(jnp.array([0, 2])), Categorical)
    with pytest.raises(InputError, match="policy is 'tabular'; it needs a discrete"):
        TabularPolicy.initial(Spec(Box(-1, 1, (3,)), Discrete(2), 1, 1))


def test_spaces_are_equal_and_hash_alike_when_their_bounds_are():
    assert Box(-1, 1, (2,)) == Box([-1, -1], [1, 1])
    assert hash(Box(-1, 1, (2,))) == hash(Box([-1, -1], [1, 1]))
    assert Box(-1, 1, (2,)) != Box(-1, 2, (2,))
    assert not Box(-np.inf, 1, (2,)).bounded
    with pytest.raises(InputError, match=r"low must be below high; at index \(1,\)"):
        Box([0, 1], [1, 1])


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (1.5, {"at_most": 1}, "x is 1.5; it must be at most 1. Try 0."),
        (0, {"above": 0}, "x is 0; it must be above 0. Try 0."),
        (float("nan"), {"at_least": 0}, "x is nan; it must be at least 0. Try 0."),
        (2.5, {"whole": True}, "x is 2.5; it must be a whole number. Try 0."),
        (float("inf"), {"whole": True}, "x is inf; it must be a whole number. Try 0."),
        ("1", {}, "x is '1'; it must be a number. Try 0."),
    ],
)
def test_a_number_out_of_bounds_is_refused_with_field_value_bound_and_remedy(value, bounds, message):
    with pytest.raises(InputError) as error:
        check_number("x", value, **bounds, remedy="Try 0.")
    assert str(error.value) == message


def test_numbers_within_bounds_pass_and_traced_ones_are_not_looked_at():
    check_number("x", 3, at_least=3, at_most=3, whole=True, remedy="")
    jax.jit(lambda x: check_number("x", x, above=10, remedy="") or x)(1.0)


def test_a_class_of_a_users_is_not_looked_into_where_its_annotations_mean_nothing():
    kind = dataclasses.make_dataclass("Mine", [("order", "NotKnownHere", "sorted")])
    check_fields(kind())
    kind = dataclasses.make_dataclass("Mine", [("order", Literal["sorted", "shuffled"], "random")])
    with pytest.raises(InputError, match="order is 'random'; it must be 'sorted' or 'shuffled'"):
        check_fields(kind())


def test_the_nearest_name_is_suggested_and_long_lists_are_left_out():
    assert "did you mean 'ppo'?" in str(unknown("algorithm", "PP0", ["ppo", "a2c"]))
    assert "Known" not in str(unknown("x", "zz", [f"name {i}" for i in range(30)]))


def test_a_gaussian_is_a_tree_whose_leaves_are_its_parameters():
    leaves = jax.tree.leaves(eqx.filter(Gaussian(jnp.zeros((1, 2)), jnp.zeros((1, 2))), eqx.is_array))
    assert len(leaves) == 2


def test_the_kl_of_a_problem_is_that_of_the_old_policy_to_the_new_one():
    """Both directions have the same Hessian, so only a finite step tells them apart."""
    old, new = TabularPolicy(jnp.array([[2.0, 0.0]])), TabularPolicy(jnp.array([[-1.0, 0.0]]))
    problem = problem_for(old, jnp.zeros(3, jnp.int32), jnp.ones(3))
    p, q = (np.asarray(jax.nn.softmax(each.logits[0]), np.float64) for each in (old, new))
    np.testing.assert_allclose(problem.kl(new), (p * np.log(p / q)).sum(), rtol=1e-5)
    assert abs((p * np.log(p / q)).sum() - (q * np.log(q / p)).sum()) > 0.05
