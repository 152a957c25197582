"""Training some seeds in this process: metrics, checkpoints, evaluation, and stopping in an orderly way."""

import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from steepest.algorithms import A3C, HyperParameters
from steepest.algorithms.bodies.actor_critic import ActorCritic
from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError, NonFiniteError
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.spaces import Spec
from steepest.core.types import PyTree
from steepest.envs.tasks import Task, resolve
from steepest.experiments.configuration import RunConfiguration
from steepest.runs import checkpoints, metrics
from steepest.runs import demonstration_files as files
from steepest.runs.directory import RunDirectory
from steepest.runs.metrics import EVALUATED
from steepest.sampling.demonstration_source import DemonstrationSource
from steepest.training import compiled, host
from steepest.training.asynchronous import AsynchronousTraining, Environments
from steepest.training.compiled import CompiledTraining
from steepest.training.driver import AbstractTraining, Row
from steepest.training.evaluation import evaluate_compiled, evaluate_host
from steepest.training.host import HostTraining

_BEAT = 0.5
"""Seconds between two looks at the clock, the progress display and the keyboard."""
_SAVING = 20
"""Training goes on for at least so many times as long as it took to save, as it does where a ring is large."""
_EVALUATION_ENVS = 16
_EVALUATION_KEY = 2**31 - 1
"""Folded into a seed's key, where updates are folded in otherwise: no run makes so many."""

