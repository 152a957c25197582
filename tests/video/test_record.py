"""Recordings of runs: whole episodes, of the policy that was trained, and one line where there are no pictures."""

import dataclasses
import importlib.util
import json
import shutil
import signal
import subprocess

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image, ImageGrab
from worlds import Corridor

import steepest
from steepest.cli.main import main
from steepest.core.errors import EnvironmentFault, InputError
from steepest.envs.cart_pole import CartPole
from steepest.envs.tasks import resolve
from steepest.experiments.trained import TrainedPolicy
from steepest.video import filming, watching
from steepest.video.filming import record
from steepest.video.playing import Options, play
from steepest.video.stage import AbstractStage, open_stage

SMALL = {"num_envs": 4, "segment_length": 16, "minibatch_size": 32, "epochs": 1, "hidden": (8,), "preset": False}
ANY = Options.checked(None, 0, None, None, False, False)


def train(path, env, **options):
    steepest.train("ppo", env, run_dir=path, total_steps=256, evaluation_episodes=0, **(SMALL | options))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("record") / "run", "CartPole-v1", keep_every=100)


def length(path):
    """Of a film, in seconds; its last picture, too."""
    with Image.open(path) as found:
        total = 0
        for index in range(found.n_frames):
            found.seek(index)
            total += found.info["duration"]
        return total / 1000, found.convert("RGB")


def test_whole_episodes_are_recorded_with_their_returns(run, tmp_path):
    made = record(run, episodes=2, out=tmp_path / "play.gif")
    assert [each.name for each in tmp_path.iterdir()] == ["play.gif"]
    assert [each.ended for each in made.episodes] == ["terminated"] * 2
    assert made.returns == tuple(float(each.length) for each in made.episodes)
    assert {each.trained_steps for each in made.episodes} == {256}
    seconds, last = length(made.path)
    # A step is shown for a fiftieth of a second, the first picture and the end for as long as they are.
    assert seconds == pytest.approx(sum(made.returns) / 50 + 2 * (1 + 0.5 / 25), abs=0.1)
    assert last.size == (600, 320)
    again = record(run, episodes=1, out=tmp_path / "again.gif", max_episode_steps=5, fps=10)
    assert again.episodes[0] == filming.RecordedEpisode(256, 5.0, 5, "cut")
    assert length(again.path)[0] == pytest.approx(1.5)
    assert json.loads(json.dumps(again.describe()))["episodes"][0]["ended"] == "cut"
    assert again._repr_html_().startswith('<img src="data:image/gif;base64,R0lGOD')


