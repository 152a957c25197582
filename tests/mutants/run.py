"""Break the code on purpose, one bug at a time, and see that the tests notice.

    python tests/mutants/run.py [WORDS IN THE NAME]

Works on a copy of the tree. Exit status 1 if any mutant survives.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).parents[2]
TABLE = pathlib.Path(__file__).parent / "mutants.toml"
LIMIT = 600
"""Seconds for the tests of one mutant; a mutant that hangs is caught too, but says so."""


def mutants() -> list[dict[str, str]]:
    """The table."""
    return tomllib.loads(TABLE.read_text())["mutant"]


def applied(mutant: dict[str, str], source: pathlib.Path) -> str:
    """The text of the mutant's file with its bug. **Raises** `ValueError` where it does not apply exactly once."""
    text = (source / mutant["file"]).read_text()
    if text.count(mutant["old"]) != 1:
        raise ValueError(f"{mutant['name']}: the text to replace stands {text.count(mutant['old'])} times, not once.")
    return text.replace(mutant["old"], mutant["new"])


def outcome(mutant: dict[str, str], cache: pathlib.Path) -> tuple[str, float]:
    """What the tests say of one mutant, and the seconds they took. Compiled programs are kept in `cache`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        for name in ("pyproject.toml", "conftest.py"):
            shutil.copy(ROOT / name, copy)
        (copy / "src" / "steepest" / mutant["file"]).write_text(applied(mutant, ROOT / "src" / "steepest"))
        (copy / ".pytest_cache").symlink_to(cache)
        first, *rest = mutant["tests"].split()
        command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", f"tests/{first}", *rest]
        environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            code = subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=LIMIT).returncode
        except subprocess.TimeoutExpired:
            return "caught (it hung)", time.monotonic() - began
    verdict = {1: "caught", 0: "SURVIVED"}.get(code, f"NOT RUN ({code})")
    return verdict, time.monotonic() - began


def main(words: list[str]) -> int:
    chosen = [each for each in mutants() if " ".join(words).lower() in each["name"].lower()]
    survived = 0
    workers = concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as cache, workers as pool:
        outcomes = pool.map(lambda mutant: outcome(mutant, pathlib.Path(cache)), chosen)
        for mutant, (verdict, seconds) in zip(chosen, outcomes, strict=True):
            survived += not verdict.startswith("caught")
            print(f"{verdict:18}{seconds:6.0f} s  {mutant['name']}  ({mutant['file']})", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} caught")
    return 1 if survived or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
