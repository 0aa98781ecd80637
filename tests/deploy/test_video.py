"""Videos: each frame dehazed, sound and times kept, and no flicker."""

import struct

import numpy as np
import pytest
import torch

from dehazelib.data.images import DataError
from dehazelib.deploy import inference, video
from dehazelib.deploy.video import Frames, SmoothedAverages, dehaze_video

av = pytest.importorskip("av")
SIZE, RATE, COUNT = (64, 48), 25, 12  # width and height, frames a second, frames


def identity(image):
    return image


def frame(number, size=SIZE):
    """Returns a frame with a blue corner, top left, and a bar that moves."""
    pixels = np.full((size[1], size[0], 3), (190, 70, 80), np.uint8)
    pixels[:size[1] // 2, :size[0] // 2] = (40, 90, 200)
    pixels[-8:, 4 * number:4 * number + 8] = 230
    return pixels


def clip(path, times=range(COUNT), sound=True, size=SIZE, space=None, transfer=None):
    with av.open(str(path), "w") as file:
        pictures = file.add_stream("libx264", rate=RATE, options={"crf": "8"})
        pictures.width, pictures.height = size
        pictures.pix_fmt = "yuv444p" if size[0] % 2 else "yuv420p"
        if space:
            pictures.codec_context.colorspace = pictures.codec_context.color_primaries = space
        if transfer:
            pictures.codec_context.color_trc = transfer
        waves = file.add_stream("aac", rate=44100, layout="mono") if sound else None
        for number, time in enumerate(times):
            made = av.VideoFrame.from_ndarray(frame(number, size), "rgb24")
            made = made.reformat(format=pictures.pix_fmt, dst_colorspace=space)
            made.pts = time
            file.mux(pictures.encode(made))
        file.mux(pictures.encode(None))
        for start in range(0, 44100 * COUNT // RATE if sound else 0, 1024):
            wave = 0.3 * np.sin(0.06 * np.arange(start, start + 1024, dtype=np.float32))
            made = av.AudioFrame.from_ndarray(wave[None], "fltp", "mono")
            made.sample_rate, made.pts = 44100, start
            file.mux(waves.encode(made))
        if sound:
            file.mux(waves.encode(None))
    return path


def turned(path):
    """Makes a video one that players turn clockwise, as phones write them."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix:matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 2**30)
    path.write_bytes(data)
    return path


def read(path):
    """Returns the frames' pixels, their times in seconds, and the bytes of the sound."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    with av.open(str(path)) as file:
        sound = [bytes(packet) for packet in file.demux(*file.streams.audio)] if file.streams.audio else []
    return [one.to_ndarray(format="rgb24") for one in frames], [float(one.time) for one in frames], b"".join(sound)


def away(made, expected):
    """Returns the mean difference, of 255: what encoding costs."""
    return np.abs(made.astype(int) - expected).mean()


def test_frames_times_and_sound_are_kept(tmp_path):
    dehaze_video(lambda image: 1 - image, clip(tmp_path / "clip.mp4"), tmp_path / "clear.mp4")
    before, after = read(tmp_path / "clip.mp4"), read(tmp_path / "clear.mp4")
    assert len(after[0]) == COUNT and max(away(b, 255 - a.astype(int)) for a, b in zip(before[0], after[0])) < 4
    assert after[1] == pytest.approx([number / RATE for number in range(COUNT)])
    assert len(after[2]) > 1000 and after[2] == before[2]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["clear.mp4", "clip.mp4"]


def test_frames_at_uneven_times_stay_there(tmp_path):
    times = [0, 1, 4, 5, 9]
    dehaze_video(identity, clip(tmp_path / "clip.mkv", times, sound=False), tmp_path / "clear.mkv")
    assert read(tmp_path / "clear.mkv")[1] == pytest.approx([time / RATE for time in times], abs=0.002)


@pytest.mark.parametrize("space", [1, 5])  # BT.709, BT.601
def test_colours_are_those_of_the_video_s_colour_space(tmp_path, space):
    dehaze_video(identity, clip(tmp_path / "clip.mp4", space=space), tmp_path / "clear.mp4")
    assert max(away(made, frame(number)) for number, made in enumerate(read(tmp_path / "clear.mp4")[0])) < 4
    with av.open(str(tmp_path / "clear.mp4")) as file:
        assert next(file.decode(video=0)).colorspace == space


@pytest.mark.parametrize("name, size", [("clear.mp4", (63, 47)), ("clear.webm", SIZE)])
def test_odd_sizes_and_other_containers(tmp_path, name, size):
    dehaze_video(identity, clip(tmp_path / "clip.mp4", sound=False, size=size), tmp_path / name)
    assert away(read(tmp_path / name)[0][3], frame(3, size)) < 6


def test_a_phone_s_video_comes_out_upright(tmp_path):
    dehaze_video(identity, turned(clip(tmp_path / "clip.mp4")), tmp_path / "clear.mp4")
    assert away(read(tmp_path / "clear.mp4")[0][2], np.rot90(frame(2), -1)) < 4


@pytest.mark.parametrize("make, message", [
    (lambda path: path.write_text("no video"), "clip.mp4: cannot be read or written as a video"),
    (lambda path: clip(path, transfer=16), "clip.mp4: is HDR video: convert it"),
    (lambda path: clip(path, times=[]), "clip.mp4: ")])
def test_what_is_no_such_video_is_named_and_leaves_nothing(tmp_path, make, message):
    make(tmp_path / "clip.mp4")
    with pytest.raises(DataError, match=message):
        dehaze_video(identity, tmp_path / "clip.mp4", tmp_path / "out" / "clear.mp4")
    assert not list(tmp_path.glob("out/*"))


# ------------------------------------------------------------------------------------------------------- brightness


def scene(number, frames):
    """Returns a hazy street that stays as it is, and a dark car that drives through it."""
    height, width = 64, 96
    rng = np.random.default_rng(0)
    ground = np.kron(rng.uniform(70, 150, (8, 12, 3)), np.ones((8, 8, 1)))
    haze = np.linspace(0.9, 0.3, height)[:, None, None]
    pixels = ground * (1 - haze) + 215 * haze
    left = int(-40 + number * (width + 40) / frames)
    pixels[36:60, max(left, 0):max(left + 40, 0)] = (30, 40, 60)
    return pixels.astype(np.uint8)


def flicker(frames):
    """Returns how much the sky changes from frame to frame, in levels of 255."""
    sky = np.array([frame[:24].mean((0, 1)) for frame in frames])
    return np.abs(np.diff(sky, axis=0)).mean()


def test_what_drives_through_a_scene_does_not_make_the_rest_flicker():
    network, given = inference.load("sots"), [scene(number, 20) for number in range(20)]
    smooth = Frames(network, rate=25)
    single = [inference.run(network, torch.from_numpy(one).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
              for one in given]
    smoothed = [smooth(one) for one in given]
    assert flicker(given) == 0 and flicker(single) > 1
    assert flicker(smoothed) < 0.3 * flicker(single)
    np.testing.assert_allclose(smoothed[0].astype(int), single[0], atol=1)  # nothing before the first frame


def test_a_new_scene_starts_afresh():
    network = inference.load("sots")
    frames, alone = Frames(network, rate=25), Frames(network, rate=25)
    frames(scene(0, 20)), frames(scene(1, 20))
    other = np.roll(255 - scene(5, 20), 30, axis=1)
    np.testing.assert_array_equal(frames(other), alone(other))


def test_averages_follow_by_63_percent_in_their_time():
    averages = SmoothedAverages(rate=10, seconds=2)
    for value in [0.0] + 20 * [1.0]:
        averages.start_frame()
        first, second = averages(torch.tensor(value)), averages(torch.tensor(-value))
    assert first.item() == pytest.approx(1 - np.exp(-1), abs=1e-6) and second == -first


def test_without_pyav_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ValueError, match="videos need PyAV: pip install av"):
        video.dehaze_video(identity, tmp_path / "clip.mp4", tmp_path / "clear.mp4")
