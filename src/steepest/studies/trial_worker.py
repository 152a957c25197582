"""The process that trains the seeds of trials on a compiled environment, and keeps nothing but what they reach.

It is told by its standard input which, and reports by its standard output, both one JSON object a line: see
`steepest.experiments.processes.Worker`. Trials that differ in numbers only share one compiled program.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from steepest.core.errors import EndsTraining, InputError, out_of_memory
from steepest.experiments.worker import Report, reporting

if TYPE_CHECKING:
    from steepest.experiments.preparing import Experiment

Settings = Mapping[str, Any]
"""What is the same for all trials: `algorithm`, `env`, and the `options` of `steepest.train`."""
Asked = Mapping[str, Any]
"""A seed of a trial: `trial`, `seed` and `hyper`."""
ON_AN_ACCELERATOR = 32
"""Trainings side by side there. On a CPU they take turns, which share a program too: for PPO and 40,000 steps of
CartPole-v1, side by side took 0.42 s each where turns took 0.40 s, and 15 s to compile where turns took 8 s."""


def main() -> int:
    """Train what is asked for, until the standard input says that it is enough."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    stopping = threading.Event()

    def heard(line: str) -> None:
        if line == "stop":
            stopping.set()
            asked.put(None)
        else:
            asked.put(line)

    with reporting(heard) as report:
        import jax

        from steepest._platform import configure_platform

        configure_platform()
        lanes = settings.pop("lanes") or (1 if jax.default_backend() == "cpu" else ON_AN_ACCELERATOR)
        report({"event": "ready", "lanes": lanes})
        while (line := asked.get()) is not None:
            _train(settings, json.loads(line), lanes, report, stopping.is_set)
    return 0


def _train(settings: Settings, asked: Sequence[Asked], lanes: int, report: Report, stop: Callable[[], bool]) -> None:
    """Train some seeds of some trials, which share a program, and report how each ended."""
    try:
        reached = _side_by_side(settings, asked, lanes, stop) if lanes > 1 else [_alone(settings, asked[0], stop)]
    except (InputError, EndsTraining) as error:
        reached = [str(error)] * len(asked)
    except Exception as error:
        if not out_of_memory(error):
            raise
        reached = ["memory has run out. Search smaller networks, or fewer environments."] * len(asked)
    for each, found in zip(asked, reached, strict=True):
        value, reason = (None, found) if isinstance(found, str) else (found, "")
        report({"event": "ended", "trial": each["trial"], "seed": each["seed"], "value": value, "reason": reason})


def _alone(settings: Settings, asked: Asked, stop: Callable[[], bool]) -> float | None:
    """Mean return of a seed's last policy; None where it was stopped. **Raises** what `steepest.train` raises."""
    from steepest.experiments.loop import train_seeds
    from steepest.runs.listeners import EvaluationsInMemory

    experiment, evaluations = _prepared(settings, asked), EvaluationsInMemory()
    seed = asked["seed"]
    outcomes = train_seeds(
        experiment.config,
        experiment.task,
        (seed,),
        None,
        listener=evaluations,
        stop=stop,
        parameters=experiment.parameters,
        demonstrations=experiment.demonstrations,
    )
    if not outcomes[seed].finished or seed not in evaluations.returns:
        return None
    return float(evaluations.returns[seed].mean())


def _side_by_side(
    settings: Settings, asked: Sequence[Asked], lanes: int, stop: Callable[[], bool]
) -> list[float | str | None]:
    """Mean returns of the last policies, each a reason in words where its numbers were not finite, or None."""
    from steepest.experiments.building import build_algorithm
    from steepest.experiments.evaluating import evaluate_agent
    from steepest.studies.lanes import train_lanes

    found: list[float | str | None] = []
    experiments = [_prepared(settings, each) for each in asked]
    algorithms = [build_algorithm(each.config, each.task, each.parameters) for each in experiments]
    task, config = experiments[0].task, experiments[0].config
    assert task.env is not None
    seeds = [each["seed"] for each in asked]
    trained = train_lanes(algorithms, task.env, seeds, total_steps=config.total_steps, lanes=lanes, stop=stop)
    for algorithm, seed, (agent, finite) in zip(algorithms, seeds, trained or [(None, True)] * len(asked), strict=True):
        if not finite:
            found.append(f"a quantity of seed {seed} was not finite")
        elif agent is None:
            found.append(None)
        else:
            episodes, steps = config.evaluation_episodes, config.evaluation_steps
            played = evaluate_agent(algorithm, task, agent, seed, episodes=episodes, steps=steps, stop=stop)
            found.append(None if played is None else float(played.returns.mean()))
    return found


def _prepared(settings: Settings, asked: Asked) -> Experiment:
    from steepest.studies.planned import PlannedRun
    from steepest.studies.study_worker import prepared

    run = PlannedRun("", settings["algorithm"], settings["env"], asked["seed"], asked["hyper"], settings["options"])
    return prepared(run, None)


if __name__ == "__main__":
    sys.exit(main())
