"""Scores on any two folders of images, of whatever size."""

from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from dehazelib.data.folder_pairs import open_folders
from dehazelib.deploy.photos import dehaze
from dehazelib.evaluation.scores import scores
from dehazelib.experiments.spec import Spec


class _Deployed(nn.Module):
    """A network as photographs meet it: the student runs in strips where an image is large."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return dehaze(images, self.network)


def folder_scores(network: nn.Module, hazy: Path, clear: Path, pattern: str | None = None) -> dict[str, pd.DataFrame]:
    """Returns one row per image, as `scores`, of the "hazy input" itself and of what is "dehazed" by the network.

    Arguments and errors as of `open_folders`.
    """
    pairs = open_folders(hazy, clear, pattern)
    return {"hazy input": scores(nn.Identity(), Spec(), pairs), "dehazed": scores(_Deployed(network), Spec(), pairs)}
