"""Videos in files: frames are uint8 RGB arrays `[H, W, 3]`, read and written one at a time."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

from warpkit.models.errors import InputError, needs_extra
from warpkit.models.media.output import whole

with needs_extra("person"):
    import av
    from av.video.reformatter import ColorRange, Colorspace
    from PIL import Image

MP4_AUDIO = {"aac", "mp3", "ac3", "alac"}
"""Sound that MP4 holds as it is; anything else is encoded again."""
CRF = "16"
"""Constant rate factor of H.264: 18 is hard to tell from the original, lower is better and larger."""


class VideoReader:
    """A video file, frame by frame; a context manager, and iterable as often as wanted.

    Raises InputError where there is no such file, it is no video, or it holds no frame.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise InputError(f"{self.path} does not exist")
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder; a video was expected")
        if self.path.stat().st_size == 0:
            raise InputError(f"{self.path} is empty")
        with self._open() as container:
            if not container.streams.video:
                raise InputError(f"{self.path} holds no video, only {', '.join(s.type for s in container.streams)}")
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.base_rate or stream.guessed_rate
            try:
                first = next(container.decode(stream), None)
            except av.FFmpegError as error:
                raise InputError(f"{self.path} is damaged: {error.strerror}") from error
            if first is None:
                raise InputError(f"{self.path} holds no frames")
            self.fps = Fraction(rate) if rate else Fraction(25)
            """Frames per second."""
            turned = first.rotation % 180 != 0
            self.size = (first.width, first.height) if turned else (first.height, first.width)
            """Height and width as shown."""
            duration = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
            self.num_frames = stream.frames or round(duration * float(self.fps)) or None
            """As the file says; None where it does not."""
            self.has_audio = bool(container.streams.audio)

    def _open(self) -> "av.container.InputContainer":
        try:
            return av.open(str(self.path))
        except (av.FFmpegError, ValueError, OSError) as error:
            raise InputError(f"{self.path} is not a video that can be read") from error

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames as shown, uint8 `[H, W, 3]`."""
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            try:
                for frame in container.decode(stream):
                    image = frame.to_ndarray(format="rgb24")
                    quarter_turns = round(frame.rotation / 90) % 4
                    yield np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image
            except av.FFmpegError as error:
                raise InputError(f"{self.path} is damaged: {error.strerror}") from error

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open between iterations."""


class VideoWriter(AbstractContextManager["VideoWriter"]):
    """Writes an MP4 (H.264, yuv420p, BT.709); the file appears when the context ends without an error.

    Args:
        path: the file, ending in .mp4, .mov or .mkv.
        fps: frames per second, kept exactly where it is rational.
        audio_from: a video whose sound is carried over, as long as the frames last.
        overwrite: whether an existing file may be replaced.
    """

    def __init__(
        self, path: str | Path, fps: float | Fraction, *, audio_from: Path | None = None, overwrite: bool = False
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in (".mp4", ".mov", ".mkv"):
            raise InputError(f"{self.path}: the name of a video must end in .mp4, .mov or .mkv")
        self.fps = Fraction(fps).limit_denominator(1001000)
        self.audio_from = audio_from
        self._stack = ExitStack()
        self._draft = self._stack.enter_context(whole(self.path, overwrite=overwrite))
        self._container: av.container.OutputContainer | None = None
        self._count = 0

    def _start(self, frame: np.ndarray) -> "av.container.OutputContainer":
        options = {"movflags": "faststart"} if self.path.suffix.lower() != ".mkv" else {}
        container = av.open(str(self._draft), "w", options=options)
        stream = container.add_stream("libx264", rate=self.fps, options={"crf": CRF, "preset": "veryfast"})
        stream.height, stream.width = (side + side % 2 for side in frame.shape[:2])
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1  # BT.709
        self._stream = stream
        self._audio = _Sound(self.audio_from, container) if self.audio_from else None
        return container

    def write(self, frame: np.ndarray) -> None:
        """The next frame, uint8 `[H, W, 3]`; all must have the size of the first. Odd sides get a line repeated."""
        if self._container is None:
            self._container = self._start(frame)
        height, width = frame.shape[:2]
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        picture.pts, picture.time_base = self._count, 1 / self.fps
        self._count += 1
        for packet in self._stream.encode(picture):
            self._container.mux(packet)
        if self._audio:
            self._audio.copy_until(self._count / self.fps)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes the file, or removes what there is of it."""
        try:
            try:
                if kind is None:
                    self._finish()
            finally:
                if self._container is not None:
                    self._container.close()
                    if self._audio:
                        self._audio.close()
        except BaseException as late:
            self._stack.__exit__(type(late), late, late.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)

    def _finish(self) -> None:
        if self._container is None:
            raise InputError(f"{self.path}: no frame came, so no video was written")
        for packet in self._stream.encode():
            self._container.mux(packet)


class _Sound:
    """The sound of one file, handed on to another in step with its frames."""

    def __init__(self, path: Path, container: "av.container.OutputContainer") -> None:
        self._source = av.open(str(path))
        self._container = container
        self._packets: Iterator[av.Packet] = iter(())
        self._waiting: av.Packet | None = None
        if not self._source.streams.audio:
            return
        stream = self._source.streams.audio[0]
        self._remux = stream.codec_context.name in MP4_AUDIO
        if self._remux:
            self._target = container.add_stream_from_template(stream)
        else:
            self._target = container.add_stream("aac", rate=stream.rate)
        self._packets = self._encoded(stream)

    def _encoded(self, stream: "av.AudioStream") -> Iterator["av.Packet"]:
        if self._remux:
            for packet in self._source.demux(stream):
                if packet.dts is not None:
                    packet.stream = self._target
                    yield packet
            return
        resampler = av.AudioResampler(format="fltp", layout=self._target.layout, rate=self._target.rate)
        for decoded in self._source.decode(stream):
            for resampled in resampler.resample(decoded):
                yield from self._target.encode(resampled)
        yield from self._target.encode()

    def copy_until(self, seconds: Fraction) -> None:
        """Writes the sound that belongs before this moment."""
        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = packet
            if packet is None:
                return
            if packet.pts is not None and packet.time_base and packet.pts * packet.time_base >= seconds:
                return
            self._container.mux(packet)
            self._waiting = None

    def close(self) -> None:
        """Lets go of the file."""
        self._source.close()


class FrameWriter(AbstractContextManager["FrameWriter"]):
    """Writes frames as PNG files `00000.png`, … into a folder, which appears when the context ends without an error."""

    def __init__(self, folder: str | Path, *, overwrite: bool = False) -> None:
        self._stack = ExitStack()
        self._draft = self._stack.enter_context(whole(folder, overwrite=overwrite))
        self._draft.mkdir()
        self._count = 0

    def write(self, frame: np.ndarray) -> None:
        """The next frame, uint8 `[H, W, 3]`."""
        Image.fromarray(frame).save(self._draft / f"{self._count:05d}.png", compress_level=1)
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the folder its name, or removes it."""
        self._stack.__exit__(kind, error, trace)
