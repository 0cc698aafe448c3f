"""The cache: what is found is what would be made, bit for bit; nothing stale, damaged, or of half a run."""

import errno
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import warpkit
from warpkit.models import cache as module
from warpkit.models.cache import Cache, digest, of_user, pack, unpack


@dataclass(frozen=True)
class Inner:
    scale: Tensor
    about: str | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    box: tuple[float, float]
    picture: np.ndarray
    views: list[Inner]
    count: int = 1


def value() -> Outer:
    image = torch.rand(1, 2, 3, 4).to(memory_format=torch.channels_last)
    one, none = Inner(image, "é"), Inner(torch.empty(0, 0))
    return Outer(one, (0.1, float("inf")), np.arange(6, dtype=np.uint8)[::2], [one, none], 3)


def test_values_come_back_bit_for_bit_with_their_strides() -> None:
    given = value()
    found = unpack(pack(given), (Inner, Outer))
    assert digest(found) == digest(given)
    assert found.inner.scale.stride() == given.inner.scale.stride()
    assert (type(found.box), type(found.views), found.count) == (tuple, list, 3)


def test_any_change_of_an_input_is_another_key() -> None:
    given = value()
    others = [
        given, replace(given, count=4), replace(given, box=(0.1, 0.2)), replace(given, views=given.views[:1]),
        replace(given, picture=given.picture.astype(np.int8)), replace(given, picture=given.picture.reshape(3, 1)),
        replace(given, inner=replace(given.inner, about=None)),
        replace(given, inner=replace(given.inner, scale=given.inner.scale.nextafter(torch.tensor(9.0)))),
    ]  # fmt: skip
    assert len({digest(one) for one in others}) == len(others)
    assert len({digest(one) for one in (1, 1.0, "1", b"1", True, None, [1], [[1]], {1: 1}, torch.tensor(1))}) == 10
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest(value().views[0].scale) != digest(value().views[0].scale)
    network = nn.Linear(2, 2)
    before = digest(network)
    assert digest(network) == before
    with torch.no_grad():
        network.bias[0] += 1
    assert digest(network) != before
    with pytest.raises(TypeError, match="object"):
        digest(object())


def counted(cache: Cache, inputs: object, made: list[object]) -> Outer:
    def make() -> Outer:
        made.append(inputs)
        torch.manual_seed(0)
        return value()

    return cache.remember("things", inputs, make, Inner, Outer)


def test_what_was_made_is_found_and_a_changed_input_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, made = Cache(tmp_path / "new"), []
    photo = np.zeros((2, 2, 3), np.uint8)
    first = counted(cache, (photo, 512), made)
    assert digest(counted(cache, (photo, 512), made)) == digest(first)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert len(made) == 1
    photo[1, 1, 1] = 1
    counted(cache, (photo, 512), made)
    counted(cache, (photo, 256), made)
    assert len(made) == 3
    monkeypatch.setattr(module, "code", lambda: "another version")
    counted(cache, (photo, 256), made)
    assert len(made) == 4
    counted(Cache(None), (photo, 256), made)
    assert (len(made), len(cache.entries())) == (5, 4)


def test_what_is_too_large_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 50)
    cache, made = Cache(tmp_path), []
    assert counted(cache, 0, made).count == counted(cache, 0, made).count == 3
    assert (len(made), cache.entries(), cache.trouble) == (2, [], None)


def test_inputs_that_change_meanwhile_leave_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.remember("things", 1, lambda: 2, valid=lambda: False) == 2
    assert cache.entries() == []


def test_any_damage_is_made_again(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path), []
    counted(cache, 0, made)
    (entry,) = cache.entries()
    whole = entry.path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for number, damaged in enumerate((b"", whole[:-7], bytes(flipped), b"PK" + bytes(200), b"\x80\x04N."), 2):
        entry.path.write_bytes(damaged)
        assert counted(cache, 0, made).count == 3
        assert len(made) == number
        assert entry.path.read_bytes() == whole
    entry.path.unlink()
    cache.keep("things", entry.path.name[:32], b"as written, but no npz file", "npz")
    assert counted(cache, 0, made).count == 3


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache, made = Cache(tmp_path / "file"), []
    assert counted(cache, 0, made).count == counted(cache, 0, made).count
    assert len(made) == 2
    assert cache.trouble is not None
    assert "nothing could be kept" in cache.trouble
    assert cache.entries() == cache.clear() == []


