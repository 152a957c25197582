"""Wrong input of the command line and of Python: refused in one line, and nothing is left behind."""

import contextlib
import io
import warnings

import numpy as np

import steepest
from reliability.trial import Seen, Setting, Trial
from steepest.cli.main import main
from steepest.core.errors import EnvironmentFault, InputError

TRAIN = "train ppo --env CartPole-v1 --run-dir made "
COMMANDS = [
    "nonsense", "tran", "--nonsense", "train nonsense --env CartPole-v1", "train PPO2 --env CartPole-v1", "train ppo",
    "train ppo --env", "train ppo --env Cartpole-v9", "train ppo --env ''", "train ppo --env nowhere:X-v0",
    "train ppo --env ../../etc/passwd", "train ppo --env CartPole-v1 extra", "train ddpg --env CartPole-v1",
    "train reinforce --env CliffWalking-v1", "train behaviour_cloning --env CartPole-v1",
    "train behaviour_cloning --env CartPole-v1 --demonstrations nowhere",
    "train behaviour_cloning --env CartPole-v1 --demonstrations nowhere.npz",
    "train behaviour_cloning --env CartPole-v1 --demonstrations minari:nowhere/x-v0",
    "train behaviour_cloning --env CartPole-v1 --demonstrations text.npz",
    "train behaviour_cloning --env CartPole-v1 --demonstrations text.safetensors",
    "train off_policy_actor_critic --env CartPole-v1 --behaviour nowhere",
    "train a3c --env CartPole-v1 --ray-address nowhere", "train a3c --env CartPole-v1 --workers 0",
    *(TRAIN + words for words in (
        "--total-steps 0", "--total-steps -5", "--total-steps 1.5", "--total-steps ten", "--total-steps nan",
        "--total-steps 1e300", "--total-steps", "--seeds 0", "--seeds 1e3", "--seeds 1000000000000", "--seed -1",
        "--seed 99999999999", "--num-envs 0", "--num-envs -1", "--num-envs 1000000000000", "--num-envs 1.5",
        "--segment-length 0", "--segment-length 100000000000", "--learning-rate -1", "--learning-rate nan",
        "--learning-rate inf", "--learning-rate fast", "--discount 1.5", "--discount -0.1", "--discount nan",
        "--gae-lambda 2", "--clip-radius 0", "--clip-radius -1", "--epochs 0", "--epochs 1000000000000",
        "--minibatches 0", "--minibatches 7", "--hidden 0", "--hidden -4", "--hidden 1000000000000", "--hidden x",
        "--evaluation-episodes -1", "--evaluation-episodes 1000000000000", "--evaluation-every -1",
        "--evaluation-every 100 --evaluation-episodes 0", "--evaluation-steps 0", "--max-episode-steps 0",
        "--max-episode-steps -3", "--checkpoint-seconds -1", "--checkpoint-seconds nan", "--checkpoint-seconds inf",
        "--backend nonsense", "--backend envpol", "--env-kwargs nonsense", "--env-kwargs [1]",
        "--env-kwargs {\"nonsense\":1}", "--action-low 1", "--action-low nan", "--action-high -1e999", "--nonsense 3",
        "--learning-rat 0.1", "--anneal maybe", "--demonstrations x", "--run-dir text.npz", "--run-dir full",
        "--run-dir text.npz/run",
    )),
    "evaluate", "evaluate nowhere", "evaluate full", "evaluate text.npz", "evaluate nowhere --episodes 0",
    "evaluate nowhere --episodes 1000000000000", "evaluate nowhere --episodes x", "resume", "resume nowhere",
    "resume full", "resume text.npz", "resume nowhere --total-steps 0", "plot", "plot nowhere", "plot full text.npz",
    "demonstrate nowhere", "demonstrate nowhere --out x.txt", "demonstrate nowhere --out x.npz",
    "list", "list nonsense", "gradients --env nowhere", "gradients --env CartPole-v1 --episodes 0",
    "gradients --env CartPole-v1 --estimators nonsense", "gradients --env CartPole-v1 --discount 2",
    "gradients --policy nowhere", "theorems --only T99", "theorems --instances 0", "theorems --seed -1",
]  # fmt: skip


def _train(*arguments, **options):
    given = {"run_dir": "made", "total_steps": 64, "evaluation_episodes": 0} | options
    algorithm, env = arguments or ("ppo", "CartPole-v1")
    return lambda: steepest.train(algorithm, env, **given)


