"""The sound of one file, carried over to another beside its pictures."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from types import TracebackType

from warpkit.models.errors import InputError, needs_extra

with needs_extra("person"):
    import av

KEPT = {"aac", "mp3", "mp3float", "ac3", "alac"}
"""Codecs that MP4 holds and players play: copied as they are. Anything else becomes AAC."""
KEPT_WEBM = {"opus", "vorbis"}
"""Likewise of WebM, where anything else becomes Opus."""
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


class Sound(AbstractContextManager["Sound"]):
    """Hands on the first audio stream of `source` to `container`, in step with the pictures; silent if it has none.

    Times count from the first picture of `source`. Raises InputError where `source` cannot be read.
    """

    def __init__(self, source: Path, container: "av.container.OutputContainer") -> None:
        try:
            self._source = av.open(str(source.absolute()), metadata_errors="replace")
        except (av.FFmpegError, ValueError, OSError) as error:
            raise InputError(f"the sound of {source} cannot be read") from error
        self._path, self._container = source, container
        self._packets: Iterator[av.Packet] = iter(())
        self._waiting: av.Packet | None = None
        self._start = Fraction(0)
        if not self._source.streams.audio:
            return
        stream = self._source.streams.audio[0]
        pictures = self._source.streams.video[0] if self._source.streams.video else None
        if pictures and pictures.start_time and pictures.time_base:
            self._start = pictures.start_time * pictures.time_base
        webm = container.format.name == "webm"
        if stream.codec_context.name.removeprefix("lib") in (KEPT_WEBM if webm else KEPT):
            self._target = container.add_stream_from_template(stream)
            self._packets = self._copied(stream)
        else:
            rate = 48000 if webm else min(AAC_RATES, key=lambda known: (known < min(stream.rate, 48000), known))
            layout = "mono" if stream.channels == 1 else "stereo"
            self._target = container.add_stream("libopus" if webm else "aac", rate=rate, layout=layout)
            self._packets = self._encoded(stream)

    def _copied(self, stream: "av.AudioStream") -> Iterator["av.Packet"]:
        for packet in self._source.demux(stream):
            if packet.dts is None or packet.pts is None:  # the end of the stream
                continue
            shift = round(self._start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if packet.pts + (packet.duration or 0) > 0:
                packet.stream = self._target
                yield packet

    def _encoded(self, stream: "av.AudioStream") -> Iterator["av.Packet"]:
        resampler = av.AudioResampler(self._target.format.name, layout=self._target.layout, rate=self._target.rate)
        for frame in self._source.decode(stream):
            if frame.pts is None or frame.time_base is None or frame.pts * frame.time_base < self._start:
                continue
            frame.pts -= round(self._start / frame.time_base)
            for resampled in resampler.resample(frame):
                yield from self._target.encode(resampled)
        for resampled in resampler.resample(None):
            yield from self._target.encode(resampled)
        yield from self._target.encode(None)

    def copy_until(self, seconds: Fraction) -> None:
        """Writes the sound that begins before this moment."""
        try:
            while (packet := self._waiting or next(self._packets, None)) is not None:
                self._waiting = packet
                if packet.pts is not None and packet.time_base and packet.pts * packet.time_base >= seconds:
                    return
                self._waiting = None
                self._container.mux(packet)
        except av.InvalidDataError as error:
            raise InputError(f"the sound of {self._path} is damaged") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets go of the source."""
        self._source.close()
