"""Samples for training and evaluation: a made-up person in several sources and one target, with exact truth beside."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from warpkit.models.batch import Pictures
from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.data.people.backgrounds import cut_from, made_up
from warpkit.models.data.people.baked import bake_people
from warpkit.models.data.people.cut import thickness
from warpkit.models.data.people.faults import body_errors, mask_errors, picture_errors, recovered
from warpkit.models.data.people.layers import LAYERS, Figure
from warpkit.models.data.people.photos import Photos
from warpkit.models.data.people.poses import motion_frames, poses_of
from warpkit.models.data.people.render import Light, Rendered, draw
from warpkit.models.data.people.wardrobe import Outfits, people, photographic
from warpkit.models.errors import InputError, needs_extra
from warpkit.models.media.tensors import to_tensor
from warpkit.models.progress import SILENT, Progress

Split = Literal["train", "test"]
IDENTITIES = {"train": range(0, 1_000_000), "test": range(1_000_000, 1_001_000)}
"""Identity numbers of each split: no person of one is ever drawn in the other."""


@dataclass(frozen=True)
class Truth:
    """What is exactly known of B samples: sources first, then the target, `[B, S + 1, ...]`."""

    identity: Tensor
    """[B] int64."""
    kinds: tuple[str, ...]
    """B of "painted" and "photographic": what their skins and clothes are."""
    alpha: Tensor
    """[B, S + 1, 1, H, W] the person's share of each pixel."""
    image: Tensor
    """[B, S + 1, 3, H, W] without the faults of cameras."""
    vertices: Tensor
    """[B, S + 1, V, 3] NDC of the naked body, as it is."""
    landmark_error: Tensor
    """[B, S + 1] how far the given body's keypoints lie from the true ones in the picture, mean, in shares of the
    person's height."""
    rendered: Rendered
    """B * (S + 1) pictures: what each sub-pixel shows, and all layers' vertices."""


@dataclass(frozen=True)
class Drawn:
    """One batch."""

    sources: Pictures
    target: Pictures
    truth: Truth