Report = Callable[[dict[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one seed: its last agent, its rows, and whether it made all of its steps."""

    agent: PyTree
    rows: list[Row]
    finished: bool


def build_algorithm(config: RunConfiguration, task: Task, *, to_learn: bool = True) -> AbstractAlgorithm:
    """The algorithm for the task. **Raises** `InputError` where the two do not fit.

    **Arguments**

    - `to_learn`: no is enough for whoever only acts; then a run that acts for this one need not be there any more.
    """
    parameters = config.parameters()
    if not to_learn:
        parameters = parameters.for_evaluation()
    num_envs = parameters.num_streams(task.observation_space, task.action_space)
    per_update = parameters.steps_per_update or num_envs * (task.max_episode_steps or 1)
    spec = Spec(
        observation=task.observation_space,
        action=task.action_space,
        num_envs=num_envs,
        total_updates=math.ceil(config.total_steps / per_update),
        max_episode_steps=task.max_episode_steps,
    )
    algorithm = _built(parameters, spec)
    if algorithm.rollout.length is None and task.max_episode_steps is None:
        raise InputError(
            f"environment {task.id} has no time limit, so its episodes need not end, and {config.algorithm} learns "
            f"from whole episodes. Put it into gymnasium.wrappers.TimeLimit, or choose ppo or a2c."
        )
    jax.eval_shape(algorithm.init, jax.random.key(0))  # refuses spaces that the policy cannot have
    return algorithm


def _built(parameters: HyperParameters, spec: Spec) -> AbstractAlgorithm:
    """The algorithm, with the policy of another run where one acts for it."""
    if parameters.acting_run is None:
        return parameters.build(spec)
    try:
        run = RunDirectory.existing(parameters.acting_run)
        config = RunConfiguration.parse(run.read_config())
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


def task_of(config: RunConfiguration) -> Task:
    """The environment of a run that exists. **Raises** `InputError` when it has become another one."""
    task = resolve(config.env, config.backend, config.action_bounds)
    now = spaces(task)
    for role, text in config.spaces.items():
        if now[role] != text:
            raise InputError(
                f"environment {config.env}: its {role} space is now {now[role]}; the run was made with {text} "
                f"({config.library}). Install that version."
            )
    return task


def spaces(task: Task) -> dict[str, str]:
    """The spaces of a task, in words."""
    return {"observation": str(task.observation_space), "action": str(task.action_space)}


def train_seeds(
    config: RunConfiguration,
    task: Task,
    seeds: Iterable[int],
    run: RunDirectory | None,
    *,
    report: Report,
    stop: Callable[[], bool],
    started: float = 0.0,
    demonstrations: Demonstrations | None = None,
) -> dict[int, Outcome]:
    """Train seeds side by side, from their newest checkpoints where there are any.

    **Arguments**

    - `run`: where metrics and checkpoints go; None keeps everything in memory.
    - `report`: called with every event: `progress`, `evaluated`, `notice`.
    - `stop`: asked between updates; when it says yes, the state is saved and training ends early.
    - `started`: seconds of training that came before, for the `wall_time` of the metrics.
    - `demonstrations`: what to learn from, where it is not an environment; None takes those in the run directory.

    **Raises** `NonFiniteError`, once the parameters from before it are saved; and whatever an environment raises.
    """
    if config.demonstrations is not None and demonstrations is None:
        assert run is not None
        demonstrations = files.load(run.demonstrations, sha256=config.demonstrations["sha256"])
    training = _training(config, task, tuple(seeds), demonstrations, run, report)

    played: dict[int, tuple[int, np.ndarray]] = {}

    def evaluate(agents: dict[int, PyTree]) -> Iterator[tuple[int, np.ndarray]]:
        """Seeds and the returns of their agents, until it is interrupted; none plays twice after the same update."""
        for seed, agent in agents.items():
            update, episodes = int(training.states()[seed].update), config.evaluation_episodes
            if seed not in played or played[seed][0] != update:
                returns = evaluate_agent(training.algorithm, task, agent, seed, episodes=episodes, stop=stop)
                if returns is None:
                    return
                played[seed] = update, returns
            yield seed, played[seed][1]

    _tell_notices(config, training.seeds, report)
    try:
        if run is not None:
            _restore(training, config, run)
        kept = _loop(training, config, run, report, stop, started, evaluate)
        finished = training.finished
        agents = training.agents()
    finally:
        training.close()
    if finished and config.evaluation_episodes:
        for seed, returns in evaluate(agents):
            report({"event": "evaluated", "seed": seed, "returns": [float(each) for each in returns]})
    return {
        seed: Outcome(agents[seed], [row for row in kept if row["seed"] == seed], finished) for seed in training.seeds
    }


def _tell_notices(config: RunConfiguration, seeds: Iterable[int], report: Report) -> None:
    for text in config.parameters().notices(config.total_steps):
        for seed in seeds:
            report({"event": "notice", "seed": seed, "text": text})


def asynchronous(config: RunConfiguration) -> A3C | None:
    """The hyper-parameters, where gradients come from workers on Ray; else None."""
    parameters = config.parameters()
    return parameters if isinstance(parameters, A3C) else None


def _training(
    config: RunConfiguration,
    task: Task,
    seeds: tuple[int, ...],
    demonstrations: Demonstrations | None,
    run: RunDirectory | None,
    report: Report,
) -> AbstractTraining:
    algorithm, a3c = build_algorithm(config, task), asynchronous(config)
    if demonstrations is not None:
        source = DemonstrationSource.of(demonstrations, algorithm.spec, config.hyper_parameters["held_out"])
        return CompiledTraining(algorithm, source, seeds=seeds, total_steps=config.total_steps)
    if a3c is not None:
        (seed,) = seeds
        assert isinstance(algorithm, ActorCritic)
        return AsynchronousTraining(
            algorithm,
            functools.partial(open_in_worker, config.dump(), None if task.importable else task.source),
            workers=a3c.workers,
            seed=seed,
            total_steps=config.total_steps,
            address=a3c.ray_address,
            notice=lambda text: report({"event": "notice", "seed": seed, "text": text}),
        )
    if task.env is not None:
        return CompiledTraining(algorithm, task.env, seeds=seeds, total_steps=config.total_steps)
    (seed,) = seeds
    # The episodes of a run that goes on are new ones: those it began with would come a second time.
    newest = None if run is None else checkpoints.latest(run.checkpoints(seed))
    begun = 0 if newest is None else int(newest.stem)
    groups = task.groups(algorithm.spec.num_envs, seed, begun)
    return HostTraining(algorithm, groups, seed=seed, total_steps=config.total_steps)


def open_in_worker(content: bytes, source: Any) -> tuple[ActorCritic, Environments]:
    """What a worker of `AsynchronousTraining` needs, from a configuration as it is written.

    **Arguments**

    - `source`: the environment, where it cannot be found by its id; else None.
    """
    config = RunConfiguration.parse(json.loads(content))
    task = task_of(config) if source is None else resolve(source, action_bounds=config.action_bounds)
    algorithm = build_algorithm(config, task)
    assert isinstance(algorithm, ActorCritic)
    return algorithm, task.env or functools.partial(task.groups, algorithm.spec.num_envs)


def _loop(
    training: AbstractTraining,
    config: RunConfiguration,
    run: RunDirectory | None,
    report: Report,
    stop: Callable[[], bool],
    started: float,
    evaluate: Callable[[dict[int, PyTree]], Iterator[tuple[int, np.ndarray]]],
) -> list[Row]:
    kept: list[Row] = []
    begin = saved = time.monotonic()
    pause = config.checkpoint_seconds
    every = int(config.evaluation_every)
    while not training.finished:
        before, mark, fault = training.steps, time.monotonic(), None
        due = (before // every + 1) * every if every else None
        try:
            rows = training.advance(_BEAT, due)
        except NonFiniteError as error:
            rows, fault = error.rows, error
        now = time.monotonic()
        rate = (training.steps - before) * len(training.seeds) / (now - mark)
        rows = [row | {"wall_time": started + now - begin, "steps_per_second": rate} for row in rows]
        if due is not None:
            # A seed that is there before the others rests, and so has no rows until all are.
            there = {row["seed"] for row in rows if row["steps"] >= due} if fault is None else set()
            agents = {seed: agent for seed, agent in training.agents().items() if seed in there}
            rows = _with_evaluation(rows, dict(evaluate(agents)))
            begin += time.monotonic() - now  # playing is not training
        if run is None:
            kept.extend(rows)
        else:
            metrics.append(run.metrics, rows)
        for seed in dict.fromkeys(row["seed"] for row in rows):
            mine = [row for row in rows if row["seed"] == seed]
            report({"event": "progress", "seed": seed, **_progress(mine), "rate": rate})
        stopping = fault is not None or stop()
        if run is not None and (stopping or training.finished or now - saved >= pause):
            mark = time.monotonic()
            _save(training, config, run)
            saved = time.monotonic()
            pause = max(config.checkpoint_seconds, _SAVING * (saved - mark))
        if fault is not None:
            raise fault
        if stopping:
            break
    return kept


def _with_evaluation(rows: Sequence[Row], returns: Mapping[int, np.ndarray]) -> list[Row]:
    """The rows with one more column: after the last update of a seed, the mean of what its policy has now returned."""
    rows = [row | {EVALUATED: math.nan} for row in rows]
    last = {row["seed"]: row for row in rows}
    for seed, each in returns.items():
        last[seed][EVALUATED] = float(each.mean())
    return rows


def _progress(rows: list[Row]) -> dict[str, float]:
    """How far one seed is after these updates, and the mean return of the episodes that ended in them; NaN if none."""
    ended = [row for row in rows if row["episodes"]]
    episodes = sum(row["episodes"] for row in ended)
    mean = sum(row["return"] * row["episodes"] for row in ended) / episodes if episodes else math.nan
    return {"steps": rows[-1]["steps"], "return": mean, EVALUATED: rows[-1].get(EVALUATED, math.nan)}


def _save(training: AbstractTraining, config: RunConfiguration, run: RunDirectory) -> None:
    for seed, state in training.states().items():
        checkpoints.save(
            run.checkpoints(seed),
            state,
            seed=seed,
            update=int(state.update),
            steps=int(state.steps),
            fingerprint=config.fingerprint,
        )


def _restore(training: AbstractTraining, config: RunConfiguration, run: RunDirectory) -> None:
    states = training.states()
    found = {seed: checkpoints.latest(run.checkpoints(seed)) for seed in training.seeds}
    if not any(found.values()):
        return
    for seed, path in found.items():
        if path is not None:
            states[seed], _ = checkpoints.load(path, states[seed], fingerprint=config.fingerprint)
    training.restore(states)


def load_agent(config: RunConfiguration, task: Task, run: RunDirectory, seed: int) -> tuple[AbstractAlgorithm, PyTree]:
    """The agent of a seed's newest checkpoint. **Raises** `InputError` when there is none, or it is damaged."""
    algorithm, state = _load(config, task, run, seed)
    if state is None:
        raise InputError(f"{run.path}: seed {seed} has no checkpoint yet. Go on with it: steepest resume {run.path}")
    return algorithm, state.agent


def check_checkpoints(config: RunConfiguration, task: Task, run: RunDirectory) -> None:
    """**Raises** `InputError` when the newest checkpoint of a seed is damaged; a seed may have none."""
    for seed in config.seeds:
        _load(config, task, run, seed)


def _load(config: RunConfiguration, task: Task, run: RunDirectory, seed: int) -> tuple[AbstractAlgorithm, Any]:
    algorithm, path = build_algorithm(config, task, to_learn=False), checkpoints.latest(run.checkpoints(seed))
    if path is None:
        return algorithm, None
    world = task.env if config.demonstrations is None else DemonstrationSource.blank(algorithm.spec)
    if asynchronous(config) is not None:
        world = None  # the workers hold the environments, and the state does not
    begin = host.begin if world is None else functools.partial(compiled.begin, env=world)
    like = jax.eval_shape(lambda key: begin(algorithm, key=key), jax.random.key(seed))
    return algorithm, checkpoints.load(path, like, fingerprint=config.fingerprint)[0]


def evaluate_agent(
    algorithm: AbstractAlgorithm,
    task: Task,
    agent: PyTree,
    seed: int,
    *,
    episodes: int,
    stochastic: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> np.ndarray | None:
    """The undiscounted returns of `episodes` episodes, in environments that training has not seen.

    None where `stop`, which is asked between steps of environments on the host, said yes.
    """
    key = jax.random.fold_in(jax.random.key(seed), _EVALUATION_KEY)
    if task.env is not None:
        returns = evaluate_compiled(algorithm, task.env, agent, key, episodes=episodes, stochastic=stochastic)
        return np.asarray(returns)
    assert task.make is not None
    env = task.make(min(episodes, _EVALUATION_ENVS), (seed + 1) * 7919)
    try:
        return evaluate_host(algorithm, env, agent, key, episodes=episodes, stochastic=stochastic, stop=stop)
    finally:
        env.close()
