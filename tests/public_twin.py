"""The public generator of Liquid Warping GAN with Attention, written out over a state dict of its names.

From the description of its layers alone: no module of ours is used, so that names and layers are checked together.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def made_up(width: int) -> State:
    """Random tensors under the public layout's names; `width` is 64 there."""
    torch.manual_seed(3)
    state: State = {}

    def conv(name: str, after: int, before: int, kernel: int, bias: bool = True) -> None:
        scale = 1 / math.sqrt(before * kernel * kernel)
        state[f"{name}.weight"] = torch.randn(after, before, kernel, kernel) * scale
        if bias:
            state[f"{name}.bias"] = torch.randn(after) * 0.1

    one, two, four = width, 2 * width, 4 * width
    for place, (after, before, kernel) in {
        0: (one, 4, 7),
        3: (two, one, 3),
        6: (two, two, 3),
        9: (four, two, 3),
    }.items():
        conv(f"bg_net.main.{place}", after, before, kernel)
    for block in range(12, 18):
        conv(f"bg_net.main.{block}.main.0", four, four, 3)
        conv(f"bg_net.main.{block}.main.3", four, four, 3)
    for place, (after, before) in {18: (four, two), 21: (two, two), 24: (two, one)}.items():
        conv(f"bg_net.main.{place}", after, before, 4, bias=False)  # transposed: [in, out, 4, 4]
    conv("bg_net.main.27", 3, one, 7, bias=False)
    for level, (after, before) in enumerate([(one, 6), (two, one), (four, two)]):
        conv(f"src_net.encoders.layers.{level}.0", after, before, 3)
        conv(f"tsf_net_enc.layers.{level}.0", after, before, 3, bias=False)
    for level, (before, after) in enumerate([(four, four), (four, two), (two, one)]):
        for name in ("src_net.decoders.layers", "tsf_net_dec.upconvs"):
            conv(f"{name}.{level}.0", before, after, 4)
            state[f"{name}.{level}.0.bias"] = torch.randn(after) * 0.1
    conv("tsf_net_dec.skippers.0.0", four, two + four, 3)
    conv("tsf_net_dec.skippers.1.0", two, one + two, 3)
    for block in range(6):
        for name in ("src_net.res_blocks", "res_blocks"):
            conv(f"{name}.{block}.main.0", four, four, 3)
            conv(f"{name}.{block}.main.2", four, four, 3)
    for name, after in (("img_reg", 3), ("att_reg", 1)):
        conv(f"src_net.{name}.0", after, one, 5, bias=False)
        conv(f"tsf_{name}.0", after, one, 5, bias=False)
    sites = [("enc_attlwbs.0", one), ("enc_attlwbs.1", two), ("enc_attlwbs.2", four)]
    for name, channels in sites + [(f"res_attlwbs.{i}", four) for i in range(6)]:
        for part in ("fq", "fk", "fv"):
            conv(f"{name}.{part}", channels, channels, 1)
        conv(f"{name}.spade.mlp_shared.0", two, channels, 3)
        conv(f"{name}.spade.mlp_gamma", channels, two, 3)
        conv(f"{name}.spade.mlp_beta", channels, two, 3)
    return state


def _conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride, weight.shape[-1] // 2)


def _up(state: State, name: str, x: Tensor) -> Tensor:
    return F.conv_transpose2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), 2, 1)


def _block(state: State, name: str, x: Tensor) -> Tensor:
    return x + _conv(state, f"{name}.main.2", _conv(state, f"{name}.main.0", x).relu())


def background(state: State, x: Tensor) -> Tensor:
    """`[B, 4, H, W]` to `[B, 3, H, W]`."""
    for place, stride in ((0, 1), (3, 2), (6, 2), (9, 2)):
        x = F.instance_norm(_conv(state, f"bg_net.main.{place}", x, stride)).relu()
    for place in range(12, 18):
        inner = F.instance_norm(_conv(state, f"bg_net.main.{place}.main.0", x)).relu()
        x = x + F.instance_norm(_conv(state, f"bg_net.main.{place}.main.3", inner))
    for place in (18, 21, 24):
        x = F.instance_norm(_up(state, f"bg_net.main.{place}", x)).relu()
    return _conv(state, "bg_net.main.27", x).tanh()


def source(state: State, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """`[N, 6, H, W]` to features, colour and mask."""
    features = []
    for level in range(3):
        x = _conv(state, f"src_net.encoders.layers.{level}.0", x, 2).relu()
        features.append(x)
    for block in range(6):
        x = _block(state, f"src_net.res_blocks.{block}", x)
        features.append(x)
    for level in range(3):
        x = _up(state, f"src_net.decoders.layers.{level}.0", x).relu()
    colour, mask = (_conv(state, f"src_net.{name}_reg.0", x) for name in ("img", "att"))
    return features, colour.tanh(), mask.sigmoid()


def _attend(state: State, name: str, x: Tensor, features: Tensor, grid: Tensor) -> Tensor:
    """One AttLWB: features `[S, C, h, w]`, grid `[S, H, W, 2]` of the picture's size, for one target."""
    level = F.interpolate(grid.movedim(-1, 1), x.shape[-2:], mode="bilinear", align_corners=True).movedim(1, -1)
    warped = F.grid_sample(features, level, align_corners=False)
    query, keys, values = (_conv(state, f"{name}.{part}", y) for part, y in (("fq", x), ("fk", warped), ("fv", warped)))
    share = ((query * keys).sum(1, keepdim=True) / math.sqrt(x.shape[1])).softmax(0)
    hidden = _conv(state, f"{name}.spade.mlp_shared.0", (share * values).sum(0, keepdim=True)).relu()
    gamma, beta = (_conv(state, f"{name}.spade.mlp_{part}", hidden) for part in ("gamma", "beta"))
    return F.instance_norm(x) * (1 + gamma) + beta


def transfer(state: State, x: Tensor, features: list[Tensor], grid: Tensor) -> tuple[Tensor, Tensor]:
    """`[1, 6, H, W]` with features and flow of S sources, to colour and mask."""
    skips = []
    for level in range(3):
        x = _conv(state, f"tsf_net_enc.layers.{level}.0", x, 2).relu()
        x = _attend(state, f"enc_attlwbs.{level}", x, features[level], grid)
        skips.append(x)
    for block in range(6):
        x = _block(state, f"res_blocks.{block}", x)
        x = _attend(state, f"res_attlwbs.{block}", x, features[3 + block], grid)
    for level in range(3):
        x = _up(state, f"tsf_net_dec.upconvs.{level}.0", x).relu()
        if level < 2:
            x = _conv(state, f"tsf_net_dec.skippers.{level}.0", torch.cat([skips[1 - level], x], 1)).relu()
    return _conv(state, "tsf_img_reg.0", x).tanh(), _conv(state, "tsf_att_reg.0", x).sigmoid()
