"""The background without the person: holes filled, and the frame extended, with patches of the picture itself.

Patch-based completion, coarse to fine: every patch that touches the hole looks for a like patch of the known picture,
and the patches found vote for the hole's colours (Wexler et al., "Space-Time Completion of Video", 2007; the search:
Barnes et al., "PatchMatch", 2009). Nothing is learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import scipy.ndimage as ndi
import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.geometric.matte import spread

PATCH = 7  # pixels, odd
COARSEST_DEPTH = 5.0  # the coarsest level is the first where no hole pixel is farther than this from a known one
SEARCHED = 250_000  # patches; levels with more take the coarser level's answer in finer detail
ROW_WEIGHT = 3.0  # of a move by the whole picture's height against a colour error of 1: backgrounds are layered
ROUNDS = (2, 3, 5, 8, 12)  # searches and votes, finest level first; the last is for all coarser ones
SHADE = 0.08  # a patch may be made this much lighter or darker, a channel, to go with its surroundings
SHADE_COST = 1.0  # of the squared change of shade against the squared colour error that it saves
EVEN = (0.02, 0.05)  # local contrast below which surroundings count as even, and above which as textured
RELAXATIONS = 12
SETTLED = 40_000  # patches; levels with more search near the coarser level's answer only
SPARSE = 8_000  # patches; of levels with more, those of every second row and column: a dozen lie over each pixel still
CHUNK = 1 << 15  # patches compared at once, so that they stay in cache
CONFIDENCE = 1.6  # a vote counts this much less for every pixel of distance from the known picture,
DEEP = 20.0  # down to this depth; deeper votes are all alike


def person_hole(alpha: Tensor, *, margin: float = 0.025, gap: float = 0.05) -> Tensor:
    """The hole that removing a person leaves: the mask, widened, and its narrow gaps closed.

    Between the legs, and between arm and body, little background is seen, and that is shaded and tinged by the person:
    kept, it would stand in the filled picture as a ghost.

    Args:
        alpha: [H, W] float32 in [0, 1], 1 = person; a soft mask does.
        margin: by how much the mask is widened, as a fraction of the person's height.
        gap: gaps narrower than twice this fraction of the person's height are closed.

    Returns:
        [H, W] bool, for `fill_background`; all False where there is no person.

    Raises:
        ValueError: if alpha is not [H, W].
    """
    if alpha.ndim != 2:
        raise ValueError(f"alpha must be [H, W], got {tuple(alpha.shape)}")
    rows = torch.nonzero((alpha > 0.5).any(1))
    if len(rows) == 0:
        return torch.zeros_like(alpha, dtype=torch.bool)
    tall = float(rows.max() - rows.min() + 1)
    person = F.pad(alpha.detach() > 0.1, (wide := int(2 * gap * tall) + 2,) * 4).numpy()
    reach = max(2.0, margin * tall)
    widened = ndi.distance_transform_edt(~person) <= reach + gap * tall
    closed = ndi.distance_transform_edt(widened) > gap * tall
    return torch.from_numpy(closed[wide:-wide, wide:-wide].copy())


def fill_background(image: Tensor, hole: Tensor, *, seed: int = 0) -> Tensor:
    """Fill a hole with what the rest of the picture suggests is behind it.

    Args:
        image: [3, H, W] float32, colours in [-1, 1]; what is in the hole is not looked at.
        hole: [H, W], bool, or float with values above 0.5 being the hole: the person's mask, widened so that no trace
            of the person (or of the shadow, if it is to go) stays outside.
        seed: of the random search; the same seed gives the same picture.

    Returns:
        [3, H, W] float32 in [-1, 1], exactly the image outside the hole. Not differentiable.

    Raises:
        ValueError: if shapes do not fit each other, or the known picture holds no whole patch to copy from.
    """
    height, width = image.shape[-2:]
    return extend_frame(image, (0, 0, width, height), hole=hole, seed=seed)


def extend_frame(
    image: Tensor, window: tuple[int, int, int, int], *, hole: Tensor | None = None, seed: int = 0
) -> Tensor:
    """Cut a window out of a picture that may reach beyond its borders, and fill what is not known there.

    Args:
        image: [3, H, W] float32, colours in [-1, 1].
        window: (x0, y0, x1, y1), whole pixels of the image, x1 and y1 excluded; any of it may lie outside.
        hole: [H, W], as for `fill_background`; None: everything in the picture is known.
        seed: of the random search; the same seed gives the same picture.

    Returns:
        [3, y1 - y0, x1 - x0] float32 in [-1, 1], exactly the image where that is known.

    Raises:
        ValueError: if shapes do not fit each other, the window is empty, or there is no whole patch to copy from.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"image must be [3, H, W], got {tuple(image.shape)}")
    height, width = image.shape[1:]
    if hole is not None and hole.shape != (height, width):
        raise ValueError(f"hole must be [H, W] = {(height, width)} like the image, got {tuple(hole.shape)}")
    x0, y0, x1, y1 = window
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f"window must be (x0, y0, x1, y1) with x0 < x1 and y0 < y1, got {window}")

    left, top, right, bottom = max(0, -x0), max(0, -y0), max(0, x1 - width), max(0, y1 - height)
    canvas = F.pad(image.detach().float(), (left, right, top, bottom))
    missing = torch.zeros(height, width, dtype=torch.bool) if hole is None else hole.detach() > 0.5
    usable = F.pad(~missing, (left, right, top, bottom))
    view = (slice(y0 + top, y1 + top), slice(x0 + left, x1 + left))
    wanted = torch.zeros_like(usable)
    wanted[view] = ~usable[view]
    if wanted.any():
        canvas = complete(canvas, wanted, usable, seed=seed)
    return canvas[:, view[0], view[1]].contiguous()


