"""An inspection as pictures with captions."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit import rasterize
from warpkit.models.bodies import PARTS
from warpkit.models.geometric.framing import frame_round
from warpkit.models.media.diagrams import (
    LEFT,
    MIDDLE,
    RIGHT,
    UNKNOWN,
    WARNING,
    draw_barycentric,
    draw_depth,
    draw_faces,
    draw_joints,
    draw_keypoints,
    draw_mask,
    draw_over_checks,
    draw_overlap,
    draw_parts,
    draw_shares,
    draw_warning,
    part_legend,
    source_colours,
)
from warpkit.models.media.draw import PAPER, draw_body
from warpkit.models.media.figures import Colour, Figure, figure_sheet, labelled
from warpkit.models.media.flow_wheel import draw_flow, draw_wheel, reach_of
from warpkit.models.media.images import write_image
from warpkit.models.media.output import whole_folder
from warpkit.models.media.tensors import to_image, to_tensor
from warpkit.models.progress import SILENT, Progress
from warpkit.models.recovery.fit import USED_LANDMARKS
from warpkit.models.recovery.photo import fitter
from warpkit.models.tasks.inspect import Inspection, Network

SEEN = 0.5
"""Visibility from which on the network counts as having seen a landmark."""
AIR = 0.08
"""Of the person's height, shown round them on sheets."""
NARROW = 0.62
"""Least width of what sheets show, in heights: words need room."""
CLOSE = 480
"""Pixels along a side of close-ups."""
CHANGE = 4
"""How much stronger than it is a change is shown."""

Focus = tuple[int, int, int, int]


@torch.no_grad()
def sections(seen: Inspection) -> Iterator[tuple[str, list[Figure]]]:
    """Everything an inspection holds as figures, in the order in which it came about, under headings.

    What the renderer of the clip does not make is left out. Names of figures are unique, and sort in that order; their
    pictures have H x W pixels, or R x R those of photos, but for the atlas and the close-ups.
    """
    count = 0
    for heading, figures in _unnumbered(seen):
        yield heading, [replace(one, name=f"{count + n:02d}_{one.name}") for n, one in enumerate(figures)]
        count += len(figures)


def write_figures(seen: Inspection, folder: str | Path, *, overwrite: bool = False, progress: Progress = SILENT) -> int:
    """Writes all figures as PNG files into a new `folder`, which appears when they are whole, and says how many.

    `overview.png` shows all of them. `overwrite`: whether a folder of pictures may be replaced.

    Raises InputError where that cannot be done.
    """
    written = 0
    with whole_folder(folder, overwrite=overwrite) as draft:
        progress.stage("Drawing", None)

        def writing() -> Iterator[tuple[str, list[Figure]]]:
            nonlocal written
            for heading, figures in sections(seen):
                for figure in figures:
                    write_image(draft / f"{figure.name}.png", labelled(figure, heading))
                    progress.advance()
                    written += 1
                yield heading, figures

        write_image(draft / "overview.png", figure_sheet(title_of(seen), writing()))
    return written


def _unnumbered(seen: Inspection) -> Iterator[tuple[str, list[Figure]]]:
    for number in range(len(seen.views)):
        yield _of_source(seen, number)
    yield "The body in the frame", _of_body(seen)
    yield "Where the surface lies in the photos", _of_flow(seen)
    yield "The geometric picture", _of_geometry(seen)
    if seen.network is not None:
        yield "The network", _of_network(seen, seen.network)
    yield "The frame", [_result(seen)]


def title_of(seen: Inspection) -> str:
    """What a sheet of all figures is called."""
    clip, drawn = seen.clip, "geometry alone" if seen.network is None else "a trained system"
    when = (
        f"Frame {seen.index} of {len(clip)}, at {seen.index / float(clip.fps):.2f} s" if len(clip) > 1 else "One view"
    )
    return f"{when}, drawn by {drawn}"


