"""The command line as people use it: what they get, what they are told, and what is left when something is wrong."""

import importlib.metadata
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("typer", reason="needs the extra [person]")
pytest.importorskip("av", reason="needs the extra [person]")
from PIL import Image
from typer.testing import CliRunner, Result

import warpkit
from warpkit.models import Look, Pipeline, Travel, Turn
from warpkit.models.app import INTERRUPTED, REFUSED, console
from warpkit.models.app.commands import app
from warpkit.models.app.doctor import EXTRAS
from warpkit.models.data.motion_library import MOTIONS
from warpkit.models.errors import InputError
from warpkit.models.media.video import VideoReader

PACKAGE = str(Path(warpkit.__file__).parents[1])


def warpkit_command(*arguments: object) -> Result:
    """Runs the command inside this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def in_a_process(*arguments: object, before: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs it as the installed script does, after the statements `before`."""
    script = f"import sys; sys.argv[0] = 'warpkit'; {before}\nfrom warpkit.models.app.cli import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | {"PYTHONPATH": PACKAGE, "COLUMNS": "100"},
    )


def sentence_of(result: Result) -> str:
    """The last line on stderr; checks that it is a sentence of ours and that no result and no traceback was printed."""
    assert result.exit_code == REFUSED, result.output
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("warpkit: ")
    return last


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of nobody."""
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((200, 160, 3), 130, np.uint8)).save(path)
    return path


class MadeUp:
    """Stands in for an imitation: six grey frames."""

    fps = Fraction(30000, 1001)
    num_frames = 6
    size = (64, 64)
    device = "cpu"
    audio_from = None
    transparent = False

    def __init__(self, notes: tuple[str, ...] = ()) -> None:
        self.notes = list(notes)

    def __iter__(self) -> Iterator[np.ndarray]:
        for _ in range(self.num_frames):
            yield np.full((64, 64, 3), 90, np.uint8)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Puts the stand-in behind the command; the list holds what it was called with."""
    calls: list[dict[str, object]] = []

    class MadeUpPipeline:
        def __init__(self, *weights: object, **options: object) -> None:
            self.loaded = {"weights": weights[0], **options}

        def imitate(self, photos: list[Path], motion: str, **options: object) -> MadeUp:
            calls.append({"photos": photos, "motion": motion, **self.loaded, **options})
            return MadeUp(notes=("3 people were found in [a].jpg; the largest was taken",))

    monkeypatch.setattr(Pipeline, "from_pretrained", MadeUpPipeline)
    return calls


# --- what people get


