"""Evaluation: cases of the protocol on rendered people, and renderers that are known to be good or bad."""

import json
import math
from dataclasses import replace

import made_up_weights
import pytest
import torch

from warpkit.models.batch import part_box
from warpkit.models.data.cases import TASKS, Case
from warpkit.models.data.people import HeldOut
from warpkit.models.data.people.held_out import redressed
from warpkit.models.data.people.layers import LAYERS
from warpkit.models.data.people.samples import IDENTITIES
from warpkit.models.data.people.wardrobe import people as wardrobe
from warpkit.models.errors import InputError
from warpkit.models.features.osnet import OSNet
from warpkit.models.metrics import Judges, widened
from warpkit.models.metrics.results import Tally
from warpkit.models.systems.liquid_warping import PRESETS, Critics, build
from warpkit.models.tasks.evaluate import (
    GeometricPictures,
    PersonalizedPictures,
    SystemPictures,
    WarpedPictures,
    evaluate,
)

SIZE = 48


@pytest.fixture(scope="module")
def people(model):
    return HeldOut(model, SIZE, "test", 3, supersample=1)


@pytest.fixture(scope="module")
def judges():
    body = OSNet(made_up_weights.osnet(8).state)
    return Judges(body=body, image=body, absent={"face": "nobody looks at faces here"})


class Knows:
    """Draws the truth, or what is wrong with it."""

    def __init__(self, data, task, sources, error=0.0):
        self.data, self.task, self.sources, self.error, self.step = data, task, sources, error, 0

    def __call__(self, case):
        case = self.data.cases(self.task, self.step, self.sources)
        self.step += 1
        return case.truth.image[:, 0] + self.error


@pytest.mark.parametrize("task", TASKS)
def test_a_case_is_the_same_whenever_it_is_drawn_and_of_held_out_people(people, task):
    first, again, other = (people.cases(task, step, 2) for step in (1, 1, 2))
    assert torch.equal(first.sources.image, again.sources.image)
    assert torch.equal(first.target_vertices, again.target_vertices)
    assert not torch.equal(first.sources.image, other.sources.image)
    assert first.kind == "painted"
    assert people.split == "test"
    assert min(IDENTITIES["test"]) > max(IDENTITIES["train"])


def test_views_go_round_a_person_who_stands_still(people, model):
    case = people.cases("views", 0, 2)
    assert case.names == tuple(f"{angle}°" for angle in range(30, 360, 30) if angle != 180)
    assert case.sources.image.shape == (1, 2, 3, SIZE, SIZE)  # the same for all
    assert case.target_vertices.shape[0] == case.truth.image.shape[0] == 10
    boxes = part_box(case.target_vertices, model, ("head",))
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    assert middles.max() - middles.min() < 0.02  # heads stay at one height
    case = people.cases("views", 0, 1)
    assert len(case.names) == 11


def test_transfer_shows_the_wanted_clothes_in_the_references_pose(people):
    case = people.cases("transfer", 0, 2)
    assert case.sources.image.shape[1] == 3
    assert case.parts is not None
    assert case.parts[-1] == ("head",)
    assert all("head" not in parts for parts in case.parts[:-1])
    torch.testing.assert_close(case.sources.vertices[:, -1], case.target_vertices)
    reference, truth = case.sources.image[0, -1], case.truth.image[0, 0]
    assert (reference - truth).abs().mean() > 0.01  # other clothes
    assert (case.sources.image[0, 0] - truth).abs().mean() > 0.01  # another pose


def test_other_clothes_leave_the_person_alone(model):
    one, other = (wardrobe(model, [min(IDENTITIES["test"]) + n]) for n in (1, 2))
    made = redressed(one, other)
    own = ("identity", "shape", "skin", "lips", "eyes", "place", "hair", "hair_line", "beard", "baked")
    assert all(torch.equal(getattr(made, name), getattr(one, name)) for name in own)
    theirs = ("top_length", "sleeve", "bottom_length", "skirt_length", "coat_open", "shoe_height", "sock", "neckline")
    assert all(torch.equal(getattr(made, name), getattr(other, name)) for name in theirs)
    for number, layer in enumerate(LAYERS):
        source = other if layer in ("shoes", "bottom", "skirt", "top", "coat") else one
        assert torch.equal(made.worn[:, number], source.worn[:, number])


