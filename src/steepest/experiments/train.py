"""From a name and an environment to a trained policy: what `steepest.train` and the command line both call."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from steepest.core.errors import EndsTraining
from steepest.core.interrupts import Stop, end_if_asked, interruptible
from steepest.envs.tasks import EnvironmentLike
from steepest.experiments.building import build_algorithm, newest_states
from steepest.experiments.configuration import (
    OWN,
    seed_range,
)
from steepest.experiments.evaluating import cut_at
from steepest.experiments.extending import extend
from steepest.experiments.keeping import cut_back, draw_curve, says_how_to_go_on, write_beginning, write_evaluation
from steepest.experiments.loop import Outcome, train_seeds
from steepest.experiments.own import AlgorithmLike
from steepest.experiments.preparing import Experiment, check_cluster, prepare, reopen
from steepest.experiments.processes import run_workers
from steepest.experiments.progress import ProgressDisplay
from steepest.experiments.recording import DemonstrationsLike
from steepest.experiments.results import TrainResult, summarise, with_result
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import (
    AbstractListener,
    EvaluationsInMemory,
    Listeners,
    MetricsTable,
    Row,
    RowsInMemory,
    RunDescription,
)
from steepest.runs.loggers import again, named


def train(
    algorithm: AlgorithmLike,
    env: EnvironmentLike,
    *,
    total_steps: int = 100_000,
    seed: int = 0,
    seeds: int = 1,
    backend: str = "auto",
    preset: bool = True,
    action_low: float | None = None,
    action_high: float | None = None,
    run_dir: str | pathlib.Path | None = None,
    max_episode_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    action_masks: bool | None = None,
    frame_stack: int = 1,
    evaluation_episodes: int = 100,
    evaluation_every: int = 0,
    evaluation_steps: int | None = None,
    checkpoint_seconds: float = 10.0,
    keep_every: int = 0,
    demonstrations: DemonstrationsLike | None = None,
    demonstration_episodes: int = 20,
    stochastic_demonstrations: bool = False,
    progress: bool = False,
    log: Sequence[str] = (),
    listeners: Sequence[AbstractListener] = (),
    **hyper: Any,
) -> TrainResult:
    """Train a policy, and return it with all that was measured on the way.

    **Arguments**

    - `algorithm`: a name, as in `steepest list algorithms`; hyper-parameters such as `steepest.PPO(epochs=4)`; an
      algorithm that is built already, such as `dataclasses.replace(PPO().for_env(env, updates=50), advantage=…)`, whose
      schedules end with `total_steps`; or a function from a `steepest.Spec` to an algorithm.
    - `env`: an id; a compiled environment; or a function that makes a Gymnasium environment.
    - `total_steps`: environment steps for each seed, or demonstrated transitions to learn from; rounded up to a whole
      update.
    - `seed`, `seeds`: the first seed, and how many. On a compiled environment they train side by side.
    - `backend`: who runs the environment: `auto`, `compiled`, `envpool` or `gymnasium`.
    - `preset`: where the algorithm is a name, start from what was tuned for this environment, if anything was.
    - `action_low`, `action_high`: bounds for a continuous action space that has none.
    - `max_episode_steps`: a time limit in place of the environment's own. Where the environment is a function, its own
      stays where it is shorter.
    - `env_kwargs`: what an environment that is given by its id is made with, such as `{"is_slippery": False}`.
    - `action_masks`: whether actions that the environment rules out are never taken; None does so where whoever runs it
      says which they are, True also looks for somebody who does, and False takes no notice.
    - `frame_stack`: how many frames of its episode an observation holds.
    - `run_dir`: a directory that does not exist, or is empty, to keep the run in; nothing is written when left out.
    - `evaluation_episodes`: played by each seed's last policy, without noise; 0 for none.
    - `evaluation_every`: steps between two evaluations on the way, each of `evaluation_episodes`; 0 for none. Their
      means are the metric `evaluated_return`.
    - `evaluation_steps`: where an episode of an evaluation is cut. When left out, at the time limit, and after 1,000
      steps where there is none. How many were cut is told.
    - `checkpoint_seconds`: time between two checkpoints, of which the newest two stay.
    - `keep_every`: steps between two checkpoints that stay for good, the first of them before any training; 0 for
      none. `steepest.record(…, through_training=True)` plays them one after the other.
    - `demonstrations`: for an algorithm that learns from them, and for no other: a run directory, a file that ends in
      .npz or .safetensors, `minari:` and the id of a data set, `steepest.Demonstrations`, or arrays `(obs, action)`.
    - `demonstration_episodes`, `stochastic_demonstrations`: where they are a run, how many episodes its policy plays,
      and whether it draws its actions.
    - `progress`: show how it goes.
    - `log`: where the numbers go besides, in the run directory: `tensorboard`, `wandb`.
    - `listeners`: hear of rows of metrics, evaluations and checkpoints; see `steepest.AbstractListener`. A
      `steepest.WandB(project=…)` among them logs as `log` does, with more to say.
    - `hyper`: the algorithm's own hyper-parameters, where it is given by name; of a function, `num_envs` (8).

    **Raises** `InputError` for anything that cannot work, before training starts; `NonFiniteError` when a number stops
    being one; `EnvironmentFault` when an environment misbehaves. The last two have the `result` so far.

    **Example**

    >>> result = train("ppo", "CartPole-v1", total_steps=2048, evaluation_episodes=4)
    >>> int(result.policy([0.0, 0.0, 0.1, 0.0])) in (0, 1)
    True
    """
    listeners = named(log, listeners)
    experiment = prepare(
        algorithm,
        env,
        total_steps=total_steps,
        seeds=seed_range(seed, seeds),
        backend=backend,
        preset=preset,
        action_bounds=(action_low, action_high),
        run=None if run_dir is None else RunDirectory.fresh(run_dir, ""),
        evaluation_episodes=evaluation_episodes,
        evaluation_every=evaluation_every,
        evaluation_steps=evaluation_steps,
        max_episode_steps=max_episode_steps,
        env_kwargs=env_kwargs,
        action_masks=action_masks,
        frame_stack=frame_stack,
        checkpoint_seconds=checkpoint_seconds,
        keep_every=keep_every,
        demonstrations=demonstrations,
        demonstration_episodes=demonstration_episodes,
        stochastic_demonstrations=stochastic_demonstrations,
        hyper=hyper,
    )
    return execute(experiment, show=progress, listeners=listeners)


def resume(
    run: str | pathlib.Path,
    *,
    algorithm: AlgorithmLike | None = None,
    env: EnvironmentLike | None = None,
    total_steps: int | None = None,
    restart_schedules: bool = False,
    progress: bool = False,
    log: Sequence[str] | None = None,
    listeners: Sequence[AbstractListener] = (),
) -> TrainResult:
    """Go on with a run from its newest checkpoints, and return what `train` returns.

    On a compiled environment the resumed run is the uninterrupted one, bit for bit.

    **Arguments**

    - `run`: a run directory.
    - `algorithm`, `env`: as they were given to `steepest.train`, where the algorithm is your own, or the environment
      is none that an id names.
    - `total_steps`: make it longer than it was to be: environment steps for each seed, those before included.
    - `restart_schedules`: where learning rates or other numbers change over the run, begin them anew for the steps
      that are added. Without it such a run cannot be made longer.
    - `log`: as for `train`; where the run logged before when left out, and nowhere if it is empty.
    - `progress`, `listeners`: as for `train`.

    Where a newest checkpoint is damaged, the one before it is taken, and a `RuntimeWarning` says so.

    **Raises** `InputError` when it is not a run, no checkpoint of a seed is whole, the algorithm is another one, or the
    run cannot be made longer.
    """
    experiment = reopen(run, algorithm=algorithm, env=env, total_steps=total_steps, restart_schedules=restart_schedules)
    listeners = again(RunDirectory(run), listeners) if log is None else named(log, listeners)
    return execute(experiment, show=progress, listeners=listeners)


def execute(
    experiment: Experiment, *, show: bool, listeners: Sequence[AbstractListener] = (), stop: Stop | None = None
) -> TrainResult:
    """Train, from the newest checkpoints where there are any; then evaluate, and draw the learning curve.

    Ctrl-C ends it in an orderly way: what was learnt is saved, and the result says `finished=False`. So do SIGTERM and
    SIGHUP, which schedulers send; after them the program ends too, unless it handles them itself.

    **Arguments**

    - `stop`: what asks it to end, where that is no signal.
    """
    parameters, task, run = experiment.parameters, experiment.task, experiment.run
    check_cluster(experiment.config, parameters)
    outcomes: dict[int, Outcome] = {}
    evaluations, memory, fault = EvaluationsInMemory(), RowsInMemory(), None
    with contextlib.ExitStack() as held:
        config, started = experiment.config, 0.0
        if run is not None:
            held.enter_context(says_how_to_go_on(run))
            held.enter_context(run.held())
            if run.new:
                write_beginning(run, config, experiment.demonstrations)
            started = cut_back(run, config, task, parameters)
            if experiment.extended is not None:
                config = extend(config, task, run, parameters, experiment.extended)
        display = held.enter_context(ProgressDisplay(config, show=show))
        stop = held.enter_context(interruptible()) if stop is None else stop
        if run is not None:
            display.say(f"{'kept in' if run.new else 'going on with'} {run.path}")
        table = memory if run is None else MetricsTable(run.metrics)
        listener = Listeners([table, evaluations, display], listeners)
        held.callback(listener.close)
        listener.begin(RunDescription(json.loads(config.dump()), run))
        # Asynchronous workers are processes already, so their seeds take turns.
        together = task.importable and config.algorithm != OWN and not parameters.asynchronous
        finished = False
        try:
            if run is not None and together and len(config.seeds_per_process) > 1:
                finished = run_workers(config, run, listener=listener, stop=stop, started=started)
            else:
                for group in config.seeds_per_process:
                    if stop():
                        break
                    try:
                        outcomes |= train_seeds(
                            config,
                            task,
                            group,
                            run,
                            listener=listener,
                            stop=stop,
                            started=started,
                            parameters=parameters,
                            demonstrations=experiment.demonstrations,
                        )
                    except EndsTraining as error:  # the other groups are trained none the less
                        outcomes |= {seed: Outcome(agent, finished=False) for seed, agent in error.agents.items()}
                        fault = fault or error
                        listener.notice(group[0], str(error))
                finished = len(outcomes) == len(config.seeds) and all(each.finished for each in outcomes.values())
        except EndsTraining as error:
            fault = error
        experiment = dataclasses.replace(experiment, config=config, extended=None)
        result = _result(experiment, outcomes, evaluations, memory.kept, finished)
        if run is not None and result.metrics and run.curve.exists():
            listener.picture(run.curve)
    if fault is not None:
        raise with_result(fault, result)
    end_if_asked(stop)
    return result


def _result(
    experiment: Experiment,
    outcomes: dict[int, Outcome],
    evaluations: EvaluationsInMemory,
    rows: list[Row],
    finished: bool,
) -> TrainResult:
    config, task, run, parameters = experiment.config, experiment.task, experiment.run, experiment.parameters
    evaluation = None
    # An evaluation on the way is none of the last policy.
    last = {seed: each for seed, each in evaluations.returns.items() if evaluations.steps[seed] >= config.total_steps}
    if finished and len(last) == len(config.seeds):
        limit = cut_at(task, config.evaluation_steps)
        evaluation = summarise(config, last, {seed: evaluations.cut[seed] for seed in last}, limit)
    agents = {seed: outcome.agent for seed, outcome in outcomes.items()}
    if run is None:
        columns = metrics.from_rows(rows)
    else:
        columns = metrics.read(run.metrics) if run.metrics.exists() else {}
        # Those that trained in other processes, and have come so far
        missing = [seed for seed in config.seeds if seed not in agents]
        agents |= {
            seed: each.tree.agent for seed, each in newest_states(config, task, run, parameters, missing).items()
        }
        if evaluation is not None:
            write_evaluation(run, evaluation)
        if columns:
            draw_curve(run, config, columns)
    return TrainResult(
        config=config,
        algorithm=build_algorithm(config, task, parameters),
        agents=agents,
        metrics=columns,
        evaluation=evaluation,
        run_directory=None if run is None else run.path,
        finished=finished,
    )