def _of_source(seen: Inspection, number: int) -> tuple[str, list[Figure]]:
    source, view, model = seen.clip.givers[number], seen.views[number], seen.clip.model
    side = view.resolution
    window = source.window(side)
    person, body = source.person, window.body(source.person.body)
    inside = window.inside(person.size)
    image = _within(window.cut(to_tensor(source.image), "border"), inside)
    mask = window.cut(person.mask[None], "border")[0] * inside
    fragments = rasterize(body.camera.project(model(body.pose, body.shape), (side, side)), model.faces, (side, side))
    naked = fragments.face_index[0] >= 0
    found = (person.landmarks[USED_LANDMARKS] - torch.tensor([window.left, window.top])) * window.zoom
    fitted = body.camera.pixels(fitter(model).landmarks(body))[0]
    sure = (person.visibility[USED_LANDMARKS] >= SEEN).tolist()
    joints = body.camera.pixels(model.joints(body.pose, body.shape))[0]
    height, width = person.size
    figures = [
        Figure("photo", "Photo", f"The square round the person, of {width} x {height} pixels in all.", image),
        Figure(
            "keypoints",
            "Keypoints",
            f"What the landmark network found, hollow where it is unsure, and the fitted body's: "
            f"{100 * person.landmark_error:.1f} % of the height apart.",
            draw_keypoints(image, found, sure, fitted),
            (("found", LEFT), ("fitted", RIGHT)),
        ),
        Figure(
            "body", "Fitted body", "Without clothes; left limbs warm, right limbs cool.", draw_body(image, body, model)
        ),
        Figure(
            "joints",
            "Joints",
            "The 22 joints of the fitted body.",
            draw_joints(image, joints),
            (("left", LEFT), ("right", RIGHT)),
        ),
        Figure("mask", "Mask", "The network's soft mask: white is the person.", draw_mask(mask)),
        Figure(
            "fit",
            "Body against mask",
            f"Clothes and hair are the mask's alone; overlap (IoU) {person.mask_iou:.2f}.",
            draw_overlap(mask > 0.5, naked),
            (("both", MIDDLE), ("mask alone", LEFT), ("body alone", RIGHT)),
        ),
        Figure("matte", "Alpha matte", "The mask brought to the photo's own edges.", draw_mask(view.alpha)),
        Figure(
            "cutout",
            "Cut out",
            "The person's own colours, by the matte.",
            draw_over_checks(view.image, view.alpha, max(4, side // 32)),
        ),
        Figure(
            "parts",
            "Body parts",
            "By which arms, legs and clothes are told apart.",
            draw_parts(fragments, model.parts),
            part_legend(),
        ),
        Figure(
            "faces",
            "Face index",
            f"Each of the {len(model.faces)} faces in a colour of its own.",
            draw_faces(fragments),
        ),
        Figure(
            "doubt",
            "Doubted colours",
            "Pixels that look like another limb than the one that the fit puts there.",
            draw_warning(image, 1 - seen.trust[number], view.alpha),
            (("not used", WARNING),),
        ),
    ]
    name, which = Path(source.name).name, f"photo {number + 1}"
    heading = which.capitalize() if name == which else f"{which.capitalize()}: {name}"
    focus = _focus(view.alpha)
    return heading, [replace(one, name=f"{which.replace(' ', '')}_{one.name}", focus=focus) for one in figures]


def _of_body(seen: Inspection) -> list[Figure]:
    model, body, fragments = seen.clip.model, seen.body, seen.fragments
    behind = to_image(seen.background)
    joints = body.camera.pixels(model.joints(body.pose, body.shape))[0]
    covered = fragments.face_index[0] >= 0
    tall = model.height(body.shape)[0] * float(body.camera.scale[0])
    depth = fragments.depth[0][covered] * (covered.shape[0] / 2) / body.camera.scale[0]
    deep = f" {100 * float(depth.amax() - depth.amin()):.0f} cm lie between them." if covered.any() else ""
    figures = [
        Figure("body", "Target body", "The fitted body in the frame's pose.", draw_body(behind, body, model)),
        Figure(
            "joints",
            "Joints",
            f"Standing, the body would be {tall:.0f} pixels tall.",
            draw_joints(behind, joints),
            (("left", LEFT), ("right", RIGHT)),
        ),
        Figure(
            "faces",
            "Face index",
            "With clothes and hair; colours are those of the faces in the photos.",
            draw_faces(fragments),
        ),
        Figure(
            "barycentric",
            "Barycentric",
            "The weights of a face's corners as red, green and blue.",
            draw_barycentric(fragments),
        ),
        Figure("depth", "Depth", f"The nearest is white, the farthest dark.{deep}", draw_depth(fragments)),
        Figure(
            "parts",
            "Body parts",
            "Left limbs warm, right limbs cool.",
            draw_parts(fragments, model.parts),
            part_legend(),
        ),
    ]
    figures = [replace(one, focus=_focus(covered)) for one in figures] + _close_ups(seen)
    figures = [replace(one, name=f"target_{one.name}") for one in figures]
    if not seen.clip.transparent:
        text = "The background without the person; feet may darken it."
        figures.append(Figure("plate", "Plate", text, behind))
    return figures


def _close_ups(seen: Inspection) -> list[Figure]:
    """The mesh of the head, where the frame shows it, so large that its faces can be told apart."""
    model, fragments = seen.clip.model, seen.fragments
    index = fragments.face_index[0]
    head = (index >= 0) & (model.parts[index.clamp(min=0).long()] == PARTS.index("head"))
    if not head.any():
        return []
    rows, columns = (torch.nonzero(head.any(dim))[:, 0] for dim in (1, 0))
    (top, bottom), (left, right) = ((int(places[0]), int(places[-1]) + 1) for places in (rows, columns))
    framing = frame_round((left, top, right, bottom), AIR, CLOSE)
    body = framing.body(seen.body)
    vertices = model(body.pose, body.shape, offsets=seen.clip.appearance.offsets.cpu())
    close = rasterize(body.camera.project(vertices, framing.shape), model.faces, framing.shape)
    text = f"The head, {framing.zoom:.1f} times as large"
    return [
        Figure("faces_close", "Faces, close", f"{text}.", draw_faces(close)),
        Figure(
            "barycentric_close", "Barycentric, close", f"{text}: a pure colour is a corner.", draw_barycentric(close)
        ),
    ]


def _of_flow(seen: Inspection) -> list[Figure]:
    covered = seen.fragments.face_index[0] >= 0
    assert seen.flow.visible is not None
    given = seen.flow.visible[0]
    reach = reach_of(seen.move, given)
    hidden = "hidden there" if seen.clip.appearance.faces is None else "hidden there, or another's"
    figures = []
    for number, (move, visible) in enumerate(zip(seen.move, seen.visible, strict=True)):
        share = int((visible & covered).sum()) / max(int(covered.sum()), 1)
        own = torch.zeros_like(seen.visible, dtype=torch.float32)
        own[number] = visible
        figures += [
            Figure(
                f"flow_photo{number + 1}",
                f"Flow from photo {number + 1}",
                "Which way and how far each point went from its place there; white stays.",
                draw_flow(move, given[number], reach),
                key=draw_wheel(reach),
            ),
            Figure(
                f"visible_photo{number + 1}",
                f"Visible in photo {number + 1}",
                f"Surface that it shows, by its depth: {100 * share:.0f} % of the person.",
                draw_shares(own, (covered & ~visible).float()),
                (_key(number), (hidden, UNKNOWN)),
            ),
        ]
    return [replace(one, focus=_focus(covered)) for one in figures]


def _of_geometry(seen: Inspection) -> list[Figure]:
    geometry, appearance = seen.geometry, seen.clip.appearance
    picture = _opaque(geometry.picture)
    alpha, count = geometry.alpha, len(geometry.shares)
    worked_out = float((geometry.filled * alpha).sum() / alpha.sum().clamp(min=1e-6))
    shares = [float((share * alpha).sum() / alpha.sum().clamp(min=1e-6)) for share in geometry.shares]
    told = ", ".join(f"{100 * share:.0f} % photo {number + 1}" for number, share in enumerate(shares))
    figures = [
        Figure(
            "sources",
            "Which photo",
            f"Where the colours come from: {told}, {100 * worked_out:.0f} % worked out.",
            draw_shares(geometry.shares * alpha, geometry.filled * alpha),
            (*map(_key, range(count)), ("worked out", UNKNOWN)),
        ),
        Figure(
            "filled",
            "Unseen and filled",
            "What no photo shows well: its colours are those of like places.",
            draw_warning(picture, geometry.filled, alpha),
            (("filled", WARNING),),
        ),
        Figure("alpha", "Its alpha", "The person's share of each pixel.", draw_mask(alpha)),
        Figure("picture", "Its picture", "Each photo moved by its flow, blended and filled.", picture),
    ]
    atlas = Figure(
        "atlas", "Atlas", "The whole surface unfolded: seen or worked out.", to_image(appearance.atlas[0].cpu())
    )
    return [
        replace(one, name=f"geometric_{one.name}", focus=None if one is atlas else _focus(alpha))
        for one in (*figures, atlas)
    ]


def _of_network(seen: Inspection, network: Network) -> list[Figure]:
    count, inside = len(seen.views), network.inside
    person = (seen.fragments.face_index[0] >= 0).float()
    figures = []
    for number, level in enumerate(network.attention):
        height, width = level.size
        figures.append(
            Figure(
                f"attention{number + 1}",
                f"Attention at 1/{level.reduction}",
                f"What AttLWB {number + 1} of {len(network.attention)} takes from each photo, at {width} x {height}.",
                draw_shares(level.weights, person * (1 - level.weights.sum(0))),
                (*map(_key, range(count)), ("none", UNKNOWN)),
            )
        )
    figures.append(
        Figure("colour", "Its colours", "What it draws, beside the person too.", _within(network.colour, inside))
    )
    if network.gate is not None:
        text = "White: the geometric picture's colour is kept. Black: the network's own."
        figures.append(Figure("gate", "Its gate", text, draw_mask(network.gate)))
    change = (_numbers(seen.result) - _numbers(seen.geometry.picture)).abs()
    most = float(change.amax())
    figures += [
        Figure("alpha", "Its alpha", "The person's share of each pixel, as it comes.", draw_mask(network.alpha)),
        Figure(
            "change",
            "What it changed",
            f"The difference from the geometric picture, {CHANGE} times as strong; at most {most:.0f} of 255.",
            (CHANGE * change).clamp(0, 255).to(torch.uint8).numpy(),
        ),
    ]
    focus = _focus(seen.geometry.alpha)
    return [replace(one, name=f"network_{one.name}", focus=focus) for one in figures]


def _result(seen: Inspection) -> Figure:
    return Figure("result", "Result", "The frame.", _opaque(seen.result), focus=_focus(seen.geometry.alpha))


def _opaque(picture: np.ndarray) -> np.ndarray:
    """uint8 `[H, W, 3]` as it is, and `[H, W, 4]` over grey squares."""
    if picture.shape[2] == 3:
        return picture
    alpha = torch.from_numpy(picture[..., 3]).float() / 255
    return draw_over_checks(to_tensor(picture[..., :3]), alpha, max(4, len(picture) // 32))


def _numbers(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(_opaque(picture)).float()


def _within(colour: Tensor, inside: Tensor) -> np.ndarray:
    """Colours `[3, H, W]` in [-1, 1] where `inside` `[H, W]`, paper elsewhere."""
    picture = to_image(colour)
    picture[~inside.numpy()] = PAPER
    return picture


def _key(number: int) -> tuple[str, Colour]:
    """The entry of a legend that stands for a photo."""
    red, green, blue = source_colours(number + 1)[number].int().tolist()
    return f"photo {number + 1}", (red, green, blue)


def _focus(somebody: Tensor) -> Focus | None:
    """Top, left, bottom and right round a person, `[H, W]`; None where nobody is."""
    rows, columns = (torch.nonzero((somebody > 0.1).any(dim))[:, 0] for dim in (1, 0))
    if not len(rows):
        return None
    side, air = somebody.shape, AIR * float(rows[-1] - rows[0] + 1)
    top, bottom = max(0, int(rows[0] - air)), min(side[0], int(rows[-1] + air) + 1)
    middle = float(columns[0] + columns[-1] + 1) / 2
    reach = max(float(columns[-1] - columns[0] + 1) / 2 + air, NARROW * (bottom - top) / 2)
    return top, max(0, int(middle - reach)), bottom, min(side[1], int(middle + reach) + 1)
