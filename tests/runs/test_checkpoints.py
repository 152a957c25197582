"""Checkpoints that cannot lie: whole or not there, of the seed and the update that they stand for."""

import errno
import hashlib
import json
import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from steepest.core import files
from steepest.core.errors import InputError, StorageFault
from steepest.runs import checkpoints


class State(eqx.Module):
    weights: jax.Array
    update: jax.Array
    steps: jax.Array
    key: jax.Array


def state(seed, update=7):
    key = jax.random.key(seed)
    whole = jnp.int32
    return State(
        jax.random.normal(key, (3, 2)), jnp.asarray(update, whole), jnp.asarray(10 * (update % 1000), whole), key
    )


def save(directory, seed=1, update=7):
    return checkpoints.save(
        directory, state(seed, update), seed=seed, update=update, steps=10 * (update % 1000), fingerprint="mine"
    )


def like():
    return jax.eval_shape(lambda: state(0))


def load(path, seed=1, **options):
    return checkpoints.load(path, like(), **{"fingerprint": "mine", "seed": seed, **options})


def newest(directory, seed=1, **options):
    return checkpoints.newest(directory, like(), **{"fingerprint": "mine", "seed": seed, **options})


def rewrite(manifest, **changes):
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))


def test_a_tree_comes_back_bit_for_bit_keys_and_scalars_too(tmp_path):
    found, manifest = load(save(tmp_path))
    jax.tree.map(np.testing.assert_array_equal, found.weights, state(1).weights)
    assert found.update == 7
    np.testing.assert_array_equal(jax.random.key_data(found.key), jax.random.key_data(state(1).key))
    assert (manifest.update, manifest.steps) == (7, 70)


def test_the_newest_two_are_kept_and_nothing_temporary_stays(tmp_path):
    for update in (1, 2, 999_999_999, 1_000_000_000):
        save(tmp_path, update=update)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{update:09d}.{suffix}" for update in (1_000_000_000, 999_999_999) for suffix in ("json", "safetensors")
    ]
    assert checkpoints.latest(tmp_path).stem == "1000000000"
    assert checkpoints.latest(tmp_path / "none") is None


def cut_short(arrays, _):
    arrays.write_bytes(arrays.read_bytes()[:-5])


def flipped(arrays, _):
    content = bytearray(arrays.read_bytes())
    content[-3] ^= 4
    arrays.write_bytes(content)


def sparse(arrays, _):
    with arrays.open("wb") as file:
        file.truncate(10**13)  # none of it is on the disk


def not_arrays(arrays, manifest):
    """And a digest that says they are."""
    arrays.write_bytes(b"\x80\x04\x95")
    rewrite(manifest, sha256=hashlib.sha256(b"\x80\x04\x95").hexdigest())


def of_another_update(arrays, manifest):
    content = safetensors.numpy.save(checkpoints._flatten(state(1, 8)))
    arrays.write_bytes(content)
    rewrite(manifest, sha256=hashlib.sha256(content).hexdigest())


