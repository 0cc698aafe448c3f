"""Weights in files: ours, the public layout, the hub's; and what is refused."""

import json
import os
import pickle
import warnings
from dataclasses import replace

import public_twin
import pytest
import torch
from liquid_warping_scene import scene

from warpkit.models.errors import InputError
from warpkit.models.systems.liquid_warping import PRESETS, Sources, build
from warpkit.models.systems.liquid_warping.checkpoints import (
    FORMAT,
    load,
    load_public,
    read_about,
    read_state,
    rename,
    save,
)
from warpkit.models.systems.liquid_warping.inputs import foreground, person_hole, warped_sources

PUBLIC = replace(PRESETS["ipercore"], width=8, discriminator_width=8)


def tiny(seed=0):
    torch.manual_seed(seed)
    return build(replace(PRESETS["paper"], width=8, discriminator_width=4)).eval()


def picture(system, batch):
    with torch.no_grad():
        return system.render(system.encode_sources(batch), batch).image


def test_what_is_saved_renders_the_same(tmp_path):
    system = tiny()
    batch = scene(system)
    save(system, tmp_path / "a.safetensors")
    chance = torch.get_rng_state()
    loaded = load(tmp_path / "a.safetensors")
    assert torch.equal(torch.get_rng_state(), chance)
    assert loaded.preset == system.preset
    assert not loaded.training
    torch.testing.assert_close(picture(loaded, batch), picture(system, batch), atol=0, rtol=0)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_discriminators_go_along_when_told(tmp_path):
    system = tiny()
    save(system, tmp_path / "a.safetensors", discriminators=True)
    assert load(tmp_path / "a.safetensors").state_dict().keys() == system.state_dict().keys()
    torch.testing.assert_close(dict(load(tmp_path / "a.safetensors").state_dict()), dict(system.state_dict()))


def test_small_in_half_precision_fits_into_24_mb(tmp_path):
    torch.manual_seed(0)
    system = build("small").eval()
    save(system, tmp_path / "small.safetensors", dtype=torch.float16)
    assert (tmp_path / "small.safetensors").stat().st_size <= 24e6
    batch = scene(system)
    loaded = load(tmp_path / "small.safetensors", "small")
    assert next(loaded.parameters()).dtype == torch.float32
    torch.testing.assert_close(picture(loaded, batch), picture(system, batch), atol=0.01, rtol=0)


def test_another_preset_is_told_apart(tmp_path):
    save(tiny(), tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"a\.safetensors: holds weights of the preset 'paper', not of 'small'"):
        load(tmp_path / "a.safetensors", "small")


