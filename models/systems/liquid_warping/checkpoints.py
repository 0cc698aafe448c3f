"""Weights in files: ours (safetensors, with the preset inside), and those of the public code's layout."""

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from warpkit.models.errors import InputError, needs_extra
from warpkit.models.features.state import check_file, is_pickle, load_plain
from warpkit.models.media.output import whole
from warpkit.models.systems.liquid_warping.presets import PRESETS, Preset
from warpkit.models.systems.liquid_warping.system import LiquidWarping

FORMAT = "warpkit liquid_warping 1"


def save(system: LiquidWarping, path: Path, *, dtype: torch.dtype | None = None, discriminators: bool = False) -> None:
    """Writes a system's weights with its preset.

    Args:
        path: of a safetensors file; replaced whole, so that there is never half of one.
        dtype: of the numbers in the file, such as `torch.float16`; None: as they are.
        discriminators: whether those go along; rendering and personalizing need none.
    """
    with needs_extra("person"):
        from safetensors import SafetensorError
        from safetensors.torch import save_file
    state = {
        name: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
        for name, value in system.state_dict().items()
        if discriminators or name.startswith("generator.")
    }
    about = {"format": FORMAT, "preset": json.dumps(system.preset.to_dict())}
    with whole(path, overwrite=True) as draft:
        try:
            save_file(state, draft, metadata=about)
        except SafetensorError as error:  # its name for a full disk
            raise InputError(f"{path} cannot be written: {error}") from error
        draft.chmod(0o644)  # it comes readable by its owner alone