DAMAGES = [
    (cut_short, "does not match the SHA-256.*cut short"),
    (flipped, "does not match the SHA-256"),
    (lambda arrays, _: arrays.write_bytes(b""), "does not match the SHA-256"),
    (lambda arrays, _: arrays.unlink(), "No such file"),
    (sparse, "it has 10000000000000 bytes, and at most"),
    (not_arrays, "not a file of arrays"),
    (of_another_update, "update inside is not what its manifest and place say"),
    (lambda _, manifest: manifest.write_text(""), "its manifest is not valid JSON"),
    (lambda _, manifest: manifest.write_text("{"), "its manifest is not valid JSON"),
    (lambda _, manifest: manifest.write_text("[" * 50_000), "its manifest is not valid JSON"),
    (lambda _, manifest: manifest.write_bytes(b"\xff\xfe"), "its manifest is not valid JSON"),
    (lambda _, manifest: manifest.write_text("[" * 100_000), "it has 100000 bytes, and at most 65536 are possible"),
    (lambda _, manifest: manifest.write_text("[]"), "its manifest does not hold seed, update"),
    (lambda _, manifest: manifest.write_text('{"seed": 0}'), "its manifest does not hold seed, update"),
    (lambda _, manifest: rewrite(manifest, seed="1"), "its manifest does not hold seed, update"),
    (lambda _, manifest: rewrite(manifest, seed=2), "says seed 2, update 7; it lies where seed 1, update 7 belongs"),
    (lambda _, manifest: rewrite(manifest, update=8), "says seed 1, update 8; it lies where seed 1, update 7"),
    (lambda _, manifest: rewrite(manifest, steps=71), "steps inside is not what its manifest and place say"),
    (lambda _, manifest: rewrite(manifest, fingerprint="other"), "made by another configuration"),
    (lambda _, manifest: rewrite(manifest, sha256="0" * 64), "does not match the SHA-256"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_where_the_newest_is_damaged_the_one_before_it_is_taken_and_that_is_said(tmp_path, damage, message):
    save(tmp_path, update=6)
    path = save(tmp_path)
    damage(path.with_suffix(".safetensors"), path)
    with pytest.raises(InputError, match=message):
        load(path)
    found = newest(tmp_path)
    assert found.manifest.update == found.tree.update == 6
    (notice,) = found.notices
    assert message.split(".*")[0] in notice
    assert notice.endswith("Taken in its place: update 6, before it.")
    # What is learnt from there on is newer than what was damaged, and that is no longer in the way.
    save(tmp_path, update=7)
    assert newest(tmp_path).passed == ()
    assert {path.stem for path in tmp_path.iterdir()} == {"000000006", "000000007"}


@pytest.mark.parametrize(("damage", "message"), DAMAGES[:-2])
def test_where_none_is_whole_it_is_refused_with_the_way_out(tmp_path, damage, message):
    save(tmp_path, update=6).with_suffix(".safetensors").write_bytes(b"")
    path = save(tmp_path)
    damage(path.with_suffix(".safetensors"), path)
    with pytest.raises(InputError, match=rf"{message}.* None of the 2 is whole. Delete .* to start this seed anew"):
        newest(tmp_path)


def test_what_is_later_than_a_checkpoint_that_is_saved_is_removed(tmp_path):
    save(tmp_path, update=5)
    save(tmp_path, update=9).write_text("damaged")
    assert newest(tmp_path).manifest.update == 5
    save(tmp_path, update=6)
    assert [path.stem for path in checkpoints.manifests(tmp_path)] == ["000000006", "000000005"]


def test_checkpoints_of_two_seeds_that_were_swapped_are_refused(tmp_path):
    for seed in (1, 2):
        save(tmp_path / str(seed), seed=seed)
    (tmp_path / "1").rename(tmp_path / "3")
    (tmp_path / "2").rename(tmp_path / "1")
    with pytest.raises(InputError, match="says seed 2, update 7; it lies where seed 1, update 7 belongs"):
        newest(tmp_path / "1")
    # Though the manifest was changed too, the key inside is that of the other seed.
    rewrite(checkpoints.latest(tmp_path / "1"), seed=1)
    known = {".key": np.asarray(jax.random.key_data(jax.random.key(1)))}
    with pytest.raises(InputError, match="key inside is not what its manifest and place say"):
        newest(tmp_path / "1", known=known)
    assert newest(tmp_path / "3", known=known).manifest.seed == 1


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    path = save(tmp_path)
    with pytest.raises(InputError, match="made by another configuration"):
        newest(tmp_path, fingerprint="other")
    wider = jax.eval_shape(lambda: eqx.tree_at(lambda each: each.weights, state(0), jnp.zeros((4, 2))))
    with pytest.raises(InputError, match=r"\.weights is float32\[3, 2\]; the configuration needs float32\[4, 2\]"):
        checkpoints.load(path, wider, fingerprint="mine", seed=1)


def test_files_that_are_none_of_its_own_stay(tmp_path):
    for name in ("notes.json", "1.json", "model.safetensors"):
        (tmp_path / name).write_text("mine")
    save(tmp_path)
    assert newest(tmp_path).manifest.update == 7
    assert {"notes.json", "1.json", "model.safetensors"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("which", ["first", "second"])
def test_a_full_disk_leaves_the_checkpoint_before_it_and_nothing_half_written(tmp_path, monkeypatch, call, which):
    """At every call that may fail, of the arrays and of the manifest."""
    save(tmp_path, update=6)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    full = FullDisk(monkeypatch, call, after=1 if which == "second" else 0)
    with pytest.raises(StorageFault, match=r"it cannot be written \(No space left on device\). Make room") as error:
        save(tmp_path)
    assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    full.restored()
    save(tmp_path)
    assert newest(tmp_path).manifest.update == 7


class FullDisk:
    """Lets one call of the operating system fail, after so many of the kind."""

    def __init__(self, monkeypatch, call, after):
        self.left, self._patches = after, monkeypatch
        owner, name = {
            "open": (files.pathlib.Path, "open"),
            "write": (files.os, "write"),
            "fsync": (files.os, "fsync"),
            "replace": (files.pathlib.Path, "replace"),
        }[call]
        true = getattr(owner, name)

        def fails(*arguments, **options):
            if call == "open" and "x" not in "".join(map(str, arguments[1:])):
                return true(*arguments, **options)
            if self.left:
                self.left -= 1
                return true(*arguments, **options)
            if call == "write":
                true(arguments[0], arguments[1][:5])  # half of it was written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(owner, name, fails)

    def restored(self):
        self._patches.undo()


def test_what_a_killed_process_left_is_removed_by_the_next_save(tmp_path):
    save(tmp_path, update=6)
    for name in (".000000007.safetensors.123.tmp", ".000000007.json.123.tmp", "000000007.safetensors"):
        (tmp_path / name).write_bytes(b"half")
    save(tmp_path, update=8)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{update:09d}.{suffix}" for update in (6, 8) for suffix in ("json", "safetensors")
    ]


def test_nothing_is_written_through_a_link(tmp_path):
    target = tmp_path / "target"
    target.write_text("mine")
    path = tmp_path / "config.json"
    for link in (path, tmp_path / f".config.json.{os.getpid()}.tmp"):
        link.symlink_to(target)
    files.write_atomically(path, b"new")
    assert target.read_text() == "mine"
    assert path.read_text() == "new"
    assert not path.is_symlink()


def test_besides_the_newest_two_the_first_of_every_so_many_steps_stays(tmp_path):
    def kept(steps, keep_every):
        for update, at in enumerate(steps):
            checkpoints.save(
                tmp_path, state(1, update), seed=1, update=update, steps=at, fingerprint="mine", keep_every=keep_every
            )
        assert len(list(tmp_path.iterdir())) == 2 * len(checkpoints.manifests(tmp_path))
        return [checkpoints.read_manifest(path).steps for path in reversed(checkpoints.manifests(tmp_path))]

    assert kept([0, 60, 100, 130, 210, 260, 290], 100) == [0, 100, 210, 260, 290]
    checkpoints.manifests(tmp_path)[-2].write_text("{}")  # one that is damaged is not among them
    save(tmp_path, update=7)
    assert [int(path.stem) for path in checkpoints.manifests(tmp_path)] == [7, 6]
    assert kept([0, 60, 100], 0) == [60, 100]
