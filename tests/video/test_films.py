"""Films: what is written is what was shown, for as long as it was, and never half of it."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageSequence

from steepest.core.errors import InputError, StorageFault
from steepest.video import films
from steepest.video.captions import Captions
from steepest.video.films import check_film, film, stride_of


def images(count=12, size=(64, 48)):
    """A square that moves, and turns green half-way: a colour that the first pictures do not have."""
    made = []
    for number in range(count):
        image = Image.new("RGB", size, (240, 235, 225))
        colour = (200, 60, 40) if number < count / 2 else (30, 160, 60)
        ImageDraw.Draw(image).rectangle((2 * number, 10, 2 * number + 9, 19), fill=colour)
        made.append(image)
    return made


def seen(path):
    with Image.open(path) as found:
        return [(np.asarray(each.convert("RGB")), each.info["duration"]) for each in ImageSequence.Iterator(found)]


def test_a_gif_shows_what_it_was_given_for_as_long_as_it_was_said(tmp_path):
    path = tmp_path / "made" / "play.gif"
    given = images(20)
    with film(path, 30.0) as made:
        for image in given:
            made.add(image, 1 / 30)
    found = seen(path)
    assert len(found) == len(given)
    for (array, _), image in zip(found, given, strict=True):
        assert np.abs(array.astype(int) - np.asarray(image)).max() <= films._FAR
    durations = [duration for _, duration in found]
    assert set(durations) == {30, 40}  # hundredths of a second, whose errors are carried on
    assert sum(durations) == pytest.approx(20 / 30 * 1000, abs=10)
    assert path.read_bytes()[:6] == b"GIF89a"
    assert b"NETSCAPE2.0\x03\x01\x00\x00\x00" in path.read_bytes()  # again and again
    assert [each.name for each in path.parent.iterdir()] == ["play.gif"]


def test_a_picture_that_does_not_change_is_shown_for_longer(tmp_path):
    first, second = images(2)
    with film(tmp_path / "play.gif", 20.0) as made:
        for image in (first, first, first, second):
            made.add(image, 0.05)
    assert [duration for _, duration in seen(tmp_path / "play.gif")] == [150, 50]


def test_a_video_shows_what_it_was_given(tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path, given = tmp_path / "play.mp4", images()
    with film(path, 20.0) as made:
        for image in given:
            made.add(image, 1 / 20)
        made.add(given[-1], 0.2)
    assert [each.name for each in tmp_path.iterdir()] == ["play.mp4"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert "h264" in done.stderr.decode()
    assert "64x48, " in done.stderr.decode()
    assert ", 20 fps" in done.stderr.decode()
    shown = np.frombuffer(done.stdout, np.uint8).reshape(-1, 48, 64, 3)
    assert len(shown) == len(given) + 4
    for array, image in zip(shown, [*given, *[given[-1]] * 4], strict=True):
        assert np.abs(array.astype(int) - np.asarray(image)).mean() < 8


@pytest.mark.parametrize("name", ["play.gif", "play.mp4"])
def test_where_it_is_interrupted_nothing_is_left_and_what_was_there_stays(tmp_path, name):
    (tmp_path / name).write_bytes(b"before")

    def interrupted():
        with film(tmp_path / name, 20.0) as made:
            for image in images():
                made.add(image, 0.05)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [(name, b"before")]


def test_what_a_killed_process_left_goes_and_what_another_writes_stays(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, theirs = tmp_path / f".play.gif.{ended.pid}.tmp", tmp_path / ".play.gif.1.tmp"
    for each in (left, theirs):
        each.write_bytes(b"half")
    with film(tmp_path / "play.gif", 20.0) as made:
        made.add(images(1)[0], 0.05)
    assert not left.exists()
    assert theirs.exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFault, match="cannot be written"), film(tmp_path / "file" / "play.gif", 20.0):
        pass


def test_names_that_no_film_can_have_are_refused(monkeypatch):
    check_film("play.GIF")
    with pytest.raises(InputError, match=r"out is 'play.avi'; give a file that ends in .gif or .mp4"):
        check_film("play.avi")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"Run: pip install 'steepest\[video\]', or give a file that ends in .gif"):
        check_film("play.mp4")


def test_films_play_at_the_speed_that_is_asked_for():
    assert [stride_of(".gif", speed) for speed in (5, 30, 34, 50, 100)] == [1, 1, 1, 2, 3]
    assert [stride_of(".mp4", speed) for speed in (30, 60, 61)] == [1, 1, 2]


def test_words_stand_in_the_corner_and_small_pictures_are_enlarged():
    captions = Captions()
    picture = np.zeros((300, 301, 3), np.uint8)
    image = np.asarray(captions.on(picture, ["step 1,000,000", "return 3.0"]))
    assert image.shape == (300, 302, 3)
    changed = np.argwhere(image.any(axis=-1))
    assert changed.min() >= 8
    assert changed.max() < 160
    narrow = np.asarray(captions.on(picture, ["x", "y"])).any(axis=-1)
    assert (narrow == image.any(axis=-1)).all()  # the field stays as wide as it was
    small = np.random.default_rng(0).integers(0, 255, (64, 50, 3), np.uint8)
    np.testing.assert_array_equal(np.asarray(captions.on(small, []))[::6, ::6], small)
