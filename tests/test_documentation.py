"""What the documents show runs, and what they point at exists.

Doctests run by themselves, with the rest.
"""

import ast
import functools
import pathlib
import re
import runpy
import tomllib

import pytest

import steepest
from steepest.algorithms import ALGORITHMS
from steepest.studies.description import read_study

ROOT = pathlib.Path(__file__).parent.parent
SOURCE, TESTS = ROOT / "src" / "steepest", ROOT / "tests"
SHOWN = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = re.compile(r"""["'](runs/(\w+)-(\w+-v\d+)-\d+)["']""")
AT_MOST = {"total_steps": 1024, "episodes": 32, "evaluation_episodes": 2, "repeats": 4, "updates": 3, "seeds": 2}
"""Numbers of the examples that say how long they take: the largest that is of use here."""


def blocks(document):
    return [match[1] for match in BLOCK.finditer(document.read_text())]


class Shortened(ast.NodeTransformer):
    """The same program with smaller numbers; what trains for as long as it likes is told how long."""

    def visit_Call(self, node):
        self.generic_visit(node)
        for keyword in node.keywords:
            most, value = AT_MOST.get(keyword.arg), keyword.value
            if most is not None and isinstance(value, ast.Constant) and isinstance(value.value, int):
                keyword.value = ast.copy_location(ast.Constant(min(value.value, most)), value)
        if ast.unparse(node.func) == "steepest.train":
            given = {keyword.arg for keyword in node.keywords}
            for name in ("total_steps", "evaluation_episodes"):
                if name not in given:
                    node.keywords.append(ast.keyword(name, ast.Constant(AT_MOST[name])))
        return ast.fix_missing_locations(node)


@pytest.mark.parametrize("document", [path for path in SHOWN if blocks(path)], ids=lambda path: path.name)
def test_python_that_is_shown_runs(document, tmp_path, monkeypatch):
    """The blocks of one document, one after the other, in one namespace. Runs that they name are there."""
    monkeypatch.chdir(tmp_path)
    text = document.read_text()
    for run, algorithm, env in dict.fromkeys(RUN.findall("".join(blocks(document)))):
        from steepest.cli.main import main

        command = ["train", algorithm, "--env", env, "--total-steps", "1024", "--evaluation-episodes", "1"]
        assert main([*command, "--run-dir", run]) == 0
    namespace = {"__name__": document.stem}
    for match in BLOCK.finditer(text):
        above = text[: match.start(1)].count("\n")  # so that a failure names its line in the document
        program = ast.increment_lineno(Shortened().visit(ast.parse(match[1])), above)
        exec(compile(program, str(document), "exec"), namespace)


def test_every_python_block_is_found():
    """A fence that is spelled otherwise would be passed over."""
    for document in SHOWN:
        opened = re.findall(r"(?im)^[ \t]*(?:```|~~~)[ \t]*py.*$", document.read_text())
        assert len(opened) == len(blocks(document)), document


# References -----------------------------------------------------------------------------------------------------------

SYSTEMS = (ROOT / "docs" / "systems.md").read_text()
CODE = re.compile(r"`([^`\n]+)`")
TEST = re.compile(r"([\w/]+\.py)::(\w+)")
PLACE = re.compile(r"[\w/]+(?:\.py|\.toml|/)")


@functools.cache
def functions_of(path):
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_is_named_exists():
    named = [match for code in CODE.findall(SYSTEMS) for match in TEST.findall(code)]
    assert len(named) > 150
    missing = {
        f"{file}::{name}"
        for file, name in named
        if not (TESTS / file).exists() or name not in functions_of(TESTS / file) or not name.startswith("test_")
    }
    assert not missing


def test_every_row_that_is_named_in_brackets_is_a_parameter_of_its_test():
    """`tests/….py::test_name` (`row`): the row is a word of that file, or the name of an algorithm or a rule."""
    missing = set()
    for file, rows in re.findall(r"`([\w/]+\.py)::\w+` \((`[^)]*)\)", SYSTEMS):
        text = (TESTS / file).read_text()
        missing |= {f"{file}: {row}" for row in CODE.findall(rows) if row not in text}
    assert not missing


