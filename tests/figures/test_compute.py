"""Figures about time and memory say what their tables say, and repeat byte for byte."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402

from dehazelib.figures import compute as figures_compute
from dehazelib.figures import scores as figures  # noqa: E402


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def table5():
    rows = [("AOD-Net", "aod_net", "aod_net", 19.06, 15.0),
            ("Ours", "full_framework", "framework-as_released", 32.14, 25.0),
            ("Ours, budget", "framework-equal_budget", "framework-equal_budget", np.nan, 17.0),
            ("GCANet", "gcanet", "gcanet", 30.23, np.nan)]
    frame = pd.DataFrame(rows, columns=["model", "key", "label", "psnr_published", "psnr_rgb"])
    images = [10, 20, 10, np.nan]  # the framework of the first "Ours" saw more than the baselines
    return frame.assign(psnr_low=frame.psnr_rgb - 1, psnr_high=frame.psnr_rgb + 1, training_images=images)


def table9():
    rows = [("AOD-Net", "aod_net", "deployed", 6.5, 50.0, "CPU A"),
            ("AOD-Net", "aod_net", "deployed", 6.5, 2.0, "GPU B"),
            ("GCA-Net", "gcanet", "deployed", 59.7, 900.0, "CPU A"), ("FFA-Net", "ffa_net", "", 249.9, np.nan, np.nan),
            ("Ours, training graph", "full_framework", "training_graph", 59.0, 5000.0, "CPU A"),
            ("Ours, deployed", "full_framework", "deployed", 59.0, 700.0, "CPU A")]
    return pd.DataFrame(rows, columns=["model", "key", "form", "inference_ms_published", "latency_ms", "machine"])


def roof():
    work = {"probe": {"matrix product": (10, 1, [50, 40, 100]), "convolution": (20, 1, [200, 160, 400]),
                      "memory": (1, 400, [10, 8, 20])},
            "layer": {"conv": (9, 90, [90, 100, 110]), "add": (0.1, 100, [10, 10, 10]), "sub": (0.1, 100, [0.1] * 3)}}
    rows = [{"kind": kind, "name": name, "repeat": i, "gflop": gflop, "mb": mb, "ms": ms}
            for kind, named in work.items() for name, (gflop, mb, times) in named.items() for i, ms in enumerate(times)]
    return pd.DataFrame(rows).assign(device="cpu", processor="P", gpu=np.nan, commit="0123456789ab")


def memory(smallest=0.1):
    rows = []
    for n in (64, 1024):
        rows += [("l2_norm", n, "C x C", smallest * n / 64), ("l2_norm", n, "N x N", 8e-6 * n**2),
                 ("kl", n, "tiled", 10.0), ("kl", n, "N x N", 16e-6 * n**2)]
    return pd.DataFrame(rows, columns=["distance", "pixels", "method", "extra_mb"])


def errors():
    return pd.DataFrame([(apart, seed, method, size * (1 + seed)) for apart in (0.1, 0.001) for seed in (0, 1)
                         for method, size in (("N x N", 1e-7), ("three terms", 1e-7 / apart**2), ("ours", 1e-8))],
                        columns=["apart", "seed", "method", "relative_error"])


DRAWINGS = {
    "latency_psnr": lambda: figures_compute.latency_psnr(table5(), table9()),
    "roofline": lambda: figures_compute.roofline(roof()),
    "affinity_memory": lambda: figures_compute.affinity_memory(memory()),
    "affinity_accuracy": lambda: figures_compute.affinity_accuracy(errors()),
}


def texts(ax):
    return [text.get_text().strip() for text in ax.texts]


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawing_and_saving_again_gives_the_same_bytes(name, tmp_path):
    first, second = (figures.save(DRAWINGS[name](), tmp_path / folder / "a.png").read_bytes() for folder in "12")
    assert first == second and first.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_axis_has_a_name_and_no_text_leaves_the_picture(name):
    fig = DRAWINGS[name]()
    fig.draw_without_rendering()
    for ax in fig.axes:
        assert ax.get_xlabel() and ax.get_ylabel()
        corners = [corner for note in ax.texts for corner in note.get_window_extent().get_points()]
        assert all(fig.bbox.contains(*corner) for corner in corners)


def points(ax):
    """Returns the (x, y) of every marker drawn by errorbar."""
    return {(x, y) for bar in ax.containers for x, y in bar.lines[0].get_xydata()}


def test_latency_stands_against_the_psnr_of_the_same_budget_on_each_machine():
    published, cpu, gpu = figures_compute.latency_psnr(table5(), table9()).axes
    assert [ax.get_title() for ax in (cpu, gpu)] == ["CPU A", "GPU B"]
    assert points(published) == {(6.5, 19.06), (59.7, 30.23), (59.0, 32.14)}
    assert points(cpu) == {(50, 15), (700, 17)} and points(gpu) == {(2, 15)}  # GCANet has no PSNR
    assert set(texts(cpu)) == {"AOD-Net", "Ours, deployed"} and cpu.get_xscale() == "log"


def test_ours_is_the_framework_itself_where_it_has_the_budget_of_the_baselines():
    same = table5().assign(training_images=10.0).query("label != 'framework-equal_budget'")
    assert points(figures_compute.latency_psnr(same, table9()).axes[1]) == {(50, 15), (700, 25)}


def test_where_no_other_network_was_trained_only_the_published_numbers_are_drawn():
    alone = table5().assign(psnr_rgb=[np.nan, 25.0, np.nan, np.nan])
    fig = figures_compute.latency_psnr(alone, table9())
    (published,) = fig.axes
    assert published.get_title().startswith("published") and "none measured here" in published.get_title()
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["the paper's own", "other networks"]


def test_without_any_pair_of_numbers_there_is_no_latency_figure():
    with pytest.raises(ValueError, match="no network has both"):
        figures_compute.latency_psnr(table5().assign(psnr_rgb=np.nan, psnr_published=np.nan), table9())


def test_the_roof_is_the_fastest_probe_and_a_layer_its_median():
    (ax,) = figures_compute.roofline(roof()).axes
    x, y = ax.lines[0].get_xydata().T  # memory 400 MB in 8 ms: 50 GB/s; 10 GFLOP in 40 ms: 250 GFLOP/s
    assert y.max() == pytest.approx(250) and y[0] / x[0] == pytest.approx(50)
    assert {"memory: 50 GB/s", "matrix product: 250 GFLOP/s", "convolution: 125 GFLOP/s"} <= set(texts(ax))
    assert [tuple(offset) for offset in ax.collections[0].get_offsets()] == [(1, 10), (100, 90)]  # add, conv
    assert {"conv: 91%", "add: 9%"} <= set(texts(ax)) and not any("sub" in text for text in texts(ax))
    assert "share of the time" in ax.figure.legends[0].get_title().get_text()


def test_a_training_step_has_its_own_operations_under_the_same_roof():
    step = roof().query("kind == 'layer'").assign(kind="training", name=lambda rows: "backward of " + rows.name,
                                                  commit="ba9876543210")
    rows = pd.concat([roof(), step, step.assign(processor="without probes")])
    (ax,) = figures_compute.roofline(rows, "training").axes
    assert {"backward of conv: 91%", "backward of add: 9%"} <= set(texts(ax)) and "conv: 91%" not in texts(ax)
    assert ax.get_title() == "P: where a training step's time goes (commit ba9876543210)"
    with pytest.raises(ValueError, match="no machine has rows of both kinds, probe and training"):
        figures_compute.roofline(roof(), "training")


def test_each_machine_has_its_own_roof():
    both = pd.concat([roof(), roof().assign(device="cuda", gpu="G", ms=roof().ms / 10)])
    titles = [ax.get_title() for ax in figures_compute.roofline(both).axes]
    assert [title.split(":")[0] for title in titles] == ["P", "G"]


def test_memory_is_log_log_with_the_literal_form_computed_beyond_its_points():
    fig = figures_compute.affinity_memory(pd.concat([memory(), pd.DataFrame([("l2_norm", 10240, "C x C", 16.0)],
                                                                            columns=list(memory()))]))
    (ax,) = fig.axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    labels = [text.get_text() for text in fig.legends[0].get_texts()]
    assert labels == ["L2, C x C", "L2, N x N", "KL, tiled", "KL, N x N", "N x N, computed"]
    computed = next(line for line in ax.lines if line.get_linestyle() == "--" and len(line.get_xdata()))
    assert computed.get_xdata()[-1] == pytest.approx(10240)
    assert computed.get_ydata()[-1] == pytest.approx(8e-6 * 10240**2)


def test_memory_too_small_to_measure_is_marked_below_the_rest():
    fig = figures_compute.affinity_memory(memory(smallest=0.0))
    (ax,) = fig.axes
    assert ax.get_yscale() == "log" and "nothing measurable" in [text.get_text() for text in fig.legends[0].get_texts()]
    assert ax.collections[0].get_offsets()[:, 1].max() < memory().query("method == 'N x N'").extra_mb.min()
    with pytest.raises(ValueError, match="no row has a positive"):
        figures_compute.affinity_memory(memory().assign(extra_mb=0.0))


def test_accuracy_is_the_median_over_seeds_and_closeness_grows_to_the_right():
    (ax,) = figures_compute.affinity_accuracy(errors()).axes
    left, right = ax.get_xlim()
    assert left > right and ax.get_yscale() == "log"
    assert "closer to the right" in ax.get_xlabel()
    assert "median of 2 seeds" in ax.figure.legends[0].get_title().get_text()
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert lines["ours"] == pytest.approx([1.5e-8, 1.5e-8]) and lines["three terms"][0] == pytest.approx(0.15)


@pytest.mark.parametrize("draw", [figures_compute.roofline, figures_compute.affinity_memory,
                                  figures_compute.affinity_accuracy])
def test_a_lacking_column_is_named(draw):
    with pytest.raises(ValueError, match="needs the column"):
        draw(pd.DataFrame({"x": [1]}))
