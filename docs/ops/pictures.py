"""The pictures of docs/ops, one an op: `python docs/ops/pictures.py [name …]` writes them beside this file."""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import warpkit
from warpkit.models.bodies import Body, Camera, load_body
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from warpkit.models.data.motion_library import make_motion
from warpkit.models.data.rendered import MadeUpPerson
from warpkit.models.geometric.mesh import vertex_normals

HERE = Path(__file__).parent
PAPER, INK = (255, 255, 255), (40, 44, 52)
WIDTH, GAP, TITLE = 900, 10, 24
SIZE = (420, 250)
MOST_BYTES = 58_000

Panel = tuple[str, Tensor]  # a title, and a picture [3, H, W] in [0, 1]

MODEL = load_body("anny")
FACES = MODEL.faces
PERSON = MadeUpPerson(MODEL, seed=2)


def sheet(panels: Sequence[Panel], *, width: int = WIDTH, smooth: bool = True) -> Image.Image:
    """Panels beside each other, of one height, each under its title."""
    images = [Image.fromarray((p.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()) for _, p in panels]
    height = (width - GAP * (len(panels) - 1)) / sum(image.width / image.height for image in images)
    font = ImageFont.load_default(14)
    page = Image.new("RGB", (width, round(height) + TITLE), PAPER)
    draw, left = ImageDraw.Draw(page), 0.0
    for (title, _), image in zip(panels, images, strict=True):
        across = round(height * image.width / image.height)
        how = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
        page.paste(image.resize((across, round(height)), how), (round(left), TITLE))
        draw.text((round(left) + 1, 3), title, fill=INK, font=font)
        left += across + GAP
    return page


def body(degrees: float, *, walk: float | None = None, size: tuple[int, int] = SIZE, close: float = 0.0) -> Body:
    """A person turned by an angle, standing or at a moment of a walk; `close` from 0 (all) to 1 (the head)."""
    motion = make_motion("turn" if walk is None else "walk").rotations
    pose = motion[[0 if walk is None else int(walk * len(motion))]].clone()
    yaw = axis_angle_to_matrix(torch.tensor([0.0, math.radians(degrees), 0.0]))
    pose[0, 0] = matrix_to_axis_angle(yaw @ axis_angle_to_matrix(pose[0, 0]))
    tall = MODEL.height(PERSON.shape)
    scale = size[0] * (0.93 + 2.3 * close) / tall
    down = size[0] * 0.46 + 0.31 * close * tall * scale
    camera = Camera(scale, torch.stack((torch.full_like(down, size[1] / 2), down), -1))
    return Body(pose, PERSON.shape, camera)


def vertices(who: Body, size: tuple[int, int] = SIZE) -> Tensor:
    """`[1, V, 3]` NDC of the clothed body."""
    return who.camera.project(MODEL(who.pose, who.shape, offsets=PERSON.offsets), size)


def photo(who: Body, size: tuple[int, int] = SIZE, tint: tuple[float, float, float] = (0.9, 1.0, 1.12)) -> Tensor:
    """The person over a soft backdrop, `[3, H, W]` in [0, 1]."""
    down, across = torch.meshgrid(torch.linspace(0, 1, size[0]), torch.linspace(-1, 1, size[1]), indexing="ij")
    light = 0.62 - 0.25 * down - 0.1 * across.square()
    backdrop = torch.stack([light * channel for channel in tint]) * 2 - 1
    return (PERSON.render(who, size, backdrop).image + 1) / 2


def over(picture: Tensor, mask: Tensor, colour: tuple[float, float, float] = (0.93, 0.94, 0.95)) -> Tensor:
    """The picture `[3, H, W]` where the mask `[H, W]` is, a plain colour elsewhere."""
    return torch.where(mask, picture, torch.tensor(colour)[:, None, None])


def ramp(value: Tensor) -> Tensor:
    """Numbers in [0, 1] as colours `[3, …]` from dark blue by green to yellow."""
    stops = torch.tensor(
        [[0.27, 0.0, 0.33], [0.23, 0.32, 0.55], [0.13, 0.57, 0.55], [0.37, 0.79, 0.38], [0.99, 0.91, 0.14]]
    )
    place = value.clamp(0, 1) * (len(stops) - 1)
    low = place.floor().clamp(max=len(stops) - 2).long()
    return torch.lerp(stops[low], stops[low + 1], (place - low)[..., None]).movedim(-1, 0)


def random_colours(count: int) -> Tensor:
    """`[count, 3]`."""
    return 0.15 + 0.8 * torch.rand(count, 3, generator=torch.Generator().manual_seed(0))


def shown(flat: Tensor, face_index: Tensor) -> Tensor:
    """A colour for each face, `[F, 3]`, at each pixel: `[3, H, W]`."""
    return over(flat[face_index.clamp(min=0).long()].movedim(-1, 0), face_index >= 0)


def shading(points: Tensor) -> Tensor:
    """Light on each vertex, `[V, 1]`; points in NDC, y down."""
    normals = vertex_normals(points * torch.tensor([SIZE[1] / SIZE[0], 1, 1]), FACES)[0]
    light = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, -0.8]), dim=0)
    return 0.35 + 0.65 * (normals @ light).abs()[:, None]


