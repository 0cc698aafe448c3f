"""Photographic people: openpeople's pictures P001-P007 laid on the body's surface, once, and kept in a folder.

P008-P010 are never read here: results are shown on them. Needs the extra [demo].
"""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import BodyModel
from warpkit.models.data.photo_like import SHEET_VIEWS, outdoor_file, sheet_file
from warpkit.models.errors import InputError
from warpkit.models.geometric.appearance import gather_appearance
from warpkit.models.geometric.background import fill_background, person_hole
from warpkit.models.geometric.cut_out import cut_out, window_round
from warpkit.models.geometric.framing import Framing
from warpkit.models.geometric.matte import refine_alpha
from warpkit.models.media.output import whole
from warpkit.models.media.tensors import to_tensor
from warpkit.models.progress import SILENT, Progress
from warpkit.models.recovery import recover

PEOPLE = {
    "train": ("P001", "P002", "P003", "P004", "P005", "P006"),
    "test": ("P007",),
}
"""Whose pictures each split shows."""
RESOLUTION = 900
"""Pixels of the squares that photos are cut to."""
PLATE = 640
"""Pixels of a background's sides."""
FORMAT = 1
"""Part of the cache's keys: a change of what is baked changes it."""


@dataclass(frozen=True)
class Baked:
    """One person in one outfit."""

    name: str
    atlas: Tensor
    """[3, T, T] uint8 colours on the body model's uv."""
    offsets: Tensor
    """[V, 3] metres in rest space: clothes and hair."""
    shape: Tensor
    """[K]."""
    plate: Tensor | None
    """[3, P, P] uint8: what is behind the person, where the picture shows a place."""


def photos_of(person: str) -> dict[str, list[Path]]:
    """The outfits of a person of openpeople and the files that show them.

    Raises:
        InputError: the extra [demo] is missing, or the person is one that is kept for results.
    """
    if person not in (*PEOPLE["train"], *PEOPLE["test"]):
        raise InputError(f"{person} is not baked: expected one of {', '.join((*PEOPLE['train'], *PEOPLE['test']))}")
    return {"outdoors": [outdoor_file(person)], "sheet": [sheet_file(person)]}


def bake_people(model: BodyModel, split: str, cache: Path, progress: Progress = SILENT) -> list[Baked]:
    """All outfits of the split's people: read from `cache`, or made and left there (a minute each)."""
    outfits = [(person, name, files) for person in PEOPLE[split] for name, files in photos_of(person).items()]
    progress.stage(f"Reading photographic people ({split})", len(outfits))
    result = []
    for person, name, files in outfits:
        path = Path(cache) / f"{person}-{name}-{_key(files, model)}.npz"
        if not path.exists():
            _save(path, _bake(f"{person} {name}", files[0], name == "sheet", model))
        result.append(_load(path, f"{person} {name}"))
        progress.advance()
    return result


def _key(files: list[Path], model: BodyModel) -> str:
    digest = hashlib.blake2b(f"{FORMAT} {model.name} {RESOLUTION} {PLATE}".encode(), digest_size=8)
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


@torch.no_grad()
def _bake(name: str, file: Path, sheet: bool, model: BodyModel) -> Baked:
    from warpkit.models.media.images import read_image

    photo = read_image(file)
    pictures = [photo]
    if sheet:
        pictures = [np.ascontiguousarray(photo[y0:y1, x0:x1]) for x0, y0, x1, y1 in SHEET_VIEWS]
    people = [recover(picture, model) for picture in pictures]
    tensors = [to_tensor(picture) for picture in pictures]
    views = [
        cut_out(picture, person.mask, person.body, window_round(person.box, RESOLUTION))
        for picture, person in zip(tensors, people, strict=True)
    ]
    appearance = gather_appearance(views, model)
    plate = None
    if not sheet:
        height, width = people[0].size
        framing = Framing(0.0, max(0.0, (height - width) * 0.6), float(min(height, width)), PLATE)
        soft = framing.cut(people[0].mask[None], "border")[0]
        small = framing.cut(tensors[0])
        plate = _bytes(fill_background(small, person_hole(refine_alpha(small, soft))))
    return Baked(name, _bytes(appearance.atlas[0]), appearance.offsets, appearance.shape[0], plate)


def _bytes(picture: Tensor) -> Tensor:
    return ((picture + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _save(path: Path, baked: Baked) -> None:
    arrays = {"atlas": baked.atlas, "offsets": baked.offsets, "shape": baked.shape}
    if baked.plate is not None:
        arrays["plate"] = baked.plate
    with whole(path, overwrite=True) as draft:  # two processes may bake at once
        np.savez_compressed(draft, allow_pickle=False, **{key: value.numpy() for key, value in arrays.items()})


def _load(path: Path, name: str) -> Baked:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: torch.from_numpy(archive[key]) for key in archive.files}
        return Baked(name, arrays["atlas"], arrays["offsets"], arrays["shape"], arrays.get("plate"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}): delete it, and it is made again") from error