def test_help_names_every_command() -> None:
    done = in_a_process("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("imitate", "body", "motions", "doctor", "--version"))


def test_version_is_the_package_s() -> None:
    result = warpkit_command("--version")
    assert result.exit_code == 0
    try:
        expected = importlib.metadata.version("warpkit")
    except importlib.metadata.PackageNotFoundError:
        expected = "unknown"
    assert expected in result.stdout


def test_it_starts_where_there_is_no_hang_up_signal() -> None:
    done = in_a_process("--version", before="import signal; del signal.SIGHUP")  # as on Windows
    assert done.returncode == 0, done.stderr


def test_motions_are_listed_with_their_length() -> None:
    lines = warpkit_command("motions").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(MOTIONS)
    assert all(re.search(r"\d\.\d s  \w", line) for line in lines)


def test_doctor_tells_versions_kernels_and_extras() -> None:
    report = warpkit_command("doctor").stdout
    for fact in ("warpkit", "torch", "SIMD", "CUDA kernels", "GPU", "anny", *(f"[{extra}]" for extra in EXTRAS)):
        assert fact in report


def test_imitate_writes_the_video_the_frames_and_the_notes(
    tmp_path: Path, photo: Path, made_up: list[dict[str, object]]
) -> None:
    result = warpkit_command(
        "imitate", photo, photo, "--motion", "walk", "--out", tmp_path / "new" / "a.mp4", "--frames", tmp_path / "f",
        "--size", 64, "--background", "white", "--person", 2, "--fps", 12, "--device", "cpu", "--side-by-side",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    video = VideoReader(tmp_path / "new" / "a.mp4")
    assert (video.num_frames, video.size, video.fps) == (6, (64, 64), MadeUp.fps)
    assert len(list((tmp_path / "f").iterdir())) == 6
    assert "3 people were found in [a].jpg" in result.stderr
    assert "6 frames of 64 x 64 at 29.97" in result.stdout
    (call,) = made_up
    call.pop("progress")
    assert call == {
        "photos": [photo, photo], "motion": "walk", "look": Look(64, "white", 12.0), "person": 2, "device": "cpu",
        "side_by_side": True, "personalize": 0, "body": "anny", "body_folder": None, "renderer": None, "weights": None,
        "cache": True, "reference_person": None, "turn": Turn([0.0], [0.0], [0.0]), "travel": Travel(),
    }  # fmt: skip


def test_without_a_terminal_stages_are_lines(tmp_path: Path, photo: Path, made_up: list[dict[str, object]]) -> None:
    result = warpkit_command("imitate", photo, "--motion", "walk", "--out", tmp_path / "a.mp4")
    assert "Rendering on cpu …" in result.stderr.splitlines()


def test_without_a_terminal_too_the_time_left_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "PATIENCE", 0.0)
    with console.Bars() as bars:
        bars.stage("Rendering", 4)
        for _ in range(4):
            time.sleep(0.002)
            bars.advance()
    assert re.search(r"Rendering: 3 of 4, \d s left", capsys.readouterr().err)


# --- what they are told


def test_a_wrong_path_is_named(tmp_path: Path) -> None:
    result = warpkit_command("imitate", tmp_path / "nobody.jpg", "--motion", "walk", "--out", tmp_path / "a.mp4")
    assert "nobody.jpg does not exist" in sentence_of(result)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("size", "sentence"), [((50, 50), "only 50 x 50 pixels"), ((10_000, 10_000), "at most 80 megapixels")]
)
def test_pictures_too_small_or_too_large_are_refused(tmp_path: Path, size: tuple[int, int], sentence: str) -> None:
    Image.new("1", size).save(tmp_path / "photo.png")
    photo = tmp_path / "photo.png"
    moving = warpkit_command("imitate", photo, "--motion", "walk", "--out", tmp_path / "a.mp4")
    assert sentence in sentence_of(moving)
    assert sentence in sentence_of(warpkit_command("body", photo, "--out", tmp_path / "a.npz"))


@pytest.mark.parametrize(("content", "sentence"), [(b"", "is empty"), (b"hello", "is not a picture")])
def test_an_unreadable_photo_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    result = warpkit_command("imitate", tmp_path / "photo.jpg", "--motion", "walk", "--out", tmp_path / "a.mp4")
    assert sentence in sentence_of(result)


def test_a_photo_of_nobody_is_refused(tmp_path: Path, photo: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra [person]")
    result = warpkit_command("imitate", photo, "--motion", "walk", "--out", tmp_path / "a.mp4")
    assert "photo.png: no person was found" in sentence_of(result)
    assert "no person was found" in sentence_of(warpkit_command("body", photo, "--out", tmp_path / "a.npz"))
    assert list(tmp_path.iterdir()) == [photo]


def test_an_unknown_motion_gets_the_known_ones_listed(tmp_path: Path, photo: Path) -> None:
    sentence = sentence_of(warpkit_command("imitate", photo, "--motion", "fly", "--out", tmp_path / "a.mp4"))
    assert "'fly'" in sentence
    assert all(name in sentence for name in MOTIONS)


def test_an_unknown_background_is_refused(tmp_path: Path, photo: Path) -> None:
    options = ["--motion", "walk", "--out", tmp_path / "a.mp4", "--background", "beach.jpg"]
    assert "background 'beach.jpg'" in sentence_of(warpkit_command("imitate", photo, *options))


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--size", 63, "size must be"),
        ("--size", 100_000, "size must be"),
        ("--device", "tpu", "auto, cpu or cuda"),
        ("--body", "smurf", "unknown body 'smurf'"),
        ("--body", "smpl", "needs the folder"),
    ],
)
def test_values_that_cannot_be_are_refused(
    tmp_path: Path, photo: Path, option: str, value: object, sentence: str
) -> None:
    options = ["--motion", "walk", "--out", tmp_path / "a.mp4", option, value]
    assert sentence in sentence_of(warpkit_command("imitate", photo, *options))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--background", "transparent"], "a .mp4 cannot be transparent; .webm and .mov can, and PNG files"),
        (["--background", "reference"], "background reference needs a video as the motion"),
        (["--camera", "copy"], "camera copy needs a video as the motion"),
        (["--camera", "follow", "--frame", "photo"], "camera follow does not go with frame photo"),
        (["--frame", "photo", "--side-by-side"], "side by side shows three opaque squares"),
        (["--smooth", "9"], "smoothed over 0 to 5 seconds, not 9"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    tmp_path: Path, photo: Path, options: list[str], sentence: str
) -> None:
    told = sentence_of(warpkit_command("imitate", photo, "--motion", "walk", "--out", tmp_path / "a.mp4", *options))
    assert sentence in told
    assert not (tmp_path / "a.mp4").exists()


