"""Policies of histories against all that can happen, differences, and a problem that was solved by hand (G19)."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from steepest.core.distributions import Categorical
from steepest.core.errors import InputError
from steepest.oracles import HistoryTable, TabularMDP, TabularPOMDP, double, random_mdp, random_pomdp
from steepest.policies import TabularPolicy

HORIZON = 3


class Recurrent(eqx.Module):
    """A small memory of one's own: $c' = \\tanh(Wc + u_o)$, with logits $Vc'$."""

    inputs: Float[Array, "O H"]
    weight: Float[Array, "H H"]
    output: Float[Array, "H A"]

    def initial_carry(self, num_streams):
        return jnp.zeros((num_streams, self.weight.shape[0]), self.weight.dtype)

    def step(self, carry, obs):
        carry = jnp.tanh(carry @ self.weight + self.inputs[obs])
        return Categorical(carry @ self.output), carry


def recurrent(observations=2, actions=2, size=3, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (observations, size), (size, size), (size, actions)
    return Recurrent(*(jnp.asarray(1.5 * rng.normal(size=shape), jnp.float32) for shape in shapes))


def table(pomdp, seed=0):
    rng = np.random.default_rng(seed)
    blank = pomdp.uniform_policy()
    return HistoryTable(tuple(jnp.asarray(rng.normal(size=each.shape), jnp.float32) for each in blank.logits))


def numbered(obs, actions, pomdp):
    """The place of a history among those of its length, counted from the front."""
    every = list(itertools.product(range(pomdp.observations), range(pomdp.actions)))
    place = obs[0]
    for action, seen in zip(actions, obs[1:], strict=True):
        place = place * len(every) + action * pomdp.observations + seen
    return place


def paths(pomdp, probs):
    """Yields the probability, rewards, and the numbers of histories and actions, of everything that can happen."""
    mdp = pomdp.mdp
    ranges = [range(mdp.states), range(pomdp.observations), range(mdp.actions)] * HORIZON
    for path in itertools.product(*ranges):
        states, obs, actions = path[::3], path[1::3], path[2::3]
        probability, places = mdp.initial[states[0]], []
        for time in range(HORIZON):
            if time:
                probability *= mdp.transition[states[time - 1], actions[time - 1], states[time]]
            places.append(numbered(obs[: time + 1], actions[:time], pomdp))
            probability *= pomdp.observation[states[time], obs[time]] * probs[time][places[time], actions[time]]
        rewards = np.array([mdp.reward[each] for each in zip(states, actions, strict=True)])
        over = [bool(mdp.absorbing[each]) for each in states]
        yield probability, rewards, places, actions, over


@pytest.fixture(scope="module")
def pomdp():
    return random_pomdp(1, 2, 2, 2, horizon=HORIZON, discount=0.7)


@pytest.fixture(scope="module")
def ending():
    """Its last state is an end, which is seen as any other."""
    mdp = random_mdp(3, 3, 2)
    transition, reward = mdp.transition.copy(), mdp.reward.copy()
    transition[2], reward[2] = np.eye(3)[2], 0
    observation = [[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]]
    return TabularPOMDP(TabularMDP(transition, reward, [0.6, 0.4, 0], 0.7, horizon=HORIZON), observation)


def test_histories_are_in_the_order_in_which_they_happen():
    small = random_pomdp(0, 2, 2, 3, horizon=2)
    obs, action = small.histories(1)
    expected = [((o, p), (a,)) for o in range(2) for a in range(3) for p in range(2)]
    assert [tuple(map(tuple, each)) for each in zip(obs.tolist(), action.tolist(), strict=True)] == expected
    assert [len(small.histories(time)[0]) for time in range(2)] == [len(each) for each in small.uniform_policy().logits]


@pytest.mark.parametrize("discount_states", [True, False])
@pytest.mark.parametrize("steps", [None, 2])
@pytest.mark.parametrize("world", ["pomdp", "ending"])
def test_everything_is_the_mean_over_all_that_can_happen(world, discount_states, steps, request):
    """J, values, weights and both gradients (G5), of the most general policy: Σ w_t ∇log π(a_t|h_t) R_t."""
    problem = request.getfixturevalue(world)
    policy = table(problem)
    probs = problem.probabilities(policy)
    for found, logits in zip(probs, policy.logits, strict=True):
        np.testing.assert_allclose(found, jax.nn.softmax(logits), rtol=1e-6)
    total, mass = 0.0, [np.zeros(len(each)) for each in probs]
    value, gradient = [np.zeros(len(each)) for each in probs], [np.zeros(each.shape) for each in probs]
    for probability, rewards, places, actions, over in paths(problem, probs):
        total += probability * (0.7 ** np.arange(HORIZON) @ rewards)
        for time in range(HORIZON):
            if over[time]:
                break
            to_go = 0.7 ** np.arange(HORIZON - time) @ rewards[time:]
            mass[time][places[time]] += probability
            value[time][places[time]] += probability * to_go
            if steps is None or time < steps:
                weight = 0.7**time if discount_states else 1.0
                score = np.eye(2)[actions[time]] - probs[time][places[time]]
                gradient[time][places[time]] += probability * weight * to_go * score
    options = {"discount_states": discount_states, "steps": steps}
    np.testing.assert_allclose(problem.performance(policy), total, rtol=1e-12)
    for found, wanted, seen in zip(problem.values(policy), value, mass, strict=True):
        np.testing.assert_allclose(found, wanted / seen, rtol=1e-10)
    weights, _ = problem.decisions(policy, **options)
    for time in range(HORIZON):
        counted = (0.7**time if discount_states else 1.0) * (steps is None or time < steps)
        np.testing.assert_allclose(weights[time], counted * mass[time], rtol=1e-12)
    for found, wanted in zip(problem.policy_gradient(policy, **options).logits, gradient, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-14)


def test_two_steps_worked_out_by_hand():
    """A state, ½ each, seen at the first step alone; at the second, action = state pays 1. At step 0 nothing pays.

    States 0, 1 show their numbers and lead to 2, 3, which look alike (2). With q_o the probability of action 1 after o,
    J = γ/2 (1 − q₀ + q₁), so that ∂J/∂z = γ/2 · q(1 − q) for the logit of the right action.
    """
    transition = np.zeros((4, 2, 4))
    transition[[0, 1, 2, 3], :, [2, 3, 2, 3]] = 1
    reward = np.array([[0.0, 0], [0, 0], [1, 0], [0, 1]])
    problem = TabularPOMDP(TabularMDP(transition, reward, [0.5, 0.5, 0, 0], 0.8, horizon=2), np.eye(3)[[0, 1, 2, 2]])
    policy = problem.uniform_policy()
    # After (o, a, 2), number (2o + a)·3 + 2; the third observation comes first in no episode.
    logit = {0: 0.5, 1: -1.5}
    q = {o: 1 / (1 + np.exp(-each)) for o, each in logit.items()}
    second = np.zeros(policy.logits[1].shape, np.float32)
    for o, a in itertools.product((0, 1), (0, 1)):
        second[(2 * o + a) * 3 + 2, 1] = logit[o]
    policy = HistoryTable((policy.logits[0], jnp.asarray(second)))
    np.testing.assert_allclose(problem.performance(policy), 0.4 * (1 - q[0] + q[1]), rtol=1e-12)
    gradient = problem.policy_gradient(policy)
    np.testing.assert_allclose(gradient.logits[0], 0, atol=1e-15)
    for o, sign in ((0, -1), (1, 1)):
        rows = gradient.logits[1][[(2 * o + a) * 3 + 2 for a in (0, 1)]]
        np.testing.assert_allclose(rows[:, 1], sign * 0.4 * q[o] * (1 - q[o]) / 2, rtol=1e-12)
    np.testing.assert_allclose(
        problem.policy_gradient(policy, discount_states=False).logits[1], gradient.logits[1] / 0.8
    )
    blind = TabularPolicy(jnp.zeros((3, 2)))  # without memory half of the reward is the most
    np.testing.assert_allclose(problem.performance(blind), 0.4, rtol=1e-12)


@pytest.mark.parametrize("discount_states", [True, False])
@pytest.mark.parametrize("steps", [None, 2])
def test_where_the_state_is_seen_it_is_the_tabular_problem(discount_states, steps):
    mdp = random_mdp(4, 3, 2, discount=0.8, horizon=HORIZON)
    problem, policy = TabularPOMDP(mdp, np.eye(3)), TabularPolicy(jax.random.normal(jax.random.key(1), (3, 2)))
    probs, options = mdp.probabilities(policy), {"discount_states": discount_states, "steps": steps}
    np.testing.assert_allclose(problem.performance(policy), mdp.performance(probs), rtol=1e-12)
    found, wanted = (each.policy_gradient(policy, **options).logits for each in (problem, mdp))
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(problem.fisher(policy, **options), mdp.fisher(policy, **options), atol=1e-14)
    obs, _ = problem.histories(1)
    np.testing.assert_allclose(problem.values(policy)[1], mdp.values(probs)[1][obs[:, -1]], rtol=1e-12)
    np.testing.assert_allclose(problem.advantages(policy)[1], mdp.advantages(probs)[1][obs[:, -1]], rtol=1e-9)


def test_the_gradient_of_a_recurrent_policy_is_the_slope_of_its_performance(pomdp):
    policy = recurrent()
    with jax.enable_x64(True):
        vector, unravel = ravel_pytree(jax.tree.map(jnp.asarray, double(policy)))
        slopes = [
            (pomdp.performance(unravel(vector + step)) - pomdp.performance(unravel(vector - step))) / 2e-5
            for step in 1e-5 * jnp.eye(len(vector))
        ]
        automatic = ravel_pytree(jax.jit(jax.grad(lambda each: pomdp.performance(each)))(unravel(vector)))[0]
    gradient = pomdp.policy_gradient(policy)
    assert jax.tree.structure(gradient) == jax.tree.structure(policy)
    flat = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])
    assert flat.dtype == np.float64
    assert np.abs(flat - slopes).max() <= 1e-7 * np.abs(flat).max()
    np.testing.assert_allclose(flat, automatic, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("discount_states", [True, False])
def test_the_gradient_of_a_recurrent_policy_is_that_of_its_histories(pomdp, discount_states):
    """The chain rule, through the table of all histories; and the segments of episodes add up to the whole."""
    policy = recurrent()
    logs = [np.log(each) for each in pomdp.probabilities(policy)]
    by_history = pomdp.policy_gradient(HistoryTable(tuple(logs)), discount_states=discount_states).logits
    wanted = pomdp.policy_gradient(policy, discount_states=discount_states)
    with jax.enable_x64(True):
        parameters = jax.tree.map(jnp.asarray, double(policy))

        def logits(each):
            carry, found = each.initial_carry(len(by_history[-1])), []
            for seen in pomdp.histories(HORIZON - 1)[0].T:
                distribution, carry = each.step(carry, seen)
                found.append(jax.nn.log_softmax(distribution.logits))
            # A history of t steps stands first of those of all steps that begin with it.
            return [row[:: 4 ** (HORIZON - 1 - time)] for time, row in enumerate(found)]

        pullback = jax.vjp(logits, parameters)[1]
        pulled = jax.jit(lambda each: pullback(each)[0])([jnp.asarray(each) for each in by_history])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14), pulled, wanted)
    weights, coefficients = pomdp.decisions(policy, discount_states=discount_states)
    first, _ = pomdp.decisions(policy, discount_states=discount_states, steps=1)
    assert first[0].sum() == pytest.approx(weights[0].sum())
    assert not any(each.any() for each in first[1:])
    for chosen, each in zip(pomdp.probabilities(policy), coefficients, strict=True):
        np.testing.assert_allclose((chosen * each).sum(axis=1), 0, atol=1e-15)  # advantages have the mean 0


