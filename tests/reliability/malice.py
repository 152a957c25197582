"""A run directory that an enemy has made: refused at once and in little memory, nothing executed, nothing written."""

import contextlib
import io
import json
import pathlib
import resource
import shutil
import sys

from reliability.small_runs import newest, trained
from reliability.trial import Seen, Setting, Trial
from steepest.cli.main import main
from steepest.runs.directory import RunDirectory

MOST_SECONDS, MOST_MEGABYTES = 1.0, 300
PICKLE = b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94."
HARM = "import pathlib; pathlib.Path({done!r}).write_text('')"


def attacks(run: RunDirectory):
    """Files of a run and what an enemy writes into them; a number is a length, of which nothing is on the disk."""
    config = json.loads(run.config.read_text())
    arrays, manifest = newest(run, 0).with_suffix(".safetensors"), newest(run, 0)
    sizes = {"total_steps": 10**18, "seeds": [10**18], "seeds_per_process": [[10**18]], "evaluation_episodes": 10**18}
    names = {"env": "../../etc/passwd", "seeds": ["../../x", 1], "backend": "gymnasium:os", "algorithm": "os.system"}
    modules = {"run.evil:X-v0", "run.harm:X-v0", "run.harm.deep:X-v0"}
    for changed in (
        *({name: value} for name, value in (sizes | names).items()),
        *({"env": env, "backend": "gymnasium"} for env in sorted(modules)),
    ):
        yield run.config, json.dumps(config | changed).encode()
    hyper = {"num_envs": 10**18, "segment_length": 10**18, "hidden": [10**18], "policy": "__import__"}
    for name, value in [*hyper.items(), ("num_envs", 10**6)]:
        changed = config["hyper_parameters"] | {name: value}
        yield run.config, json.dumps(config | {"hyper_parameters": changed}).encode()
    for content in (b"[" * 10**6, PICKLE, 10**12):
        yield run.config, content
    lies = ((10**18).to_bytes(8, "little") + b'{"a":{"dtype":"F32"}}', b"\xff" * 8 + b"{")
    for content in (10**12, *lies, PICKLE):
        yield arrays, content
    for content in (b'{"a":' * 10_000, PICKLE, 10**12):
        yield manifest, content


def run(given: Setting) -> Seen:
    """Each attack on `steepest evaluate` and, where they look at the file too, the other commands."""
    place = given.folder / "run"
    trained(place)
    made = RunDirectory(place)
    for seed in (0, 1):
        for path in made.checkpoints(seed).glob("000000009.*"):
            path.unlink()  # there is none to take in its place
    done = given.folder / "done"
    (place / "harm").mkdir()
    for name in ("harm/__init__.py", "harm/deep.py", "evil.py"):
        (place / name).write_text(HARM.format(done=str(done)))
    kept = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    faults, seconds, megabytes, tried = [], 0.0, 0.0, 0
    every = list(attacks(made))
    with contextlib.chdir(given.folder):
        _command("evaluate", "nowhere")  # what is imported is imported
        for tried, (path, content) in enumerate(every[: given.count], start=1):
            if isinstance(content, int):
                with path.open("wb") as file:
                    file.truncate(content)
            else:
                path.write_bytes(content)
            commands = [["evaluate", "run"], ["resume", "run"], ["demonstrate", "run", "--out", "x.npz"]]
            for words in commands if path == made.config else commands[:1]:
                before, began = _new_peak(), _seconds()
                said = _command(*words)
                used, taken = _megabytes("VmHWM") - before, _seconds() - began
                seconds, megabytes = max(seconds, taken), max(megabytes, used)
                if said or taken > MOST_SECONDS or used > MOST_MEGABYTES:
                    faults.append(f"{words[0]}, {path.name} {content!r:.60}: {said}, {taken:.2f} s, {used:.0f} MB")
            path.write_bytes(kept[path])
            given.tell(tried, path.name)
    outside = {path.name for path in given.folder.iterdir()}
    now = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    if done.exists() or outside != {"run"} or now != kept or any(name.startswith("run.") for name in sys.modules):
        faults.append(f"something was executed or written: {outside}, {now.keys() ^ kept.keys()}")
    shutil.rmtree(place)
    found = "refused in one line each; nothing executed, nothing written"
    return Seen(tried, found, f"{seconds:.2f} s, {megabytes:.0f} MB more", faults)


def _command(*words):
    """What was wrong with how a command refused; nothing where it was right."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(words)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    said = err.getvalue()
    good = status == 2 and said.startswith("steepest: ") and said.count("\n") == 1
    return "" if good else f"status {status}, {said[:200]!r}"


def _new_peak():
    """Megabytes that this process has, from where its peak is counted anew."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return _megabytes("VmRSS")


def _megabytes(what):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) / 1024


def _seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


TRIAL = Trial("a malicious run directory", count=25, few=25, run=run)