def test_sheets_and_views_that_contradict_their_background_are_refused(tmp_path: Path, photo: Path) -> None:
    def told(*options: object) -> str:
        return sentence_of(warpkit_command("view", photo, *options))

    assert "a .jpg cannot be transparent" in told(
        "--azimuth", 30, "--out", tmp_path / "a.jpg", "--background", "transparent"
    )
    assert "a sheet is opaque" in told("--sheet", "--out", tmp_path / "a.png", "--background", "transparent")
    assert "here nothing moves" in told("--out", tmp_path / "a.mp4", "--background", "reference")


@pytest.mark.parametrize(
    "arguments",
    [
        ["imitate"],
        ["imitate", "a.jpg", "--motion", "walk"],
        ["imitate", "a.jpg", "--motion", "walk", "--out", "a.mp4", "--person", "0"],
        ["imitate", "a.jpg", "--motion", "walk", "--out", "a.mp4", "--fps", "0"],
        ["imitate", "a.jpg", "--motion", "walk", "--out", "a.mp4", "--size", "big"],
        ["imitate", "a.jpg", "--motion", "walk", "--out", "a.mp4", "--camera", "away"],
        ["imitate", "a.jpg", "--motion", "walk", "--out", "a.mp4", "--frame", "round"],
        ["imitate", "a.jpg", "--motion", "walk", "--out", "a.mp4", "--renderer", "neural"],
        ["imitate", "a.jpg", "--motion", "walk", "--out", "a.mp4", "--nonsense"],
        ["fly"],
    ],
)
def test_wrong_options_are_usage_errors(arguments: list[str]) -> None:
    result = warpkit_command(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_a_video_without_frames_is_no_motion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video")
    for name, sentence in (("empty.mp4", "is empty"), ("text.mp4", "is not a video")):
        with pytest.raises(InputError, match=sentence):
            VideoReader(tmp_path / name)


def test_more_than_eight_photos_are_refused(tmp_path: Path, photo: Path) -> None:
    result = warpkit_command("imitate", *[photo] * 9, "--motion", "walk", "--out", tmp_path / "a.mp4")
    assert "1 to 8 photos" in sentence_of(result)


# --- outputs


def test_an_input_is_not_replaced_whatever_is_said(photo: Path, tmp_path: Path) -> None:
    link = tmp_path / "linked.png"
    link.symlink_to(photo)
    before = photo.read_bytes()
    for arguments in (["view", photo, "--azimuth", "0"], ["transfer", "a.jpg", "--wear", f"{photo}:upper"]):
        for out in (photo, link):
            assert "is an input too" in sentence_of(warpkit_command(*arguments, "--out", out, "--force"))
    assert photo.read_bytes() == before


def test_an_output_that_exists_needs_force(tmp_path: Path, photo: Path, made_up: list[dict[str, object]]) -> None:
    out = tmp_path / "a.mp4"
    out.write_text("precious")
    options = ["imitate", photo, "--motion", "walk", "--out", out]
    assert "--force" in sentence_of(warpkit_command(*options))
    assert not made_up, "the work began before the output was asked for"
    assert out.read_text() == "precious"
    assert warpkit_command(*options, "--force").exit_code == 0
    assert VideoReader(out).num_frames == 6


@pytest.mark.parametrize(("name", "sentence"), [("a.gif", "must end in .mp4"), ("photo.png/a.mp4", "not a folder")])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, photo: Path, made_up: list[dict[str, object]], name: str, sentence: str
) -> None:
    result = warpkit_command("imitate", photo, "--motion", "walk", "--out", tmp_path / name)
    assert sentence in sentence_of(result)
    assert not made_up


