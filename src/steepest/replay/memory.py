"""The memory that a replay ring needs, and the memory available."""

import pathlib

import jax

from steepest.core.errors import InputError
from steepest.core.spaces import Spec, unstacked, value_bytes

_SHARE = 0.8
"""The largest share of the free memory that a ring may take."""
_REWARD_AND_LOG_PROB = 8
_FLAGS = 2


def transition_bytes(spec: Spec, *, in_ring: bool = False) -> int:
    """The bytes of a transition: two observations, an action, two numbers and two flags.

    In a ring (`in_ring`), of the frames of an observation only the newest is kept.

    >>> from steepest.core.spaces import Box
    >>> transition_bytes(Spec(Box(-1, 1, (17,)), Box(-1, 1, (6,)), num_envs=1, total_updates=1))
    170
    """
    frames_once = in_ring and spec.frame_stack > 1
    observation = unstacked(spec.observation) if frames_once else spec.observation
    return 2 * value_bytes(observation) + value_bytes(spec.action) + _REWARD_AND_LOG_PROB + _FLAGS


def available_memory() -> int | None:
    """The free bytes of the device, or of the host for CPUs; None where they are unknown."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    found = [_free_in_machine(), _free_in_group()]
    return min((each for each in found if each is not None), default=None)


def check_memory(
    spec: Spec, count: int, *, field: str = "capacity", transitions: int = 1, in_ring: bool = False
) -> None:
    """**Raises** `InputError` where a replay memory does not fit, with the bytes needed and free.

    **Arguments**

    - `count`: the value of `field`, each unit of which holds `transitions` transitions.
    - `in_ring`: whether they are in a replay buffer.
    """
    free, each = available_memory(), transition_bytes(spec, in_ring=in_ring)
    if free is None or count * transitions * each <= _SHARE * free:
        return
    raise InputError(
        f"{field} is {count}; its transitions of {each} bytes need {count * transitions * each / 1e9:.3g} GB, and "
        f"{free / 1e9:.3g} GB are free. Use at most {int(_SHARE * free) // (transitions * each)}."
    )


def _free_in_machine() -> int | None:
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    (kilobytes,) = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kilobytes * 1024


def _free_in_group() -> int | None:
    """The free bytes of a cgroup with a memory limit."""
    group = pathlib.Path("/sys/fs/cgroup")
    try:
        limit, used = (group / "memory.max").read_text(), (group / "memory.current").read_text()
    except OSError:
        return None
    return int(limit) - int(used) if limit.strip().isdigit() else None
