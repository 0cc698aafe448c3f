"""Judges: the networks that are there to compare pictures, and the numbers that they give, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models import weights
from warpkit.models.features.faces import FaceEmbedding
from warpkit.models.features.frozen import Embedding
from warpkit.models.features.lpips import Lpips
from warpkit.models.features.vgg import Vgg, unit_distance, unit_distance_map
from warpkit.models.metrics.image import psnr, ssim
from warpkit.models.metrics.regions import FACING, Faces, body_crop, inside, widened

PAPER = {"lpips": ("lpips-alex", "lpips-vgg"), "face": (), "image": ("inception-fid",), "body": ("osnet",)}
"""Networks by which numbers may carry the paper's names. (The face network of its results is not published.)"""

Vectors = dict[str, list[Tensor]]


@dataclass(frozen=True)
class Judges:
    """Networks that compare; None: what needs it is left out."""

    vgg: Vgg | None = None
    lpips: Lpips | None = None
    face: FaceEmbedding | None = None
    image: Embedding | None = None
    body: Embedding | None = None
    absent: dict[str, str] = field(default_factory=dict)
    """For each part that nobody plays, how a network for it is got."""

    @classmethod
    def find(cls, folder: Path | str | None = None, device: torch.device | str = "cpu") -> "Judges":
        """Every network that `weights.find` finds."""
        found = {role: weights.find(role, folder) for role in weights.ROLES}
        loaded = {role: weights.load(one, device) for role, one in found.items() if one is not None}
        absent = {role: weights.how_to_get(role) for role, one in found.items() if one is None}
        return cls(**loaded, absent=absent)  # type: ignore[arg-type]

    def networks(self) -> dict[str, str]:
        """Who plays each part, one line each; those that are absent say so."""
        there = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "absent"}
        lines = {role: net.about or net.network for role, net in there.items() if net is not None}
        return lines | {role: f"absent: {how}" for role, how in self.absent.items()}

    def label(self, metric: str) -> str:
        """A metric's name in tables: the paper's where its own network made it, else the network's with it."""
        plain = {"psnr": "PSNR ↑", "ssim": "SSIM ↑"}
        if metric in plain:
            return plain[metric]
        role, name, arrow = {
            "vgg": ("vgg", "VGG distance", "↓"),
            "lpips": ("lpips", "LPIPS", "↓"),
            "body_cs": ("body", "Body-CS", "↑"),
            "face_cs": ("face", "Face-CS", "↑"),
            "fid": ("image", "FID", "↓"),
            "body_fd": ("body", "Body-FD", "↓"),
            "face_fd": ("face", "Face-FD", "↓"),
        }[metric]
        network = getattr(self, role)
        if network is None or network.network in PAPER.get(role, ()):
            return f"{name} {arrow}"
        substitute = "Fréchet distance" if metric == "fid" else name
        return f"{substitute} ({network.network}) {arrow}"

    def distances(self, made: Tensor, truth: Tensor, alpha: Tensor) -> dict[str, Tensor]:
        """How far pictures are from the true ones: over the whole, and (`…/person`) in the widened mask.

        Args:
            made: `[B, 3, H, W]` in [-1, 1].
            truth: likewise.
            alpha: `[B, 1, H, W]` the person's share of each pixel of the truth.

        Returns:
            `[B]` each; NaN in the mask where that is empty.
        """
        return self.compared_with(truth, alpha)(made)

    @torch.no_grad()
    def compared_with(
        self, truth: Tensor, alpha: Tensor, boxes: Mapping[str, Tensor] | None = None
    ) -> Callable[[Tensor], dict[str, Tensor]]:
        """`distances` for several pictures of one truth, which is looked at once.

        Args:
            truth: `[B, 3, H, W]`.
            alpha: `[B, 1, H, W]`.
            boxes: `[B, 4]` NDC by name: further regions (`…/name`), the widened mask inside them; NaN: none.
        """
        size = (truth.shape[-2], truth.shape[-1])
        masks = {"person": widened(alpha)}
        masks |= {name: masks["person"] * inside(box, size) for name, box in (boxes or {}).items()}
        seen = None if self.vgg is None else self.vgg(_fast(truth))

        @torch.no_grad()
        def compare(made: Tensor) -> dict[str, Tensor]:
            result = {"psnr": psnr(made, truth), "ssim": ssim(made, truth)}
            maps = {}
            if self.vgg is not None and seen is not None:
                features = self.vgg(_fast(made))
                result["vgg"] = unit_distance(features, seen)
                maps["vgg"] = unit_distance_map(features, seen, size)
            if self.lpips is not None:
                result["lpips"] = self.lpips(made, truth)
                maps["lpips"] = self.lpips.map(made, truth)
            for region, mask in masks.items():
                own = {"psnr": psnr(made, truth, mask), "ssim": ssim(made, truth, mask)}
                own |= {name: _mean_inside(values, mask) for name, values in maps.items()}
                empty = mask.flatten(1).sum(1) == 0
                result |= {f"{name}/{region}": value.masked_fill(empty, torch.nan) for name, value in own.items()}
            return result

        return compare

    @torch.no_grad()
    def vectors(self, image: Tensor, vertices: Tensor, faces: Faces) -> dict[str, Tensor]:
        """What the networks say of pictures of people: for cosines and Fréchet distances.

        Args:
            image: `[B, 3, H, W]` in [-1, 1].
            vertices: `[B, V, 3]` NDC of the body in them.
            faces: of its model.

        Returns:
            "image", "body", "face" `[B, D]` where the network is there; "face" is NaN where the face is not seen.
        """
        result = {}
        if self.image is not None:
            result["image"] = self.image(image)
        if self.body is not None:
            result["body"] = self.body(body_crop(image, vertices, self.body.size))
        if self.face is not None:
            embedded = self.face(faces.chips(image, vertices, self.face))
            hidden = faces.facing(vertices, image.shape[-1] / image.shape[-2]) < FACING
            result["face"] = embedded.masked_fill(hidden[:, None], torch.nan)
        return result


def _fast(image: Tensor) -> Tensor:
    """In the layout that convolutions like best."""
    return image.contiguous(memory_format=torch.channels_last)


def _mean_inside(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).flatten(1).sum(1) / mask.flatten(1).sum(1)


def cosines(made: Tensor, real: Tensor) -> Tensor:
    """`[N]`: of each of `made` `[N, D]` with its own of `real` `[N, D]`, or on average with all of `[N, L, D]`.

    Real vectors that are NaN do not count; where none is left, or `made` is NaN, so is the result.
    """
    real = real[:, None] if real.ndim == 2 else real
    return F.cosine_similarity(made[:, None].double(), real.double(), dim=-1).nanmean(1)


def known(vectors: Tensor) -> Tensor:
    """Those of `[N, D]` that are not NaN."""
    return vectors[~vectors.isnan().any(1)]
