"""The driver that trains some seeds of a run: compiled, on the host, or asynchronous."""

import functools
import json
from typing import cast

from steepest.algorithms import HyperParameters
from steepest.algorithms.bodies.actor_critic import ActorCritic
from steepest.core.demonstrations import Demonstrations
from steepest.envs.tasks import EnvironmentLike, Task
from steepest.experiments.building import build_algorithm, resolve_again, task_of
from steepest.experiments.configuration import RunConfiguration
from steepest.runs import checkpoints
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import AbstractListener
from steepest.sampling.demonstration_source import DemonstrationSource
from steepest.training.asynchronous import AsynchronousTraining, Environments
from steepest.training.compiled import CompiledTraining
from steepest.training.driver import AbstractTraining
from steepest.training.host import HostTraining


def open_training(
    config: RunConfiguration,
    task: Task,
    seeds: tuple[int, ...],
    parameters: HyperParameters,
    demonstrations: Demonstrations | None,
    run: RunDirectory | None,
    listener: AbstractListener,
) -> AbstractTraining:
    """What trains these seeds: one program for all of them where the environment is compiled, else a single one.

    **Arguments**

    - `listener`: hears of workers that were replaced.
    """
    algorithm = build_algorithm(config, task, parameters)
    if demonstrations is not None:
        source = DemonstrationSource.of(demonstrations, algorithm.spec, config.hyper_parameters["held_out"])
        return CompiledTraining(algorithm, source, seeds=seeds, total_steps=config.total_steps)
    if parameters.asynchronous:
        (seed,) = seeds
        return AsynchronousTraining(
            cast("ActorCritic", algorithm),  # `asynchronous` says that it is one
            functools.partial(open_in_worker, config.dump(), task.source_elsewhere),
            workers=config.hyper_parameters["workers"],
            seed=seed,
            total_steps=config.total_steps,
            address=config.hyper_parameters["ray_address"],
            notice=functools.partial(listener.notice, seed),
        )
    if task.env is not None:
        return CompiledTraining(algorithm, task.env, seeds=seeds, total_steps=config.total_steps)
    (seed,) = seeds
    # The episodes of a run that goes on are new ones: those it began with would come a second time.
    newest = None if run is None else checkpoints.latest(run.checkpoints(seed))
    begun = 0 if newest is None else int(newest.stem)
    groups = task.groups(algorithm.spec.num_envs, seed, begun)
    return HostTraining(algorithm, groups, seed=seed, total_steps=config.total_steps)


def open_in_worker(content: bytes, source: EnvironmentLike | None) -> tuple[ActorCritic, Environments]:
    """What a worker of `AsynchronousTraining` needs, from a configuration as it is written.

    **Arguments**

    - `source`: the environment, where it cannot be found by its id; else None.
    """
    config = RunConfiguration.parse(json.loads(content))
    task = task_of(config) if source is None else resolve_again(config, source)
    algorithm = cast("ActorCritic", build_algorithm(config, task))
    return algorithm, task.env or functools.partial(task.groups, algorithm.spec.num_envs)