def load(path: Path, preset: Preset | str | None = None) -> LiquidWarping:
    """The system that `save` wrote, in float32, on the CPU, in evaluation mode.

    Args:
        preset: the one that is wanted; None: whichever the file says.

    Raises:
        InputError: no such file, or a folder; not whole; with pickled code; not of this system; of another preset.
    """
    state, about = read_state(path)
    if about.get("kind") == "exact":
        raise InputError(
            f"{path}: holds the whole state of a training; what draws is the compact.safetensors that lies beside it"
        )
    if about.get("format") != FORMAT:
        raise InputError(
            f"{path}: does not say that it holds weights of this system ({FORMAT}); weights in the public code's "
            "layout are read by load_public"
        )
    try:
        found = Preset.from_dict(json.loads(about["preset"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: does not say its preset as this version of warpkit does ({error}); load it with the version that "
            "wrote it"
        ) from error
    wanted = PRESETS.get(preset) if isinstance(preset, str) else preset
    if preset is not None and (wanted is None or _networks(wanted) != _networks(found)):
        name = preset if isinstance(preset, str) else preset.name
        raise InputError(f"{path}: holds weights of the preset {found.name!r}, not of {name!r}")
    with torch.random.fork_rng(devices=[]):  # its fresh weights are not kept, and chance of whoever calls goes on
        system = LiquidWarping(found)
    with_discriminators = any(name.startswith("discriminators.") for name in state)
    _put(system if with_discriminators else system.generator, state, path, "" if with_discriminators else "generator.")
    return system.eval()


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and what the file says of itself; from safetensors, or a PyTorch file without code.

    Raises InputError: no such file, a folder, no weights at all, not whole, or with pickled code, which is never run.
    """
    check_file(path)
    again = "copy or download it again"
    if path.suffix == ".safetensors":
        _no_pickle(path)
        with needs_extra("person"):
            from safetensors import SafetensorError, safe_open
        try:
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        except SafetensorError as error:
            raise InputError(f"{path}: is not a whole safetensors file ({error}); {again}") from error
    try:
        state = load_plain(path)
    except pickle.UnpicklingError as error:
        if not is_pickle(path):
            raise InputError(f"{path}: is neither a safetensors file nor one that PyTorch saved") from error
        raise InputError(
            f"{path}: holds pickled code or is damaged; code in weights is never run. Ask for a safetensors file, or "
            "for a state dict of plain tensors"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise InputError(f"{path}: is not a whole PyTorch file; {again}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: expected a state dict, tensors by name; got {type(state).__name__} of other things")
    return dict(state), {}


def _no_pickle(path: Path) -> None:
    if is_pickle(path):
        raise InputError(
            f"{path}: is no safetensors file but a pickled one; code in weights is never run. Ask for safetensors"
        )


def read_about(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself, without its tensors. Raises InputError as `read_state`."""
    check_file(path)
    _no_pickle(path)
    with needs_extra("person"):
        from safetensors import SafetensorError, safe_open
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path}: is not a whole safetensors file ({error}); copy or download it again") from error


def load_public(
    generator: Path, discriminators: Path | None = None, preset: Preset = PRESETS["ipercore"]
) -> LiquidWarping:
    """A system with weights that the public code (iPERCore) trained or personalized, from files that you have.

    Args:
        generator: the state dict of its generator.
        discriminators: that of its three discriminators; None: fresh ones.
        preset: whose networks they are: for other strategies than AttLWB with SPADE, `ipercore` with that fusion.

    The condition that they learned is SMPL's own atlas: use them with SMPL bodies.

    Raises:
        InputError: as `load`, or the tensors are not those of this preset in the public layout.
    """
    system = LiquidWarping(preset)
    state, _ = read_state(generator)
    _put(system.generator, rename(state, _GENERATOR), generator, "")
    if discriminators is not None:
        state, _ = read_state(discriminators)
        # the one of backgrounds alone is not part of this system
        judges = {name: value for name, value in state.items() if "bg_model." not in name}
        _put(system.discriminators, rename(judges, _DISCRIMINATORS), discriminators, "")
    return system.eval()


_GENERATOR = {
    # the inpainting stream is one numbered list in both
    r"bg_net\.main\.(\d+)\.main\.0\.": r"background.layers.\1.first.",
    r"bg_net\.main\.(\d+)\.main\.3\.": r"background.layers.\1.second.",
    r"bg_net\.main\.": "background.layers.",
    r"src_net\.encoders\.layers\.": "source.encoder.",
    r"src_net\.decoders\.layers\.": "source.decoder.",
    r"tsf_net_enc\.layers\.": "transfer.encoder.",
    r"tsf_net_dec\.upconvs\.": "transfer.decoder.",
    r"tsf_net_dec\.skippers\.": "transfer.joins.",
    r"src_net\.res_blocks\.(\d+)\.main\.0\.": r"source.blocks.\1.first.",
    r"src_net\.res_blocks\.(\d+)\.main\.2\.": r"source.blocks.\1.second.",
    r"res_blocks\.(\d+)\.main\.0\.": r"transfer.blocks.\1.first.",
    r"res_blocks\.(\d+)\.main\.2\.": r"transfer.blocks.\1.second.",
    r"src_net\.img_reg\.0\.": "source.heads.colour.",
    r"src_net\.att_reg\.0\.": "source.heads.mask.",
    r"tsf_img_reg\.0\.": "transfer.heads.colour.",
    r"tsf_att_reg\.0\.": "transfer.heads.mask.",
    r"enc_attlwbs\.(\d+)\.": r"transfer.fusions.\1.",
}
"""Where each part of the public generator lies in ours."""

_BLOCKS = {
    "fq": "query",
    "fk": "key",
    "fv": "value",
    "spade.mlp_shared.0": "spade.shared",
    "spade.mlp_gamma": "spade.gamma",
    "spade.mlp_beta": "spade.beta",
    "gate_conv": "gate",
}
"""Names inside the blocks that carry features over."""

_DISCRIMINATORS = {
    r"(global|body|head)_model\.model\.0\.": r"\1.convs.0.",
    r"(global|body|head)_model\.model\.2\.": r"\1.convs.1.",
    r"(global|body|head)_model\.model\.5\.": r"\1.convs.2.",
    r"(global|body|head)_model\.model\.8\.": r"\1.convs.3.",
    r"(global|body|head)_model\.model\.11\.": r"\1.convs.4.",
    r"(global|body|head)_model\.model\.14\.": r"\1.score.",
}


def rename(state: Mapping[str, Tensor], parts: Mapping[str, str]) -> dict[str, Tensor]:
    """A state dict in the public layout under our names; names that are not of that layout stay."""
    with_spade = any(".spade." in name for name in state)
    renamed = {}
    for name, value in state.items():
        name = name.removeprefix("module.")  # of networks that were trained on several GPUs
        # three stages, then the blocks between them and the decoder
        name = re.sub(r"^res_attlwbs\.(\d+)\.", lambda found: f"enc_attlwbs.{int(found[1]) + 3}.", name)
        for old, new in parts.items():
            name, found = re.subn(f"^{old}", new, name)
            if found:
                break
        if name.startswith("transfer.fusions."):
            head, inside = re.match(r"(transfer\.fusions\.\d+\.)(.*)", name).groups()  # type: ignore[union-attr]
            for old, new in _BLOCKS.items():
                if inside.startswith(f"{old}."):
                    attention = "attention." if with_spade and old in ("fq", "fk", "fv") else ""
                    inside = attention + new + inside.removeprefix(old)
                    break
            name = head + inside
        renamed[name] = value
    return renamed


def _networks(preset: Preset) -> tuple[object, ...]:
    """What decides the shapes of a preset's weights and what they mean."""
    return (preset.layers, preset.width, preset.fusion, preset.condition, preset.mask, preset.concat_sources)


def _put(module: nn.Module, state: Mapping[str, Tensor], path: Path, prefix: str) -> None:
    """All of a state into a module of the same names and shapes, or InputError saying what does not fit."""
    state = {name.removeprefix(prefix): value for name, value in state.items()}
    own = module.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in state]
    wrong += [f"{name} is not part of it" for name in state if name not in own]
    wrong += [
        f"{name} has the shape {list(value.shape)}, expected {list(own[name].shape)}"
        for name, value in state.items()
        if name in own and own[name].shape != value.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InputError(f"{path}: does not fit this network: {'; '.join(wrong[:3])}{more}")
    broken = next((name for name, value in state.items() if not value.isfinite().all()), None)
    if broken is not None:
        raise InputError(
            f"{path}: {broken} holds NaN or infinite numbers: the file is damaged, or its training went wrong; copy or "
            "download it again, or take an earlier state"
        )
    module.load_state_dict(state)
