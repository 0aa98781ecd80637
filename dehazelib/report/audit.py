"""What the paper's tables and the released code give away by calculation: from the catalogue of networks, the printed
numbers and the embedded images, in seconds and without training.

Every function returns rows with the columns COLUMNS: the finding, the number printed (text, empty where the paper
prints none), the number computed, whether the two agree to the last printed digit (yes, no or empty), and how it was
computed.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib import networks
from dehazelib.data.pairs import Pair, Pairs
from dehazelib.data.stream import Stream
from dehazelib.distillation.affinity import affinity_distance, affinity_distance_reference, affinity_loss, grid_size
from dehazelib.distillation.framework import POOL, Framework
from dehazelib.distillation.objectives import LOSSES
from dehazelib.evaluation import cost as compute
from dehazelib.evaluation import scores as evaluation
from dehazelib.experiments.plan import BATCH, PAPER_WEIGHT, TEACHER
from dehazelib.experiments.spec import Spec
from dehazelib.report.rows import published
from dehazelib.report.rules import last_digit
from dehazelib.resampling import doubled

COLUMNS = ["finding", "printed", "computed", "agrees", "how"]
ROUNDING = 0.001  # GFLOPs: one unit of Table 9's last digit
CARD_GB = 12  # memory of NVIDIA's GeForce RTX 3080 Ti
ABOUT = 0.25  # largest relative gap to a number that the paper calls "about"


# --------------------------------------------------------------------------------------- facts that claims rest on, too


def headline_matches() -> pd.DataFrame:
    """Returns Table 5 without our framework as printed, with its gain over each network in percent of PSNR, how many
    times as large the network is, and whether both are what the abstract says: the gain or more (`gained`), and about
    that many times (`sized`)."""
    claims = published("claims").set_index("id").value
    table = published("table5").set_index("key")
    ours, others = table.loc["full_framework"], table.drop("full_framework")
    gain = 100 * (ours.psnr / others.psnr - 1)
    times = others.parameters_millions / ours.parameters_millions
    gained = gain >= float(claims["affinity_gain_psnr_percent"])
    sized = (times / float(claims["about_20x_smaller"]) - 1).abs() <= ABOUT
    return others.assign(gain=gain, times=times, gained=gained, sized=sized)


def printed_before() -> pd.DataFrame:
    """Returns the networks of Table 5 whose scores on SOTS-indoor are printed elsewhere too (earlier.csv, once for each
    source), with both, and whether PSNR and SSIM are the same in all the digits that both have, rounded or cut
    (`alike`)."""
    table = published("table5", text=True).merge(published("earlier", text=True), on="key", suffixes=("", "_earlier"))
    alike = [all(_alike(row[metric], row[f"{metric}_earlier"]) for metric in ("psnr", "ssim"))
             for _, row in table.iterrows()]
    return table.assign(alike=alike)


def _alike(one: str, other: str) -> bool:
    return abs(float(one) - float(other)) < max(last_digit(one), last_digit(other)) - 1e-9


def normalised_twice() -> int:
    """Returns the parameters of one normalisation before and one after each depthwise and pointwise convolution of the
    separable network, and one after its first convolutions: two per channel."""
    with torch.device("meta"):
        network = networks.build("dsc_mc_fsrcnn")
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    separable = [layer for layer in layers if layer.kernel_size == (1, 1) or layer.groups > 1]
    first = [layer for layer in layers if layer not in separable]
    return 2 * (sum(layer.in_channels + layer.out_channels for layer in separable)
                + sum(layer.out_channels for layer in first))


def student_sides() -> list[tuple[int, int]]:
    """Returns height and width of the feature maps of the student's groups, fed an image of 460 x 620."""
    with torch.device("meta"):
        _, features = networks.build("student").eval()(torch.rand(1, 3, *compute.SIZE), return_features=True)
    return [tuple(feature.shape[-2:]) for feature in features]


def framework_gflops() -> dict[str, float]:
    """Returns the profiler GFLOPs of the framework's parts for one image of 460 x 620: student, teacher, and the two
    N x N products of the module, of the output images and of the intermediate features that the paper describes."""
    _, student = _counts("student")
    _, teacher = _counts("dsc_mc_fsrcnn")
    with torch.device("meta"), torch.no_grad():
        image = torch.rand(1, 3, *compute.SIZE)
        dehazed, groups = networks.build("student").eval()(image, return_features=True)
        guide, features = networks.build("dsc_mc_fsrcnn").eval()(image, return_features=True)
    height, width = grid_size(compute.SIZE, POOL)
    per_channel = 2 * (height * width) ** 2 / 1e9  # a product of N x C by C x N
    outputs = sum(image.shape[1] for image in (dehazed, guide))
    intermediate = sum(feature.shape[1] for feature in (*groups, *features, guide))
    return {"student": student, "teacher": teacher, "module, outputs": per_channel * outputs,
            "module, intermediate features": per_channel * intermediate}


