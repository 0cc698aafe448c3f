"""Networks from files: what is found, under which name, what is refused; on made-up narrow files and on packages."""

import importlib.util

import made_up_weights as made_up
import numpy as np
import pytest
import torch

from warpkit.models import weights
from warpkit.models.errors import InputError
from warpkit.models.features.faces import DlibResNet, read_dlib
from warpkit.models.features.vgg import Vgg, unit_distance

safetensors = pytest.importorskip("safetensors.torch", reason="the extra metrics is not installed")

STATES = {
    "vgg19": lambda: made_up.vgg("vgg19", 4),
    "vgg16": lambda: made_up.vgg("vgg16", 4),
    "sphereface20a": lambda: made_up.sphereface(2),
    "inception-fid": lambda: made_up.inception(16),
    "osnet": lambda: made_up.osnet(8),
    "lpips-alex": lambda: made_up.lpips_alex(2),
    "lpips-vgg": lambda: made_up.lpips_vgg(2),
}


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    monkeypatch.delenv(weights.FOLDER, raising=False)


def packaged(network: str) -> weights.Found:
    found = weights.find(network)
    if found is None:
        pytest.skip(f"the package with {network} is not installed (extra metrics)")
    return found


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("network", STATES)
def test_a_users_file_is_found_and_named(network, ending, tmp_path, monkeypatch):
    state = STATES[network]().state
    path = tmp_path / f"{network}{ending}"
    safetensors.save_file(state, path) if ending == ".safetensors" else torch.save({"state_dict": state}, path)
    monkeypatch.setenv(weights.FOLDER, str(tmp_path))
    role = next(role for role, names in weights.ROLES.items() if network in names)
    made = weights.features(role)
    assert made.network == network
    assert path.name in made.about
    assert weights.find(network, path) == weights.find(network, tmp_path)
    assert not list(made.parameters())
    assert not made.state_dict()
    image = (torch.rand(2, 3, 64, 48) * 2 - 1).requires_grad_()
    out = made(image, -image) if role == "lpips" else made(image)
    out = out[-1] if isinstance(out, list) else out
    assert out.shape[0] == 2
    assert out.isfinite().all()
    out.square().sum().backward()
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("maker", "parameters"),
    [
        (lambda: made_up.vgg("vgg19", device="meta"), 20_024_384),
        (lambda: made_up.inception(device="meta"), 21_785_568),
        (lambda: made_up.osnet(device="meta"), 2_193_616 - 3 * 8_036),  # published: shared gates counted four times
    ],
)
def test_the_made_up_layouts_at_full_width_count_as_the_published_networks(maker, parameters):
    assert maker().parameters() == parameters


def test_a_users_file_goes_before_a_package(tmp_path):
    torch.save(made_up.vgg("vgg19", 4).state, tmp_path / "vgg19.pth")
    found = weights.find("vgg", tmp_path)
    assert (found.network, found.source) == ("vgg19", "user")
    assert weights.find("vgg16", tmp_path) is None


