"""Asynchronous workers: in this process, where the order of arrivals is the test's to choose, and on Ray."""

import functools
import os
import pathlib
import sys

import jax
import numpy as np
import pytest
from sent_to_workers import Broken, Mortal, Threads
from served_environment import ServedEnvironment
from worlds import Corridor, Match, Probe

import steepest
from steepest.algorithms import A3C
from steepest.algorithms.bodies.asynchronous import copy_of, gradients
from steepest.cli.main import main
from steepest.core.errors import EnvironmentFault, InputError, NonFiniteError
from steepest.core.spaces import Spec
from steepest.experiments.building import load_agent
from steepest.experiments.loop import train_seeds
from steepest.experiments.preparing import prepare, reopen
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import MetricsTable
from steepest.sampling.compiled import sample, start
from steepest.training import asynchronous, cluster
from steepest.training.asynchronous import AsynchronousTraining, Worker, acting_key, streams_key
from steepest.training.cluster import Cluster, Died
from steepest.training.compiled import seed_keys, update_keys

SMALL = {"num_envs": 2, "segment_length": 4, "hidden": (8,)}


class Here(Cluster):
    """Workers in this process. `order` says which of them answers next; after it has ended, who asked first does.

    A name in place of a number: the worker of that index dies in place of answering.
    """

    order: tuple = ()

    def __init__(self, address, size):
        self.questions, self.coming, self.started, self.closed = {}, list(self.order), [], False

    def start(self, kind, *arguments):
        worker = kind(*arguments)
        self.started.append(worker)
        return worker

    def ask(self, worker, *question):
        self.questions[worker] = question

    def next_answer(self, patience):
        warm = [each for each in self.questions if each._policy is None]
        wanted = self.coming.pop(0) if self.coming and not warm else None
        worker = next(each for each in warm or self.questions if wanted is None or each._index == int(wanted))
        question = self.questions.pop(worker)
        return worker, Died("gone") if isinstance(wanted, str) else worker.answer(*question)

    def close(self):
        self.closed = True


def composed(parameters, env, updates=10):
    return parameters.build(Spec(env.observation_space, env.action_space, parameters.num_envs, updates))


def training(monkeypatch, env, *, workers=1, order=(), updates=5, environments=None, notices=None, **options):
    monkeypatch.setattr(asynchronous, "Cluster", type("Ordered", (Here,), {"order": order}))
    parameters = A3C(workers=workers, **SMALL | options)
    algorithm = composed(parameters, env)
    return AsynchronousTraining(
        algorithm,
        lambda: (algorithm, environments or env),
        workers=workers,
        seed=5,
        total_steps=updates * parameters.steps_per_update,
        notice=[].append if notices is None else notices.append,
    )


def rows_of(training):
    rows = []
    while not training.finished:
        rows += training.advance(0.0)
    return rows


def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one, other)


def played(algorithm, env, agent, streams, key):
    return sample(algorithm, agent, env, streams, key)[:2]


@pytest.mark.parametrize(
    ("env", "memory"),
    [(Corridor(), "none"), (Corridor(), "gru"), (Match(kind="box"), "none")],
    ids=["corridor", "corridor with memory", "match"],
)
def test_one_worker_is_never_stale_and_makes_the_updates_of_a2c(monkeypatch, env, memory):
    """Sampled and learnt from in turn, with the same keys, by the algorithm's own `update`."""
    training_ = training(monkeypatch, env, normalise_observations=True, updates=4, memory=memory, memory_size=3)
    rows = rows_of(training_)
    algorithm = training_.algorithm
    for_agent, for_streams, key = seed_keys(jax.random.key(5))
    agent = algorithm.init(for_agent)
    play, update_ = jax.jit(functools.partial(played, algorithm, env)), jax.jit(algorithm.update)
    streams = start(algorithm, env, streams_key(for_streams, 0, 0))
    streams, _, _ = sample(
        algorithm, agent, env, streams, acting_key(key, 2**31 - 1, 0)
    )  # to compile, and not learnt from
    for update in range(4):
        streams, trajectory = play(agent, streams, acting_key(key, update, 0))
        agent, info = update_(update_keys(key, update)[1], agent, trajectory)
        np.testing.assert_allclose(rows[update]["objective"], info.metrics["objective"], rtol=1e-4, atol=1e-6)
    close(training_.agents()[5], agent)
    assert [row["staleness"] for row in rows] == [0] * 4
    assert [row["steps"] for row in rows] == [8, 16, 24, 32]