@dataclass
class _Level:
    """One level of the pyramid: pixels row by row, [H W, 4] (the fourth is 0, for alignment)."""

    size: tuple[int, int]
    pixels: Tensor
    wanted: Tensor  # [H, W] bool: to be filled
    usable: Tensor  # [H, W] bool: may be copied from


def complete(image: Tensor, wanted: Tensor, usable: Tensor, *, even: bool = True, seed: int = 0) -> Tensor:
    """Fill some pixels with patches of others; what is neither is looked at, but not copied.

    Args:
        image: [3, H, W] float32, colours in [-1, 1].
        wanted: [H, W] bool: to be filled; what they show is not looked at.
        usable: [H, W] bool: patches of these alone are copied.
        even: where all around has no texture, shades run evenly from border to border.
        seed: of the random search.

    Returns:
        [3, H, W] float32 in [-1, 1], exactly the image where it is not wanted.

    Raises:
        ValueError: if there is no whole patch to copy from.
    """
    if not usable.any():
        raise ValueError("the hole covers the whole picture: nothing is left to fill it from")
    random = torch.Generator().manual_seed(seed)
    levels = _pyramid(image, wanted, usable)
    matches: _Matches | None = None
    for depth in range(len(levels) - 1, -1, -1):
        level = levels[depth]
        finer = _Matches(level, ROW_WEIGHT)
        finer.start(matches)
        if matches is not None:
            finer.vote()
        if len(finer.target) * finer.stride**2 <= SEARCHED or matches is None:
            for _ in range(ROUNDS[min(depth, len(ROUNDS) - 1)]):
                finer.search(random)
                finer.vote()
        matches = finer
    height, width = wanted.shape
    filled = torch.where(wanted, levels[0].pixels[:, :3].T.reshape(3, height, width), image)
    if even:
        filled = _even(filled, wanted, usable)
    return torch.where(wanted, filled.clamp(-1, 1), image)


