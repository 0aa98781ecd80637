"""Training steps per second: the released code's step, made again, against ours on the same images."""

import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning.fabric import Fabric
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from dehazelib import networks
from dehazelib.bench import affinity, roofline
from dehazelib.bench.rows import keep, local
from dehazelib.data.images import FORMATS
from dehazelib.data.pairs import Frames, Pair, Pairs, turned
from dehazelib.data.sources import Data
from dehazelib.distillation.affinity import affinity_distance_reference, pooled
from dehazelib.experiments.hardware import Hardware
from dehazelib.experiments.plan import BATCH, IMAGE, TEACHER
from dehazelib.experiments.settings import READINGS, RECIPES
from dehazelib.experiments.spec import Spec
from dehazelib.metrics import psnr_rgb
from dehazelib.profiling import memory, timing
from dehazelib.profiling.allocator import can_keep, freed_memory_kept
from dehazelib.training.autotune import Tuning, candidates
from dehazelib.training.loop import batches
from dehazelib.training.state import TrainingState

REFERENCE, OURS = "as released", "exact affinity, channels last"
GIVEN_BACK = f"{OURS}, freed memory given back"  # to the system, as programs do unless they ask otherwise
STEPS = {"cpu": 1, "cuda": 10}  # at a time: on a GPU the next step begins while the one before runs
SCENES = 8  # synthetic ones of the paper's size; what they show does not change the time
PAPER_IMAGES = 13990 * 200  # of the published recipe
ACTIVATIONS_MB_PER_MEGAPIXEL = 5000  # of one step: student and teacher in float32
KEPT_MB_PER_MEGAPIXEL = 11000  # that the process which takes all our ways ends up holding


class ReleasedStep:
    """One step as in the authors' code: a batch of two whole images, loaded one by one from files on the CPU, a forward
    and backward pass in eager float32 with two N x N matrices per image, clipping, Adam, and PSNR of the batch.

    Source: the authors' released training loop, github.com/anushrisuresh/Dehaze; networks are this study's.
    """

    def __init__(self, size: tuple[int, int], device: torch.device):
        self.rng = np.random.default_rng(0)
        self.folder = tempfile.TemporaryDirectory()
        write_images(scenes(size).train, Path(self.folder.name))
        self.files = sorted(Path(self.folder.name).glob("*_hazy.png"))
        self.device = device
        self.student, self.teacher = networks.build("student").to(device), networks.build(TEACHER).to(device).eval()
        self.optimizer = torch.optim.Adam(self.student.parameters(), lr=RECIPES["released"]["lr"])
        self.taken = 0

    def load(self) -> tuple[Tensor, Tensor]:
        pairs = []
        for _ in range(BATCH):
            file = self.files[self.taken % len(self.files)]
            self.taken += 1
            mirrored, turns = self.rng.random() < 0.5, int(self.rng.integers(4))
            images = torch.stack([_read(file), _read(file.with_name(file.name.replace("hazy", "clear")))])
            if mirrored:
                images = images.flip(-1)
            pairs.append(turned(images, turns))
        hazy, clear = torch.stack(pairs, 1)
        return hazy.to(self.device), clear.to(self.device)

    def loss(self, hazy: Tensor, clear: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the loss with w_FA = 0.25 and the student's output."""
        output = self.student(hazy)
        with torch.no_grad():
            guide = self.teacher(clear)
        grid = tuple(side // 4 for side in hazy.shape[-2:])
        distance = affinity_distance_reference(pooled(output, grid), pooled(guide, grid), "l2_norm")
        return F.mse_loss(output, clear) + 0.25 * distance, output

    def __call__(self) -> float:
        hazy, clear = self.load()
        loss, output = self.loss(hazy, clear)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), RECIPES["released"]["clip"])
        self.optimizer.step()
        with torch.no_grad():
            return psnr_rgb(output.clamp(0, 1), clear).mean().item() + loss.item()


