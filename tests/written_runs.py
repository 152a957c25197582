"""Run directories as training would write them, without training."""

import dataclasses
import json

import numpy as np

from steepest.algorithms import ALGORITHMS
from steepest.experiments.configuration import RunConfiguration
from steepest.experiments.results import dump, summarise
from steepest.runs import metrics

STEPS = 20_000
UPDATES = 20


def configuration(algorithm="ppo", env="CartPole-v1", seeds=(0,), hyper=None, **changes):
    usual = {
        "preset": False,
        "library": "steepest",
        "action_bounds": (None, None),
        "total_steps": STEPS,
        "seeds": tuple(seeds),
        "seeds_per_process": (tuple(seeds),),
        "evaluation_episodes": 4,
        "versions": {"steepest": "0.1.0", "jax": "0.10.2", "python": "3.11"},
    }
    return RunConfiguration(
        algorithm=algorithm,
        hyper_parameters=dataclasses.asdict(ALGORITHMS[algorithm](**(hyper or {}))),
        env=env,
        backend="compiled",
        spaces={"observation": "Box", "action": "Discrete"},
        checkpoint_seconds=10.0,
        **usual | changes,
    )


def write_run(path, returns, *, until=1.0, evaluated=True, **options):
    """A run whose seeds end with these returns, by seed.

    - `until`: the share of the steps that was made.
    """
    config = configuration(seeds=tuple(returns), **options)
    path.mkdir(parents=True)
    (path / "config.json").write_bytes(config.dump())
    rows = []
    for seed, last in returns.items():
        for update in range(1, round(until * UPDATES) + 1):
            row = {"seed": seed, "update": update, "steps": update * config.total_steps // UPDATES}
            row |= {"wall_time": update / 4, "steps_per_second": 4000.0, "episodes": 10, "length": 5.0}
            rows.append(row | {"return": last * min(1.0, 2 * update / UPDATES)})
        manifest = {"seed": seed, "update": rows[-1]["update"], "steps": rows[-1]["steps"]}
        place = path / "checkpoints" / f"seed-{seed}"
        place.mkdir(parents=True)
        (place / f"{manifest['update']:09d}.json").write_text(json.dumps(manifest))
    metrics.append(path / "metrics.csv", rows)
    if evaluated and until >= 1:
        episodes = {seed: np.array([last - 1, last - 1, last + 1, last + 1.0]) for seed, last in returns.items()}
        found = summarise(config, episodes, dict.fromkeys(returns, 0), None)
        (path / "evaluation.json").write_text(dump(found))
    return path
