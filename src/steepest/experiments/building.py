"""From a configuration and a task to an algorithm, and from a checkpoint to its agent."""

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steepest.algorithms import HyperParameters
from steepest.core.errors import InputError
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.spaces import Spec
from steepest.core.types import PyTree
from steepest.envs.tasks import EnvironmentLike, Task, resolve
from steepest.experiments.configuration import OWN, RunConfiguration, read_configuration
from steepest.experiments.own import describe
from steepest.replay import ReplayBuffer, available_memory, check_memory
from steepest.runs import checkpoints
from steepest.runs.directory import RunDirectory
from steepest.sampling.demonstration_source import DemonstrationSource
from steepest.training import compiled, host


def build_algorithm(
    config: RunConfiguration, task: Task, parameters: HyperParameters | None = None, *, to_learn: bool = True
) -> AbstractAlgorithm:
    """The algorithm of a run, built for its task. **Raises** `InputError` where the two do not fit.

    **Arguments**

    - `parameters`: of the algorithm, where the configuration cannot tell them, since it is the user's own.
    - `to_learn`: no is enough for acting only; then a run that acts for this one need not be there any more.
    """
    parameters = config.parameters() if parameters is None else parameters
    if not to_learn:
        parameters = parameters.for_evaluation()
    num_envs = parameters.num_streams(task.observation_space, task.action_space)
    per_update = parameters.steps_per_update or num_envs * (task.max_episode_steps or 1)
    spec = Spec(
        observation=task.observation_space,
        action=task.action_space,
        num_envs=num_envs,
        total_updates=max(1, math.ceil((config.total_steps - config.schedules_begin) / per_update)),
        max_episode_steps=task.max_episode_steps,
        frame_stack=task.frame_stack,
    )
    algorithm = _built(parameters, spec)
    if algorithm.rollout.length is None and task.max_episode_steps is None:
        raise InputError(
            f"environment {task.id} has no time limit, so its episodes need not end, and {config.algorithm} learns "
            f"from whole episodes. Give one (max_episode_steps), or choose ppo or a2c."
        )
    _check_own(config, algorithm)
    if to_learn:
        _check_rows(config, task, algorithm)
    agent = jax.eval_shape(algorithm.init, jax.random.key(0))  # refuses spaces that the policy cannot have
    needed, free = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(agent)), available_memory()
    if free is not None and needed > free:
        raise InputError(
            f"{config.algorithm}: its arrays need {needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free. Make the "
            f"layers narrower (hidden), or keep less of what was played."
        )
    return algorithm


def _check_rows(config: RunConfiguration, task: Task, algorithm: AbstractAlgorithm) -> None:
    """**Raises** `InputError` where what is played side by side does not fit into memory."""
    if algorithm.rollout.length is not None:
        check_memory(algorithm.spec, algorithm.spec.num_envs, field="num_envs", transitions=algorithm.rollout.length)
    elif task.env is not None:  # on the host rows grow with what is played
        limit, streams = task.max_episode_steps or 0, algorithm.spec.num_envs
        check_memory(algorithm.spec, limit, field="max_episode_steps", transitions=streams)
    if task.env is not None and config.evaluation_episodes:
        check_memory(algorithm.spec, config.evaluation_episodes, field="evaluation_episodes")


def _check_own(config: RunConfiguration, algorithm: AbstractAlgorithm) -> None:
    """**Raises** `InputError` where the user's algorithm is not the one that the run was made with."""
    recorded = config.hyper_parameters.get("description")
    if config.algorithm != OWN or recorded is None:
        return
    now = describe(algorithm)
    if now != recorded:
        pairs = zip(f"{now}\n".splitlines(), f"{recorded}\n".splitlines(), strict=False)
        differs = next(((one.strip(), other.strip()) for one, other in pairs if one != other), ("its end", "another"))
        raise InputError(
            f"algorithm: it is not the one that the run was made with; {differs[0]!r} was {differs[1]!r}. Give that."
        )


