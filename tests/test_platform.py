"""How XLA is started: one thread, nothing left behind, and no hang."""

import os
import resource
import subprocess
import sys

import pytest
from jax._src.lru_cache import LRUCache

THREADS = """
import os
def pool():
    tasks = os.listdir("/proc/self/task")
    return sum(open(f"/proc/self/task/{task}/comm").read().startswith("tf_XLAEigen") for task in tasks)
"""


def run(code, timeout=120, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in ("NPROC", "STEEPEST_CPU_THREADS")}
    return subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", THREADS + code],
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


START = "import steepest, jax; steepest.configure_platform(); jax.block_until_ready(jax.numpy.ones(3) + 1); "


@pytest.mark.parametrize(("variables", "threads"), [({}, 1), ({"STEEPEST_CPU_THREADS": "3"}, 3)])
def test_the_client_has_as_many_threads_as_asked_for_and_children_do_not_inherit_it(variables, threads):
    done = run(START + "print(pool(), os.environ.get('NPROC'))", **variables)
    assert done.stdout.split() == [str(threads), "None"], done.stderr


def test_a_value_that_was_set_before_is_put_back():
    show = "print(pool(), os.environ['NPROC'], os.environ['OPENBLAS_NUM_THREADS'])"
    done = run(START + show, NPROC="2", OPENBLAS_NUM_THREADS="5")
    assert done.stdout.split() == ["1", "2", "5"], done.stderr


def test_factorisations_bring_no_threads_of_their_own():
    """However many NumPy's own library was told to have."""
    code = (
        "import steepest, jax; steepest.configure_platform(); before = len(os.listdir('/proc/self/task')); "
        "jax.block_until_ready(jax.numpy.linalg.qr(jax.numpy.ones((8, 4)))); "
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    few, many = (int(run(code, OPENBLAS_NUM_THREADS=count).stdout) for count in ("1", "9"))
    assert many <= few


def test_a_backend_that_runs_already_with_more_threads_is_warned_about():
    late = "import jax; jax.devices(); import warnings; warnings.simplefilter('error'); "
    code = late + "import steepest; steepest.configure_platform()"
    done = run(code, NPROC="4")
    assert "JAX's CPU backend was already running with 4 threads" in done.stderr
    assert done.returncode != 0
    assert run("import jax; jax.devices(); import steepest; steepest.configure_platform()", NPROC="1").returncode == 0


def test_a_number_of_threads_that_is_none_is_refused_in_one_line():
    done = run("import steepest; steepest.configure_platform()", STEEPEST_CPU_THREADS="many")
    assert "STEEPEST_CPU_THREADS is 'many'; it must be a whole number" in done.stderr


def test_training_8_seeds_at_once_20_times_does_not_hang():
    """Without the guard, XLA's CPU client deadlocks within a few executions on two cores."""
    code = """
import jax
import steepest
from steepest.training.compiled import train
from steepest.core.spaces import Spec
from steepest.envs.cart_pole import CartPole
steepest.configure_platform()
env, ppo = CartPole(), steepest.PPO(num_envs=8, segment_length=32, epochs=4, minibatch_size=64)
algorithm = ppo.build(Spec(env.observation_space, env.action_space, 8, 10))
eight = jax.jit(jax.vmap(lambda key: train(algorithm, env, key, updates=10)[0].steps))
for repeat in range(20):
    steps = eight(jax.random.split(jax.random.key(repeat), 8))
print("done", steps.sum())
"""
    # As users have it, not as the other tests compile.
    assert run(code, timeout=240, XLA_FLAGS="").stdout.split() == ["done", "20480"]


@pytest.mark.parametrize("setting", ["off", "directory", "default"])
def test_compiled_programs_are_kept_between_runs_unless_told_otherwise(setting, tmp_path):
    code = (
        "import steepest, jax; steepest.configure_platform(); print(jax.config.jax_compilation_cache_dir); "
        "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0); "
        "jax.jit(lambda x: jax.lax.fori_loop(0, 9, lambda _, y: jax.numpy.linalg.inv(y) @ y + y, x))"
        "(jax.numpy.eye(30)).block_until_ready()"
    )
    where = {"off": "off", "directory": str(tmp_path / "mine"), "default": ""}[setting]
    done = run(code, STEEPEST_COMPILATION_CACHE=where, XDG_CACHE_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    expected = {"off": None, "directory": tmp_path / "mine", "default": tmp_path / "home" / "steepest" / "compiled"}
    directory = expected[setting]
    assert done.stdout.strip() == str(directory)
    assert directory is None or any(directory.iterdir())


def test_a_cache_that_cannot_be_written_does_not_stop_anyone(tmp_path):
    (tmp_path / "file").write_text("")
    done = run(
        "import steepest; steepest.configure_platform(); print('on')",
        STEEPEST_COMPILATION_CACHE=str(tmp_path / "file" / "x"),
    )
    assert done.stdout.strip() == "on"
    assert "no compilation cache" in done.stderr


@pytest.mark.parametrize("call", ["evaluate", "demonstrate", "train", "resume"])
def test_functions_that_do_a_whole_thing_set_up_the_platform_before_all_else(call, monkeypatch):
    """Reading a checkpoint starts XLA's client, so it would be too late after that."""
    import steepest

    class Called(Exception):
        pass

    def called():
        raise Called

    for module in ("preparing", "evaluating", "trained"):
        monkeypatch.setattr(f"steepest.experiments.{module}.configure_platform", called)
    with pytest.raises(Called):
        getattr(steepest, call)("nowhere", *(["CartPole-v1"] if call == "train" else []))


@pytest.mark.parametrize("platform", ["rocm", "nonsense"])
def test_a_platform_that_is_not_there_is_refused_in_one_line(platform):
    code = "import sys; from steepest.cli import main; sys.exit(main(['train', 'ppo', '--env', 'CartPole-v1']))"
    done = run(code, JAX_PLATFORMS=platform)
    assert done.returncode == 2
    assert done.stderr.startswith(f"steepest: JAX_PLATFORMS is '{platform}', and JAX does not start there: ")
    assert done.stderr.endswith(". Leave it out, or set cpu.\n")
    assert done.stderr.count("\n") == 1


def test_a_full_disk_leaves_no_half_program_in_the_cache_and_one_that_is_there_is_replaced(tmp_path):
    """It would be warned of in every run from then on."""
    cache = LRUCache(str(tmp_path), max_size=-1)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
        cache.put("program", b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(tmp_path.iterdir())
    (tmp_path / "program-cache").write_bytes(b"x" * 10)
    cache.put("program", b"x" * 100)
    assert cache.get("program") == b"x" * 100
    assert [path.name for path in tmp_path.iterdir()] == ["program-cache"]