@pytest.mark.parametrize("document", SHOWN, ids=lambda path: path.name)
def test_every_path_that_is_named_exists(document):
    """Relative to `src/steepest`, to `tests` or to the root; a word in capitals stands for a name of one's own."""
    missing = set()
    for code in CODE.findall(document.read_text()):
        path = code.split("::")[0]
        if not PLACE.fullmatch(path) or any(part.isupper() for part in re.split(r"[/.]", path) if part):
            continue
        places = [folder / path for folder in (ROOT, SOURCE, TESTS, ROOT / "src")]
        inside = [*SOURCE.rglob(path), *TESTS.rglob(path)] if "/" not in path else []
        if not any(place.exists() for place in places) and not inside:
            missing.add(path)
    assert not missing


@pytest.mark.parametrize("document", [*SHOWN, *(ROOT / "benchmarks").glob("*.md")], ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document):
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)[^)]*\)", document.read_text())
    assert not [link for link in links if not (document.parent / link).exists()]


@pytest.mark.parametrize("document", SHOWN, ids=lambda path: path.name)
def test_every_name_of_the_package_that_is_shown_exists(document):
    """`steepest.NAME` in running text."""
    named = {name for code in CODE.findall(document.read_text()) for name in re.findall(r"\bsteepest\.(\w+)", code)}
    modules = {path.stem for path in SOURCE.iterdir()}
    assert {name for name in named if name not in modules and not hasattr(steepest, name)} <= {"NAME"}


def test_only_versions_of_python_that_are_tested_are_claimed():
    """The classifiers, the least version and the words of the documents say the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = [each.rsplit(" ", 1)[1] for each in project["classifiers"] if "Python :: 3." in each]
    assert project["requires-python"] == f">={versions[0]}"
    for text in [(ROOT / "Makefile").read_text(), *(path.read_text() for path in SHOWN)]:
        for least, most in re.findall(r"Python (3\.\d+) to (3\.\d+)", text):
            assert [least, most] == [versions[0], versions[-1]]


def test_the_table_of_hyper_parameters_is_that_of_the_fields():
    """If it is not: `python docs/make_tables.py`."""
    page = (ROOT / "docs" / "hyper_parameters.md").read_text()
    assert page == runpy.run_path(str(ROOT / "docs" / "make_tables.py"))["table"]()


def test_the_tables_of_results_are_those_of_the_data():
    """If they are not: `python docs/make_results.py`."""
    made = runpy.run_path(str(ROOT / "docs" / "make_results.py"))
    assert (ROOT / "docs" / "results.md").read_text() == made["page"]()
    readme = (ROOT / "README.md").read_text()
    assert readme == made["with_summaries"](readme)
    for name in made["STUDIES"]:
        for row in made["rows"](name):
            assert row["seed"] in map(str, range(10)), "settings are chosen on others"
            assert row["command"].startswith(f"steepest train {row['algorithm']} --env {row['env']} ")


def test_no_seed_of_a_study_is_left_out_of_the_data():
    """Where a study has a run of an algorithm on an environment, it has those of all seeds that were planned."""
    made = runpy.run_path(str(ROOT / "docs" / "make_results.py"))
    for name in made["STUDIES"]:
        planned: dict[tuple, set[int]] = {}
        for run in read_study(ROOT / "benchmarks" / "studies" / f"{name}.toml").runs:
            planned.setdefault((run.env, run.algorithm, run.options["total_steps"]), set()).add(run.seed)
        for about, rows in made["grouped"](made["rows"](name)).items():
            assert {int(row["seed"]) for row in rows} == planned[about], about


def test_every_contender_has_the_same_seeds_on_the_same_tasks(monkeypatch):
    """On a task, returns are compared side by side only where nobody has a seed that another has not."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    others = runpy.run_path(str(ROOT / "benchmarks" / "others.py"))
    for contender in others["CONTENDERS"].values():
        if contender.environment is None:
            for hyper in contender.hyper.values():
                ALGORITHMS[contender.algorithm](**hyper)  # raises where a name or a value is not one
    rows = others["read"]()
    for task in {row["env"] for row in rows}:
        seeds = {
            contender: sorted(row["seed"] for row in rows if (row["contender"], row["env"]) == (contender, task))
            for contender in others["CONTENDERS"]
        }
        first = next(iter(seeds.values()))
        assert seeds == dict.fromkeys(seeds, first), task
        assert len(first) >= 2, task
    assert {(row["steps"], row["episodes"]) for row in rows} <= {("1000000", "100")}
