import subprocess
import sys

import numpy as np
import pytest

from dehazelib.data.rooms import scenes as rooms
from dehazelib.data.rooms.geometry import Camera, Solid, cast, distance
from dehazelib.data.rooms.shading import Light, Scene, render
from dehazelib.data.rooms.textures import Material

SMALL = (48, 64)
LEVEL = Camera(np.zeros(3), yaw=0.0, pitch=0.0, focal=1.0)  # at the origin, looking along +y
SHELL = Solid("sphere", np.zeros(3), np.full(3, 50.0))  # closes every small scene


@pytest.fixture(scope="module")
def room():
    return rooms.scene("train", 0)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(rooms, "SIZE", SMALL)


def all_open(points):
    return np.ones(points.shape[1])


def slopes(size, focal=1.0):
    height, width = size
    u = (np.arange(width) + 0.5 - width / 2) / (focal * height)
    v = (height / 2 - np.arange(height) - 0.5) / (focal * height)
    return np.meshgrid(u, v)


def test_depth_of_a_wall_seen_straight_on_is_its_distance():
    wall = Solid("plane", np.array([0, 3.0, 0]), np.array([9.0, 9, 1]), tilt=np.pi / 2)
    depth, seen = cast([SHELL, wall], LEVEL, SMALL)
    np.testing.assert_allclose(depth, 3.0, rtol=1e-5)
    assert (seen == 1).all()


def test_depth_of_the_floor_is_eye_height_over_slope():
    floor = Solid("plane", np.array([0, 0, -1.5]), np.array([200.0, 200, 1]))
    depth, seen = cast([SHELL, floor], LEVEL, SMALL)
    _, v = slopes(SMALL)
    expected = np.where(v < 0, -1.5 / v, 0)
    near = (expected > 0) & (expected < 20)
    assert near.any() and (seen[near] == 1).all() and (seen[v > 0] == 0).all()
    np.testing.assert_allclose(depth[near], expected[near], rtol=1e-4)


def test_depth_of_a_sphere_solves_its_quadratic():
    centre, radius = np.array([0.3, 4.0, -0.2]), 1.1
    ball = Solid("sphere", centre, np.full(3, radius), yaw=0.7, tilt=0.2)
    depth, seen = cast([SHELL, ball], LEVEL, SMALL)
    u, v = slopes(SMALL)
    a, b = u * u + 1 + v * v, u * centre[0] + centre[1] + v * centre[2]
    root = b * b - a * (centre @ centre - radius**2)
    clear_hit = root > 1e-3
    assert (seen == 1)[clear_hit].all() and not (seen == 1)[root < -1e-3].any()
    expected = (b - np.sqrt(np.maximum(root, 0))) / a
    np.testing.assert_allclose(depth[clear_hit], expected[clear_hit], rtol=1e-4)


def test_depth_of_a_turned_box_is_the_nearer_of_its_two_visible_faces():
    box = Solid("box", np.array([0, 4.0, 0]), np.array([1.0, 1, 9]), yaw=np.pi / 4)
    depth, seen = cast([SHELL, box], LEVEL, SMALL)
    u, _ = slopes(SMALL)
    expected = (4 - np.sqrt(2)) / (1 - np.abs(u))  # faces: y = 4 - sqrt(2) + |x|
    shown = np.abs(u) * expected < np.sqrt(2) - 0.05
    assert (seen == 1)[shown].all()
    np.testing.assert_allclose(depth[shown], expected[shown], rtol=1e-4)


def test_an_upright_cylinder_shows_its_side_and_its_lid():
    can = Solid("cylinder", np.array([0, 4.0, 0]), np.array([1.0, 1, 2]))
    rays = np.array([[0, 0], [1, 0.0], [0, -1]], np.float32)  # ahead; straight down
    assert distance(can, np.zeros(3), rays)[0] == pytest.approx(3, rel=1e-5)
    assert distance(can, np.array([0, 4.0, 5]), rays)[1] == pytest.approx(3, rel=1e-5)
    inside = distance(can, np.array([0, 4.0, 0]), rays)  # a ray from inside meets the far side
    assert inside.tolist() == pytest.approx([1, 2])


def test_a_solid_throws_a_shadow_on_the_floor_behind_it():
    white = Material((1.0, 1.0, 1.0))
    floor = Solid("plane", np.array([0, 0, -1.0]), np.array([30.0, 30, 1]), white)
    screen = Solid("box", np.array([0, 4.0, 1.5]), np.array([0.7, 0.7, 0.1]), white)
    lamp = Light(np.array([0, 4.0, 4.0]), np.full(3, 0.01), np.ones(3), np.full(3, -60.0), np.full(3, 60.0))

    def brightness(*solids):
        return render(Scene([SHELL, floor, *solids], [lamp], np.zeros(3), all_open, LEVEL), SMALL)[0][36, :, 0]

    lit, shaded = brightness(), brightness(screen)  # row 36: 3.84 m ahead on the floor
    assert shaded[32] == 0 < lit[32]
    np.testing.assert_allclose(shaded[:8], lit[:8], rtol=1e-5)


def test_an_open_scene_is_refused():
    with pytest.raises(ValueError, match="meet no solid"):
        cast([Solid("sphere", np.array([0, 4.0, 0]), np.full(3, 0.5))], LEVEL, SMALL)


@pytest.mark.slow
def test_a_script_without_a_main_guard_makes_the_same_rooms_and_needs_no_torch(room, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "import numpy as np\n"
        "from dehazelib.data.rooms import scenes as rooms\n"
        "assert 'torch' not in sys.modules\n"
        "rooms.SPLITS['train'] = 2\n"
        "images, depths = rooms.make('train')\n"
        "np.savez('made.npz', images=images, depths=depths)\n"
    )
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    made, (clear, depth) = np.load(tmp_path / "made.npz"), room
    images, depths = made["images"], made["depths"]
    assert images.dtype == np.uint8 and depths.dtype == np.uint16 and images.shape == (2, 240, 320, 3)
    np.testing.assert_array_equal(images[0], clear)
    np.testing.assert_array_equal(depths[0], np.round(65535 * (depth / depth.max())))
    assert (depths.max((1, 2)) == 65535).all() and (images[0] != images[1]).any()


def test_the_motorcycle_is_two_to_five_metres_away():
    clear, depth = rooms.motorcycle()
    assert clear.shape == (500, 740, 3) and clear.dtype == np.uint8
    assert depth.shape == (500, 740) and depth.dtype == np.float32 and np.isfinite(depth).all()
    assert 2.0 < depth.min() < depth.max() < 5.1


def test_a_missing_motorcycle_says_what_to_do(monkeypatch):
    def offline():
        raise ConnectionError("no internet")

    monkeypatch.setattr(rooms.skimage.data, "stereo_motorcycle", offline)
    with pytest.raises(FileNotFoundError, match="connect to the internet once"):
        rooms.motorcycle()