def test_cross_imitation_keeps_the_own_shape_and_takes_the_others_pose(people):
    case = people.cases("cross", 0, 1)
    assert case.truth is None
    assert case.real.image.shape[1] == 8
    reach = case.target_vertices[0] - case.sources.vertices[0, 0]
    assert reach[:, :2].norm(dim=-1).max() > 0.1


def test_a_perfect_renderer_beats_one_that_is_off_by_a_known_error(people, model, judges):
    made = {"wrong": Knows(people, "self", 2, 0.2), "perfect": Knows(people, "self", 2)}
    results = evaluate(made, people, model, judges, tasks=["self"], sources=[2], count=2)
    wrong, perfect = (results.tallies["self", 2][name].summary() for name in made)
    assert wrong["psnr"]["mean"] == pytest.approx(20, abs=1e-3)
    assert wrong["psnr/person"]["mean"] == pytest.approx(20, abs=1e-3)
    assert wrong["psnr"]["error"] == pytest.approx(0, abs=1e-3)
    assert perfect["psnr"]["mean"] > 100
    assert perfect["body_cs"]["mean"] == pytest.approx(1, abs=1e-6)
    assert wrong["body_cs"]["mean"] < 1


def test_results_are_written_with_the_names_of_networks(people, model, judges):
    renderers = {"warped": WarpedPictures(model), "small": SystemPictures(build("small"), model)}
    results = evaluate(renderers, people, model, judges, tasks=["cross"], sources=[1], count=2, settings={"seed": 3})
    whole = json.loads(results.to_json())
    assert whole["settings"] == {"seed": 3}
    assert whole["networks"]["face"] == "absent: nobody looks at faces here"
    first, second = whole["runs"]
    assert (first["renderer"], second["renderer"]) == ("warped", "small")
    assert first["against_first"] == {}
    body = [run["summary"]["body_cs"]["mean"] for run in (first, second)]
    assert second["against_first"]["body_cs"]["mean"] == pytest.approx(body[1] - body[0])
    assert first["set_sizes"]["fid"] == [2, 16]
    assert first["sets"]["fid"] >= 0
    text = results.to_markdown()
    assert "## Cross-imitation, one source" in text
    assert "| warped | 2 |" in text
    assert "| against warped | drawings |" in text
    assert "absent: nobody looks at faces here" in text


def test_the_warped_picture_of_an_own_source_is_nearly_the_source(people, model):
    """Imitating the very pose of the only source must give it back, but for what stands off the body."""
    case = people.cases("views", 0, 1)
    sources = case.sources
    image = WarpedPictures(model)(Case(sources, sources.vertices[:, 0]))
    assert (image - sources.image[:, 0]).abs().mean() < 0.05


def test_transfer_takes_no_clothes_from_the_reference(people, model):
    """What the reference wears must not change the picture: only its head is taken."""
    case = people.cases("transfer", 0, 1)
    render = WarpedPictures(model)
    plain = render(case)
    head = part_box(case.target_vertices, model, ("head",))[0]
    below = int((head[3] + 1) / 2 * SIZE) + 3
    image = case.sources.image.clone()
    image[:, -1, :, below:] = 0.123
    other = render(replace(case, sources=replace(case.sources, image=image)))
    torch.testing.assert_close(plain[..., below + 2 :, :], other[..., below + 2 :, :])


@pytest.fixture(scope="module")
def gathered(model):
    return HeldOut(model, SIZE, "test", 3, supersample=1, gathered=True, atlas_size=64)


@pytest.mark.parametrize("task", TASKS)
def test_gathered_cases_bring_what_the_geometric_renderer_draws_and_small_starts_as_it(gathered, model, task):
    case = gathered.cases(task, 1, 1)
    count = len(case.target_vertices)
    drawn = case.gathered.geometric
    assert drawn.colour.shape == (count, 3, SIZE, SIZE)
    assert len(case.gathered.bodies.pose) == case.sources.image.shape[1]
    image = GeometricPictures()(case)
    behind = case.sources.plate.expand_as(image)
    beside = (drawn.alpha == 0).expand_as(image)
    assert torch.equal(image[beside], behind[beside])
    system = SystemPictures(build("small"), model)  # untrained: a correction of nought
    inside = (drawn.seen > 0.9) & (drawn.alpha > 0.9)
    assert inside.any()
    off, without = (
        (system(one) - image).abs().masked_select(inside).mean() for one in (case, replace(case, gathered=None))
    )
    assert off < min(0.08, 0.8 * float(without))


