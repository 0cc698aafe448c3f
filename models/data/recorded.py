"""Samples that are drawn once and read from a disk from then on: for data that are slow to draw."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warpkit.models.batch import Pictures
from warpkit.models.data.cases import Draws
from warpkit.models.errors import InputError
from warpkit.models.media.output import whole

FORMAT = "warpkit recorded samples 1"
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class RecordedSamples:
    """A number of samples of other data, gone through again and again, each time in an order drawn anew.

    Sample n is `samples.draw(n, 1, sources)`, drawn when it is first asked for and kept in a file of its own: a
    recording that was interrupted goes on, and several processes may fill one folder. Colours and alpha are kept in 8
    bits, vertices in 16. What is drawn follows from the seed and the step alone; a draw of fewer sources has the first
    of those recorded.

    Args:
        samples: slow data; random in its step alone.
        folder: for the files, 0.8 MB each at 128 x 128 with four sources; made where it is not there.
        count: samples that there are.
        sources: of each, the most that can be drawn.
        seed: of the order.
        about: what says which samples these are, such as size, split and seed; plain values. A folder that was
            recorded with others, or with another number of sources, is refused.
        device: where pictures are given.

    Raises:
        InputError: the folder holds other samples.
    """

    def __init__(
        self,
        samples: Draws,
        folder: str | Path,
        count: int,
        sources: int,
        *,
        seed: int = 0,
        about: Mapping[str, Any] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if count < 1 or sources < 1:
            raise ValueError(f"count and sources must be 1 or more, not {count} and {sources}")
        self.samples, self.folder, self.count, self.sources, self.seed = samples, Path(folder), count, sources, seed
        self.device = torch.device(device)
        self._order: tuple[int, list[int]] = (-1, [])
        wanted = {"format": FORMAT, "sources": sources, **json.loads(json.dumps(dict(about or {})))}
        paper = self.folder / "about.json"
        if paper.exists():
            try:
                found = dict(json.loads(paper.read_text()))
            except (OSError, ValueError, TypeError) as error:
                raise InputError(f"{paper} does not say what was recorded ({error}); name another folder") from error
            other = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
            if other:
                raise InputError(
                    f"{self.folder} holds samples of other settings ({', '.join(other)}); name another folder"
                )
        else:
            with whole(paper, overwrite=True) as draft:
                draft.write_text(json.dumps(wanted, indent=1))

    def __len__(self) -> int:
        return self.count

    def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
        """Sources (N = `sources`) and target (N = 1) of `batch` people."""
        if sources > self.sources:
            raise ValueError(f"sources: {self.sources} of each were recorded, got {sources}")
        kept = [self.sample(self._number(step * batch + row)) for row in range(batch)]
        given = Pictures.joined([one for one, _ in kept])[:sources]
        return given.to(self.device), Pictures.joined([one for _, one in kept]).to(self.device)

    def sample(self, number: int) -> tuple[Pictures, Pictures]:
        """All sources, and the target, of one of them; on the CPU."""
        if not 0 <= number < self.count:
            raise ValueError(f"number: expected 0 to {self.count - 1}, got {number}")
        path = self.folder / f"{number:06d}.npz"
        if path.exists():
            try:
                with np.load(path) as file:
                    return _unpacked(file, "sources"), _unpacked(file, "target")
            except DAMAGED:  # a file that a full disk cut short, for one: it is drawn again
                pass
        drawn = self.samples.draw(number, 1, self.sources)
        if len(drawn) != 2 or drawn[1].geometric is not None:
            raise ValueError(
                "samples: expected plain ones, without geometric pictures (of as many sources as are drawn)"
            )
        arrays = _packed(drawn[0], "sources") | _packed(drawn[1], "target")
        with whole(path, overwrite=True) as draft:
            np.savez(draft, **arrays)  # type: ignore[arg-type]
        return _unpacked(arrays, "sources"), _unpacked(arrays, "target")

    def _number(self, place: int) -> int:
        turn, within = divmod(place, self.count)
        if self._order[0] != turn:
            order = np.random.default_rng([self.seed, turn]).permutation(self.count)
            self._order = turn, order.tolist()
        return self._order[1][within]


def _packed(pictures: Pictures, role: str) -> dict[str, np.ndarray]:
    """As small numbers: a plate belongs to sources and target, and is kept once."""
    reach = pictures.vertices.abs().amax().clamp(min=1e-6).cpu().numpy()
    arrays = {
        "image": _eight_bits(pictures.image, -1),
        "alpha": _eight_bits(pictures.alpha, 0),
        "reach": reach,
        "vertices": np.rint(pictures.vertices.cpu().numpy() / reach * 32767).astype(np.int16),
        "valid": pictures.valid.cpu().numpy(),
    }
    if pictures.plate is not None and role == "sources":
        arrays["plate"] = _eight_bits(pictures.plate, -1)
    return {f"{role}.{name}": value for name, value in arrays.items()}


def _unpacked(file: Mapping[str, np.ndarray], role: str) -> Pictures:
    def colours(name: str, low: int, role: str = role) -> Tensor:
        return torch.from_numpy(file[f"{role}.{name}"]) * ((1 - low) / 255) + low

    vertices = torch.from_numpy(file[f"{role}.vertices"]) * (float(file[f"{role}.reach"]) / 32767)
    return Pictures(
        colours("image", -1),
        colours("alpha", 0),
        vertices,
        torch.from_numpy(file[f"{role}.valid"]),
        colours("plate", -1, "sources") if "sources.plate" in file else None,
    )


def _eight_bits(values: Tensor, low: int) -> np.ndarray:
    return ((values.float() - low) * (255 / (1 - low))).round().clamp(0, 255).byte().cpu().numpy()
