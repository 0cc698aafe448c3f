"""Motion imitation: a person from photos moves as a reference does (Liquid Warping GAN with Attention, section 3.6)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel, Camera, load_body
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import MOTIONS, make_motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.framing import frame_motion
from warpkit.models.media.images import parse_color
from warpkit.models.media.video import VideoReader
from warpkit.models.progress import SILENT, Progress
from warpkit.models.recovery import recover_clip
from warpkit.models.tasks.choices import RendererName, check_background, check_size, choose_device, choose_system
from warpkit.models.tasks.clip import Clip, extent, make_plate
from warpkit.models.tasks.sources import gather, notes, read_sources, standing_body


def check_motion(motion: str | Path | Motion) -> None:
    """Raises InputError where `resolve_motion` would for want of a name or a file; cheap, so asked before long work."""
    if not isinstance(motion, Motion) and str(motion) not in MOTIONS and not Path(motion).exists():
        raise InputError(
            f"motion {str(motion)!r} is neither a known motion ({', '.join(MOTIONS)}) nor a file that exists"
        )


def resolve_motion(
    motion: str | Path | Motion, model: BodyModel, fps: float | None, progress: Progress = SILENT
) -> tuple[Motion, Path | None]:
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
            reader = VideoReader(path)
            progress.stage("Following the person in the video", reader.num_frames)
            clip = recover_clip(reader, model, float(reader.fps), progress=lambda _: progress.advance())
            result, video = Motion.from_clip(clip, model), path
    if fps is not None and abs(result.fps - fps) > 1e-6:
        result = result.resampled(fps)
    return result, video


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


def imitate(
    photos: Sequence[str | Path | np.ndarray],
    motion: str | Path | Motion,
    *,
    size: int = 512,
    background: str | Path = "keep",
    body: str = "anny",
    body_folder: Path | None = None,
    device: str = "auto",
    person: int | None = None,
    fps: float | None = None,
    side_by_side: bool = False,
    renderer: RendererName | None = None,
    weights: str | Path | None = None,
    progress: Progress = SILENT,
) -> Clip:
    """The person in `photos` moving as `motion` does.

    Args:
        photos: 1 to 8 pictures of one person, any views; files or uint8 RGB arrays `[H, W, 3]`. The first gives the
            background, the place and the size in the picture.
        motion: a name from `MOTIONS`, a motion file (`.npz`), a video, or a `Motion`.
        size: height and width of the frames, pixels.
        background: "keep" (the first photo's, with the person removed), a colour (`#rrggbb` or a name) or a picture.
        body: the body model, "anny", or "smpl", "smplh", "smplx" from `body_folder`.
        device: "cpu", "cuda" or "auto".
        person: which person of a photo with several, counted from 1 in order of size; the largest by default.
        fps: frames a second; by default the motion's.
        side_by_side: frames `[size, 3 size, 3]`: first photo, reference, result.
        renderer: "geometric" or "learned"; None: learned, where this installation has a trained model or `weights` are
            given.
        weights: the checkpoint of a trained or personalized system that draws the person; the embedded model if None.
        progress: told of each stage.

    Returns:
        An iterable of frames that also knows their number, rate, and what the user should be told.

    Raises:
        InputError: something given cannot be used; the message says what and why.
    """
    check_motion(motion)
    check_background(background)
    system = choose_system(renderer, weights)
    check_size(size, system)
    where = choose_device(device)
    model = load_body(body, body_folder)
    with torch.no_grad():
        sources = read_sources(photos, model, person=person, progress=progress)
        moving, video = resolve_motion(motion, model, fps, progress)
        first = sources[0]
        appearance = gather(sources, model, resolution=round(1.5 * size), progress=progress)
        bodies = imitate_body(standing_body(first, appearance), moving, model)
        framing = frame_motion(*extent(bodies, model), first.person.size, size)
        progress.stage("Making the background", None)
        plate = make_plate(background, first, framing)

    return Clip(
        model,
        sources,
        appearance,
        bodies,
        framing,
        plate,
        fps=moving.fps,
        device=where,
        system=system,
        video=video,
        side_by_side=side_by_side,
        shadow=parse_color(str(background)) is None,
        notes=notes(sources, person),
    )
