"""Tests and doctests run under the strictest settings JAX has, with shapes checked."""

import gc
import os
import pathlib

# Processes that tests start find what others compiled; nothing comes from, or goes to, the user's own cache.
os.environ["STEEPEST_COMPILATION_CACHE"] = str(pathlib.Path(__file__).parent / ".pytest_cache" / "compiled")

# Compiling takes longer than running almost everywhere here, and costs less than half as much without the passes that
# make programs fast. As a variable it holds for the processes that tests start too: what they compute must agree.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
# XLA's older way of making loops out of fused operations compiles these programs in half the time of the newer one,
# and a program that is not cut into parts, to be compiled beside each other, takes a tenth less.
XLA = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {XLA}".strip()

import jaxtyping

jaxtyping.install_import_hook("steepest", "strict_types.check")

import jax

from steepest._platform import configure_platform

configure_platform()  # one XLA thread, before anything starts the backend

# Tracing makes many objects that live long; looking through them as often as Python does takes time and finds nothing.
gc.set_threshold(50_000, 20, 50)

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Every compiled program keeps some pages of its own, and Linux lets a process have 65,530 of them: past that, compiling
# fails by a crash. Two thirds of them is time to forget what earlier tests compiled.
MAPPINGS = pathlib.Path("/proc/self/maps")
MOST_MAPPINGS = 45_000


def pytest_runtest_teardown(item, nextitem):
    """Between two modules, so that no test sees a program compiled that it has compiled already."""
    leaves = nextitem is not None and nextitem.path != item.path
    if leaves and MAPPINGS.exists() and MAPPINGS.read_bytes().count(b"\n") > MOST_MAPPINGS:
        jax.clear_caches()
