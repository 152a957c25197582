"""A policy as one function of an observation, and that as ONNX and as StableHLO."""

import dataclasses
import importlib.util
import itertools
import logging
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from steepest.algorithms.bodies.agent import Agent
from steepest.core.conversion import first_choice
from steepest.core.errors import InputError
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.spaces import Box, Leaf, Mask, leaves, map_leaves
from steepest.core.types import AnyArray, PyTree

PLATFORMS = ("cpu", "cuda", "tpu")
"""What a program of StableHLO runs on."""


@dataclasses.dataclass(frozen=True)
class Program:
    """What a policy does without noise: from an observation, as the environment gives it, to an action as it takes it.

    - `function`: `(*obs, *carry) -> (*action, *carry)`, with a leading axis of streams everywhere: an argument for each
      array of an observation, and a result for each of an action, in the order of `steepest.core.spaces.leaves`.
      Actions are within the bounds, and choices counted as the environment counts them; real numbers are in single
      precision.
    - `observation`: of each array of an observation, by name. `actions`: the names of the arrays of an action.
    - `first`: the memory of one stream at the start of an episode; empty without memory.
    """

    function: Callable[..., tuple[Array, ...]]
    observation: dict[str, jax.ShapeDtypeStruct]
    actions: tuple[str, ...]
    first: tuple[np.ndarray, ...]


def program(algorithm: AbstractAlgorithm, agent: PyTree) -> Program:
    """The policy of an agent. **Raises** `InputError` where its memory differs from stream to stream."""
    spec, agent = algorithm.spec, algorithm.for_evaluation(agent)
    if isinstance(agent, Agent):  # what the critic remembers is no part of acting
        agent = dataclasses.replace(agent, critic=None)
    arrays = leaves(spec.observation, "observation")
    observation = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in arrays}
    actions = tuple(name for name, _ in leaves(spec.action, "action"))
    before = algorithm.initial_carry(dataclasses.replace(spec, num_envs=2))
    memory, structure = jax.tree.flatten(before)
    kept = _remembered(algorithm, agent, before, map_leaves(_two, spec.observation))
    first = tuple(np.asarray(leaf) for leaf in itertools.compress(memory, kept))
    if any(not np.array_equal(leaf[0], leaf[1], equal_nan=True) for leaf in first):
        raise InputError(
            "the memory of the policy at the start of an episode differs from stream to stream, and an exported policy "
            "begins each alike. Let initial_carry give every stream the same."
        )

    def function(*given: AnyArray) -> tuple[Array, ...]:
        rest = iter(given)
        seen = map_leaves(lambda leaf: _counted_from_0(leaf, next(rest)), spec.observation)
        # Of the carry, the rest is not looked at, whatever its values
        every = [next(rest) if one else leaf for one, leaf in zip(kept, memory, strict=True)]
        action, after = algorithm.act_deterministic(agent, jax.tree.unflatten(structure, every), seen)
        taken = jax.tree.leaves(map_leaves(_as_taken, spec.action, action))
        return *taken, *itertools.compress(jax.tree.leaves(after), kept)

    return Program(function, observation, actions, tuple(np.asarray(leaf[0]) for leaf in first))


def _two(leaf: Leaf) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype)


def _counted_from_0(space: Leaf, obs: AnyArray) -> AnyArray:
    return obs if isinstance(space, Box | Mask) else obs - _first(space)


def _remembered(algorithm: AbstractAlgorithm, agent: PyTree, carry: PyTree, obs: PyTree) -> list[bool]:
    """Which leaves of the carry an action without noise depends on, or changes: noise that drifts is carried too."""
    count = len(jax.tree.leaves(carry))
    if not count:
        return []
    traced = jax.make_jaxpr(lambda carry, obs: algorithm.act_deterministic(agent, carry, obs))(carry, obs).jaxpr
    given, after = traced.invars[:count], traced.outvars[-count:]
    asked = [each for equation in traced.eqns for each in equation.invars]
    return [one is not other or any(each is one for each in asked) for one, other in zip(given, after, strict=True)]


def _as_taken(space: Leaf, action: Array) -> Array:
    """An action as the environment takes it, of a type that every program has."""
    if isinstance(space, Box):
        action = jnp.round(action) if space.native_low.dtype.kind in "iub" else action
        return jnp.clip(action, jnp.asarray(space.low)[None], jnp.asarray(space.high)[None])
    return action + _first(space)


def _first(space: Leaf) -> Array:
    """What the environment calls choice 0, as something to add to a batch."""
    first = jnp.asarray(first_choice(space), jnp.int32)
    return first[None] if first.ndim else first


def to_onnx(policy: Program) -> bytes:
    """The program as a model of ONNX, in single precision, for batches of any size.

    **Raises** `InputError` where what it takes is not installed, or the policy has an operation that ONNX lacks.
    """
    for name in ("jax2onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise InputError(f"format is 'onnx', and {name} is not installed. Run: pip install 'steepest[onnx]'.")
    import jax2onnx

    inputs = [*policy.observation.values(), *policy.first]
    carry = [f"carry_{index}" for index in range(len(policy.first))]
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # it warns of what is none of the user's business
    try:
        model = jax2onnx.to_onnx(
            policy.function,
            inputs=[jax.ShapeDtypeStruct(("B", *each.shape), each.dtype) for each in inputs],  # pyright: ignore[reportArgumentType]  a name stands for any size
            model_name="policy",
            input_names=[*policy.observation, *carry],
            output_names=[*policy.actions, *(f"next_{name}" for name in carry)],
        )
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(
            f"format is 'onnx', and jax2onnx cannot convert the policy ({said}). Take the format stablehlo."
        ) from error
    return model.SerializeToString()


def to_stablehlo(policy: Program) -> bytes:
    """The program as JAX serialises it, for batches of any size. Versions of JAX read it for some months only."""
    from jax import export

    (batch,) = export.symbolic_shape("batch")
    inputs = [
        jax.ShapeDtypeStruct((batch, *each.shape), each.dtype) for each in (*policy.observation.values(), *policy.first)
    ]
    try:
        exported = export.export(jax.jit(policy.function), platforms=PLATFORMS)(*inputs)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(
            f"format is 'stablehlo', and the policy cannot be compiled for batches of any size ({said}). Let it "
            "compute with the shapes of its arguments only."
        ) from error
    return bytes(exported.serialize())
