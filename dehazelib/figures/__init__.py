"""The study's figures: each function takes tables or arrays and returns a matplotlib figure, which `save` writes.

    from dehazelib import figures
    figures.save(figures.pareto(table5), "pareto.png")
"""

from dehazelib.figures.compute import affinity_accuracy, affinity_memory, latency_psnr, roofline
from dehazelib.figures.curves import (
    compared_curves,
    gradient_share,
    learning_curves,
    scaling,
    stages,
    teacher_curves,
)
from dehazelib.figures.diagrams import figure1, figure2, figure3, figure4
from dehazelib.figures.images import dataset, dehazed, error_overlay, image_grid
from dehazelib.figures.scores import gain_by_budget, gains, haze_levels, pareto, scores_by_label
from dehazelib.figures.slider import slider
from dehazelib.figures.style import save

__all__ = [
    "affinity_accuracy", "affinity_memory", "compared_curves", "dataset", "dehazed", "error_overlay", "figure1",
    "figure2", "figure3", "figure4", "gain_by_budget", "gains", "gradient_share", "haze_levels", "image_grid",
    "latency_psnr", "learning_curves", "pareto", "roofline", "save", "scaling", "scores_by_label", "slider", "stages",
    "teacher_curves",
]
