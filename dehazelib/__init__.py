"""Reproducibility study of "Rich Feature Distillation with Feature Affinity Module for Efficient Image Dehazing"."""

import os

__version__ = "0.1.0"

# Waiting OpenMP threads spin by default; when anything else wants the same core, a step then takes 20 times as long.
# Read when torch is first imported, so the Makefile sets it too.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def __getattr__(name):
    if name == "Study":  # on first use, because it needs the packages of the study
        from dehazelib.study import Study

        return Study
    raise AttributeError(f"module 'dehazelib' has no attribute {name!r}")


def dehaze(image, weights=None):
    """Returns the dehazed image, of the same type and size: a PIL image, a uint8 array (H, W, 3) or tensor in [0, 1].

    weights: a student's .safetensors file, by default the shipped one, or a loaded network. See dehazelib.inference.
    """
    from dehazelib.deploy import photos as inference  # here, because it imports torch

    return inference.dehaze(image, weights)