CALLS = {
    "no algorithm": _train("nonsense", "CartPole-v1"), "no environment": _train("ppo", "nonsense"),
    "a number for an algorithm": _train(3, "CartPole-v1"), "a number for an environment": _train("ppo", 3),
    "None for an environment": _train("ppo", None), "a class": _train("ppo", dict),
    "a function of nothing": _train("ppo", lambda: None), "steps as a text": _train(total_steps="many"),
    "steps as None": _train(total_steps=None), "half a step": _train(total_steps=0.5),
    "steps as NaN": _train(total_steps=float("nan")), "steps as an array": _train(total_steps=np.arange(3)),
    "no seeds": _train(seeds=0), "seeds as a list": _train(seeds=[1, 2]), "a negative seed": _train(seed=-1),
    "a large seed": _train(seed=2**40), "an unknown hyper-parameter": _train(nonsense=3),
    "one nearly right": _train(learning_rates=0.1), "a rate as a text": _train(learning_rate="fast"),
    "a complex rate": _train(learning_rate=1j), "a NaN": _train(learning_rate=float("nan")),
    "an infinity": _train(learning_rate=float("inf")), "hidden as a text": _train(hidden="64"),
    "hidden as NaN": _train(hidden=(float("nan"),)), "hidden as None": _train(hidden=None),
    "hidden in hidden": _train(hidden=((4,),)), "anneal as a text": _train(anneal="False"),
    "environments as a text": _train(num_envs="4"), "environments as None": _train(num_envs=None),
    "many environments": _train(num_envs=10**15), "a backend": _train(backend="nonsense"),
    "bounds as a text": _train(action_low="low"), "episodes as a text": _train(evaluation_episodes="all"),
    "negative episodes": _train(evaluation_episodes=-1), "every as a text": _train(evaluation_every="now"),
    "a limit as a text": _train(max_episode_steps="short"), "kwargs as a list": _train(env_kwargs=[1]),
    "demonstrations for ppo": _train(demonstrations="x"), "preset as a text": _train(preset="no"),
    "a directory that is a file": _train(run_dir="text.npz"), "a full directory": _train(run_dir="full"),
    "cloning nothing": _train("behaviour_cloning", "CartPole-v1"),
    "cloning a number": _train("behaviour_cloning", "CartPole-v1", demonstrations=3),
    "cloning other shapes": _train("behaviour_cloning", "CartPole-v1", demonstrations=(np.zeros((4, 2)), np.zeros(4))),
    "cloning NaN": _train("behaviour_cloning", "CartPole-v1", demonstrations=(np.full((4, 4), np.nan), np.zeros(4))),
    "evaluate nothing": lambda: steepest.evaluate("nowhere"),
    "evaluate no episodes": lambda: steepest.evaluate("nowhere", episodes=0),
    "resume nothing": lambda: steepest.resume("nowhere"), "resume a file": lambda: steepest.resume("text.npz"),
    "demonstrate nothing": lambda: steepest.demonstrate("nowhere"),
    "PPO with a wrong field": lambda: steepest.PPO(discount=2.0),
    "DDPG on choices": _train("ddpg", "CartPole-v1"), "a Box without bounds": lambda: steepest.Box(1.0, -1.0, (2,)),
    "no choices": lambda: steepest.Discrete(0),
}  # fmt: skip


def run(given: Setting) -> Seen:
    """Each in this process, in a directory that has a file and a directory that is not empty."""
    (given.folder / "text.npz").write_text("text")
    (given.folder / "text.safetensors").write_text("text")
    (given.folder / "full").mkdir()
    (given.folder / "full" / "text").write_text("text")
    cases = [*COMMANDS, *CALLS]
    order = given.random.permutation(len(cases))[: given.count]
    before, faults, longest = _listing(given.folder), [], 0
    with contextlib.chdir(given.folder), warnings.catch_warnings():
        warnings.simplefilter("default")
        for done, index in enumerate(order, start=1):
            case = cases[index]
            said = _python(case) if case in CALLS else _command(case)
            longest = max(longest, len(said))
            if said.startswith("!") or said.strip().count("\n") or _listing(given.folder) != before:
                faults.append(f"{case}: {said[:300]!r}, left {_listing(given.folder) - before}")
            given.tell(done, case[:50])
    ways = f"{sum(cases[index] in CALLS for index in order)} of them from Python"
    return Seen(len(order), f"one line each, nothing left behind; {ways}", f"a line of {longest} characters", faults)


def _listing(folder):
    return {str(path) for path in folder.rglob("*")}


def _command(line):
    """What the command line said; an exclamation mark goes before what it should not have done."""
    import shlex

    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(shlex.split(line) if "{" not in line else line.split())
    except BaseException as error:
        return f"!{type(error).__name__}: {error}"
    said = err.getvalue()
    good = status == 2 and said.startswith("steepest: ") and said.endswith("\n") and not out.getvalue()
    return said if good else f"!status {status}: {said}{out.getvalue()}"


def _python(name):
    try:
        CALLS[name]()
    except (InputError, EnvironmentFault) as error:  # of what a function that makes environments returns
        return str(error)
    except Exception as error:
        if type(error).__name__ == "TypeCheckError":
            return "tests check the types of arguments before"
        return f"!{type(error).__name__}: {error}"
    return "!nothing was raised"


TRIAL = Trial("wrong input", count=166, few=40, run=run)
