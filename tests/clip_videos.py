"""Small videos of made-up people, and a stand-in for recovery where a test is about something else."""

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.bodies.anny import Anny
from warpkit.models.data.clips import Settings, backdrop, maker
from warpkit.models.data.clips.recovered import Recovered
from warpkit.models.data.clips.store import Index, StoredClip, clip_path
from warpkit.models.data.motion_library import make_motion
from warpkit.models.data.rendered import MadeUpPerson
from warpkit.models.media.video import VideoWriter

SIZE = (256, 192)
SMALL = Settings(size=64, matte=False)


def rendered(model: BodyModel, seed: int, frames: int = 8, motion: str = "turn") -> list[np.ndarray]:
    """A made-up person before a background that stands still, uint8 frames of `SIZE`."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 8, 6, generator=generator)
    background = torch.nn.functional.interpolate(coarse, SIZE, mode="bicubic")[0].clamp(0, 1) * 0.8 - 0.4
    person = MadeUpPerson(model, seed)
    rotations = make_motion(motion).rotations
    result = []
    for number in range(frames):
        pose = rotations[number * len(rotations) // frames][None]
        camera = Camera(torch.tensor([110.0]), torch.tensor([[96.0, 120.0]]))
        image = person.render(Body(pose, model.mean_shape[None], camera), SIZE, background).image
        result.append(((image.permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).byte().numpy())
    return result


def write_video(path: Path, frames: Iterable[np.ndarray], fps: int = 8) -> Path:
    with VideoWriter(path, fps, overwrite=True) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def coloured(path: Path, colour: int = 120, frames: int = 6, size: tuple[int, int] = (96, 64)) -> Path:
    """A tiny video of nobody: grey of one shade, a little lighter from frame to frame."""
    return write_video(path, [np.full((*size, 3), (colour + 4 * number) % 256, np.uint8) for number in range(frames)])


def two_people(folder: Path) -> Path:
    """A folder with a video of each."""
    coloured(folder / "ann" / "a.mp4", 60)
    coloured(folder / "ben" / "b.mp4", 120)
    return folder


def stored(cache: Path, number: int = 0) -> StoredClip:
    return StoredClip(clip_path(cache, Index.read(cache).clips[number].key))


class FakeRecovery:
    """Stands in for `recover_video`: somebody in the middle of every frame, turning; counts its calls."""

    def __init__(self, turn: float = 2 * np.pi, before: Callable[[int], None] = lambda call: None) -> None:
        self.turn, self.before, self.calls = turn, before, 0

    @classmethod
    def put_in(cls, monkeypatch: pytest.MonkeyPatch) -> "FakeRecovery":
        """One that clips are made with; nor are backgrounds filled, half a second a clip."""
        fake = cls()
        monkeypatch.setattr(maker, "recover_video", fake)
        monkeypatch.setattr(backdrop, "fill_background", lambda picture, hole: picture)
        return fake

    def __call__(
        self,
        frames: Iterable[np.ndarray],
        model: BodyModel,
        fps: float,
        *,
        person: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Recovered:
        self.calls += 1
        self.before(self.calls)
        height = width = count = 0
        for frame in frames:
            (height, width), count = frame.shape[:2], count + 1
        tall = 0.6 * height
        pose = np.zeros((count, 22, 3), np.float32)
        pose[:, 0, 1] = np.arange(count) / count * self.turn
        mask = np.zeros((64, 64), np.uint8)
        mask[8:56, 24:40] = 255
        packed = zlib.compress(mask.tobytes())
        box = [width / 2 - 0.15 * tall, 0.2 * height, width / 2 + 0.15 * tall, 0.8 * height]
        return Recovered(
            pose=pose,
            shape=model.mean_shape.numpy(),
            scale=np.full(count, tall / 1.8, np.float32),
            offset=np.tile(np.float32([width / 2, height / 2]), (count, 1)),
            found=np.ones(count, bool),
            boxes=np.tile(np.float32(box), (count, 1)),
            squares=np.tile([width / 2, height / 2, tall / 0.75, 0.0], (count, 1)),
            masks=np.frombuffer(packed * count, np.uint8),
            starts=np.arange(count + 1) * len(packed),
            mask_side=np.array(64),
            size=np.array([height, width]),
            fps=np.array(fps),
            landmark_error=np.array(0.01),
        )


class FakeInWorkers:
    """Stands for the body model Anny until another process unpickles it, where recovery is then the stand-in."""

    def __init__(self, model: Anny) -> None:
        self.name, self.path = model.name, model.path

    def __reduce__(self) -> tuple[Callable[[], BodyModel], tuple[()]]:
        return _with_fake_recovery, ()


def _with_fake_recovery() -> BodyModel:
    maker.recover_video = FakeRecovery()  # type: ignore[assignment]
    return Anny()
