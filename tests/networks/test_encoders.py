"""Encoders: which an observation gets, and what it computes, against convolutions that are written otherwise."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest import PPO, TRPO
from steepest.algorithms.architecture import Architecture
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Dict, Discrete, Mask, Masked, MultiBinary, Spec, zeros
from steepest.networks import AbstractEncoder, Dense, Encoding, FlatEncoder, features
from steepest.networks.encoders import EmbeddingEncoder, ImpalaEncoder, JoinedEncoder, NatureEncoder
from steepest.networks.encoders.convolution import Convolution, largest_nearby
from steepest.networks.encoders.pictures import Layout
from steepest.policies import network_policy

KEY = jax.random.key(0)
SMALL = Box(0, 255, (10, 9, 1), dtype=np.uint8)
LARGE = Box(0, 255, (4, 40, 38), dtype=np.uint8)


TWO = Discrete(2)


def spec_of(observation, action=TWO, frame_stack=1):
    return Spec(observation, action, num_envs=2, total_updates=1, frame_stack=frame_stack)


def encoder_of(space, frame_stack=1, **choices):
    return Encoding(**choices).initial(KEY, spec_of(space, frame_stack=frame_stack))


def drawn(space, *batch):
    return np.random.default_rng(0).integers(0, 256, (*batch, *space.shape), dtype=np.uint8)


def convolved(pictures, kernel, stride, padding="VALID"):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(pictures, kernel, (stride, stride), padding, dimension_numbers=numbers)


@pytest.mark.parametrize(
    ("shape", "size", "stride", "same"),
    [
        ((36, 40, 2), (8, 8), 4, False),
        ((9, 10, 8), (4, 4), 2, False),
        ((7, 6, 2), (3, 3), 1, False),
        ((7, 6, 5), (3, 3), 1, True),
        ((11, 8, 2), (3, 2), 2, False),
    ],
)
def test_convolutions_are_those_of_jax_and_so_are_their_derivatives(shape, size, stride, same):
    layer = Convolution.initial(KEY, shape[2], 3, size, stride=stride, same=same)
    layer = eqx.tree_at(lambda each: each.bias, layer, jnp.arange(3.0))
    pictures = jax.random.normal(jax.random.key(1), (2, *shape))

    def theirs(kernel, pictures):
        return convolved(pictures, kernel, stride, "SAME" if same else "VALID") + layer.bias[None, None, None]

    def ours(kernel, pictures):
        return eqx.tree_at(lambda each: each.kernel, layer, kernel)(pictures)

    expected = theirs(layer.kernel, pictures)
    np.testing.assert_allclose(layer(pictures), expected, atol=1e-5)
    assert expected.shape[1:] == layer.output_shape(shape)
    given = (layer.kernel, pictures)
    for one, other in zip(*(jax.jvp(each, given, given) for each in (ours, theirs)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    for one, other in zip(*(jax.vjp(each, *given)[1](expected) for each in (ours, theirs)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("side", [1, 8, 9])
def test_the_largest_nearby(side):
    pictures = jax.random.normal(KEY, (2, side, 6, 3))
    window = [(0, 0), (1, 1), (1, 1), (0, 0)]
    expected = jax.lax.reduce_window(pictures, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), window)
    np.testing.assert_array_equal(largest_nearby(pictures), expected)


@pytest.mark.parametrize(
    ("shape", "frames"), [((4, 36, 40), 1), ((3, 37, 39), 1), ((36, 37, 3), 1), ((2, 36, 40, 3), 2), ((5, 40, 36), 5)]
)
def test_bytes_are_convolved_as_they_lie_wherever_their_channels_are(shape, frames):
    space = Box(0, 255, shape, dtype=np.uint8)
    layout, obs = Layout.of(space, frame_stack=frames), jnp.asarray(drawn(space, 3))
    for size, stride in (((8, 8), 4), ((3, 2), 3), ((3, 3), 1)):
        layer = Convolution.initial(KEY, layout.shape[2], 6, size, stride=stride)
        found = layer.between_channels(layout.between_channels(obs), lambda numbers: numbers.astype(jnp.float32))
        np.testing.assert_allclose(found, layer(layout.arranged(obs).astype(jnp.float32)), rtol=1e-4, atol=1e-2)


def test_nature_is_the_network_of_the_paper_on_pictures_over_255():
    """Written out with JAX's convolutions: scaled once, neither never nor twice."""
    space = Box(0, 255, (4, 84, 84), dtype=np.uint8)
    encoder, obs = encoder_of(space), drawn(space, 2, 1)
    assert type(encoder) is NatureEncoder
    assert encoder.size == 512
    assert [each.kernel.shape for each in encoder.convolutions] == [(8, 8, 4, 32), (4, 4, 32, 64), (3, 3, 64, 64)]
    hidden = jnp.moveaxis(obs[:, 0].astype(np.float32) / 255, 1, 3)
    for layer, stride in zip(encoder.convolutions, (4, 2, 1), strict=True):
        hidden = jax.nn.relu(convolved(hidden, layer.kernel, stride))
    assert hidden.shape[1:] == (7, 7, 64)
    expected = jax.nn.relu(hidden.reshape(2, -1) @ encoder.dense.weights[0])
    np.testing.assert_allclose(encoder(obs)[:, 0], expected, atol=1e-4)


