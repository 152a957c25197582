"""Runs on a cluster: what is asked of actors, and what their answers mean. The cluster is in this process."""

import math
import time

import pytest
from written_runs import write_run

from steepest.studies import on_ray
from steepest.studies.engine import Engine, Report
from steepest.studies.on_ray import Maker, RayExecutor
from steepest.studies.planned import PlannedRun, named
from steepest.studies.study_directory import StudyDirectory
from steepest.training.cluster import Died


class Cluster:
    """Actors in this process. Those whose number is in `mortal` die in place of their first answer."""

    processors, mortal = 2, ()

    def __init__(self, address, size):
        self.address, self.size, self.asked, self.started, self.ended = address, size, [], [], []
        self.__class__.last = self

    def start(self, kind, *arguments, processors):
        self.started.append((kind(*arguments), processors))
        return len(self.started) - 1

    def ask(self, actor, *question):
        self.asked.append((actor, question))

    def answer_within(self, timeout, patience=math.inf):
        if not self.asked:
            return None
        actor, question = self.asked.pop(0)
        return actor, Died("its node was lost") if actor in self.mortal else self.started[actor][0].answer(*question)

    def end(self, actor):
        self.ended.append(actor)
        self.asked = [each for each in self.asked if each[0] != actor]

    def close(self):
        pass


class Process:
    """In place of the processes of an actor: reports progress a few times, and then that a run is complete."""

    def __init__(self, study, processes):
        self.study, self.reports = study, []

    def start(self, run):
        write_run(self.study.run(run.name).path, {run.seed: 7.0})
        self.run, self.reports = run.name, ["progress", None] * 3 + ["finished"]

    def next_report(self, timeout):
        kind = self.reports.pop(0)
        if kind is None:
            time.sleep(timeout)
            return None
        return Report(self.run, kind)

    def ask_to_stop(self):
        self.reports = ["interrupted"]


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "Cluster", type("Fresh", (Cluster,), {}))
    monkeypatch.setattr(on_ray, "LocalExecutor", Process)
    monkeypatch.setattr(RayExecutor, "check_address", staticmethod(lambda address: None))
    monkeypatch.setattr(on_ray, "_MOMENT", 1e-3)
    return StudyDirectory(tmp_path)


def made(study, count, **more):
    runs = named(PlannedRun("", "ppo", "E", seed, **more) for seed in range(count))
    with RayExecutor(study, "auto") as executor:
        engine = Engine(study, executor)
        for run in runs:
            engine.submit(run)
        return [state for _, state in engine.ended()]


def test_actors_make_one_run_after_the_other(study):
    states = made(study, 5)
    assert [state.state for state in states] == ["complete"] * 5
    assert [needs for _, needs in on_ray.Cluster.last.started] == [1, 1]
    assert not (study.path / ".cluster").exists()


def test_a_run_that_keeps_more_processors_busy_gets_an_actor_with_as_many(study):
    made(study, 2, processors=5)
    assert [needs for _, needs in on_ray.Cluster.last.started] == [2]


def test_a_lost_actor_is_followed_by_another(study):
    on_ray.Cluster.mortal = (0,)
    assert [state.state for state in made(study, 3)] == ["complete"] * 3
    assert len(on_ray.Cluster.last.started) == 3


def test_a_run_whose_actors_are_all_lost_has_failed(study):
    on_ray.Cluster.mortal = range(99)
    (state,) = made(study, 1)
    assert (state.state, state.message) == ("failed", "its process on the cluster was lost (its node was lost)")
    assert len(on_ray.Cluster.last.started) == 3


def test_a_machine_that_does_not_see_the_study_says_so(study):
    (answer,) = Maker(str(study.path), "another mark").answer("make", PlannedRun("a", "ppo", "E", 0).dump())
    assert answer["kind"] == "failed"
    assert f"does not see {study.path}. Put the study on a disk that all share." in answer["text"]


def test_those_that_wait_for_a_processor_are_interrupted_at_once(study):
    executor = RayExecutor(study, "auto")
    first, second = named(PlannedRun("", "ppo", "E", seed) for seed in (0, 1))
    executor.start(first)
    executor.start(second)
    assert executor.next_report(0.0).kind == "progress"
    executor.ask_to_stop()
    heard = [executor.next_report(0.0) for _ in range(3)]
    assert [(each.run, each.kind) for each in heard if each.kind != "progress"] == [
        (second.name, "interrupted"),
        (first.name, "interrupted"),
    ]
    assert on_ray.Cluster.last.ended == [1]
