"""Double precision for exact answers, whatever JAX is set to."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from steepest.core.types import PyTree

Function = TypeVar("Function", bound=Callable[..., Any])


def is_traced(tree: PyTree) -> bool:
    """Whether an array in `tree` stands for values that are not known yet."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def double(tree: PyTree) -> PyTree:
    """The same tree with its real numbers in NumPy's float64, and its other arrays in NumPy as they are.

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
    # bfloat16 is no number of NumPy's own, but JAX knows that it is real.
    return array.astype(np.float64) if jax.numpy.issubdtype(array.dtype, jax.numpy.floating) else array


def exact(*, check: Callable[..., None] | None = None) -> Callable[[Function], Function]:
    """Let a function written in JAX compute in double precision, and leave the user's setting alone.

    Called with known values, it is compiled once for each shape, runs in float64 and returns NumPy arrays, also while
    something else is being traced. Called with a traced value, it becomes part of that trace, in the precision at hand.

    **Arguments**

    - `check`: called with the same arguments, in double precision, when they are known, to refuse what is of no use.
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
