"""Reading flags into dataclasses with tyro, and turning its complaints into one line."""

import contextlib
import contextvars
import dataclasses
import io
import json
import math
import pathlib
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tyro

from steepest.core.errors import InputError, unknown

Arguments = TypeVar("Arguments")


def parse(
    kind: type[Arguments],
    words: Sequence[str],
    *,
    program: str,
    default: Any = None,
    elsewhere: Callable[[str], InputError | None] = lambda name: None,
) -> Arguments:
    """Read `words` into a `kind`. `--help` prints and exits.

    **Arguments**

    - `elsewhere`: what is wrong with an unknown flag, by the name of its field, where more can be said than that.

    **Raises** `InputError` for a flag that is unknown, with the nearest one, or a value that does not fit.
    """
    if _asking.get():
        raise Asked(kind)
    options = {} if default is None else {"default": default}
    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            found, rest = tyro.cli(kind, args=list(words), prog=program, return_unknown_args=True, **options)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(f"{_one_line(complaints.getvalue())} See {program} --help.") from None
    if rest:
        if rest[0].startswith("-"):
            flag = rest[0].split("=")[0]
            field = flag.lstrip("-").removeprefix("no-").replace("-", "_")
            raise elsewhere(field) or unknown("flag", flag, _flags(found), f"{program} --help")
        raise InputError(f"{program}: unexpected argument {rest[0]!r}. See {program} --help.")
    return found


class Asked(BaseException):
    """Where only the type of a command's arguments was asked for: what the command would read its words into."""

    def __init__(self, kind: type):
        super().__init__(kind)
        self.kind = kind


_asking = contextvars.ContextVar("asking", default=False)


def arguments_of(command: Callable[[Sequence[str]], int], words: Sequence[str]) -> type | None:
    """The dataclass that a command reads words into, which decides its flags; None where these words lead to none."""
    token = _asking.set(True)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            command(words)
    except Asked as asked:
        return asked.kind
    except (InputError, SystemExit):
        return None
    finally:
        _asking.reset(token)
    return None


def _one_line(box: str) -> str:
    """What a box of tyro's says, without the box, its title and its advice: three parts with rules between them."""
    parts: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│╭╮╰╯ ").strip()
        if text and set(text) <= {"─", "-"}:
            parts.append([])
        elif text and not line.startswith("╭"):
            parts[-1].append(text)
    # Where the output has no characters for boxes, the title is a part of its own, and not in the frame.
    words = parts[0] if "╭" in box or len(parts) == 1 else parts[1]
    said = re.sub(r"\s+", " ", " ".join(words)).strip().rstrip(".") + "."
    # What hyper-parameters say of themselves names the field already.
    return _plainly(said.removeprefix("Error parsing algorithm: "))


_KINDS = {"INT": "a whole number", "FLOAT": "a number"}
_WRONG_VALUES = (
    r"no type matching \{None\}\|(?P<kind>\w+) could be instantiated from \[(?P<value>.*?)\]\.",
    r"(?P<kind>invalid literal for int)\(\) with base 10: (?P<value>.*)\.$",
    r"(?P<kind>could not convert string to float): (?P<value>.*)\.$",
    r"Could not find valid parse for arguments: \[(?P<value>.*?)\]\.$",
)
"""What tyro says of values that do not fit, in Python's terms."""


def _plainly(said: str) -> str:
    """A complaint of tyro's without classes, functions and where they lie in memory.

    >>> _plainly("Error parsing --seeds: invalid literal for int() with base 10: 'x'.")
    "--seeds is 'x'; it must be a whole number."
    """
    flag, _, why = said.removeprefix("Error parsing ").partition(": ")
    if why.startswith("It must "):
        return f"{flag}: {why}"
    for each in _WRONG_VALUES if said.startswith("Error parsing --") else ():
        if found := re.match(each, why):
            parts = found.groupdict()
            word = parts.get("kind", "").split(" ")[-1].upper()
            own = re.search(r"\)\]: (It must be .*)", why)
            if own:  # what our own kinds of values say
                return f"{flag} is {parts['value']}. {own[1]}"
            must = f"it must be {_KINDS[word]}" if word in _KINDS else "that cannot be read as what it must be"
            return f"{flag} is {parts['value']}; {must}."
    return said


def _flags(found: Any) -> list[str]:
    flags = []
    for field in dataclasses.fields(found):
        value, annotation = getattr(found, field.name), str(field.type)
        renamed = re.search(r"name=[\"'](\w+)", annotation)
        if dataclasses.is_dataclass(value):
            flags += _flags(value)
        elif "Positional" not in annotation:
            flags.append(f"--{renamed[1] if renamed else field.name.replace('_', '-')}")
    return flags


def value_of(flag: str, words: Sequence[str]) -> str | None:
    """What a flag is given in `words`, before they are parsed; None when it is not."""
    for index, word in enumerate(words):
        if word == flag and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{flag}="):
            return word.split("=", 1)[1]
    return None


def wants_help(words: Sequence[str]) -> bool:
    """Whether help was asked for, or nothing at all."""
    return not words or words[0] in ("-h", "--help")


def program() -> str:
    """What to type in order to call this command line: its name, or its path where the shell does not find the name."""
    if shutil.which("steepest"):
        return "steepest"
    called = pathlib.Path(sys.argv[0])
    return "python -m steepest" if called.name == "__main__.py" else str(called)


def print_json(value: object) -> None:
    """Print one value as JSON, with null for a number that is not finite: JSON has none.

    >>> print_json({"worst": float("inf"), "seeds": (0, 1)})
    {"worst": null, "seeds": [0, 1]}
    """
    print(json.dumps(finite(value), allow_nan=False))


def finite(value: object) -> object:
    """What JSON can hold of a value: None stands for a number that is not finite."""
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def say(*text: str) -> None:
    """Tell a person something; the standard output is for results."""
    with contextlib.suppress(OSError):  # a log that cannot be written must not end what it is about
        print(*text, file=sys.stderr)
