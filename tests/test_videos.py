"""Videos, with their sound, and folders of frames: written whole or not at all, refused with a sentence."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from quarters import close, quarters

av = pytest.importorskip("av", reason="needs the extra [person]")

from warpkit.models.errors import InputError  # noqa: E402
from warpkit.models.media.images import read_image  # noqa: E402
from warpkit.models.media.output import check_output, whole, whole_folder  # noqa: E402
from warpkit.models.media.video import FrameWriter, VideoReader, VideoWriter  # noqa: E402

NTSC = Fraction(30000, 1001)


def write_clip(path: Path, frames: int = 10, fps: Fraction = Fraction(25), size: tuple[int, int] = (80, 120)) -> Path:
    with VideoWriter(path, fps) as writer:
        for _ in range(frames):
            writer.write(quarters(*size))
    return path


# --- videos


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, 30000 / 1001, 12.5, Fraction(24000, 1001)])
def test_a_video_keeps_its_rate_exactly(tmp_path: Path, fps: float | Fraction) -> None:
    with VideoWriter(tmp_path / "a.mp4", fps) as writer:
        for _ in range(7):
            writer.write(quarters())
    video = VideoReader(tmp_path / "a.mp4")
    assert video.fps == Fraction(fps).limit_denominator(1001)
    assert video.num_frames == 7
    assert len(list(video)) == 7


def test_a_video_keeps_its_colours_and_says_which_they_are(tmp_path: Path) -> None:
    video = VideoReader(write_clip(tmp_path / "a.mp4"))
    assert all(close(frame, quarters()) for frame in video)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1, 1)


def test_a_video_starts_playing_before_it_is_loaded(tmp_path: Path) -> None:
    content = write_clip(tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    video = VideoReader(write_clip(tmp_path / "a.mp4", frames=1))
    assert (video.num_frames, len(list(video))) == (1, 1)


def test_odd_sides_get_a_line_repeated(tmp_path: Path) -> None:
    video = VideoReader(write_clip(tmp_path / "a.mp4", size=(81, 121)))
    assert video.size == (82, 122)
    assert close(next(iter(video))[:81, :121], quarters(81, 121))


def test_a_video_can_be_read_again_and_left_early(tmp_path: Path) -> None:
    with VideoReader(write_clip(tmp_path / "a.mp4")) as video:
        next(iter(video))
        assert len(list(video)) == len(list(video)) == 10


def test_frames_are_made_one_at_a_time(tmp_path: Path) -> None:
    video = iter(VideoReader(write_clip(tmp_path / "a.mp4", frames=200)))
    first, second = next(video), next(video)
    assert not np.shares_memory(first, second)


def rotated_file(path: Path, degrees: int) -> Path:
    """`path` with a display matrix that turns it clockwise by `degrees`, as phones write it."""
    one = 0x10000
    a, b = {0: (one, 0), 90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    matrix = [a, b, 0, -b, a, 0, 0, 0, 0x40000000]
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 4 + 36  # version and flags, then times, ids, layer and volume
    content[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, -1), (180, 2), (270, 1)])
def test_a_video_is_turned_as_it_says(tmp_path: Path, degrees: int, turns: int) -> None:
    video = VideoReader(rotated_file(write_clip(tmp_path / "a.mp4"), degrees))
    expected = np.rot90(quarters(), turns)
    assert video.size == expected.shape[:2]
    assert close(next(iter(video)), expected)


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 120, 80, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        frame = av.VideoFrame.from_ndarray(quarters(), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert VideoReader(tmp_path / "a.mkv").size == (80, 180)


def bad_videos(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files that are no usable video, and what the sentence about them must say."""
    yield folder / "nowhere.mp4", "does not exist"
    (folder / "folder.mp4").mkdir()
    yield folder / "folder.mp4", "is a folder"
    (folder / "empty.mp4").touch()
    yield folder / "empty.mp4", "is empty"
    (folder / "noise.mp4").write_bytes(os.urandom(5000))
    yield folder / "noise.mp4", "is not a video"
    (folder / "letter.txt").write_text("dear video\n" * 50)
    yield folder / "letter.txt", "is not a video"
    with av.open(str(folder / "sound.m4a"), "w", format="mp4") as container:
        add_sound(container, container.add_stream("aac", rate=44100), 1)
    yield folder / "sound.m4a", "holds only audio"
    with av.open(str(folder / "hollow.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        add_sound(container, container.add_stream("aac", rate=44100), 1)
    yield folder / "hollow.mkv", "holds no frames"
    (folder / "cut.mp4").write_bytes(write_clip(folder / "whole.mov").read_bytes()[:600])
    yield folder / "cut.mp4", "cut.mp4 is"


def test_what_is_no_video_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for path, sentence in bad_videos(tmp_path):
        with pytest.raises(InputError, match=re.escape(path.name)) as caught:
            VideoReader(path)
        assert sentence in str(caught.value), path


def test_a_video_without_frames_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame"), VideoWriter(tmp_path / "a.mp4", 25):
        pass
    assert not list(tmp_path.iterdir())


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frame must be"), VideoWriter(tmp_path / "a.mp4", 25) as writer:
        writer.write(quarters())
        writer.write(quarters(64, 64))
    assert not list(tmp_path.iterdir())


# --- sound


def add_sound(
    container: "av.container.OutputContainer", stream: "av.AudioStream", seconds: float, rate: int = 44100
) -> None:
    """A tone that begins after one second."""
    moments = np.arange(int(rate * seconds)) / rate
    tone = np.repeat((8000 * np.sin(2 * np.pi * 440 * moments) * (moments >= 1)).astype(np.int16), 2)[None]
    whole = av.AudioFrame.from_ndarray(tone, format="s16", layout="stereo")
    whole.sample_rate, whole.pts = rate, 0
    context = stream.codec_context
    for frame in av.AudioResampler(format=context.format.name, layout="stereo", rate=rate).resample(whole):
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def clip_with_sound(path: Path, codec: str, rate: int) -> Path:
    """Three seconds of grey at 29.97 frames per second, with a tone from the first second on."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=NTSC)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream(codec, rate=rate)
        for _ in range(90):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 100, np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        add_sound(container, sound, 3, rate)
    return path


def heard(path: Path) -> tuple[str, float, float]:
    """Codec, the second at which it becomes loud, and the second at which it ends."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        loudness = np.concatenate([np.abs(frame.to_ndarray()[0].astype(float)) for frame in frames])
        rate = frames[0].sample_rate
        onset = frames[0].time + (loudness > 0.3 * loudness.max()).argmax() / rate
        return container.streams.audio[0].codec_context.name, onset, frames[0].time + len(loudness) / rate


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.mp4", "aac", 44100), ("a.mkv", "libmp3lame", 32000), ("a.mkv", "flac", 96000), ("a.ts", "aac", 48000)],
)
def test_sound_is_carried_over_in_step_and_cut_to_the_video(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    source = clip_with_sound(tmp_path / name, codec, rate)
    video = VideoReader(source)
    assert (video.fps, video.has_audio) == (NTSC, True)
    with VideoWriter(tmp_path / "out.mp4", video.fps, audio_from=source) as writer:
        for _ in range(60):
            writer.write(quarters())
    kind, onset, end = heard(tmp_path / "out.mp4")
    assert kind == {"libmp3lame": "mp3float"}.get(codec, "aac")
    assert onset == pytest.approx(1.0, abs=0.03)
    assert end == pytest.approx(60 / NTSC, abs=0.06)


def test_sound_in_webm_is_opus(tmp_path: Path) -> None:
    source = clip_with_sound(tmp_path / "a.mp4", "aac", 44100)
    with VideoWriter(tmp_path / "out.webm", NTSC, audio_from=source) as writer:
        for _ in range(60):
            writer.write(quarters())
    kind, onset, end = heard(tmp_path / "out.webm")
    assert kind.removeprefix("lib") == "opus"
    assert onset == pytest.approx(1.0, abs=0.03)
    assert end == pytest.approx(60 / NTSC, abs=0.1)


def test_a_reference_without_sound_gives_a_video_without(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4")
    with VideoWriter(tmp_path / "out.mp4", 25, audio_from=source) as writer:
        writer.write(quarters())
    assert not VideoReader(tmp_path / "out.mp4").has_audio


# --- whole or not at all


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        writer.write(quarters())
        assert not (tmp_path / "a.mp4").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_nothing_and_the_old_file_alone(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "old.mp4").write_text("old")
    for path in (tmp_path / "old.mp4", tmp_path / "deep" / "new.mp4"):
        with pytest.raises(error), VideoWriter(path, 25, overwrite=True) as writer:
            writer.write(quarters())
            raise error
    with pytest.raises(error), FrameWriter(tmp_path / "frames") as writer:
        writer.write(quarters())
        raise error
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.mp4", "old")]


def test_drafts_of_runs_that_were_killed_are_cleared_a_day_later(tmp_path: Path) -> None:
    old, new = tmp_path / ".a[1].0123abcd.part.mp4", tmp_path / ".a[1].4567abcd.part.mp4"
    others = tmp_path / ".b.0123abcd.part.mp4"
    for draft in (old, new, others):
        draft.write_text("half")
    for draft in (old, others):
        os.utime(draft, (0, 0))
    with VideoWriter(tmp_path / "a[1].mp4", 25) as writer:
        writer.write(quarters())
    assert {path.name for path in tmp_path.iterdir()} == {others.name, new.name, "a[1].mp4"}


def test_frames_become_a_folder_of_pictures(tmp_path: Path) -> None:
    for count in (3, 2):
        with FrameWriter(tmp_path / "frames", overwrite=True) as writer:
            for _ in range(count):
                writer.write(quarters())
    assert [path.name for path in sorted((tmp_path / "frames").iterdir())] == ["00000.png", "00001.png"]
    assert (read_image(tmp_path / "frames" / "00001.png") == quarters()).all()


def test_a_folder_with_other_things_in_it_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"holds other things \(thesis.tex"), FrameWriter(tmp_path, overwrite=True):
        pass
    assert (tmp_path / "thesis.tex").exists()


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with whole(tmp_path / "link.txt", overwrite=True) as draft:
        draft.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path, sentence in (
        (tmp_path / "file", "--force"),
        (tmp_path / "file" / "a.mp4", "is a file, not a folder"),
        (tmp_path / ("long" * 100), "cannot be written"),
    ):
        with pytest.raises(InputError, match=sentence):
            check_output(path)
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path / "folder", overwrite=True)
    with pytest.raises(InputError, match="no file"):
        check_output("/dev/null", overwrite=True)
    with pytest.raises(InputError, match="is a file"), whole_folder(tmp_path / "file", overwrite=True):
        pass
    with pytest.raises(InputError, match="must end in"):
        VideoWriter(tmp_path / "a.avi", 25)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_does_not_allow_it_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="does not allow it"):
        check_output(tmp_path / "a.mp4")


def test_an_interrupt_half_way_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import signal, sys, numpy as np\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # in the background it is ignored
        "from warpkit.models.media.video import VideoWriter\n"
        "with VideoWriter(sys.argv[1], 25) as writer:\n"
        "    while True:\n"
        "        writer.write(np.zeros((64, 64, 3), np.uint8)); print(flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "a.mp4")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    while not list(tmp_path.iterdir()):  # until there is a draft, the encoder's first packets
        assert process.stdout.readline(), "the writer died"
    process.send_signal(signal.SIGINT)
    process.wait(20)
    process.stdout.close()
    assert not list(tmp_path.iterdir())
