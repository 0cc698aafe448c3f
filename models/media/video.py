"""Videos in files: frames are uint8 RGB arrays `[H, W, 3]`, read and written one at a time."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import numpy as np
import torch

from warpkit.models.errors import InputError, needs_extra
from warpkit.models.layers import spread
from warpkit.models.media.images import MAX_PIXELS, check_readable
from warpkit.models.media.output import check_output, whole, whole_folder
from warpkit.models.media.sound import Sound

with needs_extra("person"):
    import av
    from av.stream import Disposition
    from av.video.reformatter import ColorRange, Colorspace
    from PIL import Image

ENDINGS = (".mp4", ".mov", ".mkv", ".webm")
CLEAR_ENDINGS = (".webm", ".mov")
"""Of videos that can be transparent."""
CRF = "16"
"""Constant rate factor of H.264: 18 is hard to tell from the original, lower is better and larger."""
WIDEST = 4
"""Times as wide as high, or as high as wide, that pixels can be."""
BT709 = 1
"""FFmpeg's number for the primaries, the transfer and the matrix of ITU-R BT.709."""


class VideoReader:
    """A video file, frame by frame; iterable as often as wanted, and a context manager.

    Frames come as a player shows them: turned as the file says, with square pixels.

    Attributes:
        fps: frames per second, exact.
        size: (height, width) as shown.
        num_frames: as the file says; None where it does not.
        counted: whether that is of the pictures themselves, and not worked out from how long the file plays.
        has_audio: whether there is sound.

    Raises InputError where there is no such file, it is no video, or it holds no frame.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        check_readable(self.path, "video")
        with self._open() as container:
            stream = self._stream(container)
            first = next(self._decoded(container, stream), None)
            if first is None:
                raise InputError(f"{self.path} holds no frames")
            self.fps = Fraction(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)
            self.size: tuple[int, int] = self._shown(first, stream).shape[:2]
            seconds = stream.duration * stream.time_base if stream.duration and stream.time_base else Fraction(0)
            if not seconds and container.duration:
                seconds = Fraction(container.duration, av.time_base)
            self.num_frames: int | None = stream.frames or round(seconds * self.fps) or None
            self.counted = bool(stream.frames)
            self.has_audio = bool(container.streams.audio)

    def _open(self) -> "av.container.InputContainer":
        try:
            return av.open(str(self.path.absolute()), metadata_errors="replace")  # absolute: "http:…" is a file here
        except (av.FFmpegError, ValueError, OSError) as error:
            raise InputError(f"{self.path} is not a video that can be read") from error

    def _stream(self, container: "av.container.InputContainer") -> "av.VideoStream":
        moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if container.format.name == "tty" or not moving:  # FFmpeg takes plain text for the video of a terminal
            kinds = ", ".join(sorted({s.type for s in container.streams if container.format.name != "tty"}))
            raise InputError(f"{self.path} is not a video" + (f": it holds only {kinds}" if kinds else ""))
        stream = moving[0]
        if stream.codec_context is None:
            raise InputError(f"the pictures of {self.path} are coded in a way that cannot be read here")
        if self._width(stream.width, stream) * stream.height > MAX_PIXELS:
            raise InputError(
                f"the frames of {self.path} have {stream.width} x {stream.height} pixels; at most "
                f"{MAX_PIXELS // 10**6} megapixels can be used: make it smaller"
            )
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # frames may be larger than the header says
        return stream

    @staticmethod
    def _width(width: int, stream: "av.VideoStream") -> int:
        """Of a frame with square pixels; a shape that no camera's pixels have is taken for damage and left aside."""
        shape = stream.sample_aspect_ratio or 1
        return max(1, round(width * shape)) if 1 / WIDEST <= shape <= WIDEST else width

    def _decoded(self, container: "av.container.InputContainer", stream: "av.VideoStream") -> Iterator["av.VideoFrame"]:
        try:
            yield from container.decode(stream)
        except av.FFmpegError as error:
            raise InputError(f"{self.path} is damaged: {error.strerror}") from error

    @classmethod
    def _shown(cls, frame: "av.VideoFrame", stream: "av.VideoStream") -> np.ndarray:
        """uint8 `[H, W, 3]`: square pixels, upright."""
        width = cls._width(frame.width, stream)
        upright = frame.reformat(width, frame.height, "rgb24", src_colorspace=_matrix(frame), dst_color_range="JPEG")
        image = upright.to_ndarray()
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames as shown, uint8 `[H, W, 3]`."""
        with self._open() as container:
            stream = self._stream(container)
            stream.thread_type = "AUTO"
            for frame in self._decoded(container, stream):
                yield self._shown(frame, stream)

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open between iterations."""


def _matrix(frame: "av.VideoFrame") -> Colorspace:
    """The matrix of a frame's colours; where it is not said, that of its height, as players do."""
    if int(frame.colorspace) in (5, 6):  # two names for one matrix
        return Colorspace.ITU601
    try:
        return Colorspace(int(frame.colorspace))
    except ValueError:
        return Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601


@dataclass(frozen=True)
class _Coding:
    """How the pictures of a container are coded."""

    name: str
    encoder: str
    layout: str
    options: dict[str, str]


