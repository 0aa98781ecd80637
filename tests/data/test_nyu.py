import shutil

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.optimize import minimize_scalar

from dehazelib.data.images import DataError
from dehazelib.data.nyu import FRAMES, Nyu, read_split, sots_rooms
from dehazelib.data.reside import ITS
from dehazelib.haze import add_haze, transmission
from image_folders import DATA, needs, open_pairs

# its-samples/: a few genuine images of ITS beside the NYU frames behind them, laid out as ITS is
needs_genuine = needs("nyu", "its-samples")


def frame(seed):
    """An RGB frame and a depth map of NYU's size, different at every seed and not symmetric."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    metres = np.linspace(1, 3 + seed, 640) * np.linspace(1, 1.5, 480)[:, None]  # (480, 640)
    return small.repeat(80, 0).repeat(80, 1), metres.astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    for name in ("rgb", "depth"):
        (tmp_path / "nyu" / name).mkdir(parents=True)
    for id in (1, 2, 10):
        rgb, metres = frame(id)
        Image.fromarray(rgb).save(tmp_path / f"nyu/rgb/{id}.png", compress_level=1)
        millimetres = (metres * 1000).round().astype(np.uint16)
        Image.fromarray(millimetres).save(tmp_path / f"nyu/depth/{id}.png", compress_level=1)
    return tmp_path


@pytest.fixture
def mat(tmp_path):
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (FRAMES, 3, 640, 480), np.uint8, chunks=(1, 3, 640, 480))
        depths = file.create_dataset("depths", (FRAMES, 640, 480), np.float32, chunks=(1, 640, 480))
        for id in (1, 2, 10):
            rgb, metres = frame(id)
            images[id - 1], depths[id - 1] = rgb.T, metres.T
    return path


def test_mat_file_and_folder_give_the_same_scenes(folder, mat):
    from_mat, from_folder = Nyu(mat), Nyu(folder / "nyu")
    for id in from_folder.ids:
        np.testing.assert_array_equal(from_mat.clear(id), from_folder.clear(id))
        np.testing.assert_allclose(from_mat.depth(id), from_folder.depth(id), atol=5e-4)  # of a millimetre


@pytest.mark.parametrize("name", ["nyu_depth_v2_labeled (1).mat", "nyu/NYU.MAT", "labeled.mat"])
def test_a_renamed_mat_file_is_found_but_the_official_name_wins(mat, name):
    renamed = mat.parent / name
    renamed.parent.mkdir(exist_ok=True)
    shutil.move(mat, renamed)
    (mat.parent / "splits.mat").touch()
    assert Nyu(mat.parent).source == renamed
    shutil.copy(renamed, mat)
    assert Nyu(mat.parent).source == mat


def test_scene_is_flipped_and_cropped(folder):
    rgb = frame(2)[0]
    scene = Nyu(folder)
    assert scene.clear(2).shape == (460, 620, 3) and scene.clear(2).dtype == np.uint8
    np.testing.assert_array_equal(scene.clear(2)[0, 0], rgb[10, 629])
    np.testing.assert_array_equal(scene.clear(2)[-1, -1], rgb[469, 10])


def test_depth_is_relative_to_its_own_maximum(folder):
    depth = Nyu(folder).depth(1)
    assert depth.shape == (460, 620) and depth.dtype == np.float32
    assert depth.max() == 1 and depth.min() > 0
    metres = frame(1)[1]
    assert depth[0, -1] / depth[0, 0] == pytest.approx(metres[10, 10] / metres[10, 629], rel=1e-3)


@pytest.mark.parametrize("form", ["folder", "mat"])
def test_a_test_scene_is_never_given_for_training(form, folder, mat):
    with pytest.raises(DataError, match="id 1400 belongs to the SOTS test set"):
        Nyu(mat if form == "mat" else folder / "nyu").clear(1400)


@pytest.mark.parametrize("file, message", [
    ("rgb/3.png", r"1 ids have but one of rgb and depth, first \[3\]"),
    ("rgb/kitchen.png", "kitchen.png'] are not ids"),
    ("rgb/2.jpg", "are there in another format too; keep one")])
def test_a_fault_of_the_folder_is_named(folder, file, message):
    Image.new("RGB", (640, 480)).save(folder / "nyu" / file)
    with pytest.raises(DataError, match=message):
        Nyu(folder)


def test_empty_and_absent_folders_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="download the labelled data set from the NYU Depth v2 page"):
        Nyu(tmp_path)
    (tmp_path / "rgb").mkdir(), (tmp_path / "depth").mkdir()
    with pytest.raises(DataError, match="rgb and depth are empty"):
        Nyu(tmp_path)


def test_another_mat_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.zeros((2, 3, 640, 480), np.uint8)
    with pytest.raises(DataError, match=r"expected .*\(1449, 3, .* found .*\(2, 3, .*None"):
        Nyu(tmp_path)


def test_a_damaged_mat_file_is_refused(tmp_path):
    (tmp_path / "nyu_depth_v2_labeled.mat").write_bytes(b"truncated")
    with pytest.raises(DataError, match="not a readable MATLAB 7.3 file"):
        Nyu(tmp_path)


def test_unmeasured_depth_in_the_mat_file_is_refused(mat):
    with pytest.raises(DataError, match="depth 5 has unmeasured pixels"):
        Nyu(mat).depth(5)


def test_no_training_scene_is_within_three_of_a_validation_scene():
    train, validation = (np.array(read_split(f"nyu_{name}")) for name in ("train", "validation"))
    assert abs(train[:, None] - validation).min() == 4


def test_test_scenes_are_grouped_by_room():
    rooms = sots_rooms()
    assert list(rooms) == list(range(1400, 1450)) and len(set(rooms.values())) == 14
    assert [rooms[scene] for scene in (1401, 1402, 1449)] == ["1400", "1402", "1444"]


@needs_genuine
def test_reside_ids_are_flipped_cropped_nyu_frames():
    frames, its = Nyu(DATA), open_pairs(DATA / "its-samples", ITS)
    for id in (1, 2):
        assert psnr(frames.clear(id) / 255, its.clear(id) / 255) > 38
        assert psnr(frames.clear(id)[:, ::-1] / 255, its.clear(id) / 255) < 20


@needs_genuine
@pytest.mark.parametrize("name, beta", [("1_1_0.90179", 0.885), ("1_2_0.97842", 0.935),
                                        ("2_1_0.99082", 1.13), ("2_2_0.76381", 1.2)])
def test_genuine_its_images_rebuild_from_clear_image_and_depth(name, beta):
    its = open_pairs(DATA / "its-samples", ITS)
    id, _, _, airlight = next(pair for pair in its.pairs if pair.name == name)
    clear, hazy, depth = its.clear(id) / 255, its.hazy(name) / 255, Nyu(DATA).depth(id)[..., None]

    def loss(b):
        rebuilt = add_haze(clear, transmission(depth, b), airlight)
        return -psnr(np.round(255 * rebuilt) / 255, hazy)

    best = minimize_scalar(loss, bounds=(0.3, 2), method="bounded", options={"xatol": 1e-3})
    print(f"{name}: beta {best.x:.4f}, {-best.fun:.2f} dB")
    assert -best.fun > 54
    assert best.x == pytest.approx(beta, abs=0.005)


def psnr(a, b):
    return -10 * np.log10(np.mean((a - b) ** 2))
