"""A network and a test set -> one row of scores per image."""

from collections.abc import Iterator

import pandas as pd
import torch
from torch import Tensor, nn

from dehazelib.data.pairs import Pairs
from dehazelib.experiments.spec import Spec
from dehazelib.metrics import psnr_rgb, ssim_gauss11_rgb, ssim_uniform7_rgb
from dehazelib.profiling.allocator import freed_memory_kept
from dehazelib.resampling import super_resolution_pair


def task_pairs(spec: Spec, pairs: Pairs) -> Pairs:
    """Returns the images that a task is evaluated on: all pairs, or for super-resolution each clear scene once."""
    return pairs.scenes() if spec.task == "super_resolution" else pairs


@torch.no_grad()
def images(network: nn.Module, spec: Spec, pairs: Pairs) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    """Yields (name, input, output, target) per image, each (1, 3, H, W) on the CPU, outputs clamped to [0, 1].

    The network computes where its parameters lie, and its convolutions in full float32: above 50 dB one sees the
    rounding to TF32 that a GPU would else do.
    """
    pairs = task_pairs(spec, pairs)
    training, device = network.training, next((p.device for p in network.parameters()), torch.device("cpu"))
    network.eval()
    try:
        for i, pair in enumerate(pairs.pairs):
            inputs, target = (x[None] for x in pairs[i])
            if spec.task == "super_resolution":
                inputs, target = super_resolution_pair(target, spec.target, getattr(network, "scale", 2))
            oracle = (target.to(device),) if getattr(network, "needs_ground_truth", False) else ()
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                output = network(inputs.to(device), *oracle).float().cpu().clamp(0, 1)
            yield pair.name, inputs, output, target
    finally:
        network.train(training)


def mean_psnr(network: nn.Module, spec: Spec, pairs: Pairs) -> float:
    """Returns the mean PSNR in dB over all images of a set."""
    scores = [psnr_rgb(output, target) for _, _, output, target in images(network, spec, pairs)]
    return torch.cat(scores).mean().item()


@freed_memory_kept()
def scores(network: nn.Module, spec: Spec, pairs: Pairs) -> pd.DataFrame:
    """Returns one row per image: test_set, image, psnr_rgb, ssim_gauss11_rgb, ssim_uniform7_rgb."""
    rows = [
        {
            "test_set": pairs.name,
            "image": name,
            "psnr_rgb": psnr_rgb(output, target).item(),
            "ssim_gauss11_rgb": ssim_gauss11_rgb(output, target).item(),
            "ssim_uniform7_rgb": ssim_uniform7_rgb(output, target).item(),
        }
        for name, _, output, target in images(network, spec, pairs)
    ]
    return pd.DataFrame(rows, columns=["test_set", "image", "psnr_rgb", "ssim_gauss11_rgb", "ssim_uniform7_rgb"])


def panel(network: nn.Module, spec: Spec, pairs: Pairs) -> tuple[list[tuple[str, list]], list[list[str]]]:
    """Returns rows and captions for figures.image_grid: hazy input, dehazed and ground truth, with PSNR in dB."""
    rows = {"hazy input": [], "dehazed": [], "ground truth": []}
    captions = [[], [], []]
    for name, hazy, output, target in images(network, spec, pairs):
        for row, image in zip(rows.values(), (hazy, output, target)):
            row.append(array(image))
        captions[0].append(f"{psnr_rgb(hazy, target).item():.1f} dB")
        captions[1].append(f"{psnr_rgb(output, target).item():.1f} dB")
        captions[2].append(name)
    return list(rows.items()), captions


def array(image: Tensor):
    """Returns a (1, 3, H, W) or (3, H, W) image as a NumPy array (H, W, 3), for drawing."""
    return image.reshape(image.shape[-3:]).permute(1, 2, 0).numpy()


def pixels(image: Tensor):
    """Returns such an image as a NumPy array (H, W, 3) of bytes."""
    return (array(image) * 255).round().astype("uint8")
