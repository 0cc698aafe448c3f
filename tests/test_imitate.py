"""Motion imitation end to end: photo-like pictures in, frames out."""

from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from warpkit.models import recovery
from warpkit.models.bodies import Body, Camera, load_body
from warpkit.models.bodies.rotations import axis_angle_to_matrix
from warpkit.models.cache import Cache
from warpkit.models.data.motion_library import make_motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.framing import Framing
from warpkit.models.geometric.renderer import Layer
from warpkit.models.geometric.whole_frame import whole_frame
from warpkit.models.media.images import read_image
from warpkit.models.systems.liquid_warping import build, embedded_model
from warpkit.models.systems.liquid_warping.checkpoints import save
from warpkit.models.tasks import Clip, Look, Pipeline, Turn, graphs, imitate, sources
from warpkit.models.tasks.choices import choose_device, choose_system
from warpkit.models.tasks.imitate import resolve_motion
from warpkit.models.tasks.learned import GRAPH_STRIDE, STRIDE, LearnedRenderer, Window
from warpkit.models.tasks.notices import notes
from warpkit.models.tasks.sources import Source, check_one_person, read_sources

openpeople = pytest.importorskip("openpeople", reason="needs the extra [demo]")
SIZE = 128


def photo(person: str) -> np.ndarray:
    folder = Path(openpeople.__file__).parent / "data" / "curated" / person / "assets"
    return np.ascontiguousarray(read_image(folder / "studio_posture.jpg")[::2, ::2])


@pytest.fixture(scope="module")
def geometric() -> Pipeline:
    return Pipeline.from_pretrained(renderer="geometric", device="cpu", cache=False)


@pytest.fixture(scope="module")
def walking(geometric: Pipeline) -> Clip:
    return geometric.imitate([photo("P006")], make_motion("walk", fps=5.0), look=Look(SIZE, "#20a040"))


def test_frames_have_the_size_and_number_that_were_promised(walking: Clip) -> None:
    frames = list(walking)
    assert len(frames) == len(walking) == walking.num_frames
    assert all(frame.shape == (SIZE, SIZE, 3) and frame.dtype == np.uint8 for frame in frames)


def test_person_stays_whole_inside_every_frame(walking: Clip) -> None:
    for index in range(0, len(walking), 5):
        drawn = walking.render(index)
        top, left = drawn.corner
        assert top > 0
        assert top + drawn.alpha.shape[2] < SIZE
        assert left > 0
        assert left + drawn.alpha.shape[3] < SIZE
        assert 0.03 < float(drawn.alpha.sum()) / SIZE**2 < 0.4


def test_colour_background_is_that_colour_wherever_nobody_is(walking: Clip) -> None:
    drawn = walking.render(0)
    outside = np.ones((SIZE, SIZE), bool)
    top, left = drawn.corner
    outside[top : top + drawn.alpha.shape[2], left : left + drawn.alpha.shape[3]] = False
    assert (walking.frame(0)[outside] == (0x20, 0xA0, 0x40)).all()


def test_frames_come_out_the_same_again_and_in_any_order(walking: Clip) -> None:
    later = walking.frame(7)
    np.testing.assert_array_equal(walking.frame(3), walking.frame(3))
    np.testing.assert_array_equal(walking.frame(7), later)


def test_side_by_side_is_three_squares_wide(geometric: Pipeline) -> None:
    result = geometric.imitate(
        [photo("P006")], make_motion("wave", fps=2.0), look=Look(64, "white"), side_by_side=True, turn=Turn([0.0, 90.0])
    )
    assert result.size == (64, 192)
    assert result.frame(1).shape == (64, 192, 3)
    straight = torch.eye(3) @ axis_angle_to_matrix(make_motion("wave", fps=2.0).rotations[:, 0])
    facing = axis_angle_to_matrix(result.bodies.pose[:, 0])[:, :, 2]
    torch.testing.assert_close(facing[0], straight[0, :, 2])
    assert facing[-1, 0] > 0.95  # turned meanwhile, to the right edge in the end