def test_the_fisher_information_is_the_hessian_of_the_kl(pomdp):
    with jax.enable_x64(True):
        policy = jax.tree.map(jnp.asarray, double(recurrent(size=2)))
        vector, unravel = ravel_pytree(policy)
        hessian = jax.jit(jax.hessian(lambda each: pomdp.kl(policy, unravel(each))))(vector)
    np.testing.assert_allclose(pomdp.fisher(policy), hessian, atol=1e-12)
    assert float(pomdp.kl(policy, policy)) == 0
    policy = double(policy)
    other = jax.tree.map(lambda leaf: leaf + 0.1, policy)
    probs, others = pomdp.probabilities(policy), pomdp.probabilities(other)
    weights, _ = pomdp.decisions(policy)
    terms = [np.sum(w[:, None] * p * np.log(p / q)) for w, p, q in zip(weights, probs, others, strict=True)]
    np.testing.assert_allclose(pomdp.kl(policy, other), np.sum(terms) / sum(w.sum() for w in weights), rtol=1e-10)


def test_policies_that_look_ahead_are_refused(pomdp):
    def ahead(obs, action):
        later = jnp.concatenate([obs[1:], obs[:1]])
        return Categorical(jnp.stack([later, obs], axis=-1).astype(jnp.float32))

    with pytest.raises(
        InputError, match=r"^policy looks ahead: at step 0 its probabilities differ by 0\.\d+ where the"
    ):
        pomdp.performance(ahead)
    three = TabularPolicy(jnp.zeros((2, 3)))
    with pytest.raises(
        InputError, match=r"^policy gives a Categorical with logits \[3, 32, 3\]; it must choose among 2"
    ):
        pomdp.performance(three)