def test_settings_that_this_version_does_not_know_are_a_sentence(tmp_path):
    from safetensors.torch import save_file

    said = {'{"name": "a", "later": 1}': "no setting later", "{": "Expecting", None: "'preset'"}
    for preset, why in said.items():
        about = {"format": FORMAT} | ({} if preset is None else {"preset": preset})
        save_file({"generator.a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata=about)
        with pytest.raises(InputError, match=rf"a\.safetensors: does not say its preset .*{why}"):
            load(tmp_path / "a.safetensors")


def test_a_truncated_file_is_refused(tmp_path):
    save(tiny(), tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    for size in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "b.safetensors").write_bytes(whole[:size])
        with pytest.raises(InputError, match="is not a whole safetensors file"):
            load(tmp_path / "b.safetensors")
    torch.save({"a": torch.zeros(100)}, tmp_path / "c.pth")
    whole = (tmp_path / "c.pth").read_bytes()
    for size in (0, 10, len(whole) // 2):
        (tmp_path / "d.pth").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"d\.pth: (is not a whole|holds pickled code or is damaged)"):
            read_state(tmp_path / "d.pth")


def test_what_is_no_file_of_weights_is_called_what_it_is(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    wrong = (("photo.jpg", "neither a safetensors file nor one"), ("", "is a folder"), ("none.pth", "no such file"))
    for name, sentence in wrong:
        with pytest.raises(InputError, match=sentence):
            load(tmp_path / name)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_pickled_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Bomb()}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps({"a": Bomb()}, protocol=2))
    torch.save(tiny(), tmp_path / "c.pth")
    (tmp_path / "e.pth").write_bytes(pickle.dumps({"a": Bomb()}, protocol=4))
    for name in ("a.pth", "b.pth", "c.pth", "e.pth"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the sentence says all
            with pytest.raises(InputError, match="holds pickled code or is damaged; code in weights is never run"):
                read_state(tmp_path / name)
        with pytest.raises(InputError, match="never run"):
            load_public(tmp_path / name)
        renamed = tmp_path / "d.safetensors"
        renamed.write_bytes((tmp_path / name).read_bytes())
        for read in (load, read_state, read_about):
            with pytest.raises(InputError, match="no safetensors file but a pickled one; code in weights is never run"):
                read(renamed)
    assert not (tmp_path / "exploded").exists()


def test_what_is_not_this_systems_is_refused(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(InputError, match="there is no such file"):
        load(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="does not say that it holds weights of this system"):
        load(tmp_path / "other.safetensors")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="expected a state dict, tensors by name; got list"):
        read_state(tmp_path / "list.pth")
    system = tiny()
    state = {f"generator.{name}": value for name, value in system.generator.state_dict().items()}
    state["generator.extra"] = torch.zeros(1)
    del state["generator.background.layers.0.bias"]
    about = {"format": "warpkit liquid_warping 1", "preset": json.dumps(system.preset.to_dict())}
    save_file(state, tmp_path / "partly.safetensors", metadata=about)
    with pytest.raises(InputError, match=r"background\.layers\.0\.bias is missing; extra is not part of it"):
        load(tmp_path / "partly.safetensors")


def test_weights_in_the_public_layout_give_the_public_networks_pictures(tmp_path):
    state = public_twin.made_up(PUBLIC.width)
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "public.pth")
    system = load_public(tmp_path / "public.pth", preset=PUBLIC)
    batch = scene(system)
    with torch.no_grad():
        made = system.encode_sources(batch, reconstruct=True)
        rendered = system.render(made, batch)
        image, hole = person_hole(batch, 11)
        plate = public_twin.background(state, torch.cat([image * (1 - hole), 1 - hole], 1))
        given = torch.cat([foreground(batch), batch.source_condition], 2)[0]
        features, source_colour, source_mask = public_twin.source(state, given)
        shown = torch.cat([warped_sources(batch), batch.target_condition], 1)
        colour, mask = public_twin.transfer(state, shown, features, batch.flow.grid[0])
    for expected, level in zip(features, made.features, strict=True):
        torch.testing.assert_close(level[0], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rendered.background, plate, atol=1e-4, rtol=1e-4)
    reconstructed = (1 - source_mask) * source_colour + source_mask * plate
    torch.testing.assert_close(rendered.source_images[0], reconstructed, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rendered.colour, colour, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(rendered.alpha, 1 - mask, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(rendered.image, (1 - mask) * colour + mask * plate, atol=1e-3, rtol=1e-3)


def test_public_discriminators_are_read_and_that_of_backgrounds_is_not(tmp_path):
    torch.save(public_twin.made_up(PUBLIC.width), tmp_path / "public.pth")
    widths, state = (6, 8, 16, 32, 64, 64, 1), {}
    for name, channels in (("global", 6), ("body", 6), ("head", 6), ("bg", 4)):
        for layer, place in enumerate((0, 2, 5, 8, 11, 14)):
            before = channels if layer == 0 else widths[layer]
            state[f"{name}_model.model.{place}.weight"] = torch.randn(widths[layer + 1], before, 4, 4)
            state[f"{name}_model.model.{place}.bias"] = torch.randn(widths[layer + 1])
    torch.save(state, tmp_path / "judges.pth")
    system = load_public(tmp_path / "public.pth", tmp_path / "judges.pth", preset=PUBLIC)
    assert (system.discriminators["head"].score.weight == state["head_model.model.14.weight"]).all()
    assert (system.discriminators["body"].convs[4].bias == state["body_model.model.11.bias"]).all()


def test_public_names_of_the_other_strategies(tmp_path):
    state = public_twin.made_up(PUBLIC.width)
    without = {name: value for name, value in state.items() if ".spade." not in name}
    torch.save(without, tmp_path / "adain.pth")
    load_public(tmp_path / "adain.pth", preset=replace(PUBLIC, fusion="attention_adain"))
    plain = {name: value for name, value in without.items() if "attlwbs" not in name}
    torch.save(plain, tmp_path / "add.pth")
    load_public(tmp_path / "add.pth", preset=replace(PUBLIC, fusion="add"))
    gate = {"res_attlwbs.5.gate_conv.2.bias": torch.zeros(1)}
    assert list(rename(gate, {r"enc_attlwbs\.(\d+)\.": r"transfer.fusions.\1."})) == ["transfer.fusions.8.gate.2.bias"]
    with pytest.raises(InputError, match="does not fit this network: transfer"):
        load_public(tmp_path / "add.pth", preset=PUBLIC)


def test_the_hub_keeps_and_gives_back(tmp_path):
    hub = pytest.importorskip("warpkit.models.systems.liquid_warping.hub", exc_type=InputError)
    system = tiny()
    hub.hub_system(system).save_pretrained(tmp_path / "kept")
    loaded = hub.HubLiquidWarping.from_pretrained(str(tmp_path / "kept"))
    batch = scene(system)
    torch.testing.assert_close(picture(loaded, batch), picture(system, batch), atol=0, rtol=0)
    (tmp_path / "kept" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="is not a whole safetensors file"):
        hub.HubLiquidWarping.from_pretrained(str(tmp_path / "kept"))


def test_the_hub_is_pushed_what_load_reads(monkeypatch):
    hub = pytest.importorskip("warpkit.models.systems.liquid_warping.hub", exc_type=InputError)
    from huggingface_hub import HfApi, ModelCard, RepoUrl

    pushed = {}

    def upload(self, *, repo_id, folder_path, **_):
        pushed[repo_id] = load(folder_path / "model.safetensors")

    monkeypatch.setattr(HfApi, "create_repo", lambda self, repo_id, **_: RepoUrl(f"https://huggingface.co/{repo_id}"))
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    monkeypatch.setattr(ModelCard, "validate", lambda *_, **__: None)
    system = tiny()
    hub.hub_system(system).push_to_hub("somebody/somewhat")
    batch = scene(system)
    torch.testing.assert_close(picture(pushed["somebody/somewhat"], batch), picture(system, batch), atol=0, rtol=0)


def test_sources_can_be_kept_and_moved():
    system = tiny()
    sources = system.encode_sources(scene(system))
    assert isinstance(sources, Sources)
    assert sources.to(torch.device("meta")).features[0].device.type == "meta"