def test_self_imitation_is_drawn_by_the_renderer_that_imitates(gathered):
    case = gathered.cases("self", 0, 2)
    sources, target = gathered.gathered.draw(0, 1, 2)
    assert torch.equal(case.sources.image, sources.image)
    assert torch.equal(case.gathered.geometric.colour, target.geometric.colour[:, 0])
    assert not torch.equal(case.target_vertices, gathered.cases("self", 1, 2).target_vertices)


def test_what_transfer_gathers_has_no_clothes_of_the_reference(gathered, model):
    case = gathered.cases("transfer", 0, 1)
    head = part_box(case.target_vertices, model, ("head",))[0]
    below = int((head[3] + 1) / 2 * SIZE) + 3
    truth, reference = case.truth.image[0, 0], case.sources.image[0, -1]
    person = (case.gathered.geometric.alpha[0] > 0.9) & (case.truth.alpha[0, 0] > 0.9)
    person[:, :below] = False
    made = GeometricPictures()(case)[0]
    error, mixed = ((made - other).abs().masked_select(person).mean() for other in (truth, reference))
    assert error < mixed


def test_the_geometric_renderer_refuses_cases_that_nothing_was_gathered_of(people):
    with pytest.raises(InputError, match="compare with 'warped'"):
        GeometricPictures()(people.cases("self", 0, 1))


def test_personalized_systems_adapt_to_each_case_and_the_system_stays_as_it_is(gathered, model):
    pytest.importorskip("lightning_fabric", reason="needs the extra [train]")
    system = build("small").eval()
    before = {name: value.clone() for name, value in system.state_dict().items()}
    case = gathered.cases("self", 2, 2)
    draw = PersonalizedPictures(system, model, Critics(), steps=1)
    chance = torch.get_rng_state()
    made = draw(case)
    assert torch.equal(torch.get_rng_state(), chance)
    assert made.shape == (1, 3, SIZE, SIZE)
    assert not torch.equal(made, SystemPictures(system, model)(case))
    assert torch.equal(made, draw(case))
    assert all(torch.equal(value, before[name]) for name, value in system.state_dict().items())
    with pytest.raises(InputError, match="two outfits"):
        draw(gathered.cases("transfer", 0, 1))
    with pytest.raises(InputError, match="come without"):
        draw(replace(case, gathered=None))


@pytest.mark.parametrize("parts", [None, (("head",), None), (("left_hand", "head"), ("torso",))])
def test_views_drawn_together_are_those_drawn_alone(people, model, parts):
    case = replace(people.cases("views", 0, 2), parts=parts)
    draw = SystemPictures(build(replace(PRESETS["paper"], width=8)), model)
    plates = case.truth.plate[3:4]
    alone = replace(case, target_vertices=case.target_vertices[3:4], sources=replace(case.sources, plate=plates))
    torch.testing.assert_close(draw(alone)[0], draw(case)[3], atol=1e-5, rtol=0)


def test_errors_are_those_of_cases_and_differences_are_taken_drawing_by_drawing():
    first, second = Tally(), Tally()
    for case, (a, b) in enumerate(([1.0, 1.0], [2.0, 1.0]), 1):
        for tally, value in ((first, a), (second, b)):
            tally.add({"vgg": torch.full((10,), value), "psnr": torch.full((10,), value)}, case, kind="xy"[case - 1])
    # ten drawings of a case are no more than one
    assert first.summary()["vgg"] == pytest.approx({"mean": 1.5, "error": 0.5, "n": 20})
    against = second.against(first)
    assert against["vgg"]["mean"] == -0.5
    assert against["vgg"]["error"] == pytest.approx(0.5)
    assert against["vgg"]["better"] == 0.5  # less is better
    assert against["psnr"]["better"] == 0
    assert against["vgg"]["relative"] == pytest.approx(-1 / 3)
    assert second.of_kind("y").against(first.of_kind("y"))["vgg"]["relative"] == -0.5
    assert math.isnan(second.of_kind("y").summary()["vgg"]["error"])


def test_kinds_of_people_are_told_apart(people, model, judges):
    class Twokinds:
        tasks = ("self",)

        def draw(self, step, batch, sources):
            return people.draw(step, batch, sources)

        def cases(self, task, step, sources):
            return replace(people.cases(task, step, sources), kind=("painted", "photographic")[step % 2])

    results = evaluate({"warped": WarpedPictures(model)}, Twokinds(), model, judges, sources=[1], count=2)
    assert "| warped, painted | 1 |" in results.to_markdown()
    assert "| warped, photographic | 1 |" in results.to_markdown()
    (run,) = json.loads(results.to_json())["runs"]
    assert run["by_kind"]["painted"]["summary"]["psnr"]["n"] == 1