def test_what_the_cache_gives_is_bit_for_bit_what_is_made_without_it(
    geometric: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = Pipeline(geometric.model, None, geometric.device, cache=Cache(tmp_path))

    def frames(photo: np.ndarray) -> np.ndarray:
        clip = cached.imitate([photo], make_motion("walk", fps=5.0), look=Look(SIZE))
        return np.stack([clip.frame(index) for index in (0, 7)])

    plain = geometric.imitate([photo("P006")], make_motion("walk", fps=5.0), look=Look(SIZE))
    expected = np.stack([plain.frame(index) for index in (0, 7)])
    np.testing.assert_array_equal(frames(photo("P006")), expected)
    assert {entry.kind for entry in cached.cache.entries()} == {"appearances", "backgrounds", "bodies", "cut-outs"}

    def never(*_: object, **__: object) -> None:
        raise RuntimeError("made again")

    for name in ("recover_detection", "gather_appearance", "fill_background", "cut_out"):
        monkeypatch.setattr(sources, name, never)
    np.testing.assert_array_equal(frames(photo("P006")), expected)
    other = photo("P006")
    other[0, 0, 0] ^= 1
    with pytest.raises(RuntimeError, match="made again"):
        frames(other)


def test_a_video_is_followed_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls, video = load_body(), [], tmp_path / "a.mp4"
    walk = make_motion("walk", fps=5.0).rotations
    camera = Camera(torch.full((len(walk),), 100.0), torch.zeros(len(walk), 2))
    body = Body(walk, model.mean_shape.expand(len(walk), -1), camera)

    def follow(*_: object, **__: object) -> recovery.Clip:
        calls.append(video.read_bytes())
        return recovery.Clip(body, 5.0, (64, 64), torch.ones(len(walk), dtype=torch.bool), 0.1, 2)

    monkeypatch.setattr(imitate, "recover_clip", follow)
    monkeypatch.setattr(imitate, "VideoReader", lambda path: SimpleNamespace(fps=5.0, num_frames=1, counted=False))
    cache = Cache(tmp_path / "cache")
    for content in (b"one", b"one", b"two"):
        video.write_bytes(content)
        found = resolve_motion(video, model, None, cache=cache).motion
        assert torch.equal(found.rotations, resolve_motion(video, model, None)[0].rotations)
    assert calls == [b"one", b"one", b"one", b"two", b"two"]  # without the cache three times, with it twice


@pytest.fixture(scope="module")
def source() -> Source:
    return read_sources([photo("P006")], load_body())[0]


def test_people_in_unlike_clothes_are_refused_by_name(source: Source) -> None:
    model = load_body()
    view = source.view(2 * SIZE)
    check_one_person(["a.jpg", "b.jpg"], [view, view], model)
    darker = replace(view, image=(view.image + 1) * 0.6 - 1)
    check_one_person(["a.jpg", "b.jpg"], [view, darker], model)  # another exposure is no other person
    dusk = replace(view, image=(view.image + 1) * torch.tensor([0.5, 0.46, 0.38])[:, None, None] - 1)
    check_one_person(["a.jpg", "b.jpg"], [view, dusk], model)  # nor is another light
    red = replace(view, image=view.image * torch.tensor([0.2, -1.0, -1.0])[:, None, None])
    with pytest.raises(InputError, match=r"a\.jpg and c\.jpg look too unlike"):
        check_one_person(["a.jpg", "b.jpg", "c.jpg"], [view, darker, red], model)


def test_user_is_told_of_several_people_and_of_poor_fits(source: Source) -> None:
    made, model = partial(replace, source.person), load_body()
    crowd = Source("crowd.jpg", source.image, made(people=3))
    vague = Source("vague.jpg", source.image, made(mask_iou=0.5))
    assert notes([source], None, model) == ()
    assert "3 people were found in crowd.jpg" in notes([crowd], None, model)[0]
    assert notes([crowd], 2, model) == ()
    assert "vague.jpg poorly" in notes([vague], None, model)[0]


@pytest.mark.parametrize("photos", ["a.jpg", Path("a.jpg"), np.zeros((8, 8, 3), np.uint8)])
def test_a_photo_that_is_not_in_a_list_is_refused(photos: Any) -> None:
    with pytest.raises(InputError, match="put it in a list"):
        Pipeline.from_pretrained(renderer="geometric", device="cpu", cache=False).imitate(photos, "walk")


def test_no_photos_and_too_many_are_refused() -> None:
    for count in (0, 9):
        with pytest.raises(InputError, match=f"{count} came"):
            read_sources([photo("P006")] * count, load_body())


def test_a_photo_without_any_background_is_a_sentence() -> None:
    (source,) = read_sources([photo("P006")], load_body())
    x0, y0, x1, y1 = source.person.box
    middle = Framing((x0 + x1) / 2 - 4, (y0 + y1) / 2 - 4, 8.0, 32, 32)  # nothing but the shirt
    with pytest.raises(InputError, match=r"too little of .* beside the person"):
        source.plate(middle)


def test_odd_sizes_and_unknown_devices_are_refused_before_any_work() -> None:
    with pytest.raises(InputError, match="even number"):
        Look(129)
    with pytest.raises(InputError, match="fps must be"):
        Look(fps=0)
    for wrong in ({"fps": "x"}, {"steady": "x"}, {"steady": None}, {"size": "x"}):
        with pytest.raises(InputError):
            Look(**wrong)
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


@pytest.fixture(scope="module")
def learned(untrained: Path) -> Clip:
    motion = make_motion("walk", fps=5.0)
    pipe = Pipeline.from_pretrained(untrained, device="cpu", cache=False)
    return pipe.imitate([photo("P006")], motion, look=Look(SIZE, "#20a040"))


def on_frame(layer: Layer, values: torch.Tensor) -> torch.Tensor:
    """A layer's map in a whole frame, nought beside its window."""
    frame = torch.zeros(*values.shape[1:-2], SIZE, SIZE)
    top, left = layer.corner
    frame[..., top : top + values.shape[-2], left : left + values.shape[-1]] = values[0]
    return frame


def test_a_trained_system_draws_the_person_where_geometry_does(learned: Clip, walking: Clip) -> None:
    for index in (0, 5):
        drawn, geometric = learned.render(index), walking.render(index)
        mine, theirs = on_frame(drawn, drawn.alpha)[0] > 0.5, on_frame(geometric, geometric.alpha)[0] > 0.5
        assert (mine & theirs).sum() / (mine | theirs).sum() > 0.95
        inside = on_frame(geometric, geometric.alpha)[0] == 1
        assert inside.sum() > 500
        ours, others = on_frame(drawn, drawn.colour), on_frame(geometric, geometric.colour)
        torch.testing.assert_close(ours[:, inside], others[:, inside], atol=1e-4, rtol=0)
    np.testing.assert_array_equal(learned.frame(5), learned.frame(5))


def test_the_network_draws_a_window_that_fades_out_within_the_frame(learned: Clip) -> None:
    drawn = learned.renderer(learned._framed[5], (3 * SIZE, 3 * SIZE))
    assert drawn.alpha.shape[-1] < drawn.alpha.shape[-2] < 3 * SIZE
    assert all(number % STRIDE == 0 for number in (*drawn.corner, *drawn.alpha.shape[-2:]))
    fade = learned.renderer._fade(Window(16, 16, 64, 64), (80, 200), 8.0)  # type: ignore[union-attr]
    assert fade[0].max() < 0.1  # above, and to the right, the frame goes on
    assert fade[:, -1].max() < 0.1
    assert fade[-1, 10:-10].min() == 1
    assert float(drawn.alpha[0, 0, -1].max()) == 0


def test_frames_in_order_have_those_before_in_mind_unless_that_is_off(learned: Clip) -> None:
    torch.manual_seed(1)
    system = build("small").eval()
    torch.nn.init.normal_(system.generator.transfer.heads.weight, std=0.05)  # changes the picture everywhere
    clip = copy(learned.drawn_by(system))
    clip.num_frames, clip._framed, clip.fps = 3, clip._framed[:3], 25.0
    assert clip.steady == Look().steady > 0
    alone = [clip.frame(index) for index in range(3)]
    steady = list(clip)
    np.testing.assert_array_equal(steady[0], alone[0])
    assert np.abs(steady[2].astype(int) - alone[2]).max() > 10
    np.testing.assert_array_equal(list(clip), steady)
    np.testing.assert_array_equal(clip.frame(2), alone[2])
    clip.steady = 0.0
    np.testing.assert_array_equal(list(clip), alone)


def test_frames_that_are_drawn_together_are_those_drawn_one_by_one(learned: Clip) -> None:
    torch.manual_seed(1)
    system = build("small").eval()
    torch.nn.init.normal_(system.generator.transfer.heads.weight, std=0.05)
    views = [source.view(SIZE) for source in learned.sources]
    renderer = LearnedRenderer(system, learned.model, views, learned.appearance, precision=torch.float32, at_once=4)
    bodies = learned._framed[torch.tensor([0, 0, 3, 1, 3])]
    rows: list[int] = []
    hook = system.generator.transfer.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    together = renderer.draw_all(bodies, (SIZE, SIZE))
    hook.remove()
    assert sum(rows) == 5 > len(rows)
    for index, drawn in enumerate(together):
        alone = renderer.draw(bodies[index], (SIZE, SIZE))
        assert drawn.window == alone.window
        assert drawn.rendered.colour.shape == alone.rendered.colour.shape
        for name in ("colour", "alpha", "gate"):
            mine, theirs = getattr(drawn.rendered, name), getattr(alone.rendered, name)
            torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=0)
    clip = copy(learned)
    clip.renderer, clip._framed, clip.num_frames = renderer, bodies, 5
    layers = list(clip.renders())
    assert len(layers) == 5
    torch.testing.assert_close(layers[0].colour, renderer(bodies[0], (SIZE, SIZE)).colour, atol=1e-4, rtol=0)