def _even(filled: Tensor, wanted: Tensor, usable: Tensor) -> Tensor:
    """Where the surroundings have no texture (a studio's backdrop), patches give the grain, a membrane the shades.

    Patches bring their own shade along, and on an even ground the eye sees a step of a hundredth.
    """
    known = usable[None].float()
    mean = _box(filled * known, 2) / _box(known, 2).clamp(min=1e-6)
    rough = (filled - mean).abs().amax(0, keepdim=True) * known
    rough = _box(F.max_pool2d(rough[None], 9, stride=1, padding=4)[0], 4)
    even = (EVEN[1] - spread(rough, usable.float())) / (EVEN[1] - EVEN[0])
    even = _box(even.clamp(0, 1), 8)
    if not (even * wanted).any():
        return filled
    inside = wanted[None].float()
    grain = filled - _box(filled * inside, 4) / _box(inside, 4).clamp(min=1e-6)
    return torch.lerp(filled, _membrane(filled, wanted) + grain, even)


def _box(x: Tensor, radius: int) -> Tensor:
    padded = F.pad(x[None], (radius,) * 4, mode="replicate")
    return F.avg_pool2d(padded, 2 * radius + 1, stride=1)[0]


def _membrane(image: Tensor, wanted: Tensor) -> Tensor:
    """The wanted pixels of [3, H, W] from all others as a rubber sheet lies: Laplace's equation, coarse to fine."""
    height, width = wanted.shape
    known = 1 - wanted[None].float()
    if known.all() or min(height, width) < 2:
        return image
    pooled = F.avg_pool2d(torch.cat([image * known, known])[None], 2, ceil_mode=True)[0]
    share = pooled[3]
    coarse = _membrane(pooled[:3] / share.clamp(min=1e-6), share == 0)
    start = F.interpolate(coarse[None], size=(height, width), mode="bilinear", align_corners=False)[0]
    sheet = torch.where(wanted, start, image)
    for _ in range(RELAXATIONS):
        wide = F.pad(sheet[None], (1, 1, 1, 1), mode="replicate")[0]
        around = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]
        sheet = torch.where(wanted, around / 4, image)
    return sheet


def _pyramid(image: Tensor, wanted: Tensor, usable: Tensor) -> list[_Level]:
    """Levels finest first; the hole is smoothly filled in all of them."""
    levels: list[_Level] = []
    while True:
        height, width = wanted.shape
        if not _whole(usable).any():
            if not levels:
                raise ValueError(
                    f"no {PATCH}x{PATCH} patch of the picture is known: nothing is left to fill the hole from"
                )
            return levels
        smooth = spread(image, usable.float())
        pixels = torch.zeros(height * width, 4)
        pixels[:, :3] = torch.where(wanted, smooth, image).reshape(3, -1).T
        levels.append(_Level((height, width), pixels, wanted, usable))
        depth = ndi.distance_transform_edt(wanted.numpy()).max()
        if depth <= COARSEST_DEPTH or min(height, width) < 4 * PATCH:
            return levels
        weight = usable[None].float()
        pooled = F.avg_pool2d(torch.cat([image * weight, weight, wanted[None].float()])[None], 2, ceil_mode=True)[0]
        image, wanted, usable = pooled[:3] / pooled[3].clamp(min=1e-6), pooled[4] >= 0.5, pooled[3] > 0.5
        usable &= ~wanted
        if not wanted.any():
            return levels


