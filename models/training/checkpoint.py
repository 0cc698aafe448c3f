"""Checkpoints: safetensors files with their settings as JSON beside the tensors. No code is ever read from one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from warpkit.models.errors import InputError, needs_extra
from warpkit.models.features.state import is_pickle
from warpkit.models.media.output import whole

FORMAT = "warpkit checkpoint 1"
Kind = Literal["exact", "compact", "person"]
"""exact: everything that the next step depends on. compact: averaged weights in half precision, for moving and for
drawing; training that starts from one is warm, not exact. person: likewise, adapted to one person."""
COMPACT_ROOM = 60 * 2**20
"""Bytes that a compact checkpoint should not exceed."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    kind: Kind
    step: int
    """Steps done."""
    about: dict[str, Any]
    """Settings: tables `system`, `data`, `training` as in a configuration."""
    tensors: dict[str, Tensor] = field(repr=False)
    """By name: `generator.*`; exact ones also `ema.*`, `discriminators.*`, `optimizer.*`."""
    labels: dict[str, str] = field(default_factory=dict)
    """What the file says besides, so that a system's own loader knows it."""

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors under `name.`, without it."""
        return {
            key.removeprefix(f"{name}."): value for key, value in self.tensors.items() if key.startswith(f"{name}.")
        }


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> int:
    """Writes the file, replacing one of its name only when it is whole. Returns its size in bytes.

    Raises InputError where it cannot be written.
    """
    with needs_extra("person"):
        from safetensors import SafetensorError
        from safetensors.torch import save_file

    metadata = {
        **checkpoint.labels,
        "checkpoint": FORMAT,
        "kind": checkpoint.kind,
        "step": str(checkpoint.step),
        "about": json.dumps(checkpoint.about),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
    with whole(path, overwrite=True) as draft:
        try:
            save_file(tensors, draft, metadata)
        except (SafetensorError, OSError) as error:  # a full disk, for one
            raise InputError(f"checkpoint {path} cannot be written: {error}; what stood there is as it was") from error
        draft.chmod(0o644)  # it comes readable by its owner alone
        size = draft.stat().st_size
    return size


def compact(
    weights: Mapping[str, Tensor],
    step: int,
    about: dict[str, Any],
    labels: dict[str, str] | None = None,
    kind: Kind = "compact",
) -> Checkpoint:
    """Generator weights in half precision."""
    halves = {f"generator.{name}": value.half() for name, value in weights.items()}
    return Checkpoint(kind, step, about, halves, labels or {})


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a file that `save_checkpoint` wrote.

    Raises InputError for anything else: pickled code, a truncated file, weights of another origin.
    """
    with needs_extra("person"):
        from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        pickled = is_pickle(path)
    except OSError as error:
        raise InputError(f"checkpoint {path} cannot be read: {error.strerror or error}") from error
    if pickled:
        raise InputError(
            f"checkpoint {path} is a pickled file, which may run code when read; only safetensors are taken"
        )
    try:
        with safe_open(path, "pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"checkpoint {path} is truncated or no safetensors file ({error})") from error
    try:
        if metadata.pop("checkpoint") != FORMAT:
            raise InputError(f"checkpoint {path} is of another version of warpkit, expected {FORMAT!r}")
        kind: Any = metadata.pop("kind")
        step, about = int(metadata.pop("step")), json.loads(metadata.pop("about"))
        return Checkpoint(kind, step, about, tensors, metadata)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"checkpoint {path} was not written by a training of warpkit: its metadata lack {error}"
        ) from error


@torch.no_grad()
def load_weights(module: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Puts all of `weights` into `module`. Raises InputError, touching nothing, where the two do not fit."""
    own = module.state_dict()
    missing, foreign = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    unlike = [name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape]
    for names, what in (
        (missing, "lacks"),
        (foreign, "has, but this network does not,"),
        (unlike, "has in other sizes"),
    ):
        if names:
            raise InputError(
                f"{origin} belongs to another preset: it {what} {len(names)} of the tensors, such as {names[0]}"
            )
    for name, value in weights.items():
        own[name].copy_(value)