def test_impala_is_the_network_of_the_paper_on_pictures_over_255():
    encoder, obs = encoder_of(LARGE, encoder="impala"), drawn(LARGE, 2)
    assert type(encoder) is ImpalaEncoder
    assert encoder.size == 256
    hidden = jnp.moveaxis(obs.astype(np.float32) / 255, 1, 3)
    for first, *blocks in encoder.sections:
        window = [(0, 0), (1, 1), (1, 1), (0, 0)]
        hidden = convolved(hidden, first.kernel, 1, "SAME")
        hidden = jax.lax.reduce_window(hidden, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), window)
        for one, other in (blocks[:2], blocks[2:]):
            inner = convolved(jax.nn.relu(hidden), one.kernel, 1, "SAME")
            hidden = hidden + convolved(jax.nn.relu(inner), other.kernel, 1, "SAME")
    assert [len(section) for section in encoder.sections] == [5, 5, 5]
    assert hidden.shape[1:] == (5, 5, 32)
    expected = jax.nn.relu(jax.nn.relu(hidden).reshape(2, -1) @ encoder.dense.weights[0])
    np.testing.assert_allclose(encoder(obs), expected, rtol=1e-4, atol=1e-3)


def test_pictures_that_are_laid_flat_are_scaled_once_too():
    obs = drawn(SMALL, 3)
    np.testing.assert_allclose(features(SMALL, obs), obs.reshape(3, -1) / np.float32(255), rtol=1e-6)
    dark = Box(0, 10, (3, 3, 3), dtype=np.uint8)
    assert float(features(dark, np.full(dark.shape, 10, np.uint8)).max()) == 1


@pytest.mark.parametrize("encoder", ["auto", "mlp", "impala"])
def test_nothing_before_the_encoder_scales_pictures(encoder):
    """From the observation to the policy, with normalisation asked for: what the policy makes of bytes is what it is
    made of the same picture between 0 and 1."""
    algorithm = PPO(encoder=encoder, shared_network=True, normalise_observations=True).build(spec_of(SMALL))
    agent, obs = algorithm.init(KEY), drawn(SMALL, 2)
    assert agent.observations(obs) is obs
    spec = spec_of(Box(0, 1, SMALL.shape))
    plain = PPO(encoder="nature" if encoder == "auto" else encoder, shared_network=True).build(spec).init(KEY)
    expected = plain.policy(obs.astype(np.float32) / 255).logits
    np.testing.assert_allclose(agent.policy(agent.observations(obs)).logits, expected, atol=1e-6)


def test_small_pictures_get_a_small_network():
    for shape, size in (
        ((10, 10, 1), (6, 6, 32)),
        ((7, 7, 3), (3, 3, 32)),
        ((2, 2, 3), (1, 1, 32)),
        ((35, 35, 3), (8, 8, 32)),
    ):
        space = Box(0, 255, shape, dtype=np.uint8)
        encoder = encoder_of(space)
        hidden = encoder.convolved(jnp.zeros((1, *shape)))
        assert (hidden.shape[1:], encoder.size, encoder(drawn(space, 3)).shape) == (size, 128, (3, 128))
    assert encoder_of(Box(0, 255, (36, 36, 1), dtype=np.uint8)).size == 512


def test_channels_are_told_by_the_space_or_by_the_flag_and_never_guessed():
    assert Layout.of(Box(0, 255, (84, 84, 3))).shape == Layout.of(Box(0, 255, (3, 84, 84))).shape == (84, 84, 3)
    assert Layout.of(Box(0, 255, (5, 84, 80)), "first").shape == Layout.of(Box(0, 255, (84, 80, 5)), "last").shape
    for shape in ((3, 9, 1), (8, 8, 8)):
        with pytest.raises(InputError, match=r"^channels: obs are Box\[.*could be the channels .* --channels first or"):
            encoder_of(Box(0, 255, shape, dtype=np.uint8))
    # Frames are stacked in the first axis, and become channels: the oldest frame first, of each frame its own.
    grey, colour = Box(0, 255, (5, 12, 13), dtype=np.uint8), Box(0, 255, (2, 12, 13, 3), dtype=np.uint8)
    assert Layout.of(grey, frame_stack=5).shape == (12, 13, 5)
    obs = drawn(colour, 1)
    expected = np.concatenate([obs[:, 0], obs[:, 1]], axis=-1)
    np.testing.assert_array_equal(Layout.of(colour, frame_stack=2).arranged(jnp.asarray(obs)), expected)
    with pytest.raises(InputError, match=r"^channels is 'first', but no convolution sees observations of Box\[3\]"):
        encoder_of(Box(-1, 1, (3,)), channels="first")