def run(folder: Path | None = None, size: tuple[int, int] = IMAGE, repeats: int = 5,
        seconds: float = 200.0) -> pd.DataFrame:
    """Returns one row per way of training: ms a step, images per second, ratio to the released step, projected hours of
    the paper's whole recipe (13,990 images x 200 epochs); the rows of all repeats go to training.csv in `folder`
    (default: bench.rows.local()).

    All ways take batches of two whole images of `size` and the same objective, the framework as in the released code;
    "student alone" leaves the module out. The released step, and on a CPU one of ours, run in another process, where
    freed memory goes back to the system; in this process it is kept, as in every run (profiling/allocator.py). On a CPU
    those two warm up on images of a quarter of the size each way, since their steps take long. On a GPU ten steps are
    timed at a time, and a way that does not run is left out with a line.
    What a step of ours is made of goes to training_operations.csv on a CPU (see roofline.py); on a GPU it is printed.
    Raises MemoryError if the literal form would not fit.
    """
    folder = folder or local()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _check_memory(size, device)
    steps = STEPS[device.type]
    with memory.another_process() as call, freed_memory_kept():
        call(torch.set_num_threads, torch.get_num_threads())
        elsewhere = [REFERENCE]
        if device.type == "cpu" and can_keep():
            elsewhere.append(GIVEN_BACK)
        for way in elsewhere:
            call(take_steps, way, size, 0)  # makes it
            if device.type == "cpu":
                call(take_steps, way, _small(size), 1)
        here = ours(specification(), scenes(size), device)
        if device.type == "cuda":
            here = timing.runnable(here, calls=2)  # a CUDA graph is recorded at the second call
        methods = {way: partial(call, take_steps, way, size, steps) for way in elsewhere}
        methods |= {way: partial(_repeat, step, steps) for way, step in here.items()}
        warm = elsewhere if device.type == "cpu" else []
        rows = timing.compare(methods, repeats, seconds, device.type, warm=warm)
        rows = rows.assign(ms=rows.ms / steps, height=size[0], width=size[1], batch=BATCH)
        keep(rows, "training", folder)
        if device.type == "cpu":
            operations = roofline.operations(here[OURS], repeats=2).assign(kind="training")
            keep(operations, "training_operations", folder)
        else:
            print(profile(here[OURS]), file=sys.stderr)
    table = timing.summary(rows, REFERENCE)
    table["images_per_second"] = BATCH * 1e3 / table.ms
    table["hours_of_the_paper"] = PAPER_IMAGES / table.images_per_second / 3600
    return table


def take_steps(way: str, size: tuple[int, int], steps: int) -> None:
    """Takes steps of the released code, or of ours, on images of this size, in whichever process it is called."""
    _repeat(_made(way, size), steps)


@cache
def _made(way: str, size: tuple[int, int]) -> Callable[[], object]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if way == REFERENCE:
        return ReleasedStep(size, device)
    return step(specification(), scenes(size), device, Tuning(True))


def specification() -> Spec:
    """Returns the released recipe as a specification: what every way takes a step of."""
    return Spec(batch=BATCH, crop=0, loss="mse", teacher=f"untrained:{TEACHER}", **READINGS["as_released"],
                **RECIPES["released"])


def ours(spec: Spec, data: Data, device: torch.device) -> dict[str, Callable]:
    """Returns our ways of taking the same step, by name; on a GPU every candidate of the autotuning, too."""
    low = "bf16-mixed"
    methods = {
        OURS: step(spec, data, device, Tuning(True)),
        "exact affinity, channels last, bf16": step(spec.replace(precision=low), data, device, Tuning(True)),
        "student alone, channels last": step(spec.replace(features="none", teacher=""), data, device, Tuning(True)),
    }
    if device.type == "cuda":
        methods["exact affinity, loader"] = step(spec, data, device, Tuning(False), resident=False)
        alone = spec.replace(features="none", teacher="", precision=low)
        methods |= {f"exact affinity, {name}, bf16": step(spec.replace(precision=low), data, device, tuning)
                    for name, tuning in candidates(spec).items()}
        methods |= {f"student alone, {name}, bf16": step(alone, data, device, tuning)
                    for name, tuning in candidates(alone).items()}
    return methods


