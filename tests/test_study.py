"""The user study: nothing tells whose a result is, and the tally finds out."""

import csv
import errno
import json
import os

import pytest

from warpkit.models.errors import InputError
from warpkit.models.metrics.study import ANSWERS, KEY, Verdict, make_study, tally

METHODS = ("ours", "theirs", "others")


@pytest.fixture
def results(tmp_path):
    for method in (*METHODS, "_source"):
        (tmp_path / "results" / method).mkdir(parents=True)
        for case in range(12):
            (tmp_path / "results" / method / f"{case:04d}.png").write_bytes(f"{method} {case}".encode())
    (tmp_path / "results" / "ours" / "only_ours.png").write_bytes(b"x")
    return tmp_path / "results"


def answer(study, method, sheet=None, but=0):
    """Fills a sheet as somebody would who always likes `method`, by looking at the pictures alone."""
    groups = sorted(path for path in study.iterdir() if path.is_dir())
    rows = [["group", "best"]]
    for number, group in enumerate(groups):
        letter = next(p.stem for p in group.iterdir() if p.read_bytes().startswith(method.encode()))
        rows.append([group.name, "" if number < but else letter.lower()])
    sheet = study / ANSWERS if sheet is None else sheet
    with sheet.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return sheet


def test_a_group_has_one_case_of_every_method_and_the_reference(results, tmp_path):
    out = tmp_path / "study"
    assert make_study(results, out) == 12
    seen = set()
    for group in (path for path in out.iterdir() if path.is_dir()):
        assert sorted(path.name for path in group.iterdir()) == ["A.png", "B.png", "C.png", "source.png"]
        contents = {path.read_bytes().decode() for path in group.iterdir()}
        cases = {content.split()[1] for content in contents}
        assert len(cases) == 1
        assert {content.split()[0] for content in contents} == {*METHODS, "_source"}
        seen |= cases
    assert len(seen) == 12


def test_orders_differ_and_nothing_but_the_hidden_file_names_a_method(results, tmp_path):
    out = tmp_path / "study"
    make_study(results, out, groups=10, seed=4)
    key = json.loads((out / KEY).read_text())["groups"]
    assert len(key) == 10
    assert len({tuple(letters.values()) for letters in key.values()}) > 1
    visible = [path for path in out.rglob("*") if not path.name.startswith(".")]
    assert not any(method in path.relative_to(out).as_posix() for path in visible for method in METHODS)
    assert not any(method in (out / ANSWERS).read_text() for method in METHODS)
    other = tmp_path / "again"
    make_study(results, other, groups=10, seed=4)
    assert (other / KEY).read_text() == (out / KEY).read_text()


def test_the_tally_finds_whom_people_like(results, tmp_path):
    out = tmp_path / "study"
    make_study(results, out, about={"weights": "some"})
    sheets = [answer(out, "ours"), answer(out, "theirs", tmp_path / "second.csv", but=3)]
    verdict = tally(out, sheets)
    assert verdict.chosen == {"ours": 12, "theirs": 9, "others": 0}
    assert verdict.about == {"weights": "some"}
    assert Verdict(**json.loads(verdict.to_json())) == verdict
    assert (verdict.answers, verdict.people, verdict.open) == (21, 2, 3)
    assert "| ours | 12 | 57.1% |" in verdict.to_markdown()
    assert tally(out).chosen["ours"] == 12


def test_chance_and_interval_of_21_of_30():
    verdict = Verdict({"one": 21, "two": 9}, 30, 1, 0)
    many = Verdict({"one": 2100, "two": 900}, 3000, 100, 0)
    assert 0 <= many.by_chance("one") < 1e-90 < many.by_chance("two") <= 1
    assert verdict.by_chance("one") == pytest.approx(0.02139, abs=1e-5)  # the sign test's
    assert verdict.by_chance("two") == pytest.approx(1 - 0.00806, abs=1e-4)
    assert verdict.interval("one") == pytest.approx((0.5212, 0.8334), abs=1e-4)


def test_answers_end_their_lines_as_text_does_and_those_of_spreadsheets_are_read_too(results, tmp_path):
    out = tmp_path / "study"
    make_study(results, out)
    assert b"\r" not in (out / ANSWERS).read_bytes()
    assert b"\r\n" in answer(out, "ours").read_bytes()
    assert tally(out).chosen["ours"] == 12


