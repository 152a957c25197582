"""Hyper-parameters that were tuned for an environment, kept as data in `presets.toml`."""

import functools
import importlib.resources
import tomllib


@functools.cache
def _table() -> dict[str, dict[str, dict]]:
    return tomllib.loads((importlib.resources.files("steepest.algorithms") / "presets.toml").read_text("utf-8"))


def preset(algorithm: str, env: str) -> dict:
    """The tuned hyper-parameters of an algorithm for an environment id; empty when there are none."""
    found = _table().get(algorithm, {}).get(env, {})
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def preset_names() -> dict[str, list[str]]:
    """The environments that each algorithm has a preset for."""
    return {algorithm: sorted(table) for algorithm, table in _table().items()}
