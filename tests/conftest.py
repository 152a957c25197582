"""Everything runs under the strictest settings JAX has, with shapes checked."""

import os

os.environ.setdefault("STEEPEST_COMPILATION_CACHE", "off")

import jaxtyping

jaxtyping.install_import_hook("steepest", "beartype.beartype").install()

import steepest._platform  # noqa: F401  one XLA thread, before anything starts the backend
import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
