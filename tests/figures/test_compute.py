"""Figures about time and memory show the numbers of their tables."""

import numpy as np
import pandas as pd
import pytest

from dehazelib import figures


def table5():
    rows = [("AOD-Net", "aod_net", "aod_net", 19.06, 15.0, 10),
            ("Ours", "full_framework", "framework-as_released", 32.14, 25.0, 20),  # more images than the baselines
            ("Ours, budget", "framework-equal_budget", "framework-equal_budget", np.nan, 17.0, 10),
            ("GCANet", "gcanet", "gcanet", 30.23, np.nan, np.nan)]
    frame = pd.DataFrame(rows, columns=["model", "key", "label", "psnr_published", "psnr_rgb", "training_images"])
    return frame.assign(psnr_low=frame.psnr_rgb - 1, psnr_high=frame.psnr_rgb + 1)


def table9():
    rows = [("AOD-Net", "aod_net", "deployed", 6.5, 50.0, "CPU A"),
            ("AOD-Net", "aod_net", "deployed", 6.5, 2.0, "GPU B"),
            ("GCA-Net", "gcanet", "deployed", 59.7, 900.0, "CPU A"), ("FFA-Net", "ffa_net", "", 249.9, np.nan, np.nan),
            ("Ours, training graph", "full_framework", "training_graph", 59.0, 5000.0, "CPU A"),
            ("Ours, deployed", "full_framework", "deployed", 59.0, 700.0, "CPU A")]
    return pd.DataFrame(rows, columns=["model", "key", "form", "inference_ms_published", "latency_ms", "machine"])


def operations():
    work = {"probe": {"matrix product": (10, 1, [50, 40, 100]), "convolution": (20, 1, [200, 160, 400]),
                      "memory": (1, 400, [10, 8, 20])},
            "layer": {"conv": (9, 90, [90, 100, 110]), "add": (0.1, 100, [10, 10, 10]), "sub": (0.1, 100, [0.1] * 3)}}
    rows = [{"kind": kind, "name": name, "gflop": gflop, "mb": mb, "ms": ms}
            for kind, named in work.items() for name, (gflop, mb, times) in named.items() for ms in times]
    return pd.DataFrame(rows).assign(device="cpu", processor="P", gpu=np.nan, commit="0123456789ab")


def memory(smallest=0.1):
    rows = []
    for n in (64, 1024):
        rows += [("l2_norm", n, "C x C", smallest * n / 64), ("l2_norm", n, "N x N", 8e-6 * n**2),
                 ("kl", n, "tiled", 10.0), ("kl", n, "N x N", 16e-6 * n**2)]
    return pd.DataFrame(rows, columns=["distance", "pixels", "method", "extra_mb"])


def points(ax):
    """Returns the (x, y) of every marker."""
    marked = [line for line in ax.lines if line.get_marker() in ("o", "D")]
    return {(float(x), float(y)) for line in marked for x, y in line.get_xydata()}


def test_latency_stands_against_the_psnr_of_one_budget_on_each_machine(texts):
    published, cpu, gpu = figures.latency_psnr(table5(), table9()).axes
    assert [ax.get_title() for ax in (cpu, gpu)] == ["CPU A", "GPU B"]
    assert points(published) == {(6.5, 19.06), (59.7, 30.23), (59.0, 32.14)}
    assert points(cpu) == {(50, 15), (700, 17)} and points(gpu) == {(2, 15)}  # GCANet has no PSNR
    assert {"AOD-Net", "Ours, deployed"} <= set(texts(cpu)) and cpu.get_xscale() == "log"


def test_ours_is_the_framework_itself_where_it_has_the_budget_of_the_baselines():
    same = table5().assign(training_images=10.0).query("label != 'framework-equal_budget'")
    assert points(figures.latency_psnr(same, table9()).axes[1]) == {(50, 15), (700, 25)}


