"""Computation in float64, whatever precision JAX is set to."""

import functools
import inspect
from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from steepest.core.types import PyTree

Function = TypeVar("Function", bound=Callable[..., object])
Check = Callable[..., None]
"""A check of a function's arguments, called with them; raises `InputError`."""


def is_traced(tree: PyTree) -> bool:
    """Whether a leaf of `tree` is traced."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def double(tree: PyTree) -> PyTree:
    """The tree with real numbers as NumPy arrays in float64, and other arrays as NumPy arrays of their type.

    A policy in double precision is one whose weights are: `double(policy)`. Traced arrays stay as they are.
    """
    return jax.tree.map(_double, tree)


def _double(leaf: PyTree) -> PyTree:
    if isinstance(leaf, Tracer):
        return leaf
    if isinstance(leaf, float | np.floating):
        return np.asarray(leaf, np.float64)
    if not isinstance(leaf, jax.Array | np.ndarray):
        return leaf
    array = np.asarray(leaf)
    # NumPy itself does not know that bfloat16 is real; JAX does.
    return array.astype(np.float64) if jax.numpy.issubdtype(array.dtype, jax.numpy.floating) else array


def in_float64(*, check: Check | None = None) -> Callable[[Function], Function]:
    """A decorator that runs a function written in JAX in float64, whatever precision JAX is set to.

    Called with concrete values, it is compiled once for each shape and returns NumPy arrays, also inside another
    trace. Called with a traced value, it becomes part of that trace, in the precision set there.

    **Arguments**

    - `check`: called first with the same arguments, in float64, where they are concrete.
    """

    def decorate(function: Function) -> Function:
        compiled = eqx.filter_jit(function)
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            if is_traced((args, kwargs)):
                return function(*args, **kwargs)
            with jax.ensure_compile_time_eval(), jax.enable_x64(True):
                args, kwargs = double((args, kwargs))
                if check is not None:
                    check(*signature.bind(*args, **kwargs).args)
                return jax.tree.map(_host, compiled(*args, **kwargs))

        return wrapper  # pyright: ignore[reportReturnType]

    return decorate


def _host(leaf: PyTree) -> PyTree:
    return np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf
