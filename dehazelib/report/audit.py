"""What the paper's tables and the released code give away by calculation: from the catalogue of networks, the printed
numbers and the embedded images, in seconds and without training.

The functions here compute numbers; templates/findings.j2 sets them beside the printed ones and says how each came
about.
"""

import io

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
from dehazelib.evaluation import cost
from dehazelib.evaluation import scores as evaluation
from dehazelib.experiments.plan import BATCH, PAPER_WEIGHT, TEACHER
from dehazelib.experiments.spec import Spec
from dehazelib.report.language import ENVIRONMENT
from dehazelib.report.rows import published
from dehazelib.report.rules import last_digit
from dehazelib.resampling import doubled

COLUMNS = ["finding", "printed", "computed", "agrees", "how"]
ROUNDING = 0.001  # GFLOPs: one unit of Table 9's last digit
ABOUT = 0.25  # largest relative gap to a number that the paper calls "about"


def findings(section: str, pairs: Pairs | None = None) -> pd.DataFrame:
    """Returns a section of templates/findings.j2 as a table: the finding, the number printed (text, empty where the
    paper prints none), the number computed, whether the two agree to the last printed digit (yes, no, or empty), and
    how it was computed. pairs: images, for the sections that need some."""
    template = ENVIRONMENT.get_template("findings.j2")
    block = template.blocks[section]
    text = "".join(block(template.new_context(FACTS | {"pairs": pairs})))
    names = ["finding", "printed", "computed", "how", "agrees"]
    table = pd.read_csv(io.StringIO(text), sep=r"\s*\|\s*", names=names, engine="python", dtype=str, quoting=3,
                        keep_default_na=False).fillna("")
    table["computed"] = table.computed.astype(float)
    table["agrees"] = [given or agrees(printed, computed)
                       for given, printed, computed in zip(table.agrees, table.printed, table.computed)]
    return table[COLUMNS]


def agrees(printed: str, computed: float) -> str:
    """Returns yes or no, of a printed number; empty for other text."""
    if not printed.replace(".", "", 1).isdigit():
        return ""
    return "yes" if abs(computed - float(printed)) < last_digit(printed) else "no"


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
        _, features = networks.build("student").eval()(torch.rand(1, 3, *cost.SIZE), return_features=True)
    return [tuple(feature.shape[-2:]) for feature in features]


def framework_gflops() -> dict[str, float]:
    """Returns the profiler GFLOPs of the framework's parts for one image of 460 x 620: student, teacher, and the two
    N x N products of the module, of the output images and of the intermediate features that the paper describes."""
    with torch.device("meta"), torch.no_grad():
        image = torch.rand(1, 3, *cost.SIZE)
        dehazed, groups = networks.build("student").eval()(image, return_features=True)
        guide, features = networks.build("dsc_mc_fsrcnn").eval()(image, return_features=True)
    height, width = grid_size(cost.SIZE, POOL)
    per_channel = 2 * (height * width) ** 2 / 1e9  # a product of N x C by C x N
    outputs = sum(image.shape[1] for image in (dehazed, guide))
    intermediate = sum(feature.shape[1] for feature in (*groups, *features, guide))
    return {"student": form("student")["gflops"], "teacher": form("dsc_mc_fsrcnn")["gflops"],
            "module, outputs": per_channel * outputs,
            "module, intermediate features": per_channel * intermediate}


def module_parameters() -> int:
    """Returns the parameters that a framework has besides its student's and its teacher's."""
    with torch.device("meta"):
        student, teacher = networks.build("student"), networks.build("dsc_mc_fsrcnn")
        framework = Framework(student, teacher)
    every = sum(parameter.numel() for parameter in framework.parameters())
    return every - sum(parameter.numel() for part in (student, teacher) for parameter in part.parameters())


# ------------------------------------------------------------------------------------------- numbers of the findings


def printed(number: int, key: str) -> pd.Series:
    """Returns one row of a table as printed, cells as text."""
    return published(f"table{number}", text=True).set_index("key").loc[key]


def claimed(name: str) -> str:
    """Returns the number of a claim as printed."""
    return published("claims", text=True).set_index("id").value[name]


def networks_of_table9() -> list[str]:
    return [key for key in published("table9").key if key != "full_framework"]


def best_weights() -> dict[str, str]:
    """Returns the weights in Table 7 with the highest PSNR and SSIM, and the one that the final model has."""
    table = published("table7", text=True).set_index("key")
    best = {metric: table[metric].astype(float).idxmax() for metric in ("psnr", "ssim")}
    return best | {"chosen": table.index[table.psnr == printed(5, "full_framework").psnr].item()}


def form(name: str, part: str = "", **options) -> dict:
    """Returns profiler GFLOPs of a form of a network, fed an image of 460 x 620, and the parameters of it or of a part
    of it."""
    with torch.device("meta"):
        network, image = networks.build(name, **options).eval(), torch.rand(1, 3, *cost.SIZE)
    counted = getattr(network, part) if part else network
    return {"parameters": networks.parameters(counted), "gflops": cost.profiler_gflops(network, image)}


def true_gflops(name: str) -> float:
    """Returns 2 x multiply-adds of the graph that a network's table measured, fed an image of 460 x 620."""
    with torch.device("meta"):
        network, image = networks.build(name).eval(), torch.rand(1, 3, *cost.SIZE)
    return cost.true_gflops(getattr(network, "table_graph", network), image)


