"""Pictures of Gymnasium's environments: MuJoCo's without a display, and one line where there are none."""

import importlib.util
import os
import subprocess
import sys
import types

import gymnasium
import numpy as np
import pytest

from steepest.core.errors import EnvironmentFault, InputError
from steepest.envs.adapters import rendering
from steepest.envs.adapters.gymnasium import make
from steepest.envs.adapters.rendering import picture_of


def test_mujoco_is_drawn_without_a_display(monkeypatch):
    pytest.importorskip("mujoco")
    for name in ("MUJOCO_GL", "DISPLAY"):
        monkeypatch.setenv(name, "")
    if not any(map(rendering._draws, rendering._GRAPHICS)):
        pytest.skip("neither libegl1 nor libosmesa6 is installed")
    env = make("HalfCheetah-v5", num_envs=1, seed=0, render=True)
    env.reset()
    picture = env.picture(None)
    assert picture.shape == (480, 480, 3)
    assert 20 < picture.mean() < 235
    # The checks of the floor are smaller where it is further away, and that is above.
    changes = (np.abs(np.diff(picture[:, :, 0].astype(int), axis=1)) > 60).sum(axis=1)
    assert changes[:60].mean() > 1.2 * changes[-60:].mean()
    assert env.render_fps == 20
    env.close()


def test_where_nothing_draws_mujoco_it_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", types.ModuleType("mujoco"))
    monkeypatch.setattr(rendering, "_draws", lambda graphics: False)
    for name in ("MUJOCO_GL", "DISPLAY"):
        monkeypatch.setenv(name, "")
    with pytest.raises(InputError, match=r"Run: apt-get install libegl1 \(or libosmesa6\), or set MUJOCO_GL to"):
        picture_of("HalfCheetah-v5", gymnasium.Env(), None)


def test_a_word_for_graphics_that_mujoco_does_not_know_is_one_line():
    """In another process, since what MuJoCo draws with is decided when it is imported."""
    pytest.importorskip("mujoco")
    code = """
from steepest.core.errors import InputError
from steepest.envs.tasks import resolve
try:
    resolve("HalfCheetah-v5", "gymnasium")
except InputError as error:
    print(error)
"""
    environment = os.environ | {"MUJOCO_GL": "paint"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "MuJoCo has nothing to draw with (invalid value for environment variable MUJOCO_GL: paint)" in done.stdout


def test_what_an_environment_needs_for_its_pictures_is_named():
    if importlib.util.find_spec("pygame"):
        pytest.skip("pygame is installed")
    env = make("FrozenLake-v1", num_envs=1, seed=0, render=True)
    env.reset()
    with pytest.raises(InputError, match=r"FrozenLake-v1 cannot be drawn: pygame is not installed, run `pip install"):
        env.picture(None)


def test_an_environment_that_raises_is_named_with_the_place():
    class Broken(gymnasium.Env):
        def render(self):
            raise ZeroDivisionError("by a mistake")

    with pytest.raises(
        EnvironmentFault, match=r"Broken raised ZeroDivisionError: by a mistake, at .*test_rendering.py"
    ):
        picture_of("Broken", Broken(), None)


def test_the_pace_is_what_the_environment_says_of_it():
    env = gymnasium.Env()
    assert rendering.frames_per_second(env) == 30
    env.metadata = {"render_fps": 12}
    assert rendering.frames_per_second(env) == 12
