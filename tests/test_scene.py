"""What lies behind a person: the photo itself bit for bit, nothing at all, or the scene of the reference."""

from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage as ndi
import torch
from torch import Tensor

pytest.importorskip("av", reason="needs the extra [person]")
from warpkit.models import Clip, Look, Pipeline, Travel
from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import make_motion
from warpkit.models.data.rendered import MadeUpPerson
from warpkit.models.errors import InputError
from warpkit.models.geometric.framing import whole_picture
from warpkit.models.media.images import read_image
from warpkit.models.media.tensors import to_image, to_tensor
from warpkit.models.media.video import VideoWriter
from warpkit.models.recovery.video import Clip as Recovered
from warpkit.models.systems.liquid_warping import build
from warpkit.models.tasks.choices import check_shape
from warpkit.models.tasks.imitate import Reference
from warpkit.models.tasks.scene import reference_scene


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """uint8 [315, 193, 3]: odd sides, as photos have."""
    openpeople = pytest.importorskip("openpeople", reason="needs the extra [demo]")
    folder = Path(openpeople.__file__).parent / "data" / "curated" / "P006" / "assets"
    return np.ascontiguousarray(read_image(folder / "studio_posture.jpg")[::8, ::8][:315, :193])


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline.from_pretrained(renderer="geometric", device="cpu", cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def pasted(pipe: Pipeline, photo: np.ndarray) -> Clip:
    return pipe.imitate([photo], make_motion("walk", fps=3.0), travel=Travel("stay"), look=Look(frame="photo"))


def test_a_photo_is_itself_bit_for_bit_where_nobody_is_or_was(pasted: Clip, photo: np.ndarray) -> None:
    assert pasted.size == photo.shape[:2]
    mask = pasted.sources[0].person.mask.numpy() > 0.1
    tall = np.ptp(np.nonzero(mask.any(1))[0])
    was = ndi.distance_transform_edt(~mask) < 0.1 * tall
    for index in (0, 5, 10):
        frame, person = pasted.frame(index), pasted.render(index)
        seen = np.zeros(photo.shape[:2], bool)
        (top, left), alpha = person.corner, person.alpha[0, 0].numpy()
        seen[top : top + alpha.shape[0], left : left + alpha.shape[1]] = alpha > 0
        shade = (pasted.ground(index) - pasted.sources[0].emptied()).abs().amax(0).numpy() > 0
        free = ~was & ~seen & ~shade
        assert free.mean() > 0.2
        assert np.array_equal(frame[free], photo[free])
        assert seen.sum() > 0.05 * seen.size
        assert (frame[seen] != photo[seen]).any(1).mean() > 0.5


def test_the_person_is_gone_from_the_emptied_photo(pasted: Clip, photo: np.ndarray) -> None:
    source = pasted.sources[0]
    emptied = to_image(source.emptied())
    inside = source.person.mask.numpy() > 0.9
    studio = photo[:50, :50].reshape(-1, 3).mean(0)  # an even backdrop
    before, after = (np.abs(picture[inside] - studio).mean() for picture in (photo.astype(float), emptied))
    assert after < 0.4 * before


def test_frames_that_are_too_large_or_do_not_suit_the_network_are_refused() -> None:
    check_shape((4096, 631), None)
    with pytest.raises(InputError, match=r"4097 x 631 pixels are too large: at most 4096"):
        check_shape((631, 4097), None)
    with pytest.raises(InputError, match=r"'paper' draws frames whose sides are multiples of 8, not 424 x 631"):
        check_shape((631, 424), build("paper"))


def test_transparent_frames_hold_the_person_and_nothing_else(pipe: Pipeline, photo: np.ndarray) -> None:
    motion = make_motion("wave", fps=2.0)
    clear = pipe.imitate([photo], motion, look=Look(64, "transparent"))
    white = pipe.imitate([photo], motion, look=Look(64, "white"))
    assert clear.transparent
    frame = clear.frame(3)
    assert frame.shape == (64, 64, 4)
    alpha = frame[..., 3:] / 255
    assert (frame[alpha[..., 0] == 0] == 0).all()
    assert 0.03 < alpha.mean() < 0.5
    assert ((alpha > 0) & (alpha < 1)).any()
    laid = frame[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(laid - white.frame(3)).max() <= 2


# the reference's own scene

SIZE = (96, 128)


def reference(path: Path, model: BodyModel, pan: float = 0.0, frames: int = 16) -> tuple[Motion, Tensor]:
    """Writes a video of somebody who goes to the right, and gives their motion and what is behind them."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, 8, 14, generator=generator)
    wide = torch.nn.functional.interpolate(coarse, (SIZE[0], 2 * SIZE[1]), mode="bicubic")[0].clamp(0, 1) * 1.4 - 0.7
    person, pose = MadeUpPerson(model, 1), make_motion("walk", fps=8.0).rotations[:frames]
    offset = torch.stack((torch.linspace(30, 98, frames), torch.full((frames,), 48.0)), 1)
    bodies = Body(pose, model.mean_shape.expand(frames, -1), Camera(torch.full((frames,), 42.0), offset))
    with VideoWriter(path, 8) as writer:
        for number in range(frames):
            shift = round(pan * number)
            behind = wide[:, :, shift : shift + SIZE[1]]
            writer.write(to_image(person.render(bodies[number], SIZE, behind).image))
    found = Recovered(bodies, 8.0, SIZE, torch.ones(frames, dtype=torch.bool), 0.0)
    return Motion.from_clip(found, model), wide[:, :, : SIZE[1]]


def test_the_scene_of_a_still_camera_is_what_lies_behind_the_person(tmp_path: Path, model: BodyModel) -> None:
    motion, behind = reference(tmp_path / "a.mp4", model)
    scene = reference_scene(tmp_path / "a.mp4", [motion], model, whole_picture(SIZE, SIZE[0]))
    assert scene.shape == (3, *SIZE)
    assert (scene - behind).abs().mean() < 0.03  # the video is compressed
    assert (scene - behind).abs().amax(0).quantile(0.98) < 0.2  # nobody, anywhere


def test_the_scene_of_a_camera_that_moves_is_refused(tmp_path: Path, model: BodyModel) -> None:
    motion, _ = reference(tmp_path / "a.mp4", model, pan=6.0)
    with pytest.raises(InputError, match=r"the camera of .*a\.mp4 moves .* choose another background"):
        reference_scene(tmp_path / "a.mp4", [motion], model, whole_picture(SIZE, SIZE[0]))


def test_frames_on_the_references_scene_are_its_pictures_with_another_person(
    tmp_path: Path, model: BodyModel, pipe: Pipeline, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    motion, behind = reference(tmp_path / "a.mp4", model)
    # following the person is another test's business
    monkeypatch.setattr("warpkit.models.tasks.studio.resolve_motion", lambda *_: Reference(motion, tmp_path / "a.mp4"))
    clip = pipe.imitate([photo], tmp_path / "a.mp4", look=Look(96, "reference"))
    assert clip.size == SIZE
    drawn = clip.render(8)
    middle = drawn.corner[1] + drawn.alpha.shape[3] / 2
    assert middle == pytest.approx(66, abs=8)  # where the reference is then
    corner = to_tensor(clip.frame(8))[:, :30, :30]
    assert (corner - behind[:, :30, :30]).abs().mean() < 0.03
    copied = pipe.imitate([photo], tmp_path / "a.mp4", look=Look(96, "white"), travel=Travel("copy"))
    assert copied.size == SIZE
    torch.testing.assert_close(copied.render(8).alpha, drawn.alpha)  # the same person in the same place


def test_a_camera_that_follows_shows_the_person_in_the_middle_and_other_parts_of_the_photo(
    pipe: Pipeline, photo: np.ndarray
) -> None:
    walk = make_motion("walk", fps=5.0)
    clip = pipe.imitate([photo], walk, look=Look(64), travel=Travel("follow"))
    still = pipe.imitate([photo], walk, look=Look(64))
    layers = [clip.render(index) for index in range(0, len(clip), 4)]
    middles = [layer.corner[1] + layer.alpha.shape[3] / 2 for layer in layers]
    assert 24 < min(middles) <= max(middles) < 40
    assert layers[0].alpha.sum() > 1.2 * still.render(0).alpha.sum()  # the frame need not hold the whole way
    assert (clip.ground(0) - clip.ground(8))[:, :10].abs().mean() > 0.01
    assert (still.ground(0) - still.ground(8))[:, :10].abs().max() == 0
