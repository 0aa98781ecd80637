"""Reproducibility study of "Rich Feature Distillation with Feature Affinity Module for Efficient Image Dehazing"."""

import os
import warnings

__version__ = "0.1.0"

# Waiting OpenMP threads spin by default; when anything else wants the same core, a step then takes 20 times as long.
# Read when torch is first imported, so the Makefile sets it too.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# pooch, which finds scikit-image's photographs, warns in a notebook of widgets that nothing here uses.
warnings.filterwarnings("ignore", message="IProgress not found")


def __getattr__(name):
    if name == "Study":  # on first use, because it needs the packages of the study
        from dehazelib.study import Study

        return Study
    raise AttributeError(f"module 'dehazelib' has no attribute {name!r}")


def dehaze(image, weights=None, strength=1.0):
    """Returns the dehazed image, of the same type and size: a PIL image, an array (H, W, 3), or a tensor in [0, 1].

    weights: the name of a set that comes along, a student's .safetensors file, or a loaded network. strength: from 0,
    which changes nothing, to 1. See dehazelib.deploy.photos.
    """
    from dehazelib.deploy import photos  # here, because it imports torch

    return photos.dehaze(image, weights, strength)
