"""Files that are damaged in every way that a disk, a download or a wrong name damages them: used, or a sentence."""

import io
import os
import random
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="needs the extra [person]")
pytest.importorskip("typer", reason="needs the extra [person]")
from PIL import Image
from typer.testing import CliRunner, Result

import warpkit
from warpkit.models.app import REFUSED
from warpkit.models.app.commands import app
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import make_motion
from warpkit.models.errors import InputError
from warpkit.models.media import video
from warpkit.models.media.images import read_image
from warpkit.models.media.video import VideoReader, VideoWriter
from warpkit.models.systems.liquid_warping import PRESETS, build
from warpkit.models.systems.liquid_warping.checkpoints import load, save

CORRUPTIONS = 100


def scene(side: int = 80) -> np.ndarray:
    """uint8 [side, side, 3] with something for a codec to do."""
    rows, columns = np.mgrid[:side, :side]
    return np.stack([3 * rows % 256, 2 * columns % 256, rows * columns // 16 % 256], -1).astype(np.uint8)


def picture(format: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(scene()).save(buffer, format)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file of each kind, by its ending."""
    folder = tmp_path_factory.mktemp("whole")
    files = {".jpg": picture("JPEG"), ".png": picture("PNG"), ".webp": picture("WEBP")}
    for ending in (".mp4", ".webm"):
        with VideoWriter(folder / f"a{ending}", Fraction(25)) as writer:
            for shift in range(6):
                writer.write(np.roll(scene(), 3 * shift, 1))
        files[ending] = (folder / f"a{ending}").read_bytes()
    make_motion("walk", fps=5.0).save(folder / "a.npz")
    files[".npz"] = (folder / "a.npz").read_bytes()
    save(build(replace(PRESETS["paper"], width=8, discriminator_width=4)), folder / "a.safetensors")
    files[".safetensors"] = (folder / "a.safetensors").read_bytes()
    return files


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def damaged(whole: dict[str, bytes], ending: str, seed: int) -> bytes:
    """A file of this ending, damaged."""
    chance = random.Random(f"{ending} {seed}")
    content = bytearray(whole[ending])
    length = len(content)
    early = chance.random() < 0.5  # headers are where it hurts
    start = chance.randrange(min(length, 600) if early else length)
    kind = chance.choice(["cut", "flip", "zero", "noise", "repeat", "drop", "swap", "join"])
    size = chance.randint(1, max(1, length // 4))
    other = whole[chance.choice([name for name in whole if name != ending])]
    if kind == "cut":
        return bytes(content[:start])
    if kind == "flip":
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(min(length, 600) if early else length)
            content[place] ^= 1 << chance.randrange(8)
    elif kind == "zero":
        content[start : start + size] = bytes(len(content[start : start + size]))
    elif kind == "noise":
        content[start : start + size] = chance.randbytes(len(content[start : start + size]))
    elif kind == "repeat":
        content[start:start] = content[start : start + size]
    elif kind == "drop":
        del content[start : start + size]
    elif kind == "swap":
        return other
    elif kind == "join":
        return bytes(content[:start]) + other
    return bytes(content)


def read_video(path: Path) -> None:
    reader = VideoReader(path)
    assert min(reader.size) >= 1
    assert reader.fps > 0
    for frame in reader:
        assert frame.dtype == np.uint8
        assert frame.shape[2] == 3


def read_picture(path: Path) -> None:
    assert read_image(path).shape[2] == 3


def read_motion(path: Path) -> None:
    assert len(Motion.load(path)) > 0


def read_checkpoint(path: Path) -> None:
    for value in load(path).state_dict().values():
        assert value.isfinite().all()


READERS: dict[str, Callable[[Path], None]] = {
    ".jpg": read_picture,
    ".png": read_picture,
    ".webp": read_picture,
    ".mp4": read_video,
    ".webm": read_video,
    ".npz": read_motion,
    ".safetensors": read_checkpoint,
}


@pytest.mark.parametrize("ending", READERS)
def test_a_damaged_file_is_used_or_refused_with_a_sentence(
    ending: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    told = []
    for seed in range(CORRUPTIONS):
        path = tmp_path / f"{seed}{ending}"
        path.write_bytes(damaged(whole, ending, seed))
        try:
            READERS[ending](path)
        except InputError as error:
            told.append((path.name, str(error)))
        path.unlink()
    assert all(name in sentence and len(sentence) < 600 for name, sentence in told), told
    assert len(told) > CORRUPTIONS // 4  # else hardly anything was damaged
    assert not list(tmp_path.iterdir())  # readers leave nothing


def sentence_of(result: Result) -> str:
    assert result.exit_code == REFUSED, result.output
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("warpkit: ")
    return last


PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"


@pytest.mark.parametrize("role", ["photo", "second photo", "background", "video", "motion", "weights"])
def test_through_the_command_line_too_before_any_long_work(
    role: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file is named at once, whatever it was given as, and nothing is left beside what was there."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("long work began")

    for where in ("sources.recover_detection", "imitate.recover_clip"):
        monkeypatch.setattr(f"warpkit.models.tasks.{where}", never)
    ending = {"video": ".mp4", "motion": ".npz", "weights": ".safetensors"}.get(role, ".jpg")
    good = tmp_path / "good.jpg"
    good.write_bytes(whole[".jpg"])
    for number, content in enumerate([PDF, b"", whole[ending][: len(whole[ending]) // 3], whole[".png"][:90]]):
        bad = tmp_path / f"bad{number}{ending}"
        bad.write_bytes(content)
        photos = {"photo": [bad], "second photo": [good, bad]}.get(role, [good])
        arguments = [*photos, "--motion", bad if role in ("video", "motion") else "walk", "--out", tmp_path / "a.mp4"]
        arguments += {"background": ["--background", bad], "weights": ["--weights", bad]}.get(role, [])
        assert bad.name in sentence_of(command("imitate", *arguments, "--device", "cpu"))
        bad.unlink()
    assert list(tmp_path.iterdir()) == [good]


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 3000 + "b.jpg", "../" * 50 + "nobody.jpg", "nobody.jpg/b.jpg"])
def test_names_that_no_file_can_have_are_sentences(name: str, tmp_path: Path, whole: dict[str, bytes]) -> None:
    good, out = tmp_path / "good.jpg", ["--out", tmp_path / "a.mp4", "--device", "cpu"]
    good.write_bytes(whole[".jpg"])
    sentence_of(command("imitate", name, "--motion", "walk", *out))
    sentence_of(command("imitate", good, "--motion", name, *out))
    sentence_of(command("imitate", good, "--motion", "walk", "--background", name, *out))
    sentence_of(command("imitate", good, "--motion", "walk", "--weights", name, *out))
    sentence_of(command("imitate", good, "--motion", "walk", "--out", f"{tmp_path}/{'x' * 300}.mp4"))
    sentence_of(command("imitate", good, "--and", f"{name}+{name}:2", "--motion", "walk", *out))
    long = ["--motion", "walk", "--motion", "wave", "--out", f"{tmp_path}/{'x' * 300}"]
    sentence_of(command("imitate", good, *long))
    sentence_of(command("transfer", good, "--wear", f"{name}:upper", "--out", tmp_path / "a.png"))
    assert list(tmp_path.iterdir()) == [good]


def test_a_video_of_8k_is_read_frame_by_frame_and_a_larger_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VideoWriter(tmp_path / "8k.mp4", 25) as writer:
        writer.write(np.zeros((4320, 7680, 3), np.uint8))
    reader = VideoReader(tmp_path / "8k.mp4")
    assert reader.size == (4320, 7680)
    assert next(iter(reader)).shape == (4320, 7680, 3)
    monkeypatch.setattr(video, "MAX_PIXELS", 33_000_000)
    with pytest.raises(InputError, match=r"8k\.mp4 have 7680 x 4320 pixels; at most 33 megapixels"):
        VideoReader(tmp_path / "8k.mp4")


def test_an_archive_that_unpacks_to_gigabytes_is_no_motion(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as packed, packed.open("a.npy", "w") as file:
        for _ in range(257):
            file.write(bytes(2**20))
    with pytest.raises(InputError, match="holds 257 MiB, a motion at most 256"):
        Motion.load(tmp_path / "bomb.npz")


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np, torch
from warpkit.models.data.motion_library import make_motion
from warpkit.models.errors import InputError
from warpkit.models.media.images import write_image
from warpkit.models.media.video import FrameWriter, VideoWriter
from warpkit.models.systems.liquid_warping import PRESETS, build
from warpkit.models.systems.liquid_warping.checkpoints import save
from dataclasses import replace
folder, noise = Path(sys.argv[1]), np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
def video(path):
    with VideoWriter(path, 25, overwrite=True) as writer:
        for _ in range(80):
            writer.write(np.random.default_rng(0).permutation(noise))
def frames(path):
    with FrameWriter(path, overwrite=True) as writer:
        writer.write(noise)
makers = {
    "a.mp4": video, "a.webm": video, "frames": frames,
    "a.png": lambda path: write_image(path, noise, overwrite=True),
    "a.jpg": lambda path: write_image(path, noise, overwrite=True),
    "a.npz": make_motion("walk", fps=25.0).save,
    "a.safetensors": lambda path: save(system, path),
}
system = build(replace(PRESETS["paper"], width=8, discriminator_width=4))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # as a disk with three thousand bytes left
for name, make in makers.items():
    try:
        make(folder / name)
    except InputError as error:
        print(name, "|", error)
"""


def test_a_full_disk_is_a_sentence_and_what_was_there_stays(tmp_path: Path) -> None:
    names = ["a.mp4", "a.webm", "a.png", "a.jpg", "a.npz", "a.safetensors"]
    for name in names:
        (tmp_path / name).write_bytes(b"finished before")
    run = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(Path(warpkit.__file__).parents[1])},
    )
    assert run.returncode == 0, run.stderr
    told = dict(line.split(" | ") for line in run.stdout.splitlines())
    assert told.keys() == {*names, "frames"}
    assert all("cannot be written" in sentence for sentence in told.values())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(names, b"finished before")


KILLED = """
import os, signal, sys
import numpy as np
from warpkit.models.media.video import VideoWriter
with VideoWriter(sys.argv[1], 25, overwrite=True) as writer:
    for _ in range(60):
        writer.write(np.zeros((64, 64, 3), np.uint8))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_finished_before_a_process_was_killed_stays_valid(tmp_path: Path, whole: dict[str, bytes]) -> None:
    out = tmp_path / "a.mp4"
    out.write_bytes(whole[".mp4"])
    environment = os.environ | {"PYTHONPATH": str(Path(warpkit.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", KILLED, out], timeout=120, env=environment)
    assert run.returncode == -signal.SIGKILL
    assert out.read_bytes() == whole[".mp4"]
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["a.mp4"]
    with VideoWriter(out, 25, overwrite=True) as writer:  # and the next run is not hindered
        writer.write(np.zeros((64, 64, 3), np.uint8))
    assert len(list(VideoReader(out))) == 1