def step(spec: Spec, data: Data, device: torch.device, tuning: Tuning, resident: bool = True) -> Callable[[], None]:
    """Returns a function that takes one training step of the library, its batch included."""
    fabric = Fabric(accelerator=device.type, devices=1, precision=spec.precision)
    spec = spec.replace(steps=10_000)
    teacher = networks.build(TEACHER) if spec.teacher else None
    state = TrainingState(spec, fabric, teacher, None, tuning)
    if teacher:
        state.objective.module.steps = 1  # the gradients, measured every so many steps from step 0, are none of it
    stream = iter(batches(spec, data, 0, fabric, Hardware(resident=resident), scale=2))
    return lambda: state.update(fabric, *next(stream))


def profile(run: Callable, steps: int = STEPS["cuda"]) -> str:
    """Returns how busy the GPU is in these steps, and which kernels take its time, as text."""
    activity = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[activity.CPU, activity.CUDA]) as recorded:
        elapsed = timing.milliseconds(lambda: _repeat(run, steps), "cuda")
    kernels = [event for event in recorded.key_averages() if event.device_type == torch.autograd.DeviceType.CUDA
               and not event.is_user_annotation]  # such as a whole step of the optimiser
    times = pd.Series({event.key: event.self_device_time_total / 1e3 for event in kernels}).sort_values(ascending=False)
    lines = [f"  {100 * ms / times.sum():5.1f} %  {name}" for name, ms in times.head(12).items()]
    busy = f"GPU busy {100 * times.sum() / elapsed:.0f} % of the time"
    return "\n".join([f"a step of {elapsed / steps:.1f} ms under the profiler, {busy}:", *lines])


def scenes(size: tuple[int, int]) -> Data:
    """Returns training data of a few random scenes of this size."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (SCENES, *size, 3), dtype=np.uint8)
    depths = rng.integers(0, 65536, (SCENES, *size), dtype=np.uint16)
    frames = Frames(images, depths, {i: i for i in range(SCENES)})
    train = Pairs.of_frames("random", [Pair(str(i), i) for i in range(SCENES)], frames)
    return Data("random", "random", "", train, train, {})


def write_images(pairs: Pairs, folder: Path) -> None:
    """Writes one hazy and one clear PNG file per scene, as the released code reads them."""
    for index in range(len(pairs)):
        images = pairs.apply(pairs.sample_parameters(index, np.random.default_rng(index)))
        for kind, image in zip(("hazy", "clear"), images):
            Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(folder / f"{index}_{kind}.png")


def _repeat(run: Callable[[], object], times: int) -> None:
    for _ in range(times):
        run()


def _small(size: tuple[int, int]) -> tuple[int, int]:
    """Returns the size of images for a warm-up that loads all code but takes no time: a quarter each way, multiples
    of 4."""
    height, width = size
    return height // 16 * 4, width // 16 * 4


def _read(file: Path) -> Tensor:
    with Image.open(file, formats=FORMATS) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def _check_memory(size: tuple[int, int], device: torch.device) -> None:
    pixels = (size[0] // 4) * (size[1] // 4)
    matrices = BATCH * affinity.MATRICES["l2_norm"] * 4 * pixels**2 / 1e6
    megapixels = BATCH * size[0] * size[1] / 1e6
    per_megapixel = 2 * ACTIVATIONS_MB_PER_MEGAPIXEL  # of the released step, and of ours beside it
    if device.type == "cpu":
        per_megapixel = ACTIVATIONS_MB_PER_MEGAPIXEL + KEPT_MB_PER_MEGAPIXEL
    needed = affinity.HEADROOM * matrices + per_megapixel * megapixels
    free = memory.available_mb(device.type)
    if free < needed:
        raise MemoryError(f"the released step and ours beside it need about {needed / 1e3:.0f} GB, most for its N x N "
                          f"matrices, and {free / 1e3:.0f} GB are free: close other programs, or give a smaller size.")
