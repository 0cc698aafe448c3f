"""What flows between data, systems and training: pictures of people with their bodies, and what is drawn from those.

Data give `Pictures`; `Conditions` say what a system is shown of a body; `make_batch` draws it and composes the flow. A
system reads nothing else, so that it never asks which body model or data set the pictures came from.
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor

from warpkit import Flow, Fragments, interpolate, mesh_flow, rasterize
from warpkit.models.bodies import PARTS, BodyModel
from warpkit.models.geometric.mesh import t_pose, vertex_normals

MAX_SOURCES = 8
"""Pictures of one person, at most: what systems are made and tried for."""
Visibility = Literal["pixel", "face"] | None


class _Tensors:
    """A frozen dataclass of tensors, flows and None, which moves as one."""

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        moved = {field.name: _moved(getattr(self, field.name), device) for field in fields(self)}  # type: ignore[arg-type]
        return replace(self, **moved)  # type: ignore[type-var]


def _moved(value: object, device: torch.device) -> object:
    if isinstance(value, Flow):
        return Flow(*(_moved(part, device) for part in value))  # type: ignore[arg-type]
    if isinstance(value, _Tensors):
        return value.to(device)
    # to the CPU one waits: its side could be read before the copy is there
    return value.to(device, non_blocking=device.type != "cpu") if isinstance(value, Tensor) else value


@dataclass(frozen=True)
class Geometric(_Tensors):
    """A target drawn from its sources without a network; of N targets each tensor has N after B."""

    colour: Tensor
    """[B, 3, H, W] in [-1, 1]; where nothing was seen, beside the body too, what is seen around continued."""
    seen: Tensor
    """[B, 1, H, W] in [0, 1]: how much of the pixel's surface some source shows."""
    confidence: Tensor
    """[B, 1, H, W] in [0, 1]: 1 where a source looks at the surface straight on, less where it glances."""
    alpha: Tensor
    """[B, 1, H, W] in [0, 1]: the person's share of each pixel, as far as geometry knows it."""

    def __getitem__(self, index: Any) -> "Geometric":
        """Some people, some of their N pictures."""
        return Geometric(self.colour[index], self.seen[index], self.confidence[index], self.alpha[index])


@dataclass(frozen=True)
class Pictures(_Tensors):
    """N pictures of each of B people, cut to H x W, with the body that was recovered in each."""

    image: Tensor
    """[B, N, 3, H, W] in [-1, 1], with background."""
    alpha: Tensor
    """[B, N, 1, H, W] in [0, 1]: the person's share of each pixel, as recovered or known."""
    vertices: Tensor
    """[B, N, V, 3] float32 NDC of the body, depth in the unit of y: `Camera.project`."""
    valid: Tensor
    """[B, N] bool: false where a picture only fills up the batch."""
    plate: Tensor | None = None
    """[B, 3, H, W] the background alone, where it is known; the same for all N."""
    geometric: Geometric | None = None
    """[B, N, ...] of target pictures: what the geometric renderer draws of them from the sources."""

    def __getitem__(self, index: slice) -> "Pictures":
        """Some of the N pictures."""
        return replace(
            self,
            image=self.image[:, index],
            alpha=self.alpha[:, index],
            vertices=self.vertices[:, index],
            valid=self.valid[:, index],
            geometric=None if self.geometric is None else self.geometric[:, index],
        )

    @staticmethod
    def joined(people: "Sequence[Pictures]") -> "Pictures":
        """One batch of several that have the same fields."""

        def cat(parts: Sequence[Any], name: str) -> Any:
            values = [getattr(part, name) for part in parts]
            return None if values[0] is None else torch.cat(values)

        drawn = [one.geometric for one in people]
        names = ("colour", "seen", "confidence", "alpha")
        geometric = None if drawn[0] is None else Geometric(*(cat(drawn, name) for name in names))
        image, alpha, vertices, valid, plate = (
            cat(people, name) for name in ("image", "alpha", "vertices", "valid", "plate")
        )
        return Pictures(image, alpha, vertices, valid, plate, geometric)


