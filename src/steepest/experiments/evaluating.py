"""Evaluating the last policies of a run."""

import pathlib
from typing import Any

from steepest.core.validation import check_number
from steepest.experiments import session
from steepest.experiments.results import summarise
from steepest.experiments.train import reopen


def evaluate_run(path: str | pathlib.Path, *, episodes: int = 100, stochastic: bool = False) -> dict[str, Any]:
    """Play episodes with the newest checkpoint of every seed of a run; see `results.summarise` for what is returned.

    **Raises** `InputError` when it is not a run, a seed has no checkpoint, or a checkpoint is damaged.
    """
    check_number("episodes", episodes, at_least=1, whole=True, remedy="100 is usual.")
    experiment = reopen(path)
    config, task, run = experiment.config, experiment.task, experiment.run
    assert run is not None
    loaded = {seed: session.load_agent(config, task, run, seed) for seed in config.seeds}
    returns = {}
    for seed, (algorithm, agent) in loaded.items():
        found = session.evaluate_agent(algorithm, task, agent, seed, episodes=episodes, stochastic=stochastic)
        assert found is not None  # nobody stops it
        returns[seed] = found
    return summarise(config, returns)
