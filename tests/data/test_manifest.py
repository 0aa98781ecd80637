import hashlib
import importlib
import json
import os

import pandas as pd
import pytest

from dehazelib.data.manifest import manifest, manifest_id

module = importlib.import_module("dehazelib.data.manifest")


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "data"
    (root / "sub").mkdir(parents=True)
    (root / "b.png").write_bytes(b"bee")
    (root / "sub/a.png").write_bytes(b"ay")
    return root, [root / "sub/a.png", root / "b.png"], tmp_path / "cache"


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files whose contents were read."""
    names, original = [], module.sha256
    monkeypatch.setattr(module, "sha256", lambda path: names.append(path.name) or original(path))
    return names


def test_manifest_lists_name_size_and_sum(files):
    root, paths, cache = files
    expected = [("b.png", 3, hashlib.sha256(b"bee").hexdigest()),
                ("sub/a.png", 2, hashlib.sha256(b"ay").hexdigest())]
    pd.testing.assert_frame_equal(manifest(paths, root, cache),
                                  pd.DataFrame(expected, columns=["name", "bytes", "sha256"]))


def test_id_does_not_depend_on_order_place_or_cache(files, tmp_path):
    root, paths, cache = files
    first = manifest_id(manifest(paths, root, cache))
    assert manifest_id(manifest(paths[::-1], root, tmp_path / "other")) == first
    assert manifest_id(manifest(paths, root, cache).iloc[::-1]) == first
    moved = root.rename(tmp_path / "moved")
    assert manifest_id(manifest([moved / "b.png", moved / "sub/a.png"], moved, cache)) == first


def test_id_changes_with_contents_and_with_names(files):
    root, paths, cache = files
    ids = {manifest_id(manifest(paths, root, cache))}
    paths[1].write_bytes(b"wasp")
    ids.add(manifest_id(manifest(paths, root, cache)))
    ids.add(manifest_id(manifest([paths[0], paths[1].rename(root / "c.png")], root, cache)))
    assert len(ids) == 3


def test_second_call_reads_no_contents(files, hashed):
    root, paths, cache = files
    first = manifest(paths, root, cache)
    assert sorted(hashed) == ["a.png", "b.png"]
    pd.testing.assert_frame_equal(manifest(paths, root, cache), first)
    assert len(hashed) == 2


def test_a_file_changed_at_equal_size_is_hashed_again(files, hashed):
    root, paths, cache = files
    manifest(paths, root, cache)
    paths[1].write_bytes(b"ant")
    os.utime(paths[1], ns=(1, 1))
    table = manifest(paths, root, cache)
    assert hashed[2:] == ["b.png"]
    assert table["sha256"][0] == hashlib.sha256(b"ant").hexdigest()


def test_a_damaged_cache_is_built_anew(files):
    root, paths, cache = files
    first = manifest(paths, root, cache)
    (cache / "sha256.json").write_text('{"half')
    pd.testing.assert_frame_equal(manifest(paths, root, cache), first)
    assert len(json.loads((cache / "sha256.json").read_text())) == 2


def test_data_linked_into_the_root_are_named_by_their_place_there(files, tmp_path):
    root, _, cache = files
    link = tmp_path / "link"
    link.mkdir()
    (link / "ITS").symlink_to(root / "sub")
    assert list(manifest([link / "ITS/a.png"], link, cache)["name"]) == ["ITS/a.png"]


def test_files_absent_outside_the_root_or_given_twice_are_told(files):
    root, paths, cache = files
    with pytest.raises(FileNotFoundError, match="gone.png"):
        manifest([root / "gone.png"], root, cache)
    with pytest.raises(ValueError, match="b.png: not below"):
        manifest(paths, root / "sub", cache)
    with pytest.raises(ValueError, match="b.png: given twice"):
        manifest([*paths, root / "b.png"], root, cache)
