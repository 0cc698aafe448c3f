"""Networks that tell faces apart: the same person's vectors lie close."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.errors import InputError
from warpkit.models.features.frozen import Embedding
from warpkit.models.features.state import State

EYE_LINE = 0.364
"""How far down a head's box, neck included, the eyes lie: the mean of eight photo-like people (0.330 to 0.379)."""
EYE_GAP = 0.25
"""From eye to eye, in that box's height: likewise (0.237 to 0.266)."""


class FaceEmbedding(Embedding):
    """A vector for a picture of a face cut as the network wants it, and where to cut it."""

    eyes: tuple[tuple[float, float], tuple[float, float]]
    """(x, y) of the middles of the eye on the left and on the right of the chip, in [0, 1] of its width and height."""

    def box(self, head: Tensor, aspect: float = 1.0) -> Tensor:
        """Where to cut when only the head's box is known, and it looks at the camera.

        Args:
            head: `[B, 4]` (left, top, right, bottom) NDC of the body's head and neck.
            aspect: the picture's width by its height.

        Returns:
            `[B, 4]` NDC of the chip.
        """
        (x0, y0), (x1, y1) = self.eyes
        tall = head[:, 3] - head[:, 1]
        wide = EYE_GAP / (x1 - x0) * tall
        high = wide * self.size[0] / self.size[1]
        left = (head[:, 0] + head[:, 2]) / 2 - (x0 + x1) / 2 * wide / aspect
        top = head[:, 1] + EYE_LINE * tall - (y0 + y1) / 2 * high
        return torch.stack([left, top, left + wide / aspect, top + high], 1)

    def levels(self, image: Tensor) -> list[Tensor]:
        """Features of a chip `[B, 3, H, W]` at several depths, the embedding last."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:
        """`[B, 3, H, W]`, a chip in [-1, 1], to `[B, D]`."""
        return self.levels(image)[-1]


class SphereFace(FaceEmbedding):
    """SphereFace-20 (Liu et al., 2017), the paper's g; state as in its PyTorch ports (`conv1_1`, `relu1_1`, `fc5`)."""

    network = "sphereface20a"
    size = (112, 96)
    eyes = ((0.3155, 0.4616), (0.6826, 0.4598))
    depths = (1, 2, 4, 1)
    """Residual pairs of each stage."""

    def _act(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        x = self.conv(x, f"conv{name}", stride, padding=1)
        return F.prelu(x, self.tensor(f"relu{name}.weight"))

    def levels(self, image: Tensor) -> list[Tensor]:
        """The four stages and the embedding."""
        x = self.resized(image)
        made = []
        for stage, depth in enumerate(self.depths, 1):
            x = self._act(x, f"{stage}_1", 2)
            for pair in range(depth):
                x = x + self._act(self._act(x, f"{stage}_{2 * pair + 2}"), f"{stage}_{2 * pair + 3}")
            made.append(x)
        return [*made, self.linear(x.flatten(1), "fc5")]


RESNET29: tuple[tuple[int, int, bool], ...] = tuple(
    (number, width, down)
    for number, (width, down) in enumerate(
        [(32, False)] * 3
        + [(64, True)] + [(64, False)] * 3
        + [(128, True)] + [(128, False)] * 2
        + [(256, True)] + [(256, False)] * 2
        + [(256, True)]
    )
)  # fmt: skip
"""Number, channels, and whether it halves the size, of each residual block of dlib's network."""


class DlibResNet(FaceEmbedding):
    """dlib's face recognition network (a ResNet of 29 layers, 128 numbers a face), in PyTorch."""

    network = "dlib-resnet29"
    size = (150, 150)
    eyes = ((0.3182, 0.3143), (0.6685, 0.3142))

    def _layer(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        x = self.conv(x, name, stride, padding=None if stride == 1 else 0)
        return x * self.tensor(f"{name}.gain")[:, None, None] + self.tensor(f"{name}.shift")[:, None, None]

    def levels(self, image: Tensor) -> list[Tensor]:
        """After the stem, after each halving's blocks, and the embedding."""
        x = self.resized(image)
        x = ((x + 1) * 127.5 - x.new_tensor([122.782, 117.001, 104.298])[:, None, None]) / 256
        x = F.max_pool2d(F.relu(self._layer(x, "stem", 2)), 3, 2)
        made = []
        for number, _, down in RESNET29:
            if down:
                made.append(x)
            y = self._layer(F.relu(self._layer(x, f"{number}.0", 2 if down else 1)), f"{number}.1")
            if down:
                x = F.avg_pool2d(x, 2)
                y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
                x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            x = F.relu(x + y)
        return [*made, x.mean((2, 3)) @ self.tensor("embed.weight")]


def read_dlib(path: Path) -> State:
    """The weights in dlib's own file of that network (dlib_face_recognition_resnet_model_v1.dat).

    The file lists the layers from the input on. Each tensor is announced by its version (2) and its four sizes, in
    dlib's packed integers (a byte count, then the bytes, lowest first), and holds float32. Only the sizes that the
    network must have are looked for, in their order, so that any other file is refused.
    """
    data = Path(path).read_bytes()
    place = 0

    def take(*sizes: int) -> Tensor:
        nonlocal place
        announced = b"\x01\x02" + b"".join(_packed(size) for size in (*sizes, *[1] * (4 - len(sizes))))
        found = data.find(announced, place)
        count = int(np.prod(sizes))
        start = found + len(announced)
        if found < 0 or start + 4 * count > len(data):
            raise InputError(f"{path}: not the file of dlib's face recognition network, or not all of it")
        place = start + 4 * count
        return torch.from_numpy(np.frombuffer(data, "<f4", count, start).copy())

    def layer(name: str, out: int, into: int, side: int) -> State:
        weights = take(out * into * side * side + out)
        gain, shift = take(2 * out).chunk(2)
        weight = weights[:-out].view(out, into, side, side)
        return {f"{name}.weight": weight, f"{name}.bias": weights[-out:], f"{name}.gain": gain, f"{name}.shift": shift}

    state = layer("stem", 32, 3, 7)
    before = 32
    for number, width, _ in RESNET29:
        state |= layer(f"{number}.0", width, before, 3) | layer(f"{number}.1", width, width, 3)
        before = width
    return state | {"embed.weight": take(256, 128).view(256, 128)}


def _packed(value: int) -> bytes:
    count = max(1, (value.bit_length() + 7) // 8)
    return bytes([count]) + value.to_bytes(count, "little")