def module_parameters() -> int:
    """Returns the parameters that a framework has besides its student's and its teacher's."""
    with torch.device("meta"):
        student, teacher = networks.build("student"), networks.build("dsc_mc_fsrcnn")
        framework = Framework(student, teacher)
    every = sum(parameter.numel() for parameter in framework.parameters())
    return every - sum(parameter.numel() for part in (student, teacher) for parameter in part.parameters())


# ------------------------------------------------------------------------------------------------------------- findings


def table9_method() -> pd.DataFrame:
    """Returns the GFLOPs of Table 9's eight baselines, counted by torch.profiler at 1 x 3 x 460 x 620, beside the true
    count of the same graph, and of what turns a photograph into its dehazed form where that is another."""
    rows = []
    for printed in published("table9", text=True).itertuples():
        if printed.key != "full_framework":
            ours, same = compute.counts(printed.key), true_gflops(printed.key)
            how = f"torch.profiler with_flops; true 2 x multiply-adds of the same graph {same:.3f}"
            if f"{ours['gflops']:.3f}" != f"{same:.3f}":
                how += f", of the network that dehazes {ours['gflops']:.3f}"
            rows.append(finding(f"{printed.model}: GFLOPs", printed.gflops, ours["gflops_profiler"], how))
    return frame(rows)


def training_graph() -> pd.DataFrame:
    """Returns Table 9's row "Ours" beside the training graph, its parts, and the student that users run."""
    printed, whole = _printed(9, "full_framework"), compute.training_graph_counts()
    student, teacher = _counts("student"), _counts("dsc_mc_fsrcnn")
    products = whole["gflops_profiler"] - student[1] - teacher[1]
    described = framework_gflops()["module, intermediate features"]
    parts = f"student {student[0]:,} + teacher {teacher[0]:,}"
    gflops = f"student {student[1]:.3f} + teacher {teacher[1]:.3f} + the module's two N x N products {products:.3f}"
    return frame([
        finding("Ours, training graph: million parameters", printed.parameters_millions, whole["parameters"] / 1e6,
                parts),
        finding("Ours, training graph: GFLOPs", printed.gflops, whole["gflops_profiler"], gflops),
        finding("Ours with the affinities of intermediate features: GFLOPs", printed.gflops,
                student[1] + teacher[1] + described, f"as in section 3.3; their products alone {described:.1f}"),
        finding("Ours, as deployed: million parameters", printed.parameters_millions, student[0] / 1e6,
                "the student alone"),
        finding("Ours, as deployed: GFLOPs", printed.gflops, student[1], "the student alone"),
    ])


def ffa_net_blocks() -> pd.DataFrame:
    """Returns the size of FFA-Net with 12 blocks in each of its three groups, and with the 19 of its publication."""
    size, gflops, rows = _printed(5, "ffa_net").parameters_millions, _printed(9, "ffa_net").gflops, []
    for blocks, how in ((12, "the paper's form"), (19, "the published network")):
        counted = _counts("ffa_net", inner_blocks=blocks)
        rows += [finding(f"FFA-Net, 3 x {blocks} blocks: million parameters", size, counted[0] / 1e6, how),
                 finding(f"FFA-Net, 3 x {blocks} blocks: GFLOPs", gflops, counted[1], how)]
    return frame(rows)


def cycle_dehaze_discriminator() -> pd.DataFrame:
    """Returns the size of Cycle-Dehaze with its discriminator, and of the generator, which alone dehazes."""
    printed, rows = _printed(9, "cycle_dehaze"), []
    whole = compute.counts("cycle_dehaze")
    generator = networks.parameters(networks.build("cycle_dehaze").generator), _counts("cycle_dehaze")[1]
    for name, count, gflops in (("generator and discriminator", whole["parameters"], whole["gflops_profiler"]),
                                ("generator", *generator)):
        how = "generator of 6 residual blocks"
        if name == "generator":
            how += ", which alone dehazes"
        rows += [finding(f"Cycle-Dehaze, {name}: million parameters", printed.parameters_millions, count / 1e6, how),
                 finding(f"Cycle-Dehaze, {name}: GFLOPs", printed.gflops, gflops, how)]
    return frame(rows)