def bilinear_psnr(pairs: Pairs, target: str) -> float:
    """Returns the PSNR in dB of plain bilinear interpolation on a super-resolution task, mean over the scenes.

    That on the enlarged target holds for any images; that on the images themselves only for these.
    """
    spec = Spec(label="bilinear", network="bilinear", task="super_resolution", target=target)
    return evaluation.scores(networks.build("bilinear"), spec, pairs).psnr_rgb.mean()


def gradient_shares(pairs: Pairs, seed: int = 0) -> dict[str, float]:
    """Returns the norm of the gradient of 0.25 x L_FA in percent of that of the MSE, for some outputs of the student.

    As released: whole images of 460 x 620 in batches of two, final outputs, Frobenius norm over N squared. The teacher
    is ideal: bilinear interpolation of the clear image, which is its training target. Outputs near convergence are the
    clear image plus an error of the printed PSNR: what is left of the haze, or white noise.
    pairs: images of at least 460 x 620, or ValueError; the first two are used, cut to that size.
    """
    height, width = cost.SIZE
    hazy, clear = (torch.stack(images)[..., :height, :width] for images in zip(*(pairs[i] for i in range(BATCH))))
    if clear.shape[-2:] != cost.SIZE:
        raise ValueError(f"findings: {pairs.name} has images below {height} x {width}: use larger ones.")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        outputs = {"at initialisation": networks.build("student").eval()(hazy)}
        errors = {"haze": hazy - clear, "white noise": torch.randn_like(clear)}
    for label in ("student", "full_framework"):
        psnr = float(printed(5, label).psnr)
        for name, error in errors.items():
            scale = 10 ** (-psnr / 20) / error.square().mean().sqrt()
            outputs[f"at {psnr:.2f} dB, error: {name}"] = clear + scale * error
    return {when: 100 * gradient_ratio(output, clear) for when, output in outputs.items()}


def gradient_ratio(output: Tensor, clear: Tensor) -> float:
    """Returns the ratio of both gradient norms at `output`, (B, 3, H, W)."""
    output = output.detach().requires_grad_()
    terms = F.mse_loss(output, clear), PAPER_WEIGHT * affinity_loss(output, doubled(clear), distance="l2_norm")
    reconstruction, affinity = (torch.autograd.grad(term, output)[0].norm() for term in terms)
    return (affinity / reconstruction).item()


def untrained_teacher(pairs: Pairs, seeds: int = 3) -> list[float]:
    """Returns the root mean squares of what untrained teachers make of the first clear image, in % of the image's.

    FSRCNN's last layer starts at weights near 0. Where the output is black, its affinity is 0, and all that the
    affinity term asks of the student is to be dark, too.
    """
    clear, levels = pairs[0][1][None], []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for seed in range(seeds):
            torch.manual_seed(seed)
            output = networks.build(TEACHER).eval()(clear)
            levels.append(100 * (output.square().mean() / clear.square().mean()).sqrt().item())
    return levels


def black_bars(images: int = 1000, seed: int = 0) -> list[float]:
    """Returns the share of black pixels in each of so many training images under the released augmentation.

    The images are white, of 460 x 620 at a tenth, and come as training draws them.
    """
    height, width = (side // 10 for side in cost.SIZE)
    image, depth = np.full((height, width, 3), 255, np.uint8), np.zeros((height, width))
    white = Pairs("white", [Pair("0", 0, airlight=1.0, beta=1.0)], lambda scene: image, lambda scene: depth)
    stream = Stream(Spec(augment="released", crop=0, steps=images, batch=1, seed=seed), white)
    return [(stream[k][1] == 0).float().mean().item() for k in range(images)]


def float32_errors(pairs: Pairs, sides: tuple[int, ...] = (128, 256)) -> list[tuple]:
    """Returns the error of the affinity loss in 32 bits, in percent: (form, N, error), of the literal N x N form
    and of C x C products.

    The features are the first clear image and the same image 10 % darker, cut to `sides` pixels and pooled by 4. What
    the literal form loses grows with N and depends on how the machine's library splits the sum; 460 x 620 has
    N = 17,825.
    """
    rows, forms = [], {"literal N x N form": affinity_distance_reference, "C x C products": affinity_distance}
    for side in sides:
        teacher = F.avg_pool2d(pairs[0][1][None, :, :side, :side], 4).flatten(2)  # (1, 3, N)
        student, n = 0.9 * teacher, teacher.shape[-1]
        exact = affinity_distance_reference(student.double(), teacher.double(), "l2_norm").item()
        for name, form in forms.items():
            rows.append((name, n, 100 * (form(student, teacher, "l2_norm").item() / exact - 1)))
    return rows


def channel_wise() -> float:
    """Returns how many times the MSE of an image its channel-wise MSE is."""
    random = torch.Generator().manual_seed(0)
    images = [torch.rand(1, 3, 32, 32, generator=random) for _ in range(2)]
    return LOSSES["channel_mse"](*images).item() / LOSSES["mse"](*images).item()


FACTS = {"published": published, "counts": cost.counts, "training_graph": cost.training_graph_counts,
         "count": networks.count, **{function.__name__: function for function in (
             printed, claimed, networks_of_table9, best_weights, form, true_gflops, bilinear_psnr, gradient_shares,
             untrained_teacher, black_bars, float32_errors, channel_wise, headline_matches, printed_before,
             normalised_twice, student_sides, framework_gflops, module_parameters)}}