class Condition(Protocol):
    """What a system is shown of a posed body: a map over the picture."""

    channels: int

    def __call__(self, fragments: Fragments, vertices: Tensor) -> Tensor:
        """Draws it.

        Args:
            fragments: of B bodies, `[B, H, W]`.
            vertices: `[B, V, 3]` NDC that the fragments were rasterized from.

        Returns:
            `[B, channels, H, W]`.
        """
        ...


class UvCondition:
    """The correspondence map C of Liquid Warping GAN: (u, v, 0) in [-1, 1] on the body, (0, 0, 1) beside it.

    Coordinates are those of the body model's atlas at each pixel. The public code paints each face in one colour, the
    mean of its first two corners' coordinates, with v up: `flat=True`.
    """

    channels = 3

    def __init__(self, model: BodyModel, *, flat: bool = False) -> None:
        if model.uv is None or model.uv_faces is None:
            raise ValueError(f"model: {model.name} has no texture coordinates; this condition is made of them")
        uv = model.uv * 2 - 1
        if flat:
            corners = uv[model.uv_faces.long()] * uv.new_tensor([1, -1])
            self.uv = corners[:, :2].mean(1).repeat_interleave(3, 0)
            self.faces = torch.arange(len(self.uv), dtype=torch.int32, device=uv.device).view(-1, 3)
        else:
            self.uv, self.faces = uv, model.uv_faces

    def __call__(self, fragments: Fragments, vertices: Tensor) -> Tensor:
        """`[B, 3, H, W]`."""
        if self.uv.device != vertices.device:  # once, not for every picture
            self.uv, self.faces = self.uv.to(vertices.device), self.faces.to(vertices.device)
        uv = interpolate(self.uv.to(vertices), self.faces, fragments)
        beside = (fragments.face_index < 0).to(uv)[..., None]
        return torch.cat([uv, beside], -1).movedim(-1, 1)


class SurfaceCondition:
    """What every body model can say of its surface: part (one-hot), place on the part, normal, and the mask.

    Places are those of the neutral body's T-pose, scaled to [-1, 1] over each part's box, so that they mean the same on
    meshes of any topology; normals are in the picture's axes: x right, y down, z away from the camera.
    """

    channels = len(PARTS) + 3 + 3 + 1

    def __init__(self, model: BodyModel) -> None:
        self.model_faces = model.faces
        self.parts = model.parts
        rest = t_pose(model, model.mean_shape[None])[0]
        corners = rest[model.faces.long()]  # [F, 3, 3]
        places = torch.zeros_like(corners)
        for part in range(len(PARTS)):
            of_part = corners[model.parts == part]
            low, high = of_part.flatten(0, 1).amin(0), of_part.flatten(0, 1).amax(0)
            places[model.parts == part] = (of_part - low) / (high - low) * 2 - 1
        self.places = places.flatten(0, 1)
        self.faces = torch.arange(len(self.places), dtype=torch.int32, device=rest.device).view(-1, 3)

    def __call__(self, fragments: Fragments, vertices: Tensor) -> Tensor:
        """`[B, channels, H, W]`."""
        if self.places.device != vertices.device:  # once, not for every picture
            for name in ("model_faces", "parts", "places", "faces"):
                setattr(self, name, getattr(self, name).to(vertices.device))
        height, width = fragments.face_index.shape[1:]
        mask = fragments.face_index >= 0
        part = self.parts[fragments.face_index.clamp(min=0).long()]
        parts = torch.nn.functional.one_hot(part, len(PARTS)) * mask[..., None]
        places = interpolate(self.places.to(vertices), self.faces, fragments)
        x, y, z = vertices.unbind(-1)
        square = torch.stack((x * (width / height), y, z), -1)
        # in x right, y down, z away, counter-clockwise from outside stays so: two axes are turned round
        normals = interpolate(vertex_normals(square, self.model_faces), self.model_faces, fragments)
        normals = torch.nn.functional.normalize(normals, dim=-1)
        return torch.cat([parts.to(places), places, normals, mask[..., None].to(places)], -1).movedim(-1, 1)