def test_every_array_of_a_tree_has_its_encoder_and_a_mask_has_none():
    space = Dict({"far": Discrete(600), "near": Discrete(5), "seen": SMALL, "switches": MultiBinary(2)})
    encoder = encoder_of(Masked(space, Mask((2,))))
    assert [type(each) for each in encoder.encoders] == [EmbeddingEncoder, FlatEncoder, NatureEncoder, FlatEncoder]
    assert encoder.size == 64 + 5 + 128 + 2
    obs = jax.tree.map(jnp.asarray, zeros(Masked(space, Mask((2,))), 3))
    parts = [each(one) for each, one in zip(encoder.encoders, jax.tree.leaves(obs.observation), strict=True)]
    np.testing.assert_array_equal(encoder(obs), jnp.concatenate(parts, axis=-1))
    assert type(encoder_of(space, encoder="mlp")) is FlatEncoder
    assert [type(each) for each in encoder_of(space, encoder="embedding").encoders[:2]] == [EmbeddingEncoder] * 2
    assert type(encoder_of(space, encoder="impala").encoders[2]) is ImpalaEncoder
    assert type(encoder_of(Discrete(512))) is FlatEncoder
    table = encoder_of(Discrete(9), encoder="embedding")
    np.testing.assert_array_equal(table(jnp.array([[3], [8]])), table.table[jnp.array([[3], [8]])])