def test_on_the_host_the_same_gradients_arrive(monkeypatch):
    env = Corridor()
    compiled = rows_of(training(monkeypatch, env))
    key = streams_key(seed_keys(jax.random.key(5))[1], 0, 0)
    served = rows_of(
        training(monkeypatch, env, environments=lambda seed: [ServedEnvironment(env, num_envs=2, key=key)])
    )
    assert len(compiled) == len(served) == 5
    for one, other in zip(compiled, served, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6, nan_ok=True)


def test_staleness_counts_the_updates_between_the_copy_and_its_gradient(monkeypatch):
    in_turn = training(monkeypatch, Corridor(), workers=3, order=(0, 1, 2) * 2, updates=6)
    assert [row["staleness"] for row in rows_of(in_turn)] == [0, 1, 2, 2, 2, 2]
    uneven = training(monkeypatch, Corridor(), workers=3, order=(0, 0, 1, 0, 2), updates=5)
    assert [row["staleness"] for row in rows_of(uneven)] == [0, 0, 2, 1, 4]


def test_a_late_gradient_is_that_of_the_copy_and_moves_the_newest_parameters(monkeypatch):
    env = Corridor()
    training_ = training(monkeypatch, env, workers=2, order=(0, 1), updates=2)
    algorithm, first = training_.algorithm, training_.agents()[5]
    rows_of(training_)
    _, for_streams, key = seed_keys(jax.random.key(5))
    agent, play = first, jax.jit(functools.partial(played, algorithm, env))
    gradients_of, learn = jax.jit(lambda *each: gradients(algorithm, *each)[0]), jax.jit(algorithm.improve)
    for index in range(2):
        streams = start(algorithm, env, streams_key(for_streams, index, 0))
        streams, _ = play(first, streams, acting_key(key, 2**31 - 1, index))
        _, trajectory = play(first, streams, acting_key(key, 0, index))
        agent, _ = learn(key, agent, gradients_of(copy_of(first), trajectory))
    close(training_.agents()[5], agent)


def test_every_worker_plays_episodes_of_its_own(monkeypatch):
    """Those of worker 1 are not those of worker 0, and whoever replaces it does not play them again."""
    opening = functools.partial(lambda algorithm: (algorithm, Corridor()), composed(A3C(**SMALL), Corridor()))
    algorithm = opening()[0]
    leaves = jax.device_get(jax.tree.leaves(copy_of(algorithm.init(jax.random.key(0)))))
    played = []
    for index, birth in ((0, 0), (1, 0), (1, 3)):
        worker = Worker(opening, 5, index, birth)
        assert worker.answer(3, leaves) is None
        played.append(np.concatenate([np.ravel(leaf) for leaf in worker.answer(3, leaves).evaluation]))
    assert not any(np.array_equal(one, other) for one, other in zip(played, [*played[1:], played[0]], strict=True))


