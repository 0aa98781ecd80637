"""Small studies of made-up rows, for the tests of verdicts."""

import numpy as np
import pandas as pd

from dehazelib.report import verdict

COMPUTE = {"title": "", "size_mb": 0.5, "size_torch_mb": 0.6, "gflops": 1.0, "latency_ms": 10.0, "latency_ms_low": 9.0,
           "latency_ms_high": 11.0, "peak_memory_mb": 100.0, "device": "cpu", "processor": "p", "gflops_profiler": 1.0}


def score(label, psnr, test_set="rooms", task="dehazing", ssim=0.9):
    return [{"run": f"{label}-s{seed}", "label": label, "network": label, "task": task, "seed": seed,
             "test_set": test_set, "image": f"{image}_1", "psnr_rgb": value, "ssim_gauss11_rgb": ssim,
             "ssim_uniform7_rgb": ssim}
            for seed, row in enumerate(np.asarray(psnr)) for image, value in enumerate(row)]


def run(label, network, parameters, seed=0, teacher="", **more):
    return {"run": f"{label}-s{seed}", "label": label, "network": network, "seed": seed, "parameters": parameters,
            "teacher": teacher, "steps": 100, "batch": 4} | more


def compute(name, form, parameters, **more):
    return COMPUTE | {"name": name, "form": form, "parameters": parameters} | more


def folder(path, **rows):
    path.mkdir(exist_ok=True)
    for name, table in rows.items():
        pd.DataFrame(table).to_csv(path / f"{name}.csv", index=False)
    return path


def decided(study, claim):
    table = verdict.verdicts(study).set_index("id")
    return table.loc[claim]