def rasterize() -> Image.Image:
    """The three outputs."""
    size = (320, 320)
    points = vertices(body(25, size=size, close=1), size)
    face_index, barycentric, depth = (x[0] for x in warpkit.rasterize(points, FACES, size))
    on = face_index >= 0
    near, far = depth[on].min(), depth[on].max()
    piece = (slice(175, 255), slice(90, 170))
    faces = shown(random_colours(len(FACES)), face_index)
    i, j, side = piece[0].start, piece[1].start, 80
    faces[:, [i, i + side], j : j + side + 1] = faces[:, i : i + side + 1, [j, j + side]] = 0
    weights = over(barycentric.movedim(-1, 0), on)[:, *piece].repeat_interleave(4, 1).repeat_interleave(4, 2)
    return sheet(
        [
            ("face_index, a random colour each", faces),
            ("barycentric of the square as red, green, blue", weights),
            ("depth: yellow near, blue far", over(ramp(1 - (depth - near) / (far - near)), on)),
        ]
    )


def interpolate() -> Image.Image:
    """Four attributes of one mesh."""
    points = vertices(body(25, walk=0.3))
    fragments = warpkit.rasterize(points, FACES, SIZE)
    on = fragments.face_index[0] >= 0
    light = shading(points)
    normals = vertex_normals(MODEL(body(25, walk=0.3).pose, PERSON.shape), FACES)[0]
    rest = PERSON.points / PERSON.points.abs().amax() / 2 + 0.5
    vertex = {
        "light on each vertex": light.expand(-1, 3),
        "normals": normals / 2 + 0.5,
        "places in the rest pose": rest,
    }
    panels = [
        (title, over(warpkit.interpolate(value.contiguous(), FACES, fragments)[0].movedim(-1, 0), on))
        for title, value in vertex.items()
    ]
    if MODEL.uv is not None and MODEL.uv_faces is not None:
        uv = warpkit.interpolate(MODEL.uv, MODEL.uv_faces, fragments)[0]
        board = ((uv * 48).floor().sum(-1) % 2)[None]
        tint = torch.stack((uv[..., 0], 0.4 + 0 * uv[..., 0], uv[..., 1])) * 0.5 + 0.45
        panels.append(("uv, with faces of its own", over(tint * (0.55 + 0.45 * board), on)))
    return sheet(panels)


def visible_faces() -> Image.Image:
    """What a source shows, seen from its side."""
    coarse = warpkit.rasterize(vertices(body(0)), FACES, (168, 100)).face_index
    seen = warpkit.visible_faces(coarse, len(FACES))[0]
    fine = warpkit.rasterize(vertices(body(0)), FACES, (2048, 2048)).face_index
    seen_fine = warpkit.visible_faces(fine, len(FACES))[0]
    flat = torch.tensor([[0.85, 0.36, 0.3], [0.35, 0.66, 0.5]])
    panels = [("the source", photo(body(0))[:, :260])]
    for title, which in (("visible faces at 168 x 100, turned", seen), ("at 2048 x 2048", seen_fine)):
        points = vertices(body(60))
        fragments = warpkit.rasterize(points, FACES, SIZE)
        light = warpkit.interpolate(shading(points), FACES, fragments)[0].movedim(-1, 0)
        picture = shown(flat[which.long()], fragments.face_index[0]) * light
        panels.append((title, over(picture, fragments.face_index[0] >= 0)[:, :260]))
    return sheet(panels)