@pytest.mark.parametrize(
    ("horizon", "observation", "message"),
    [
        (None, np.eye(2), "^horizon is None; every history is written down, so it must be a number of steps, say 4."),
        (30, np.eye(2), "^horizon is 30; with 2 observations and 2 actions these are .* Give a shorter one"),
        (3, [[0.5, 0.4], [1, 0]], r"^observation\[0, :\] sums to 0\.9; it must sum to 1"),
        (3, np.ones((3, 1)), r"^observation has shape \[3, 1\]; it must be \[2, any\]"),
    ],
)
def test_what_cannot_be_written_down_is_refused(horizon, observation, message):
    with pytest.raises(InputError, match=message):
        TabularPOMDP(random_mdp(0, 2, 2, horizon=horizon), observation)


def test_what_is_seen_comes_as_often_as_the_table_says():
    problem = random_pomdp(2, 3, 4, 2, horizon=2)
    env = problem.as_env()
    state = jax.jit(jax.vmap(env.initial))(jax.random.split(jax.random.key(0), 20_000))
    together = np.zeros((3, 4))
    np.add.at(together, (np.asarray(state.hidden.cell), np.asarray(state.seen)), 1 / 20_000)
    np.testing.assert_allclose(together, problem.mdp.initial[:, None] * problem.observation, atol=0.015)
    action = jnp.ones(20_000, jnp.int32)
    after, reward, over = jax.jit(jax.vmap(env.step))(jax.random.split(jax.random.key(1), 20_000), state, action)
    cell = np.asarray(after.hidden.cell)
    np.testing.assert_allclose(np.asarray(reward), problem.mdp.reward[np.asarray(state.hidden.cell), 1], rtol=1e-6)
    np.testing.assert_array_equal(over, np.asarray(problem.mdp.absorbing)[cell])
    for each in range(3):
        seen = np.bincount(np.asarray(after.seen)[cell == each], minlength=4) / (cell == each).sum()
        np.testing.assert_allclose(seen, problem.observation[each], atol=0.03)
    assert (problem.as_env().max_episode_steps, problem.as_env(1).max_episode_steps) == (2, 1)
    assert (env.observation_space.n, env.action_space.n) == (4, 2)
    with pytest.raises(InputError, match="steps is 3; it must be a whole number and at least 1 and at most 2"):
        problem.as_env(3)