class OnlyDraws:
    def __init__(self, people):
        self.people = people

    def draw(self, step, batch, sources):
        return self.people.draw(step, batch, sources)


def test_data_without_a_task_say_so(people, model, judges):
    renderers = {"warped": WarpedPictures(model)}
    results = evaluate(renderers, OnlyDraws(people), model, judges, tasks=["self", "views"], sources=[1], count=1)
    assert results.skipped["views"] == "the data have no cases of it"
    assert "not evaluated: Novel views" in results.to_markdown()
    assert math.isfinite(results.tallies["self", 1]["warped"].summary()["psnr"]["mean"])
    with pytest.raises(InputError, match="nothing of views can be evaluated"):
        evaluate(renderers, OnlyDraws(people), model, judges, tasks=["views"], sources=[1], count=1)


def test_the_command_writes_results_and_pictures(tmp_path, capsys, monkeypatch):
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from warpkit.models import weights
    from warpkit.models.app.commands import app

    monkeypatch.setattr(weights, "_of_package", lambda name: None)
    out = tmp_path / "made"
    arguments = ["evaluate", "geometric", "--out", str(out), "--sources", "1", "--count", "1", "--size", "32"]
    done = CliRunner().invoke(app, [*arguments, "--pictures", "1", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "| geometric | 1 |" in (out / "results.md").read_text()
    assert json.loads((out / "results.json").read_text())["runs"][0]["task"] == "self"
    assert (out / "pictures/self-1/geometric/0000.png").is_file()
    assert (out / "pictures/self-1/_truth/0000.png").is_file()
    assert CliRunner().invoke(app, arguments).exit_code == 2  # it exists already
    for wrong in (
        ["--tasks", "juggling"],
        ["--sources", "0"],
        ["--sources", "²"],
        ["--size", "33"],
        ["--data", "nowhere"],
        ["--people", "both"],
        ["--background", "red"],
    ):
        refused = CliRunner().invoke(app, [*arguments[:3], str(tmp_path / "other"), *wrong])
        assert refused.exit_code == 2, wrong
        assert not (tmp_path / "other").exists()
    outside = CliRunner().invoke(app, ["evaluate", "../there=geometric", "--out", str(tmp_path / "other")])
    assert outside.exit_code == 2
    assert "folder of pictures" in outside.stderr


def test_what_is_replaced_leaves_no_pictures_of_the_run_before_and_everything_else(tmp_path, monkeypatch):
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    import warpkit.models.tasks.evaluate as module
    from warpkit.models.app.commands import app

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    def files():
        return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}

    monkeypatch.setattr(module, "evaluate", interrupted)
    ours = ("self-4/small/0000.png", "self-4/_source/0000.png", "views-1/small, personalized/0003-90.png")
    others = ("self-4/small/notes.png", "self-4/small/0000.jpg", "mine/small/0000.png", "self-4/0000.png", "me.png")
    for name in (*ours, *others):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a picture")
    (tmp_path / "results.json").write_text("{}")
    before = files()
    arguments = ["evaluate", "warped", "--plain", "--size", "32", "--device", "cpu", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--force", "--size", "33"]).exit_code == 2
    assert files() == before
    CliRunner().invoke(app, [*arguments, "--force"])
    assert files() == {"results.json", *(f"pictures/{name}" for name in others)}
    assert not (tmp_path / "pictures/views-1").exists()


def test_what_nobody_can_compare_is_a_sentence_and_no_empty_table(people, model):
    judges = Judges(absent={"body": "get one", "face": "get one", "image": "get one"})
    renderers = {"warped": WarpedPictures(model), "again": WarpedPictures(model)}
    text = evaluate(renderers, people, model, judges, tasks=["cross", "self"], sources=[1], count=1).to_markdown()
    cross, own = text[text.index("## Cross") :].split("## Self")
    assert "Nothing can be measured here" in cross
    assert "missing (body, face, image; see" in cross
    assert "|" not in cross
    assert "| warped | 1 |" in own
    assert "| against warped | drawings |" in own


def test_the_command_leaves_no_empty_folder_and_refuses_one_that_cannot_be_written(tmp_path, monkeypatch):
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    import warpkit.models.tasks.evaluate as module
    from warpkit.models.app import INTERRUPTED, REFUSED
    from warpkit.models.app.commands import app

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "evaluate", interrupted)
    arguments = ["evaluate", "warped", "--plain", "--size", "32", "--device", "cpu", "--out"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "made")])
    assert done.exit_code == INTERRUPTED, done.output
    assert not (tmp_path / "made").exists()
    (tmp_path / "file").write_text("a file")
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "file" / "made")])
    assert done.exit_code == REFUSED
    assert "cannot be written" in done.stderr
    monkeypatch.setattr("warpkit.models.media.output.os.access", lambda path, mode: False)
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "made")])
    assert done.exit_code == REFUSED
    assert "does not allow it" in done.stderr


