"""Motion imitation end to end: photo-like pictures in, frames out."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from warpkit.models.bodies import load_body
from warpkit.models.data.motion_library import make_motion
from warpkit.models.errors import InputError
from warpkit.models.media.images import read_image
from warpkit.models.systems.liquid_warping import build
from warpkit.models.systems.liquid_warping.checkpoints import save
from warpkit.models.tasks import Imitation, imitate
from warpkit.models.tasks.imitate import choose_device
from warpkit.models.tasks.sources import Source, check_one_person, notes, read_sources

openpeople = pytest.importorskip("openpeople", reason="needs the extra [demo]")
SIZE = 128


def photo(person: str) -> np.ndarray:
    folder = Path(openpeople.__file__).parent / "data" / "curated" / person / "assets"
    return np.ascontiguousarray(read_image(folder / "studio_posture.jpg")[::2, ::2])


@pytest.fixture(scope="module")
def walking() -> Imitation:
    return imitate([photo("P006")], make_motion("walk", fps=5.0), size=SIZE, background="#20a040")


def test_frames_have_the_size_and_number_that_were_promised(walking: Imitation) -> None:
    frames = list(walking)
    assert len(frames) == len(walking) == walking.num_frames
    assert all(frame.shape == (SIZE, SIZE, 3) and frame.dtype == np.uint8 for frame in frames)


def test_person_stays_whole_inside_every_frame(walking: Imitation) -> None:
    for index in range(0, len(walking), 5):
        drawn = walking.render(index)
        top, left = drawn.corner
        assert top > 0
        assert top + drawn.alpha.shape[2] < SIZE
        assert left > 0
        assert left + drawn.alpha.shape[3] < SIZE
        assert 0.03 < float(drawn.alpha.sum()) / SIZE**2 < 0.4


def test_colour_background_is_that_colour_wherever_nobody_is(walking: Imitation) -> None:
    drawn = walking.render(0)
    outside = np.ones((SIZE, SIZE), bool)
    top, left = drawn.corner
    outside[top : top + drawn.alpha.shape[2], left : left + drawn.alpha.shape[3]] = False
    assert (walking.frame(0)[outside] == (0x20, 0xA0, 0x40)).all()


def test_frames_come_out_the_same_again_and_in_any_order(walking: Imitation) -> None:
    later = walking.frame(7)
    np.testing.assert_array_equal(walking.frame(3), walking.frame(3))
    np.testing.assert_array_equal(walking.frame(7), later)


def test_side_by_side_is_three_squares_wide() -> None:
    result = imitate([photo("P006")], make_motion("wave", fps=2.0), size=64, background="white", side_by_side=True)
    assert result.size == (64, 192)
    assert result.frame(1).shape == (64, 192, 3)


@pytest.fixture(scope="module")
def source() -> Source:
    return read_sources([photo("P006")], load_body())[0]


def test_people_in_unlike_clothes_are_refused_by_name(source: Source) -> None:
    model = load_body()
    view = source.view(2 * SIZE)
    check_one_person(["a.jpg", "b.jpg"], [view, view], model)
    darker = replace(view, image=(view.image + 1) * 0.6 - 1)
    check_one_person(["a.jpg", "b.jpg"], [view, darker], model)  # another exposure is no other person
    red = replace(view, image=view.image * torch.tensor([0.2, -1.0, -1.0])[:, None, None])
    with pytest.raises(InputError, match=r"a\.jpg and c\.jpg look too unlike"):
        check_one_person(["a.jpg", "b.jpg", "c.jpg"], [view, darker, red], model)


def test_user_is_told_of_several_people_and_of_poor_fits(source: Source) -> None:
    made = partial(replace, source.person)
    crowd = Source("crowd.jpg", source.image, made(people=3))
    vague = Source("vague.jpg", source.image, made(mask_iou=0.5))
    assert notes([source], None) == []
    assert "3 people were found in crowd.jpg" in notes([crowd], None)[0]
    assert notes([crowd], person=2) == []
    assert "vague.jpg poorly" in notes([vague], None)[0]


def test_no_photos_and_too_many_are_refused() -> None:
    for count in (0, 9):
        with pytest.raises(InputError, match=f"{count} came"):
            read_sources([photo("P006")] * count, load_body())


def test_odd_sizes_and_unknown_devices_are_refused_before_any_work() -> None:
    with pytest.raises(InputError, match="even number"):
        imitate([Path("nobody.jpg")], "walk", size=129)
    with pytest.raises(InputError, match="device must be"):
        choose_device("tpu")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of `small` as it starts: which draws the geometric picture."""
    pytest.importorskip("safetensors", reason="needs the extra [person]")
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    torch.manual_seed(0)
    save(build("small"), path)
    return path


def test_a_trained_system_draws_the_person_where_geometry_does(untrained: Path, walking: Imitation) -> None:
    motion = make_motion("walk", fps=5.0)
    learned = imitate([photo("P006")], motion, size=SIZE, background="#20a040", weights=untrained)
    for index in (0, 5):
        drawn, geometric = learned.render(index), walking.render(index)
        assert drawn.alpha.shape == (1, 1, SIZE, SIZE)
        top, left = geometric.corner
        alpha = torch.zeros(SIZE, SIZE)
        alpha[top : top + geometric.alpha.shape[2], left : left + geometric.alpha.shape[3]] = geometric.alpha[0, 0]
        mine, theirs = drawn.alpha[0, 0] > 0.5, alpha > 0.5
        assert (mine & theirs).sum() / (mine | theirs).sum() > 0.95
        inside = geometric.alpha[0, 0] == 1
        colour = drawn.colour[0, :, top : top + inside.shape[0], left : left + inside.shape[1]]
        assert inside.sum() > 500
        torch.testing.assert_close(colour[:, inside], geometric.colour[0][:, inside], atol=1e-5, rtol=0)
    np.testing.assert_array_equal(learned.frame(5), learned.frame(5))


def test_a_trained_system_is_refused_sizes_it_cannot_draw(untrained: Path) -> None:
    with pytest.raises(InputError, match="multiples of 8"):
        imitate([photo("P006")], "walk", size=100, weights=untrained)
    with pytest.raises(InputError, match="no such file"):
        imitate([photo("P006")], "walk", size=SIZE, weights=untrained.with_name("other.safetensors"))
