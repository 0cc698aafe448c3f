"""Appearance transfer: who gives what, that each part comes from its giver alone, and what cannot be."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("typer", reason="needs the extra [person]")
from typer.testing import CliRunner, Result

from warpkit import interpolate, rasterize
from warpkit.models.app import REFUSED
from warpkit.models.app.commands import app
from warpkit.models.batch import Pictures, SurfaceCondition, Visibility, make_batch
from warpkit.models.bodies import JOINTS, PARTS, Body, BodyModel, Camera
from warpkit.models.errors import InputError
from warpkit.models.geometric.appearance import Appearance, gather_appearance
from warpkit.models.geometric.cells import CELLS, WEARABLE, Planes, cell_fields, cell_shares
from warpkit.models.geometric.hems import read_planes
from warpkit.models.geometric.mesh import t_pose
from warpkit.models.geometric.renderer import GeometricRenderer, Rendered
from warpkit.models.geometric.skin import recoloured
from warpkit.models.geometric.view import View
from warpkit.models.geometric.wear import Giver, common_planes, put_together
from warpkit.models.media.images import read_image
from warpkit.models.media.tensors import to_image, to_tensor
from warpkit.models.tasks import Clip, Look, Pipeline, Wear
from warpkit.models.tasks.transfer import parse_wear, who_gives
from warpkit.models.tasks.view import spread_over

SIZE = 128
BODY = tuple(cell for cell in CELLS if cell not in ("face", "hair"))


# --- parts by name


def test_every_name_is_a_set_of_cells() -> None:
    assert all(cells and set(cells) <= set(CELLS) and len(set(cells)) == len(cells) for cells in WEARABLE.values())
    assert set(WEARABLE["head"]) | set(WEARABLE["body"]) == set(WEARABLE["all"]) == set(CELLS)
    assert not set(WEARABLE["upper"]) & set(WEARABLE["lower"])


def test_wear_is_a_photo_and_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_wear("b.jpg") == Wear([Path("b.jpg")], ("clothes",))
    assert parse_wear("b.jpg:upper, feet") == Wear([Path("b.jpg")], ("upper", "feet"))
    assert parse_wear("a.jpg+b.jpg:hair") == Wear([Path("a.jpg"), Path("b.jpg")], ("hair",))
    assert parse_wear("group.jpg:2:upper") == Wear([Path("group.jpg")], ("upper",), 2)
    assert parse_wear("group.jpg:2") == Wear([Path("group.jpg")], ("clothes",), 2)
    assert parse_wear("/x:y/b.jpg") == Wear([Path("/x:y/b.jpg")], ("clothes",))
    Path("odd+name:upper").touch()
    assert parse_wear("odd+name:upper") == Wear([Path("odd+name:upper")], ("clothes",))


def test_an_unknown_part_gets_the_known_ones_listed() -> None:
    with pytest.raises(InputError, match="no part 'hat'") as caught:
        parse_wear("b.jpg:upper,hat")
    assert all(part in str(caught.value) for part in WEARABLE)


def test_the_later_one_gives_what_two_name() -> None:
    own, first, second = who_gives([Wear(["b.jpg"], ("body",)), Wear(["c.jpg"], ("feet", "left_hand"))])
    assert own == ("face", "hair")
    assert set(second) == {"left_foot", "right_foot", "left_hand"}
    assert set(first) == set(BODY) - set(second)


def test_somebody_left_with_nothing_is_named() -> None:
    with pytest.raises(InputError, match=r"nothing is left of b\.jpg"):
        who_gives([Wear(["b.jpg"], ("feet",)), Wear(["c.jpg"], ("lower", "feet"))])


def test_angles_are_spread_over_a_motion() -> None:
    assert spread_over([0, 90], 4) == [0, 30, 60, 90]
    assert spread_over([7], 3) == [7, 7, 7]


# --- the surface


def test_cells_share_out_the_surface_and_lie_where_their_names_say(model: BodyModel) -> None:
    shares = cell_shares(cell_fields(model))
    torch.testing.assert_close(shares.sum(-1), torch.ones(model.num_vertices))
    rest = t_pose(model, model.mean_shape[None])[0]
    places = {
        cell: (shares[:, number, None] * rest).sum(0) / shares[:, number].sum() for number, cell in enumerate(CELLS)
    }
    assert all(shares[:, number].sum() > 20 for number in range(len(CELLS)))
    assert places["hair"][2] < places["face"][2]
    assert places["torso"][1] > places["hips"][1] > places["left_upper_leg"][1] > places["left_foot"][1]
    assert places["left_hand"][0] > places["left_lower_arm"][0] > places["left_upper_arm"][0] > 0.1
    mirrored = places["right_foot"] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(places["left_foot"], mirrored, atol=0.01, rtol=0)


def stance() -> Tensor:
    pose = torch.zeros(1, len(JOINTS), 3)
    pose[0, JOINTS.index("left_shoulder"), 2], pose[0, JOINTS.index("right_shoulder"), 2] = -1.0, 1.0
    return pose


def painted(model: BodyModel, colour: tuple[float, float, float], atlas_size: int = 256) -> Appearance:
    """Somebody who is of one colour all over, their surroundings too."""
    camera = Camera(0.8 * SIZE / model.height(model.mean_shape[None]), torch.tensor([[SIZE / 2, SIZE * 0.48]]))
    body = Body(stance(), model.mean_shape[None], camera)
    image = torch.tensor(colour)[:, None, None].expand(3, SIZE, SIZE).clone()
    return gather_appearance([View(image, torch.ones(SIZE, SIZE), body)], model, atlas_size=atlas_size)


RED, GREEN, BLUE = (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0)


@pytest.fixture(scope="module")
def dressed(model: BodyModel) -> tuple[Appearance, Body]:
    """Red, in the upper clothes of green and the shoes of blue."""
    feet = WEARABLE["feet"]
    own = tuple(cell for cell in CELLS if cell not in (*WEARABLE["upper"], *feet))
    givers = [Giver(painted(model, RED), own), Giver(painted(model, GREEN), WEARABLE["upper"])]
    appearance = put_together([*givers, Giver(painted(model, BLUE), feet)], model.mean_shape[None], model)
    camera = Camera(0.8 * SIZE / model.height(model.mean_shape[None]), torch.tensor([[SIZE / 2, SIZE * 0.48]]))
    return appearance, Body(stance(), model.mean_shape[None], camera)


def share_of_cells(model: BodyModel, drawn: Rendered) -> Tensor:
    return cell_shares(interpolate(cell_fields(model), model.faces, drawn.fragments)[0])


@pytest.mark.parametrize("turn", [0.0, 140.0])
def test_each_part_has_the_colour_of_its_giver_and_nobody_else_s(
    model: BodyModel, dressed: tuple[Appearance, Body], turn: float
) -> None:
    appearance, body = dressed
    pose = body.pose.clone()
    pose[0, 0, 1] = math.radians(turn)
    drawn = GeometricRenderer(model, appearance, supersample=1)(replace(body, pose=pose), (SIZE, SIZE))
    shares = share_of_cells(model, drawn)
    colours = drawn.colour[0].permute(1, 2, 0)
    for names, colour in ((WEARABLE["upper"], GREEN), (WEARABLE["feet"], BLUE), (("face", "left_upper_leg"), RED)):
        mine = shares[..., [CELLS.index(name) for name in names]].sum(-1) > 0.995
        mine &= drawn.fragments.face_index[0] >= 0
        assert mine.sum() > 20
        off = (colours[mine] - torch.tensor(colour)).abs().amax(1)
        assert off.max() < 0.3
        assert (off > 0.03).float().mean() < 0.02  # where charts of the coarse atlas end


def test_flow_reaches_the_giver_s_own_cells_alone(model: BodyModel, dressed: tuple[Appearance, Body]) -> None:
    appearance, body = dressed
    drawn = GeometricRenderer(model, appearance, supersample=1)(body, (SIZE, SIZE))
    fields = interpolate(cell_fields(model), model.faces, drawn.fragments)[0]
    of_green = torch.tensor([cell in WEARABLE["upper"] for cell in CELLS])
    deep = fields[..., of_green].amax(-1) - fields[..., ~of_green].amax(-1)  # metres inside, twice
    inside = drawn.fragments.face_index[0] >= 0
    assert drawn.flow.visible is not None
    own, green, _ = drawn.flow.visible[0]
    assert green[(deep > 0) & inside].all()
    assert not own[(deep > 0.2) & inside].any()
    assert not green[deep < -0.2].any()
    assert ((deep > 0.2) & inside).sum() > 200


@pytest.mark.parametrize("visibility", [None, "pixel"])
def test_a_trained_system_gets_each_source_s_own_faces_alone(model: BodyModel, visibility: Visibility) -> None:
    camera = Camera(25 / model.height(model.mean_shape[None]), torch.tensor([[16.0, 15.0]]))
    vertices = camera.project(model(stance(), model.mean_shape[None]), (32, 32))
    sources = Pictures(
        torch.zeros(1, 2, 3, 32, 32), torch.ones(1, 2, 1, 32, 32), vertices[:, None].expand(1, 2, -1, 3),
        torch.ones(1, 2, dtype=torch.bool),
    )  # fmt: skip
    head = (model.parts == PARTS.index("head"))[None]
    mask = torch.stack([head, ~head], 1)
    batch = make_batch(sources, vertices, model, SurfaceCondition(model), visibility=visibility, face_mask=mask)
    drawn = rasterize(vertices, model.faces, (32, 32)).face_index[0].long()
    body, is_head = drawn >= 0, head[0][drawn.clamp(min=0)]
    assert batch.flow.visible is not None
    assert not (batch.flow.visible[0, 0] & ~(body & is_head)).any()
    assert not (batch.flow.visible[0, 1] & ~(body & ~is_head)).any()
    assert batch.flow.visible.any(1)[0][body].float().mean() > 0.9


def test_cells_without_a_giver_or_with_two_are_refused(model: BodyModel) -> None:
    red = painted(model, RED)
    for cells in (CELLS[1:], (*CELLS, "face")):
        with pytest.raises(ValueError, match="one giver"):
            put_together([Giver(red, cells)], model.mean_shape[None], model)


def in_a_shirt(model: BodyModel, hem: float) -> Appearance:
    """Red down to `hem` (metres above the pelvis), green below; no shoes."""
    camera = Camera(0.8 * SIZE / model.height(model.mean_shape[None]), torch.tensor([[SIZE / 2, SIZE * 0.48]]))
    row = int(camera.pixels(torch.tensor([[[0.0, hem, 0.0]]]))[0, 0, 1].round())
    image = torch.tensor(GREEN)[:, None, None].expand(3, SIZE, SIZE).clone()
    image[:, :row] = torch.tensor(RED)[:, None, None]
    body = Body(stance(), model.mean_shape[None], camera)
    return gather_appearance([View(image, torch.ones(SIZE, SIZE), body)], model, atlas_size=512)


def test_the_hem_of_a_shirt_is_found_and_clothes_of_one_colour_tell_none(model: BodyModel) -> None:
    planes = read_planes(in_a_shirt(model, -0.05), model)
    assert planes.waist == pytest.approx(-0.05, abs=0.025)
    assert planes.cuff is None
    assert read_planes(painted(model, BLUE), model) == Planes()


def test_an_old_shirt_does_not_show_below_a_new_one(model: BodyModel) -> None:
    hanging = in_a_shirt(model, -0.06)
    short = replace(painted(model, BLUE, atlas_size=512), offsets=hanging.offsets)
    own = tuple(cell for cell in CELLS if cell not in WEARABLE["upper"])
    givers = [Giver(hanging, own, Planes(-0.06)), Giver(short, WEARABLE["upper"], Planes(0.08))]
    assert common_planes(givers).waist == pytest.approx(0.01)
    assert common_planes([givers[0], replace(givers[1], planes=Planes())]).waist == -0.06
    appearance = put_together(givers, model.mean_shape[None], model)
    camera = Camera(0.8 * SIZE / model.height(model.mean_shape[None]), torch.tensor([[SIZE / 2, SIZE * 0.48]]))
    drawn = GeometricRenderer(model, appearance, supersample=1)(
        Body(stance(), model.mean_shape[None], camera), (SIZE, SIZE)
    )
    fields = interpolate(cell_fields(model, Planes(0.01)), model.faces, drawn.fragments)[0]
    seat = (fields[..., CELLS.index("hips")] > 0.01) & (drawn.fragments.face_index[0] >= 0)
    red, green, _ = (drawn.colour[0][:, seat] + 1) / 2
    assert seat.sum() > 50
    assert red.max() < 0.5
    assert green.median() > 0.9


def test_a_hem_is_continued_from_as_few_texels_as_there_are(model: BodyModel) -> None:
    red, blue = (painted(model, colour, atlas_size=8) for colour in (RED, BLUE))
    own = tuple(cell for cell in CELLS if cell not in WEARABLE["upper"])
    givers = [Giver(red, own, Planes(-0.06)), Giver(blue, WEARABLE["upper"], Planes(0.08))]
    atlas = put_together(givers, model.mean_shape[None], model).atlas
    assert atlas.shape == (1, 3, 8, 8)
    assert atlas.isfinite().all()


def test_skin_gets_another_colour_and_keeps_its_shading(model: BodyModel) -> None:
    own, wanted = torch.tensor([0.0, -0.3, -0.5]), torch.tensor([0.5, 0.2, 0.0])
    shade = torch.linspace(0.6, 1.2, 8)
    image = ((own + 1)[:, None, None] * shade - 1).expand(3, 8, 8)
    mask = torch.zeros(8, 8)
    mask[4:] = 1
    body = Body(stance(), model.mean_shape[None], Camera(torch.ones(1), torch.zeros(1, 2)))
    result = recoloured(View(image, mask, body), mask, own, wanted).image
    assert torch.equal(result[:, :4], image[:, :4])
    ratio = (result[:, 4] + 1) / (wanted + 1)[:, None]
    torch.testing.assert_close(ratio, shade.pow(0.85).expand(3, 8), atol=0.02, rtol=0)


# --- pictures


def photo(person: str, name: str) -> np.ndarray:
    openpeople = pytest.importorskip("openpeople", reason="needs the extra [demo]")
    folder = Path(openpeople.__file__).parent / "data" / "curated" / person / "assets"
    return np.ascontiguousarray(read_image(folder / name)[::4, ::4])


@pytest.fixture(scope="module")
def worn(model: BodyModel) -> Clip:
    wear = [Wear([photo("P010", "amateur_posture.jpg")], ("upper",))]
    pipe = Pipeline(model, None, torch.device("cpu"))
    return pipe.transfer([photo("P006", "studio_posture.jpg")], wear, look=Look(SIZE))


def test_photos_of_givers_come_in_the_order_of_their_views(worn: Clip) -> None:
    views = worn.views(64)
    assert len(views) == len(worn.givers) == 2
    assert worn.givers[0] is worn.sources[0]
    for source, view in zip(worn.givers, views, strict=True):
        torch.testing.assert_close(source.window(64).body(source.person.body).camera.offset, view.body.camera.offset)


def test_the_shirt_is_the_other_s_and_the_rest_is_the_person_s(worn: Clip) -> None:
    framing, model = worn.framing, worn.model
    frame = to_tensor(worn.frame(0))
    own = framing.cut(to_tensor(worn.sources[0].image))
    vertices = model(worn.bodies.pose, worn.bodies.shape)
    shares = cell_shares(cell_fields(model))
    pixels = framing.camera(worn.bodies.camera).pixels(vertices)[0].long().clamp(0, SIZE - 1)

    def colour(picture: Tensor, cell: str) -> Tensor:
        inner = shares[:, CELLS.index(cell)] > 0.99
        return picture[:, pixels[inner, 1], pixels[inner, 0]].median(1).values

    assert (colour(own, "torso") - colour(frame, "torso")).abs().max() > 0.8  # white, then navy
    for cell in ("face", "left_lower_leg"):
        torch.testing.assert_close(colour(frame, cell), colour(own, cell), atol=0.16, rtol=0)


def test_background_is_the_person_s_bit_for_bit_where_nobody_is_or_was(worn: Clip) -> None:
    source, framing = worn.sources[0], worn.framing
    scene = to_image(framing.cut(to_tensor(source.image)))
    soft = framing.cut(source.person.mask[None], "border")[0]
    hole = torch.nn.functional.max_pool2d(soft[None], 25, stride=1, padding=12)[0] >= 0.01
    free = (framing.inside(source.person.size) & ~hole).numpy()
    drawn = worn.render(0)
    top, left = drawn.corner
    free[max(0, top - 4) : top + drawn.alpha.shape[-2] + 4, max(0, left - 8) : left + drawn.alpha.shape[-1] + 8] = False
    assert free.mean() > 0.1
    np.testing.assert_array_equal(worn.frame(0)[free], scene[free])


# --- the command


def warpkit_transfer(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["transfer", *map(str, arguments)])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--wear", "b.jpg:hat", "--out", "a.png"], "head, hair, face"),
        (["--wear", "b.jpg:", "--out", "a.png"], "no part was named"),
        (["--wear", "b.jpg:feet", "--wear", "c.jpg", "--out", "a.png"], "nothing is left of b.jpg"),
        (["--wear", "b.jpg", "--azimuth", "0:0:5", "--out", "a.mp4"], "holds no view"),
        (["--wear", "b.jpg", "--azimuth", "0:90:45", "--out", "a.png"], "give --sheet"),
        (["--wear", "b.jpg", "--motion", "walk", "--out", "a.png"], "a motion is written as a video"),
        (["--wear", "b.jpg", "--motion", "fly", "--out", "a.mp4"], "'fly'"),
        (["--wear", "b.jpg", "--out", "a.png"], "nobody.jpg"),
    ],
)
def test_what_cannot_be_is_a_sentence(options: list[str], sentence: str, tmp_path: Path) -> None:
    *options, out = options
    result = warpkit_transfer("nobody.jpg", *options, tmp_path / out)
    assert result.exit_code == REFUSED
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_giver_s_photo_that_is_missing_is_named_before_any_work(tmp_path: Path, model: BodyModel) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture, but never opened")
    with pytest.raises(InputError, match=r"gone\.jpg does not exist"):
        Pipeline(model, None, torch.device("cpu")).transfer([tmp_path / "a.jpg"], [Wear([tmp_path / "gone.jpg"])])


def test_the_command_passes_on_who_gives_what(tmp_path: Path, worn: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, object]] = []

    def made_up(self: Pipeline, photos: object, wear: object, **_: object) -> Clip:
        calls.append((photos, wear))
        return worn

    monkeypatch.setattr(Pipeline, "from_pretrained", lambda *_, **__: Pipeline(worn.model, None, worn.device))
    monkeypatch.setattr(Pipeline, "transfer", made_up)
    options = ["--wear", "b.jpg:upper", "--wear", "c.jpg:feet", "--out", tmp_path / "a.png"]
    result = warpkit_transfer("a.jpg", *options)
    assert result.exit_code == 0, result.output
    assert calls == [([Path("a.jpg")], [Wear([Path("b.jpg")], ("upper",)), Wear([Path("c.jpg")], ("feet",))])]
    assert read_image(tmp_path / "a.png").shape == (SIZE, SIZE, 3)
    assert warpkit_transfer("a.jpg", *options).exit_code == REFUSED, "what exists needs --force"
