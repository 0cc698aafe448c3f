"""What is drawn from clips: the three tasks of section 3.4, exactly the same for the same seed and step."""

import json
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("av", reason="needs the extra [person]")
pytest.importorskip("ai_edge_litert", reason="needs the extra [person]")
from clip_videos import FakeRecovery, coloured

from warpkit.models.batch import Pictures, SurfaceCondition, make_batch
from warpkit.models.bodies import JOINTS, BodyModel
from warpkit.models.data.clips import ClipCases, Settings, backdrop, maker, prepare_clips
from warpkit.models.data.clips import ClipSamples as AnyClipSamples
from warpkit.models.data.clips import samples as samples_module
from warpkit.models.data.clips.store import Index, StoredClip, clip_path
from warpkit.models.errors import InputError

OUTFITS = {("ann", "red"): 10, ("ann", "blue"): 40, ("ann", "green"): 70, ("ben", "suit"): 100, ("eve", "coat"): 130}
OUTFITS |= {("eve", "dress"): 160, ("zoe", "gown"): 190}
FRAMES = 6
ClipSamples = partial(AnyClipSamples, least_fit=0.0)  # the stand-in's masks are boxes


@pytest.fixture(scope="module")
def cache(model: BodyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven videos of four people, each turning once; ben stands still. The shade tells video and frame."""
    folder = tmp_path_factory.mktemp("samples")
    for (who, clothes), colour in OUTFITS.items():
        coloured(folder / "videos" / who / clothes / "a.mp4", colour, FRAMES)
    fake = FakeRecovery()

    def turn(frames, model, fps, **options):  # type: ignore[no-untyped-def]
        frames = list(frames)
        fake.turn = 0.0 if 90 < frames[0].mean() < 120 else 2 * np.pi
        return fake(frames, model, fps, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maker, "recover_video", turn)
        patch.setattr(backdrop, "fill_background", lambda picture, hole: picture)
        prepare_clips(folder / "videos", folder / "cache", model, Settings(size=64, matte=False))
    return folder / "cache"


def which(pictures: Pictures) -> list[list[tuple[str, str, int]]]:
    """Who, in which clothes, and which frame each picture is, told from its shade."""
    shades = ((pictures.image.mean((2, 3, 4)) + 1) * 127.5).tolist()
    colours = {colour: outfit for outfit, colour in OUTFITS.items()}
    result = []
    for row in shades:
        found = [max(colour for colour in colours if colour <= shade + 3) for shade in row]
        result.append([(*colours[c], round((shade - c) / 4)) for c, shade in zip(found, row, strict=True)])
    return result


def draws(samples: AnyClipSamples, sources: int, steps: int = 12) -> Iterator[tuple[list, tuple, Tensor]]:
    """For each of many people: the sources, the target, and which sources are valid."""
    for step in range(steps):
        given, target = samples.draw(step, 3, sources)
        yield from zip(which(given), (row[0] for row in which(target)), given.valid, strict=True)


def test_imitation_takes_different_frames_of_one_video(cache: Path, model: BodyModel) -> None:
    people = set()
    for given, target, valid in draws(ClipSamples(cache, model, split=None), 2):
        assert valid.all()
        assert {one[:2] for one in given} == {target[:2]}
        assert len({target, *given}) == 3
        people.add(target[:2])
    assert people == set(OUTFITS)


def test_transfer_takes_one_person_in_other_clothes(cache: Path, model: BodyModel) -> None:
    people = set()
    for given, target, valid in draws(ClipSamples(cache, model, split=None, task="transfer"), 2):
        assert valid.all()
        assert {one[0] for one in given} == {target[0]}
        assert target[1] not in {one[1] for one in given}
        if target[0] == "ann":
            assert len({one[1] for one in given}) == 2  # of her two other outfits each once
        people.add(target[:2])
    assert people == {outfit for outfit in OUTFITS if outfit[0] in ("ann", "eve")}


def test_views_show_one_person_from_other_sides(cache: Path, model: BodyModel) -> None:
    people = set()
    for given, target, valid in draws(ClipSamples(cache, model, split=None, task="view"), 3):
        assert valid.all()
        assert {one[:2] for one in given} == {target[:2]}
        assert len({target, *given}) == 4  # frames are 60 degrees apart
        people.add(target[0])
    assert people == {"ann", "eve", "zoe"}  # ben never turns


def test_more_sources_than_frames_are_filled_up_and_marked(cache: Path, model: BodyModel) -> None:
    given, target = ClipSamples(cache, model, split=None).draw(0, 2, 8)
    assert given.valid.sum(1).tolist() == [FRAMES - 1] * 2
    assert given.valid[:, 0].all()
    assert target.valid.all()
    for row, (aim,), valid in zip(which(given), which(target), given.valid, strict=True):
        used = [one for one, good in zip(row, valid.tolist(), strict=True) if good]
        assert len(set(used)) == len(used)
        assert aim not in used


def same(one: tuple[Pictures, Pictures], other: tuple[Pictures, Pictures]) -> bool:
    return all(
        torch.equal(getattr(a, name), getattr(b, name))
        for a, b in zip(one, other, strict=True)
        for name in ("image", "alpha", "vertices", "valid", "plate")
    )


@pytest.mark.parametrize("task", ["imitation", "transfer", "view"])
def test_draws_follow_from_seed_and_step_alone(cache: Path, model: BodyModel, task) -> None:  # type: ignore[no-untyped-def]
    first = ClipSamples(cache, model, split=None, seed=5, task=task)
    later = ClipSamples(cache, model, split=None, seed=5)
    in_order = [first.draw(step, 2, 2) for step in range(4)]
    assert same(later.draw(3, 2, 2, task), in_order[3])
    assert not same(in_order[2], in_order[3])
    assert not same(ClipSamples(cache, model, split=None, seed=6, task=task).draw(3, 2, 2), in_order[3])


def test_pictures_are_as_systems_want_them(cache: Path, model: BodyModel) -> None:
    sources, target = ClipSamples(cache, model, split=None).draw(0, 2, 3)
    assert sources.image.shape == (2, 3, 3, 64, 64)
    assert sources.alpha.shape == (2, 3, 1, 64, 64)
    assert sources.vertices.shape == (2, 3, model.num_vertices, 3)
    assert target.image.shape == (2, 1, 3, 64, 64)
    assert sources.plate is not None
    assert sources.plate.shape == (2, 3, 64, 64)
    assert sources.image.min() >= -1
    assert set(sources.alpha.unique().tolist()) >= {0.0, 1.0}
    batch = make_batch(sources, target.vertices[:, 0], model, SurfaceCondition(model), target=target)
    overlap = (batch.source_silhouette * sources.alpha).sum() / batch.source_silhouette.sum()
    assert overlap > 0.4  # the stand-in's mask is a box about the body: bodies lie where the people are


def test_smaller_pictures_show_the_same(cache: Path, model: BodyModel) -> None:
    large, _ = ClipSamples(cache, model, split=None).draw(0, 1, 2)
    small, _ = ClipSamples(cache, model, split=None, size=32).draw(0, 1, 2)
    assert small.image.shape[-2:] == (32, 32)
    assert torch.equal(small.vertices, large.vertices)
    reduced = torch.nn.functional.avg_pool2d(large.alpha[0], 2)
    torch.testing.assert_close(small.alpha[0], reduced, atol=2 / 255, rtol=0)
    with pytest.raises(InputError, match="64 pixels; 128 cannot be had"):
        ClipSamples(cache, model, size=128)


@pytest.mark.parametrize("by", ["clothes", "identity"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_training_and_test_share_no_group(cache: Path, model: BodyModel, by, seed: int) -> None:  # type: ignore[no-untyped-def]
    parts = [ClipSamples(cache, model, split=split, by=by, seed=seed) for split in ("train", "test")]
    names = [{entry.name for entry in part.clips} for part in parts]
    assert not names[0] & names[1]
    assert len(names[0] | names[1]) == len(OUTFITS)
    assert all(names)
    groups = [{entry.identity if by == "identity" else entry.person for entry in part.clips} for part in parts]
    assert not groups[0] & groups[1]


def edited(cache: Path, copy: Path, **changes: object) -> Path:
    """The cache with another index."""
    copy.mkdir()
    (copy / "clips").symlink_to(cache / "clips")
    (copy / "index.json").write_text(json.dumps(json.loads((cache / "index.json").read_text()) | changes))
    return copy


def test_data_set_s_own_split_is_followed(cache: Path, model: BodyModel, tmp_path: Path) -> None:
    entries = json.loads((cache / "index.json").read_text())["clips"]
    for entry in entries:
        entry["split"] = "test" if entry["identity"] == "ann" else "train"
    told = edited(cache, tmp_path / "told", clips=entries)
    assert {entry.identity for entry in ClipSamples(told, model, split="test").clips} == {"0/ann"}
    assert "0/ann" not in {entry.identity for entry in ClipSamples(told, model).clips}
    drawn = [ClipSamples(told, model, split="test", data_set_split=False, seed=seed) for seed in range(6)]
    assert {entry.identity for part in drawn for entry in part.clips} != {"0/ann"}


def test_views_are_taken_where_the_data_set_says_that_people_turn(
    cache: Path, model: BodyModel, tmp_path: Path
) -> None:
    entries = json.loads((cache / "index.json").read_text())["clips"]
    for entry in entries:
        entry["kind"] = "turn" if entry["clothes"] == "red" else "motion"
        entry["clothes"] = "all" if entry["identity"] == "ann" else entry["clothes"]
    samples = ClipSamples(edited(cache, tmp_path / "told", clips=entries), model, split=None, task="view")
    seen = {target[:2] for _, target, _ in draws(samples, 1, 20)}
    assert {outfit for outfit in seen if outfit[0] == "ann"} == {("ann", "red")}


def test_caches_that_cannot_be_drawn_from_are_told_apart(cache: Path, model: BodyModel, tmp_path: Path) -> None:
    settings = json.loads((cache / "index.json").read_text())["settings"]
    for number, (changes, sentence) in enumerate(
        (
            ({"complete": False}, "not finished"),
            ({"clips": []}, "none is for train"),
            ({"settings": settings | {"body_digest": "0"}}, "with the body 'anny'"),
            ({"clips": 3}, "damaged"),
        )
    ):
        with pytest.raises(InputError, match=sentence):
            ClipSamples(edited(cache, tmp_path / str(number), **changes), model)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="warpkit prepare"):
        ClipSamples(tmp_path, model)


def test_several_caches_are_drawn_as_one_and_their_people_never_mixed(
    cache: Path, model: BodyModel, tmp_path: Path
) -> None:
    entries = json.loads((cache / "index.json").read_text())["clips"]
    halves = [
        edited(
            cache, tmp_path / "one", clips=[entry for entry in entries if entry["clothes"] in ("red", "blue", "coat")]
        ),
        edited(cache, tmp_path / "two", clips=[entry for entry in entries if entry["clothes"] in ("green", "dress")]),
    ]
    samples = ClipSamples(halves, model, split=None)
    assert len(samples.clips) == 5
    assert len({target[:2] for _, target, _ in draws(samples, 1)}) == 5
    transferred = {
        (*target[:2], *given[0][:2])
        for given, target, _ in draws(ClipSamples(halves, model, split=None, task="transfer"), 1)
    }
    assert transferred == {("ann", "red", "ann", "blue"), ("ann", "blue", "ann", "red")}  # not green: another cache's
    twice = ClipSamples([halves[0], cache], model, split=None)
    assert len(twice.clips) == 7  # a video that lies in both counts once …
    for seed in range(4):
        parts = [ClipSamples([halves[0], cache], model, split=split, seed=seed) for split in ("train", "test")]
        keys = [{entry.key for entry in part.clips} for part in parts]
        assert not keys[0] & keys[1]  # … and not on one side in one and on the other in the other
        assert len(keys[0] | keys[1]) == 7


def test_more_clips_are_read_at_once_than_files_are_kept_open(
    cache: Path, model: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ClipSamples(cache, model, split=None).draw(0, 6, 2, "transfer")
    monkeypatch.setattr(samples_module, "OPEN_FILES", 1)
    assert same(ClipSamples(cache, model, split=None).draw(0, 6, 2, "transfer"), expected)


def test_task_that_nobody_can_play_is_refused(cache: Path, model: BodyModel, tmp_path: Path) -> None:
    entries = json.loads((cache / "index.json").read_text())["clips"]
    ben = edited(cache, tmp_path / "ben", clips=[entry for entry in entries if entry["identity"] == "ben"])
    samples = ClipSamples(ben, model, split=None)
    with pytest.raises(InputError, match="two outfits"):
        samples.draw(0, 1, 1, "transfer")
    with pytest.raises(InputError, match="turns by 30°"):
        samples.draw(0, 1, 1, "view")
    with pytest.raises(ValueError, match="task must be one of"):
        samples.draw(0, 1, 1, "dance")  # type: ignore[arg-type]
    given, _ = samples.draw(0, 1, 2)  # who stands still is drawn all the same, in poses that are alike
    assert given.valid.all()


def test_frames_whose_body_does_not_fit_are_not_drawn(cache: Path, model: BodyModel) -> None:
    samples = AnyClipSamples(cache, model, split=None, least_fit=0.0)
    fits = {entry.name: arrays for entry, arrays in zip(samples.clips, samples._arrays, strict=True)}
    assert all(len(arrays["number"]) == FRAMES for arrays in fits.values())
    overlaps = StoredClip(clip_path(cache, samples.clips[-1].key)).arrays["iou"]
    assert len(set(overlaps.round(3))) > 1  # seen from the side, a T-pose fits the box otherwise
    bound = float(np.median(overlaps))
    good = np.flatnonzero(overlaps >= bound)
    some = AnyClipSamples(cache, model, split=None, least_fit=bound)
    place = [entry.name for entry in some.clips].index("zoe/gown/a.mp4")
    assert some._arrays[place]["number"].tolist() == good.tolist()
    for given, target, valid in draws(some, 2, 20):
        if target[0] == "zoe":
            shown = [target, *(one for one, fine in zip(given, valid, strict=True) if fine)]
            assert {frame for _, _, frame in shown} <= set(good.tolist())
    with pytest.raises(InputError, match="in none of 7 clips the bodies fit"):
        AnyClipSamples(cache, model, split=None, least_fit=1.1)


def test_damaged_picture_is_told_and_never_used(cache: Path, model: BodyModel, tmp_path: Path) -> None:
    copy = edited(cache, tmp_path / "copy")
    (copy / "clips").unlink()
    (copy / "clips").mkdir()
    for entry in Index.read(cache).clips:
        content = bytearray(clip_path(cache, entry.key).read_bytes())
        place = content.index(b"\xff\xd8\xff") + 300  # inside the first picture
        content[place : place + 4] = bytes(byte ^ 255 for byte in content[place : place + 4])
        clip_path(copy, entry.key).write_bytes(content)
    samples = ClipSamples(copy, model, split=None)
    with pytest.raises(InputError, match=r"missing or damaged.*prepare the clips again"):
        for step in range(20):
            samples.draw(step, 4, 2)


class Steps(torch.utils.data.Dataset):
    """Draws as a data loader's workers see them."""

    def __init__(self, samples: AnyClipSamples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return 8

    def __getitem__(self, step: int) -> float:
        return float(self.samples.draw(step, 2, 2)[0].image.mean())


def test_workers_draw_what_their_parent_would(cache: Path, model: BodyModel) -> None:
    """Open files are not shared with forked processes, whose reading would move each other's place."""
    steps = Steps(ClipSamples(cache, model, split=None))
    expected = [steps[step] for step in range(8)]
    loader = torch.utils.data.DataLoader(steps, batch_size=None, num_workers=2, multiprocessing_context="fork")
    np.testing.assert_allclose(list(loader), expected, atol=1e-6)  # sums of other numbers of threads
    again = pickle.loads(pickle.dumps(steps.samples))
    assert [Steps(again)[step] for step in range(8)] == expected


def test_cross_imitation_takes_anothers_pose_and_keeps_the_shape(cache: Path, model: BodyModel) -> None:
    samples = ClipCases(cache, model, split=None, least_fit=0.0)
    for number, arrays in enumerate(samples._arrays):  # everybody stands alike in the stand-in's clips
        arrays["pose"] = arrays["pose"].copy()
        arrays["pose"][:, JOINTS.index("left_shoulder"), 2] += 0.1 * number
    for step in range(4):
        case = samples.cases("cross", step, 2)
        again = samples.cases("cross", step, 2)
        assert torch.equal(case.target_vertices, again.target_vertices)
        assert case.truth is None
        assert case.real is not None
        assert case.real.image.shape[1] == 8
        everybody = {one[:2] for row in which(case.sources) + which(case.real) for one in row}
        assert len(everybody) == 1  # all of one person in one outfit
        places = case.target_vertices[0, :, :2]
        shown = case.sources.vertices[0, 0, :, :2]
        assert (places - shown).norm(dim=-1).max() > 0.01
        assert (places.mean(0) - shown.mean(0)).norm() < 0.5  # placed and scaled as in the first source
        height, own = (one[:, 1].max() - one[:, 1].min() for one in (places, shown))
        assert 0.5 < height / own < 2


def test_evaluation_of_clips_has_the_tasks_that_videos_can_show(cache: Path, model: BodyModel) -> None:
    samples = ClipCases(cache, model, split=None, least_fit=0.0)
    assert samples.tasks == ("self", "cross", "views")
    for task in ("self", "views"):
        case = samples.cases(task, 1, 2)  # type: ignore[arg-type]
        assert case.truth is not None
        assert torch.equal(case.target_vertices, case.truth.vertices[:, 0])
    with pytest.raises(ValueError, match="task: expected one of self, cross, views, got 'transfer'"):
        samples.cases("transfer", 0, 1)


def test_cross_imitation_of_one_clip_alone_is_refused(cache: Path, model: BodyModel) -> None:
    samples = ClipCases(cache, model, split=None, least_fit=0.0)
    del samples.clips[1:]
    with pytest.raises(InputError, match="one clip only"):
        samples.cases("cross", 0, 1)


def test_gathered_cases_bring_the_picture_of_the_geometric_renderer(cache: Path, model: BodyModel) -> None:
    plain, samples = (ClipCases(cache, model, split=None, least_fit=0.0, gathered=one) for one in (False, True))
    for task in ("self", "cross"):
        case, other = (one.cases(task, 1, 2) for one in (samples, plain))  # type: ignore[arg-type]
        assert other.gathered is None
        assert torch.equal(case.target_vertices, other.target_vertices)
        assert case.gathered is not None
        bodies, drawn = case.gathered.bodies, case.gathered.geometric
        size = (samples.size, samples.size)
        torch.testing.assert_close(
            bodies.camera.project(model(bodies.pose, bodies.shape), size), case.sources.vertices[0]
        )
        assert drawn.colour.shape == (1, 3, *size)
        x, y = ((case.target_vertices[0, :, :2] + 1) * samples.size / 2).long().clamp(0, samples.size - 1).unbind(-1)
        assert (drawn.alpha[0, 0, y, x] > 0).float().mean() > 0.8  # it lies on the body that is asked for
