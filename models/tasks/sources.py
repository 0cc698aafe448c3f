"""From photos of one person to their appearance: found, fitted, cut out and gathered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel
from warpkit.models.errors import InputError
from warpkit.models.geometric.appearance import Appearance, gather_appearance
from warpkit.models.geometric.background import fill_background
from warpkit.models.geometric.matte import estimate_foreground, refine_alpha
from warpkit.models.geometric.view import View
from warpkit.models.media.images import read_image
from warpkit.models.progress import SILENT, Progress
from warpkit.models.recovery import Person, recover
from warpkit.models.tasks.framing import Framing, frame_round

MAX_SOURCES = 8


def to_tensor(image: np.ndarray) -> Tensor:
    """uint8 `[H, W, 3]` to float32 `[3, H, W]` in [-1, 1]."""
    return torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1


def to_image(picture: Tensor) -> np.ndarray:
    """float `[3, H, W]` in [-1, 1] to uint8 `[H, W, 3]`."""
    scaled = picture.add(1).mul_(127.5).add_(0.5).clamp_(0, 255).to(torch.uint8)
    return scaled.permute(1, 2, 0).contiguous().cpu().numpy()


@dataclass(frozen=True)
class Source:
    """One photo and the person in it."""

    name: str
    image: np.ndarray
    person: Person

    def view(self, resolution: int) -> View:
        """The person cut out in a square of `resolution` pixels, with their own colours only."""
        framing = frame_round(self.person.box, 0.15, resolution)
        picture = framing.cut(to_tensor(self.image), "border")
        soft = framing.cut(self.person.mask[None], "border")[0] * framing.inside(self.person.size)
        alpha = refine_alpha(picture, soft)
        colours = estimate_foreground(picture, alpha)
        return View(colours, alpha, framing.body(self.person.body), detail=min(1.0, framing.side / resolution))

    def plate(self, framing: Framing) -> Tensor:
        """[3, size, size] what the photo shows in `framing` with the person gone and its borders continued."""
        picture = framing.cut(to_tensor(self.image))
        inside = framing.inside(self.person.size)
        mask = framing.cut(self.person.mask[None], "border")[0]
        person = (mask > 0.1).float() * inside
        reach = 2 * (max(3, round(0.02 * framing.size)) // 2) + 1
        grown = torch.nn.functional.max_pool2d(person[None, None], reach, stride=1, padding=reach // 2)[0, 0]
        return fill_background(picture, (grown > 0.5) | ~inside)


def read_sources(
    photos: Sequence[str | Path | np.ndarray],
    model: BodyModel,
    *,
    person: int | None = None,
    progress: Progress = SILENT,
) -> list[Source]:
    """Reads `photos` (files or uint8 `[H, W, 3]` arrays) of one person and fits their body in each.

    Raises InputError where a photo cannot be used, there are none or too many, or their people are not built alike.
    """
    if not 1 <= len(photos) <= MAX_SOURCES:
        raise InputError(f"1 to {MAX_SOURCES} photos of one person are needed, {len(photos)} came")
    progress.stage("Fitting the body in each photo", len(photos))
    sources = []
    for number, photo in enumerate(photos, 1):
        image, name = (photo, f"photo {number}") if isinstance(photo, np.ndarray) else (read_image(photo), str(photo))
        try:
            sources.append(Source(name, image, recover(image, model, person=person)))
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        progress.advance()
    return sources


def gather(sources: list[Source], model: BodyModel, resolution: int, progress: Progress = SILENT) -> Appearance:
    """The appearance of the person in `sources`, from views of `resolution` pixels a side."""
    progress.stage("Gathering the person's appearance", len(sources) + 1)
    views = []
    for source in sources:
        views.append(source.view(resolution))
        progress.advance()
    appearance = gather_appearance(views, model)
    progress.advance()
    return appearance


def standing_body(source: Source, appearance: Appearance) -> Body:
    """The body of `source` with the shape gathered from all pictures."""
    body = source.person.body
    return Body(body.pose, appearance.shape, body.camera)
