"""What a training writes down: a line a step that can be read back, TensorBoard, sheets."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from warpkit.models.errors import needs_extra
from warpkit.models.media.images import write_image
from warpkit.models.media.output import whole

LINES = "log.jsonl"
"""The log of a training's steps, by which its folder is known too."""


class Log:
    """The folder of a training: `log.jsonl` (one line a step), `checks.jsonl`, `tensorboard/`, `sheets/`."""

    def __init__(self, folder: Path, step: int) -> None:
        """`step`: where training begins; what was written of later steps, by a run that was killed, is dropped."""
        with needs_extra("train"):
            from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder / LINES
        self.checks = folder / "checks.jsonl"
        # a line of the log is named after the step that it was, a check after the steps that were done
        for path, end in ((self.path, step), (self.checks, step + 1)):
            if path.exists():
                kept = [line for line in path.read_text().splitlines(keepends=True) if _step(line) < end]
                with whole(path, overwrite=True) as draft:
                    draft.write_text("".join(kept))
        self._lines = self.path.open("a", buffering=1)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)

    def step(self, step: int, values: dict[str, float], *, board: bool) -> None:
        """The terms of one step; `board`: on TensorBoard too."""
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        if board:
            for name, value in values.items():
                self._board.add_scalar(f"train/{name}", value, step)

    def check(self, step: int, values: dict[str, float], picture: np.ndarray) -> None:
        """Figures and a sheet of pictures that are not trained on."""
        for name, value in values.items():
            self._board.add_scalar(f"check/{name}", value, step)
        self._board.add_image("check/sheet", picture, step, dataformats="HWC")
        write_image(self.folder / "sheets" / f"{step:08d}.png", picture, overwrite=True)
        with self.checks.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def close(self) -> None:
        """Writes what is not yet written."""
        self._lines.close()
        self._board.close()


def _step(line: str) -> int:
    try:
        found: Any = json.loads(line)
        return int(found["step"])
    except (ValueError, KeyError, TypeError):  # the half line of a run that was killed
        return 2**62
