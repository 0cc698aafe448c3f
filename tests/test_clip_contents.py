"""What a prepared clip holds: pictures cut out, bodies that fit them, backgrounds; of made-up and of real recovery."""

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("av", reason="needs the extra [person]")
pytest.importorskip("ai_edge_litert", reason="needs the extra [person]")
from clip_videos import SMALL, FakeRecovery, coloured, rendered, stored, two_people, write_video
from hypothesis import given
from hypothesis import strategies as st

from warpkit import rasterize
from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.data.clips import Settings, maker, prepare_clips


@pytest.fixture
def recovery(monkeypatch: pytest.MonkeyPatch) -> FakeRecovery:
    return FakeRecovery.put_in(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return two_people(tmp_path / "videos")


def test_padding_keeps_the_aspect(tmp_path: Path, model: BodyModel, recovery: FakeRecovery) -> None:
    """A narrow video: the square round the person is wider than it, and a disk stays a disk."""
    height, width = 160, 64
    y, x = np.mgrid[:height, :width] + 0.5
    frame = np.full((height, width, 3), 40, np.uint8)
    frame[np.hypot(x - width / 2, y - height / 2) < 20] = 220
    write_video(tmp_path / "videos" / "disk.mp4", [frame] * 3)
    prepare_clips(tmp_path / "videos", tmp_path / "cache", model, Settings(size=128, matte=False))
    clip = stored(tmp_path / "cache")
    left, top, side = clip.about["window"]
    assert left < 0
    assert side == pytest.approx(0.6 * height * 1.2)
    image, alpha = clip.picture(0, 128)
    rows, columns = np.nonzero(image[..., 0] > 130)
    zoom = 128 / side
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert abs(tall - wide) <= 1
    assert abs(wide - 40 * zoom) <= 1.5
    assert columns.mean() + 0.5 == pytest.approx((width / 2 - left) * zoom, abs=0.6)
    assert rows.mean() + 0.5 == pytest.approx((height / 2 - top) * zoom, abs=0.6)
    beyond = np.arange(128) + 0.5 < -left * zoom - 1
    assert beyond.any()
    assert (alpha[:, beyond] == 0).all()  # nobody stands beyond the picture
    np.testing.assert_allclose(image[:, beyond].astype(int), 40, atol=6)  # its border goes on there


@given(
    st.tuples(st.integers(64, 500), st.integers(64, 500)),
    st.lists(st.tuples(*[st.floats(-50, 550)] * 4), min_size=1, max_size=4),
    st.floats(0, 2),
)
def test_window_holds_the_person_and_stays_in_the_picture_where_that_fits(
    picture: tuple[int, int], corners: list[tuple[float, float, float, float]], margin: float
) -> None:
    boxes = np.array([(*np.minimum(c[:2], c[2:]), *np.maximum(c[:2], c[2:])) for c in corners])
    lengths = np.array(picture[::-1])
    low, high = boxes[:, :2].min(0).clip(0, lengths), boxes[:, 2:].max(0).clip(0, lengths)
    longer = (high - low).max()
    if longer < 1:
        return
    window = maker.clip_framing(boxes, picture, Settings(64, margin))
    corner, near = np.array([window.left, window.top]), 1e-6 * 500
    assert (corner <= low + near).all()
    assert (corner + window.side >= high - near).all()
    assert window.side <= longer * (1 + 2 * margin) + near
    if longer <= lengths.min():
        assert (corner >= -near).all()
        assert (corner + window.side <= lengths + near).all()


def test_bodies_are_those_of_the_cut_pictures(folder: Path, tmp_path: Path, model: BodyModel, recovery) -> None:  # type: ignore[no-untyped-def]
    prepare_clips(folder, tmp_path / "cache", model, SMALL)
    clip = stored(tmp_path / "cache")
    left, top, side = clip.about["window"]
    middle = np.array([32 - left, 48 - top]) * 64 / side  # of the video, where the stand-in says the pelvis is
    np.testing.assert_allclose(clip.arrays["offset"], np.tile(middle, (6, 1)), atol=1e-4)
    np.testing.assert_allclose(clip.arrays["scale"], 0.6 * 96 / 1.8 * 64 / side, rtol=1e-5)
    np.testing.assert_allclose(clip.arrays["yaw"][1], 2 * np.pi / 6, atol=1e-5)


@pytest.fixture(scope="module")
def real(model: BodyModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A cache of one person who turns, one video of nobody, and what it said of them."""
    folder = tmp_path_factory.mktemp("real")
    write_video(folder / "videos" / "turns.mp4", rendered(model, 3))
    noise = np.random.default_rng(0).integers(90, 110, (256, 192, 3), np.uint8)
    write_video(folder / "videos" / "nobody.mp4", [noise] * 4)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    report = prepare_clips(folder / "videos", folder / "cache", model, Settings(size=128))
    torch.set_num_threads(threads)
    assert report.made == ["turns.mp4"]
    assert [name for name, _ in report.skipped] == ["nobody.mp4"]
    assert "no person" in report.skipped[0][1]
    return folder / "videos", folder / "cache"


def test_person_of_a_real_video_is_cut_out_with_a_body_that_fits(real: tuple[Path, Path], model: BodyModel) -> None:
    clip = stored(real[1])
    arrays = clip.arrays
    assert len(clip) == 8
    camera = Camera(torch.from_numpy(arrays["scale"]), torch.from_numpy(arrays["offset"]))
    body = Body(torch.from_numpy(arrays["pose"]), torch.from_numpy(arrays["shape"]).expand(8, -1), camera)
    with torch.no_grad():
        vertices = camera.project(model(body.pose, body.shape), (128, 128))
    silhouettes = (rasterize(vertices, model.faces, (128, 128)).face_index >= 0).numpy()
    for number in range(8):
        _, alpha = clip.picture(number, 128)
        person = alpha > 127
        rows, columns = np.nonzero(person)
        assert rows.min() > 0
        assert rows.max() < 127
        assert columns.min() > 0
        assert columns.max() < 127
        assert np.ptp(rows) > 90  # the person fills the square, but for the margin
        iou = (person & silhouettes[number]).sum() / (person | silhouettes[number]).sum()
        assert iou > 0.7
    turned = np.unwrap(arrays["yaw"])
    assert abs(turned[-1] - turned[0]) > np.radians(180)


def test_background_of_a_real_video_is_found_behind_the_person(real: tuple[Path, Path]) -> None:
    clip = stored(real[1])
    plate = clip.plate(128)
    assert plate is not None
    image, alpha = clip.picture(0, 128)
    away = alpha == 0
    assert np.abs(plate[away].astype(int) - image[away]).mean() < 3
    behind = np.abs(plate[alpha > 250].astype(int) - image[alpha > 250]).mean()
    assert behind > 15  # the person is gone


def test_moving_background_has_no_plate(tmp_path: Path, model: BodyModel, recovery: FakeRecovery) -> None:
    texture = np.random.default_rng(1).integers(0, 255, (24, 60, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    write_video(tmp_path / "videos" / "pan.mp4", [texture[:, 10 * n : 10 * n + 96] for n in range(6)])
    write_video(tmp_path / "videos" / "still.mp4", [texture[:, :96]] * 6)
    prepare_clips(tmp_path / "videos", tmp_path / "cache", model, SMALL)
    assert stored(tmp_path / "cache", 0).plate(64) is None
    assert stored(tmp_path / "cache", 1).plate(64) is not None


def test_clip_holds_no_pickles_and_is_one_plain_zip(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery
) -> None:
    prepare_clips(folder, tmp_path / "cache", model, SMALL)
    with zipfile.ZipFile(stored(tmp_path / "cache").path) as file:
        assert file.testzip() is None
        assert {Path(name).suffix for name in file.namelist()} == {".jpg", ".png", ".npz", ".json"}
    with np.load(next((tmp_path / "cache" / "recovered").glob("*.npz")), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_memory_does_not_grow_with_the_frames(tmp_path: Path, model: BodyModel, recovery: FakeRecovery) -> None:
    """Frames are read as they are used: of no video more than one is held."""
    peaks = []
    for name, frames in (("short", 40), ("long", 160)):
        coloured(tmp_path / name / "a.mp4", 20, frames, (256, 256))
        tracemalloc.start()
        prepare_clips(tmp_path / name, tmp_path / f"cache {name}", model, SMALL)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 20 * 256 * 256 * 3
