"""States of the judging networks with random numbers in them, as narrow as wanted, in the layout of their files."""

import torch
from torch import Tensor

State = dict[str, Tensor]


class Maker:
    """Makes tensors by name; `device="meta"` makes shapes only."""

    def __init__(self, seed: int = 0, device: str = "cpu") -> None:
        self.state: State = {}
        self.device = device
        self.generator = torch.Generator().manual_seed(seed)

    def tensor(self, name: str, *sizes: int) -> None:
        if self.device == "meta":
            self.state[name] = torch.empty(sizes, device="meta")
            return
        fan = max(1, torch.Size(sizes[1:]).numel())
        self.state[name] = torch.randn(sizes, generator=self.generator) * (2 / fan) ** 0.5

    def conv(self, name: str, out: int, into: int, side: int | tuple[int, int], bias: bool = False) -> int:
        sides = (side, side) if isinstance(side, int) else side
        self.tensor(f"{name}.weight", out, into, *sides)
        if bias:
            self.tensor(f"{name}.bias", out)
        return out

    def norm(self, name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            self.tensor(f"{name}.{part}", channels)
            if self.device != "meta":
                self.state[f"{name}.{part}"] = self.state[f"{name}.{part}"].abs() * 0.1 + float(
                    part in ("weight", "running_var")
                )

    def parameters(self) -> int:
        return sum(value.numel() for name, value in self.state.items() if "running" not in name)


def vgg(kind: str, width: int = 64, **kwargs: object) -> Maker:
    blocks = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}[kind]
    make, number, before = Maker(**kwargs), 0, 3
    for block, count in enumerate(blocks):
        for _ in range(count):
            before = make.conv(f"features.{number}", min(2**block, 8) * width, before, 3, bias=True)
            number += 2
        number += 1
    return make


def sphereface(width: int = 64, **kwargs: object) -> Maker:
    make, before = Maker(**kwargs), 3
    for stage, pairs in enumerate((1, 2, 4, 1), 1):
        channels = width * 2 ** (stage - 1)
        for number in range(1, 2 * pairs + 2):
            before = make.conv(f"conv{stage}_{number}", channels, before, 3, bias=True)
            make.tensor(f"relu{stage}_{number}.weight", channels)
    make.tensor("fc5.weight", 512, before * 7 * 6)
    make.tensor("fc5.bias", 512)
    return make