@pytest.mark.parametrize(
    ("encoder", "space", "words"),
    [
        ("nature", Box(-1, 1, (4,)), r"^encoder is 'nature', which is of pictures .* but observations are Box\[4\]"),
        ("impala", Discrete(3), r"^encoder is 'impala', which is of pictures"),
        ("embedding", SMALL, r"^encoder is 'embedding', which is of choices"),
        ("nowhere:Encoder", SMALL, r"^encoder is 'nowhere:Encoder', which cannot be found: No module named 'nowhere'"),
        ("math:Encoder", SMALL, r"^encoder is 'math:Encoder', which cannot be found"),
        ("math:sqrt", SMALL, r"^encoder math:sqrt: it cannot be made: TypeError"),
        (f"{__name__}:two_axes", SMALL, r"two_axes: of one observation it makes .*; it must make an array of real"),
        (f"{__name__}:fails", SMALL, r"fails: it cannot take an observation of Box\[10, 9, 1\] .*: TypeError"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused_in_one_line(encoder, space, words):
    with pytest.raises(InputError, match=words) as refused:
        encoder_of(space, encoder=encoder)
    assert "\n" not in str(refused.value)


def test_encoders_of_no_such_name_or_before_a_linear_policy_are_refused():
    with pytest.raises(InputError, match=r"^encoder is 'natural'; it must be 'auto', 'mlp', 'nature'"):
        PPO(encoder="natural")
    with pytest.raises(InputError, match=r"^encoder is 'impala', but policy is 'linear'"):
        TRPO(encoder="impala", policy="linear")
    assert type(PPO(policy="linear").build(spec_of(SMALL)).init(KEY).policy.encoder) is FlatEncoder


def two_axes(key, spec):
    return lambda obs: jnp.zeros((2, 2))


def fails(key, spec):
    return lambda obs: jnp.concatenate(obs, axis="no")


class OfOne(eqx.Module):
    """A module in the manner of Equinox: of one observation, without batch axes."""

    layer: eqx.nn.Linear

    def __init__(self, key, spec):
        self.layer = eqx.nn.Linear(spec.observation.shape[0] * spec.observation.shape[1], 7, key=key)

    def __call__(self, obs):
        return self.layer(obs.astype(jnp.float32).ravel() / 255)


class OfBatches(AbstractEncoder):
    scale: jax.Array

    def __init__(self, key, spec):
        self.scale = jnp.ones(())

    @property
    def size(self):
        return 1

    def __call__(self, obs):
        return self.scale * jnp.mean(jnp.asarray(obs, jnp.float32), axis=(-2, -3))


def test_any_module_is_an_encoder():
    encoder, obs = encoder_of(SMALL, encoder=f"{__name__}:OfOne"), drawn(SMALL, 2, 3)
    assert encoder.size == 7
    assert encoder(obs).shape == (2, 3, 7)
    np.testing.assert_allclose(encoder(obs)[1, 2], encoder.module(obs[1, 2]), rtol=1e-5)
    batches = encoder_of(SMALL, encoder=f"{__name__}:OfBatches")
    assert type(batches) is OfBatches
    assert batches(obs).shape == (2, 3, 1)


@pytest.mark.parametrize("encoder", ["auto", f"{__name__}:OfOne"])
@pytest.mark.parametrize("draw", ["separate", "shared", "recurrent", "with_action_values", "compatible"])
def test_every_network_learns_through_its_encoder(draw, encoder):
    """Of policies and critics of every kind, no array of the encoder has a derivative of 0."""
    action = Box(-1, 1, (2,)) if draw == "compatible" else Discrete(2)
    architecture = Architecture(
        hidden=(8,),
        memory="gru" if draw == "recurrent" else "none",
        encoder=encoder,
        action_value="compatible" if draw == "compatible" else "network",
    )
    make = {"recurrent": architecture.separate, "compatible": architecture.with_action_values}.get(draw)
    obs, spec = jnp.asarray(drawn(SMALL, 2)), spec_of(SMALL, action)

    def loss(networks):
        total = jnp.sum(networks.policy(obs).mode() if draw == "compatible" else networks.policy(obs).logits[:, 0])
        critics = networks.critic if isinstance(networks.critic, tuple) else (networks.critic,)
        for critic in critics:
            if draw == "compatible":
                total += jnp.sum(critic.value(obs))
            elif critic is not None:
                total += jnp.sum(critic.values(obs) if draw == "with_action_values" else critic(obs))
        return total

    networks = (make or getattr(architecture, draw))(KEY, spec)
    slopes = jax.tree_util.tree_flatten_with_path(eqx.filter_grad(loss)(networks))[0]
    found = {jax.tree_util.keystr(path): float(jnp.abs(slope).max()) for path, slope in slopes}
    held = (".critic[0].policy", ".critic[0].weights")  # which a compatible critic holds constant, or has at 0
    inside = {path: slope for path, slope in found.items() if ".encoder." in path and not path.startswith(held)}
    assert len(inside) >= (2 if "OfOne" in encoder else 6)
    assert all(slope > 0 for slope in inside.values()), inside


def test_a_plain_box_is_as_it_would_be_without_encoders():
    """No leaf, no operation and no random number more: the policy is its layers."""
    spec = spec_of(Box(-1, 1, (4,)))
    policy = network_policy(KEY, spec, hidden=(8,))
    layers = Dense.initial(KEY, (4, 8, 2), activation="tanh", output_scale=0.01)
    assert type(policy.encoder) is FlatEncoder
    for one, other in zip(jax.tree.leaves(policy), jax.tree.leaves(layers), strict=True):
        np.testing.assert_array_equal(one, other)
    obs = jnp.ones((3, 4))
    ways = (lambda x: policy(x).logits, lambda x: policy.head(layers(features(spec.observation, x))).logits)
    made = [str(jax.make_jaxpr(way)(obs)) for way in ways]
    assert made[0] == made[1]


def test_the_fisher_product_goes_through_convolutions():
    """As the Hessian of the KL says: (F v)·w = (F w)·v, and v·F v > 0."""
    policy = network_policy(KEY, spec_of(SMALL), hidden=(), output_scale=1.0)
    obs = jnp.asarray(drawn(SMALL, 4))
    old = jax.lax.stop_gradient(policy(obs))

    def mean_kl(each):
        return jnp.mean(old.kl(each(obs)))

    product = jax.jit(lambda v: jax.jvp(jax.grad(mean_kl), (policy,), (v,))[1])
    leaves, structure = jax.tree.flatten(policy)
    one, other = (
        structure.unflatten(
            [jax.random.normal(jax.random.fold_in(KEY, i + at), x.shape) for at, x in enumerate(leaves)]
        )
        for i in (10, 50)
    )

    def inner(a, b):
        return functools.reduce(jnp.add, jax.tree.leaves(jax.tree.map(jnp.vdot, a, b)))

    np.testing.assert_allclose(inner(product(one), other), inner(product(other), one), rtol=1e-3)
    assert inner(product(one), one) > 0


def test_joined_encoders_are_of_trees_alone():
    assert type(encoder_of(Dict({"a": Box(-1, 1, (2,)), "b": SMALL}))) is JoinedEncoder
