"""Hyper-parameters that were tuned for an environment, kept as data in `presets.toml`."""

import functools
import importlib.resources
import tomllib


@functools.cache
def _table() -> dict[str, dict[str, dict]]:
    return parse((importlib.resources.files("steepest.algorithms") / "presets.toml").read_text("utf-8"))


def parse(text: str) -> dict[str, dict[str, dict]]:
    """Hyper-parameters by algorithm and environment id, from a text like `presets.toml`.

    >>> parse('[ppo."CartPole-v1"]\\nhidden = [32, 32]')
    {'ppo': {'CartPole-v1': {'hidden': (32, 32)}}}
    """
    return {
        algorithm: {
            env: {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
            for env, found in table.items()
        }
        for algorithm, table in tomllib.loads(text).items()
    }


def preset(algorithm: str, env: str) -> dict:
    """The tuned hyper-parameters of an algorithm for an environment id; empty when there are none."""
    return dict(_table().get(algorithm, {}).get(env, {}))


def preset_names() -> dict[str, list[str]]:
    """The environments that each algorithm has a preset for."""
    return {algorithm: sorted(table) for algorithm, table in _table().items()}