def inception(share: int = 1, **kwargs: object) -> Maker:
    """Every width divided by `share`."""
    make = Maker(**kwargs)

    def c(name: str, out: int, into: int, side: int | tuple[int, int]) -> int:
        make.conv(f"{name}.conv", out // share, into, side)
        make.norm(f"{name}.bn", out // share)
        return out // share

    x = c("Conv2d_1a_3x3", 32, 3, 3)
    x = c("Conv2d_2b_3x3", 64, c("Conv2d_2a_3x3", 32, x, 3), 3)
    x = c("Conv2d_4a_3x3", 192, c("Conv2d_3b_1x1", 80, x, 1), 3)
    for letter, pool in (("b", 32), ("c", 64), ("d", 64)):
        n = f"Mixed_5{letter}"
        made = c(f"{n}.branch1x1", 64, x, 1) + c(f"{n}.branch5x5_2", 64, c(f"{n}.branch5x5_1", 48, x, 1), 5)
        two = c(f"{n}.branch3x3dbl_2", 96, c(f"{n}.branch3x3dbl_1", 64, x, 1), 3)
        x = made + c(f"{n}.branch3x3dbl_3", 96, two, 3) + c(f"{n}.branch_pool", pool, x, 1)
    two = c("Mixed_6a.branch3x3dbl_2", 96, c("Mixed_6a.branch3x3dbl_1", 64, x, 1), 3)
    x = c("Mixed_6a.branch3x3", 384, x, 3) + c("Mixed_6a.branch3x3dbl_3", 96, two, 3) + x
    for letter, w in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        n = f"Mixed_6{letter}"
        made = c(f"{n}.branch1x1", 192, x, 1) + c(f"{n}.branch_pool", 192, x, 1)
        y = c(f"{n}.branch7x7_2", w, c(f"{n}.branch7x7_1", w, x, 1), (1, 7))
        made += c(f"{n}.branch7x7_3", 192, y, (7, 1))
        y = c(f"{n}.branch7x7dbl_1", w, x, 1)
        for step, side in ((2, (7, 1)), (3, (1, 7)), (4, (7, 1))):
            y = c(f"{n}.branch7x7dbl_{step}", w, y, side)
        x = made + c(f"{n}.branch7x7dbl_5", 192, y, (1, 7))
    n = "Mixed_7a"
    y = c(f"{n}.branch7x7x3_2", 192, c(f"{n}.branch7x7x3_1", 192, x, 1), (1, 7))
    y = c(f"{n}.branch7x7x3_4", 192, c(f"{n}.branch7x7x3_3", 192, y, (7, 1)), 3)
    x = x + c(f"{n}.branch3x3_2", 320, c(f"{n}.branch3x3_1", 192, x, 1), 3) + y
    for n in ("Mixed_7b", "Mixed_7c"):
        y, z = c(f"{n}.branch3x3_1", 384, x, 1), c(f"{n}.branch3x3dbl_1", 448, x, 1)
        z = c(f"{n}.branch3x3dbl_2", 384, z, 3)
        made = c(f"{n}.branch1x1", 320, x, 1) + c(f"{n}.branch_pool", 192, x, 1)
        for side, kernel in (("a", (1, 3)), ("b", (3, 1))):
            made += c(f"{n}.branch3x3_2{side}", 384, y, kernel) + c(f"{n}.branch3x3dbl_3{side}", 384, z, kernel)
        x = made
    return make


def osnet(share: int = 1, **kwargs: object) -> Maker:
    make = Maker(**kwargs)

    def c(name: str, out: int, into: int, side: int = 1) -> int:
        make.conv(f"{name}.conv", out, into, side)
        make.norm(f"{name}.bn", out)
        return out

    def light(name: str, width: int) -> None:
        make.conv(f"{name}.conv1", width, width, 1)
        make.conv(f"{name}.conv2", width, 1, 3)
        make.norm(f"{name}.bn", width)

    widths = [width // share for width in (64, 256, 384, 512)]
    x = c("conv1", widths[0], 3, 7)
    for stage, width in enumerate(widths[1:], 2):
        for block in (0, 1):
            n, middle = f"conv{stage}.{block}", width // 4
            c(f"{n}.conv1", middle, x)
            light(f"{n}.conv2a", middle)
            for stream, depth in (("b", 2), ("c", 3), ("d", 4)):
                for step in range(depth):
                    light(f"{n}.conv2{stream}.{step}", middle)
            small = max(1, middle // 16)
            make.conv(f"{n}.gate.fc1", small, middle, 1, bias=True)
            make.conv(f"{n}.gate.fc2", middle, small, 1, bias=True)
            c(f"{n}.conv3", width, middle)
            if x != width:
                c(f"{n}.downsample", width, x)
            x = width
        if stage < 4:
            c(f"conv{stage}.2.0", x, x)
    c("conv5", x, x)
    make.tensor("fc.0.weight", 512, x)
    make.tensor("fc.0.bias", 512)
    make.norm("fc.1", 512)
    return make


def lpips_alex(width: int = 64, **kwargs: object) -> Maker:
    make, before = Maker(**kwargs), 3
    layers = (("slice1.0", 1, 11), ("slice2.3", 3, 5), ("slice3.6", 6, 3), ("slice4.8", 4, 3), ("slice5.10", 4, 3))
    for number, (name, factor, side) in enumerate(layers):
        before = make.conv(f"net.{name}", factor * width, before, side, bias=True)
        make.conv(f"lin{number}.model.1", 1, before, 1)
        if make.device != "meta":
            make.state[f"lin{number}.model.1.weight"].abs_()
    return make


def lpips_vgg(width: int = 64, **kwargs: object) -> Maker:
    make, before = Maker(**kwargs), 3
    convs = [(0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)]
    for block, numbers in enumerate(convs):
        for number in numbers:
            before = make.conv(f"net.slice{block + 1}.{number}", min(2**block, 8) * width, before, 3, bias=True)
        make.conv(f"lin{block}.model.1", 1, before, 1)
    return make
