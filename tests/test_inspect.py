"""Inspecting a frame: that the pictures say what the numbers are, and the numbers what happened."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("typer", reason="needs the extra [person]")
import typer
from clip_scene import SIZE, moved_and_turned, tiny
from PIL import Image
from typer.testing import CliRunner

from warpkit import AttentionWarp, rasterize
from warpkit.models.app import REFUSED
from warpkit.models.app.commands import app
from warpkit.models.bodies import BodyModel
from warpkit.models.data.photo_like import outdoor_file
from warpkit.models.errors import InputError
from warpkit.models.geometric.framing import Framing
from warpkit.models.media.diagrams import face_colours, source_colours
from warpkit.models.media.draw import PAPER
from warpkit.models.media.figures import Figure
from warpkit.models.media.flow_wheel import draw_flow
from warpkit.models.media.images import read_image, write_image
from warpkit.models.recovery import recover
from warpkit.models.tasks import Clip, Inspection, Pipeline, Turn, inspect, write_figures
from warpkit.models.tasks.imitate import resolve_motion
from warpkit.models.tasks.inspect_figures import sections
from warpkit.models.tasks.learned import LearnedRenderer


@pytest.fixture(scope="module")
def clip(model: BodyModel) -> Clip:
    return moved_and_turned(model, torch.device("cpu"))


@pytest.fixture(scope="module")
def seen(clip: Clip) -> Inspection:
    return inspect(clip, 1)


@pytest.fixture(scope="module", params=["small", "public"])
def learned(clip: Clip, request: pytest.FixtureRequest) -> Inspection:
    """As a system that was never trained draws it."""
    return inspect(clip.drawn_by(tiny(request.param)), 1)


def figures_of(seen: Inspection) -> dict[str, Figure]:
    """By name, without the number."""
    return {figure.name.split("_", 1)[1]: figure for _, figures in sections(seen) for figure in figures}


@pytest.fixture(scope="module")
def figures(seen: Inspection) -> dict[str, Figure]:
    return figures_of(seen)


def pixels(figure: Figure) -> Tensor:
    return torch.from_numpy(figure.image).long()


def test_faces_are_those_that_rasterize_finds(clip: Clip, seen: Inspection, figures: dict[str, Figure]) -> None:
    body = clip.framing.body(clip.bodies)[1]
    vertices = clip.model(body.pose, body.shape, offsets=clip.appearance.offsets)
    found = rasterize(body.camera.project(vertices, (SIZE, SIZE)), clip.model.faces, (SIZE, SIZE))
    somebody = found.face_index[0] >= 0
    assert somebody.sum() > 200
    drawn = pixels(figures["target_faces"])
    assert torch.equal(drawn[somebody], face_colours(found.face_index[0][somebody]))
    assert (drawn[~somebody] == torch.tensor(PAPER)).all()
    weights = pixels(figures["target_barycentric"])
    assert (weights[somebody] - 255 * found.barycentric[0][somebody]).abs().max() <= 0.51
    assert torch.equal(seen.fragments.face_index, found.face_index)


def test_colours_of_faces_stay_and_hardly_ever_meet() -> None:
    assert (
        face_colours(torch.tensor([0, 1, 27419])).tolist() == face_colours(torch.tensor([0, 1, 27419]).int()).tolist()
    )
    assert face_colours(torch.tensor([1])).tolist() == [[51, 202, 152]]
    assert len(face_colours(torch.arange(20000)).unique(dim=0)) > 0.99 * 20000


def test_a_move_to_the_right_is_one_colour_and_as_long_as_it_was(seen: Inspection, figures: dict[str, Figure]) -> None:
    given = seen.flow.visible[0, 0]  # type: ignore[index]
    expected = 0.4 * float(seen.body.camera.scale)
    move = seen.move[0][given]
    torch.testing.assert_close(move, torch.tensor([expected, 0.0]).expand_as(move), atol=0.02, rtol=0)
    drawn = pixels(figures["flow_photo1"])[given]
    assert (drawn[:, 0] == 255).all()  # right is red
    assert (drawn[:, 1] < 200).all()
    assert (drawn[:, 1] - drawn[0, 1]).abs().max() <= 2
    assert (drawn[:, 2] - drawn[:, 1]).min() >= -2  # a trace of blue where it goes up by a hair
    assert figures["flow_photo1"].key is not None


def test_surface_is_visible_in_the_photo_that_shows_it(clip: Clip, seen: Inspection) -> None:
    behind = inspect(clip, 2)
    for found, shown, hidden in ((seen, 0, 1), (behind, 1, 0)):
        somebody = found.fragments.face_index[0] >= 0
        assert found.visible[shown][somebody].float().mean() > 0.85
        assert found.visible[hidden][somebody].float().mean() < 0.2
        assert not found.visible[:, ~somebody].any()


def test_shares_of_photos_and_of_what_was_filled_sum_to_one(seen: Inspection, figures: dict[str, Figure]) -> None:
    geometry = seen.geometry
    somebody, whole = geometry.alpha > 0, geometry.alpha == 1
    total = geometry.shares.sum(0) + geometry.filled
    torch.testing.assert_close(total[somebody], torch.ones(int(somebody.sum())))
    assert geometry.shares[0][whole].mean() > 0.6  # seen from the front
    drawn = pixels(figures["geometric_sources"])
    first = whole & (geometry.shares[0] > 0.995)
    assert first.sum() > 50
    assert (drawn[first] - source_colours(2)[0]).abs().max() <= 2
    assert (drawn[~somebody] == torch.tensor(PAPER)).all()


def test_the_middle_is_what_is_looked_at_and_other_frames_do_not_exist(clip: Clip, seen: Inspection) -> None:
    assert seen.index == inspect(clip).index == 1
    for index in (-1, 3):
        with pytest.raises(InputError, match=f"frame {index} does not exist: there are 3"):
            inspect(clip, index)


def test_a_frame_that_nobody_is_in_has_figures_too(clip: Clip) -> None:
    far = replace(clip.framing, left=clip.framing.left + 1e4)
    alone = Clip(
        *(clip.model, clip.sources, clip.appearance, clip.bodies, far, torch.zeros(3, SIZE, SIZE)),
        fps=25.0,
        device=torch.device("cpu"),
    )
    figures = figures_of(inspect(alone, 0))
    for name in ("target_faces", "target_depth", "flow_photo1", "visible_photo2", "geometric_sources"):
        assert (figures[name].image == np.array(PAPER)).all(), name
    assert "target_faces_close" not in figures


def test_transparent_frames_of_another_shape_are_shown_over_squares(clip: Clip) -> None:
    upright = Framing(clip.framing.left, clip.framing.top, clip.framing.side * 0.75, 48, 64)
    parts = clip.model, clip.sources, clip.appearance, clip.bodies, upright, None
    seen = inspect(Clip(*parts, fps=25.0, device=torch.device("cpu")), 0)
    figures = figures_of(seen)
    assert seen.result.shape == (64, 48, 4)
    assert seen.geometry.shares.shape == (2, 64, 48)
    shown = [figures[name].image for name in ("result", "target_faces", "geometric_filled", "flow_photo2")]
    assert {image.shape for image in shown} == {(64, 48, 3)}
    somebody, nobody = seen.result[..., 3] == 255, seen.result[..., 3] == 0
    np.testing.assert_array_equal(figures["result"].image[somebody], seen.result[somebody, :3])
    assert set(figures["result"].image[nobody].flatten()) == {150, 200}
    assert "plate" not in figures


def test_what_geometry_does_not_make_is_left_out(clip: Clip, seen: Inspection, figures: dict[str, Figure]) -> None:
    assert seen.network is None
    assert not [name for name in figures if name.startswith("network")]
    np.testing.assert_array_equal(seen.result, clip.frame(1))
    np.testing.assert_array_equal(figures["result"].image, clip.frame(1))


def test_a_network_s_attention_sums_to_one_where_a_photo_shows_the_surface(learned: Inspection) -> None:
    network = learned.network
    assert network is not None
    renderer = learned.clip.renderer
    assert isinstance(renderer, LearnedRenderer)
    blocks = [block for block in renderer.system.generator.transfer.modules() if isinstance(block, AttentionWarp)]
    assert len(network.attention) == len(blocks) > 3
    assert not any(block._forward_pre_hooks for block in blocks)
    somebody = learned.fragments.face_index[0] >= 0
    for level in network.attention:
        total = level.weights.sum(0)
        assert level.weights.min() >= 0
        torch.testing.assert_close(total[total > 0], torch.ones(int((total > 0).sum())))
        assert not total[~network.inside].any()
    finest = network.attention[0].weights
    assert finest.sum(0)[somebody].mean() > 0.7
    assert finest[0].sum() > 4 * finest[1].sum()  # behind, hardly anything is visible


def test_a_network_s_pictures_are_what_it_drew(learned: Inspection) -> None:
    network, figures = learned.network, figures_of(learned)
    assert network is not None
    alpha = pixels(figures["network_alpha"])[..., 0] / 255
    torch.testing.assert_close(alpha, network.alpha, atol=0.003, rtol=0)
    np.testing.assert_array_equal(learned.result, learned.clip.frame(1))
    assert ("network_gate" in figures) == (network.gate is not None) == (len(network.attention) == 4)
    if network.gate is not None:  # so it starts: the geometric picture, as it is
        whole = learned.geometry.alpha == 1
        change = pixels(figures["network_change"])[whole].float().mean()
        assert change < 4


def test_every_figure_is_a_file_and_all_are_on_the_overview(seen: Inspection, tmp_path: Path) -> None:
    count = write_figures(seen, tmp_path / "pictures")
    files = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert len(files) == count + 1
    assert files[-1] == "overview.png"
    order = [figure.name for _, figures in sections(seen) for figure in figures]
    assert [name.removesuffix(".png") for name in files[:-1]] == order
    written = np.asarray(Image.open(tmp_path / "pictures" / files[-2]))
    windows = np.lib.stride_tricks.sliding_window_view(written[..., 0], (SIZE, SIZE))
    assert (windows == seen.result[..., 0]).all((2, 3)).any()
    with pytest.raises(InputError, match="exists already"):
        write_figures(seen, tmp_path / "pictures")


def test_hidden_flow_is_dark_whatever_it_holds() -> None:
    nothing = torch.full((2, 2, 2), torch.nan)
    drawn = draw_flow(nothing, torch.zeros(2, 2, dtype=torch.bool), reach=1.0)
    assert (drawn == np.array(PAPER)).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "does not exist"),
        (("--azimuth", "left"), "azimuth must be degrees"),
        (("--motion", "fly"), "neither a known motion"),
        (("--wear", "b.jpg:wings"), "there is no part 'wings'"),
        (("--size", "63"), "size must be"),
        (("--camera", "stay"), "say how a motion is followed"),
        (("--background", "reference"), "needs a video"),
    ],
)
def test_what_cannot_be_inspected_is_a_sentence(arguments: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "nobody.jpg"), "--out", str(out), *arguments])
    assert result.exit_code == REFUSED, result.output
    assert sentence in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "task"),
    [
        ((), "view"),
        (("--motion", "walk", "--smooth", "0.1"), "imitate"),
        (("--wear", "b.jpg"), "transfer"),
        (("--wear", "b.jpg", "--motion", "walk", "--smooth", "0.1"), "transfer"),
    ],
)
def test_the_command_asks_for_the_task_that_its_options_say(
    arguments: tuple[str, ...], task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = create_autospec(Pipeline, instance=True)
    for name in ("view", "imitate", "transfer"):
        getattr(pipe, name).side_effect = InputError(f"{name} is far enough")
    monkeypatch.setattr(Pipeline, "from_pretrained", lambda *weights, **options: pipe)
    shared = ["--person", "2", "--size", "256", "--elevation", "5", "--personalize", "3"]
    result = CliRunner().invoke(app, ["inspect", "a.jpg", "--out", str(tmp_path / "out"), *shared, *arguments])
    assert f"{task} is far enough" in result.stderr, result.output
    came = getattr(pipe, task).call_args.kwargs
    assert (came["person"], came["look"].size, came["personalize"]) == (2, 256, 3)
    assert came["turn"] == Turn([0.0 if "--motion" in arguments else 30.0], [5.0], [0.0])
    if "--motion" in arguments:
        assert came["travel"].smooth == 0.1


def test_a_photo_as_the_motion_is_the_pose_that_it_shows(model: BodyModel, tmp_path: Path) -> None:
    pytest.importorskip("openpeople", reason="needs the extra [demo]")
    picture = read_image(outdoor_file("P010"))[::4, ::4]
    write_image(tmp_path / "pose.jpg", np.ascontiguousarray(picture))
    motion = resolve_motion(tmp_path / "pose.jpg", model, None).motion
    pose = motion.rotations
    assert len(pose) == 1
    person = recover(read_image(tmp_path / "pose.jpg"), model)
    height = model.height(model.mean_shape[None])
    apart = model.joints(pose, model.mean_shape[None]) - model.joints(person.body.pose, model.mean_shape[None])
    assert apart[..., :2].norm(dim=-1).amax() < 0.08 * height


def test_every_option_of_the_tasks_is_one_here_with_the_same_meaning() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    mine = {one.name: one for one in commands["inspect"].params}
    for task in ("view", "imitate", "transfer"):
        for option in commands[task].params:
            # sheets, steadied frames and folders of videos are of several frames
            if option.name in ("photos", "frames", "sheet", "side_by_side", "steady", "keep"):
                continue
            if option.name in ("others", "place"):  # one person is looked at
                continue
            own = mine[option.name]
            assert own.opts == option.opts
            if option.name not in ("out", "motion", "azimuth", "wear"):
                assert own.default == option.default, option.name
                assert own.help == option.help, option.name


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("Dear diary")
    for more in ((), ("--force",)):
        result = CliRunner().invoke(app, ["inspect", "nobody.jpg", "--out", str(tmp_path), *more])
        assert result.exit_code == REFUSED
        assert "holds other things" in result.stderr
    assert (tmp_path / "diary.txt").read_text() == "Dear diary"