def _built(parameters: HyperParameters, spec: Spec) -> AbstractAlgorithm:
    """The algorithm, with the policy of another run where one acts for it."""
    if parameters.acting_run is None:
        return parameters.build(spec)
    try:
        run = RunDirectory.existing(parameters.acting_run)
        config = read_configuration(run)
        task = task_of(config)
        actor, agent = load_agent(config, task, run, config.seeds[0])
    except InputError as error:
        raise InputError(f"behaviour is neither 'uniform' nor 'soft', and as a run it cannot act: {error}") from None
    if not config.parameters().stochastic:
        raise InputError(
            f"behaviour {run.path}: {config.algorithm} has one action for each state, and actions that it never takes "
            f"have no ratio. Give a run of a stochastic policy, or 'uniform'."
        )
    for role, theirs, ours in (
        ("observation", task.observation_space, spec.observation),
        ("action", task.action_space, spec.action),
    ):
        if theirs != ours:
            raise InputError(
                f"behaviour {run.path}: its {role} space is {theirs}, and here it is {ours}. "
                f"Give a run on the same spaces."
            )
    return parameters.build_with_actor(spec, actor, actor.for_evaluation(agent))


def task_of(config: RunConfiguration, env: EnvironmentLike | None = None) -> Task:
    """The environment of a run that exists.

    **Arguments**

    - `env`: the environment itself, where it is none that an id names.

    **Raises** `InputError` when there is none, or it has become another one.
    """
    try:
        task = resolve_again(config, config.env if env is None else env)
    except InputError as error:
        if env is not None or config.importable:
            raise
        raise InputError(
            f"environment {config.env}: it was given as an object, or registered by the program that began the run. "
            "Give it again, from Python: steepest.resume(run, env=…), steepest.evaluate(run, env=…)."
        ) from error
    if _without_module(task.id) != _without_module(config.env):
        raise InputError(f"environment {task.id}: the run was made on {config.env}. Give that.")
    now = spaces(task)
    for role, text in config.spaces.items():
        if now[role] != text:
            raise InputError(
                f"environment {config.env}: its {role} space is now {now[role]}; the run was made with {text} "
                f"({config.library}). Install that version."
            )
    return task


def resolve_again(config: RunConfiguration, source: EnvironmentLike) -> Task:
    """The task of a run from its environment, made as it was made for the run."""
    named = isinstance(source, str)
    return resolve(
        source,
        config.backend if named else "auto",
        config.action_bounds,
        max_episode_steps=config.max_episode_steps,
        env_kwargs=config.env_kwargs if named else None,
        action_masks=config.action_masks,
        frame_stack=config.frame_stack,
    )


def _without_module(name: str) -> str:
    """An id without the module that registers it."""
    return name.rpartition(":")[2]


def spaces(task: Task) -> dict[str, str]:
    """The spaces of a task, in words."""
    return {"observation": str(task.observation_space), "action": str(task.action_space)}


def load_agent(config: RunConfiguration, task: Task, run: RunDirectory, seed: int) -> tuple[AbstractAlgorithm, PyTree]:
    """The algorithm of a run, and the agent of one seed; see `load_agents`."""
    algorithm, agents = load_agents(config, task, run, config.parameters(), (seed,))
    return algorithm, agents[seed]


def load_agents(
    config: RunConfiguration,
    task: Task,
    run: RunDirectory,
    parameters: HyperParameters,
    seeds: Sequence[int] | None = None,
) -> tuple[AbstractAlgorithm, dict[int, PyTree]]:
    """The algorithm of a run, and the agents of the newest whole checkpoint of each seed.

    Where a newer one is damaged, a `RuntimeWarning` says so. **Raises** `InputError` where a seed has none.
    """
    chosen = config.seeds if seeds is None else seeds
    agents = {}
    for seed in chosen:
        found = newest_state(config, task, run, parameters, seed)
        for text in found.notices:
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        agents[seed] = found.tree.agent
    return build_algorithm(config, task, parameters, to_learn=False), agents


def newest_state(
    config: RunConfiguration, task: Task, run: RunDirectory, parameters: HyperParameters, seed: int
) -> checkpoints.Found:
    """The newest whole checkpoint of a seed. **Raises** `InputError` where there is none."""
    found = newest_states(config, task, run, parameters, (seed,))
    if seed not in found:
        raise InputError(f"{run.path}: seed {seed} has no checkpoint yet. Go on with it: steepest resume {run.path}")
    return found[seed]


