"""Autocast of the ops: features are cast, geometry, flow and weights are not (torch's register_autocast casts all)."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("warpkit", "IMPL")
_DEVICES = ("cpu", "cuda")


def cast_features(op: str, names: Collection[str]) -> None:
    """Under autocast cast the arguments ``names`` of an op to its dtype, except float64."""
    for device in _DEVICES:
        _register(op, names, device)


def autocasts(tensor: Tensor) -> bool:
    """Whether `cast_features` would cast a feature tensor here, so that dtypes need not agree yet."""
    device = tensor.device.type
    return device in _DEVICES and torch.is_autocast_enabled(device) and tensor.dtype != torch.float64


def _register(op: str, names: Collection[str], device: str) -> None:
    function = getattr(torch.ops.warpkit, op)
    arguments = function.default._schema.arguments
    places = [index for index, argument in enumerate(arguments) if argument.name in names]
    key = f"Autocast{device.upper()}"
    keys = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))

    def cast(*values: Any) -> Any:
        dtype = torch.get_autocast_dtype(device)
        ready = list(values)
        for place in places:
            if ready[place] is not None and ready[place].dtype != torch.float64:
                ready[place] = ready[place].to(dtype)
        with torch._C._ExcludeDispatchKeyGuard(keys):
            return function(*ready)

    _LIBRARY.impl(op, cast, key)
