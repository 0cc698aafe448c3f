"""What the next step of a training depends on, put into checkpoints and taken out of them."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from warpkit.models.errors import InputError
from warpkit.models.training.checkpoint import Checkpoint, load_weights
from warpkit.models.training.ema import EMA


class TrainingState:
    """Networks, the moments of their optimizers, and the generator's averaged weights; the trainer changes them.

    Args:
        networks: by name, "generator" among them.
        optimizers: Adam of each.
        ema: of the generator.
    """

    def __init__(self, networks: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Adam], ema: EMA) -> None:
        self.networks, self.optimizers, self.ema = networks, optimizers, ema

    def tensors(self) -> dict[str, Tensor]:
        """All of it, by the names of an exact checkpoint; the tensors themselves."""
        tensors: dict[str, Tensor] = {f"ema.{name}": value for name, value in self.ema.weights.items()}
        for name, network in self.networks.items():
            tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
            for key, parameter in network.named_parameters():
                for moment, value in self.optimizers[name].state.get(parameter, {}).items():
                    tensors[f"optimizer.{name}.{key}.{moment}"] = value
        return tensors

    def restore(self, found: Checkpoint, origin: str) -> None:
        """Takes all of an exact checkpoint. Raises InputError where it is none, or of other networks."""
        if found.kind != "exact":
            raise InputError(f"{origin} is a {found.kind} checkpoint; an exact one was expected under this name")
        for name, network in self.networks.items():
            load_weights(network, found.part(name), origin)
            for key, parameter in network.named_parameters():
                if moments := found.part(f"optimizer.{name}.{key}"):
                    # Adam keeps its count on the CPU
                    self.optimizers[name].state[parameter] = {
                        moment: value if moment == "step" else torch.empty_like(parameter).copy_(value)
                        for moment, value in moments.items()
                    }
        averages = found.part("ema")
        if averages.keys() != self.ema.weights.keys():
            raise InputError(f"{origin} lacks averaged weights of this network")
        for name, value in averages.items():
            self.ema.weights[name].copy_(value)

    def begin(self, found: Checkpoint, origin: str) -> None:
        """Takes the generator's weights alone, the averaged ones where there are such. Raises InputError likewise."""
        load_weights(self.networks["generator"], found.part("ema") or found.part("generator"), origin)
        self.ema.start()

    def share(self) -> None:
        """All processes begin with the weights of the first."""
        for network in self.networks.values():
            for value in network.state_dict().values():
                torch.distributed.broadcast(value, 0)
        for value in self.ema.weights.values():
            torch.distributed.broadcast(value, 0)


def check_origin(found: Checkpoint, about: Mapping[str, Any], origin: str) -> None:
    """Raises InputError where a checkpoint is of another system or preset than `about` tells of."""
    theirs, ours = found.about.get("system", {}), about.get("system", {})
    for key in ("name", "preset"):
        if theirs.get(key) != ours.get(key):
            raise InputError(
                f"{origin} is of the {key} {theirs.get(key)!r}, but {ours.get(key)!r} is to be trained; name "
                "another folder or another checkpoint"
            )


def changes(before: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> list[str]:
    """The settings that differ, but for how often something is written."""
    changed = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            changed += changes(old, new, f"{where}{key}.")
        elif json.dumps(old) != json.dumps(new) and key not in ("save_every", "sheet_every", "log_every"):
            changed.append(f"{where}{key}")
    return changed
