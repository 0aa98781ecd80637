"""The student in Hugging Face's layout: to a folder and back, and pushed to a repository."""

import json

import numpy as np
import pytest
import torch

import dehazelib
from dehazelib import paths
from dehazelib.deploy import inference

hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def dehazer():
    from dehazelib.deploy.hub import Dehazer

    return Dehazer


def test_a_folder_holds_weights_settings_and_card_and_comes_back_the_same(tmp_path, dehazer):
    dehazer.shipped("sots").save_pretrained(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert (tmp_path / "README.md").read_text().strip() == (paths.WEIGHTS / "README.md").read_text().strip()
    loaded = dehazer.from_pretrained(tmp_path)
    image = np.random.default_rng(0).integers(90, 200, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(dehazelib.dehaze(image, loaded), dehazelib.dehaze(image, "sots"))
    model = inference.load(tmp_path / "model.safetensors")  # the file is one that --weights takes
    assert torch.equal(model.head.weight, loaded.head.weight)


def test_other_widths_are_kept_and_other_weights_claim_nothing(tmp_path, dehazer):
    dehazer(channels=32, groups=2, inner_blocks=1).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {"channels": 32, "groups": 2, "inner_blocks": 1}
    assert dehazer.from_pretrained(tmp_path).head.out_channels == 32
    card = hub.ModelCard.load(tmp_path / "README.md")
    assert card.data.library_name == "dehazelib" and "SOTS" not in card.text


def test_the_three_files_are_pushed(tmp_path, dehazer, monkeypatch):
    pushed = {}

    def upload_folder(self, *, repo_id, folder_path, **_):
        pushed[repo_id] = sorted(path.name for path in folder_path.iterdir())

    monkeypatch.setattr(hub.HfApi, "create_repo", lambda self, repo_id, **_: type("Repo", (), {"repo_id": repo_id})())
    monkeypatch.setattr(hub.HfApi, "upload_folder", upload_folder)
    dehazer.shipped().push_to_hub("owner/student")
    assert pushed == {"owner/student": ["README.md", "config.json", "model.safetensors"]}


def test_a_pickle_is_refused(dehazer):
    with pytest.raises(ValueError, match="pytorch_model.bin: is a pickle"):
        dehazer._load_as_pickle(dehazer(), "pytorch_model.bin", "cpu", True)
