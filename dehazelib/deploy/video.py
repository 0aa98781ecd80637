"""Videos, dehazed frame by frame: their brightness does not flicker, and their sound is kept."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dehazelib.data.images import DataError
from dehazelib.deploy.inference import run
from dehazelib.deploy.photos import whole

SECONDS = 2.0  # in which the averages of channel attention follow the scene by 63 %
CUT = 38  # of 255: mean difference between two frames of different scenes
HDR = (16, 18)  # transfer functions PQ and HLG
CODECS = {".webm": "libvpx-vp9"}  # of containers that do not take H.264
QUALITY = {"crf": "18"}


class SmoothedAverages:
    """Averages over a frame, as strips.by_strips asks for them, smoothed over the frames before.

    Each average follows its frames' like the voltage of a capacitor: a bright thing that comes into view does not
    darken everything else at once. rate: frames a second.
    """

    def __init__(self, rate: float, seconds: float = SECONDS):
        self.share = 1 - math.exp(-1 / (rate * seconds))
        self.past, self.layer = [], 0

    def start_frame(self, cut: bool = False) -> None:
        """cut: this frame has nothing to do with those before."""
        self.layer = 0
        if cut:
            self.past = []

    def __call__(self, average: Tensor) -> Tensor:
        if self.layer < len(self.past):
            average = self.past[self.layer].lerp(average, self.share)
            self.past[self.layer] = average
        else:
            self.past.append(average)
        self.layer += 1
        return average


class Frames:
    """Dehazes frames of one video, given one after another as uint8 (H, W, 3)."""

    def __init__(self, network: Callable, rate: float, strength: float = 1.0):
        self.network, self.strength = network, strength
        self.averages = SmoothedAverages(rate)
        self.before = None

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        seen = frame[::8, ::8].astype(np.int16)
        self.averages.start_frame(cut=self.before is not None and np.abs(seen - self.before).mean() > CUT)
        self.before = seen
        image = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
        return run(self.network, image, self.strength, self.averages)[0].permute(1, 2, 0).contiguous().numpy()


def dehaze_video(network: Callable, source: Path, target: Path, strength: float = 1.0, side_by_side: bool = False
                 ) -> None:
    """Dehazes a video into a file of the format of its name; the file appears whole or not at all.

    Frames keep their times and colour space, and are turned as players turn them; sound is copied. H.264 (VP9 in a
    .webm), 8 bits. Raises FileNotFoundError, DataError for what is no such video, ValueError without PyAV.
    """
    try:
        import av
    except ModuleNotFoundError:
        raise ValueError("videos need PyAV: pip install av, or '.[video]' in the project's folder.") from None
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such file.")
    try:
        first = _first_frame(av, source)
        with whole(target) as scratch, av.open(source) as given, av.open(scratch, "w") as made:
            _transcode(av, given, made, first, network, strength, side_by_side)
    except av.error.FFmpegError as error:
        raise DataError(f"{source}: cannot be read or written as a video ({error.strerror}).") from None


def _first_frame(av, source: Path):
    with av.open(source) as given:
        for frame in given.decode(given.streams.best("video")) if given.streams.video else ():
            if frame.color_trc in HDR:
                raise DataError(f"{source}: is HDR video: convert it to SDR (8 bits) first.")
            return frame
    raise DataError(f"{source}: holds no pictures.")


def _transcode(av, given, made, first, network: Callable, strength: float, side_by_side: bool) -> None:
    video = given.streams.best("video")
    rate = video.average_rate or 25
    height, width = _upright(first).shape[:2]
    out = made.add_stream(CODECS.get(Path(made.name).suffix.lower(), "libx264"), rate=rate, options=QUALITY)
    out.width, out.height = (2 * width if side_by_side else width), height
    out.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
    context = out.codec_context
    context.time_base = video.time_base
    context.colorspace, context.color_range = first.colorspace, first.color_range
    context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
    sound = {stream.index: made.add_stream_from_template(stream) for stream in given.streams.audio}
    made.metadata.update(given.metadata)
    dehazed = Frames(network, float(rate), strength)

    def encoded(frame) -> None:
        before = _upright(frame)
        after = dehazed(before)
        pixels = np.concatenate([before, after], 1) if side_by_side else after
        result = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
            format=out.pix_fmt, dst_colorspace=first.colorspace, dst_color_range=first.color_range)
        result.pts, result.time_base = frame.pts, frame.time_base
        made.mux(out.encode(result))

    with tqdm(desc=Path(given.name).name, total=video.frames or None, unit="frame", leave=False, disable=None) as bar:
        for packet in given.demux(video, *given.streams.audio):
            if packet.stream is video:
                for frame in packet.decode():
                    encoded(frame)
                    bar.update()
            elif packet.dts is not None:  # the last one of each stream is empty
                packet.stream = sound[packet.stream.index]
                made.mux(packet)
        made.mux(out.encode(None))


def _upright(frame) -> np.ndarray:
    """Returns a frame's pixels, uint8 (H, W, 3), turned as players do with videos of phones."""
    turns = round(frame.rotation / 90) if abs(frame.rotation) <= 180 else 0  # a damaged matrix gives other numbers
    return np.rot90(frame.to_ndarray(format="rgb24"), turns)