def test_all_kept_checkpoints_play_the_same_episode_one_after_the_other(run, monkeypatch, capsys):
    said = []
    monkeypatch.setattr(
        "steepest.video.captions.Captions.on",
        lambda self, picture, lines: said.append(lines) or Image.fromarray(picture),
    )
    assert main(["record", str(run), "--through-training", "--max-episode-steps", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["trained_steps"] for each in found["episodes"]] == [0, 128, 256]
    assert found["path"].startswith(str(run / "training."))
    assert said[0] == ["CartPole-v1 · ppo, seed 0", "after 0 of 256 steps", "step 0 · return 0.0"]
    assert said[-1] == ["CartPole-v1 · ppo, seed 0", "after 256 of 256 steps", "step 4 · return 4.0 · cut"]


class Noted(AbstractStage):
    """Another stage, and what was seen and done on it."""

    def __init__(self, stage):
        self._stage, self.render_fps = stage, stage.render_fps
        self.begin_again()

    def begin_again(self):
        self._stage.begin_again()
        self.obs, self.actions = [], []

    def reset(self):
        self.obs.append(self._stage.reset())
        return self.obs[-1]

    def step(self, action):
        found = self._stage.step(action)
        self.actions.append(action)
        self.obs.append(found.obs)
        return found

    def picture(self):
        return self._stage.picture()


@pytest.mark.parametrize("backend", ["compiled", "gymnasium", "envpool"])
def test_what_is_played_is_what_the_policy_does_elsewhere(backend):
    task = resolve("Pendulum-v1", backend)
    spec = steepest.Spec(task.observation_space, task.action_space, 1, 1, 200)
    algorithm = steepest.A2C(hidden=(8,), num_envs=1).build(spec)
    policy = TrainedPolicy(algorithm, algorithm.init(jax.random.key(0)))
    stage, played = Noted(open_stage(task, 3)), []
    for stochastic in (False, False, True):
        stage.begin_again()
        moments = list(play(stage, policy, episodes=1, limit=6, stochastic=stochastic, episode_seed=3))
        played.append((moments, stage.obs, stage.actions))
    (moments, obs, actions), again, drawn = played
    assert [each.steps for each in moments] == list(range(7))
    assert [each.ended for each in moments] == [""] * 6 + ["cut"]
    np.testing.assert_array_equal(obs, again[1])
    for seen, action in zip(obs, actions, strict=False):
        np.testing.assert_array_equal(policy(seen), np.clip(action, -2, 2))
    assert drawn[0][-1].earned != moments[-1].earned
    assert stage.picture().shape == (440, 600, 3)  # of Gymnasium's, too, where pygame is not installed


def test_of_envpools_tasks_those_are_seen_that_gymnasium_has_too():
    task = resolve("CartPole-v1", "envpool")
    other = dataclasses.replace(task, observation_space=steepest.Box(-1.0, 1.0, (5,)))
    with pytest.raises(InputError, match=r"its observation space is .*, and the run was made with Box\[5\]"):
        open_stage(other, 0)
    missing = dataclasses.replace(task, id="CartpoleBalance-v1")
    with pytest.raises(
        InputError, match=r"EnvPool's CartpoleBalance-v1 has no pictures, .* cannot be made: unknown environment"
    ):
        open_stage(missing, 0)


class Screen(gymnasium.Env):
    """Counts to five, and shows how far it is; its last picture is that of the fifth step."""

    observation_space = gymnasium.spaces.Box(0, 9, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2, start=3)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        assert action in (3, 4)
        self.time += 1
        return np.full(1, self.time, np.float32), 1.0, self.time == 5, False, {}

    def render(self):
        return np.full((300, 300, 3), 40 * self.time, np.uint8)


def test_gymnasiums_are_asked_for_pictures_to_the_last_step(tmp_path):
    path = train(tmp_path / "run", Screen, num_envs=2)
    made = record(path, out=tmp_path / "play.gif", episodes=2, env=Screen)
    assert [each.ended for each in made.episodes] == ["terminated"] * 2
    assert made.fps == 10
    seconds, last = length(made.path)
    assert seconds == pytest.approx(2 * (5 * 0.1 + 1))
    assert np.abs(np.asarray(last)[150, 150].astype(int) - 200).max() < 8

    blind = type("Screen", (Screen,), {"__init__": lambda self: Screen.__init__(self)})
    with pytest.raises(InputError, match=r"has render_mode None, so it has no pictures. Give a function that takes"):
        record(path, out=tmp_path / "none.gif", env=blind)
    ragged = type("Screen", (Screen,), {"render": lambda self: np.zeros((300 + self.time, 300, 3), np.uint8)})
    with pytest.raises(EnvironmentFault, match="a picture has 300 × 302 pixels, and the first had 300 × 300"):
        record(path, out=tmp_path / "none.gif", env=ragged)
    odd = type("Screen", (Screen,), {"render": lambda self: "nothing"})
    with pytest.raises(EnvironmentFault, match="render returned a str; it must return bytes"):
        record(path, out=tmp_path / "none.gif", env=odd)
    assert not (tmp_path / "none.gif").exists()


def test_an_environment_of_ones_own_draws_itself_or_says_how_it_could(tmp_path):
    path = train(tmp_path / "run", Corridor())
    with pytest.raises(InputError, match=r"Corridor has no pictures. Give its class a method draw\(state, action\)"):
        record(path, env=Corridor())

    class Seen(Corridor):
        def draw(self, state, action):
            return np.full((256, 256, 3), 30 * int(state), np.uint8)

    made = record(path, env=Seen(), out=tmp_path / "play.gif", episodes=1, max_episode_steps=3)
    assert made.path.stat().st_size > 500

    class Wrong(Corridor):
        def draw(self, state, action):
            return jnp.zeros((4, 4))

    with pytest.raises(EnvironmentFault, match=r"draw returned float32\[4, 4\]; it must return bytes"):
        record(path, env=Wrong(), out=tmp_path / "play.gif")


def test_ctrl_c_leaves_nothing(run, tmp_path, monkeypatch, capfd):
    draw, count = CartPole.draw, []

    def interrupted(self, state, action):
        count.append(1)
        if len(count) == 4:
            signal.raise_signal(signal.SIGINT)
        return draw(self, state, action)

    monkeypatch.setattr(CartPole, "draw", interrupted)
    assert main(["record", str(run), "--out", str(tmp_path / "play.gif")]) == 130
    assert "nothing of the recording is kept" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "play.avi"], "out is 'play.avi'; give a file that ends in .gif or .mp4."),
        (["--episodes", "0"], "episodes is 0; it must be"),
        (["--fps", "0"], "fps is 0.0; it must be above 0"),
        (["--fps", "nan"], "fps is nan; it must be"),
        (["--max-episode-steps", "0"], "max_episode_steps is 0; it must be"),
        (["--seed", "7"], "seed 7 is not among its seeds, [0]"),
        (["--episode-seed", "-1"], "episode_seed is -1; it must be"),
    ],
)
def test_wrong_words_get_one_line(run, words, says, capsys):
    for command in ("record", "watch") if "--out" not in words else ("record",):
        assert main([command, str(run), *words]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1


def test_without_the_extra_it_is_a_gif(run, monkeypatch):
    monkeypatch.setattr(filming, "video_installed", lambda: False)
    assert filming.default_path(run, through_training=False) == run / "play.gif"
    monkeypatch.setattr(filming, "video_installed", lambda: True)
    assert filming.default_path(run, through_training=True) == run / "training.mp4"


def test_an_episode_is_cut_where_there_is_no_time_limit():
    given = Options.checked(None, 0, 50, None, False, False)
    assert [ANY.limit(None), ANY.limit(500), given.limit(None), given.limit(500), given.limit(20)] == [
        1000, None, 50, 50, None,
    ]  # fmt: skip


def test_watch_opens_a_window_or_says_how_to_record(run, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["watch", str(run)]) == 2
    assert (
        f"no window can be opened here: there is no display. Record it instead: steepest record {run}"
        in capsys.readouterr().err
    )
    monkeypatch.setenv("DISPLAY", ":4321")
    assert main(["watch", str(run)]) == 2
    assert "neither Qt nor Tk nor GTK opens one on :4321 (pip install PyQt6" in capsys.readouterr().err
    shown = []
    monkeypatch.setattr(watching, "window_toolkit", lambda: "Agg")
    monkeypatch.setattr(watching, "_HELD", 0.0)
    monkeypatch.setattr(watching.Window, "show", lambda self, image: shown.append(image.size))
    steepest.watch(run, episodes=1, max_episode_steps=4, fps=200)
    assert shown == [(600, 320)] * len(shown)
    assert len(shown) >= 2


def test_a_display_that_does_not_answer_is_none(run, monkeypatch, capsys):
    monkeypatch.setenv("DISPLAY", "nowhere:0")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(pyplot, "get_backend", lambda: "tkagg")  # what was chosen while it still answered
    assert main(["watch", str(run)]) == 2
    assert f"Record it instead: steepest record {run}" in capsys.readouterr().err


@pytest.fixture
def display(monkeypatch):
    """A display with nothing in front of it."""
    if shutil.which("Xvfb") is None or importlib.util.find_spec("tkinter") is None:
        pytest.skip("there is no Xvfb on this machine, or no toolkit to open a window with")
    command = ["Xvfb", "-displayfd", "1", "-noreset", "-screen", "0", "1280x800x24"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        name = f":{server.stdout.readline().decode().strip()}"
        monkeypatch.setenv("DISPLAY", name)
        yield name
        server.terminate()


def test_a_window_shows_the_environment_and_playing_ends_with_it(run, display, monkeypatch):
    pictures, seen = [], []
    show, wait = watching.Window.show, watching.Window.wait

    def showing(window, picture):
        pictures.append(picture)
        show(window, picture)

    def looking(window, seconds):
        wait(window, seconds)
        seen.append(ImageGrab.grab(xdisplay=display))
        if len(seen) == 4:
            pyplot.close("all")  # as the cross of the window does

    monkeypatch.setattr(watching.Window, "show", showing)
    monkeypatch.setattr(watching.Window, "wait", looking)
    steepest.watch(run, fps=20)
    assert len(seen) == 4
    assert pyplot.get_fignums() == []
    window = seen[-1].crop(seen[-1].getbbox())  # the display is black
    assert window.width > pictures[-1].width
    off = np.abs(np.asarray(window.resize(pictures[-1].size), float) - np.asarray(pictures[-1].convert("RGB"), float))
    assert off.mean() < 4  # of 255: the window is another size