def bilinear_target(pairs: Pairs) -> pd.DataFrame:
    """Returns the PSNR in dB of plain bilinear interpolation on both super-resolution tasks, mean over the scenes.

    That on the enlarged target holds for any images; that on the images themselves only for these, so that no printed
    number of RESIDE's stands beside it.
    """
    rows, best = [], _printed(2, "mc_fsrcnn")
    for number, target, theirs, how in (
            (1, "native", "", "the image itself, input reduced; other images than the paper's"),
            (2, "upsampled", f"{best.model} {best.psnr}", "the input enlarged bilinearly, as the released code does")):
        spec = Spec(label="bilinear", network="bilinear", task="super_resolution", target=target)
        scores = evaluation.scores(networks.build("bilinear"), spec, pairs).psnr_rgb
        rows.append(finding(f"Bilinear interpolation, task of Table {number}: PSNR in dB", theirs, scores.mean(),
                            f"{len(scores)} scenes of {pairs.name}; target: {how}"))
    return frame(rows)


def gradient_share(pairs: Pairs, seed: int = 0) -> pd.DataFrame:
    """Returns the norm of the gradient of 0.25 x L_FA in percent of that of the MSE, both at the student's output.

    As released: whole images of 460 x 620 in batches of two, final outputs, Frobenius norm over N squared. The teacher
    is ideal: bilinear interpolation of the clear image, which is its training target. Outputs near convergence are the
    clear image plus an error of the printed PSNR: what is left of the haze, or white noise.
    pairs: images of at least 460 x 620, or ValueError; the first two are used, cut to that size.
    """
    height, width = compute.SIZE
    hazy, clear = (torch.stack(images)[..., :height, :width] for images in zip(*(pairs[i] for i in range(BATCH))))
    if clear.shape[-2:] != compute.SIZE:
        raise ValueError(f"gradient_share: {pairs.name} has images below {height} x {width}: use larger ones.")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        outputs = {"at initialisation": networks.build("student").eval()(hazy)}
        errors = {"haze": hazy - clear, "white noise": torch.randn_like(clear)}
    for label in ("student", "full_framework"):
        psnr = float(_printed(5, label).psnr)
        for name, error in errors.items():
            scale = 10 ** (-psnr / 20) / error.square().mean().sqrt()
            outputs[f"at {psnr:.2f} dB, error: {name}"] = clear + scale * error
    how = f"{BATCH} images of {pairs.name}, {height} x {width}; teacher: bilinear interpolation"
    what = f"Gradient of {PAPER_WEIGHT} x L_FA in % of that of the MSE"
    shares = {when: 100 * gradient_ratio(output, clear) for when, output in outputs.items()}
    return frame([finding(f"{what}, {when}", "", share, how) for when, share in shares.items()])


def untrained_teacher(pairs: Pairs, seeds: int = 3) -> pd.DataFrame:
    """Returns the root mean square of what an untrained teacher makes of the first clear image, in % of the image's.

    FSRCNN's last layer starts at weights near 0. Where the output is black, its affinity is 0, and all that the
    affinity term asks of the student is to be dark, too.
    """
    clear, levels = pairs[0][1][None], []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for seed in range(seeds):
            torch.manual_seed(seed)
            output = networks.build(TEACHER).eval()(clear)
            levels.append(100 * (output.square().mean() / clear.square().mean()).sqrt().item())
    return frame([finding("Untrained teacher's output, root mean square in % of the image's", "", max(levels),
                        f"highest of {seeds} seeds; a clear image of {pairs.name}")])


