"""What the engine makes of reports: how many at once, what is tried again, what is recorded. Nothing trains here."""

import json
import shutil

import pytest
from written_runs import STEPS, write_run

from steepest.core.errors import InputError
from steepest.studies.engine import AbstractExecutor, AbstractWatcher, Engine, Report
from steepest.studies.planned import PlannedRun, named
from steepest.studies.study_directory import StudyDirectory


class Scripted(AbstractExecutor):
    """Ends runs in the order in which they began, as a script says: words by name, one for each attempt."""

    capacity = 2

    def __init__(self, study, **script):
        super().__init__(study)
        self.script, self.running, self.began, self.most, self.stopping = script, [], [], 0, False

    def configurations(self, runs):
        raise NotImplementedError

    def start(self, run):
        self.began.append(run.name)
        self.running.append(run)
        self.most = max(self.most, len(self.running))

    def next_report(self, timeout):
        run = self.running.pop(0)
        kind = "interrupted" if self.stopping else self.script.get(run.env, ["finished"]).pop(0)
        if kind == "finished":
            write_run(self.study.run(run.name).path, {run.seed: 7.0})
        elif kind == "progress":
            self.running.insert(0, run)
        return Report(run.name, kind, "its process was ended by signal 9" if kind == "lost" else "diverged\nat once")

    def ask_to_stop(self):
        self.stopping = True

    def close(self):
        pass


def planned(*envs, **more):
    return named(PlannedRun("", "ppo", env, 0, options={"total_steps": 10}, **more) for env in envs)


def made(engine, runs, **more):
    for run in runs:
        engine.submit(run)
    return {run.env: state for run, state in engine.ended(**more)}


def test_as_many_run_at_once_as_there_is_room_for_and_all_are_made(tmp_path):
    executor = Scripted(StudyDirectory(tmp_path))
    engine = Engine(executor.study, executor)
    states = made(engine, planned(*"abcde"))
    assert executor.most == 2
    assert {state.state for state in states.values()} == {"complete"}
    assert states["a"].mean_return == 7.0
    assert engine.busy == 0


def test_a_run_that_keeps_more_processors_busy_leaves_less_room(tmp_path):
    executor = Scripted(StudyDirectory(tmp_path))
    engine = Engine(executor.study, executor)
    for run in planned(*"abc", processors=5):
        engine.submit(run)
    assert engine.idle == 0
    assert len(list(engine.ended())) == 3
    assert executor.most == 1
    assert engine.idle == 2


def test_what_is_complete_is_left(tmp_path):
    executor = Scripted(StudyDirectory(tmp_path))
    made(Engine(executor.study, executor), planned("a"))
    states = made(Engine(executor.study, executor), planned("a", "b"))
    assert executor.began == ["ppo-a-seed-0", "ppo-b-seed-0"]
    assert {state.state for state in states.values()} == {"complete"}


def test_a_run_that_fails_is_recorded_and_the_others_are_made(tmp_path):
    study = StudyDirectory(tmp_path)
    states = made(Engine(study, Scripted(study, b=["failed"])), planned(*"abc"))
    assert [states[env].state for env in "abc"] == ["complete", "failed", "complete"]
    failure = json.loads((tmp_path / "failures" / "ppo-b-seed-0.json").read_text())
    assert failure.keys() == {"run", "message", "time"}
    assert (failure["run"], failure["message"]) == ("ppo-b-seed-0", "diverged at once")
    states = made(Engine(study, Scripted(study)), planned(*"abc"))
    assert states["b"].state == "complete"
    assert not list((tmp_path / "failures").iterdir())


def test_a_lost_process_is_followed_by_another_a_few_times(tmp_path):
    study, heard = StudyDirectory(tmp_path), []

    class Watcher(AbstractWatcher):
        def notice(self, run, text):
            heard.append((run.env, text))

    executor = Scripted(study, a=["lost", "progress", "lost", "finished"], b=["lost"] * 3)
    states = made(Engine(study, executor, watcher=Watcher()), planned("a", "b"))
    assert states["a"].state == "complete"
    assert (states["b"].state, states["b"].message) == ("failed", "its process was ended by signal 9")
    assert [env for env, _ in heard] == ["a", "b", "a", "b"]
    assert heard[0][1] == "its process was ended by signal 9; it goes on from its newest checkpoint"
    assert executor.began.count("ppo-b-seed-0") == 3


def test_what_runs_is_interrupted_and_nothing_new_begins_when_asked_to_stop(tmp_path):
    study = StudyDirectory(tmp_path)
    executor = Scripted(study, a=["progress"] * 2)
    states = made(Engine(study, executor), planned(*"abcd"), stop=lambda: len(executor.began) == 2)
    assert {env: state.state for env, state in states.items()} == {"a": "waiting", "b": "waiting"}
    assert len(executor.began) == 2
    assert not (tmp_path / "failures").exists()


def test_runs_can_be_submitted_while_others_are_made(tmp_path):
    study = StudyDirectory(tmp_path)
    engine, seen = Engine(study, Scripted(study)), []
    engine.submit(planned("a")[0])
    for run, _ in engine.ended():
        seen.append(run.env)
        if len(seen) < 4:
            engine.submit(planned(f"{run.env}a")[0])
    assert seen == ["a", "aa", "aaa", "aaaa"]


def test_the_state_of_a_run_is_read_from_what_is_on_the_disk(tmp_path):
    study, (run,) = StudyDirectory(tmp_path), planned("a")
    assert study.state(run).state == "waiting"
    study.record_failure(run.name, "it could not\neven begin")
    assert study.state(run).message == "it could not even begin"
    study.forget_failure(run.name)
    place = study.run(run.name)
    write_run(place.path, {0: 7.0}, until=0.5)
    assert (study.state(run).state, study.state(run).steps) == ("interrupted", STEPS // 2)
    study.record_failure(run.name, "no")
    assert (study.state(run).state, study.state(run).message) == ("failed", "no")
    with place.held():
        assert study.state(run).state == "running"
    shutil.rmtree(place.path)
    write_run(place.path, {0: 7.0})
    assert (study.state(run).state, study.state(run).mean_return) == ("complete", 7.0)
    place.config.write_text("{")
    assert "not valid JSON" in study.state(run).message
    shutil.rmtree(place.path)
    write_run(place.path, {0: 7.0}, evaluated=False, evaluation_episodes=0)
    assert study.state(run).state == "complete"


def test_two_sweeps_do_not_work_on_one_study_but_jobs_of_an_array_do(tmp_path, monkeypatch):
    monkeypatch.setattr("steepest.studies.study_directory._PATIENCE", 0.0)
    first, second = StudyDirectory(tmp_path / "s"), StudyDirectory(tmp_path / "s")
    with (
        first.held(),
        pytest.raises(InputError, match="another process works on it"),
        second.held(),
    ):
        pass
    with first.held(shared=True), second.held(shared=True):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Give another place with --out"), StudyDirectory(tmp_path / "file").held():
        pass
