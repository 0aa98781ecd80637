"""Reproducibility study of "Rich Feature Distillation with Feature Affinity Module for Efficient Image Dehazing"."""

__version__ = "0.1.0"
