"""Preparing clips: what is kept, made again or skipped, and what a killed run leaves."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("av", reason="needs the extra [person]")
pytest.importorskip("ai_edge_litert", reason="needs the extra [person]")
from clip_videos import SMALL, FakeInWorkers, FakeRecovery, coloured, stored, two_people
from typer.testing import CliRunner, Result

import warpkit
from warpkit.models.app.commands import app
from warpkit.models.bodies import BodyModel
from warpkit.models.data.clips import Settings, maker, prepare, prepare_clips
from warpkit.models.data.clips.store import ClipWriter, Index, StoredClip, clip_path
from warpkit.models.errors import InputError


@pytest.fixture
def recovery(monkeypatch: pytest.MonkeyPatch) -> FakeRecovery:
    return FakeRecovery.put_in(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return two_people(tmp_path / "videos")


def test_second_run_makes_nothing(folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery) -> None:
    first = prepare_clips(folder, tmp_path / "cache", model, SMALL)
    second = prepare_clips(folder, tmp_path / "cache", model, SMALL)
    assert (first.made, first.kept) == (["ann/a.mp4", "ben/b.mp4"], [])
    assert (second.made, second.kept) == ([], ["ann/a.mp4", "ben/b.mp4"])
    assert recovery.calls == 2
    assert second.frames == first.frames == 12


def test_changed_video_is_made_again_and_the_old_clip_is_not_used(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery
) -> None:
    cache = tmp_path / "cache"
    prepare_clips(folder, cache, model, SMALL)
    before, (old, other) = os.stat(folder / "ann" / "a.mp4"), Index.read(cache).clips
    coloured(folder / "ann" / "a.mp4", 200)
    os.utime(folder / "ann" / "a.mp4", ns=(before.st_atime_ns, before.st_mtime_ns))  # its time does not tell
    report = prepare_clips(folder, cache, model, SMALL)
    assert (report.made, report.kept) == (["ann/a.mp4"], ["ben/b.mp4"])
    new, same = Index.read(cache).clips
    assert same == other
    assert new.key != old.key
    image, _ = stored(cache).picture(0, 64)
    assert abs(int(image.mean()) - 200) < 5
    assert prepare.unused(cache) == sorted([clip_path(cache, old.key), cache / "recovered" / f"{old.recovered}.npz"])


@pytest.mark.parametrize(
    ("changed", "recovers"),
    [
        (Settings(size=72, matte=False), False),
        (Settings(size=64, matte=False, margin=0.3), False),
        (Settings(size=64, matte=True), False),
        (Settings(size=64, matte=False, every=2), True),
        (Settings(size=64, matte=False, person=1), True),
    ],
)
def test_changed_settings_make_clips_again_but_recover_only_if_need_be(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery, changed: Settings, recovers: bool
) -> None:
    prepare_clips(folder, tmp_path / "cache", model, SMALL)
    report = prepare_clips(folder, tmp_path / "cache", model, changed)
    assert len(report.made) == 2
    assert recovery.calls == (4 if recovers else 2)
    assert len(prepare_clips(folder, tmp_path / "cache", model, SMALL).kept) == 2  # the first are still there


def test_renamed_video_is_not_recovered_again(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery
) -> None:
    prepare_clips(folder, tmp_path / "cache", model, SMALL)
    (folder / "ann").rename(folder / "zoe")
    assert prepare_clips(folder, tmp_path / "cache", model, SMALL).made == []
    assert [entry.identity for entry in Index.read(tmp_path / "cache").clips] == ["ben", "zoe"]


def test_removed_video_is_not_used_any_more(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery
) -> None:
    prepare_clips(folder, tmp_path / "cache", model, SMALL)
    (folder / "ann" / "a.mp4").unlink()
    prepare_clips(folder, tmp_path / "cache", model, SMALL)
    assert [entry.name for entry in Index.read(tmp_path / "cache").clips] == ["ben/b.mp4"]


def test_one_video_under_two_names_is_used_once(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery
) -> None:
    (folder / "carl.mp4").write_bytes((folder / "ben" / "b.mp4").read_bytes())
    report = prepare_clips(folder, tmp_path / "cache", model, SMALL)
    assert report.doubles == [("carl.mp4", "ben/b.mp4")]
    assert len(Index.read(tmp_path / "cache").clips) == 2


@pytest.mark.parametrize("damage", [b"", b"PK\x05\x06" + bytes(18), None])
def test_damaged_clip_is_made_again(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery, damage: bytes | None
) -> None:
    cache = tmp_path / "cache"
    prepare_clips(folder, cache, model, SMALL)
    path = clip_path(cache, Index.read(cache).clips[0].key)
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    assert prepare_clips(folder, cache, model, SMALL).made == ["ann/a.mp4"]
    assert len(stored(cache)) == 6


def test_interrupted_run_goes_on_where_it_stopped(
    folder: Path, tmp_path: Path, model: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(call: int) -> None:
        if call == 2:
            raise KeyboardInterrupt

    fake = FakeRecovery(before=interrupt)
    monkeypatch.setattr(maker, "recover_video", fake)
    with pytest.raises(KeyboardInterrupt):
        prepare_clips(folder, tmp_path / "cache", model, SMALL)
    assert not Index.read(tmp_path / "cache").complete
    report = prepare_clips(folder, tmp_path / "cache", model, SMALL)
    assert (report.made, report.kept) == (["ben/b.mp4"], ["ann/a.mp4"])
    assert fake.calls == 3
    assert Index.read(tmp_path / "cache").complete


KILLED = """
import sys, time
from pathlib import Path
sys.path[:0] = [{tests!r}]
from clip_videos import FakeRecovery
from warpkit.models.bodies import load_body
from warpkit.models.data.clips import Settings, backdrop, maker, prepare, prepare_clips
from warpkit.models.data.clips.store import ClipWriter

