"""Motion imitation: the bodies of a person who moves as a reference does (Liquid Warping GAN with Attention, 3.6)."""

import os
from collections.abc import Sequence
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
from warpkit.models.recovery import Clip, recover_clip, recover_people

LEGS_SEEN = 0.9
"""Share of a video that shows the legs below which that is told."""
READ = 0.9
"""Share of a video's frames that can be read below which that is told; a few at its end may be incomplete."""


class Reference(NamedTuple):
    """A motion that was read."""

    motion: Motion
    video: Path | None = None
    """Where it was recovered from, if it was."""
    people: int = 1
    """How many were seen in the video."""
    whole: float = 1.0
    """The share of its frames that show the legs of the one who is followed."""
    read: float = 1.0
    """The share of the frames that it says it has which could be read."""


def check_motion(motion: str | Path | Motion, number: int | None = None) -> None:
    """Raises InputError where `resolve_motion` would for its name, file or number; cheap, so asked before long work."""
    if number is not None and number < 1:
        raise InputError(f"the people of a video are counted from 1, there is no person {number}")
    if number is not None and not is_video(motion):
        raise InputError(f"which person of a video to follow was said, but the motion {_name(motion)} is no video")
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


def _name(motion: str | Path | Motion) -> str:
    return "given" if isinstance(motion, Motion) else repr(str(motion))


def reference_notes(reference: Reference, number: int | None) -> list[str]:
    """What to say where a video shows several people and nobody was chosen, or no legs, or is damaged."""
    told = []
    if reference.read < READ:
        told.append(
            f"only the first {100 * reference.read:.0f} % of {reference.video} can be read: it is damaged or was cut "
            "off; the motion ends there"
        )
    if number is None and reference.people > 1:
        told.append(
            f"{reference.people} people were found in {reference.video}; the largest was followed (choose with "
            "--reference-person, from left to right)"
        )
    if reference.whole < LEGS_SEEN:
        told.append(
            f"only the upper body is in {100 * (1 - reference.whole):.0f} % of {reference.video}: what the legs do "
            "there is made up; give a video down to the feet"
        )
    return told


def resolve_motion(
    motion: str | Path | Motion,
    model: BodyModel,
    fps: float | None,
    progress: Progress = SILENT,
    cache: Cache = NO_CACHE,
    number: int | None = None,
) -> Reference:
    """A motion by name, from a motion file, from a video, or as it is; and the video if there was one.

    `number`: who of a video's people, see `recover_people`; None: the largest.

    Raises InputError for a name that is neither known nor a file (the known ones are listed).
    """
    return read_references([(motion, number)], model, fps, progress, cache)[0]


def read_references(
    asked: Sequence[tuple[str | Path | Motion, int | None]],
    model: BodyModel,
    fps: float | None,
    progress: Progress = SILENT,
    cache: Cache = NO_CACHE,
) -> list[Reference]:
    """`resolve_motion` of several motions and numbers; a video is followed once for all of its people."""
    for motion, number in asked:
        check_motion(motion, number)
    wanted: dict[Path, list[int]] = {}
    for motion, number in asked:
        if number is not None and not isinstance(motion, Motion):
            wanted.setdefault(Path(motion), []).append(number)
    crowds = {}
    for video, numbers in wanted.items():
        chosen = sorted(set(numbers))
        crowds[video] = dict(zip(chosen, followed_people(video, chosen, model, progress, cache), strict=True))
    found: list[Reference] = []
    for motion, number in asked:
        if isinstance(motion, Motion):
            reference = Reference(motion)
        elif str(motion) in MOTIONS:
            reference = Reference(make_motion(str(motion), fps=fps or 25.0))
        elif not is_video(motion):
            reference = Reference(Motion.load(motion))
        else:
            video = Path(motion)
            clip = followed(video, model, progress, cache) if number is None else crowds[video][number]
            read = _share_read(VideoReader(video), len(clip.found))
            reference = Reference(Motion.from_clip(clip, model), video, clip.people, clip.whole, read)
        found.append(reference if fps is None else reference._replace(motion=_at_rate(reference.motion, fps)))
    return found


def _share_read(video: VideoReader, frames: int) -> float:
    """Of a video's frames, where it counts them, the share that could be read."""
    return frames / video.num_frames if video.counted and video.num_frames else 1.0


def _at_rate(motion: Motion, fps: float) -> Motion:
    return motion if abs(motion.fps - fps) < 1e-6 else motion.resampled(fps)


def in_step(
    asked: Sequence[tuple[str | Path | Motion, int | None]],
    model: BodyModel,
    fps: float | None,
    progress: Progress = SILENT,
    cache: Cache = NO_CACHE,
) -> list[Reference]:
    """`read_references`, all of one frame rate and length: that of the first, or `fps`, and of the longest.

    Motions of the library are repeated, and whoever does another one that is over stands still. The library has rate
    and length of the others where there are any.
    """
    read = read_references(asked, model, fps, progress, cache)
    named = [not isinstance(motion, Motion) and str(motion) in MOTIONS for motion, _ in asked]
    others = [reference.motion for reference, of_library in zip(read, named, strict=True) if not of_library]
    rate = fps or (others or [reference.motion for reference in read])[0].fps
    seconds = max(motion.seconds for motion in others or [reference.motion for reference in read])
    frames = max(1, round(seconds * rate))
    motions = [
        make_motion(str(motion), rate, frames / rate) if of_library else _at_rate(reference.motion, rate)
        for (motion, _), reference, of_library in zip(asked, read, named, strict=True)
    ]
    return [reference._replace(motion=motion.lasting(frames)) for reference, motion in zip(read, motions, strict=True)]


def followed(video: Path, model: BodyModel, progress: Progress = SILENT, cache: Cache = NO_CACHE) -> Clip:
    """The largest person in a video, kept unless the file is written to meanwhile; errors are `recover_clip`'s."""
    return _followed(video, None, model, progress, cache)[0]


def followed_people(
    video: Path, numbers: Sequence[int], model: BodyModel, progress: Progress = SILENT, cache: Cache = NO_CACHE
) -> list[Clip]:
    """Some of the people in a video, likewise; errors are those of `recover_people`."""
    return _followed(video, numbers, model, progress, cache)


def _followed(
    video: Path, numbers: Sequence[int] | None, model: BodyModel, progress: Progress, cache: Cache
) -> list[Clip]:
    def follow() -> list[Clip]:
        reader = VideoReader(video)
        who = "person" if numbers is None else "people"
        progress.stage(f"Following the {who} in the video", reader.num_frames)

        def told(_: int) -> None:
            progress.advance()

        try:
            if numbers is None:
                return [recover_clip(reader, model, float(reader.fps), allow_upper_body=True, progress=told)]
            return recover_people(reader, model, float(reader.fps), numbers, progress=told)
        except InputError as error:
            raise InputError(str(error) if str(video) in str(error) else f"{video}: {error}") from error

    if cache.folder is None:
        return follow()
    progress.stage("Reading the video", None)
    found, unchanged = content(video)
    inputs = (found, body_digest(model), None if numbers is None else list(numbers))
    return cache.remember("motions", inputs, follow, Clip, Body, Camera, valid=unchanged)


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
