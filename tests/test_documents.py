"""What the documents say is true: their examples run, and the code and tests that they cite exist."""

import ast
import doctest
import importlib
import pathlib
import re

import jax
import pytest

ROOT = pathlib.Path(__file__).parent.parent
SOURCE = ROOT / "src" / "steepest"
WITH_EXAMPLES = sorted(path for path in SOURCE.rglob("*.py") if ">>>" in path.read_text())
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def module_of(path):
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_examples_of_docstrings_give_what_they_say(path):
    module = importlib.import_module(module_of(path))
    # As users have JAX, not as strict as the other tests.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert found.attempted, "no docstring that is tested has an example"
    assert not found.failed


def blocks(page):
    """The Python blocks of a page, with what takes long made short: what they show does not depend on it."""
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M):
        short = re.sub(r"total_steps=[\d_]+", "total_steps=2_048", block)
        short = re.sub(r"episodes=1000, repeats=50", "episodes=100, repeats=5", short)
        short = re.sub(r"\bseeds=\d+", "seeds=1", short)
        yield re.sub(r"progress=True", "progress=False", short)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in page.read_text()], ids=lambda page: page.name
)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    import steepest

    if "runs/ppo-CartPole-v1-1" in page.read_text():
        steepest.train("ppo", "CartPole-v1", total_steps=2048, run_dir="runs/ppo-CartPole-v1-1", evaluation_episodes=2)
    names: dict = {"__name__": "page"}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in blocks(page):
            exec(compile(block, page.name, "exec"), names)


def cited():
    """Every path of code and every test that docs/systems.md names."""
    text = (ROOT / "docs" / "systems.md").read_text()
    return sorted(set(re.findall(r"`([\w/]+\.py(?:::\w+)?)`", text)))


def test_there_are_references_to_follow():
    assert len(cited()) > 150


@pytest.mark.parametrize("reference", cited())
def test_what_the_table_of_systems_cites_exists(reference):
    path, _, name = reference.partition("::")
    places = [folder / path for folder in (SOURCE, ROOT / "tests", ROOT) if (folder / path).is_file()]
    assert places, f"there is no {path}"
    if name:
        defined = {
            node.name for node in ast.walk(ast.parse(places[0].read_text())) if isinstance(node, ast.FunctionDef)
        }
        assert name in defined, f"{path} has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target