def test_the_seed_reaches_cases_and_personalization(tmp_path, monkeypatch):
    pytest.importorskip("typer")
    pytest.importorskip("lightning_fabric", reason="needs the extra [train]")
    from typer.testing import CliRunner

    import warpkit.models.tasks.evaluate as module
    from warpkit.models.app.commands import app
    from warpkit.models.systems.liquid_warping.checkpoints import save

    came = []

    def measure(renderers, samples, *arguments, **options):
        came.append((renderers["small, personalized"].seed, samples.seed))
        raise InputError("this is far enough")

    monkeypatch.setattr(module, "evaluate", measure)
    save(build("small"), tmp_path / "small.safetensors")
    arguments = ["evaluate", str(tmp_path / "small.safetensors"), "--personalize", "1", "--size", "32"]
    for seed in ("0", "7"):
        done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "made"), "--device", "cpu", "--seed", seed])
        assert "this is far enough" in done.stderr, done.output
    assert came == [(0, 0), (7, 7)]


def test_embedded_names_the_model_that_travels_along(tmp_path, monkeypatch, model):
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from warpkit.models.app.commands import app
    from warpkit.models.app.evaluate import _renderer, _told
    from warpkit.models.machine import fingerprint
    from warpkit.models.systems.liquid_warping import embedded_model
    from warpkit.models.systems.liquid_warping.checkpoints import save

    monkeypatch.setattr(embedded_model, "DATA", tmp_path)
    out = str(tmp_path / "made")
    done = CliRunner().invoke(app, ["evaluate", "embedded", "--out", out, "--size", "32", "--device", "cpu"])
    assert done.exit_code == 2, done.output
    assert "holds no trained model" in done.stderr
    save(build("small"), tmp_path / embedded_model.FILE)
    assert isinstance(_renderer("embedded", model, torch.device("cpu"), "same"), SystemPictures)
    assert _told("embedded") == f"embedded, SHA-256 {fingerprint(tmp_path / embedded_model.FILE)}"


def test_error_is_shared_out_among_regions_without_rest(gathered):
    error_shares = pytest.importorskip("benchmarks.error_shares")
    case = gathered.cases("self", 0, 1)
    parts = error_shares.regions(case)
    assert torch.equal(parts.sum(0), widened(case.truth.alpha[:, 0])[0, 0].long())
    near = {"geometric": GeometricPictures(), "truth": lambda one: one.truth.image[:, 0] + 1e-4}
    found = error_shares.measure(near, [case])
    assert sum(found["area"]) == pytest.approx(1)
    assert sum(found["squared"]["geometric"]) == pytest.approx(1)
    assert sum(found["squared"]["truth"]) == pytest.approx(0, abs=1e-3)
    gains = {name: gain["psnr"] for name, gain in found["gains"].items()}
    machine = {"processor": "two cores", "device": "cpu", "date": "2026-11-22T06:20", "commit": "f" * 40}
    about = {"machine": machine, "weights": "a.safetensors", "seed": 0}
    told = error_shares.markdown({**about, "size": 64, "count": 1, "sources": {"1": found}})
    known = error_shares.table({**found, "vgg": {"geometric": [0.1, 0.1, 0.2, 0.5, 0.1]}})
    assert known[-1] == "- with all true but surface that no source shows: VGG distance -50.0 %"
    assert told[2] == "**1 source**, 1 pairs at 64²"
    assert told[0] == "a.safetensors; seed 0; two cores, cpu, commit `fffffff`, 2026-11-22"
    assert f"- truth: {gains['truth']:+.2f} dB" in told
    assert gains["truth"] > 30 > gains["with the true outline"] > 0
