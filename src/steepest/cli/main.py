"""From the words of a command line to what they mean, and from errors to one clear line.

Commands are imported when they are called: until then signals are not heard.
"""

import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import TextIO

import steepest
from steepest.core import interrupts
from steepest.core.errors import (
    EnvironmentFault,
    InputError,
    NonFiniteError,
    ProcessLost,
    StorageFault,
    out_of_memory,
    unknown,
)
from steepest.core.validation import shown

Command = Callable[[Sequence[str]], int]


def _of(module: str, name: str) -> Command:
    """A command, which is imported when it is called."""
    return lambda words: getattr(importlib.import_module(f"steepest.cli.{module}"), name)(words)


COMMANDS: dict[str, tuple[str, Command]] = {
    "train": ("train an algorithm on an environment", _of("commands", "train")),
    "evaluate": ("play episodes with the last policy of every seed", _of("commands", "evaluate")),
    "resume": ("go on with a run that was interrupted", _of("commands", "resume")),
    "demonstrate": ("write down what the policy of a run does, to learn from", _of("demonstrate", "demonstrate")),
    "log": ("write the numbers of a run for TensorBoard or Weights & Biases", _of("log", "log")),
    "export": ("write the policy of a run for NumPy, ONNX or StableHLO", _of("export", "export")),
    "plot": ("draw learning curves of one or more runs", _of("commands", "plot")),
    "sweep": ("make every run of a study: algorithms, environments, settings, seeds", _of("sweep", "sweep")),
    "record": ("record what the policy of a run does, as a GIF or a video", _of("record", "record")),
    "watch": ("watch the policy of a run at play, in a window", _of("record", "watch")),
    "compare": ("compare runs and studies: one page, with tables and pictures", _of("compare", "compare")),
    "tune": ("search for hyper-parameters, and judge them with fresh seeds", _of("tune", "tune")),
    "runs": ("list runs, with what they have reached and how they stand", _of("runs", "runs")),
    "info": ("tell everything about one run", _of("info", "info")),
    "gradients": ("compare estimators of the policy gradient: bias, noise and cost", _of("gradients", "gradients")),
    "theorems": ("check on exact answers what policy gradients rest on", _of("theorems", "theorems")),
    "completion": ("let the shell complete commands, flags and names", _of("completion", "completion")),
    "list": ("show the algorithms, estimators or environments there are", _of("commands", "show")),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0: done. 2: something given cannot be used, an environment misbehaves, a number is not finite, a file cannot be
    written, memory has run out, or a process was killed; one line on the standard error says what, and what to do.
    128 and the number of a signal, such as 130 for Ctrl-C: interrupted, and saved.

    As a program, that is without `arguments`, it hears signals; see `steepest.core.interrupts`.
    """
    if arguments is None:
        interrupts.listen()
    words = list(sys.argv[1:] if arguments is None else arguments)
    whole = "--traceback" in words
    words = [word for word in words if word != "--traceback"]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            status = _dispatch(words)
            sys.stdout.flush()
            return status
    except (InputError, EnvironmentFault, NonFiniteError, ProcessLost, StorageFault) as error:
        if whole:
            traceback.print_exception(error)
        print(f"steepest: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("steepest: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        _say_no_more(sys.stdout)
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            if error.filename is None:
                _say_no_more(sys.stdout)  # or Python would try again to write what it could not
            where = "the output" if error.filename is None else shown(error.filename)
            print(f"steepest: {where}: {error.strerror}. Give another place, or make room.", file=sys.stderr)
            return 2
        if not out_of_memory(error):
            raise
        print("steepest: memory has run out. Use fewer environments, or a smaller batch or network.", file=sys.stderr)
        return 2


def _say_no_more(stream: TextIO) -> None:
    """Let whatever else is written to a stream go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _show_warning(message: Warning | str, *_: object) -> None:
    """A warning as one line, without the place in the code that it comes from."""
    print(f"steepest: {' '.join(str(message).split())}", file=sys.stderr)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] == "--version":
        print(f"steepest {steepest.__version__}")
        return 0
    if words[0] not in COMMANDS:
        raise unknown("command", words[0], COMMANDS)
    return COMMANDS[words[0]][1](words[1:])


def _help() -> str:
    lines = ["usage: steepest COMMAND …   (steepest COMMAND --help says more)", "", "Policy gradients in JAX.", ""]
    lines += [f"  {name:<12}{meaning}" for name, (meaning, _) in COMMANDS.items()]
    lines += [
        "",
        "--traceback shows with an error where it was raised.",
        "",
        "For example:  steepest train ppo --env CartPole-v1 --seeds 4",
    ]
    return "\n".join(lines)