def test_where_no_other_network_was_trained_only_published_numbers_are_drawn():
    (published,) = figures.latency_psnr(table5().assign(psnr_rgb=[np.nan, 25.0, np.nan, np.nan]), table9()).axes
    assert published.get_title().startswith("published")
    with pytest.raises(ValueError, match="no network has both"):
        figures.latency_psnr(table5().assign(psnr_rgb=np.nan, psnr_published=np.nan), table9())


def test_the_roof_is_the_fastest_probe_and_an_operation_its_median(texts):
    (ax,) = figures.roofline(operations()).axes
    x, y = ax.lines[0].get_xydata().T  # memory 400 MB in 8 ms: 50 GB/s; 10 GFLOP in 40 ms: 250 GFLOP/s
    assert y.max() == pytest.approx(250) and y[0] / x[0] == pytest.approx(50)
    assert {"memory: 50 GB/s", "matrix product: 250 GFLOP/s", "convolution: 125 GFLOP/s"} <= set(texts(ax))
    offsets = [tuple(offset) for dots in ax.collections for offset in dots.get_offsets() if len(dots.get_offsets()) > 1]
    assert offsets == [(100, 90), (1, 10)]  # conv, add; sub takes too little of the time
    assert {"conv: 91%", "add: 9%"} <= set(texts(ax)) and not any("sub" in text for text in texts(ax))


def test_each_machine_and_each_kind_of_pass_has_its_own_panel(texts):
    step = operations().query("kind == 'layer'").assign(kind="training", name=lambda rows: "backward of " + rows.name)
    gpu = operations().assign(device="cuda", gpu="G", ms=operations().ms / 10)
    assert len(figures.roofline(pd.concat([operations(), gpu])).axes) == 2
    (ax,) = figures.roofline(pd.concat([operations(), step, step.assign(processor="without probes")]), "training").axes
    assert "backward of conv: 91%" in texts(ax) and "conv: 91%" not in texts(ax) and "P" in ax.get_title()
    with pytest.raises(ValueError, match="no machine has rows of both kinds, probe and training"):
        figures.roofline(operations(), "training")


def test_memory_of_the_literal_form_is_computed_beyond_its_points():
    rows = pd.concat([memory(), pd.DataFrame([("l2_norm", 10240, "C x C", 16.0)], columns=list(memory()))])
    (ax,) = figures.affinity_memory(rows).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    computed = next(line for line in ax.lines if line.get_linestyle() == "--")
    assert computed.get_xdata()[-1] == pytest.approx(10240)
    assert computed.get_ydata()[-1] == pytest.approx(8e-6 * 10240**2)


def test_memory_too_small_to_measure_is_marked_below_the_rest(texts):
    fig = figures.affinity_memory(memory(smallest=0.0))
    assert "nothing measurable" in texts(fig)
    assert fig.axes[0].collections[0].get_offsets()[:, 1].max() < memory().query("method == 'N x N'").extra_mb.min()
    with pytest.raises(ValueError, match="Nothing to draw"):
        figures.affinity_memory(memory().assign(extra_mb=0.0))


def test_accuracy_is_the_median_over_seeds_and_closeness_grows_to_the_right(texts):
    rows = pd.DataFrame([(apart, seed, method, size * (1 + seed)) for apart in (0.1, 0.001) for seed in (0, 1, 2)
                         for method, size in (("N x N", 1e-7), ("three terms", 1e-7 / apart**2), ("ours", 1e-8))],
                        columns=["apart", "seed", "method", "relative_error"])
    (ax,) = figures.affinity_accuracy(rows).axes
    left, right = ax.get_xlim()
    assert left > right and ax.get_yscale() == "log" and "no correct digit" in texts(ax.figure)
    assert [line.get_ydata() for line in ax.lines][2] == pytest.approx([2e-8, 2e-8])  # ours
    assert "median of 3 seeds" in ax.figure.legends[0].get_title().get_text()
