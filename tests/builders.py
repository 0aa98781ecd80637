"""Small studies of made-up rows."""

import numpy as np
import pandas as pd

from dehazelib.report import claims
from dehazelib.report.rows import Rows

COMPUTE = {"title": "", "size_mb": 0.5, "size_torch_mb": 0.6, "gflops": 1.0, "latency_ms": 10.0, "latency_ms_low": 9.0,
           "latency_ms_high": 11.0, "peak_memory_mb": 100.0, "device": "cpu", "processor": "p", "gflops_profiler": 1.0}
CLAIMS = {claim.id: claim for claim in claims.claims()}


def score(label, psnr, test_set="rooms", task="dehazing", ssim=0.9, names=None):
    """Rows of scores.csv. psnr: seeds x images. names: of the images; default: 0_1, 1_1, ..."""
    psnr = np.asarray(psnr)
    names = names or [f"{image}_1" for image in range(psnr.shape[1])]
    return [{"run": f"{label}-s{seed}", "label": label, "network": label, "task": task, "seed": seed,
             "test_set": test_set, "image": name, "psnr_rgb": value, "ssim_gauss11_rgb": ssim,
             "ssim_uniform7_rgb": ssim}
            for seed, row in enumerate(psnr) for name, value in zip(names, row)]


def run(label, network, parameters, seed=0, teacher="", **more):
    """A row of runs.csv."""
    return {"run": f"{label}-s{seed}", "label": label, "network": network, "seed": seed, "parameters": parameters,
            "teacher": teacher, "steps": 100, "batch": 4} | more


def compute(name, form, parameters, **more):
    """A row of compute.csv."""
    return COMPUTE | {"name": name, "form": form, "parameters": parameters} | more


def curve(label, seed=0, **columns):
    """Rows of curves.csv, one for each value of the columns."""
    return [{"run": f"{label}-s{seed}", "label": label, "seed": seed, "step": step, "images": step, "epoch": step}
            | dict(zip(columns, values)) for step, values in enumerate(zip(*columns.values()))]


def folder(path, **tables):
    """Returns the folder of a study after writing these tables into it."""
    path.mkdir(exist_ok=True, parents=True)
    for name, table in tables.items():
        pd.DataFrame(table).to_csv(path / f"{name}.csv", index=False)
    return path


def judge(path, claim, **tables):
    """Returns the verdict on a claim by these tables and those that the folder has already."""
    return claims.verdict(Rows(folder(path, **tables)), CLAIMS[claim])