def test_a_cache_that_can_only_be_read_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    cache, made = Cache(tmp_path), []
    first = counted(cache, 0, made)
    monkeypatch.setattr(module.os, "utime", refused)
    assert digest(counted(cache, 0, made)) == digest(first)
    assert len(made) == 1


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for number in range(4):
        cache.keep("things", f"{number:032x}", bytes(1000), "npz")
        path = next(tmp_path.glob(f"things/{number:032x}-*"))
        os.utime(path, (number, number))
    assert cache.find("things", f"{0:032x}")  # now it was used last
    cache.limit = 3500
    cache.keep("things", f"{4:032x}", bytes(1000), "npz")
    assert {entry.path.name[31] for entry in cache.entries()} == {"0", "3", "4"}


def test_clearing_takes_entries_and_old_drafts_and_nothing_else(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for kind in ("bodies", "weights"):
        cache.keep(kind, "0" * 32, b"a", "npz")
    mine = tmp_path / "bodies" / "mine.npz"
    drafts = [tmp_path / "bodies" / f".{'0' * 32}-{'1' * 16}.{number:08x}.part.npz" for number in range(2)]
    for path in (mine, *drafts):
        path.write_text("x")
    os.utime(drafts[0], (0, 0))
    assert [entry.kind for entry in cache.clear("weights")] == ["weights"]
    assert cache.clear(unused=60) == []
    assert [entry.kind for entry in cache.clear()] == ["bodies"]
    assert sorted((tmp_path / "bodies").iterdir()) == [drafts[1], mine]


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for named, base, expected in (
        ("/there", "/base", Path("/there")),
        ("~/mine", "", tmp_path / "mine"),
        ("", "/base", Path("/base/warpkit")),
        ("", "not/absolute", tmp_path / ".cache" / "warpkit"),
        ("", "", tmp_path / ".cache" / "warpkit"),
    ):
        monkeypatch.setenv("WARPKIT_CACHE", named)
        monkeypatch.setenv("XDG_CACHE_HOME", base)
        assert of_user().folder == expected


RUN = """
import sys, numpy as np, torch
from warpkit.models.cache import Cache
cache = Cache(sys.argv[1])
for number in range(60):
    key = number % 5
    found = cache.remember("things", key, lambda: np.full(20_000, key, np.float32))
    assert found.shape == (20_000,) and (found == key).all()
    if number % 7 == int(sys.argv[2]):
        cache.clear()
assert cache.trouble is None, cache.trouble
"""


def test_two_runs_at_once_do_not_break_each_other(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(warpkit.__file__).parents[1])}
    runs = [
        subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path), which], stderr=subprocess.PIPE, env=environment)
        for which in "26"
    ]
    for run in runs:
        _, told = run.communicate(timeout=120)
        assert run.returncode == 0, told.decode()
    assert not [path for path in tmp_path.rglob("*") if ".part" in path.name]


def test_the_command_shows_lists_and_clears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    testing = pytest.importorskip("typer.testing", reason="needs the extra [person]")
    from warpkit.models.app.commands import app

    def run(*arguments: str) -> str:
        result = testing.CliRunner().invoke(app, ["cache", *arguments])
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    monkeypatch.setenv("WARPKIT_CACHE", str(tmp_path))
    assert f"{tmp_path}: 0 entries, 0.0 MB of at most 4295 MB" in run()
    kept = of_user()
    kept.keep("bodies", "0" * 32, bytes(1_500_000), "npz")
    kept.keep("weights", "1" * 32, bytes(500_000), "safetensors")
    os.utime(kept.entries()[0].path, (time.time() - 7300,) * 2)
    shown = run()
    assert "2 entries, 2.0 MB" in shown
    assert "bodies       1 entry, 1.5 MB, last used " in shown
    assert "2 hours ago" in shown
    assert str(tmp_path / "weights") in run("list")
    refused = testing.CliRunner().invoke(app, ["cache", "clear", "--kind", "hats"])
    assert refused.exit_code == 2
    assert "there is bodies, weights" in refused.stderr
    assert run("clear", "--unused", "1") == "removed 0 entries, 0.0 MB\n"
    assert run("clear", "--kind", "bodies") == "removed 1 entry, 1.5 MB\n"
    assert run("clear") == "removed 1 entry, 0.5 MB\n"