def black_bars(images: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Returns the share of training images with black bars under the released augmentation, and of black pixels in one.

    The images are white, of 460 x 620 at a tenth, and come as training draws them.
    """
    height, width = (side // 10 for side in compute.SIZE)
    image, depth = np.full((height, width, 3), 255, np.uint8), np.zeros((height, width))
    white = Pairs("white", [Pair("0", 0, airlight=1.0, beta=1.0)], lambda scene: image, lambda scene: depth)
    stream = Stream(Spec(augment="released", crop=0, steps=images, batch=1, seed=seed), white)
    black = [(stream[k][1] == 0).float().mean().item() for k in range(images)]
    count = sum(share > 0 for share in black)
    return frame([
        finding("Augmented images with black bars, %", "", 100 * count / images, f"{count} of {images} images"),
        finding("Black pixels of an image with bars, %", "", 100 * max(black),
                "turned by 90 degrees on the same canvas"),
    ])


def float32_norm(pairs: Pairs, sides: tuple[int, ...] = (128, 256)) -> pd.DataFrame:
    """Returns the error of the affinity loss in 32 bits, in percent: of the literal N x N form and of C x C products.

    The features are the first clear image and the same image 10 % darker, cut to `sides` pixels and pooled by 4. What
    the literal form loses grows with N and depends on how the machine's library splits the sum; 460 x 620 has
    N = 17,825.
    """
    rows, forms = [], {"literal N x N form": affinity_distance_reference, "C x C products": affinity_distance}
    for side in sides:
        teacher = F.avg_pool2d(pairs[0][1][None, :, :side, :side], 4).flatten(2)  # (1, 3, N)
        student, n = 0.9 * teacher, teacher.shape[-1]
        exact = affinity_distance_reference(student.double(), teacher.double(), "l2_norm").item()
        how = f"against the N x N form in 64 bits; clear image of {pairs.name}, and 10 % darker"
        for name, form in forms.items():
            error = 100 * (form(student, teacher, "l2_norm").item() / exact - 1)
            rows.append(finding(f"Affinity norm in 32 bits, {name}, N = {n:,}: error in %", "", error, how))
    return frame(rows)


def headline_arithmetic() -> pd.DataFrame:
    """Returns the abstract's gains and size ratio, computed from the printed cells they rest on."""
    claims = published("claims", text=True).set_index("id").value
    student, ours, ffa = (_printed(5, key) for key in ("student", "full_framework", "ffa_net"))
    rows = []
    for metric, note in (("psnr", "; a ratio of decibels"), ("ssim", "")):
        gain = 100 * (float(ours[metric]) / float(student[metric]) - 1)
        rows.append(finding(f"Gain in {metric.upper()}, %", claims[f"affinity_gain_{metric}_percent"], gain,
                            f"Table 5: {student[metric]} to {ours[metric]}{note}"))
    ratio, deployed = (float(ffa.parameters_millions) / float(row.parameters_millions) for row in (ours, student))
    files = float(_printed(9, "ffa_net").size_mb) / float(_printed(9, "full_framework").size_mb)
    rows.append(finding("FFA-Net over Ours in parameters, times", f"about {claims['about_20x_smaller']}", ratio,
                        f"Table 5; weight files of Table 9 {files:.1f}; over the student, as deployed, {deployed:.1f}"))
    table = headline_matches()
    sized = ", ".join(f"{row.model}, {row.gain:+.1f} %" for row in table[table.sized].itertuples()) or "none"
    times, percent = claims["about_20x_smaller"], claims["affinity_gain_psnr_percent"]
    rows.append(finding(f"Networks of Table 5 about {times} times Ours that it beats by {percent} % in PSNR", "",
                        (table.gained & table.sized).sum(),
                        f"so large within {100 * ABOUT:.0f} %, as printed: {sized}"))
    return frame(rows)


def scores_printed_before() -> pd.DataFrame:
    """Returns scores of Table 5, where all networks are said to be trained again, beside those printed elsewhere for
    the same test set (results/published/earlier.csv)."""
    return frame([finding(f"{row.model}: PSNR in dB, and SSIM, as printed elsewhere",
                        f"{row.psnr} and {row.ssim}", float(row.psnr_earlier),
                        f"{row.psnr_earlier} and {row.ssim_earlier}: {row.source}")
                   | {"agrees": "yes" if row.alike else "no"} for row in printed_before().itertuples()])


def inconsistencies() -> pd.DataFrame:
    """Returns printed cells, and words of section 3.2, that disagree with the networks they name, and printed cells
    that disagree with one another or with the text."""
    return frame([*_networks_unlike_their_cells(), *_cells_unlike_others(), *_words_unlike_facts()])


def _networks_unlike_their_cells() -> list[dict]:
    relu, norm, drn = _printed(3, "relu_mc_fsrcnn"), _printed(3, "dscbn_mc_fsrcnn"), _printed(1, "drn_s")
    count, sides = networks.count, student_sides()
    plain = count("dsc_mc_fsrcnn")
    return [
        finding("ReLU-MC-FSRCNN: thousand parameters", relu.parameters_printed[:-1], count("relu_mc_fsrcnn") / 1e3,
                f"ReLU has no slopes; with PReLU {count('mc_fsrcnn'):,}"),
        finding("DSCBN-MC-FSRCNN, normalised once: thousand parameters", norm.parameters_printed[:-1],
                count("dscbn_mc_fsrcnn") / 1e3, f"ours: after every convolution but the last; without {plain:,}"),
        finding("DSCBN-MC-FSRCNN, normalised twice: thousand parameters", norm.parameters_printed[:-1],
                (plain + normalised_twice()) / 1e3, "before and after every depthwise and pointwise convolution, and "
                "after the first; the paper does not say where"),
        finding("DRN-S x4: million parameters", drn.parameters_printed[:-1], count("drn_s") / 1e6,
                "the size printed is that of the x4 network"),
        finding("Resolutions of the feature maps of the student's groups", "", len(set(sides)),
                f"one forward pass: {', '.join(f'{height} x {width}' for height, width in sides)}; section 3.2 has "
                "\"feature maps of different resolutions\""),
    ]


def _cells_unlike_others() -> list[dict]:
    msbdn, grid, drn = _printed(5, "msbdn"), _printed(5, "griddehazenet"), _printed(1, "drn_s")
    others = {row.model: row.psnr for row in (_printed(1, "srresnet"), _printed(1, "fsrcnn_x4"))}
    weights = published("table7", text=True)
    picked = weights.key[weights.psnr == _printed(5, "full_framework").psnr].item()
    best = {metric: weights.key[weights[metric].astype(float).idxmax()] for metric in ("psnr", "ssim")}
    return [
        finding("MSBDN less GridDehazeNet: PSNR in dB", f"{msbdn.psnr} and {grid.psnr}",
                float(msbdn.psnr) - float(grid.psnr), "Table 5 prints one number for two networks"),
        finding("DRN-S x4 above the other x4 rows of Table 1: dB", f"{drn.psnr} beside {' and '.join(others.values())}",
                float(drn.psnr) - max(map(float, others.values())), f"Table 1: {drn.model}, {', '.join(others)}"),
        finding("Weight w_FA with the highest PSNR in Table 7", picked, float(best["psnr"]),
                f"printed: the final model's; the highest SSIM is that of {best['ssim']}; Table 7 has PSNR "
                f"{', '.join(weights.psnr)} and SSIM {', '.join(weights.ssim)} for {', '.join(weights.key)}"),
    ]


def _words_unlike_facts() -> list[dict]:
    random = torch.Generator().manual_seed(0)
    images = [torch.rand(1, 3, 32, 32, generator=random) for _ in range(2)]
    channels, image = (LOSSES[name](*images).item() for name in ("channel_mse", "mse"))
    return [
        finding("Memory of the GeForce RTX 3080 Ti, GB", "24", CARD_GB, "section 4.3 has \"RTX 3080 Ti 24GB\"; "
                "NVIDIA sells that card with 12 GB, the RTX 3090 with 24 GB: stated, not measured"),
        finding("Parameters of the feature affinity module", "", module_parameters(), "beyond those of student and "
                "teacher; section 5.3 has its \"components\" trained"),
        finding("Channel-wise MSE of the teacher over the MSE of the image, times", "", channels / image, "section 3.1 "
                "has a \"considerable performance gain\"; for separate branches it is the same loss, times three"),
    ]


def gradient_ratio(output: Tensor, clear: Tensor) -> float:
    """Returns the ratio of both gradient norms at `output`, (B, 3, H, W)."""
    output = output.detach().requires_grad_()
    terms = F.mse_loss(output, clear), PAPER_WEIGHT * affinity_loss(output, doubled(clear), distance="l2_norm")
    reconstruction, affinity = (torch.autograd.grad(term, output)[0].norm() for term in terms)
    return (affinity / reconstruction).item()


def true_gflops(name: str) -> float:
    """Returns 2 x multiply-adds of the graph that a network's table measured, fed an image of 460 x 620."""
    with torch.device("meta"):
        network, image = networks.build(name).eval(), torch.rand(1, 3, *compute.SIZE)
    return compute.true_gflops(getattr(network, "table_graph", network), image)


def _counts(name: str, **options) -> tuple[int, float]:
    """Returns parameters and profiler GFLOPs of a form of a network, fed an image of 460 x 620."""
    with torch.device("meta"):
        network, image = networks.build(name, **options).eval(), torch.rand(1, 3, *compute.SIZE)
    return networks.parameters(network), compute.profiler_gflops(network, image)


def _printed(number: int, key: str) -> pd.Series:
    """Returns one row of a table as printed, cells as text."""
    return published(f"table{number}", text=True).set_index("key").loc[key]


def finding(what: str, printed: str, computed: float, how: str) -> dict:
    """Returns one row: whether they agree is told only of a printed number."""
    agrees = ""
    if printed.replace(".", "", 1).isdigit():
        agrees = "yes" if abs(computed - float(printed)) < last_digit(printed) else "no"
    return dict(zip(COLUMNS, (what, printed, float(computed), agrees, how)))


def frame(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)
