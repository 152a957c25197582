"""The shape of the house."""

import pathlib
import subprocess
import sys

import pytest

import steepest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.parametrize(
    "module", ["steepest", "steepest.algorithms", "steepest.cli.main", "steepest.runs.directory", "steepest.envs"]
)
def test_what_answers_help_does_not_import_jax(module):
    code = f"import sys, {module}; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_file_is_longer_than_500_lines():
    long = {
        str(path): lines
        for folder in ("src", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 500
    }
    assert not long


def test_names_of_the_package_can_be_had_and_unknown_ones_are_refused():
    assert all(getattr(steepest, name) is not None for name in steepest.__all__)
    assert set(steepest.__all__) <= set(dir(steepest))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        steepest.nonsense  # noqa: B018
