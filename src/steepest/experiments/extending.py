"""Making a run longer: its configuration gets more steps, and remembers those it had."""

import dataclasses

import jax

from steepest.algorithms import HyperParameters
from steepest.core.errors import InputError
from steepest.core.files import write_atomically
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.schedules import AbstractSchedule
from steepest.core.validation import check_number
from steepest.envs.tasks import Task
from steepest.experiments.building import build_algorithm, each_newest_state
from steepest.experiments.configuration import OWN, RunConfiguration
from steepest.experiments.own import describe
from steepest.runs.directory import RunDirectory


def check_longer(
    config: RunConfiguration, task: Task, parameters: HyperParameters, total_steps: int, *, restart_schedules: bool
) -> None:
    """**Raises** `InputError` where a run cannot be made `total_steps` long, and says why."""
    check_number(
        "total_steps", total_steps, at_least=config.total_steps, at_most=2**31 - 1, whole=True, remedy="Give more."
    )
    scheduled = _has_schedules(build_algorithm(config, task, parameters, to_learn=False))
    if scheduled and not restart_schedules and total_steps > config.total_steps:
        raise InputError(
            f"total_steps is {total_steps}, but numbers of this run (anneal, or another schedule) change so that they "
            f"get where they should at {config.total_steps}. Give --restart-schedules to begin them anew for the steps "
            f"that are added, or train anew with more steps."
        )


def extend(
    config: RunConfiguration, task: Task, run: RunDirectory, parameters: HyperParameters, total_steps: int
) -> RunConfiguration:
    """Make a run longer whose directory is held. Where it has schedules, they begin anew at its newest checkpoints.

    Only the configuration is written, in one piece. Checkpoints stay as they are: whoever loads them finds there what
    they were made with.

    **Returns** the new configuration. **Raises** `InputError` where there is no checkpoint to go on from, or a replay
    buffer cannot grow any more; `StorageFault` where nothing can be written.
    """
    steps = [found.manifest.steps for _, found in each_newest_state(config, task, run, parameters, config.seeds)]
    scheduled = _has_schedules(build_algorithm(config, task, parameters, to_learn=False))
    begin = min(steps, default=0) if scheduled else config.schedules_begin
    longer = dataclasses.replace(
        config, total_steps=total_steps, schedules_begin=begin, earlier=(*config.earlier, config.extent)
    )
    if config.algorithm == OWN:
        recorded = {name: value for name, value in config.hyper_parameters.items() if name != "description"}
        longer = dataclasses.replace(longer, hyper_parameters=recorded)
        recorded["description"] = describe(build_algorithm(longer, task, parameters))
    for _ in each_newest_state(longer, task, run, parameters, config.seeds):
        pass  # refuses what cannot grow, while nothing is written
    write_atomically(run.config, longer.dump())
    return longer


def _has_schedules(algorithm: AbstractAlgorithm) -> bool:
    leaves = jax.tree.leaves(algorithm, is_leaf=lambda leaf: isinstance(leaf, AbstractSchedule))
    return any(isinstance(leaf, AbstractSchedule) for leaf in leaves)