def test_graphs_are_recorded_for_each_shape_and_the_least_used_go() -> None:
    recorded: list[tuple[int, ...]] = []

    def record(function: graphs.Function, inputs: graphs.Inputs, pool: graphs.Pool) -> tuple[graphs.Function, int]:
        assert inputs[0] is not None
        assert pool == (1 if recorded else None)  # all work in that of the first
        recorded.append(tuple(inputs[0].shape))
        return function, 1

    doubled = graphs.Graphs(lambda one, other: (2 * one, torch.ones(1) if other is None else other), record)
    for size in (3, 4, 3, 3, 4):
        torch.testing.assert_close(doubled(torch.ones(size), None), (torch.full((size,), 2.0), torch.ones(1)))
    assert recorded == [(3,), (4,)]
    doubled(torch.ones(3), torch.zeros(2))
    assert recorded == [(3,), (4,), (3,)]
    for size in range(10, 10 + graphs.MOST - 1):
        doubled(torch.ones(size), None)
    before = len(recorded)
    doubled(torch.ones(3), torch.zeros(2))
    doubled(torch.ones(4), None)
    assert recorded[before:] == [(4,)]


def test_frames_from_graphs_are_those_without(learned: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[graphs.Inputs] = []
    monkeypatch.setattr(graphs, "record_graph", lambda function, inputs, _: (shown.append(inputs) or function, None))
    torch.manual_seed(1)
    system = build("small").eval()
    torch.nn.init.normal_(system.generator.transfer.heads.weight, std=0.05)
    views = [source.view(SIZE) for source in learned.sources]
    plain, played = (
        LearnedRenderer(system, learned.model, views, learned.appearance, precision=torch.float32, graphs=graph)
        for graph in (False, True)
    )
    bodies, size = learned._framed, (SIZE, SIZE)
    for index in (0, 1, 5):
        mine, theirs = played.draw(bodies[index], size), plain.draw(bodies[index], size)
        assert all(side % GRAPH_STRIDE == 0 for side in mine.window.size)
        ours, others = (on_frame(Layer(d.rendered.alpha, d.rendered.alpha, (d.window.top, d.window.left)),
                                 d.rendered.alpha[..., : SIZE - d.window.top, : SIZE - d.window.left])[0]
                        for d in (mine, theirs))  # fmt: skip
        assert (ours - others).abs().mean() < 0.005
    assert 1 <= len(shown) < 3 + 1
    # nothing on the way looks at a value: it could not be recorded
    with torch.no_grad():
        make_fx(played._through_network, tracing_mode="fake", _allow_non_fake_inputs=True)(*shown[0])
    # frames that go together are one recording, whatever their windows
    shown.clear()
    together = played.draw_all(bodies[torch.tensor([0, 3, 5])], size)
    assert len({drawn.window.size for drawn in together}) == len(shown) == 1
    for index, drawn in zip((0, 3, 5), together, strict=True):
        alone = plain.draw(bodies[index], size)
        height, width = (min(SIZE - start, side) for start, side in zip((alone.window.top, alone.window.left),
                                                                        alone.window.size, strict=True))  # fmt: skip
        mine, theirs = (one.rendered.alpha[..., :height, :width] for one in (drawn, alone))
        assert (mine - theirs).abs().mean() < 0.005
    # hooks see a network that is called, and not one that is played
    calls: list[int] = []
    hook = system.generator.transfer.register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    played.draw(bodies[1], size, eager=True)
    hook.remove()
    assert (calls, len(shown)) == ([1], 1)


def test_a_window_shows_what_the_whole_frame_would(learned: Clip) -> None:
    torch.manual_seed(1)
    system = build("small").eval()
    torch.nn.init.normal_(system.generator.transfer.heads.weight, std=0.1)  # changes the picture everywhere
    views = [source.view(SIZE) for source in learned.sources]
    whole, part = (
        LearnedRenderer(system, learned.model, views, learned.appearance, whole=whole, precision=torch.float32)
        for whole in (True, False)
    )
    body, side = learned._framed[5], 4 * SIZE
    whole, part = (renderer(body, (side, side)) for renderer in (whole, part))
    assert part.alpha.numel() < 0.3 * whole.alpha.numel()
    top, left = part.corner
    rows, columns = slice(top, top + part.alpha.shape[-2]), slice(left, left + part.alpha.shape[-1])
    inside = part.alpha[0, 0] > 0.5
    assert inside.sum() > 500
    geometric = whole_frame(learned.geometric(body, (side, side)), (side, side)).colour[0]
    drawn = whole.colour[0, :, rows, columns][:, inside]
    change = drawn - geometric[:, rows, columns][:, inside]
    off = drawn - part.colour[0][:, inside]
    assert change.square().mean().sqrt() > 0.1  # of what the network does to the picture
    assert off.square().mean().sqrt() < 0.02 * change.square().mean().sqrt()
    assert off.abs().max() < 0.05 * change.abs().max()
    assert (whole.alpha[0, 0, rows, columns] - part.alpha[0, 0])[inside].abs().max() < 0.02


def test_windows_may_reach_beyond_frames_of_any_size(learned: Clip) -> None:
    body = learned._framed[5]

    def at(*pixel: float) -> Layer:
        camera = Camera(body.camera.scale, torch.tensor([pixel]))
        return learned.renderer(Body(body.pose, body.shape, camera), (100, 90))

    drawn = at(60.0, 50.0)
    assert [a + b for a, b in zip(drawn.corner, drawn.alpha.shape[-2:], strict=True)] == [100, 90]
    assert float(drawn.alpha.max()) == 1
    assert float(at(1e4, -1e4).alpha.max()) == 0


def test_a_missing_checkpoint_is_refused_before_any_work(untrained: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Pipeline.from_pretrained(untrained.with_name("other.safetensors"))


def test_which_renderer_draws(untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_model, "DATA", tmp_path)
    assert choose_system(None, None) is None
    assert choose_system("geometric", None) is None
    with pytest.raises(InputError, match="holds no trained model"):
        choose_system("learned", None)
    with pytest.raises(InputError, match="leave out one of the two"):
        choose_system("geometric", untrained)
    with pytest.raises(InputError, match="geometric or learned"):
        choose_system("neural", None)  # type: ignore[arg-type]
    (tmp_path / embedded_model.FILE).write_bytes(untrained.read_bytes())
    for renderer in (None, "learned"):
        system = choose_system(renderer, None)  # type: ignore[arg-type]
        assert system is not None
        assert system.preset.name == "small"
    assert choose_system("geometric", None) is None