add, count = ClipWriter.add, 0
def slow(self, image, alpha):
    global count
    count += 1
    if count == 9:  # the third frame of the second video
        print("there", flush=True)
        time.sleep(60)
    add(self, image, alpha)
ClipWriter.add = slow
maker.recover_video = FakeRecovery()
prepare_clips(Path({folder!r}), Path({cache!r}), load_body(), Settings(size=64, matte=False))
"""


def test_killed_run_leaves_nothing_half_made_and_goes_on_where_it_stopped(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery
) -> None:
    cache = tmp_path / "cache"
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(folder), cache=str(cache))
    environment = os.environ | {"PYTHONPATH": str(Path(warpkit.__file__).parents[1])}
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert run.stdout is not None
    assert run.stdout.readline() == "there\n"
    with pytest.raises(InputError, match="another run is at work"):
        prepare_clips(folder, cache, model, SMALL)
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert list((cache / "clips").glob(".*.part*"))  # what a killed run leaves …
    report = prepare_clips(folder, cache, model, SMALL)
    assert (report.made, report.kept) == (["ben/b.mp4"], ["ann/a.mp4"])
    assert recovery.calls == 0  # the second video's bodies were there already
    assert not list(cache.rglob("*.part*"))  # … the next one clears away
    assert len(stored(cache, 1)) == 6


def test_several_processes_make_what_one_makes(
    folder: Path, tmp_path: Path, model: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "ben" / "text.mp4").write_text("no video")
    coloured(folder / "carl.mp4", 180)
    monkeypatch.setattr(maker, "recover_video", FakeRecovery())
    told: list[str] = []
    one = prepare_clips(folder, tmp_path / "one", model, SMALL)
    two = prepare_clips(folder, tmp_path / "two", FakeInWorkers(model), SMALL, jobs=2, tell=told.append)  # type: ignore[arg-type]
    assert two == one
    assert one.made == ["ann/a.mp4", "ben/b.mp4", "carl.mp4"]
    assert len(told) == 1
    assert Index.read(tmp_path / "one") == Index.read(tmp_path / "two")
    for entry in Index.read(tmp_path / "one").clips:
        first, second = (StoredClip(clip_path(tmp_path / cache, entry.key)) for cache in ("one", "two"))
        np.testing.assert_array_equal(first.picture(3, 64)[0], second.picture(3, 64)[0])


def test_process_that_is_killed_ends_the_run_with_a_sentence(folder: Path, tmp_path: Path, model: BodyModel) -> None:
    with pytest.raises(InputError, match="fewer --jobs, it goes on where it stopped"):
        prepare_clips(folder, tmp_path / "cache", Fatal(), SMALL, jobs=2)  # type: ignore[arg-type]
    assert not Index.read(tmp_path / "cache").complete


class Fatal(torch.nn.Module):
    """No body model: the process that unpickles it dies."""

    name = "fatal"

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (9,)


def test_broken_videos_are_skipped_and_told_and_the_others_made(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery
) -> None:
    (folder / "text.mp4").write_text("no video at all")
    (folder / "empty.mp4").touch()
    whole = (folder / "ann" / "a.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    told: list[str] = []
    report = prepare_clips(folder, tmp_path / "cache", model, SMALL, tell=told.append)
    assert sorted(name for name, _ in report.skipped) == ["cut.mp4", "empty.mp4", "text.mp4"]
    assert len(report.made) == 2
    assert len(told) == 3
    assert all(line.startswith("skipped ") for line in told)
    index = Index.read(tmp_path / "cache")
    assert dict(index.skipped) == dict(report.skipped)
    assert len(index.clips) == 2


def test_video_that_changes_while_it_is_read_is_not_kept(
    folder: Path, tmp_path: Path, model: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(call: int) -> None:
        if call == 1:
            coloured(folder / "ann" / "a.mp4", 200)

    monkeypatch.setattr(maker, "recover_video", FakeRecovery(before=change))
    report = prepare_clips(folder, tmp_path / "cache", model, SMALL)
    assert [name for name, _ in report.skipped] == ["ann/a.mp4"]
    assert "changed while it was read" in report.skipped[0][1]
    assert len(list((tmp_path / "cache" / "recovered").iterdir())) == 1
    assert len(list((tmp_path / "cache" / "clips").iterdir())) == 1
    assert prepare_clips(folder, tmp_path / "cache", model, SMALL).made == ["ann/a.mp4"]


def test_full_disk_stops_the_run_and_blames_no_video(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, image: np.ndarray, alpha: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(ClipWriter, "add", full)
        with pytest.raises(InputError, match="cannot be written: No space left"):
            prepare_clips(folder, tmp_path / "cache", model, SMALL)
    assert Index.read(tmp_path / "cache").skipped == ()
    assert not list((tmp_path / "cache").rglob("*.zip"))
    assert len(prepare_clips(folder, tmp_path / "cache", model, SMALL).made) == 2


def test_names_that_are_no_text_do_no_harm(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery
) -> None:
    coloured(folder / "²10\n.mp4", 200)
    os.rename(folder / "ben" / "b.mp4", os.fsencode(folder) + b"/\xff.mp4")
    run = warpkit_prepare(folder, "--out", tmp_path / "cache", "--size", 64, "--no-matte")
    assert run.exit_code in (0, 3), run.stderr  # whether FFmpeg opens such a name is its own affair
    assert len(Index.read(tmp_path / "cache").clips) >= 2


def test_fault_of_ours_costs_one_video_only(
    folder: Path, tmp_path: Path, model: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(call: int) -> None:
        if call == 1:
            raise ZeroDivisionError("oh")

    monkeypatch.setattr(maker, "recover_video", FakeRecovery(before=fail))
    report = prepare_clips(folder, tmp_path / "cache", model, SMALL)
    assert report.faults == [("ann/a.mp4", "ZeroDivisionError: oh")]
    assert report.made == ["ben/b.mp4"]


def test_folder_with_other_things_is_no_cache(folder: Path, tmp_path: Path, model: BodyModel) -> None:
    with pytest.raises(InputError, match="holds other things"):
        prepare_clips(folder, folder, model, SMALL)
    assert sorted(path.name for path in folder.iterdir()) == ["ann", "ben"]


def warpkit_prepare(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["prepare", *map(str, arguments)])


def test_exit_status_tells_whether_all_some_or_no_videos_could_be_used(
    folder: Path, tmp_path: Path, recovery: FakeRecovery
) -> None:
    options = ("--out", tmp_path / "cache", "--size", 64, "--no-matte")
    whole = warpkit_prepare(folder, *options)
    assert whole.exit_code == 0, whole.stderr
    assert "2 clips (2 made, 0 were there), 12 frames; 0 videos skipped" in whole.stdout
    (folder / "text.mp4").write_text("no video")
    some = warpkit_prepare(folder, *options)
    assert some.exit_code == 3
    assert "2 clips (0 made, 2 were there), 12 frames; 1 video skipped" in some.stdout
    assert "skipped text.mp4: " in some.stderr
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "text.mp4").write_text("no video")
    nothing = warpkit_prepare(tmp_path / "bad", "--out", tmp_path / "other", "--size", 64)
    assert nothing.exit_code == 2
    assert nothing.stdout == ""
    assert "none of the 1 videos" in nothing.stderr.splitlines()[-1]


def test_prune_removes_what_is_not_used_and_nothing_else(folder: Path, tmp_path: Path, recovery: FakeRecovery) -> None:
    cache = tmp_path / "cache"
    warpkit_prepare(folder, "--out", cache, "--size", 64, "--no-matte")
    told = warpkit_prepare(folder, "--out", cache, "--size", 72, "--no-matte")
    assert "note: 2 files of other settings" in told.stderr
    pruned = warpkit_prepare(folder, "--out", cache, "--size", 72, "--no-matte", "--prune")
    assert "2 were there" in pruned.stdout
    assert len(list((cache / "clips").iterdir())) == 2
    assert len(list((cache / "recovered").iterdir())) == 2
    assert warpkit_prepare(folder, "--out", cache, "--size", 72, "--no-matte").exit_code == 0


@pytest.mark.parametrize("wrong", [{"size": 100}, {"size": 0}, {"margin": -1.0}, {"every": 0}, {"folder_fps": 0.0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Settings(**wrong)  # type: ignore[arg-type]


def test_index_of_another_version_is_refused(
    folder: Path, tmp_path: Path, model: BodyModel, recovery: FakeRecovery
) -> None:
    prepare_clips(folder, tmp_path / "cache", model, SMALL)
    path = tmp_path / "cache" / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(InputError, match="another version"):
        Index.read(tmp_path / "cache")
    prepare_clips(folder, tmp_path / "cache", model, SMALL)
    assert Index.read(tmp_path / "cache").complete
