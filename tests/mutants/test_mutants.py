"""The table of mutants is in step with the code. Whether each is caught takes longer to see: `make mutants`."""

import ast
import pathlib

import pytest

from mutants.run import ROOT, applied, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda each: each["name"])
def test_it_applies_and_its_tests_exist(mutant):
    ast.parse(applied(mutant, ROOT / "src" / "steepest"))
    assert (pathlib.Path(ROOT) / "tests" / mutant["tests"].split()[0]).exists()


def test_there_are_enough_of_them():
    names = [each["name"] for each in mutants()]
    assert len(names) == len(set(names)) >= 25


def test_a_mutant_that_does_not_apply_is_refused():
    absent = {"name": "absent", "file": "core/errors.py", "old": "no such text", "new": ""}
    with pytest.raises(ValueError, match="stands 0 times"):
        applied(absent, ROOT / "src" / "steepest")
