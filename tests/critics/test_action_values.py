"""C4: values of actions from another policy's data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_mdp import BEHAVIOUR, CYCLE, POLICY, START, fitted, linear_critic, streams

from steepest.core.distributions import Bernoulli, Categorical, Gaussian
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Spec
from steepest.critics import ActionValue, TabularActionValue, ValueRegression, expected_target
from steepest.policies import TabularPolicy
from steepest.steps import MinibatchAscent, Optimiser

DISCOUNT = 0.8
KEY = jax.random.key(0)
STATES = jnp.arange(3)
EVALUATED = TabularPolicy(jnp.log(jnp.asarray(POLICY, jnp.float32)))


def drawn(action, observation=None, hidden=(), key=KEY):
    spec = Spec(observation or Box(-1.0, 1.0, (2,)), action, 1, 1)
    return jax.jit(lambda key: ActionValue.initial(key, spec, hidden=hidden))(key)


@pytest.fixture(scope="module")
def replay():
    """Every transition that the behaviour may make, and its own next action, by probability: [N] each."""
    both = streams(CYCLE, BEHAVIOUR, 2)
    first, second = (jax.tree.map(lambda leaf, step=step: leaf[step], both.trajectory) for step in (0, 1))
    # Where the episode is over the second row begins another; then the action in s' is not in the data: redraw it.
    return first, second.action, jnp.asarray(both.probable, jnp.float32)


def repeated(target, replay, critic, rounds=60):
    """Fitted evaluation; `target` is called with a key and the critic of the round before."""
    transition, _, weight = replay

    def once(critic, key):
        rows = (transition.obs, transition.action, target(key, critic), weight)
        return fitted(ValueRegression(rows[:2], *rows[2:]), critic), None

    return jax.jit(lambda critic: jax.lax.scan(once, critic, jax.random.split(KEY, rounds))[0])(critic).values(STATES)


def from_the_policy(replay, **options):
    transition = replay[0]

    def target(key, critic):
        return expected_target(
            key,
            critic,
            EVALUATED,
            transition.reward,
            transition.next_obs,
            transition.terminated,
            discount=DISCOUNT,
            **options,
        )

    return target


@pytest.mark.parametrize("kind", ["table", "network"])
def test_data_of_another_policy_give_the_values_of_the_policy_asked_about(kind, replay):
    critic = TabularActionValue(jnp.zeros((3, 2))) if kind == "table" else drawn(Discrete(2), Discrete(3))
    found = repeated(from_the_policy(replay), replay, critic)
    np.testing.assert_allclose(found, CYCLE.action_value(POLICY, DISCOUNT), atol=5e-5)


def test_the_next_action_of_the_data_gives_the_values_of_whoever_acted(replay):
    transition, next_action, _ = replay

    def target(_, critic):
        keeps = 1 - transition.terminated.astype(jnp.float32)
        return transition.reward + DISCOUNT * keeps * critic(transition.next_obs, next_action)

    found = repeated(target, replay, TabularActionValue(jnp.zeros((3, 2))))
    np.testing.assert_allclose(found, CYCLE.action_value(BEHAVIOUR, DISCOUNT), atol=5e-5)
    assert np.max(np.abs(found - CYCLE.action_value(POLICY, DISCOUNT))) > 0.3


def test_a_state_value_of_replayed_rewards_is_that_of_whoever_acted(replay):
    """Why off-policy data need action values: r + γV(s') averages over the behaviour's a."""
    transition, _, weight = replay

    def once(value, _):
        keeps = 1 - transition.terminated.astype(jnp.float32)
        target = transition.reward + DISCOUNT * keeps * value(transition.next_obs)
        return fitted(ValueRegression((transition.obs,), target, weight), value), None

    found = jax.lax.scan(once, linear_critic(), length=60)[0](STATES)
    np.testing.assert_allclose(found, CYCLE.state_value(BEHAVIOUR, DISCOUNT), atol=5e-5)
    assert np.max(np.abs(found - CYCLE.state_value(POLICY, DISCOUNT))) > 0.3


def test_fresh_draws_are_right_on_average():
    truth = CYCLE.action_value(POLICY, DISCOUNT)
    critic, reward = TabularActionValue(jnp.asarray(truth, jnp.float32)), jnp.array([1.0, -1.0, 0.5])
    terminated = jnp.array([False, False, True])

    def target(key, sampled):
        return expected_target(key, critic, EVALUATED, reward, STATES, terminated, discount=DISCOUNT, sampled=sampled)

    draws = np.asarray(jax.jit(jax.vmap(lambda key: target(key, True)))(jax.random.split(KEY, 20_000)), np.float64)
    expected = np.asarray(reward) + DISCOUNT * np.array([1, 1, 0]) * np.sum(POLICY * truth, axis=1)
    np.testing.assert_allclose(target(KEY, False), expected, rtol=1e-6)
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - expected) <= 4 * error + 1e-6)
    assert np.all(error[:2] > 0)
    assert error[2] == 0
    # Each row has a draw of its own.
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("space", "distribution", "mean"),
    [
        (Box(-2.0, 6.0, (2,)), Gaussian(jnp.array([[1.0, -1.0]]), jnp.array([[0.0, 0.5]])), [1.0, -1.0]),
        (MultiBinary(2), Bernoulli(jnp.log(jnp.array([[3.0, 0.25]]))), [0.75, 0.2]),
    ],
    ids=["box", "switches"],
)
def test_of_actions_that_cannot_be_summed_over_one_is_drawn(space, distribution, mean):
    """The value is linear in the action here, so its mean is the value of the mean action."""
    critic, obs = drawn(space), jnp.array([[0.3, -0.2]])

    def target(key):
        none = jnp.zeros(1, bool)
        return expected_target(key, critic, lambda obs: distribution, jnp.ones(1), obs, none, discount=DISCOUNT)[0]

    draws = np.asarray(jax.jit(jax.vmap(target))(jax.random.split(KEY, 20_000)), np.float64)
    expected = 1 + DISCOUNT * critic(obs, jnp.array([mean]))[0]
    assert abs(draws.mean() - expected) < 4 * draws.std() / np.sqrt(len(draws))


@pytest.mark.parametrize("sampled", [False, True])
def test_no_gradient_flows_through_the_target(sampled):
    def total(critic, policy, reward):
        none = jnp.zeros(3, bool)
        return jnp.sum(expected_target(KEY, critic, policy, reward, STATES, none, discount=DISCOUNT, sampled=sampled))

    critic = TabularActionValue(jnp.asarray(CYCLE.action_value(POLICY, DISCOUNT), jnp.float32))
    gradients = jax.grad(total, argnums=(0, 1, 2))(critic, EVALUATED, jnp.ones(3))
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradients))


def test_no_gradient_flows_through_the_target_of_a_continuous_policy_either():
    critic, obs = drawn(Box(-1.0, 1.0, (2,)), hidden=(8,)), jnp.ones((1, 2))

    def total(mean):
        def policy(obs):
            return Gaussian(mean, jnp.zeros((1, 2)))

        return expected_target(KEY, critic, policy, jnp.ones(1), obs, jnp.zeros(1, bool), discount=DISCOUNT)[0]

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(jnp.zeros((1, 2))), 0)


def test_the_regression_takes_its_target_for_a_constant():
    """Though the target be made of the very critic that is fitted: −mean(Q − y)∇Q, and not −mean(Q − y)∇(Q − y)."""
    obs, action, weight = jnp.array([0, 2]), jnp.array([1, 0]), jnp.array([1.0, 3.0])

    def objective(critic):
        return ValueRegression((obs, action), 1 + critic.values(obs)[:, 0], weight).evaluate(critic)[0]

    table = jnp.arange(6.0).reshape(3, 2)
    expected = np.zeros((3, 2))
    for state, act, share in [(0, 1, 0.25), (2, 0, 0.75)]:
        expected[state, act] = -share * (table[state, act] - (1 + table[state, 0]))
    np.testing.assert_allclose(jax.grad(objective)(TabularActionValue(table)).table, expected, rtol=1e-6)


def test_the_regression_is_minus_half_the_weighted_mean_of_squares_row_by_row():
    critic = TabularActionValue(jnp.arange(6.0).reshape(3, 2))
    obs, action, target = jnp.array([0, 1, 2, 0]), jnp.array([1, 0, 1, 0]), jnp.array([0.0, 4.0, jnp.nan, 9.0])
    problem = ValueRegression((obs, action), target, jnp.array([1.0, 0.5, 0.0, 1.0]))
    np.testing.assert_allclose(problem.evaluate(critic)[0], -0.5 * (1 + 0.5 * 4 + 81) / 2.5, rtol=1e-6)
    some = problem.minibatch(jnp.array([1, 0]))
    assert (problem.size, some.size) == (4, 2)
    np.testing.assert_allclose(some.evaluate(critic)[0], -0.5 * (1 + 0.5 * 4) / 1.5, rtol=1e-6)
    assert np.all(np.isfinite(problem.gradient(critic)[0].table))


@pytest.mark.parametrize("space", [Discrete(3), Box(-2.0, 2.0, (2,))], ids=["discrete", "box"])
def test_a_network_learns_a_given_function_of_observation_and_action(space):
    """By the step rule that algorithms use: the regression is a problem like any other."""
    keys = jax.random.split(KEY, 4)
    obs = jax.random.uniform(keys[0], (512, 2), minval=-1.0)
    if isinstance(space, Discrete):
        action = jax.random.randint(keys[1], (512,), 0, 3)
        target = obs[:, 0] * (action.astype(jnp.float32) - 1)
    else:
        action = jax.random.uniform(keys[1], (512, 2), minval=-2.0, maxval=2.0)
        target = obs[:, 0] * action[:, 0] + action[:, 1]
    critic = drawn(space, hidden=(32,), key=keys[2])
    problem = ValueRegression((obs, action), target, jnp.ones(512))
    rule = MinibatchAscent(Optimiser(1e-2), epochs=100, minibatch_size=64)
    critic, _, info = jax.jit(lambda critic: rule.step(keys[3], critic, problem, rule.init(critic)))(critic)
    assert -2 * info["objective"] < 0.01 * jnp.var(target)


@pytest.mark.parametrize(
    "critic", [drawn(Discrete(2), Discrete(3), (8,)), TabularActionValue(jnp.arange(6.0).reshape(3, 2))]
)
def test_the_value_of_an_action_is_its_entry_among_all_values(critic):
    obs, action = jnp.array([[0, 1, 2], [2, 1, 0]]), jnp.array([[0, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(
        critic(obs, action),
        np.take_along_axis(np.asarray(critic.values(obs)), np.asarray(action)[..., None], -1)[..., 0],
    )
    assert critic.values(obs).shape == (2, 3, 2)
    assert critic(obs[0, 0], action[0, 0]).shape == ()


def test_a_bounded_action_enters_with_its_bounds_at_minus_one_and_one():
    space = Box(np.array([-2.0, 10.0, -np.inf]), np.array([6.0, 11.0, 0.0]))
    critic = drawn(space)
    weight = critic.network.weights[0][2:, 0]  # the observation's two come first
    actions = jnp.array([[-2.0, 10.0, 5.0], [6.0, 11.0, 5.0], [2.0, 10.5, 5.0], [14.0, 10.5, 0.0]])
    scaled = jnp.array([[-1.0, -1.0, 5.0], [1.0, 1.0, 5.0], [0.0, 0.0, 5.0], [3.0, 0.0, 0.0]])
    np.testing.assert_allclose(critic(jnp.zeros((4, 2)), actions), scaled @ weight, rtol=1e-5, atol=1e-6)
    slope = jax.grad(lambda action: critic(jnp.zeros(2), action))(actions[3])
    np.testing.assert_allclose(slope, weight / jnp.array([4.0, 0.5, 1.0]), rtol=1e-5)


@pytest.mark.parametrize(
    "space",
    [Box(-1.0, 1.0, (2, 2)), MultiDiscrete((2, 3)), MultiBinary(3), Discrete(4)],
    ids=lambda space: type(space).__name__,
)
@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
def test_every_action_space_is_served_with_any_batch(space, batch):
    action = jnp.ones((*batch, *space.shape), space.dtype)
    assert drawn(space, hidden=(8,))(jnp.ones((*batch, 2)), action).shape == batch


def test_actions_that_are_not_numbered_have_no_list_of_values():
    with pytest.raises(InputError, match="Ask for one action"):
        drawn(Box(-1.0, 1.0, (2,))).values(jnp.zeros((1, 2)))


def test_all_states_and_actions_are_in_the_data(replay):
    """What the tests of this file rest on."""
    transition, _, weight = replay
    seen = {(int(s), int(a)) for s, a, w in zip(transition.obs, transition.action, weight, strict=True) if w > 0}
    assert len(seen) == 6
    assert START.sum() == 1
    assert isinstance(EVALUATED(STATES), Categorical)
