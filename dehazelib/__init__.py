"""Reproducibility study of "Rich Feature Distillation with Feature Affinity Module for Efficient Image Dehazing"."""

import os

__version__ = "0.1.0"

# Waiting OpenMP threads spin by default; when anything else wants the same core, a step then takes 20 times as long.
# Read when torch is first imported, so the Makefile sets it too.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
