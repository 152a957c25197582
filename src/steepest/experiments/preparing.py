"""From arguments, or from a run directory, to an experiment that was checked and can start."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from steepest._platform import configure_platform
from steepest.algorithms import HyperParameters
from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.spaces import Masked
from steepest.core.validation import converted, whole_number
from steepest.envs.tasks import Bounds, EnvironmentLike, Task, resolve
from steepest.experiments.building import build_algorithm, spaces, task_of
from steepest.experiments.configuration import (
    OWN,
    RunConfiguration,
    check_episodes,
    check_names,
    hyper_parameters,
    read_configuration,
    tuned,
    versions,
)
from steepest.experiments.extending import check_longer
from steepest.experiments.own import AlgorithmLike, OwnAlgorithm, describe, own_parameters
from steepest.experiments.processes import share_out
from steepest.experiments.recording import Gathered, gather
from steepest.runs.directory import RunDirectory
from steepest.training import cluster


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment that was checked and can start: its configuration, its environment, and where it is kept.

    - `parameters`: of the algorithm.
    - `demonstrations`: what it learns from, if not from the environment; those of a run that exists lie there.
    - `extended`: the steps to which a run that exists is made longer.
    """

    config: RunConfiguration
    parameters: HyperParameters
    task: Task
    run: RunDirectory | None
    demonstrations: Demonstrations | None = None
    extended: int | None = None


def prepare(
    algorithm: AlgorithmLike,
    env: EnvironmentLike,
    *,
    total_steps: int,
    seeds: Sequence[int],
    backend: str = "auto",
    preset: bool = True,
    action_bounds: Bounds = (None, None),
    run: RunDirectory | None = None,
    evaluation_episodes: int = 100,
    evaluation_every: int = 0,
    evaluation_steps: int | None = None,
    max_episode_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    action_masks: bool | None = None,
    frame_stack: int = 1,
    checkpoint_seconds: float = 10.0,
    keep_every: int = 0,
    demonstrations: object = None,
    demonstration_episodes: int = 20,
    stochastic_demonstrations: bool = False,
    hyper: dict | None = None,
) -> Experiment:
    """Check everything that can be checked without training, and gather demonstrations. Nothing is written.

    **Raises** `InputError` for the first thing that cannot work.
    """
    total_steps = whole_number("total_steps", total_steps, at_least=1, at_most=2**31 - 1, remedy="100000, say.")
    evaluation_episodes = check_episodes("evaluation_episodes", evaluation_episodes, at_least=0)
    evaluation_every = whole_number("evaluation_every", evaluation_every, at_least=0, remedy="0 is never.")
    keep_every = whole_number("keep_every", keep_every, at_least=0, remedy="0 keeps the newest two alone.")
    checkpoint_seconds = converted("checkpoint_seconds", checkpoint_seconds, float, "10 is usual.")
    evaluation_steps = converted("evaluation_steps", evaluation_steps, int | None, "1000, say.")
    max_episode_steps = converted("max_episode_steps", max_episode_steps, int | None, "Leave it out for its own.")
    low, high = (
        converted(f"action_{name}", bound, float | None, "Give a number.")
        for name, bound in zip(("low", "high"), action_bounds, strict=True)
    )
    action_bounds = low, high
    converted("preset", preset, bool, "")
    configure_platform()
    hyper = hyper or {}
    if isinstance(algorithm, str):
        check_names(algorithm, hyper)
    elif isinstance(algorithm, HyperParameters) and hyper:
        raise InputError(f"{next(iter(hyper))}: the algorithm is given as an object; set it there.")
    frame_stack = whole_number("frame_stack", frame_stack, at_least=1, remedy="4 is usual for pictures.")
    task = resolve(
        env,
        backend,
        action_bounds,
        max_episode_steps=max_episode_steps,
        env_kwargs=env_kwargs,
        action_masks=converted("action_masks", action_masks, bool | None, "Leave it out."),
        frame_stack=frame_stack,
    )
    parameters = _parameters(algorithm, task, preset, hyper).with_absolute_paths()
    gathered = _gather(parameters, demonstrations, task, demonstration_episodes, stochastic_demonstrations)
    config = RunConfiguration(
        algorithm=parameters.name,
        hyper_parameters=_recorded(parameters),
        preset=preset,
        env=task.id,
        backend=task.backend,
        library=task.library,
        spaces=spaces(task),
        action_bounds=action_bounds,
        total_steps=total_steps,
        seeds=tuple(seeds),
        seeds_per_process=_groups(parameters, task, tuple(seeds), run),
        evaluation_episodes=evaluation_episodes,
        evaluation_every=evaluation_every,
        checkpoint_seconds=checkpoint_seconds,
        versions=versions(),
        demonstrations=None if gathered is None else gathered.describe(),
        importable=task.importable,
        max_episode_steps=max_episode_steps,
        env_kwargs=dict(env_kwargs or {}),
        action_masks=isinstance(task.observation_space, Masked),
        frame_stack=frame_stack,
        evaluation_steps=evaluation_steps,
        keep_every=keep_every,
    )
    algorithm = build_algorithm(config, task, parameters)
    if config.algorithm == OWN:
        config.hyper_parameters["description"] = describe(algorithm)
    check_cluster(config, parameters)
    return Experiment(config, parameters, task, run, None if gathered is None else gathered.demonstrations)