class RenderedPeople:
    """People rendered as they are asked for; the same for the same (seed, step), on every device up to rounding.

    Args:
        model: the body model whose vertices are given; on the CPU.
        size: height and width of the pictures, a multiple of 16.
        split: "test" has its own identities and motions, which "train" never shows.
        seed: another seed draws other samples of the same people.
        device: where pictures are drawn.
        scale: pixels that the picture of the whole person would have; more than `size` gives crops. Two: the least and
            the most, drawn person by person. None: `size`.
        head_share: the share of samples that are cut round the head, at 512 to 1024 pixels for the whole person.
        pose_gap: how far the sources' poses and views lie from the target's, in [0, 1]; or a function of the step.
        supersample: sub-pixels along a side of each pixel.
        faults: false gives perfect sources, masks and bodies.
        flat_light: true leaves light and shade out.
        backgrounds: a folder of pictures to stand in front of; None: made-up places.
        baked: a folder that keeps photographic people (made there the first time, minutes; extra [demo]); None: none.
        baked_share: the share of samples that show them, where there is a folder.
        progress: told how far making them is.
        motions: a folder of motion files to take poses from, beside the library's.
    """

    def __init__(
        self,
        model: BodyModel,
        size: int,
        split: Split = "train",
        seed: int = 0,
        device: torch.device | str = "cpu",
        *,
        scale: int | Sequence[int] | None = None,
        head_share: float = 0.0,
        pose_gap: float | Callable[[int], float] = 1.0,
        supersample: int = 2,
        faults: bool = True,
        flat_light: bool = False,
        backgrounds: Path | None = None,
        motions: Path | None = None,
        baked: Path | None = None,
        baked_share: float = 0.5,
        progress: Progress = SILENT,
    ) -> None:
        if split not in IDENTITIES:
            raise ValueError(f"split must be one of {', '.join(IDENTITIES)}, not {split!r}")
        if size < 16 or size % 16:
            raise ValueError(f"size must be a multiple of 16, not {size}")
        if not 0 <= head_share <= 1:
            raise ValueError(f"head_share must lie in [0, 1], not {head_share}")
        self.model = model
        self.size, self.scales = size, _scales(size, scale)
        self.split, self.seed, self.device = split, seed, torch.device(device)
        self.head_share, self.pose_gap = head_share, pose_gap
        self.supersample, self.faults, self.flat_light = supersample, faults, flat_light
        self.figure = Figure(model, self.device)
        self.frames = motion_frames(split, motions)
        self.plates = [] if backgrounds is None else _pictures(Path(backgrounds))
        self.places_share = 1.0 if self.plates else 0.0
        self.photos, self.baked_share = None, baked_share
        if baked is not None:
            if model.uv is None:
                raise InputError(
                    f"photographic people need a body with texture coordinates, which {model.name} has not"
                )
            outfits = bake_people(model, split, baked, progress)
            self.photos = Photos(outfits, model, self.figure, self.device)
            if not self.plates:
                self.plates = [one.plate / 127.5 - 1 for one in outfits if one.plate is not None]
                self.places_share = 0.35 if self.plates else 0.0

    def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
        """Sources (N = `sources`) and target (N = 1) of `batch` people."""
        drawn = self.draw_with_truth(step, batch, sources)
        return drawn.sources, drawn.target

    @torch.no_grad()
    def draw_with_truth(self, step: int, batch: int, sources: int) -> Drawn:
        """The same, and what is exactly known of it."""
        dice = seeded(self.seed, self.split, step)
        gap = self.gap(step)
        numbers, count = IDENTITIES[self.split], sources + 1
        identity = [numbers[int(torch.randint(len(numbers), (1,), generator=dice))] for _ in range(batch)]
        of_head = (torch.rand(batch, generator=dice) < self.head_share).tolist()
        pose = torch.cat([poses_of(self.frames, count, gap, dice, faces=near).roll(-1, 0) for near in of_head])
        outfit = self.outfits(identity, dice)
        row = torch.arange(batch).repeat_interleave(count)
        shape = outfit.shape[row]
        naked = self.model(pose, shape)
        body = naked
        if self.photos is not None:
            body = self.model(pose, shape, offsets=self.photos.offsets_of(outfit.baked)[row])
        stature = self.model.height(outfit.shape)[row]
        camera = self._cameras(body, stature, self.heads(pose, shape), of_head, count, dice)
        tall = camera.scale * stature

        here = row.to(self.device)
        on_device = outfit.to(self.device)
        worn = {layer: thickness(layer, self.figure, on_device) for layer in LAYERS[1:]}
        given, error = Body(pose, shape, camera), torch.zeros(batch * count)
        if self.faults:
            errors = [body_errors(count, self.model.num_shape, dice) for _ in range(batch)]
            turns, shapes, places, scales = (torch.cat(parts) for parts in zip(*errors, strict=True))
            fuller = self.figure.filled({layer: metres.cpu() for layer, metres in worn.items()})
            given, error = recovered(self.model, given, turns, (fuller + shapes)[row], places, scales)
        light = self.light(batch, count, dice)
        frame = (self.size, self.size)
        made = draw(
            self.figure,
            on_device[here],
            {layer: metres[here] for layer, metres in worn.items()},
            body.to(self.device),
            camera.to(self.device),
            light,
            frame,
            self.supersample,
            self.photos,
        )
        plate = torch.stack([self.background(self.size, dice) for _ in range(batch)])
        image = made.colour + (1 - made.alpha) * plate[here]
        alpha, seen = made.alpha, image
        if self.faults:
            alpha = mask_errors(made.alpha, tall.to(self.device), dice)
            first = (torch.arange(batch * count) % count == 0).to(self.device)
            seen = picture_errors(image, first, dice)

        def people_first(values: Tensor) -> Tensor:
            return values.unflatten(0, (batch, count))

        vertices = given.camera.project(self.model(given.pose, given.shape), frame)
        noisy = people_first(vertices.to(self.device))
        exact = people_first(made.alpha), people_first(image)
        valid = torch.ones(batch, count, dtype=torch.bool, device=self.device)
        return Drawn(
            Pictures(people_first(seen), people_first(alpha), noisy, valid, plate)[:sources],
            Pictures(exact[1][:, -1:], exact[0][:, -1:], noisy[:, -1:], valid[:, -1:], plate),
            Truth(
                torch.tensor(identity),
                kinds_of(outfit),
                *exact,
                people_first(camera.project(naked, frame).to(self.device)),
                people_first(error),
                made,
            ),
        )

    def scale(self, number: float) -> int:
        """Pixels that the picture of a whole person has; `number` in [0, 1] tells which of those asked for."""
        low, high = self.scales
        return low if low == high else 16 * round(low * (high / low) ** number / 16)

    def gap(self, step: int) -> float:
        """How far poses lie apart at a step."""
        return self.pose_gap(step) if callable(self.pose_gap) else self.pose_gap

    def outfits(self, identities: list[int], dice: torch.Generator) -> Outfits:
        """What people look like; some have photographic skins: of one outfit, or head, top and legs of three."""
        outfit = people(self.model, identities)
        if self.photos is None:
            return outfit
        batch = len(outfit.identity)
        textures = torch.randint(len(self.photos), (batch, 3), generator=dice)
        numbers = torch.rand(batch, 2, generator=dice)
        textures = torch.where(numbers[:, :1] < 0.35, textures[:, 1:2], textures)
        textures = torch.where(numbers[:, 1:] < self.baked_share, textures, -1)
        shapes = self.photos.shapes[textures[:, 1].clamp(min=0)]
        return photographic(outfit, textures, shapes + 0.4 * (outfit.shape - self.model.mean_shape.cpu()))

    def heads(self, pose: Tensor, shape: Tensor) -> Tensor:
        """`[P, 3]` the middle of each face."""
        points = self.model.keypoints(pose, shape)[:, :5]
        return points.mean(1)

    def _cameras(
        self, body: Tensor, stature: Tensor, head: Tensor, of_head: list[bool], count: int, dice: torch.Generator
    ) -> Camera:
        low, high = body[..., :2].amin(1), body[..., :2].amax(1)
        scales, offsets = [], []
        for person, near in enumerate(of_head):
            rows = slice(person * count, (person + 1) * count)
            numbers = torch.rand(5, generator=dice).tolist()
            share = 0.78 + 0.15 * numbers[0]
            jitter = torch.rand(count, 3, generator=dice) * 2 - 1
            whole = 512 * 2 ** numbers[2] if near else float(self.scale(numbers[4]))
            scale = share * whole / stature[rows] * torch.exp(0.04 * jitter[:, 0])
            if near or whole > self.size:
                vertex = int(numbers[3] * body.shape[1])
                middle = head[rows] if near else body[rows, vertex]
                middle = middle[:, :2]
                reach = 0.06 if near else 0.15
            else:
                extent = (high - low)[rows].amax(1)
                scale = torch.minimum(scale, 0.93 * self.size / extent)
                middle = (low + high)[rows] / 2
                reach = 0.03
            jitter = jitter[:, 1:] * reach * self.size
            flip = scale.new_tensor([1.0, -1.0])
            scales.append(scale)
            offsets.append(self.size / 2 + jitter - middle * flip * scale[:, None])
        return Camera(torch.cat(scales), torch.cat(offsets))

    def light(self, batch: int, count: int, dice: torch.Generator) -> Light:
        """One light a person: the camera stands still, the person moves in it."""
        if self.flat_light:
            return Light.flat(batch * count, self.device)
        numbers = torch.rand(batch, 4, generator=dice)
        tint = 0.05 * torch.randn(batch, 3, 3, generator=dice)
        turn, rise = (numbers[:, 0] - 0.5) * 1.3 * math.pi, (0.1 + 0.75 * numbers[:, 1]) * math.pi / 2
        direction = torch.stack([turn.sin() * rise.cos(), rise.sin(), turn.cos() * rise.cos()], -1)
        hard = 0.2 + 0.6 * numbers[:, 2:3]
        total = 0.95 + 0.25 * numbers[:, 3:4]
        lamp = total * hard * (1 + tint[:, 0])
        sky = total * (1.05 - 0.75 * hard) * (1 + tint[:, 1])
        ground = sky * (0.55 + tint[:, 2])
        row = torch.arange(batch).repeat_interleave(count)
        return Light(*(part[row].to(self.device) for part in (direction, lamp, sky, ground)))

    def background(self, size: int, dice: torch.Generator) -> Tensor:
        """`[3, size, size]` a place to stand in."""
        if float(torch.rand(1, generator=dice)) < self.places_share:
            chosen = self.plates[int(torch.randint(len(self.plates), (1,), generator=dice))]
            return cut_from(chosen, size, dice).to(self.device)
        return made_up(size, dice, self.device)


def kinds_of(outfit: Outfits) -> tuple[str, ...]:
    """What the skin and clothes of each of B people are: "photographic" or "painted"."""
    return tuple("photographic" if texture >= 0 else "painted" for texture in outfit.baked[:, 0].tolist())


def kind_of(outfit: Outfits) -> str:
    """Likewise, of the first person."""
    return kinds_of(outfit)[0]


def seeded(*parts: object) -> torch.Generator:
    """Chance that is the same for the same parts, everywhere."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def _pictures(folder: Path) -> list[Tensor]:
    with needs_extra("person"):
        from warpkit.models.media.images import read_image
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not paths:
        raise InputError(f"{folder} holds no pictures (.jpg, .png, .webp) to stand in front of")
    return [to_tensor(read_image(path)) for path in paths]


def _scales(size: int, scale: int | Sequence[int] | None) -> tuple[int, int]:
    """The least and the most."""
    low, high = [size if scale is None else scale] * 2 if scale is None or isinstance(scale, int) else scale
    if not size <= low <= high or low % 16 or high % 16:
        raise ValueError(f"scale must be a multiple of 16 from size={size} on, or two, the smaller first; got {scale}")
    return low, high
