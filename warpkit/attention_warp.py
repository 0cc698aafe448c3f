"""`AttentionWarp`: attention over warped sources with its projections folded round `warpkit.warp_attention`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warpkit import _check
from warpkit._autocast import autocasts
from warpkit.flow import Flow, check_flow
from warpkit.warp import FEATURES, warp
from warpkit.warp_attention import warp_attention


class AttentionWarp(nn.Module):
    """Each target pixel attends over its places in the sources: the attention block of Liquid Warping GAN.

    With x_s the sources warped by the flow, f_q, f_k, f_v 1x1 convolutions and d_k key channels, it computes

        softmax over s of <f_q(target), f_k(x_s)> / sqrt(d_k), times f_v(x_s)

    without writing a warped source. Biases count as if projected after warping:
    they are not sampled, so they are whole outside the frame too.

    Args:
        channels: of target and sources.
        key_channels: d_k; None: channels.
        value_channels: of the output; None: channels.
        bias: of the three convolutions. The key's cancels in the softmax; it is kept for checkpoints.

    The convolutions are ``query``, ``key`` and ``value``: the state dict is that of three ``nn.Conv2d(…, 1)``.
    """

    def __init__(
        self, channels: int, key_channels: int | None = None, value_channels: int | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        key_channels = channels if key_channels is None else key_channels
        value_channels = channels if value_channels is None else value_channels
        for name, count in {
            "channels": channels,
            "key_channels": key_channels,
            "value_channels": value_channels,
        }.items():
            if isinstance(count, bool) or not isinstance(count, int):
                raise TypeError(f"{name}: expected an integer, got {_check.describe(count)}")
            if count < 1:
                raise ValueError(f"{name}: expected at least 1, got {count}")
        self.query = nn.Conv2d(channels, key_channels, 1, bias=bias)
        self.key = nn.Conv2d(channels, key_channels, 1, bias=bias)
        self.value = nn.Conv2d(channels, value_channels, 1, bias=bias)

    def forward(self, target: Tensor, sources: Tensor, flow: Flow) -> Tensor:
        """Attend.

        Args:
            target: ``[B, C, H, W]``, float32, float64, bfloat16 or float16.
            sources: ``[B, S, C, h, w]``, the same dtype. Channels-last (stride(2) == 1) is the fast path.
            flow: grid ``[B, S, H, W, 2]`` and visible ``[B, S, H, W]`` or None. Sources that are not visible are left
                out; see `warpkit.warp_attention`.

        Returns:
            ``[B, value_channels, H, W]``; zeros where no source is visible.

        Raises:
            TypeError, ValueError: naming the argument.
        """
        target, sources, (grid, visible) = self._checked(target, sources, flow)
        if sources.shape[1] == 0:
            return target.new_zeros(grid.shape[0], self.value.out_channels, *grid.shape[2:4])

        query, scale = self.query(target), self.key.out_channels**-0.5
        if self._absorbs(sources, grid):
            # <q, W_K x> = <W_K^T q, x>, and sum alpha (W_V x) = W_V sum alpha x: the sources are read as they are.
            query = F.conv2d(query, self._key_weight().transpose(0, 1))
            out = F.conv2d(warp_attention(query, sources, flow, scale=scale), self.value.weight)
        else:
            keys, values = (
                F.conv2d(sources.flatten(0, 1), weight).unflatten(0, sources.shape[:2])
                for weight in (self._key_weight(), self.value.weight)
            )
            out = warp_attention(query, keys, flow, value=values, scale=scale)
        if self.value.bias is None:
            return out
        bias = self.value.bias.to(out.dtype)[:, None, None]
        return out + bias if visible is None else out + torch.where(visible.any(1, keepdim=True), bias, 0)

    @torch.no_grad()
    def weights(self, target: Tensor, sources: Tensor, flow: Flow) -> Tensor:
        """How much each source counts at each pixel: the softmax of `forward`, for looking at.

        Writes what `forward` does not, the warped sources; there is no gradient.

        Args:
            target, sources, flow: as for `forward`.

        Returns:
            ``[B, S, H, W]`` float32, or float64 for float64 features: in [0, 1], summing to one over the sources where
            any takes part, zeros elsewhere.

        Raises:
            TypeError, ValueError: naming the argument.
        """
        target, sources, flow = self._checked(target, sources, flow)
        wide = torch.promote_types(self.query.weight.dtype, torch.float32)
        with torch.autocast(target.device.type, enabled=False):
            bias = None if self.query.bias is None else self.query.bias.to(wide)
            query = F.conv2d(target.to(wide), self.query.weight.to(wide), bias)
            query = F.conv2d(query, self.key.weight.to(wide).transpose(0, 1))
            scores = (query[:, None] * warp(sources.to(wide), flow)).sum(2) * self.key.out_channels**-0.5
        if flow.visible is None:
            return scores.softmax(1)
        weights = scores.masked_fill(~flow.visible, -torch.inf).softmax(1)
        return torch.where(flow.visible.any(1, keepdim=True), weights, 0)

    def _checked(self, target: Tensor, sources: Tensor, flow: Flow) -> tuple[Tensor, Tensor, Flow]:
        channels = self.query.in_channels
        grid, visible = check_flow("flow", flow)
        target = _check.check_tensor("target", target, "[B, C, H, W]", FEATURES)
        expected = f"[B, C, H, W] = {[grid.shape[0], channels, *grid.shape[2:4]]}"
        good = target.shape == (grid.shape[0], channels, *grid.shape[2:4])
        _check.check_shape("target", target, expected, good)
        same = FEATURES if autocasts(target) else (target.dtype,)
        sources = _check.check_tensor("sources", sources, "[B, S, C, h, w]", same)
        expected = f"[B, S, C, h, w] with B, S, C = {[*grid.shape[:2], channels]}"
        good = sources.dim() == 5 and sources.shape[:3] == (*grid.shape[:2], channels)
        _check.check_shape("sources", sources, expected, good)
        return target, sources, Flow(grid, visible)

    def _absorbs(self, sources: Tensor, grid: Tensor) -> bool:
        """Whether reading the sources as they are moves fewer numbers than projecting them first.

        Projected sources are thin where key_channels and value_channels are small, but all of them must be made.
        """
        count, channels = sources.shape[1:3]
        projected = self.key.out_channels + self.value.out_channels
        pixels, source_pixels = grid.shape[2] * grid.shape[3], sources.shape[3] * sources.shape[4]
        absorbing = pixels * channels * (count + 4)  # read; the query and the sum written and read
        projecting = count * (source_pixels * (channels + 2 * projected) + pixels * projected)
        return bool(absorbing <= projecting)

    def _key_weight(self) -> Tensor:
        """The key's weight; its bias has no effect but takes part, so that its gradient is zero and not missing."""
        if self.key.bias is None:
            return self.key.weight
        return self.key.weight + 0 * self.key.bias[:, None, None, None]

    def extra_repr(self) -> str:
        """Sizes, for print."""
        sizes = self.query.in_channels, self.key.out_channels, self.value.out_channels
        return "channels={}, key_channels={}, value_channels={}".format(*sizes)
