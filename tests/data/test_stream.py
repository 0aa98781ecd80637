"""Training samples: sample k depends on the seed and k alone, however the run is cut."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from dehazelib.data.pairs import Frames, Pair, Pairs, turned
from dehazelib.data.resident import Resident, fits
from dehazelib.data.stream import Shard, Stream
from dehazelib.experiments.spec import Spec
from dehazelib.resampling import super_resolution_pair

SPEC = Spec(steps=10, batch=4, crop=16)
SCENES = 7


@pytest.fixture
def pairs():
    """Scenes of 24 x 32; the blue channel of scene i is i everywhere, haze is drawn afresh."""
    clear = np.random.default_rng(0).integers(0, 256, (SCENES, 24, 32, 3), dtype=np.uint8)
    clear[..., 2] = np.arange(SCENES).reshape(-1, 1, 1)
    return Pairs("tiny", [Pair(str(i), i) for i in range(SCENES)], clear.__getitem__,
                 lambda scene: clear[scene, ..., 0] / np.float32(255))


def scene_of(sample) -> int:
    return round(sample[1][2, 0, 0].item() * 255)


def test_a_sample_depends_on_the_seed_and_its_number_alone(pairs):
    forward = [Stream(SPEC, pairs)[k] for k in range(20)]
    stream = Stream(SPEC, pairs)
    for k in reversed(range(20)):
        assert all(torch.equal(a, b) for a, b in zip(stream[k], forward[k]))
    other = [Stream(SPEC.replace(seed=1), pairs)[k] for k in range(20)]
    assert not any(torch.equal(a[0], b[0]) for a, b in zip(forward, other))


def test_every_epoch_visits_every_pair_once_in_an_order_of_its_own(pairs):
    stream = Stream(SPEC, pairs)
    epochs = [[scene_of(stream[e * SCENES + i]) for i in range(SCENES)] for e in range(5)]
    assert all(sorted(epoch) == list(range(SCENES)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 3


@pytest.mark.parametrize("augment", ["none", "flip", "flip_rotate", "released"])
def test_input_and_target_stay_aligned(pairs, augment):
    items = [Pair(str(i), i, airlight=0.9, beta=1.2) for i in range(SCENES)]
    fixed = Pairs("fixed", items, pairs.clear, pairs.depth)
    stream = Stream(SPEC.replace(augment=augment), fixed)
    for k in range(12):
        hazy, clear = stream[k]
        t = (-1.2 * clear[0]).exp()  # red tells the depth
        torch.testing.assert_close(hazy * 255, (clear * t + 0.9 * (1 - t)) * 255, atol=0.51, rtol=0)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_out_every_batch(world):
    shards = [list(Shard(SPEC, 0, rank, world)) for rank in range(world)]
    for step in range(SPEC.steps):
        together = [k for shard in shards for k in shard[step]]
        assert together == list(range(step * SPEC.batch, (step + 1) * SPEC.batch))


@pytest.mark.parametrize("rank, world", [(0, 1), (0, 2), (1, 2)])
def test_a_resumed_run_sees_the_rest_of_the_sequence(rank, world):
    whole = list(Shard(SPEC, 0, rank, world))
    for start in range(SPEC.steps + 1):
        rest = Shard(SPEC, start, rank, world)
        assert list(rest) == whole[start:] and len(rest) == len(list(rest))


MIXED = SPEC.replace(crop=0, reduce=2, batch=2, scales="4 2 1")


def test_steps_take_the_scales_in_turn_with_as_many_pixels_each(decoded):
    stream, shard = Stream(MIXED, decoded), Shard(MIXED, 0)
    shapes = [tuple(inputs.shape) for inputs, _ in Resident(stream).batches(shard)]
    assert shapes[:4] == [(8, 3, 6, 8), (2, 3, 12, 16), (1, 3, 24, 32), (8, 3, 6, 8)]
    assert [k for numbers in shard for k in numbers] == list(range(len(stream)))
    assert [MIXED.images(steps) for steps in range(5)] == [0, 8, 10, 11, 19]
    assert list(Shard(MIXED, 4)) == list(shard)[4:]


def test_of_mixed_scales_each_sample_is_that_of_its_own_scale(decoded):
    mixed = Stream(MIXED, decoded)
    for k, factor in ((0, 4), (8, 2), (10, 1), (11, 4)):
        alone = Stream(MIXED.replace(scales="", reduce=factor), decoded)
        assert all(torch.equal(a, b) for a, b in zip(mixed[k], alone[k]))


@pytest.mark.parametrize("scales", ["4,2", "0 1", " 4", "two"])
def test_scales_that_are_no_whole_numbers_are_refused(scales):
    with pytest.raises(ValueError, match="scales is .*give whole numbers"):
        SPEC.replace(scales=scales)


def test_fewer_training_scenes_are_the_first_ones_with_all_their_haze(pairs):
    items = [Pair(f"{i}_{j}", i) for i in reversed(range(SCENES)) for j in range(3)]
    many = Pairs("many", items, pairs.clear, pairs.depth)
    stream = Stream(SPEC.replace(train_scenes=2), many)
    assert {p.name for p in stream.pairs.pairs} == {f"{i}_{j}" for i in (0, 1) for j in range(3)}
    assert {scene_of(stream[k]) for k in range(6)} == {0, 1}


@pytest.mark.parametrize("target, scale, low", [("native", 2, 8), ("native", 4, 4), ("upsampled", 2, 16)])
def test_super_resolution_takes_each_clear_scene_once_an_epoch(pairs, target, scale, low):
    items = [Pair(f"{i}_{j}", i) for i in range(SCENES) for j in range(3)]
    spec = SPEC.replace(task="super_resolution", target=target)
    stream = Stream(spec, Pairs("many", items, pairs.clear, pairs.depth), scale)
    small, large = stream[0]
    assert small.shape == (3, low, low) and large.shape == (3, scale * low, scale * low)
    assert sorted(scene_of(stream[k]) for k in range(SCENES)) == list(range(SCENES))
    if target == "native":
        assert torch.equal(small, super_resolution_pair(large[None], "native", scale)[0][0])


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("height, width", [(46, 62), (62, 46), (9, 5), (16, 16)])
def test_released_turns_are_those_of_pillow_without_a_larger_canvas(turns, height, width):
    pixels = np.random.default_rng(0).integers(1, 256, (height, width, 3), dtype=np.uint8)  # nothing black
    ours = turned(torch.from_numpy(pixels).permute(2, 0, 1), turns).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(ours, np.array(Image.fromarray(pixels).rotate(90 * turns)))
    black = (ours == 0).all(-1).sum()
    bars = height * width - min(height, width) ** 2
    assert black == (bars if turns % 2 else 0)  # at 90 and 270 degrees


@pytest.mark.parametrize("augment, views", [("none", 1), ("flip", 2), ("flip_rotate", 8), ("released", 8)])
def test_augmentation_reaches_all_views_of_a_square_and_no_others(augment, views):
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    fixed = Pairs("one", [Pair("0", 0, airlight=1.0, beta=1.0)], image.__getitem__,
                  lambda scene: np.ones((16, 16), np.float32))
    stream = Stream(SPEC.replace(augment=augment), fixed)
    seen = {stream[k][1].numpy().tobytes() for k in range(100)}
    clear = torch.from_numpy(image[0]).permute(2, 0, 1).float() / 255
    possible = [torch.rot90(x, k, (1, 2)) for x in (clear, clear.flip(-1)) for k in range(4)]
    assert len(seen) == views and seen <= {x.numpy().tobytes() for x in possible}


def test_flip_rotate_refuses_whole_images(pairs):
    with pytest.raises(ValueError, match="flip_rotate needs square crops: set crop"):
        Stream(SPEC.replace(augment="flip_rotate", crop=0), pairs)


@pytest.fixture
def decoded():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (SCENES, 24, 32, 3), dtype=np.uint8)
    depths = rng.integers(0, 65536, (SCENES, 24, 32), dtype=np.uint16)
    depths[:, 0, 0] = 65535
    items = [Pair(str(i + 100), i + 100) for i in reversed(range(SCENES))]
    return Pairs.of_frames("decoded", items, Frames(images, depths, {i + 100: i for i in range(SCENES)}))


@pytest.mark.parametrize("changes", [
    {}, {"crop": 0}, {"augment": "none"}, {"augment": "flip_rotate"}, {"augment": "released", "crop": 0},
    {"reduce": 2, "crop": 8}, {"reduce": 2, "crop": 0, "scales": "1 2"}, {"train_scenes": 3},
    {"task": "super_resolution", "target": "native"},
    {"task": "super_resolution", "target": "upsampled", "crop": 0},
])
def test_batches_made_on_the_device_hold_the_samples_of_the_loader(decoded, changes):
    stream = Stream(SPEC.replace(**changes), decoded)
    for start in (0, 3):
        numbers = next(iter(Shard(stream.spec, start)))
        inputs, target = Resident(stream).batch(numbers)
        samples = [stream[k] for k in numbers]
        assert torch.equal(inputs, torch.stack([s[0] for s in samples]))
        assert torch.equal(target, torch.stack([s[1] for s in samples]))


@pytest.mark.parametrize("changes", [{}, {"reduce": 2, "crop": 8}])
@pytest.mark.parametrize("read_from_files", [True, False])
def test_a_loader_s_workers_can_be_given_the_stream_by_pickling_it(decoded, changes, read_from_files):
    if read_from_files:
        decoded = Pairs("read", [Pair(str(i), i + 100) for i in range(SCENES)], decoded.clear, decoded.depth)
    stream = Stream(SPEC.replace(**changes), decoded)
    first = stream[3]
    sent = pickle.loads(pickle.dumps(stream))
    assert all(torch.equal(a, b) for a, b in zip(sent[3], first))


def test_scenes_read_from_files_cannot_live_on_the_device(pairs):
    stream = Stream(SPEC, pairs)
    assert not fits(stream, torch.device("cpu"))
    with pytest.raises(ValueError, match="tiny is read from files"):
        Resident(stream)


def test_what_this_process_freed_on_the_gpu_but_pytorch_keeps_is_free_for_scenes(decoded, monkeypatch, capsys):
    stream, gpu = Stream(SPEC, decoded), torch.device("cuda", 0)
    need = decoded.frames.images.nbytes + decoded.frames.depths.nbytes
    for name, amount in (("mem_get_info", (need, 9 * need)), ("memory_reserved", 4 * need), ("memory_allocated", need)):
        monkeypatch.setattr(torch.cuda, name, lambda device, amount=amount: amount)
    assert fits(stream, gpu) and capsys.readouterr().err == ""
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 4 * need)
    assert not fits(stream, gpu)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "more than 50% of the" in said and "free on cuda:0: they are loaded batch" in said


def test_reduced_scenes_are_means_of_pixel_blocks(decoded, pairs):
    small = decoded.reduced(4)
    assert small.clear(103).shape == (6, 8, 3) and decoded.reduced(1) is decoded
    block = decoded.clear(103)[4:8, 8:12].reshape(-1, 3)
    np.testing.assert_array_equal(small.clear(103)[1, 2], block.mean(0, dtype=np.float32).round().astype(np.uint8))
    np.testing.assert_allclose(small.depth(103)[1, 2], decoded.depth(103)[4:8, 8:12].mean(), atol=1e-5)
    assert pairs.reduced(2).clear(3).shape == (12, 16, 3)