def test_the_dead_are_replaced_and_the_run_goes_on(monkeypatch):
    notices = []
    training_ = training(monkeypatch, Corridor(), workers=2, order=(0, "1", 0, 1, "0", 1), updates=6, notices=notices)
    rows = rows_of(training_)
    assert [row["update"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert notices == [f"worker {index} died and is replaced (gone)" for index in (1, 0)]
    assert [(each._index, each._birth) for each in training_._cluster.started] == [(0, 0), (1, 0), (1, 1), (0, 3)]
    training_.close()
    assert training_._cluster.closed


def test_workers_that_die_one_after_the_other_end_the_run(monkeypatch):
    training_ = training(monkeypatch, Corridor(), order=("0",) * 9)
    with pytest.raises(EnvironmentFault, match=r"4 workers in a row died .* The last one: gone"):
        rows_of(training_)


@pytest.mark.parametrize(("kind", "blamed"), [("nan reward", "reward"), ("nan observation", "observation")])
def test_nan_never_reaches_the_parameters(monkeypatch, kind, blamed):
    training_ = training(monkeypatch, Probe(kind=kind))
    before = jax.device_get(training_.agents()[5])
    with pytest.raises(NonFiniteError, match=rf"{blamed} is not finite at update 0 \(step 8\) of seed 5"):
        rows_of(training_)
    jax.tree.map(np.testing.assert_array_equal, training_.agents()[5], before)


def test_a_resumed_run_goes_on_from_parameters_optimiser_and_counters(monkeypatch):
    first = training(monkeypatch, Corridor(), updates=3)
    rows_of(first)
    second = training(monkeypatch, Corridor(), updates=5)
    second.restore(first.states())
    rows = rows_of(second)
    assert [(row["update"], row["steps"], row["staleness"]) for row in rows] == [(4, 32, 0), (5, 40, 0)]
    assert second._cluster.started[0]._birth == 3
    assert second.agents()[5].updates == 5


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "ray_address is 127.0.0.1:1, and no Ray answers there. Start one"),
        ("nonsense", "ray_address is 'nonsense'; it must be HOST:PORT, or auto"),
        ("ray://localhost:10001", "ray_address is 'ray://localhost:10001'; it must be HOST:PORT"),
    ],
)
def test_an_address_where_no_ray_answers_is_refused_at_once(capsys, tmp_path, address, says):
    words = ["train", "a3c", "--env", "CartPole-v1", "--run-dir", str(tmp_path / "run"), "--ray-address", address]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_server_that_is_no_ray_is_refused(monkeypatch):
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(InputError, match="no Ray answers there"):
            cluster.check(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_a_missing_extra_names_the_line_that_installs_it(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["train", "a3c", "--env", "CartPole-v1"]) == 2
    assert "pip install 'steepest[ray]'" in capsys.readouterr().err


def test_the_address_does_not_decide_what_a_checkpoint_means():
    fingerprints = {
        prepare(A3C(**SMALL, **more), Corridor(), total_steps=8, seeds=(0,)).config.fingerprint
        for more in ({}, {"ray_address": "auto"}, {"workers": 2})
    }
    assert len(fingerprints) == 2


# On Ray itself, which takes seconds to start: once for all of these.


@pytest.fixture(scope="module")
def ray():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # workers must find what tests send them
        started = Cluster(None, 3)
    directory = pathlib.Path(started._directory)
    assert any(directory.iterdir())
    yield started
    started.close()
    assert not directory.exists()
    left = [pathlib.Path(f"/proc/{each}/cmdline") for each in os.listdir("/proc") if each.isdecimal()]
    assert not [path for path in left if path.exists() and str(directory) in path.read_bytes().decode(errors="replace")]


def test_a_run_is_interrupted_and_resumed(ray, tmp_path):
    hyper = {"workers": 2, **SMALL}
    run = RunDirectory(tmp_path / "run")
    experiment = prepare(
        "a3c", "CartPole-v1", run=run, total_steps=10**6, seeds=(0,), evaluation_episodes=0, hyper=hyper
    )
    config = experiment.config
    run.path.mkdir()
    run.config.write_bytes(config.dump())
    first = train_seeds(config, experiment.task, (0,), run, listener=MetricsTable(run.metrics), stop=lambda: True)[0]
    assert not first.finished
    made = int(first.agent.updates)
    again = reopen(run.path)
    beats = iter((False, True))
    second = train_seeds(config, again.task, (0,), run, listener=MetricsTable(run.metrics), stop=lambda: next(beats))[0]
    assert int(second.agent.updates) > made > 0
    columns = metrics.read(run.metrics)
    assert columns["update"].tolist() == list(range(1, int(second.agent.updates) + 1))
    assert np.all((columns["staleness"] >= 0) & (columns["staleness"] < columns["update"]))
    _, loaded = load_agent(config, again.task, run, 0)
    jax.tree.map(np.testing.assert_array_equal, loaded, second.agent)


def test_seeds_take_turns():
    """Each has its workers, which are processes already."""
    for seeds in ((0,), (0, 1, 2)):
        experiment = prepare("a3c", "CartPole-v1", total_steps=8, seeds=seeds, hyper=SMALL)
        assert experiment.config.seeds_per_process == tuple((seed,) for seed in seeds)


def test_a_worker_whose_process_ends_is_replaced_on_the_host_too(ray, tmp_path, capsys):
    env = functools.partial(Mortal, str(tmp_path / "died"))
    done = steepest.train("a3c", env, total_steps=80, workers=2, evaluation_episodes=2, progress=True, **SMALL)
    assert done.finished
    assert (tmp_path / "died").exists()
    said = capsys.readouterr().err
    assert said.count("died and is replaced") == 1
    assert done.metrics["steps"][-1] == 80


def test_what_an_environment_raises_is_told_in_one_line(ray, tmp_path):
    with pytest.raises(EnvironmentFault, match="raised KeyError: 'lost'") as caught:
        steepest.train("a3c", functools.partial(Broken, "nowhere"), total_steps=80, workers=1, **SMALL)
    assert str(caught.value).count("\n") == 0


def test_a_worker_has_one_thread_of_xla(ray):
    actor = ray.start(Threads)
    ray.ask(actor)
    answered, threads = ray.next_answer()
    assert (answered, threads) == (actor, 1)
    ray.end(actor)


def test_more_workers_than_processors_are_refused(ray):
    with pytest.raises(InputError, match="workers is 4; the Ray cluster has 3 processors"):
        Cluster(None, 4)
