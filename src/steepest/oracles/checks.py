"""Input checks of the oracles; an error is one line with the first bad entry and the remedy."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from steepest.core.distributions import Categorical
from steepest.core.errors import InputError
from steepest.core.spaces import Discrete, MaskedObservation, without_mask
from steepest.core.types import AnyArray
from steepest.core.validation import check_number
from steepest.networks import FlatEncoder
from steepest.oracles.precision import is_traced
from steepest.policies import AbstractPolicy, NetworkPolicy, TabularPolicy

TOLERANCE = 1e-6
"""The tolerance of sums of probabilities, which float32 rounding reaches."""


def checked_array(field: str, value: object, shape: tuple[int | None, ...]) -> AnyArray:
    """Convert `value` to a float64 array of this shape, `None` for any length; a traced one is kept."""
    array: AnyArray = value if is_traced(value) else _in_float64(field, value)
    wanted = "[" + ", ".join("any" if length is None else str(length) for length in shape) + "]"
    if len(array.shape) != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        raise InputError(f"{field} has shape {list(array.shape)}; it must be {wanted}. Give one number for each.")
    if 0 in array.shape:
        raise InputError(f"{field} has shape {list(array.shape)}; no length may be 0. Give at least one entry.")
    if not is_traced(array):
        _refuse_first(field, array, ~np.isfinite(array), "must be finite", "Give finite numbers.")
    return array


def _in_float64(field: str, value: object) -> np.ndarray:
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{field}: not an array of numbers ({error}). Give numbers in equal rows.") from error


def check_probabilities(field: str, value: AnyArray) -> None:
    """Refuse negative probabilities, and rows along the last axis that do not sum to 1."""
    if is_traced(value):
        return
    _refuse_first(field, value, value < 0, "must not be negative", "Give probabilities.")
    total = value.sum(axis=-1)
    wrong = abs(total - 1) > TOLERANCE
    if wrong.any():
        index = np.argwhere(np.atleast_1d(wrong))[0].tolist() if wrong.ndim else []
        row = f"[{', '.join([*map(str, index), ':'])}]"
        found = total[tuple(index)]
        raise InputError(f"{field}{row} sums to {found:.9g}; it must sum to 1. Divide each row by its sum.")


def _refuse_first(field: str, value: np.ndarray, bad: np.ndarray, bound: str, remedy: str) -> None:
    if bad.any():
        index = np.argwhere(bad)[0].tolist()
        raise InputError(f"{field}{index} is {value[tuple(index)]:g}; it {bound}. {remedy}")


def check_time(discount: float | Float[AnyArray, ""], horizon: int | None) -> None:
    """Refuse a discount outside its range, and a discount of 1 without a horizon."""
    remedy = "0.99 is usual."
    if not is_traced(discount):
        check_number("discount", float(discount), at_least=0, at_most=1, remedy=remedy)
    if horizon is not None:
        check_number("horizon", horizon, at_least=1, whole=True, remedy="Give None for no end.")
    elif not is_traced(discount) and float(discount) == 1:
        raise InputError("discount is 1; without a horizon it must be below 1. Give a horizon, or 0.99.")


def check_steps(steps: int | None, horizon: int | None) -> None:
    """Refuse a number of time steps below 1 or beyond the horizon."""
    if steps is not None:
        remedy = "Give None for all of them."
        check_number("steps", steps, at_least=1, at_most=horizon, whole=True, remedy=remedy)


def checked_mask(value: object, shape: tuple[int, ...], absorbing: Bool[AnyArray, " S"]) -> Bool[AnyArray, "S A"]:
    """Which actions are allowed in which state, as flags. In absorbing states nothing is chosen, so all are."""
    array: AnyArray = value if is_traced(value) else np.asarray(value)
    if array.shape != shape or array.dtype != bool:
        raise InputError(
            f"mask is {array.dtype}{list(array.shape)}; it must be True or False for each of {list(shape)}."
        )
    if is_traced((array, absorbing)):
        return array
    mask = array | np.asarray(absorbing)[:, None]
    stuck = np.flatnonzero(~mask.any(axis=1))
    if stuck.size:
        raise InputError(f"mask[{stuck[0]}] allows no action. Allow one, or make the state absorbing.")
    return mask


def check_allowed(field: str, probs: AnyArray, mask: Bool[AnyArray, "S A"] | None) -> None:
    """Refuse probabilities of actions that are ruled out."""
    if mask is not None and not is_traced((probs, mask)):
        _refuse_first(field, probs, (probs > 0) & ~mask, "must be 0, as the mask rules it out", "Ask `probabilities`.")


def check_policy(policy: object, states: int, actions: int, mask: Bool[AnyArray, "S A"] | None = None) -> None:
    """Refuse a policy that is not one over these states and actions, or does not keep to the mask.

    A table with too few rows would not fail by itself: JAX reads the last row for indices beyond the end.
    """
    wanted = f"it must choose among {actions} actions in each of {states} states."
    remedy = f"{wanted} Make it for Discrete({states}) observations and Discrete({actions}) actions."
    if isinstance(policy, TabularPolicy) and policy.logits.shape != (states, actions):
        raise InputError(f"policy has logits of shape {list(policy.logits.shape)}; {remedy}")
    encoder = policy.encoder if isinstance(policy, NetworkPolicy) else None
    if isinstance(encoder, FlatEncoder) and without_mask(encoder.space) != Discrete(states):
        raise InputError(f"policy observes {encoder.space}; {remedy}")
    if not callable(policy):
        raise InputError(f"policy is a {type(policy).__name__}; {remedy}")
    if isinstance(policy, AbstractPolicy) and jax.tree.leaves(policy.initial_carry(1)):
        raise InputError(
            "policy has memory, and these answers are of policies of states. Ask TabularPOMDP, which knows those of "
            "histories, or give a policy without memory."
        )
    seen = jax.ShapeDtypeStruct((states,), np.int32)
    if mask is not None:
        seen = MaskedObservation(seen, jax.ShapeDtypeStruct((states, actions), bool))
    found = eqx.filter_eval_shape(policy, seen)
    if not isinstance(found, Categorical):
        raise InputError(f"policy gives a {type(found).__name__}; {remedy}")
    if found.logits.shape != (states, actions):
        raise InputError(f"policy gives logits of shape {list(found.logits.shape)}; {remedy}")