def test_a_full_disk_leaves_no_half_of_a_study(results, tmp_path, monkeypatch):
    copies: list[int] = []

    def copy(result, place):
        if len(copies) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copies.append(place.write_bytes(result.read_bytes()))

    monkeypatch.setattr("warpkit.models.metrics.study.shutil.copyfile", copy)
    with pytest.raises(InputError, match="study cannot be written: No space left"):
        make_study(results, tmp_path / "on" / "the" / "way" / "study")
    assert len(copies) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_a_study_goes_into_no_folder_that_cannot_be_written(results, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    make_study(results, tmp_path / "empty")  # an empty one will do
    assert (tmp_path / "empty" / KEY).is_file()
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        make_study(results, tmp_path / "file" / "study")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="does not allow it"):
        make_study(results, tmp_path / "study")


def test_what_cannot_be_a_study_is_refused(results, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        make_study(tmp_path / "away", tmp_path / "out")
    with pytest.raises(InputError, match="no folder of the method 'nobody'"):
        make_study(results, tmp_path / "out", methods=["ours", "nobody"])
    with pytest.raises(InputError, match="2 to 26 methods, got 1"):
        make_study(results, tmp_path / "out", methods=["ours"])
    with pytest.raises(InputError, match="fewer than 13"):
        make_study(results, tmp_path / "out", groups=13)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="exists already"):
        make_study(results, results)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("group,best\ngroup_001,Z\n", "line 2: expected one of A, B, C, got 'Z'"),
        ("group,best\ngroup_099,A\n", "no group 'group_099'"),
        ("group,best\ngroup_001,A\ngroup_001,B\n", "line 3: group_001 is answered twice"),
        ("a,b\n", "expected the columns group,best"),
        ("", "expected the columns group,best"),
        ("group,best\ngroup_001,\n", "no answers yet"),
    ],
)
def test_a_bad_sheet_of_answers_is_told_by_its_line(results, tmp_path, text, message):
    out = tmp_path / "study"
    make_study(results, out)
    (out / ANSWERS).write_text(text)
    with pytest.raises(InputError, match=message):
        tally(out)


def test_the_commands(results, tmp_path):
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from warpkit.models.app.commands import app

    out = tmp_path / "study"
    done = CliRunner().invoke(app, ["study", "make", str(results), "--out", str(out), "--methods", "ours,theirs"])
    assert done.exit_code == 0, done.output
    answer(out, "theirs")
    done = CliRunner().invoke(app, ["study", "tally", str(out)])
    assert done.exit_code == 0, done.output
    assert "| theirs | 12 | 100.0% |" in done.output
    counts = tmp_path / "counts.json"
    tallied = ["study", "tally", str(out), "--json", str(counts)]
    assert CliRunner().invoke(app, tallied).exit_code == 0
    assert json.loads(counts.read_text())["chosen"]["theirs"] == 12
    counts.write_text("something dear")
    refused = CliRunner().invoke(app, tallied)
    assert (refused.exit_code, counts.read_text()) == (2, "something dear")
    assert CliRunner().invoke(app, [*tallied, "--force"]).exit_code == 0
    assert json.loads(counts.read_text())["answers"] == 12
    assert CliRunner().invoke(app, ["study", "tally", str(results)]).exit_code == 2


def test_sheets_show_every_group_under_its_letters(tmp_path):
    pytest.importorskip("PIL")
    import numpy as np

    from warpkit.models.media.images import read_image, write_image

    for method, light in (("ours", 90), ("theirs", 200), ("_source", 10)):
        for case in range(5):
            picture = np.full((80, 64, 3), light + case, np.uint8)
            write_image(tmp_path / "results" / method / f"{case}.png", picture)
    assert make_study(tmp_path / "results", tmp_path / "study", sheets=2, height=80) == 5
    sheets = sorted((tmp_path / "study").glob("sheet_*.png"))
    assert [sheet.name for sheet in sheets] == ["sheet_01.png", "sheet_02.png", "sheet_03.png"]
    key = json.loads((tmp_path / "study" / KEY).read_text())["groups"]
    sheet = read_image(sheets[0])
    for row, group in enumerate(list(key)[:2]):
        middle = sheet[6 + row * 112 + 26 + 40, 38::70, 0][:3]  # source, A, B
        assert middle[0] < 20
        assert [("ours", "theirs")[int(light > 150)] for light in middle[1:]] == [key[group]["A"], key[group]["B"]]


def test_sheets_of_videos_are_refused(tmp_path):
    for method in ("ours", "theirs"):
        (tmp_path / "results" / method).mkdir(parents=True)
        (tmp_path / "results" / method / "1.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match="sheets are made of pictures"):
        make_study(tmp_path / "results", tmp_path / "study", sheets=1)
    assert not (tmp_path / "study").exists()
