"""The generator: its three streams, put together as a preset says."""

from functools import partial

import torch
from torch import Tensor, nn

from warpkit.models.systems.liquid_warping.fusion import STRATEGIES
from warpkit.models.systems.liquid_warping.presets import Preset
from warpkit.models.systems.liquid_warping.small import (
    SmallBackgroundStream,
    SmallSourceStream,
    SmallTransferStream,
    small_fusion,
)
from warpkit.models.systems.liquid_warping.streams import BackgroundStream, SourceStream, TransferStream


class Generator(nn.Module):
    """G_BG, G_SID and G_TSF as `background`, `source` and `transfer`.

    `source` is None for strategies that carry no features over. AttLWBs lie in `transfer.fusions`.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        strategy = STRATEGIES[preset.fusion]
        condition = preset.condition_channels
        source = 3 + condition
        channels = source if strategy.input == "warped" else preset.concat_sources * source + condition
        self.background: BackgroundStream | SmallBackgroundStream
        self.source: SourceStream | SmallSourceStream | None
        self.transfer: TransferStream | SmallTransferStream
        if preset.layers == "public":
            width = preset.width
            widths = (width, 2 * width, 4 * width)
            self.background = BackgroundStream(widths=(width, 2 * width, 2 * width, 4 * width))
            self.source = None if strategy.block is None else SourceStream(source, widths)
            block = strategy.block
            if block is not None and strategy.spade:
                block = partial(block, hidden=2 * width)
            self.transfer = TransferStream(channels, block, widths)
        else:
            attention = preset.fusion == "attention"
            self.background = SmallBackgroundStream()
            self.source = None if strategy.block is None else SmallSourceStream(source + 1)  # alpha
            # visibility and confidence
            self.transfer = SmallTransferStream(channels + 2, small_fusion if attention else strategy.block)


def joined(*parts: Tensor) -> Tensor:
    """Along the channels, in the first one's dtype."""
    return torch.cat([part.to(parts[0]) for part in parts], 1)
