"""Numbers about a frame as pictures: faces, barycentrics, depth, parts, shares of sources, joints and keypoints.

All are uint8 `[H, W, 3]`, dark (`PAPER`) where there is nothing.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from warpkit import Fragments
from warpkit.models.bodies import JOINTS, PARENTS, PARTS
from warpkit.models.errors import needs_extra
from warpkit.models.media.draw import PAPER, part_colours

with needs_extra("person"):
    from PIL import Image, ImageDraw

SOURCES = (
    (245, 150, 40), (150, 90, 250), (60, 200, 120), (70, 190, 240),
    (240, 215, 70), (240, 110, 190), (220, 80, 70), (70, 110, 240),
)  # fmt: skip
"""A colour for each source picture; with more of them they begin again."""
UNKNOWN = (72, 72, 80)
"""What no source gives: darker than any mixture of theirs."""
WARNING = (255, 40, 160)
LEFT, RIGHT, MIDDLE = (250, 150, 60), (80, 160, 250), (225, 225, 230)
"""Limbs of either side of the body, and its trunk."""


def _bytes(colours: Tensor, somewhere: Tensor) -> np.ndarray:
    """Colours `[H, W, 3]` in [0, 255] where `somewhere` `[H, W]` (bool, or a share in [0, 1]); else paper."""
    paper = torch.tensor(PAPER, dtype=torch.float32, device=colours.device)
    picture = torch.lerp(paper.expand_as(colours), colours.float(), somewhere.float()[..., None])
    return picture.round().clamp(0, 255).to(torch.uint8).cpu().numpy()


def face_colours(face_index: Tensor) -> Tensor:
    """Colours `[..., 3]` int64 from 48 to 255 for ids of faces `[...]`: as if by chance, and always the same."""
    mixed = face_index.long() * 0x9E3779B1 & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 15) * 0x85EBCA6B & 0xFFFFFFFF
    mixed = mixed ^ mixed >> 13
    return torch.stack([(mixed >> shift & 255) * 207 // 255 + 48 for shift in (0, 8, 16)], -1)


def draw_faces(fragments: Fragments) -> np.ndarray:
    """Each face of `fragments` (B = 1) in a colour of its own, see `face_colours`."""
    index = fragments.face_index[0]
    return _bytes(face_colours(index), index >= 0)


def draw_barycentric(fragments: Fragments) -> np.ndarray:
    """The three weights of `fragments` (B = 1) as red, green and blue: a corner of a face is pure."""
    return _bytes(fragments.barycentric[0] * 255, fragments.face_index[0] >= 0)


def draw_depth(fragments: Fragments) -> np.ndarray:
    """The depth of `fragments` (B = 1), from its nearest (white) to its farthest (dark grey)."""
    covered = fragments.face_index[0] >= 0
    depth = torch.where(covered, fragments.depth[0], 0)
    if covered.any():
        near, far = depth[covered].amin(), depth[covered].amax()
        depth = (depth - near) / (far - near).clamp(min=1e-9)
    return _bytes((255 - 195 * depth)[..., None].expand(-1, -1, 3), covered)


def draw_parts(fragments: Fragments, parts: Tensor) -> np.ndarray:
    """The parts of the body that `fragments` (B = 1) show, with lines between; `parts` `[F]` into PARTS."""
    index = fragments.face_index[0]
    part = torch.where(index >= 0, parts[index.clamp(min=0).long()], -1)
    line = torch.zeros_like(index, dtype=torch.bool)
    line[1:] |= part[1:] != part[:-1]
    line[:, 1:] |= part[:, 1:] != part[:, :-1]
    colours = part_colours().to(part.device)[part.clamp(min=0)] * 255
    return _bytes(colours, (index >= 0) & ~line)


def part_legend() -> tuple[tuple[str, tuple[int, int, int]], ...]:
    """The colours of `draw_parts` by the names of parts, those of one colour together."""
    named: dict[tuple[int, int, int], list[str]] = {}
    for name, colour in zip(PARTS, (part_colours() * 255).round().int().tolist(), strict=True):
        named.setdefault((colour[0], colour[1], colour[2]), []).append(name.replace("_", " "))
    return tuple((", ".join(names), colour) for colour, names in named.items())


def source_colours(count: int) -> Tensor:
    """[count, 3] in [0, 255]: what stands for each source picture."""
    return torch.tensor([SOURCES[number % len(SOURCES)] for number in range(count)], dtype=torch.float32)


def draw_shares(shares: Tensor, rest: Tensor) -> np.ndarray:
    """How much of each pixel comes from each source, as a mixture of the sources' colours.

    Args:
        shares: `[N, H, W]` in [0, 1] of N sources.
        rest: `[H, W]` in [0, 1]: the share that comes from none of them, drawn grey. What is missing from one in all
            is nobody's.
    """
    colours = torch.cat([source_colours(len(shares)), torch.tensor([UNKNOWN]).float()]).to(shares)
    every = torch.cat([shares, rest[None].to(shares)]).clamp(0, 1)
    total = every.sum(0)
    mixed = torch.einsum("nhw,nc->hwc", every, colours) / total.clamp(min=1e-6)[..., None]
    return _bytes(mixed, total.clamp(max=1))


def draw_mask(mask: Tensor) -> np.ndarray:
    """A mask `[H, W]` in [0, 1] as grey: black is 0, white is 1."""
    return np.repeat((mask.float() * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()[..., None], 3, -1)


def draw_overlap(one: Tensor, other: Tensor) -> np.ndarray:
    """Where two masks `[H, W]` bool agree (light), only the first is (orange) and only the second (blue)."""
    both, first, second = (torch.tensor(colour).float() for colour in (MIDDLE, LEFT, RIGHT))
    chosen = torch.where(one[..., None], first.to(one.device), second.to(one.device))
    return _bytes(torch.where((one & other)[..., None], both.to(one.device), chosen), one | other)


def draw_over_checks(colour: Tensor, alpha: Tensor, check: int = 16) -> np.ndarray:
    """Colours `[3, H, W]` in [-1, 1] with alpha `[H, W]` over a pattern of grey squares."""
    rows, columns = (torch.arange(side, device=alpha.device) // check for side in alpha.shape)
    behind = torch.where(((rows[:, None] + columns) % 2).bool()[..., None], 200.0, 150.0)
    front = (colour.permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5
    return torch.lerp(behind.expand_as(front), front, alpha[..., None]).round().to(torch.uint8).cpu().numpy()


def draw_warning(picture: np.ndarray, share: Tensor, alpha: Tensor) -> np.ndarray:
    """A picture in grey, magenta where `share` `[H, W]` in [0, 1] is high; dark where nobody is (`alpha` `[H, W]`)."""
    grey = torch.from_numpy(picture).float().mean(-1, keepdim=True).expand(-1, -1, 3).to(share)
    colours = torch.lerp(0.3 * 255 + 0.5 * grey, torch.tensor(WARNING).to(share), 0.75 * share.clamp(0, 1)[..., None])
    return _bytes(colours, alpha)


def _of_side(name: str) -> tuple[int, int, int]:
    return LEFT if name.startswith("left") else RIGHT if name.startswith("right") else MIDDLE


def draw_joints(image: np.ndarray, joints: Tensor) -> np.ndarray:
    """The skeleton of joints `[22, 2]` (pixels, in the order of JOINTS) over a darkened picture; left is orange."""
    canvas, draw, unit = _canvas(image)
    places = [(2 * x, 2 * y) for x, y in joints.tolist()]
    for number, parent in enumerate(PARENTS):
        if parent >= 0:
            draw.line((*places[parent], *places[number]), fill=_of_side(JOINTS[number]), width=round(2 * unit))
    for name, (x, y) in zip(JOINTS, places, strict=True):
        radius = 2 * unit
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_of_side(name), outline=PAPER)
    return np.asarray(canvas.resize((image.shape[1], image.shape[0]), Image.Resampling.BOX))


def draw_keypoints(image: np.ndarray, found: Tensor, sure: Sequence[bool], fitted: Tensor) -> np.ndarray:
    """Keypoints found in a picture, and those of a body fitted to them, over the darkened picture.

    Args:
        image: uint8 `[H, W, 3]`.
        found: `[K, 2]` pixels: orange dots.
        sure: for each of them whether it was seen: hollow where not.
        fitted: `[K, 2]` pixels: blue crosses, with a line to what was found.
    """
    canvas, draw, unit = _canvas(image)
    for (x, y), (u, v), seen in zip((2 * found).tolist(), (2 * fitted).tolist(), sure, strict=True):
        draw.line((x, y, u, v), fill=MIDDLE, width=max(1, round(0.8 * unit)))
        radius = 2.8 * unit
        dot = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(dot, fill=LEFT if seen else None, outline=LEFT, width=max(1, round(0.8 * unit)))
        reach, width = 3.6 * unit, max(1, round(1.2 * unit))
        draw.line((u - reach, v, u + reach, v), fill=RIGHT, width=width)
        draw.line((u, v - reach, u, v + reach), fill=RIGHT, width=width)
    return np.asarray(canvas.resize((image.shape[1], image.shape[0]), Image.Resampling.BOX))


def _canvas(image: np.ndarray) -> tuple["Image.Image", "ImageDraw.ImageDraw", float]:
    """A darkened picture, twice as large, to draw on, and how thick lines are on it."""
    dark = Image.fromarray((image * 0.55).astype(np.uint8))
    canvas = dark.resize((2 * dark.width, 2 * dark.height), Image.Resampling.BILINEAR)
    return canvas, ImageDraw.Draw(canvas), max(1.0, min(image.shape[:2]) / 160)
