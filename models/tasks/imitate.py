"""Motion imitation: a person from photos moves as a reference does (Liquid Warping GAN with Attention, section 3.6)."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from warpkit import build_info
from warpkit.models.bodies import PARTS, Body, BodyModel, Camera, load_body, on_device
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import MOTIONS, make_motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.appearance import Appearance
from warpkit.models.geometric.framing import Framing, frame_motion
from warpkit.models.geometric.renderer import GeometricRenderer, Layer, Rendered
from warpkit.models.geometric.shadow import contact_shadow
from warpkit.models.geometric.view import View
from warpkit.models.media.draw import draw_body, fit_into
from warpkit.models.media.images import parse_color, read_image
from warpkit.models.media.video import VideoReader
from warpkit.models.progress import SILENT, Progress
from warpkit.models.recovery import recover_clip
from warpkit.models.systems.liquid_warping import LiquidWarping, embedded, load_embedded
from warpkit.models.systems.liquid_warping.checkpoints import load
from warpkit.models.tasks.learned import STRIDE, LearnedRenderer
from warpkit.models.tasks.sources import Source, gather, notes, read_sources, standing_body, to_image, to_tensor

SIZES = range(64, 4097)
RendererName = Literal["geometric", "learned"]
"""geometric: the sources warped and blended. learned: a trained system, which corrects that."""


class Imitation:
    """The frames of one imitation, made as they are asked for, and what they are made from."""

    def __init__(
        self,
        model: BodyModel,
        sources: list[Source],
        appearance: Appearance,
        bodies: Body,
        framing: Framing,
        plate: Tensor,
        *,
        fps: float,
        device: torch.device,
        system: LiquidWarping | None = None,
        video: Path | None = None,
        side_by_side: bool = False,
        shadow: bool = True,
        notes: Sequence[str] = (),
        views: Callable[[int], list[View]] | None = None,
    ) -> None:
        """`bodies` (T of them) in the pixels of the first source's photo, `plate` `[3, size, size]` the background.

        `system`: what draws the person; the geometric picture if None. `shadow`: whether the feet darken the ground
        that they stand on. `views`: the pictures that the appearance was gathered from, at any resolution; those of
        the sources if None.
        """
        self._views = views or partial(views_of, sources, appearance.shape)
        self.model, self.sources, self.appearance = model, sources, appearance
        self.bodies, self.framing = bodies, framing
        self.fps = fps
        """Frames per second."""
        self.device = device
        """Where frames are rendered."""
        self.num_frames = len(bodies.pose)
        self.size = (framing.size, 3 * framing.size if side_by_side else framing.size)
        """Height and width of a frame."""
        self.audio_from = video
        """The video whose sound belongs to the frames, if the motion came from one."""
        self.notes = list(notes)
        """Sentences that the user should see."""
        self._beside = _Beside(sources[0], bodies, model, video, fps, framing.size) if side_by_side else None
        self._placed = on_device(model, device)
        self.geometric = GeometricRenderer(self._placed, appearance.to(device))
        """Draws the person without a network, whatever draws the frames."""
        self.renderer = self._drawer(system)
        """Draws the frames."""
        self._framed = framing.body(bodies).to(device)
        self._plate = plate.to(device)
        self._offsets = appearance.offsets.to(device)
        feet = [number for number, part in enumerate(PARTS) if part.endswith("foot")]
        of_feet = torch.isin(model.parts, torch.tensor(feet, device=model.parts.device))
        self._feet = model.faces[of_feet].long().unique() if shadow else None

    def drawn_by(self, system: LiquidWarping | None) -> "Imitation":
        """The same imitation with another renderer; the geometric one if None."""
        other = copy(self)
        other.renderer = self._drawer(system)
        return other

    def _drawer(self, system: LiquidWarping | None) -> GeometricRenderer | LearnedRenderer:
        if system is None:
            return self.geometric
        resolution = _as_large(self.sources, self.framing.body(self.bodies))
        views = self._views(resolution)
        return LearnedRenderer(system, self._placed, views, self.appearance.to(self.device))

    @torch.no_grad()
    def render(self, index: int) -> Layer:
        """The person of frame `index`, without the background."""
        return self.renderer(self._framed[index], (self.framing.size, self.framing.size))

    @torch.no_grad()
    def render_geometric(self, index: int) -> Rendered:
        """The same by geometry alone."""
        return self.geometric(self._framed[index], (self.framing.size, self.framing.size))

    @torch.no_grad()
    def picture(self, person: Layer, index: int) -> np.ndarray:
        """A person over the background of frame `index`, uint8 RGB `[size, size, 3]`."""
        return to_image(person.over(self._ground(index)))

    @torch.no_grad()
    def frame(self, index: int) -> np.ndarray:
        """Frame `index`, uint8 RGB `[H, W, 3]`."""
        picture = self.picture(self.render(index), index)
        return self._beside(index, picture) if self._beside else picture

    def _ground(self, index: int) -> Tensor:
        """The background of frame `index`, with the shadow of the feet."""
        if self._feet is None:
            return self._plate
        body = self._framed[index]
        feet = self._placed(body.pose, body.shape, offsets=self._offsets, vertices=self._feet)[0]
        size = (self.framing.size, self.framing.size)
        dark = contact_shadow(feet, body.camera.scale[0], body.camera.offset[0], size)
        return (self._plate + 1) * (1 - dark) - 1

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[np.ndarray]:
        """uint8 RGB frames `[H, W, 3]`, one after the other."""
        return (self.frame(index) for index in range(self.num_frames))


def views_of(sources: Sequence[Source], shape: Tensor, resolution: int) -> list[View]:
    """The sources cut out, with bodies of one shape."""
    views = [source.view(resolution) for source in sources]
    return [replace(view, body=replace(view.body, shape=shape)) for view in views]


def _as_large(sources: Sequence[Source], framed: Body) -> int:
    """The resolution of views, at which the person is as large in them as in the frames: so the systems learned it."""
    of_views = [float(source.window(1).body(source.person.body).camera.scale[0]) for source in sources]
    alike = float(framed.camera.scale.median()) / (sum(of_views) / len(of_views))
    return STRIDE * max(2, round(alike / STRIDE))


def choose_system(renderer: RendererName | None, weights: str | Path | None) -> LiquidWarping | None:
    """The system that draws, or None where geometry does.

    Args:
        renderer: None: "learned" where there are weights, given or embedded in this installation.
        weights: a checkpoint; None: the embedded one.

    Raises:
        InputError: a renderer that does not exist, or is not the one of the weights; no weights where they are needed.
    """
    if renderer is not None and renderer not in get_args(RendererName):
        raise InputError(f"renderer must be {' or '.join(get_args(RendererName))}, not {renderer!r}")
    if weights is not None:
        if renderer == "geometric":
            raise InputError("the geometric renderer has no weights: leave out one of the two")
        return load(Path(weights))
    if renderer == "geometric" or (renderer is None and embedded() is None):
        return None
    return load_embedded()


def check_size(size: int, system: LiquidWarping | None = None) -> None:
    """Raises InputError for a size of frames that cannot be made."""
    if size not in SIZES or size % 2:
        raise InputError(f"size must be an even number from {SIZES.start} to {SIZES.stop - 1} pixels, {size} came")
    if system is not None and system.preset.layers != "small" and size % 8:
        raise InputError(f"the preset {system.preset.name!r} draws sizes that are multiples of 8, {size} came")


def check_motion(motion: str | Path | Motion) -> None:
    """Raises InputError where `resolve_motion` would for want of a name or a file; cheap, so asked before long work."""
    if not isinstance(motion, Motion) and str(motion) not in MOTIONS and not Path(motion).exists():
        raise InputError(
            f"motion {str(motion)!r} is neither a known motion ({', '.join(MOTIONS)}) nor a file that exists"
        )


def check_background(background: str | Path) -> None:
    """Raises InputError where `background` is neither "keep", nor a colour, nor a file."""
    if str(background) == "keep" or parse_color(str(background)) is not None or Path(background).exists():
        return
    raise InputError(f"background {str(background)!r} is neither 'keep', nor a colour, nor a picture that exists")


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


def extent(bodies: Body, model: BodyModel) -> tuple[Tensor, Camera]:
    """Vertices `[N, V, 3]` of up to 48 moments of a motion, and their cameras: enough to know where it goes."""
    frames = len(bodies.pose)
    chosen = torch.linspace(0, frames - 1, min(frames, 48)).round().long()
    vertices = torch.cat([model(bodies.pose[[i]], bodies.shape[[i]]) for i in chosen.tolist()])
    return vertices, bodies.camera[chosen]


def choose_device(name: str) -> torch.device:
    """The device to render on: "auto" takes a GPU where PyTorch sees one and this build has kernels for it.

    Raises InputError where the name is unknown or asks for what is not there.
    """
    kernels = build_info()["cuda_kernels"]
    if name == "auto":
        return torch.device("cuda" if kernels and torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise InputError(f"device must be auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for, but PyTorch sees no GPU here")
    if name == "cuda" and not kernels:
        raise InputError(
            "device cuda was asked for, but this build of warpkit has no CUDA kernels (see warpkit doctor)"
        )
    return torch.device(name)


def make_plate(background: str | Path, source: Source, framing: Framing) -> Tensor:
    """[3, size, size] the background asked for: "keep", a colour, or a picture that is made to fill the frame."""
    check_background(background)
    if str(background) == "keep":
        return source.plate(framing)
    color = parse_color(str(background))
    if color is not None:
        return (torch.tensor(color).float() / 127.5 - 1)[:, None, None].expand(3, framing.size, framing.size).clone()
    picture = to_tensor(read_image(background))
    side = min(picture.shape[-2:])
    top, left = (picture.shape[-2] - side) / 2, (picture.shape[-1] - side) / 2
    return Framing(left, top, side, framing.size).cut(picture)


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
) -> Imitation:
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

    return Imitation(
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


class _Beside:
    """Puts the first photo and the reference beside each result: the video's frame, or the posed body."""

    def __init__(
        self, source: Source, bodies: Body, model: BodyModel, video: Path | None, fps: float, size: int
    ) -> None:
        self.photo = fit_into(source.image, size, size)
        self.bodies, self.model, self.size, self.fps = bodies, model, size, fps
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
        wanted = round(index * float(self.reader.fps) / self.fps)
        if wanted < self.shown[0] or self.shown[0] < 0:  # from the start: videos are read forwards
            self.frames, self.shown = enumerate(self.reader), (-1, self.shown[1])
        while self.shown[0] < wanted and (following := next(self.frames, None)) is not None:
            self.shown = (following[0], fit_into(following[1], self.size, self.size))
        return self.shown[1]

    def __call__(self, index: int, result: np.ndarray) -> np.ndarray:
        """uint8 `[size, 3 size, 3]`."""
        return np.concatenate([self.photo, self.reference(index), result], 1)
