"""Loggers: what TensorBoard and Weights & Biases are told is what metrics.csv says, each number once."""

import collections
import json
import math
import struct
import types

import numpy as np
import pytest
from worlds import Corridor

import steepest
from steepest.cli.main import main
from steepest.core.errors import InputError
from steepest.experiments.preparing import prepare
from steepest.experiments.train import execute
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import Listeners, RunDescription
from steepest.runs.loggers import AbstractLogger, again, named
from steepest.runs.loggers.logger import name_of

SMALL = {"num_envs": 4, "segment_length": 8, "hidden": (8,), "preset": False}
AXES = ("seed", "steps")


def events(directory):
    """The events of a directory, as their files hold them: length, its check sum, content, its check sum."""
    from tensorboardX.crc32c import crc32c
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(directory.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            body, (check,) = content[12 : 12 + length], struct.unpack("<I", content[12 + length : 16 + length])
            assert check == ((((crc := crc32c(body)) >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
            content = content[16 + length :]
            yield Event.FromString(body)


def scalars(directory):
    """By name, the numbers at each step; a step that is there twice has two."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for event in events(directory):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found[value.tag][event.step].append(value.simple_value)
    return found


def check_same(run, seeds):
    """Every number of the table is in the files, and the other way round."""
    columns = metrics.read(run / "metrics.csv")
    assert len(columns["seed"])
    for seed in seeds:
        rows, logged = columns["seed"] == seed, scalars(run / "tensorboard" / f"seed-{seed}")
        for column in set(columns) - set(AXES):
            expected = {
                int(steps): value
                for steps, value in zip(columns["steps"][rows], columns[column][rows], strict=True)
                if not math.isnan(value)
            }
            found = logged.pop(name_of(column), {})
            assert all(len(each) == 1 for each in found.values()), column
            more = set(found) - set(expected)
            assert not more or (column == metrics.EVALUATED and more == {columns["steps"].max()}), column
            np.testing.assert_allclose([found[at][0] for at in expected], list(expected.values()), rtol=1e-6)
        assert not set(logged) - {"evaluation/return"}
    return columns


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two seeds, logged to both, in this process."""
    run = tmp_path_factory.mktemp("logged") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        return steepest.train(
            "a2c", Corridor(), total_steps=320, seeds=2, run_dir=run, evaluation_episodes=2, evaluation_every=160,
            log=["tensorboard"], listeners=[steepest.WandB(project="p")], **SMALL,
        )  # fmt: skip


def test_tensorboard_has_every_number_of_the_table_once(trained):
    run = trained.run_directory
    columns = check_same(run, (0, 1))
    mean = scalars(run / "tensorboard" / "mean")
    by_seed = columns["return"].reshape(2, -1)
    some = ~np.isnan(by_seed).any(axis=0)
    steps = columns["steps"].reshape(2, -1)[0][some]
    np.testing.assert_allclose(
        [mean["rollout/return"][int(at)][0] for at in steps], by_seed.mean(axis=0)[some], rtol=1e-6
    )
    assert all(len(each) == 1 for found in mean.values() for each in found.values())
    last = {each["seed"]: each["mean_return"] for each in trained.evaluation["seeds"]}
    for seed, expected in last.items():
        evaluated = scalars(run / "tensorboard" / f"seed-{seed}")["evaluation/return"]
        assert list(evaluated) == [160, 320]
        assert evaluated[320] == [pytest.approx(expected)]
    assert mean["evaluation/return"][320] == [pytest.approx(np.mean(list(last.values())))]


def test_tensorboard_has_hyper_parameters_and_the_learning_curve(trained):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    place = trained.run_directory / "tensorboard" / "mean"
    values = {value.tag: value for event in events(place) for value in event.summary.value}
    assert values["learning_curve"].image.encoded_image_string == (trained.run_directory / "curve.png").read_bytes()
    assert values["learning_curve"].image.width > 500
    content = values["_hparams_/session_start_info"].metadata.plugin_data.content
    told = HParamsPluginData.FromString(content).session_start_info.hparams
    assert told["algorithm"].string_value == "a2c"
    assert told["learning_rate"].number_value == trained.config.hyper_parameters["learning_rate"]
    assert told["hidden"].string_value == "8"
    assert "_hparams_/session_end_info" in values


def history(run):
    """What an offline run of W&B holds: the rows that it would send."""
    from wandb.proto import wandb_internal_pb2

    rows = []
    for path in sorted((run / "wandb").glob("offline-run-*/*.wandb")):
        for content in records(path.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(content)
            if record.HasField("history"):
                items = record.history.item
                rows.append({each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in items})
    return rows


def records(content):
    """The records of a log of LevelDB: blocks of 32 KiB with pieces, each behind its check sum, length and kind."""
    found, at = b"", 7
    while at + 7 <= len(content):
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        found += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield found
            found = b""


def check_history(run, seeds):
    columns, rows = metrics.read(run / "metrics.csv"), history(run)
    for seed in seeds:
        told = [(row["steps"], row[f"seed-{seed}/train/kl"]) for row in rows if f"seed-{seed}/train/kl" in row]
        chosen = columns["seed"] == seed
        np.testing.assert_allclose(told, np.stack([columns["steps"], columns["kl"]])[:, chosen].T, rtol=1e-6)
    return rows


def test_weights_and_biases_keeps_the_same_numbers_offline(trained):
    rows = check_history(trained.run_directory, (0, 1))
    means = [row["rollout/return"] for row in rows if "rollout/return" in row]
    assert len(means) >= 5
    evaluated = [row["seed-0/evaluation/return"] for row in rows if "seed-0/evaluation/return" in row]
    assert evaluated[-1] == pytest.approx(trained.evaluation["seeds"][0]["mean_return"])
    assert len(evaluated) == 2
    assert any(key.startswith("learning_curve") for key in rows[-1])
    assert list((trained.run_directory / "wandb").glob("offline-run-*/files/media/images/learning_curve*.png"))


class Dying(steepest.AbstractListener):
    """Ends training at an update, before a checkpoint holds it."""

    def __init__(self, update):
        self.update = update

    def rows(self, rows):
        if any(row["update"] >= self.update for row in rows):
            raise KeyboardInterrupt  # which nothing catches


def test_a_run_that_goes_on_is_logged_once(tmp_path, monkeypatch):
    """Killed after updates that no checkpoint holds, and after some that one does; then with the logs it had."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")

    def begun(seconds):
        return prepare(
            "a2c", "CartPole-v1", total_steps=12_800, seeds=(0,), run=RunDirectory.fresh(tmp_path / "run", ""),
            evaluation_episodes=2, checkpoint_seconds=seconds, preset=False,
            hyper={"num_envs": 4, "segment_length": 8, "hidden": (8,)},
        )  # fmt: skip

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        execute(begun(0.0), show=False, listeners=named(["tensorboard", "wandb"], [Dying(100)]))
    before = scalars(run / "tensorboard" / "seed-0")
    assert steepest.resume(run).finished
    check_same(run, (0,))
    columns, rows = metrics.read(run / "metrics.csv"), history(run)
    told = [(row["steps"], row["train/kl"]) for row in rows if "train/kl" in row]
    np.testing.assert_allclose(told, np.stack([columns["steps"], columns["kl"]]).T, rtol=1e-6)
    assert len(told) == 400
    assert len(before["train/kl"]) < 400
    assert [type(each).__name__ for each in again(RunDirectory(run))] == ["TensorBoard", "WandB"]


class Recording(AbstractLogger):
    """Writes down what a logger would write."""

    def __init__(self, updates=None, evaluated=None):
        self.before = updates or {}, evaluated or {}
        self.written, self.pictures = [], []

    def _open(self, run):
        return self.before

    def _write(self, points):
        self.written += [
            (series, point.steps, name, number)
            for series, each in points.items()
            for point in each
            for name, number in point.numbers.items()
        ]

    def picture(self, path):
        self.pictures.append(path)

    def recording(self, path):
        pass


def row(seed, update, **numbers):
    return {"seed": seed, "update": update, "steps": 10.0 * update, "wall_time": 1.0 * update} | numbers


def begun(logger, seeds, directory=None):
    inspected = RunDescription({"seeds": seeds, "total_steps": 30, "hyper_parameters": {}}, directory)
    logger.begin(inspected)
    return logger


def test_rows_wait_for_the_checkpoint_that_holds_them(tmp_path):
    logger = begun(Recording(), [0], RunDirectory(tmp_path))
    logger.rows([row(0, 1, kl=0.1), row(0, 2, kl=0.2), row(0, 3, kl=math.nan)])
    assert logger.written == []
    logger.checkpoint(0, tmp_path / "000000002.json")
    assert [each for each in logger.written if each[2] == "train/kl"] == [
        (0, 10, "train/kl", 0.1),
        (0, 20, "train/kl", 0.2),
    ]
    assert {each[1] for each in logger.written} == {10.0, 20.0}
    logger.checkpoint(0, tmp_path / "000000003.json")
    assert (0, 30, "time/wall_time", 3.0) in logger.written
    assert sum(each[2] == "train/kl" for each in logger.written) == 2


def test_means_are_over_the_seeds_that_have_a_number_and_wait_for_all():
    logger = begun(Recording(), [0, 1])
    logger.rows([row(0, 1, kl=0.1, **{"return": 5.0}), row(0, 2, kl=0.2)])
    logger.rows([row(1, 1, kl=0.3, **{"return": math.nan})])
    means = {each[2]: each[3] for each in logger.written if each[0] is None}
    assert means["train/kl"] == pytest.approx(0.2)
    assert means["rollout/return"] == 5.0
    assert {each[1] for each in logger.written if each[0] is None} == {10.0}


def test_what_was_written_before_is_not_written_again():
    logger = begun(Recording({0: 2, 1: 1}, {0: 30}), [0, 1])
    logger.rows([row(seed, update, kl=0.1) for seed in (0, 1) for update in (1, 2, 3)])
    told = [each[:2] for each in logger.written if each[2] == "train/kl"]
    assert sorted(told, key=str) == sorted([(0, 30), (1, 20), (1, 30), (None, 20), (None, 30)], key=str)
    for seed in (0, 1):
        logger.evaluation(seed, 40, np.array([4.0]))  # on the way: the row that follows has it
        logger.evaluation(seed, 30, np.array([1.0, 3.0]))
    evaluated = [each[:2] + each[3:] for each in logger.written if each[2] == "evaluation/return"]
    assert evaluated == [(1, 30, 2.0), (None, 30, 2.0)]


@pytest.mark.parametrize("fails", ["_write", "picture", "close", "_open"])
def test_a_logger_that_fails_is_named_and_training_goes_on(fails, tmp_path, monkeypatch):
    logger = steepest.TensorBoard()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(logger, fails, fail, raising=True)
    with pytest.warns(RuntimeWarning, match=r"listener TensorBoard failed \(OSError: no space left\) and is removed"):
        result = steepest.train(
            "a2c", Corridor(), total_steps=64, evaluation_episodes=0, run_dir=tmp_path / "run", listeners=[logger],
            **SMALL,
        )  # fmt: skip
    assert result.finished
    assert (tmp_path / "run" / "curve.png").exists()


def test_a_connection_that_fails_does_not_end_training(monkeypatch):
    import wandb

    def fail(**_):
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr(wandb, "init", fail)
    with pytest.warns(RuntimeWarning, match=r"WandB failed \(StorageFault: wandb: No API key configured. Log in with"):
        result = steepest.train(
            "a2c", Corridor(), total_steps=64, evaluation_episodes=0, listeners=[steepest.WandB()], **SMALL
        )
    assert result.finished


def test_online_what_was_sent_is_remembered_and_never_sent_twice(trained, tmp_path, monkeypatch):
    """W&B takes nothing back: rows of updates that it has are left out, and the run there goes on under its name."""
    import wandb

    told = []

    class Session(types.SimpleNamespace):
        offline, disabled, dir = False, False, "x/files"

        def define_metric(self, *_, **__):
            pass

        def log(self, numbers):
            self.told.append(numbers)

        def finish(self):
            pass

    monkeypatch.setattr(wandb, "init", lambda **options: Session(id=options["id"], told=told))
    source = trained.run_directory
    run = RunDirectory(tmp_path)
    table = (source / "metrics.csv").read_text().splitlines(keepends=True)
    by_update = sorted(table[1:], key=lambda line: int(line.split(",")[1]))
    run.metrics.write_text("".join([table[0], *by_update[:8]]))
    about = RunDescription(json.loads((source / "config.json").read_text()), run)
    for lines in (8, 20):
        run.metrics.write_text("".join([table[0], *by_update[:lines]]))
        logger = steepest.WandB()
        logger.begin(about)
        logger.close()
    for seed in (0, 1):
        steps = [each["steps"] for each in told if f"seed-{seed}/train/kl" in each]
        assert steps == [32 * update for update in range(1, 11)]
    steps = [each["steps"] for each in told if "train/kl" in each]
    assert steps == [32 * update for update in range(1, 11)]
    (tmp_path / "wandb" / "sent.json").write_text('{"id": "../x", "online": true, "updates": {}, "evaluated": {}}')
    with pytest.raises(InputError, match=r"sent.json: it is damaged. Remove it"):
        steepest.WandB().begin(about)


def test_a_finished_run_is_logged_afterwards_with_its_recording(trained, tmp_path, capsys):
    from PIL import Image

    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "metrics.csv", "evaluation.json", "curve.png"):
        (run / name).write_bytes((trained.run_directory / name).read_bytes())
    frames = [Image.new("RGB", (8, 6), (40 * each, 0, 0)) for each in range(3)]
    frames[0].save(run / "play.gif", save_all=True, append_images=frames[1:])
    for _ in range(2):
        assert main(["log", str(run), "--to", "tensorboard"]) == 0
        check_same(run, (0, 1))
    assert "tensorboard --logdir" in capsys.readouterr().err
    one, other = (
        {
            series: {tag: dict(found) for tag, found in scalars(place / "tensorboard" / series).items()}
            for series in ("seed-0", "seed-1", "mean")
        }
        for place in (run, trained.run_directory)
    )
    for series, tags in one.items():
        assert set(tags) == set(other[series])
        for tag, found in tags.items():
            assert set(found) == set(other[series][tag])
            for at, values in found.items():
                assert values == pytest.approx(other[series][tag][at], rel=1e-5, abs=1e-6)
    images = {value.tag: value.image for event in events(run / "tensorboard" / "mean") for value in event.summary.value}
    assert images["recording"].encoded_image_string == (run / "play.gif").read_bytes()
    assert (images["recording"].width, images["recording"].height) == (8, 6)


@pytest.mark.filterwarnings("ignore:os.fork", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_film_becomes_what_tensorboard_can_show(tmp_path):
    import imageio.v3
    from PIL import Image

    from steepest.runs.loggers.tensorboard import _as_gif

    film = np.zeros((40, 32, 48, 3), np.uint8)
    film[:, :, :24] = 200
    film[:, 0] = np.arange(0, 240, 6)[:, None, None]  # equal pictures would be one, shown for longer
    imageio.v3.imwrite(tmp_path / "play.mp4", film, plugin="FFMPEG", fps=20, macro_block_size=None)
    (tmp_path / "play.gif").write_bytes(_as_gif(tmp_path / "play.mp4"))
    with Image.open(tmp_path / "play.gif") as shown:
        assert shown.size == (48, 32)
        assert shown.n_frames in range(30, 41)
        left, right = (np.asarray(shown.convert("L"))[16, at] for at in (10, 40))
    assert left > 150 > 60 > right


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere", "--to", "tensorboard"], "there is no such directory"),
        (["RUN", "--to"], "to names nothing. Give tensorboard or wandb."),
        (["RUN", "--to", "mlflow"], "mlflow"),
        (["RUN", "--to", "tensorboard", "--video", "no.gif"], "video no.gif: it must be a file that ends in .gif or"),
        (["RUN", "--to", "tensorboard", "--video", "RUN/config.json"], "it must be a file that ends in .gif or .mp4"),
    ],
)
def test_wrong_words_get_one_line(words, says, trained, capsys):
    assert main(["log", *(word.replace("RUN", str(trained.run_directory)) for word in words)]) == 2
    out, err = capsys.readouterr()
    assert says in " ".join(err.split())
    assert (out, err.count("\n")) == ("", 1)


def test_what_is_not_installed_is_said_before_training(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name, extra in (("tensorboard", "tensorboard"), ("wandb", "wandb")):
        with pytest.raises(InputError, match=rf"not installed. Run: pip install 'steepest\[{extra}\]'"):
            steepest.train("a2c", "CartPole-v1", log=[name])


def test_a_run_that_had_a_log_goes_on_without_it_where_that_is_not_installed(tmp_path, monkeypatch):
    (tmp_path / "tensorboard").mkdir()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.warns(RuntimeWarning, match="goes on without its log: log names tensorboard"):
        assert again(RunDirectory(tmp_path)) == []


def test_tensorboard_needs_a_place_and_says_so_before_training():
    with pytest.raises(InputError, match=r"the run is kept nowhere, .* Give run_dir"):
        steepest.train("a2c", Corridor(), total_steps=64, log=["tensorboard"], **SMALL)


def test_one_that_passes_an_input_error_on_is_told_no_more():
    """Wrong words end a run before it begins; whatever else is wrong with a logger does not."""

    class Refusing(steepest.AbstractListener):
        def begin(self, run):
            raise InputError("no")

    with pytest.raises(InputError, match="no"):
        Listeners([], [Refusing()]).begin(RunDescription({}, None))