@dataclass(frozen=True)
class Batch(_Tensors):
    """What a system is given: S sources and one target of each of B people."""

    sources: Pictures
    """N = S."""
    source_condition: Tensor
    """[B, S, C, H, W]."""
    source_silhouette: Tensor
    """[B, S, 1, H, W] in {0, 1}: where the body lies."""
    target_vertices: Tensor
    """[B, V, 3] NDC."""
    target_condition: Tensor
    """[B, C, H, W]."""
    target_silhouette: Tensor
    """[B, 1, H, W] in {0, 1}."""
    flow: Flow
    """From the target to each source at H x W; its visible is None, or leaves out what a source does not show."""
    head_box: Tensor
    """[B, 4] (left, top, right, bottom) of the target's head, NDC."""
    body_box: Tensor
    """[B, 4] likewise of the whole body."""
    target_image: Tensor | None = None
    """[B, 3, H, W] the truth, in training."""
    target_alpha: Tensor | None = None
    """[B, 1, H, W] likewise."""
    plate: Tensor | None = None
    """[B, 3, H, W] the background alone, where it is known."""
    geometric: Geometric | None = None
    """[B, ...] the target as the geometric renderer draws it, where that was done."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.target_condition.shape[-2:]
        return height, width


def part_box(vertices: Tensor, model: BodyModel, parts: tuple[str, ...]) -> Tensor:
    """`[B, 4]` (left, top, right, bottom) of the named parts of bodies `[B, V, 3]`, in their coordinates."""
    known = _part_vertices.setdefault(model, {})
    key = (parts, vertices.device)
    if key not in known:
        numbers = torch.tensor([PARTS.index(part) for part in parts], device=model.parts.device)
        known[key] = model.faces[torch.isin(model.parts, numbers)].long().unique().to(vertices.device)
    points = vertices[:, known[key], :2]
    return torch.cat([points.amin(1), points.amax(1)], -1)


_part_vertices: weakref.WeakKeyDictionary[BodyModel, dict[tuple[tuple[str, ...], torch.device], Tensor]] = (
    weakref.WeakKeyDictionary()
)


@torch.no_grad()
def make_batch(
    sources: Pictures,
    target_vertices: Tensor,
    model: BodyModel,
    condition: Condition,
    *,
    target: Pictures | None = None,
    visibility: Visibility = None,
    face_mask: Tensor | None = None,
    geometric: Geometric | None = None,
) -> Batch:
    """Draws the conditions of sources and target, and composes the flow between them (Algorithm 1).

    Args:
        sources: N = S pictures of each of B people; vertices float32 or float64.
        target_vertices: `[B, V, 3]` NDC of the body as it is to be drawn, in the dtype of the sources' vertices.
        model: the body model of all vertices; on their device.
        condition: what is shown of bodies.
        target: N = 1: the truth, in training.
        visibility: which flow is kept: as `warpkit.mesh_flow`; None: all, as in the paper's public code.
        face_mask: `[B, S, F]` bool: the faces that each source may give, where they are different people; None: all.
        geometric: `[B, ...]` the target as the geometric renderer draws it; None: that of `target`, where it has one.

    Returns:
        At the sources' H x W, on their device; conditions, silhouettes, boxes and the flow's grid in the dtype of the
        vertices. The flow's visible is bool; None where nothing is left out: no visibility, no face_mask, and all
        sources valid. Nothing here is differentiable.

    Raises:
        TypeError, ValueError: vertices or face_mask of another shape or dtype, or an unknown visibility, by name.
    """
    if geometric is None and target is not None and target.geometric is not None:
        geometric = target.geometric[:, 0]
    batch, count = sources.image.shape[:2]
    size = (sources.image.shape[-2], sources.image.shape[-1])
    flow = _flow(sources, target_vertices, model, size, visibility, face_mask)
    flat = sources.vertices.flatten(0, 1)
    shown, silhouette = _drawn(torch.cat([flat, target_vertices]), model, condition, size)
    return Batch(
        sources=sources,
        source_condition=shown[: batch * count].unflatten(0, (batch, count)),
        source_silhouette=silhouette[: batch * count].unflatten(0, (batch, count)),
        target_vertices=target_vertices,
        target_condition=shown[batch * count :],
        target_silhouette=silhouette[batch * count :],
        flow=flow,
        head_box=part_box(target_vertices, model, ("head",)),
        body_box=part_box(target_vertices, model, PARTS),
        target_image=None if target is None else target.image[:, 0],
        target_alpha=None if target is None else target.alpha[:, 0],
        plate=sources.plate,
        geometric=geometric,
    )


@torch.no_grad()
def retarget(
    batch: Batch,
    target_vertices: Tensor,
    model: BodyModel,
    condition: Condition,
    *,
    size: tuple[int, int] | None = None,
    visibility: Visibility = None,
    face_mask: Tensor | None = None,
    geometric: Geometric | None = None,
) -> Batch:
    """The same sources with another target: what `make_batch` gives, without drawing the sources again.

    For the frames of a video, whose sources a system encodes once.

    Args:
        batch: what `make_batch` or `retarget` gave.
        target_vertices, model, condition, visibility, face_mask: as of `make_batch`.
        size: (height, width) of the target's picture, which need not be that of the sources; None: theirs.
        geometric: `[B, ...]` the target as the geometric renderer draws it; None: it was not drawn.

    Returns:
        As of `make_batch`, the target and the flow at `size`; there is no truth.

    Raises:
        TypeError, ValueError: as of `make_batch`, or a size below one.
    """
    size = size or (batch.sources.image.shape[-2], batch.sources.image.shape[-1])
    flow = _flow(batch.sources, target_vertices, model, size, visibility, face_mask)
    shown, silhouette = _drawn(target_vertices, model, condition, size)
    return replace(
        batch,
        target_vertices=target_vertices,
        target_condition=shown,
        target_silhouette=silhouette,
        flow=flow,
        head_box=part_box(target_vertices, model, ("head",)),
        body_box=part_box(target_vertices, model, PARTS),
        target_image=None,
        target_alpha=None,
        geometric=geometric,
    )


def _drawn(vertices: Tensor, model: BodyModel, condition: Condition, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Conditions `[N, C, H, W]` and silhouettes `[N, 1, H, W]` of bodies `[N, V, 3]`."""
    fragments = rasterize(vertices, model.faces, size)
    shown = condition(fragments, vertices)
    return shown, (fragments.face_index >= 0).to(shown)[:, None]


def _flow(
    sources: Pictures,
    target_vertices: Tensor,
    model: BodyModel,
    size: tuple[int, int],
    visibility: Visibility,
    face_mask: Tensor | None,
) -> Flow:
    """From the target to each source; its visible is None where everything of every source counts."""
    of_sources = (sources.image.shape[-2], sources.image.shape[-1])
    flow = mesh_flow(
        sources.vertices,
        target_vertices,
        model.faces,
        size,
        source_size=of_sources,
        visibility=visibility,
        face_mask=face_mask,
    )
    visible = None if visibility is None and face_mask is None else flow.visible
    if visible is None and sources.valid.all():
        return Flow(flow.grid)
    valid = sources.valid[:, :, None, None].expand(-1, -1, *size)
    visible = valid if visible is None else visible & valid
    return Flow(torch.where(valid[..., None], flow.grid, -2.0), visible)
