"""Policies of dense networks as arrays and a few words, for a program that knows neither JAX nor steepest."""

import jax.numpy as jnp
import numpy as np

from steepest.algorithms.bodies.agent import Agent
from steepest.core.errors import InputError
from steepest.core.moments import NoNormaliser, ObservationNormaliser
from steepest.core.spaces import Box, Discrete, MultiDiscrete, Space, Spec, is_picture, one_array
from steepest.core.types import PyTree
from steepest.networks import Dense, FlatEncoder
from steepest.networks.encoders.pictures import bounds_of_picture
from steepest.networks.heads import (
    AbstractHead,
    BernoulliHead,
    BoundedHead,
    CategoricalHead,
    GaussianHead,
    MultiDiscreteHead,
    SquashedGaussianHead,
    StateDependentGaussianHead,
)
from steepest.policies import NetworkPolicy, SharedNetwork, TabularPolicy

Arrays = dict[str, np.ndarray]
_TANH = (BoundedHead, SquashedGaussianHead)
_REAL = (GaussianHead, StateDependentGaussianHead, *_TANH)
_CHOICES = (CategoricalHead, MultiDiscreteHead, BernoulliHead)


def plain(agent: PyTree, spec: Spec) -> tuple[Arrays, dict]:
    """What `act_numpy.py` computes with: arrays, and what to do with them.

    Observations are laid flat, choices among them one-hot, and normalised, or scaled where they are pictures; then come
    layers, each with an activation; then actions are read off: the first of the largest outputs of each choice, or
    outputs scaled to the bounds, some of them after a tanh. A switch is a choice between 0 and its log-odds.

    **Arguments**

    - `agent`: as it acts when it no longer learns.

    **Raises** `InputError` where the policy is made of other modules than these.
    """
    policy = agent.policy if type(agent) is Agent else agent
    layers, head, encoder = _parts(policy)
    if type(head) not in (*_REAL, *_CHOICES) or type(encoder) is not FlatEncoder:
        raise _unknown(head if type(encoder) is FlatEncoder else encoder)
    weights = [(np.asarray(weight), np.asarray(bias), activation) for weight, bias, activation in layers]
    if isinstance(head, BernoulliHead):
        weights = _with_zeros(weights, head.n)
    arrays = _normaliser(agent.observations, spec.observation)
    for index, (weight, bias, _) in enumerate(weights):
        arrays |= {f"weight{index}": weight, f"bias{index}": bias}
    if isinstance(head, _REAL):
        arrays |= {name: np.asarray(getattr(head, name), np.float32) for name in ("centre", "half_width")}
    network = {
        "choices": _choices(spec.observation),
        "activations": [activation for _, _, activation in weights],
        "splits": np.cumsum([n for n, _ in _choices(spec.action)])[:-1].tolist(),
        "tanh": isinstance(head, _TANH),
    }
    return arrays, network


def _parts(policy: PyTree) -> tuple[list[tuple[PyTree, PyTree, str]], AbstractHead, PyTree]:
    """The layers of a policy, its head and its encoder."""
    if type(policy) is NetworkPolicy and type(policy.network) is Dense:
        return _layers(policy.network), policy.head, policy.encoder
    if type(policy) is SharedNetwork:
        return [*_layers(policy.trunk), *_layers(policy.policy_output)], policy.head, policy.encoder
    if type(policy) is TabularPolicy:  # a linear map of the one-hot observation
        states, actions = policy.logits.shape
        layer = policy.logits, jnp.zeros(actions, jnp.float32), "none"
        return [layer], CategoricalHead(actions), FlatEncoder(Discrete(states))
    raise _unknown(policy)


def _layers(network: Dense) -> list[tuple[PyTree, PyTree, str]]:
    count = len(network.weights)
    active = count if network.activate_output else count - 1
    names = [network.activation if index < active else "none" for index in range(count)]
    return list(zip(network.weights, network.biases, names, strict=True))


def _with_zeros(layers: list[tuple[np.ndarray, np.ndarray, str]], n: int) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """The layers with a 0 before each of the n outputs."""
    weight, bias, activation = layers[-1]
    wider = np.zeros((len(weight), n, 2), weight.dtype)
    wider[:, :, 1] = weight
    return [*layers[:-1], (wider.reshape(len(weight), -1), np.stack([0 * bias, bias], axis=1).reshape(-1), activation)]


def _normaliser(normaliser: PyTree, space: Space) -> Arrays:
    """Mean, deviation and limit of what is normalised; those of something that is not change nothing."""
    if type(normaliser) is ObservationNormaliser:
        deviation = jnp.sqrt(normaliser.moments.variance + 1e-8)
        mean, deviation = (np.asarray(each).reshape(-1) for each in (normaliser.moments.mean, deviation))
        return {"mean": mean, "deviation": deviation, "limit": np.asarray(normaliser.limit, np.float32)}
    if type(normaliser) is not NoNormaliser:
        raise _unknown(normaliser)
    low, high = bounds_of_picture(space) if isinstance(space, Box) and is_picture(space) else (0, 1)
    scale = (("mean", low), ("deviation", high - low), ("limit", np.inf))
    return {name: np.asarray(value, np.float32) for name, value in scale}


def _choices(space: Space) -> list[tuple[int, int]]:
    """How many choices there are, and what the environment calls the first, for each of them; none of real numbers."""
    match space:
        case Discrete(n=n, start=start):
            return [(n, start)]
        case MultiDiscrete(nvec=nvec, start=start):
            return list(zip(nvec, start, strict=True))
        case Box():
            return []
        case _:
            return [(2, 0)] * one_array(space, "these", "a program takes").shape[0]


def _unknown(part: object) -> InputError:
    kind = type(part)
    return InputError(
        f"format is 'numpy', and the policy has a part that only JAX can compute, {kind.__qualname__} of "
        f"{kind.__module__}. Take the format onnx or stablehlo."
    )
