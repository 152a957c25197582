"""How XLA is started: the one place that knows about threads and the compilation cache.

XLA's CPU client can deadlock when a vectorised training step runs on its thread pool, and it is no faster for having
the pool. So steepest starts that client with one thread. The size of the pool is read once, from the environment
variable `NPROC`, at the moment the client is made; the variable is set for that moment only, so that child programs
never see it. Accelerators are untouched. More cores are used through more processes and through environment threads.

- `STEEPEST_CPU_THREADS=n` starts the client with `n` threads instead (`0`: XLA's own choice).
- `STEEPEST_COMPILATION_CACHE=DIR|off` says where compiled programs are kept between runs, or that they are not.

Importing steepest changes nothing in its host program. What starts programs of its own calls
`configure_platform`: the drivers of training, the rollouts of estimators, `steepest.train` and the command line.
"""

import contextlib
import functools
import importlib
import os
import pathlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.extend.backend
from jax._src import lru_cache, xla_bridge

from steepest.core.errors import InputError

THREADS = "STEEPEST_CPU_THREADS"
CACHE = "STEEPEST_COMPILATION_CACHE"


def _threads() -> int:
    text = os.environ.get(THREADS, "1")
    if not text.isdecimal():
        raise InputError(f"{THREADS} is {text!r}; it must be a whole number of threads, or 0 for XLA's own choice.")
    return int(text)


_READ_ONCE = ("NPROC", "OPENBLAS_NUM_THREADS")
"""What XLA's client, and the LAPACK that it calls for factorisations, read when they are loaded."""


@contextlib.contextmanager
def _told(threads: int) -> Iterator[None]:
    """Set those variables for the moment in which they are read."""
    before = {name: os.environ.get(name) for name in _READ_ONCE}
    if threads:
        os.environ.update(dict.fromkeys(_READ_ONCE, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _guarded(make_client: Callable[..., Any], threads: int) -> Callable[..., Any]:
    def make_guarded_client(*args, **kwargs):
        with _told(threads):
            # JAX takes its LAPACK from SciPy. With threads of their own, small factorisations wait for each other:
            # on two busy cores one of 384 × 192 numbers took 1.9 s in place of 2 ms.
            importlib.import_module("scipy.linalg.cython_lapack")
            return make_client(*args, **kwargs)

    return make_guarded_client


def _pool_size() -> int | None:
    """Threads in the pool of a client that runs already; None where the operating system does not tell."""
    try:
        tasks = list(pathlib.Path("/proc/self/task").iterdir())
        return sum((task / "comm").read_text().startswith("tf_XLAEigen") for task in tasks)
    except OSError:
        return None


def guard_cpu() -> None:
    """See that XLA's CPU client has as many threads as asked for, or warn that it is too late for that."""
    threads = _threads()
    if not xla_bridge.backends_are_initialized():
        factory = xla_bridge._backend_factories["cpu"].factory
        jax.extend.backend.register_backend_factory("cpu", _guarded(factory, threads), priority=0, fail_quietly=False)
        return
    running = _pool_size()
    if threads and running is not None and running > threads:
        warnings.warn(
            f"JAX's CPU backend was already running with {running} threads before steepest set it up; vectorised "
            f"training can deadlock with more than one. Call steepest.configure_platform() before anything that uses "
            f"JAX, or set NPROC=1 in the environment.",
            RuntimeWarning,
            stacklevel=2,
        )


_put = lru_cache.LRUCache.put


def _put_whole(cache: lru_cache.LRUCache, key: str, value: bytes) -> None:
    """Put a compiled program into the cache, in one piece or not at all: a program can always be compiled again.

    JAX writes in place. On a full disk that leaves half an entry, which is never replaced, and warned of ever after.
    """
    if cache.eviction_enabled:  # which keeps accounts of its own
        _put(cache, key, value)
        return
    entry = pathlib.Path(str(cache.path)) / f"{key}-cache"
    temporary = entry.with_name(f"{entry.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(value)
        temporary.replace(entry)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def enable_compilation_cache() -> None:
    """Keep compiled programs in the user's cache directory, unless told otherwise or configured already."""
    where = os.environ.get(CACHE, "")
    if where.lower() in ("off", "0", "no") or jax.config.values["jax_compilation_cache_dir"]:
        return
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    directory = pathlib.Path(where) if where else pathlib.Path(home) / "steepest" / "compiled"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a read-only home must not stop anyone from training
        print(f"steepest: no compilation cache ({error}); set {CACHE} to a writable directory", file=sys.stderr)
        return
    lru_cache.LRUCache.put = _put_whole  # pyright: ignore[reportAttributeAccessIssue]  its argument is called self
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def check_platforms() -> None:
    """See that JAX starts where it is told to. **Raises** `InputError` where it does not, with what it says."""
    asked = jax.config.values["jax_platforms"]
    if not asked or asked == "cpu":
        return
    try:
        jax.devices()
    except Exception as error:  # of any kind: JAX asserts, too
        said = next(iter(str(error).splitlines()), "").partition(" (set JAX_PLATFORMS")[0].rstrip(".")
        raise InputError(
            f"JAX_PLATFORMS is {asked!r}, and JAX does not start there: {said or f'there is no {asked} here'}. "
            "Leave it out, or set cpu."
        ) from error


@functools.cache
def configure_platform() -> None:
    """Set up XLA as steepest needs it: the threads of its CPU client, and the compilation cache. Once is enough.

    **Raises** `InputError` where `JAX_PLATFORMS` names what this machine does not have.
    """
    guard_cpu()
    check_platforms()
    enable_compilation_cache()
