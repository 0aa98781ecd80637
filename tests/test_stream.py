"""Training samples: sample k depends on the seed and k alone, however the run is cut."""

import numpy as np
import pytest
import torch
from PIL import Image

from dehazelib.data.pairs import Pair, Pairs
from dehazelib.data.stream import Shard, Stream, augmented
from dehazelib.resampling import super_resolution_pair
from dehazelib.spec import Spec

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


class Always:
    """A random generator that flips or not, and turns by so many right angles."""

    def __init__(self, flip: bool, turns: int):
        self.flip, self.turns = flip, turns

    def random(self):
        return 0.0 if self.flip else 0.999

    def integers(self, n):
        assert n == 4
        return self.turns


def test_a_sample_depends_on_the_seed_and_its_number_alone(pairs):
    forward = [Stream(SPEC, pairs)[k] for k in range(20)]
    stream = Stream(SPEC, pairs)
    for k in reversed(range(20)):
        assert all(torch.equal(a, b) for a, b in zip(stream[k], forward[k]))
    other = [Stream(SPEC.replace(seed=1), pairs)[k] for k in range(20)]
    assert not any(torch.equal(a[0], b[0]) for a, b in zip(forward, other))


def test_neither_length_nor_batch_of_a_run_changes_its_samples(pairs):
    longer = Stream(SPEC.replace(steps=99, batch=2, lr=1.0), pairs)
    assert all(torch.equal(longer[k][0], Stream(SPEC, pairs)[k][0]) for k in range(20))


def test_every_epoch_visits_every_pair_once_in_an_order_of_its_own(pairs):
    stream = Stream(SPEC, pairs)
    epochs = [[scene_of(stream[e * SCENES + i]) for i in range(SCENES)] for e in range(5)]
    assert all(sorted(epoch) == list(range(SCENES)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 3


def test_a_pair_gets_other_haze_and_another_window_at_each_visit(pairs):
    stream = Stream(SPEC.replace(augment="none"), pairs)
    visits = [stream[k] for k in range(4 * SCENES) if scene_of(stream[k]) == 3]
    assert len(visits) == 4 and len({v[0].numpy().tobytes() for v in visits}) == 4
    assert len({v[1].numpy().tobytes() for v in visits}) > 1


@pytest.mark.parametrize("augment", ["none", "flip", "flip_rotate", "released"])
def test_input_and_target_stay_aligned(pairs, augment):
    items = [Pair(str(i), i, airlight=0.9, beta=1.2) for i in range(SCENES)]
    fixed = Pairs("fixed", items, pairs.clear, pairs.depth)
    stream = Stream(SPEC.replace(augment=augment), fixed)
    for k in range(12):
        hazy, clear = stream[k]
        t = (-1.2 * clear[0]).exp()  # red tells the depth
        torch.testing.assert_close(hazy * 255, (clear * t + 0.9 * (1 - t)) * 255, atol=0.51, rtol=0)


def test_a_stream_is_as_long_as_the_run(pairs):
    assert len(Stream(SPEC, pairs)) == 40
    assert list(Shard(SPEC, 0)) == list(range(40))


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_out_every_batch(world):
    shards = [list(Shard(SPEC, 0, rank, world)) for rank in range(world)]
    share = SPEC.batch // world
    for step in range(SPEC.steps):
        together = [k for shard in shards for k in shard[step * share : (step + 1) * share]]
        assert together == list(range(step * SPEC.batch, (step + 1) * SPEC.batch))


@pytest.mark.parametrize("rank, world", [(0, 1), (0, 2), (1, 2)])
def test_a_resumed_run_sees_the_rest_of_the_sequence(rank, world):
    whole = list(Shard(SPEC, 0, rank, world))
    for start in range(SPEC.steps + 1):
        rest = Shard(SPEC, start, rank, world)
        assert list(rest) == whole[start * SPEC.batch // world :] and len(rest) == len(list(rest))


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
    turned = augmented(torch.from_numpy(pixels).permute(2, 0, 1), "released", Always(False, turns))
    ours = turned.permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(ours, np.array(Image.fromarray(pixels).rotate(90 * turns)))
    black = (ours == 0).all(-1).sum()
    bars = height * width - min(height, width) ** 2
    assert black == (bars if turns % 2 else 0)  # at 90 and 270 degrees


def test_a_flip_mirrors_left_and_right_of_all_images_alike():
    images = torch.rand(2, 3, 4, 6)
    assert torch.equal(augmented(images, "flip", Always(True, 1)), images.flip(-1))
    assert torch.equal(augmented(images, "flip", Always(False, 1)), images)
    assert torch.equal(augmented(images, "none", None), images)


def test_flip_rotate_reaches_all_eight_views_of_a_square():
    image = torch.arange(9.0).view(1, 3, 3)
    rng = np.random.default_rng(0)
    views = {augmented(image, "flip_rotate", rng).numpy().tobytes() for _ in range(200)}
    assert len(views) == 8


@pytest.mark.parametrize("turns", range(4))
def test_flip_rotate_refuses_whatever_is_not_square(turns):
    with pytest.raises(ValueError, match="flip_rotate needs square crops: set crop"):
        augmented(torch.rand(3, 4, 6), "flip_rotate", Always(False, turns))
