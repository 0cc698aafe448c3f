"""The first photo and the reference beside each frame of a clip."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.media.draw import draw_body, fit_into
from warpkit.models.media.video import VideoReader


class Beside:
    """Puts a photo and the reference beside each result: the video's frame, or the posed body."""

    def __init__(
        self,
        photo: np.ndarray,
        bodies: Body,
        model: BodyModel,
        size: int,
        *,
        video: Path | None,
        fps: float,
        moments: Sequence[int],
    ) -> None:
        """`bodies`: T of them. `size`: of each picture, a square. `moments`: the motion's frame in each."""
        self.photo = fit_into(photo, size, size)
        self.bodies, self.model, self.size, self.fps, self.moments = bodies, model, size, fps, moments
        self.reader = VideoReader(video) if video else None
        self.frames: Iterator[tuple[int, np.ndarray]] = iter(())
        self.shown = (-1, np.zeros((size, size, 3), np.uint8))

    def reference(self, index: int) -> np.ndarray:
        """uint8 `[size, size, 3]`."""
        if self.reader is None:
            scale = 0.8 * self.size / self.model.height(self.bodies.shape[:1])
            camera = Camera(scale, torch.tensor([[self.size / 2, self.size * 0.48]]))
            body = Body(self.bodies.pose[[index]], self.bodies.shape[[index]], camera)
            return draw_body(np.full((self.size, self.size, 3), 235, np.uint8), body, self.model, opacity=1.0)
        wanted = round(self.moments[index] * float(self.reader.fps) / self.fps)
        if wanted < self.shown[0] or self.shown[0] < 0:  # from the start: videos are read forwards
            self.frames, self.shown = enumerate(self.reader), (-1, self.shown[1])
        while self.shown[0] < wanted and (following := next(self.frames, None)) is not None:
            self.shown = (following[0], fit_into(following[1], self.size, self.size))
        return self.shown[1]

    def __call__(self, index: int, result: np.ndarray) -> np.ndarray:
        """uint8 `[size, 3 size, 3]`."""
        return np.concatenate([self.photo, self.reference(index), result], 1)