def test_a_folder_of_other_things_is_never_replaced_by_frames(
    tmp_path: Path, photo: Path, made_up: list[dict[str, object]]
) -> None:
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "monday.txt").write_text("sunny")
    options = ["--motion", "walk", "--out", tmp_path / "a.mp4", "--frames", tmp_path / "diary", "--force"]
    assert "holds other things" in sentence_of(warpkit_command("imitate", photo, *options))
    assert not made_up


def test_body_outputs_need_the_right_names(tmp_path: Path, photo: Path) -> None:
    assert "must end in .npz" in sentence_of(warpkit_command("body", photo, "--out", tmp_path / "a.txt"))
    options = ["--out", tmp_path / "a.npz", "--overlay", tmp_path / "a.txt"]
    assert "must end in .png" in sentence_of(warpkit_command("body", photo, *options))


def test_a_fault_is_told_without_a_traceback_unless_debug(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the moon is full [bold]")

    monkeypatch.setattr(Pipeline, "from_pretrained", broken)
    options = ["imitate", photo, "--motion", "walk", "--out", tmp_path / "a.mp4"]
    quiet, loud = warpkit_command(*options), warpkit_command(*options, "--debug")
    assert (quiet.exit_code, loud.exit_code) == (1, 1)
    assert "RuntimeError: the moon is full [bold]" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr


def test_out_of_memory_says_what_to_lower(tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def huge(*_: object, **__: object) -> None:
        torch.empty(2**50)

    monkeypatch.setattr(Pipeline, "from_pretrained", huge)
    done = warpkit_command("imitate", photo, "--motion", "walk", "--out", tmp_path / "a.mp4")
    assert done.exit_code == REFUSED
    assert "out of memory: lower --size" in sentence_of(done)


SLOW = """
import numpy as np, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
from warpkit.models import Look, Pipeline, Travel, Turn
class Slow:
    fps, num_frames, size, device, audio_from, notes, transparent = 25, 10**6, (64, 64), 'cpu', None, [], False
    def __iter__(self):
        while True:
            yield np.random.randint(0, 255, (64, 64, 3), np.uint8)
class SlowPipeline:
    imitate = lambda *_, **__: Slow()
Pipeline.from_pretrained = lambda *_, **__: SlowPipeline()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_an_interrupt_leaves_nothing_half_written(tmp_path: Path, photo: Path, number: int, status: int) -> None:
    script = f"{SLOW}\nfrom warpkit.models.app.cli import main\nmain()"
    out = tmp_path / "out"
    arguments = ["imitate", photo, "--motion", "walk", "--out", out / "a.mp4", "--frames", out / "f"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": PACKAGE},
    )
    try:
        end = time.monotonic() + 60
        while not (out.exists() and len(list(out.iterdir())) == 2):  # both drafts are there: rendering is under way
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == status
    assert "nothing was left half-written" in told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == [photo]


# --- a missing extra


@pytest.mark.parametrize("missing", ["typer", "rich", "av", "PIL", "ai_edge_litert"])
def test_a_missing_extra_is_named(tmp_path: Path, photo: Path, missing: str) -> None:
    done = in_a_process(
        "imitate", photo, "--motion", "walk", "--out", tmp_path / "a.mp4", before=f"sys.modules[{missing!r}] = None"
    )
    assert done.returncode == REFUSED, done.stderr
    assert f"'{missing}'" in done.stderr
    assert "the extra [person] brings it: pip install '.[person]' in the folder of warpkit's sources" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_works_where_the_command_line_s_own_packages_are_missing() -> None:
    done = in_a_process("doctor", before="sys.modules['typer'] = None")
    assert done.returncode == 0, done.stderr
    assert "SIMD" in done.stdout
