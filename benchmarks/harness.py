"""What the benchmarks share: measurements in processes of their own, samples summed up, the machine described.

It needs nothing but the standard library, so that scripts run by other libraries' interpreters can import it too.

A measuring script and its parent speak in lines: the script prints one JSON line when it is ready, and one more for
each line that it reads. So several scripts can be ready at once and measure in turns.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

PROCESSOR_TIME = "STEEPEST_BENCHMARK_PROCESSOR_TIME"
"""A variable of the environment."""
FOLDER = pathlib.Path(__file__).resolve().parent
_STARTED = time.monotonic()


@dataclasses.dataclass(frozen=True)
class Summary:
    """Repeated measurements of one quantity."""

    samples: tuple[float, ...]

    @classmethod
    def of(cls, samples: Iterable[float]) -> "Summary":
        """Keep the samples in the order in which they were taken."""
        return cls(tuple(samples))

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def over(self, other: "Summary") -> "Summary":
        """The ratios of samples that were taken one after the other."""
        return Summary.of(one / two for one, two in zip(self.samples, other.samples, strict=True))

    def text(self, unit: float = 1.0) -> str:
        """Median and, in brackets, minimum and maximum, in multiples of `unit`."""
        digits = next((digits for least, digits in ((100, 0), (10, 1), (1, 2)) if self.median / unit >= least), 3)
        median, low, high = (
            f"{each / unit:,.{digits}f}" for each in (self.median, min(self.samples), max(self.samples))
        )
        return f"{median} ({low}–{high})"

    def dump(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "median": self.median,
            "minimum": min(self.samples),
            "maximum": max(self.samples),
            "samples": list(self.samples),
        }


class Worker:
    """A measuring script in a process of its own.

    **Arguments**

    - `command`: interpreter, script and its arguments.
    - `variables`: added to the process's environment; no compilation cache but steepest's own is passed on.
    """

    def __init__(self, command: Sequence[str | os.PathLike], **variables: str):
        inherited = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
        path = os.pathsep.join(filter(None, (str(FOLDER), os.environ.get("PYTHONPATH"))))
        self._command = [str(each) for each in command]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed in __exit__)
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=inherited | {"PYTHONPATH": path} | variables,
            text=True,
        )

    def ready(self) -> dict[str, Any]:
        """Wait for the first line; adds `seconds_from_start`, the time since the process was asked for."""
        answer = self._read()
        return answer | {"seconds_from_start": time.perf_counter() - self._started}

    def measure(self) -> dict[str, Any]:
        """Have one measurement made."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("measure\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died, and `_read` says of what
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries may print what they like
                return json.loads(line)
        code = self._process.wait()
        self._errors.seek(0)
        last_lines = "".join(self._errors.readlines()[-20:])
        raise SystemExit(f"{' '.join(self._command)}\nended with code {code}:\n{last_lines}")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.kill()
        self._process.wait()
        self._errors.close()


def add_processor_time(parser: argparse.ArgumentParser) -> None:
    """Add the option that has seconds of processor time counted."""
    parser.add_argument(
        "--processor-time",
        action="store_const",
        const={PROCESSOR_TIME: "yes"},
        default={},
        help="count seconds of processor time: what others do on the machine then hardly matters, but threads count "
        "each on their own",
    )


def serve(ready: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
    """The script's side: say that it is ready, then measure as often as asked."""
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)


def rate(work: Callable[[], float], seconds: float) -> float:
    """Work per second, over the calls that it takes to fill `seconds`, at least one. A call returns how much it did.

    Seconds are of this process's processor time where `PROCESSOR_TIME` is set.
    """
    clock = time.process_time if os.environ.get(PROCESSOR_TIME) else time.perf_counter
    done, start = 0.0, clock()
    while True:
        done += work()
        elapsed = clock() - start
        if elapsed >= seconds:
            return done / elapsed


def announce(text: str) -> None:
    """Say what comes next, and how long it has been."""
    print(f"{time.monotonic() - _STARTED:5.0f} s  {text}", file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """Where and when the numbers are taken; warns where other programs are using the machine."""
    cores, load = os.cpu_count() or 1, os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.5 * cores:
        announce(f"{load:.1f} programs want to run on {cores} cores already: trust only ratios")
    return {
        "cpu": next(_processor_names(), "unknown"),
        "cores": cores,
        "load_before": load,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _processor_names() -> Iterator[str]:
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                yield value.strip()
    except OSError:
        pass
    yield from filter(None, (platform.processor(), platform.machine()))


def write(path: pathlib.Path | None, content: dict[str, Any]) -> None:
    """Write the numbers as JSON, where a file was asked for."""
    if path is not None:
        path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        announce(f"wrote {path}")
