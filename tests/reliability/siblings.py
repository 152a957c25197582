"""One of several seeds comes to a number that is not finite: the others go on, and the run says which it was."""

import jax
import numpy as np

import steepest
from reliability.environments import TROUBLED, Treacherous
from reliability.trial import Seen, Setting, Trial
from steepest.core.errors import NonFiniteError
from steepest.runs import metrics

STEPS = 400
SMALL = {"num_envs": 2, "segment_length": 4, "hidden": (4,), "evaluation_episodes": 2, "total_steps": STEPS}


def run(given: Setting) -> Seen:
    """By turns in one compiled program, and in processes of their own."""
    faults, diverged, others = [], 0, 0
    for index in range(given.count):
        together, first = index % 2 == 0, int(given.random.integers(10**6))
        path, heard, said = given.folder / f"run-{index}", Evaluated(), ""
        env, seeds = (Treacherous(), 4) if together else (TROUBLED, 2)
        kwargs = None if together else {"trouble": "diverging", "mark": str(given.folder / f"mark-{index}")}
        try:
            result = steepest.train(
                "a2c", env, seed=first, seeds=seeds, env_kwargs=kwargs, run_dir=path, listeners=[heard], **SMALL
            )
        except NonFiniteError as error:
            said, result = str(error), error.result
        table = metrics.read(path / "metrics.csv")
        ends = {seed: table["steps"][table["seed"] == seed].max(initial=0) for seed in range(first, first + seeds)}
        whole = {seed for seed, steps in ends.items() if steps >= STEPS}
        lost = set(ends) - whole
        told = {seed for seed in ends if f"of seed {seed};" in said}
        finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(_numbers(result.agents)))
        if not (finite and told <= lost and bool(told) == bool(lost) and whole == set(heard.steps)):
            faults.append(f"seeds {first} to {first + seeds - 1}: steps {ends}, evaluated {heard.steps}; {said}")
        if not together and len(whole) != 1:
            faults.append(f"seeds {first} and {first + 1} in processes: steps {ends}; {said}")
        diverged, others = diverged + len(lost), others + len(whole)
        given.tell(index + 1, f"{len(lost)} of {seeds} diverged")
    if not diverged or not others:
        faults.append("every seed diverged, or none")
    found = f"{diverged} seeds diverged; their {others} siblings made all of their steps and were evaluated"
    return Seen(given.count, found, f"{len(faults)} of {given.count} runs ended a sibling", faults)


def _numbers(agents):
    leaves = [leaf for leaf in jax.tree.leaves(agents) if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
    return [np.asarray(leaf) for leaf in leaves]


class Evaluated(steepest.AbstractListener):
    """Which seeds were evaluated, after how many steps."""

    def __init__(self):
        self.steps = {}

    def evaluation(self, seed, steps, returns):
        self.steps[seed] = steps


TRIAL = Trial("one of several seeds diverges", count=20, few=1, run=run)