_H264 = _Coding("H.264", "libx264", "yuv420p", {"crf": CRF, "preset": "veryfast"})
_VP9 = {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
_CODINGS = {
    (".webm", False): _Coding("VP9", "libvpx-vp9", "yuv420p", _VP9),
    (".webm", True): _Coding("VP9", "libvpx-vp9", "yuva420p", _VP9),
    (".mov", True): _Coding("ProRes 4444", "prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}),
}
"""By ending and whether it is transparent; H.264 where nothing is said."""


def check_video_output(path: str | Path, *, overwrite: bool = False, transparent: bool = False) -> Path:
    """As `check_output`, for a name whose ending says a container that `VideoWriter` writes.

    Raises InputError too where the ending cannot hold transparency that is wanted, or this PyAV has no encoder for it.
    """
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{path}: the name of a video must end in {', '.join(ENDINGS)}")
    if transparent and ending not in CLEAR_ENDINGS:
        raise InputError(
            f"{path}: a {ending} cannot be transparent; {' and '.join(CLEAR_ENDINGS)} can, and PNG files of the frames"
        )
    coding = _CODINGS.get((ending, transparent), _H264)
    try:
        av.Codec(coding.encoder, "w")
    except (av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{path} cannot be written: the PyAV that is installed has no encoder {coding.encoder} for {coding.name}"
        ) from error
    return check_output(path, overwrite=overwrite)


class VideoWriter(AbstractContextManager["VideoWriter"]):
    """Writes a video (BT.709); the file appears when the context ends without an error.

    Coded as H.264 4:2:0, in .webm as VP9 4:2:0; transparent, as VP9 with alpha in .webm and ProRes 4444 in .mov.

    Args:
        path: the file, ending in one of `ENDINGS`.
        fps: frames per second, kept exactly where it is rational.
        audio_from: a video whose sound is carried over, as long as the frames last.
        overwrite: whether an existing file may be replaced.
        transparent: frames have a fourth channel, the alpha, which colours are not multiplied by.

    Raises InputError where the file cannot be written so (see `check_video_output`), or where the context ends before a
    frame came.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float | Fraction,
        *,
        audio_from: Path | None = None,
        overwrite: bool = False,
        transparent: bool = False,
    ) -> None:
        self.path = Path(path)
        self._channels = 4 if transparent else 3
        self.fps = Fraction(fps).limit_denominator(1_001_000)  # what a float of 30000/1001 is nearest to
        self.audio_from = audio_from
        check_video_output(self.path, overwrite=overwrite, transparent=transparent)
        self._coding = _CODINGS.get((self.path.suffix.lower(), transparent), _H264)
        self._stack = ExitStack()
        self._draft = self._stack.enter_context(whole(self.path, overwrite=overwrite))
        self._container: av.container.OutputContainer | None = None
        self._sound: Sound | None = None
        self._shape: tuple[int, ...] = ()
        self._count = 0

    def _start(self, height: int, width: int) -> "av.container.OutputContainer":
        options = {} if self.path.suffix.lower() in (".mkv", ".webm") else {"movflags": "faststart"}
        container = self._container = av.open(str(self._draft), "w", options=options)
        stream = self._stream = cast(
            "av.VideoStream",
            container.add_stream(self._coding.encoder, rate=self.fps, options=self._coding.options),
        )
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = self._coding.layout
        context = stream.codec_context
        context.color_range, context.colorspace = ColorRange.MPEG, BT709
        context.color_primaries, context.color_trc = BT709, BT709
        if self.audio_from:
            self._sound = self._stack.enter_context(Sound(self.audio_from, container))
        return container

    def write(self, frame: np.ndarray) -> None:
        """The next frame, uint8 `[H, W, 3 | 4]`; all must have the size of the first. Odd sides get a line repeated."""
        height, width = frame.shape[:2]
        self._shape = self._shape or frame.shape
        expected = (*self._shape[:2], self._channels)
        if frame.shape != expected or frame.dtype != np.uint8:
            raise ValueError(f"frame must be uint8 of shape {expected}, came {frame.dtype} {frame.shape}")
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._channels == 4:
            frame = _continued(frame)
        layout = "rgba" if self._channels == 4 else "rgb24"
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=layout).reformat(
            format=self._coding.layout,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        picture.pts, picture.time_base = self._count, 1 / self.fps
        self._count += 1
        try:
            container = self._container or self._start(height, width)
            container.mux(self._stream.encode(picture))
            if self._sound:
                self._sound.copy_until(self._count / self.fps)
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes the file, or removes what there is of it."""
        try:
            if error is None:
                self._finish()
            elif self._container is not None:
                with suppress(av.FFmpegError, OSError):  # of a file that will be removed
                    self._container.close()
        except BaseException as late:
            self._stack.__exit__(type(late), late, late.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)

    def _finish(self) -> None:
        if self._container is None:
            raise InputError(f"{self.path}: no frame came, so no video was written")
        try:
            self._container.mux(self._stream.encode())
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror or error}") from error


def _continued(frame: np.ndarray) -> np.ndarray:
    """A transparent frame with colours continued to where nothing is seen: coded, an edge takes both sides' colour."""
    values = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    colour, seen = values[:, :3], (values[:, 3:] > 0).float()
    wide = torch.where(seen > 0, colour, spread(colour, seen))
    return torch.cat([wide, values[:, 3:]], 1)[0].permute(1, 2, 0).round().clamp(0, 255).byte().contiguous().numpy()


class FrameWriter(AbstractContextManager["FrameWriter"]):
    """Writes frames as PNG files `00000.png`, … into a folder, which appears when the context ends without an error."""

    def __init__(self, folder: str | Path, *, overwrite: bool = False) -> None:
        self.folder = Path(folder)
        self._stack = ExitStack()
        self._draft = self._stack.enter_context(whole_folder(folder, overwrite=overwrite))
        self._count = 0

    def write(self, frame: np.ndarray) -> None:
        """The next frame, uint8 `[H, W, 3]`, or `[H, W, 4]` with alpha."""
        try:
            Image.fromarray(frame).save(self._draft / f"{self._count:05d}.png", compress_level=1)
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written: {error.strerror or error}") from error
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the folder its name, or removes it."""
        self._stack.__exit__(kind, error, trace)
