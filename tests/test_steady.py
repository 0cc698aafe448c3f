"""Frames in order: what a network adds does not flicker, nothing is left behind, and the frame rate does not matter."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit import Flow, interpolate, mesh_flow, rasterize, warp
from warpkit.models.batch import Geometric
from warpkit.models.bodies import Body, Camera
from warpkit.models.errors import InputError
from warpkit.models.geometric.renderer import Layer
from warpkit.models.metrics.flicker import edge_width, flicker, sharpness
from warpkit.models.tasks.choices import STEADY, Look
from warpkit.models.tasks.learned import Drawn, Window, person
from warpkit.models.tasks.steady import CUT, Steady, SurfaceAverage

SIZE = (48, 40)
SQUARE = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
FACES = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def square(x: float = 0.0, y: float = 0.0, side: float = 1.0, depth: float = 0.0) -> Tensor:
    """[1, 4, 3] of a side of so many NDC."""
    return (SQUARE * side / 2 + torch.tensor([x, y, depth]))[None]


def painted(vertices: Tensor, size: tuple[int, int] = SIZE) -> Geometric:
    """A square that carries a pattern."""
    seen = rasterize(vertices, FACES, size)
    u, v, inside = interpolate(F.pad(SQUARE[:, :2], (0, 1), value=1.0), FACES, seen).unbind(-1)
    colour = torch.stack([torch.sin(9 * u), torch.cos(8 * v), u * v], 1)
    finely = rasterize(vertices, FACES, (4 * size[0], 4 * size[1])).face_index[:, None] >= 0
    return Geometric(0.4 * colour, inside[:, None], inside[:, None], F.avg_pool2d(finely.float(), 4))


def noise(chance: torch.Generator, channels: int = 3, size: tuple[int, int] = SIZE) -> Tensor:
    """As networks waver: over patches of some pixels, with a deviation of one."""
    values = F.avg_pool2d(torch.randn(1, channels, size[0] + 4, size[1] + 4, generator=chance), 5, 1)
    return values / values.std()


Video = list[tuple[Tensor, Tensor]]


def averaged(given: Video, bodies: list[Tensor], drawn: list[Geometric], fps: float = 25.0) -> Video:
    average = SurfaceAverage(FACES, fps, STEADY)
    return [average(*picture, under, body) for picture, under, body in zip(given, drawn, bodies, strict=True)]


def mean_flicker(video: Video, bodies: list[Tensor], channel: int) -> float:
    """Of the second half, when the average has set in; of colours (0) on the body, or of alphas (1) round it."""
    found = []
    for index in range(len(video) // 2, len(video)):
        flow = mesh_flow(bodies[index - 1][:, None], bodies[index], FACES, SIZE)
        now, before = video[index][channel], video[index - 1][channel]
        where = torch.ones(1, 1, *SIZE, dtype=torch.bool)
        if channel == 1:  # all go as one
            move = bodies[index - 1][0, 0, :2] - bodies[index][0, 0, :2]
            still = F.affine_grid(torch.eye(2, 3)[None], [1, 1, *SIZE], align_corners=False)
            flow = Flow((still + move)[:, None])
        found.append(float(flicker(now, before, flow, where, finer=3, smoothed=1.0)))
    return sum(found) / len(found)


def test_flicker_is_halved_on_wavering_bodies_and_pictures_stay_sharp() -> None:
    chance = torch.Generator().manual_seed(0)
    bodies = [
        square(0.01 * index + 0.02 * float(torch.randn((), generator=chance)), 0.02 * math.sin(index))
        for index in range(24)
    ]
    drawn = [painted(body) for body in bodies]
    given = []
    for under in drawn:
        soft = F.avg_pool2d(F.pad(under.alpha, (2, 2, 2, 2)), 5, 1)  # hair reaches beyond the body
        given.append(
            (
                under.colour + 0.1 + 0.06 * noise(chance),
                (2 * soft + 2 * noise(chance, 1) * soft * (1 - soft)).clamp(0, 1),
            )
        )
    steady = averaged(given, bodies, drawn)
    assert mean_flicker(given, bodies, 0) > 0.04
    assert mean_flicker(steady, bodies, 0) < 0.4 * mean_flicker(given, bodies, 0)
    assert mean_flicker(steady, bodies, 1) < 0.5 * mean_flicker(given, bodies, 1)
    width = [float(edge_width(torch.cat([alpha for _, alpha in video[12:]])).mean()) for video in (given, steady)]
    assert width[1] < 1.05 * width[0]
    added = sum((after[0] - under.colour) * under.alpha for after, under in zip(steady[12:], drawn[12:], strict=True))
    assert float(added.sum() / sum(under.alpha.sum() for under in drawn[12:]) / 3) == pytest.approx(0.1, abs=0.02)
    for body, under, after in zip(bodies[8:], drawn[8:], steady[8:], strict=True):
        # against the pattern without noise: nothing of it is smeared
        inside = rasterize(0.85 * (body - body.mean(1)) + body.mean(1), FACES, SIZE).face_index[:, None] >= 0
        assert float(sharpness(after[0], inside)) > 0.95 * float(sharpness(under.colour, inside))


def two(front: float) -> tuple[Tensor, Tensor]:
    """[1, 8, 3], a square with a small one in front of it, whose middle is at `front`; and [6, 3] its faces."""
    return torch.cat([square(side=1.4), square(front, side=0.5, depth=-0.5)], 1), torch.cat([FACES, FACES + 4])


def test_nothing_is_left_of_what_passed_over_a_body_or_beside_it() -> None:
    average = None
    for index, front in enumerate((-0.4, -0.35, -0.3, 0.3, 0.9)):
        vertices, faces = two(front)
        average = average or SurfaceAverage(faces, 25.0, STEADY)
        seen = rasterize(vertices, faces, SIZE).face_index[:, None]
        small, body = seen >= 2, (seen >= 0).float()
        colour = torch.where(small, 0.8, -0.2).expand(-1, 3, -1, -1)
        after, alpha = average(colour, body, Geometric(torch.zeros_like(colour), body, body, body), vertices)
        near = F.max_pool2d(small.float(), 5, 1, 2) > 0
        assert (after - colour).abs()[(~near).expand_as(after) & (body > 0)].max() < 1e-3, index
        assert (after - colour).abs()[small.expand_as(after)].mean() < 0.1, index
        clear = F.max_pool2d(body, 5, 1, 2) == 0
        assert alpha[clear].max() == 0, index
        assert (F.max_pool2d(1 - body, 5, 1, 2) == 0).any()
        assert alpha[F.max_pool2d(1 - body, 5, 1, 2) == 0].min() == 1, index
    assert near.any()


def test_what_changes_at_once_is_taken_at_once() -> None:
    body = square()
    under = painted(body)
    first, second = (under.colour + added for added in (-0.6, 0.6))
    after = averaged([(first, under.alpha), (second, under.alpha)], [body] * 2, [under] * 2)[1][0]
    inside = under.alpha.expand_as(after) > 0
    assert (after - second.clamp(-1, 1))[inside].abs().max() < 0.01


def test_half_of_a_change_is_left_after_the_time_said_at_any_rate() -> None:
    body = square()
    under = painted(body)
    for fps in (10.0, 25.0, 50.0, 100.0):
        changed = round(STEADY * fps)
        given = [(under.colour + added, under.alpha) for added in [0.0] + [0.01] * changed]
        after = averaged(given, [body] * len(given), [under] * len(given), fps)[-1][0]
        left = (after - under.colour)[under.alpha.expand_as(after) == 1]
        torch.testing.assert_close(left, torch.full_like(left, 0.005), atol=1e-4, rtol=0)


def test_the_first_picture_comes_back_as_it_is_and_so_does_one_after_forgetting() -> None:
    chance = torch.Generator().manual_seed(2)
    body = square()
    under = painted(body)
    average = SurfaceAverage(FACES, 25.0, STEADY)
    pictures = [(under.colour + 0.1 * noise(chance), under.alpha) for _ in range(3)]
    assert torch.equal(average(*pictures[0], under, body)[0], pictures[0][0])
    assert not torch.equal(average(*pictures[1], under, body)[0], pictures[1][0])
    average.forget()
    assert torch.equal(average(*pictures[2], under, body)[0], pictures[2][0])
    with pytest.raises(ValueError, match="more than 0"):
        SurfaceAverage(FACES, 25.0, 0.0)


class Painter:
    """Stands in for `LearnedRenderer`: a square body of 20 pixels a side, drawn in windows that move about."""

    def __init__(self, windows: Callable[[int], Window], seed: int = 0) -> None:
        self.model = SimpleNamespace(faces=FACES)
        self.windows, self.chance, self.count = windows, torch.Generator().manual_seed(seed), 0

    def draw(self, body: Body, size: tuple[int, int]) -> Drawn:
        window = self.windows(self.count)
        self.count += 1
        under, clothed = self.by_geometry(body, size, window)
        wavering = noise(self.chance, 3, size)
        wavering = F.pad(wavering, (0, 64, 0, 64))[
            ..., window.top : window.top + window.height, window.left : window.left + window.width
        ]
        rendered = SimpleNamespace(colour=under.colour + 0.1 * wavering, alpha=under.alpha, geometric=under)
        return Drawn(rendered, window, clothed)  # type: ignore[arg-type]

    def by_geometry(self, body: Body, size: tuple[int, int], window: Window) -> tuple[Geometric, Tensor]:
        clothed = SQUARE[None].clone()
        return painted(window.body(body).camera.project(clothed, window.size), window.size), clothed

    def layer(self, colour: Tensor, alpha: Tensor, window: Window, body: Body, size: tuple[int, int]) -> Layer:
        return Layer(colour, alpha, (window.top, window.left))


def walking(index: int, turn: float = 0.0) -> Body:
    pose = torch.zeros(1, 22, 3)
    pose[0, 0, 1] = math.radians(turn)
    return Body(pose, torch.zeros(1, 1), Camera(torch.tensor([10.0]), torch.tensor([[24.2 + 1.4 * index, 30.3]])))


def drawn_steadily(windows: Callable[[int], Window], turns: list[float]) -> Tensor:
    """[3, 80, 64] the last frame."""
    painter = Painter(windows)
    steady = Steady(painter, 25.0, STEADY)  # type: ignore[arg-type]
    for index, turn in enumerate(turns):
        body = walking(index, turn)
        layer = steady(painter.draw(body, (80, 64)), body, (80, 64))
    return layer.over(torch.zeros(3, 80, 64))


def test_the_window_that_the_network_draws_in_does_not_matter() -> None:
    whole = drawn_steadily(lambda _: Window(0, 0, 80, 64), [0.0] * 6)
    moving = drawn_steadily(lambda index: Window(8 * (index % 2), 4 * (index % 3), 56 + 8 * (index % 2), 52), [0.0] * 6)
    torch.testing.assert_close(moving, whole, atol=1e-4, rtol=0)
    assert (whole - drawn_steadily(lambda _: Window(0, 0, 80, 64), [0.0])).abs().max() > 0.05


def test_systems_that_correct_no_picture_are_steadied_alike() -> None:
    layers = []
    for corrects in (True, False):
        painter = Painter(lambda _: Window(0, 0, 80, 64))
        steady = Steady(painter, 25.0, STEADY)  # type: ignore[arg-type]
        for index in range(4):
            drawn = painter.draw(walking(index), (80, 64))
            if not corrects:
                drawn.rendered.geometric = None  # type: ignore[misc]
                drawn = drawn._replace(vertices=None)
            layer = steady(drawn, walking(index), (80, 64))
        layers.append(layer)
    assert torch.equal(layers[0].colour, layers[1].colour)
    assert torch.equal(layers[0].alpha, layers[1].alpha)


def test_views_far_apart_are_each_by_themselves() -> None:
    def window(_: int) -> Window:
        return Window(0, 0, 80, 64)

    alone = Painter(window)
    for index in range(3):
        expected = alone.draw(walking(index), (80, 64))
    bare = Layer(*person(expected), (0, 0)).over(torch.zeros(3, 80, 64))
    apart, near = (drawn_steadily(window, [0.0, step, 2 * step]) for step in (CUT + 1, CUT - 1))
    torch.testing.assert_close(apart, bare, atol=1e-6, rtol=0)
    assert (near - bare).abs().max() > 0.05


def test_flicker_of_a_painted_texture_is_next_to_nothing_and_a_change_counts_in_full() -> None:
    bodies = [square(), square(0.013, -0.027)]
    colours = [painted(body).colour for body in bodies]
    flow = mesh_flow(bodies[0][:, None], bodies[1], FACES, SIZE)
    inside = rasterize(0.8 * bodies[1], FACES, SIZE).face_index[:, None] >= 0
    fine = {"finer": 3, "smoothed": 1.0}
    assert float(flicker(colours[1], colours[0], flow, inside, **fine)) < 0.004  # type: ignore[arg-type]
    brighter = flicker(colours[1] + 0.1, colours[0], flow, inside, **fine)  # type: ignore[arg-type]
    assert float(brighter) == pytest.approx(0.1, abs=0.003)
    assert float(flicker(colours[1], colours[0], flow, inside)) > float(
        flicker(colours[1], colours[0], flow, inside, finer=3)
    )
    assert float(flicker(colours[1], colours[0], flow, torch.zeros_like(inside))) == 0
    moved = warp(colours[0], flow)
    assert float(sharpness(moved, inside)) < float(sharpness(colours[1], inside))
    assert float(sharpness(2 * moved, inside)) == pytest.approx(2 * float(sharpness(moved, inside)))


def test_the_width_of_an_edge_is_that_of_its_ramp() -> None:
    column = torch.arange(40) + 0.5
    for wide in (4.0, 12.0):
        ramp = ((column - 20) / wide + 0.5).clamp(0, 1).expand(1, 1, 30, 40)
        assert float(edge_width(ramp)) == pytest.approx(wide * 2 / 3, rel=0.05)
    assert float(edge_width(torch.ones(1, 1, 8, 8))) == 0


def test_seconds_that_make_no_sense_are_refused() -> None:
    for seconds in (-0.1, 6.0, math.nan):
        with pytest.raises(InputError, match="steadied over 0 to 5 seconds"):
            Look(steady=seconds)
