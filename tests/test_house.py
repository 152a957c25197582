"""The shape of the house, measured: what a reader opens, what a part may import, what types say."""

import ast
import collections
import json
import pathlib
import subprocess
import sys
import typing

import grimp
import pytest

import steepest
from steepest.algorithms import ALGORITHMS
from steepest.core.validation import describe

ROOT = pathlib.Path(__file__).parent.parent
SOURCE = ROOT / "src" / "steepest"
FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize(
    "module", ["steepest", "steepest.algorithms", "steepest.cli.main", "steepest.runs.directory", "steepest.envs"]
)
def test_what_answers_help_does_not_import_jax(module):
    code = f"import sys, {module}; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_importing_parts_does_not_start_jax():
    """A library must not change its host program on import: no backend, no compilation cache, no threads."""
    code = """
import pkgutil, importlib, steepest
for found in pkgutil.walk_packages(steepest.__path__, "steepest."):
    if found.name.split(".")[-1] not in ("__main__", "minari", "envpool", "cluster"):
        importlib.import_module(found.name)
import jax
from jax._src import xla_bridge
print(xla_bridge.backends_are_initialized(), jax.config.jax_compilation_cache_dir)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "None"]


def test_no_file_is_longer_than_500_lines():
    long = {
        str(path): lines
        for folder in ("src", "tests", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 500
    }
    assert not long


def test_names_of_the_package_can_be_had_and_unknown_ones_are_refused():
    assert all(getattr(steepest, name) is not None for name in steepest.__all__)
    assert set(steepest.__all__) <= set(dir(steepest))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        steepest.nonsense  # noqa: B018


def test_every_algorithm_estimator_and_step_rule_is_a_public_name():
    import steepest.estimators
    import steepest.steps

    rules = {name for name in steepest.steps.__all__ if name[0].isupper()}
    estimators = {name for name in steepest.estimators.__all__ if not name.startswith("Abstract")}
    assert {kind.__name__ for kind in ALGORITHMS.values()} | rules | estimators <= set(steepest.__all__)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_hyper_parameters_of_an_algorithm_stand_in_its_own_file(name):
    kind = ALGORITHMS[name]
    above = [each.__name__ for each in kind.__mro__[1:-1]]
    assert len(above) <= 2, above
    assert set(kind.__annotations__) >= {each.name for each in describe(kind)}
    assert all(each.help for each in describe(kind))


def test_a_name_of_a_hyper_parameter_means_one_type_everywhere():
    meanings = collections.defaultdict(set)
    for name, kind in ALGORITHMS.items():
        for field, hint in typing.get_type_hints(kind, include_extras=True).items():
            if typing.get_origin(hint) is not typing.ClassVar:
                meanings[field].add(str(hint))
                assert hasattr(hint, "__metadata__"), f"{name}.{field} is not of the vocabulary"
    assert not {field: found for field, found in meanings.items() if len(found) > 1}


def test_no_algorithm_is_asked_for_by_its_class_outside_algorithms():
    names = {kind.__name__ for kind in ALGORITHMS.values()}
    asked = []
    for path in FILES:
        if "algorithms" in path.relative_to(SOURCE).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                asked += [
                    (str(path), each.id) for each in ast.walk(node) if isinstance(each, ast.Name) and each.id in names
                ]
    assert not asked


def test_signatures_say_more_than_any():
    count = collections.Counter()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            arguments += [each for each in (node.args.vararg, node.args.kwarg) if each]
            for hint in [node.returns, *(each.annotation for each in arguments)]:
                found = 0 if hint is None else sum(getattr(each, "id", "") == "Any" for each in ast.walk(hint))
                count[str(path.relative_to(SOURCE))] += found
    assert count.total() <= 80, count.most_common(20)


def test_no_two_modules_import_each_other_not_even_for_types():
    graph = grimp.build_graph("steepest", cache_dir=None, exclude_type_checking_imports=False)
    modules = sorted(graph.modules)
    reached = {module: graph.find_downstream_modules(module) for module in modules}
    circles = {
        tuple(sorted((one, other)))
        for one in modules
        for other in reached[one]
        if one in reached[other] and not one.startswith(f"{other}.") and not other.startswith(f"{one}.")
    }
    assert not circles


TWICE = {
    "__init__.py": "every package has one",
    "compiled.py": "sampling and training, each compiled or on the host",
    "host.py": "as above",
    "asynchronous.py": "the driver, and the update that is made in two places",
    "baselines.py": "advantages, and the theorem about them",
    "greedy.py": "the step rule, and the theorem about it",
}


def test_a_name_of_a_file_stands_for_one_thing():
    found = collections.Counter(path.name for path in FILES)
    assert {name for name, count in found.items() if count > 1} <= {name for name, why in TWICE.items() if why}


PPO = """
import json, os, pathlib, sys
import jax, steepest
from jax._src import core, source_info_util
from steepest.envs.cart_pole import CartPole
from steepest.sampling.compiled import sample, start

root = os.path.dirname(steepest.__file__)
env, key = CartPole(), jax.random.key(0)
algorithm = steepest.PPO().for_env(env, updates=10)
streams = jax.eval_shape(lambda key: start(algorithm, env, key), key)
agent = jax.eval_shape(algorithm.init, key)
trajectory = jax.eval_shape(lambda *each: sample(algorithm, each[0], env, *each[1:])[1], agent, streams, key)
obs = jax.eval_shape(lambda rows: rows.obs[0], trajectory)
found = set()

def walk(program):
    for equation in program.eqns:
        for frame in source_info_util.user_frames(equation.source_info.traceback):
            if frame.file_name.startswith(root):
                found.add(frame.file_name)
                break
        for inner in core.jaxprs_in_params(equation.params):
            walk(inner)

for made in (
    jax.make_jaxpr(algorithm.init)(key),
    jax.make_jaxpr(lambda *each: algorithm.act(each[0], each[1], (), each[2]))(key, agent, obs),
    jax.make_jaxpr(algorithm.update)(key, agent, trajectory),
):
    walk(made.jaxpr)
print(json.dumps({path[len(root) + 1:]: len(pathlib.Path(path).read_text().splitlines()) for path in sorted(found)}))
"""


def test_all_that_ppo_computes_is_read_in_few_files():
    """The files whose lines stand behind the operations of its compiled programs: first agent, action and update."""
    done = subprocess.run([sys.executable, "-c", PPO], capture_output=True, text=True, check=True)
    lines = json.loads(done.stdout)
    assert len(lines) <= 16, lines
    assert sum(lines.values()) <= 1900, lines