def _whole(usable: Tensor) -> Tensor:
    """[H, W] bool: the centres of patches that lie in the picture and are usable throughout."""
    if min(usable.shape) < PATCH:
        return torch.zeros_like(usable)
    inside = -F.max_pool2d(-usable[None].float(), PATCH, stride=1)[0] > 0.5
    return F.pad(inside, (PATCH // 2,) * 4)


def _centres(side: int, stride: int) -> Tensor:
    """[side] bool: every `stride`-th row of those on which patches' centres may lie, and the last of them."""
    half = PATCH // 2
    centres = torch.zeros(side, dtype=torch.bool)
    centres[half : side - half : stride] = True
    centres[max(side - half - 1, half) : side - half] = True
    return centres


class _Matches:
    """For every patch of a level that touches the hole: the known patch it is most like, and how far from it."""

    def __init__(self, level: _Level, row_weight: float) -> None:
        self.level = level
        self.height, self.width = level.size
        self.row_weight = row_weight * PATCH**2 / self.height**2
        half = PATCH // 2
        touched = F.max_pool2d(level.wanted[None].float(), PATCH, stride=1, padding=half)[0] > 0.5
        self.stride = 2 if touched.sum() > SPARSE else 1
        rows, columns = (_centres(side, self.stride) for side in level.size)
        self.whole = _whole(level.usable)
        chosen = touched & rows[:, None] & columns
        self.target = torch.nonzero(chosen.reshape(-1))[:, 0]  # [N] pixel numbers of the patches' centres
        self.number = torch.full((self.height * self.width,), -1, dtype=torch.int64)  # and back: which patch, or -1
        self.number[self.target] = torch.arange(len(self.target))
        steps = torch.arange(-half, half + 1)
        self.steps = (steps[:, None] * self.width + steps).reshape(-1)
        self.source = torch.empty(0, dtype=torch.int64)  # [N] pixel numbers of the matched centres
        self.error = torch.empty(0)  # [N]
        self.hole = torch.nonzero(level.wanted.reshape(-1))[:, 0]
        depth = torch.from_numpy(ndi.distance_transform_edt(level.wanted.numpy())).float().reshape(-1)
        self.trust = CONFIDENCE ** -depth[self.target].clamp(max=DEEP)

    def _measure(self) -> None:
        """The mean colour of the patch round every pixel, [H W, 4]."""
        picture = self.level.pixels.T.reshape(1, 4, self.height, self.width)
        means = F.avg_pool2d(picture, PATCH, stride=1, padding=PATCH // 2)
        self.means = means.reshape(4, -1).T.contiguous()

    def start(self, coarser: _Matches | None) -> None:
        """Begin with the coarser level's matches, or else with known patches of the same row."""
        row, column = self.target // self.width, self.target % self.width
        if coarser is None:
            # A row counts a tenth of a column, so that the nearest known patch is one beside rather than above.
            nearest = ndi.distance_transform_edt(
                ~self.whole.numpy(), sampling=(10, 1), return_distances=False, return_indices=True
            )
            self.source = torch.from_numpy(nearest[0] * self.width + nearest[1]).reshape(-1).long()[self.target]
        else:
            place = (row // 2).clamp(max=coarser.height - 1) * coarser.width + (column // 2).clamp(
                max=coarser.width - 1
            )
            number = coarser.nearest_number()[place]
            shift_row = coarser.source[number] // coarser.width - coarser.target[number] // coarser.width
            shift_column = coarser.source[number] % coarser.width - coarser.target[number] % coarser.width
            self.source = self._nearest_whole(row + 2 * shift_row, column + 2 * shift_column)
        self._measure()
        self.error = self._compare(self.target, self.source)

    def nearest_number(self) -> Tensor:
        """[H W]: the number of the nearest patch, for every pixel."""
        none = (self.number < 0).reshape(self.height, self.width).numpy()
        nearest = ndi.distance_transform_edt(none, return_distances=False, return_indices=True)
        return self.number[torch.from_numpy(nearest[0] * self.width + nearest[1]).reshape(-1).long()]

    def _nearest_whole(self, row: Tensor, column: Tensor) -> Tensor:
        place = row.clamp(0, self.height - 1) * self.width + column.clamp(0, self.width - 1)
        nearest = ndi.distance_transform_edt(~self.whole.numpy(), return_distances=False, return_indices=True)
        return torch.from_numpy(nearest[0] * self.width + nearest[1]).reshape(-1).long()[place]

    def _compare(self, target: Tensor, source: Tensor) -> Tensor:
        """[M]: squared colour differences of the patches round two lists of centres, and the cost of changing rows."""
        errors = []
        for a, b in zip(target.split(CHUNK), source.split(CHUNK), strict=True):
            rows = (a // self.width - b // self.width).float()
            error = self.row_weight * rows**2
            means = self.means[a] - self.means[b]
            shade = means.clamp(-SHADE, SHADE)
            error += PATCH**2 * (shade * ((1 + SHADE_COST) * shade - 2 * means)).sum(1)
            for step in self.steps:
                difference = self.level.pixels[a + step] - self.level.pixels[b + step]
                error += difference.square_().sum(1)
            errors.append(error)
        return torch.cat(errors)

    def _propose(self, which: Tensor, source: Tensor) -> None:
        """Take the proposed sources for the patches with these numbers where they are better."""
        new = source != self.source[which]
        which, source = which[new], source[new]
        if len(which) == 0:
            return
        error = self._compare(self.target[which], source)
        better = error < self.error[which]
        self.source[which[better]] = source[better]
        self.error[which[better]] = error[better]

    def search(self, random: torch.Generator) -> None:
        """One round: the neighbours' matches, then random ones, ever nearer to the present match."""
        self._measure()
        self.error = self._compare(self.target, self.source)
        whole = self.whole.reshape(-1)
        for jump in (4, self.stride):
            for dy, dx in ((0, -jump), (0, jump), (-jump, 0), (jump, 0)):
                column = self.target % self.width + dx
                neighbour = self.target + dy * self.width + dx
                fits = (neighbour >= 0) & (neighbour < len(self.number)) & (column >= 0) & (column < self.width)
                number = self.number[neighbour.clamp(0, len(self.number) - 1)]
                which = torch.nonzero(fits & (number >= 0))[:, 0]
                self._propose_shifted(which, self.source[number[which]], -dy, -dx, whole)
        everyone = torch.arange(len(self.target))
        reach = max(self.height, self.width) / 2 if len(everyone) < SETTLED else 3 * PATCH
        while reach >= 1:
            shift = (torch.rand(2, len(everyone), generator=random) * 2 - 1) * reach
            self._propose_shifted(
                everyone, self.source, (shift[0] * 0.5).round().long(), shift[1].round().long(), whole
            )
            reach /= 3

    def _propose_shifted(
        self, which: Tensor, source: Tensor, dy: Tensor | int, dx: Tensor | int, whole: Tensor
    ) -> None:
        row, column = source // self.width + dy, source % self.width + dx
        fits = (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
        place = (row * self.width + column).clamp(0, len(whole) - 1)
        fits &= whole[place]
        self._propose(which[fits], place[fits])

    def vote(self) -> None:
        """Give every hole pixel the mean of what the patches over it say, by likeness and nearness to the known."""
        scale = float(torch.quantile(self.error[:: max(1, len(self.error) // 4096)], 0.5)) + 1e-6
        shade = (self.means[self.target] - self.means[self.source]).clamp(-SHADE, SHADE) / (1 + SHADE_COST)
        weight = self.trust * torch.exp(-self.error / (8 * scale)) + 1e-8 * self.trust
        total = torch.zeros(len(self.hole), 1)
        colours = torch.zeros(len(self.hole), 4)
        column = self.hole % self.width
        for i, step in enumerate(self.steps):
            dx = i % PATCH - PATCH // 2
            centre = self.hole - step
            fits = (centre >= 0) & (centre < len(self.number)) & (column - dx >= 0) & (column - dx < self.width)
            number = self.number[centre.clamp(0, len(self.number) - 1)]
            which = torch.nonzero(fits & (number >= 0))[:, 0]
            number = number[which]
            share = weight[number][:, None]
            total.index_add_(0, which, share)
            colours.index_add_(0, which, share * (self.level.pixels[self.source[number] + step] + shade[number]))
        self.level.pixels[self.hole] = colours / total.clamp(min=1e-30)