def newest_states(
    config: RunConfiguration,
    task: Task,
    run: RunDirectory,
    parameters: HyperParameters,
    seeds: Sequence[int] | None = None,
) -> dict[int, checkpoints.Found]:
    """The newest whole checkpoint of each seed that has one; see `each_newest_state`."""
    return dict(each_newest_state(config, task, run, parameters, config.seeds if seeds is None else seeds))


def each_newest_state(
    config: RunConfiguration, task: Task, run: RunDirectory, parameters: HyperParameters, seeds: Sequence[int]
) -> Iterator[tuple[int, checkpoints.Found]]:
    """Seeds and their newest whole checkpoints, one after the other: a replay buffer may be large.

    One from before the run was made longer becomes what it would have been in a run of that length. Seeds without a
    checkpoint are left out.

    **Raises** `InputError` where none of a seed is whole.
    """
    versions = config.history()

    @functools.cache
    def like(index: int) -> PyTree:
        return _state_like(versions[index], task, parameters)

    for seed in seeds:
        if checkpoints.latest(run.checkpoints(seed)) is not None:
            index, found = _newest_of(versions, like, run, seed)
            restarts = versions[index].schedules_begin != config.schedules_begin
            yield seed, dataclasses.replace(found, tree=_extended(found.tree, like(0), restarts)) if index else found


def each_kept_state(
    config: RunConfiguration, task: Task, run: RunDirectory, parameters: HyperParameters, seed: int
) -> Iterator[checkpoints.Found]:
    """All checkpoints that are kept of a seed, the oldest first; damaged ones are left out.

    Each becomes what it would have been in a run of the length that this one has now.
    """
    versions = config.history()
    like = functools.cache(lambda index: _state_like(versions[index], task, parameters))
    for path in reversed(checkpoints.manifests(run.checkpoints(seed))):
        for index, version in enumerate(versions):
            try:
                tree, manifest = checkpoints.load(
                    path, like(index), fingerprint=version.fingerprint, seed=seed, known=_known(seed)
                )
            except checkpoints.OtherConfiguration:
                continue
            except InputError:
                break  # of which the newest says more, if it is that
            yield checkpoints.Found(_extended(tree, like(0), False) if index else tree, manifest, ())
            break


def _known(seed: int) -> dict[str, np.ndarray]:
    """What is in every checkpoint of a seed."""
    return {".key": np.asarray(jax.random.key_data(compiled.seed_keys(jax.random.key(seed))[2]))}


def _newest_of(
    versions: Sequence[RunConfiguration], like: Callable[[int], PyTree], run: RunDirectory, seed: int
) -> tuple[int, checkpoints.Found]:
    """The newest whole checkpoint of a seed, and which of the configurations of the run made it."""
    refused: list[checkpoints.OtherConfiguration] = []
    for index, version in enumerate(versions):
        try:
            found = checkpoints.newest(
                run.checkpoints(seed), like(index), fingerprint=version.fingerprint, seed=seed, known=_known(seed)
            )
        except checkpoints.OtherConfiguration as error:
            refused.append(error)
        else:
            assert found is not None  # there is one, whole or not
            return index, found
    raise refused[0]


def _state_like(config: RunConfiguration, task: Task, parameters: HyperParameters) -> PyTree:
    """The shapes of what is kept of a seed."""
    algorithm = build_algorithm(config, task, parameters, to_learn=False)
    world = task.env if config.demonstrations is None else DemonstrationSource.blank(algorithm.spec)
    if parameters.asynchronous:
        world = None  # the workers hold the environments, and the state does not
    begin = host.begin if world is None else functools.partial(compiled.begin, env=world)
    return jax.eval_shape(lambda key: begin(algorithm, key=key), jax.random.key(0))


def _extended(state: PyTree, like: PyTree, restarts: bool) -> PyTree:
    """The state of a run that was made longer: its replay buffer is as long as in `like`, and its schedules restart."""

    def is_ring(node: object) -> bool:
        return isinstance(node, ReplayBuffer)

    def grow(kept: PyTree, wanted: PyTree) -> PyTree:
        return kept.grown(wanted.length) if isinstance(kept, ReplayBuffer) else kept

    state = jax.tree.map(grow, state, like, is_leaf=is_ring)
    if restarts:
        state = eqx.tree_at(lambda each: each.agent.updates, state, jnp.zeros_like(state.agent.updates))
    return state
