"""Demonstrations in files."""

import jax
import numpy as np
import pytest

from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError
from steepest.core.spaces import MaskedObservation
from steepest.runs import demonstration_files as files

GIVEN = Demonstrations(np.arange(6, dtype=np.float32).reshape(3, 2), [1, 0, 1], [0, 0, 1])


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@pytest.mark.parametrize("episode", [None, GIVEN.episode])
def test_what_is_saved_comes_back(tmp_path, suffix, episode):
    path = tmp_path / f"file{suffix}"
    files.save(path, Demonstrations(GIVEN.obs, GIVEN.action, episode))
    found = files.load(path)
    for one, other in ((found.obs, GIVEN.obs), (found.action, GIVEN.action), (found.episode, episode)):
        assert (one is None) == (other is None)
        assert one is None or (one.dtype == other.dtype and np.array_equal(one, other))


def test_the_digest_is_that_of_the_file(tmp_path):
    path = tmp_path / "file.safetensors"
    files.save(path, GIVEN)
    right = files.digest(files.encode(GIVEN))
    assert len(files.load(path, sha256=right)) == 3
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(InputError, match="does not match the SHA-256"):
        files.load(path, sha256=right)


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("it was executed",))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"observations": np.zeros(3), "action": np.zeros(3)}, "no array 'obs', only"),
        ({"obs": np.zeros(3)}, "no array 'action'"),
        ({"obs": np.array([Trap()]), "action": np.zeros(1)}, "not a file of arrays .*allow_pickle=False"),
    ],
)
def test_other_arrays_are_refused_and_nothing_is_executed(tmp_path, arrays, message):
    path = tmp_path / "file.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message):
        files.load(path)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@pytest.mark.parametrize("keep", [0, 30, -5])
def test_a_file_cut_short_is_refused(tmp_path, suffix, keep):
    path = tmp_path / f"file{suffix}"
    files.save(path, GIVEN)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a file of arrays"):
        files.load(path)


def test_names_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.safetensors or \.npz"):
        files.save(tmp_path / "file.pkl", GIVEN)
    with pytest.raises(InputError, match="No such file or directory"):
        files.load(tmp_path / "file.npz")
    with pytest.raises(InputError, match=r"there is no directory .*nowhere"):
        files.save(tmp_path / "nowhere" / "file.npz", GIVEN)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_trees_and_masks_come_back(tmp_path, suffix):
    seen = {'a "key"]': (np.zeros((2, 2)), np.ones(2, int)), "b": [3, 4]}
    mask = np.array([[True, False], [True, True]])
    given = Demonstrations(MaskedObservation(seen, mask), ([0, 1], np.array([[0.5], [0.1]])))
    files.save(tmp_path / f"file{suffix}", given)
    found = files.load(tmp_path / f"file{suffix}")
    assert jax.tree.structure((found.obs, found.action)) == jax.tree.structure((given.obs, given.action))
    jax.tree.map(np.testing.assert_array_equal, (found.obs, found.action), (given.obs, given.action))


@pytest.mark.parametrize(
    "names", [["obs[0]", "obs[2]"], ["obs[0", "x"], ["obs[0]", "obs[0][1]"], ["obs" + "[0]" * 101]]
)
def test_names_of_no_tree_are_refused(tmp_path, names):
    np.savez(tmp_path / "file.npz", **dict.fromkeys([*names, "action"], np.zeros(2)))
    with pytest.raises(InputError, match="not a file of arrays"):
        files.load(tmp_path / "file.npz")