def barycentrics() -> Image.Image:
    """Two faces, and their weights after the vertices moved."""
    size = (24, 36)
    points = torch.tensor([[[-0.85, 0.75, 1.0], [-0.35, -0.85, 1.0], [0.25, 0.8, 1.0], [0.85, -0.7, 1.0]]])
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    face_index = warpkit.rasterize(points, faces, size).face_index
    panels = []
    for title, place in (
        ("barycentrics of rasterize's ids", points),
        ("the same ids, vertices moved", points + torch.tensor([[0.0, 0, 0], [0.7, 0, 0], [0, -0.5, 0], [0.0, 0, 0]])),
    ):
        known, _ = warpkit.barycentrics(place, faces, face_index)
        panels.append((title, over(known[0].movedim(-1, 0), face_index[0] >= 0)))
    return sheet(panels, smooth=False)


def compose_flow() -> Image.Image:
    """Points of a target, joined with their places in the source."""
    source, target = body(-20), body(35, walk=0.3)
    points = vertices(target)
    fragments = warpkit.rasterize(points, FACES, SIZE)
    light = warpkit.interpolate(shading(points).expand(-1, 3).contiguous(), FACES, fragments)[0].movedim(-1, 0)
    flow = warpkit.mesh_flow(vertices(source)[:, None], points, FACES, SIZE)
    surface = over(light, fragments.face_index[0] >= 0)
    page = sheet([("source", photo(source)), ("target: each pixel's place in the source", surface)], width=560)
    page = page.resize((2 * page.width, 2 * page.height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(page)
    assert flow.visible is not None
    rows, columns = flow.visible[0, 0].nonzero(as_tuple=True)
    chosen = torch.linspace(300, len(rows) - 300, 26).long()
    panel, gap, top = 560 - GAP, 2 * GAP, 2 * TITLE
    zoom = panel / SIZE[1]
    for number, k in enumerate(chosen.tolist()):
        i, j = int(rows[k]), int(columns[k])
        x, y = ((flow.grid[0, 0, i, j] + 1) / 2 * torch.tensor([SIZE[1], SIZE[0]]) * zoom).tolist()
        here = (panel + gap + (j + 0.5) * zoom, top + (i + 0.5) * zoom)
        there = (x, top + y)
        colour = tuple((ramp(torch.tensor(number / 25)) * 255).int().tolist())
        draw.line([there, here], fill=colour, width=2)
        for place in (there, here):
            draw.ellipse([place[0] - 6, place[1] - 6, place[0] + 6, place[1] + 6], fill=colour, outline=INK)
    return page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS)


def pixel_places(size: tuple[int, int]) -> Tensor:
    """`[H, W, 2]` NDC of the pixels' centres."""
    y = (torch.arange(size[0]) * 2 + 1) / size[0] - 1
    x = (torch.arange(size[1]) * 2 + 1) / size[1] - 1
    return torch.stack((x.expand(size), y[:, None].expand(size)), -1)


def mesh_flow() -> Image.Image:
    """A flow, who is visible, and what it warps to."""
    source, target = body(-35), body(40, walk=0.3)
    flow = warpkit.mesh_flow(vertices(source)[:, None], vertices(target), FACES, SIZE)
    on = warpkit.rasterize(vertices(target), FACES, SIZE).face_index[0] >= 0
    assert flow.visible is not None
    place, visible = flow.grid[0, 0], flow.visible[0, 0]
    wheel = torch.stack((place[..., 0] * 1.2 + 0.5, 0.75 - 0.35 * place[..., 1].abs(), place[..., 1] / 2 + 0.5))
    said = torch.where(
        visible, torch.tensor([0.35, 0.66, 0.5])[:, None, None], torch.tensor([0.85, 0.36, 0.3])[:, None, None]
    )
    warped = warpkit.warp(photo(source)[None], flow)[0]
    return sheet(
        [
            ("source", photo(source)),
            ("grid: x as red, y as blue", over(wheel, visible)),
            ("visible (green), hidden (red)", over(said, on)),
            ("warp(source, flow)", over(warped, visible)),
        ]
    )


def resize_flow() -> Image.Image:
    """Both modes, on a grid of few pixels."""
    source, target = body(-20), body(20, walk=0.3)
    flow = warpkit.mesh_flow(vertices(source)[:, None], vertices(target), FACES, SIZE, visibility=None)
    small = (84, 50)
    picture = photo(source, tint=(1.7, 0.5, 0.2))[None]
    features = torch.nn.functional.interpolate(picture, small, mode="area")
    panels = []
    for title, resized in (
        ("masked, 84 x 50", warpkit.resize_flow(flow, small)),
        ("bilinear: the backdrop bleeds in", warpkit.resize_flow(flow, small, mode="bilinear")),
    ):
        warped = warpkit.warp(features, resized)[0]
        visible = resized.visible[0, 0] if resized.visible is not None else (warped != 0).any(0)
        panels.append((title, over(warped, visible)[:, 14:49, 4:39]))
    full = over(warpkit.warp(picture, flow)[0], flow.visible[0, 0]) if flow.visible is not None else picture[0]
    return sheet([("the flow at 420 x 250", full[:, 70:245, 20:195]), *panels], smooth=False)


def texture(size: tuple[int, int]) -> Tensor:
    """A made-up picture `[3, H, W]`: rings and squares."""
    place = pixel_places(size)
    x, y = place.unbind(-1)
    board = (((x + 1) * 6).floor() + ((y + 1) * 6).floor()) % 2
    rings = 0.5 + 0.5 * torch.sin(28 * place.norm(dim=-1))
    return torch.stack((0.3 + 0.3 * x + 0.35 * board, 0.25 + 0.5 * rings, 0.6 - 0.3 * y + 0.1 * board))


def warp() -> Image.Image:
    """A swirl with a hole."""
    size = (300, 300)
    place = pixel_places(size)
    radius = place.norm(dim=-1)
    angle = 1.9 * (1 - radius).clamp(min=0)
    turn = torch.stack((angle.cos(), -angle.sin(), angle.sin(), angle.cos()), -1).unflatten(-1, (2, 2))
    grid = (turn @ place[..., None])[..., 0] * 1.12
    visible = (place - torch.tensor([0.45, -0.4])).norm(dim=-1) > 0.22
    flow = warpkit.Flow(grid[None, None], visible[None, None])
    picture = texture(size)
    lines = ((grid * 6 + 0.05) % 1 < 0.1).any(-1)
    wires = torch.where(lines, 0.25, 1.0).expand(3, -1, -1)
    inside = (grid.abs() < 1).all(-1)
    return sheet(
        [
            ("features", picture),
            ("flow: lines of equal x, y; grey not visible", over(wires, visible, (0.75, 0.75, 0.78))),
            (
                "warp: zero outside and where not visible",
                over(warpkit.warp(picture[None], flow)[0], visible & inside, (0, 0, 0)),
            ),
        ]
    )


def two_sources() -> tuple[Tensor, warpkit.Flow, Tensor, Body]:
    """Photos `[1, 2, 3, H, W]` of two sides, their flow to a target, and how frontally each shows a pixel."""
    sources, target = [body(-50), body(75)], body(10, walk=0.3)
    points = torch.cat([vertices(source) for source in sources])[None]
    photos = torch.stack([photo(source) for source in sources])[None]
    photos[:, 1] = (photos[:, 1] * torch.tensor([1.0, 0.86, 0.68])[:, None, None]).clamp(0, 1)  # another evening
    normals = [vertex_normals(MODEL(source.pose, PERSON.shape), FACES)[0, :, 2:] for source in sources]
    facing = torch.stack(
        [
            warpkit.interpolate(normal.contiguous(), FACES, warpkit.rasterize(points[:, s], FACES, SIZE))[0, ..., 0]
            for s, normal in enumerate(normals)
        ]
    )
    flow = warpkit.mesh_flow(points, vertices(target), FACES, SIZE)
    return photos, flow, facing[None, :, None], target


def warp_reduce() -> Image.Image:
    """Two sources apart and together."""
    photos, flow, _, _ = two_sources()
    assert flow.visible is not None
    warped = warpkit.warp(photos, flow)[0]
    visible = flow.visible[0]
    count = visible.float() / visible.float().sum(0).clamp(min=1)
    sides = [(f"warp: source {s + 1}", over(warped[s], visible[s])) for s in range(2)]
    added = warpkit.warp_reduce(photos, flow, "mean")[0]
    shared = warpkit.warp_reduce(photos, flow, weights=count[None])[0]
    some = visible.any(0)
    return sheet(
        [*sides, ('"mean": divides by S', over(added, some)), ("weights: 1 / number visible", over(shared, some))]
    )


def warp_attention() -> Image.Image:
    """Attention for the source that shows a place from in front."""
    photos, flow, facing, _ = two_sources()
    assert flow.visible is not None
    query = torch.ones(1, 1, *SIZE)
    picture = warpkit.warp_attention(query, facing, flow, value=photos, scale=14.0)[0]
    which = torch.tensor([[0.93, 0.55, 0.2], [0.2, 0.45, 0.85]])[None, :, :, None, None].expand(-1, -1, -1, *SIZE)
    alpha = warpkit.warp_attention(query, facing, flow, value=which.contiguous(), scale=14.0)[0]
    some = flow.visible[0].any(0)
    return sheet(
        [
            ("source 1", photos[0, 0]),
            ("source 2", photos[0, 1]),
            ("attention: 1 orange, 2 blue", over(alpha, some)),
            ("result", over(picture, some)),
        ]
    )


def antialias() -> Image.Image:
    """An outline before and after, and its gradient."""
    size, top, left, side, zoom = (200, 200), 4, 64, 72, 6
    points = vertices(body(25, size=size, close=0.8), size).requires_grad_()
    fragments = warpkit.rasterize(points, FACES, size)
    light = warpkit.interpolate(shading(points.detach()), FACES, fragments).permute(0, 3, 1, 2).detach()
    on = (fragments.face_index >= 0)[:, None]
    tone, backdrop = torch.tensor([[0.97, 0.7, 0.5], [0.16, 0.2, 0.3]])[:, None, :, None, None]
    hard = torch.where(on, light * tone, backdrop)
    soft = warpkit.antialias(hard, fragments, points.detach(), FACES)
    warpkit.antialias(on.float(), fragments, points, FACES).sum().backward()
    assert points.grad is not None
    window = slice(top, top + side), slice(left, left + side)
    mask = over(torch.full((3, side, side), 0.82), on[0, 0][window]).repeat_interleave(zoom, 1)
    board = Image.fromarray((mask.repeat_interleave(zoom, 2).permute(1, 2, 0) * 255).byte().numpy())
    draw = ImageDraw.Draw(board)
    places = (points.detach()[0, :, :2] + 1) / 2 * size[0] - torch.tensor([left, top])
    moved = points.grad[0, :, :2].norm(dim=-1) > 0
    for place, step in zip(places[moved] * zoom, points.grad[0, moved, :2] * 0.25, strict=True):
        draw.line([*place.tolist(), *(place + step).tolist()], fill=(200, 60, 50), width=2)
    arrows = torch.from_numpy(np.array(board)).movedim(-1, 0) / 255
    return sheet(
        [
            ("decided by pixel centres", hard[0][:, *window]),
            ("antialias", soft[0].detach()[:, *window]),
            ("gradient of the covered area, at vertices", arrows),
        ],
        smooth=False,
    )


PICTURES: dict[str, Callable[[], Image.Image]] = {
    make.__name__: make
    for make in (
        rasterize,
        barycentrics,
        visible_faces,
        interpolate,
        compose_flow,
        mesh_flow,
        resize_flow,
        warp,
        warp_reduce,
        warp_attention,
        antialias,
    )
}


def main() -> None:
    """Write the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(PICTURES), metavar="name", help=", ".join(PICTURES))
    for name in parser.parse_args().names:
        path = HERE / f"{name}.jpg"
        picture, quality = PICTURES[name](), 80
        picture.save(path, quality=quality, optimize=True)
        while path.stat().st_size > MOST_BYTES:
            quality -= 4
            picture.save(path, quality=quality, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
