"""`steepest completion`: let a shell complete commands, algorithms, environments, flags and run directories.

The shell asks this program what may come next. So what it offers is what the installed version knows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Literal

import tyro

from steepest.algorithms import ALGORITHMS
from steepest.cli.arguments import arguments_of, parse, wants_help
from steepest.core.errors import StorageFault
from steepest.core.files import read_at_most, write_atomically
from steepest.diagnostics.catalogue import ESTIMATORS

_ASK = "--words"
"""The word by which a shell asks, and after which come the words of its line; it is no flag for people."""
_OF_AN_ALGORITHM = ("train", "tune")
"""Commands whose first word is an algorithm, which has flags of its own."""
_SCRIPTS = {
    "bash": """\
_steepest() {
  local candidates IFS=$'\\n'
  candidates=$("${COMP_WORDS[0]}" completion --words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1)
  COMPREPLY=($candidates)
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace
  return 0
}
complete -o bashdefault -o default -F _steepest steepest
""",
    "zsh": """\
#compdef steepest
_steepest() {
  local -a lines values descriptions
  lines=("${(@f)$("${words[1]}" completion --words "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  values=("${(@)lines%%$'\\t'*}")
  descriptions=("${(@)lines/$'\\t'/  -- }")
  if [[ -z "${lines[1]}" ]]; then
    _files
  elif [[ ${#values} -eq 1 && "${values[1]}" == */ ]]; then
    compadd -U -S '' -a values
  else
    compadd -U -l -d descriptions -a values
  fi
}
compdef _steepest steepest
""",
    "fish": """\
function __steepest
  set -l words (commandline -opc) (commandline -ct)
  $words[1] completion --words $words[2..-1] 2>/dev/null
end
function __steepest_none
  test -z (__steepest | string collect)
end
complete -c steepest -f -a '(__steepest)'
complete -c steepest -F -n __steepest_none
""",
}
Offer = tuple[str, str]
"""A word that may come next, and what it means."""


@dataclasses.dataclass(frozen=True)
class Completion:
    """Print what makes a shell complete commands, algorithms, environments, flags and run directories.

    For bash, put this line into ~/.bashrc: eval "$(steepest completion bash)". For zsh, into ~/.zshrc, after compinit:
    eval "$(steepest completion zsh)". For fish, into ~/.config/fish/config.fish: steepest completion fish | source
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """Which."""


def completion(words: Sequence[str]) -> int:
    """`steepest completion SHELL`, and what shells ask then."""
    if words and words[0] == _ASK:
        print("\n".join(f"{word}\t{meaning}" if meaning else word for word, meaning in offers(words[1:])))
        return 0
    given = parse(Completion, words, program="steepest completion")
    known_environments()  # so that it need not be found out while somebody waits for a key to answer
    print(_SCRIPTS[given.shell], end="")
    return 0


def offers(words: Sequence[str]) -> list[Offer]:
    """What the last of these words may become, given those before it; nothing where it may be any file.

    >>> offers(["tr"])
    [('train', 'train an algorithm on an environment')]
    >>> [word for word, _ in offers(["train", "ppo", "--backend", "c"])]
    ['compiled']
    """
    before, last = list(words[:-1]), words[-1] if words else ""
    return sorted({each for each in _candidates(before, last) if each[0].startswith(last)})


def _candidates(before: Sequence[str], last: str) -> Iterable[Offer]:
    from steepest.cli.main import COMMANDS

    if not before:
        return [(name, meaning) for name, (meaning, _) in COMMANDS.items()] + [("--help", ""), ("--version", "")]
    if before[0] not in COMMANDS:
        return []
    if before[0] in _OF_AN_ALGORITHM and len(before) == 1:
        return [(name, kind.title) for name, kind in ALGORITHMS.items()]
    kind = arguments_of(COMMANDS[before[0]][1], _parsable(before))
    return [] if kind is None else _of_command(flags(kind), before, last)


def _parsable(before: Sequence[str]) -> list[str]:
    """Words for which a command gets as far as its arguments: some want an environment first."""
    rest = list(before[1:])
    return rest if before[0] not in _OF_AN_ALGORITHM or wants_help(rest) else [rest[0], "--env", ""]


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag, or a positional argument, for which `name` is the field: what its values may be.

    - `choices`: words; `several`: whether more than one may follow.
    - `switch`: whether it takes no value. `path`: whether it is one.
    """

    name: str
    help: str
    choices: tuple[str, ...]
    positional: bool
    several: bool
    switch: bool
    path: bool


def flags(kind: type) -> Iterator[Flag]:
    """The flags and positional arguments of the dataclass that a command reads its words into."""
    for field, hint in typing.get_type_hints(kind, include_extras=True).items():
        inner, notes = _without_notes(hint)
        if dataclasses.is_dataclass(inner):
            yield from flags(typing.cast("type", inner))
        elif field in {each.name for each in dataclasses.fields(kind)}:
            yield _flag(field, inner, notes)


def _without_notes(hint: object) -> tuple[object, list[object]]:
    if typing.get_origin(hint) is Annotated:
        inner, *notes = typing.get_args(hint)
        return inner, notes
    return hint, []


def _flag(field: str, kind: object, notes: Sequence[object]) -> Flag:
    renamed = [name for note in notes if (name := getattr(note, "name", None)) and isinstance(name, str)]
    said = [text for note in notes if (text := getattr(note, "help", None))]
    choices, several, types_ = _described(kind)
    positional = any(note is tyro.conf.Positional or "POSITIONAL" in str(note).upper() for note in notes)
    name = field if positional else f"--{renamed[0] if renamed else field.replace('_', '-')}"
    return Flag(name, said[-1] if said else "", choices, positional, several, bool in types_, pathlib.Path in types_)


def _described(kind: object) -> tuple[tuple[str, ...], bool, set[object]]:
    """The choices of a type, whether it is several values, and the plain types in it."""
    kind, _ = _without_notes(kind)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return tuple(map(str, inner)), False, {str}
    if origin is tuple:
        choices, _, plain = _described(inner[0])
        return choices, True, plain
    if origin in (typing.Union, types.UnionType):
        parts = [_described(each) for each in inner if each is not type(None)]
        choices = tuple(choice for each in parts for choice in each[0])
        return choices, any(each[1] for each in parts), set().union(*(each[2] for each in parts))
    return (), False, {kind}


def _of_command(known: Iterable[Flag], before: Sequence[str], last: str) -> Iterable[Offer]:
    by_name = {each.name: each for each in known}
    index = max((place for place, word in enumerate(before) if word.startswith("--")), default=0)
    flag, given = by_name.get(before[index]), len(before) - 1 - index
    if last.startswith("-"):
        used = {word for word in before if word.startswith("--")}
        named = [each for each in by_name.values() if not each.positional and each.name not in used]
        return [*((each.name, each.help) for each in named), *_negated(named), ("--help", "")]
    if flag is not None and not flag.switch and (given == 0 or flag.several):
        return _values(flag, last)
    positional = [each for each in by_name.values() if each.positional]
    count = sum(not word.startswith("-") for word in before[1:index]) + (given if not index else 0)
    if not positional or (count >= len(positional) and not positional[-1].several):
        return []
    return _values(positional[min(count, len(positional) - 1)], last)


def _negated(named: Iterable[Flag]) -> Iterator[Offer]:
    for each in named:
        if each.switch:
            yield f"--no-{each.name[2:]}", ""


def _values(flag: Flag, last: str) -> Iterable[Offer]:
    if flag.choices:
        return [(each, "") for each in flag.choices]
    found = _VALUES.get(flag.name.lstrip("-").replace("-", "_"))
    if found is not None:
        return [(each, "") for each in found()]
    suffixes = _FILES.get(flag.name.lstrip("-"), ())
    if not (flag.path or suffixes) or flag.name.startswith("--out"):
        return []
    return [*_directories(last), *_files(last, suffixes)]


def _theorems() -> Iterable[str]:
    from steepest.theorems import THEOREMS

    return THEOREMS


_VALUES: dict[str, Callable[[], Iterable[str]]] = {
    "env": lambda: known_environments(),
    "estimators": lambda: ESTIMATORS,
    "only": _theorems,
}
"""By the name of a flag: the words that it may take."""
_FILES: dict[str, tuple[str, ...]] = {
    "study": (".toml",),
    "normalise": (".toml",),
    "demonstrations": (".npz", ".safetensors"),
    "video": (".gif", ".mp4"),
}
"""By the name of a flag: how the files end that it takes, which are offered beside directories."""


def _directories(last: str) -> Iterator[Offer]:
    """Directories that begin like this: runs and studies as they are, others with a slash, since more may follow."""
    for shown, each in _beside(last):
        if each.is_dir():
            whole = (each / "config.json").is_file() or (each / "study.toml").is_file()
            yield f"{shown}{'' if whole else '/'}", ""


def _files(last: str, suffixes: Sequence[str]) -> Iterator[Offer]:
    """Files that end like this, where the directory is that of the last word."""
    return ((shown, "") for shown, each in _beside(last) if each.suffix in suffixes and each.is_file())


def _beside(last: str) -> Iterator[tuple[str, pathlib.Path]]:
    """What is in the directory of the last word, as the word would say it; what is hidden only when asked for."""
    parent = pathlib.Path(os.path.expanduser(last if last.endswith("/") else os.path.dirname(last)) or ".")
    before, begun = last[: last.rfind("/") + 1], last[last.rfind("/") + 1 :]
    with contextlib.suppress(OSError):
        for each in parent.iterdir():
            if not each.name.startswith(".") or begun.startswith("."):
                yield f"{before}{each.name}", each


def known_environments() -> list[str]:
    """The ids of all environments. They are kept in the user's cache directory: asking EnvPool takes seconds."""
    versions = [_version(each) for each in ("steepest", "gymnasium", "envpool")]
    digest = hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16]
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    kept = pathlib.Path(home) / "steepest" / f"environments-{digest}.json"
    with contextlib.suppress(Exception):
        found = json.loads(read_at_most(kept, 2**24))
        if isinstance(found, list) and all(isinstance(each, str) for each in found):
            return found
    from steepest.envs.tasks import environment_ids

    found = sorted({each for ids in environment_ids().values() for each in ids})
    with contextlib.suppress(StorageFault, OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, json.dumps(found).encode())
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