def test_nothing_found_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"lpips-alex.safetensors.*WARPKIT_WEIGHTS"):
        weights.features("lpips", tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        weights.find("vgg", tmp_path / "away")
    with pytest.raises(ValueError, match="name: expected one of"):
        weights.find("nobody")


class Harmful:
    def __reduce__(self):
        return (print, ("this ran",))


def test_a_file_with_code_is_refused_and_does_not_run(tmp_path, capsys):
    torch.save({"features.0.weight": Harmful()}, tmp_path / "vgg19.pth")
    with pytest.raises(InputError, match="could run code"):
        weights.features("vgg19", tmp_path)
    assert "this ran" not in capsys.readouterr().out


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_a_truncated_file_is_refused(ending, tmp_path):
    state = made_up.vgg("vgg19", 4).state
    path = tmp_path / f"vgg19{ending}"
    safetensors.save_file(state, path) if ending == ".safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="not a whole"):
        weights.features("vgg19", tmp_path)


def test_another_networks_file_is_refused_by_what_it_lacks(tmp_path):
    torch.save(made_up.osnet(8).state, tmp_path / "vgg19.pth")
    with pytest.raises(InputError, match=r"not the weights of vgg19: it has no features\.0\.weight"):
        weights.features("vgg19", tmp_path)
    torch.save(made_up.lpips_vgg(2).state, tmp_path / "lpips-alex.pth")
    with pytest.raises(InputError, match="expected the weights of lpips-alex, got those of lpips-vgg"):
        weights.features("lpips", tmp_path)
    (tmp_path / "dlib-resnet29.dat").write_bytes(b"\x01\x02" * 100)
    with pytest.raises(InputError, match="not the file of dlib's"):
        weights.features("dlib-resnet29", tmp_path)


def test_a_vgg_knows_its_layers():
    state = {
        f"{block}_{conv}.{part}": torch.zeros(4, 3 if (block, conv) == (1, 1) else 4, 3, 3)[
            (..., 0, 0, 0) if part == "bias" else ...
        ]
        for block, count in enumerate((2, 2, 3), 1)
        for conv in range(1, count + 1)
        for part in ("weight", "bias")
    }
    vgg = Vgg(state)
    assert vgg.first_of_blocks() == ("relu1_1", "relu2_1", "relu3_1")
    assert vgg.last_of_blocks(3) == ("relu1_2", "relu2_2", "relu3_3")
    with pytest.raises(ValueError, match=r"layers: .* got 'relu4_1'"):
        vgg(torch.zeros(1, 3, 16, 16), ("relu4_1",))


def test_packaged_vgg_sees_blur_and_shift_more_than_brightness():
    vgg = weights.load(packaged("vgg16-hed"))
    generator = torch.Generator().manual_seed(0)
    image = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 24, generator=generator), scale_factor=4) * 1.6 - 0.8
    blurred = torch.nn.functional.avg_pool2d(image, 5, 1, 2)
    far = [float(unit_distance(vgg(image), vgg(x))) for x in (image, image + 0.05, image.roll(3, 3), blurred)]
    assert far[0] == 0
    assert far[1] < far[2]
    assert far[1] < far[3]


def test_packaged_vgg_expects_caffes_colours():
    vgg = weights.load(packaged("vgg16-hed"))
    red = torch.tensor([1.0, -1.0, 0.0])[None, :, None, None].expand(1, 3, 4, 4)
    torch.testing.assert_close(vgg.prepared(red)[0, :, 0, 0], torch.tensor([127.5 - 103.939, -116.779, 255 - 123.68]))


def test_packaged_face_network_equals_dlib():
    found = packaged("dlib-resnet29")
    dlib = pytest.importorskip("dlib", reason="dlib-bin is not installed; it is only compared with")
    chips = np.random.default_rng(0).integers(0, 256, (2, 150, 150, 3), np.uint8)
    theirs = dlib.face_recognition_model_v1(str(found.path))
    expected = np.array([theirs.compute_face_descriptor(chip) for chip in chips])
    with torch.no_grad():
        made = DlibResNet(read_dlib(found.path))(torch.from_numpy(chips).permute(0, 3, 1, 2) / 127.5 - 1)
    np.testing.assert_allclose(made.numpy(), expected, atol=2e-6)


def test_packaged_efficientnet_knows_a_uniform():
    network = weights.load(packaged("efficientnet-lite0"))
    matplotlib = pytest.importorskip("matplotlib.cbook", reason="matplotlib's sample picture is not there")
    from PIL import Image

    with matplotlib.get_sample_data("grace_hopper.jpg") as file:
        picture = torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        scores = network.linear(network(picture), "_fc")
    assert scores.argmax() == 652  # ImageNet's "military uniform"


def test_every_package_of_weights_is_in_the_extra():
    import tomllib
    from pathlib import Path

    if importlib.util.find_spec("warpkit") is None or not (Path(__file__).parents[1] / "pyproject.toml").is_file():
        pytest.skip("not a checkout")
    extras = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    packages = [network.package for network in weights.NETWORKS.values() if network.package]
    wanted = [package.name for package in packages if not package.alone]
    assert all(any(line.startswith(name) for line in extras["metrics"]) for name in wanted)
