"""Transparent videos and pictures: what comes back is what went in, and what cannot be is refused by a sentence."""

from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="needs the extra [person]")
from PIL import Image  # noqa: E402

from warpkit.models.errors import InputError  # noqa: E402
from warpkit.models.media.images import write_image  # noqa: E402
from warpkit.models.media.video import FrameWriter, VideoReader, VideoWriter, check_video_output  # noqa: E402

DECODERS = {".webm": "libvpx-vp9", ".mov": "prores"}
COLOUR = (220, 40, 60)


def disc(shift: float = 0.0, size: int = 64) -> np.ndarray:
    """uint8 [size, size, 4]: a red disc with a soft edge; black, as nobody's colour is, where alpha is nought."""
    y, x = np.mgrid[:size, :size] + 0.5
    alpha = np.clip(20.5 - np.hypot(x - size / 2 - shift, y - size / 2), 0, 1)
    frame = np.zeros((size, size, 4), np.uint8)
    frame[alpha > 0, :3] = COLOUR
    frame[..., 3] = np.round(alpha * 255)
    return frame


def decoded(path: Path) -> list[np.ndarray]:
    """uint8 [H, W, 4] frames, by the decoder that knows about alpha."""
    decoder = av.CodecContext.create(DECODERS[path.suffix], "r")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.extradata:
            decoder.extradata = stream.codec_context.extradata
        frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
    return [frame.reformat(format="rgba", src_colorspace="ITU709").to_ndarray() for frame in frames]


@pytest.mark.parametrize("ending", [".webm", ".mov"])
def test_transparent_videos_keep_alpha_and_the_colours_of_edges(tmp_path: Path, ending: str) -> None:
    frames = [disc(shift) for shift in (-6.0, 0.0, 6.0)]
    with VideoWriter(tmp_path / f"a{ending}", 25, transparent=True) as writer:
        for frame in frames:
            writer.write(frame)
    back = decoded(tmp_path / f"a{ending}")
    assert len(back) == 3
    for shown, frame in zip(back, frames, strict=True):
        apart = np.abs(shown[..., 3].astype(int) - frame[..., 3])
        assert apart.mean() < 1.5
        assert shown[frame[..., 3] == 0, 3].max() < 40
        edge = (frame[..., 3] > 30) & (frame[..., 3] < 225)
        assert edge.sum() > 50
        assert np.abs(shown[edge, :3].astype(int) - COLOUR).mean() < 8  # black from beyond would pull it down by 100


def test_an_opaque_webm_reads_as_any_video(tmp_path: Path) -> None:
    frame = np.full((64, 48, 3), (30, 160, 90), np.uint8)
    with VideoWriter(tmp_path / "a.webm", 30) as writer:
        for _ in range(4):
            writer.write(frame)
    shown = list(VideoReader(tmp_path / "a.webm"))
    assert len(shown) == 4
    assert np.abs(shown[2].astype(int) - frame).max() <= 4


def test_png_frames_keep_every_bit(tmp_path: Path) -> None:
    with FrameWriter(tmp_path / "frames") as writer:
        writer.write(disc())
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "frames" / "00000.png")), disc())


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_containers_without_alpha_are_refused_and_the_others_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be transparent; \.webm and \.mov can, and PNG files"):
        check_video_output(tmp_path / name, transparent=True)
    with pytest.raises(InputError, match="cannot be transparent"):
        VideoWriter(tmp_path / name, 25, transparent=True)
    check_video_output(tmp_path / name)


def test_a_missing_encoder_is_said_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "Codec", lambda name, mode: (_ for _ in ()).throw(ValueError(name)))
    with pytest.raises(InputError, match="has no encoder prores_ks for ProRes 4444"):
        check_video_output(tmp_path / "a.mov", transparent=True)


def test_a_frame_without_alpha_does_not_go_into_a_transparent_video(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"shape \(64, 64, 4\)"),
        VideoWriter(tmp_path / "a.webm", 25, transparent=True) as writer,
    ):
        writer.write(disc()[..., :3])
    assert not (tmp_path / "a.webm").exists()


def test_pictures_are_transparent_where_their_format_can(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", disc())
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a.png")), disc())
    with pytest.raises(InputError, match=r"a \.jpg cannot be transparent; \.png, \.webp, \.tiff can"):
        write_image(tmp_path / "a.jpg", disc())
