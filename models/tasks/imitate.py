"""Motion imitation: the bodies of a person who moves as a reference does (Liquid Warping GAN with Attention, 3.6)."""

import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel, Camera, body_digest
from warpkit.models.cache import NO_CACHE, Cache, content
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import MOTIONS, make_motion
from warpkit.models.errors import InputError
from warpkit.models.media.video import VideoReader
from warpkit.models.progress import SILENT, Progress
from warpkit.models.recovery import Clip, recover_clip


class Reference(NamedTuple):
    """A motion that was read."""

    motion: Motion
    video: Path | None = None
    """Where it was recovered from, if it was."""


def check_motion(motion: str | Path | Motion) -> None:
    """Raises InputError where `resolve_motion` would for its name or file; cheap, so asked before long work."""
    if isinstance(motion, Motion) or str(motion) in MOTIONS:
        return
    if not os.path.lexists(motion):
        raise InputError(
            f"motion {str(motion)!r} is neither a known motion ({', '.join(MOTIONS)}) nor a file that exists"
        )
    if is_video(motion):
        VideoReader(motion)
    else:
        Motion.load(motion)


def is_video(motion: str | Path | Motion) -> bool:
    """Whether `resolve_motion` would look for a person in a video."""
    return not isinstance(motion, Motion) and str(motion) not in MOTIONS and Path(motion).suffix.lower() != ".npz"


def has_pictures(motion: str | Path | Motion) -> bool:
    """Whether a motion may know a picture that it was taken from; of a file only reading it tells."""
    return motion.place is not None if isinstance(motion, Motion) else str(motion) not in MOTIONS


def resolve_motion(
    motion: str | Path | Motion,
    model: BodyModel,
    fps: float | None,
    progress: Progress = SILENT,
    cache: Cache = NO_CACHE,
) -> Reference:
    """A motion by name, from a motion file, from a video, or as it is; and the video if there was one.

    Raises InputError for a name that is neither known nor a file (the known ones are listed).
    """
    check_motion(motion)
    video = None
    if isinstance(motion, Motion):
        result = motion
    elif str(motion) in MOTIONS:
        result = make_motion(str(motion), fps=fps or 25.0)
    else:
        path = Path(motion)
        if path.suffix.lower() == ".npz":
            result = Motion.load(path)
        else:
            result, video = Motion.from_clip(followed(path, model, progress, cache), model), path
    if fps is not None and abs(result.fps - fps) > 1e-6:
        result = result.resampled(fps)
    return Reference(result, video)


def followed(video: Path, model: BodyModel, progress: Progress = SILENT, cache: Cache = NO_CACHE) -> Clip:
    """The person in a video, kept unless the file is written to meanwhile. Errors are those of `recover_clip`."""

    def follow() -> Clip:
        reader = VideoReader(video)
        progress.stage("Following the person in the video", reader.num_frames)
        return recover_clip(reader, model, float(reader.fps), progress=lambda _: progress.advance())

    if cache.folder is None:
        return follow()
    progress.stage("Reading the video", None)
    found, unchanged = content(video)
    return cache.remember("motions", (found, body_digest(model)), follow, Clip, Body, Camera, valid=unchanged)


def imitate_body(source: Body, motion: Motion, model: BodyModel) -> Body:
    """The T bodies of `source` (B = 1) moving as `motion`: its shape, the motion's pose and path.

    The camera's scale follows the motion's apparent size, s_t = s_source * s_ref(t) / s_ref(0), and offsets are scaled
    by the ratio of heights. The first frame's lowest point stands where the source's does.
    """
    frames = len(motion.rotations)
    height = model.height(source.shape)[0]
    scale = source.camera.scale * motion.scale
    path = source.camera.scale * (height / motion.height) * motion.path

    def lowest(pose: Tensor) -> Tensor:
        return -model(pose, source.shape)[0, :, 1].amin()

    ground = source.camera.offset[:, 1] + source.camera.scale * (lowest(source.pose) - lowest(motion.rotations[:1]))
    start = torch.stack([source.camera.offset[:, 0], ground], -1)
    return Body(motion.rotations, source.shape.expand(frames, -1), Camera(scale, start + path))
