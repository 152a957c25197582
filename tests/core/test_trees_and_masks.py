"""Trees of spaces, products of distributions, and masks, against answers that are enumerated."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.distributions import Bernoulli, Categorical, MultiDiscrete, Product
from steepest.core.errors import InputError
from steepest.core.spaces import (
    Box,
    Dict,
    Discrete,
    Mask,
    MaskedObservation,
    MultiBinary,
    Tuple,
    is_picture,
    leaves,
    stacked,
    zeros,
)
from steepest.core.spaces import MultiDiscrete as MultiDiscreteSpace
from steepest.networks.heads import CategoricalHead, make_head
from steepest.policies.behaviour import Uniform


def product(seed):
    """A product of one choice, two switches and two choices; and every action with the probabilities written out."""
    keys = jax.random.split(jax.random.key(seed), 4)
    one, two = (jax.random.normal(each, (n,)) for each, n in zip(keys, (3, 2), strict=False))
    several = tuple(jax.random.normal(each, (n,)) for each, n in zip(keys[2:], (2, 3), strict=True))
    parts = {"gear": Categorical(one), "rest": Product((Bernoulli(two), MultiDiscrete(several)))}
    return Product(parts)


ACTIONS = [
    {"gear": jnp.array(gear), "rest": (jnp.array([on, off]), jnp.array([left, right]))}
    for gear, on, off, left, right in itertools.product(range(3), range(2), range(2), range(2), range(3))
]
STACKED = jax.tree.map(lambda *each: jnp.stack(each), *ACTIONS)


def explicit(distribution):
    """log π of all 72 actions, from the factors themselves."""
    switches, choices = distribution.parts["rest"].parts
    gear = jax.nn.log_softmax(distribution.parts["gear"].logits)[STACKED["gear"]]
    lights = STACKED["rest"][0]
    on = jnp.where(lights == 1, jax.nn.log_sigmoid(switches.logits), jax.nn.log_sigmoid(-switches.logits)).sum(axis=1)
    several = sum(jax.nn.log_softmax(z)[STACKED["rest"][1][:, i]] for i, z in enumerate(choices.logits))
    return gear + on + several


def test_a_product_is_the_product_of_its_parts():
    old, new = product(0), product(1)
    log_p, log_q = explicit(old), explicit(new)
    np.testing.assert_allclose(jax.vmap(old.log_prob)(STACKED), log_p, atol=1e-5)
    np.testing.assert_allclose(old.entropy(), -jnp.sum(jnp.exp(log_p) * log_p), rtol=1e-5)
    np.testing.assert_allclose(old.kl(new), jnp.sum(jnp.exp(log_p) * (log_p - log_q)), rtol=1e-4)
    assert jax.tree.structure(old.mode()) == jax.tree.structure(ACTIONS[0])
    best = old.log_prob(old.mode())
    np.testing.assert_allclose(best, jnp.max(log_p), atol=1e-5)


def test_the_fisher_metric_of_a_product_is_that_of_all_its_actions():
    old, tangent = product(0), product(2)
    scores = jax.vmap(lambda action: jax.grad(lambda each: each.log_prob(action))(old))(STACKED)
    along = sum(
        jnp.sum(score.reshape(72, -1) * direction.reshape(1, -1), axis=1)
        for score, direction in zip(jax.tree.leaves(scores), jax.tree.leaves(tangent), strict=True)
    )
    weight = jnp.exp(explicit(old)) * along
    wanted = jax.tree.map(lambda score: jnp.tensordot(weight, score, 1), scores)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=1e-5), old.fisher_product(tangent), wanted
    )


def test_the_parts_of_a_product_draw_with_keys_of_their_own():
    same = Product((Categorical(jnp.zeros((4000, 2))), Categorical(jnp.zeros((4000, 2)))))
    one, other = same.sample(jax.random.key(0))
    assert abs(float(jnp.mean(one == other)) - 0.5) < 0.05
    action, log_prob = same.sample_and_log_prob(jax.random.key(0))
    np.testing.assert_array_equal(action[0], one)
    np.testing.assert_allclose(log_prob, -2 * np.log(2), rtol=1e-5)


MASKED = {
    "categorical": (Categorical(jnp.array([0.3, -1.0, 2.0, 0.1])), [1, 0, 1, 1], [[0], [1], [2], [3]]),
    "several": (
        MultiDiscrete((jnp.array([0.5, -0.2]), jnp.array([1.0, 0.0, -1.0]))),
        [1, 1, 0, 1, 1],
        list(itertools.product(range(2), range(3))),
    ),
    "switches": (
        Bernoulli(jnp.array([0.4, -0.7, 1.2])),
        [1, 0, 1, 1, 0, 1],  # the first is always off, the last always on
        list(itertools.product(range(2), repeat=3)),
    ),
}


def allowed(name, action):
    if name == "switches":
        return action[0] == 0 and action[2] == 1
    return action[-1] != (1 if name == "categorical" else 0)


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_distribution_is_the_distribution_given_what_is_allowed(name):
    free, mask, actions = MASKED[name]
    other = jax.tree.map(lambda z: z[::-1] * 0.5, free)
    mask = jnp.array(mask, bool)
    chosen = jnp.array(actions)[:, 0] if name == "categorical" else jnp.array(actions)
    legal = np.array([allowed(name, action) for action in actions])

    def conditional(distribution):
        weight = np.where(legal, np.exp(np.asarray(jax.vmap(distribution.log_prob)(chosen), np.float64)), 0)
        return weight / weight.sum()

    p, q = conditional(free), conditional(other)
    masked, other = free.masked(mask), other.masked(mask)
    ours = jnp.exp(jax.vmap(masked.log_prob)(chosen))
    np.testing.assert_allclose(ours, p, atol=1e-6)
    assert (np.asarray(ours)[~legal] == 0).all()
    np.testing.assert_allclose(masked.entropy(), -np.sum(p[legal] * np.log(p[legal])), rtol=1e-5)
    np.testing.assert_allclose(masked.kl(other), np.sum(p[legal] * np.log(p[legal] / q[legal])), rtol=1e-4)
    drawn = jax.vmap(masked.sample)(jax.random.split(jax.random.key(0), 500))
    assert all(allowed(name, np.atleast_1d(action).tolist()) for action in np.asarray(drawn))
    assert allowed(name, np.atleast_1d(masked.mode()).tolist())


@pytest.mark.parametrize("name", MASKED)
def test_score_and_fisher_of_a_masked_distribution_are_those_of_what_is_allowed(name):
    free, mask, actions = MASKED[name]
    mask = jnp.array(mask, bool)
    chosen = jnp.array(actions)[:, 0] if name == "categorical" else jnp.array(actions)
    legal = np.array([allowed(name, action) for action in actions])
    flat, back = jax.flatten_util.ravel_pytree(free)
    scores = jax.vmap(lambda action: jax.grad(lambda z: back(z).masked(mask).log_prob(action))(flat))(chosen[legal])
    p = np.exp(np.asarray(jax.vmap(free.masked(mask).log_prob)(chosen)))[legal]
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(p @ scores, 0, atol=1e-6)
    slope = jax.grad(lambda z: back(z).masked(mask).entropy() + back(z).masked(mask).kl(free.masked(mask)))(flat)
    assert np.isfinite(slope).all()

    direction = jnp.arange(1.0, 1 + len(flat))
    masked, tangent = jax.jvp(lambda z: back(z).masked(mask), (flat,), (direction,))
    curved = masked.fisher_product(tangent)
    ours = jax.vjp(lambda z: back(z).masked(mask), flat)[1](curved)[0]
    np.testing.assert_allclose(ours, (scores * p[:, None]).T @ (scores @ direction), atol=1e-5)


def test_no_allowed_choice_is_never_a_number():
    for distribution, mask, _ in MASKED.values():
        assert np.isnan(distribution.masked(jnp.zeros(len(mask), bool)).entropy())


def test_a_share_of_uniform_choices_is_spread_over_what_is_allowed():
    head = CategoricalHead(4, uniform_share=0.3)
    outputs, mask = jnp.array([5.0, -5.0, 0.0, 9.0]), jnp.array([True, True, True, False])
    chance = jax.nn.softmax(head.in_place(outputs, MaskedObservation(jnp.zeros(2), mask)).logits)
    np.testing.assert_allclose(chance[:3], 0.7 * jax.nn.softmax(outputs[:3]) + 0.1, rtol=1e-5)
    assert chance[3] == 0


def test_uniform_actions_are_allowed_ones():
    mask = jnp.tile(jnp.array([True, False, True]), (300, 1))
    obs, policy = MaskedObservation(jnp.zeros(300), mask), Categorical(jnp.zeros((300, 3)))
    action, log_prob, _ = Uniform(Discrete(3)).act(jax.random.key(0), (), policy, obs)
    assert set(np.asarray(action)) == {0, 2}
    np.testing.assert_allclose(log_prob, -np.log(2), rtol=1e-5)


def test_a_tree_of_spaces_is_the_same_however_its_entries_are_ordered():
    one = Dict({"b": Discrete(2), "a": Tuple((Box(0, 1, (2,)), MultiBinary(3)))})
    other = Dict({"a": Tuple((Box(0, 1, (2,)), MultiBinary(3))), "b": Discrete(2)})
    assert one == other
    assert hash(one) == hash(other)
    shapes = jax.tree.map(np.shape, jax.tree.leaves(zeros(one, 5)))
    assert shapes == [(5, *leaf.shape) for _, leaf in leaves(one)]


def test_a_head_for_a_tree_of_actions_takes_the_outputs_one_after_the_other():
    head = make_head(Dict({"turn": Box(-1, 1, (2,)), "gear": Discrete(3)}))
    assert head.inputs == 5
    made = head(jnp.arange(10.0).reshape(2, 5))
    np.testing.assert_array_equal(made.parts["gear"].logits, [[0, 1, 2], [5, 6, 7]])
    np.testing.assert_array_equal(made.parts["turn"].mean, [[3, 4], [8, 9]])


def test_masks_are_of_choices():
    assert Mask.of(MultiDiscreteSpace((2, 3))).shape == (5,)
    assert Mask.of(MultiBinary(3)).shape == (6,)
    with pytest.raises(
        InputError, match=r"^there is an action mask, and the action space is Box.*--action-masks False"
    ):
        Mask.of(Box(-1, 1, (2,)))


def test_pictures_are_told_from_other_numbers():
    assert is_picture(Box(0, 255, (10, 10, 1), dtype=np.uint8))
    assert is_picture(Box(0, 255, (3, 10, 10)))
    assert not is_picture(Box(0, 255, (128,), dtype=np.uint8))
    assert not is_picture(Box(-1, 1, (10, 10, 1)))
    assert stacked(Box(0, 255, (10, 10), dtype=np.uint8), 4).shape == (4, 10, 10)


ONE_CHOICE = {
    "categorical": (Categorical(jnp.array([0.3, -1.0, 2.0])), [0, 1, 0], 1),
    "several": (MultiDiscrete((jnp.array([0.5, -0.2]), jnp.array([1.0, 0.0, -1.0]))), [0, 1, 1, 0, 0], [1, 0]),
    "switches": (Bernoulli(jnp.array([0.4, -0.7])), [1, 0, 0, 1], [0, 1]),
}


@pytest.mark.parametrize("name", ONE_CHOICE)
def test_where_one_action_alone_is_allowed_nothing_is_left_to_chance(name):
    """Entropy and divergence are 0, and so is every gradient: not nearly, and never NaN."""
    free, mask, only = ONE_CHOICE[name]
    mask, only, (flat, back) = jnp.array(mask, bool), jnp.array(only), jax.flatten_util.ravel_pytree(free)
    with jax.debug_nans(True):

        def quantities(z, other):
            masked, old = back(z).masked(mask), back(other).masked(mask)
            return jnp.stack([masked.log_prob(only), masked.entropy(), old.kl(masked), masked.kl(old)])

        @jax.jit
        def fisher(z):
            curved = back(z).masked(mask).fisher_product(jax.jvp(lambda z: back(z).masked(mask), (z,), (z,))[1])
            return jax.vjp(lambda z: back(z).masked(mask), z)[1](curved)[0]

        values = jax.jit(quantities)(flat, 0.5 * flat)
        slopes, product = jax.jit(jax.jacrev(quantities))(flat, 0.5 * flat), fisher(flat)
    np.testing.assert_array_equal(values, 0)
    np.testing.assert_array_equal(slopes, 0)
    np.testing.assert_array_equal(product, 0)
    np.testing.assert_array_equal(free.masked(mask).sample(jax.random.key(0)), only)
    np.testing.assert_array_equal(free.masked(mask).mode(), only)


@pytest.mark.parametrize("name", MASKED)
def test_no_gradient_reaches_what_is_ruled_out(name):
    free, mask, actions = MASKED[name]
    mask = jnp.array(mask, bool)
    chosen = jnp.array(actions)[:, 0] if name == "categorical" else jnp.array(actions)
    legal = np.array([allowed(name, action) for action in actions])
    flat, back = jax.flatten_util.ravel_pytree(free)
    # A switch that must stay as it is has no choice; of the others each has a logit of its own.
    out = ~np.asarray(mask) if name != "switches" else ~np.asarray(mask).reshape(-1, 2).all(axis=1)

    def everything(z):
        masked, other = back(z).masked(mask), back(flat[::-1]).masked(mask)
        scores = jax.vmap(masked.log_prob)(chosen[legal])
        return jnp.concatenate([scores, jnp.stack([masked.entropy(), other.kl(masked), masked.kl(other)])])

    with jax.debug_nans(True):
        slopes = np.asarray(jax.jit(jax.jacrev(everything))(flat))
    assert (slopes[:, out] == 0).all()
    assert (slopes[:, ~out] != 0).any()