def _parameters(algorithm: AlgorithmLike, task: Task, preset: bool, hyper: dict) -> HyperParameters:
    """The hyper-parameters, whatever they are given as."""
    if isinstance(algorithm, HyperParameters):
        return algorithm
    if isinstance(algorithm, str):
        return tuned(algorithm, task.id, hyper) if preset else hyper_parameters(algorithm, hyper)
    if not callable(algorithm) and not isinstance(algorithm, AbstractAlgorithm):
        raise InputError(
            f"algorithm is a {type(algorithm).__name__}; it must be a name, hyper-parameters, an algorithm, or a "
            "function from a Spec to one."
        )
    unknown_names = [name for name in hyper if name != "num_envs"]
    if unknown_names:
        raise InputError(f"{unknown_names[0]}: the algorithm is your own; set it there.")
    return OwnAlgorithm.of(algorithm, task, hyper.get("num_envs"))


def _recorded(parameters: HyperParameters) -> dict:
    """What a configuration keeps of hyper-parameters; of the user's own algorithm it will be its description."""
    if isinstance(parameters, OwnAlgorithm):
        return dict(parameters.recorded)
    return dataclasses.asdict(parameters)


def check_cluster(config: RunConfiguration, parameters: HyperParameters) -> None:
    """**Raises** `InputError` where workers of an asynchronous algorithm cannot be reached."""
    if parameters.asynchronous:
        cluster.check(config.hyper_parameters["ray_address"])


def _gather(
    parameters: HyperParameters, demonstrations: object, task: Task, episodes: int, stochastic: bool
) -> Gathered | None:
    if not parameters.demonstrated:
        if demonstrations is not None:
            raise InputError(
                f"demonstrations are given, but {parameters.name} learns from what it does itself. Leave them out, or "
                f"choose behaviour_cloning."
            )
        return None
    if demonstrations is None:
        whose = "the algorithm" if isinstance(parameters, OwnAlgorithm) else parameters.name
        raise InputError(
            f"demonstrations are missing; {whose} learns from them. Give a run directory, a file, or arrays."
        )
    return gather(demonstrations, task, episodes=episodes, stochastic=stochastic)


def _groups(
    parameters: HyperParameters, task: Task, seeds: tuple[int, ...], run: RunDirectory | None
) -> tuple[tuple[int, ...], ...]:
    """Other processes can help only when they find the environment by its id and write to a run directory."""
    compiled = (task.env is not None and not parameters.asynchronous) or parameters.demonstrated
    alone = run is None or not task.importable or parameters.name == OWN
    return share_out(seeds, compiled=compiled, cpu=jax.default_backend() == "cpu" and not alone)


def reopen(
    path: str | pathlib.Path,
    *,
    algorithm: AlgorithmLike | None = None,
    env: EnvironmentLike | None = None,
    total_steps: object = None,
    restart_schedules: object = False,
) -> Experiment:
    """The experiment of a run directory. **Raises** `InputError` when it is not one.

    **Arguments** are those of `resume`.
    """
    configure_platform()
    run = RunDirectory.existing(path)
    config = read_configuration(run)
    task = task_of(config, env)
    parameters = own_parameters(config, algorithm, task)
    if total_steps is None and restart_schedules:
        raise InputError("restart_schedules is given without total_steps. Give the steps of the longer run.")
    extended = None
    if total_steps is not None:
        steps = check_longer(config, task, parameters, total_steps, restart_schedules=restart_schedules)
        extended = None if steps == config.total_steps else steps
    return Experiment(config, parameters, task, run, extended=extended)
