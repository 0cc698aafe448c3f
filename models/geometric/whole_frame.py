"""A rendered window of a frame as what systems start from: the geometric picture of the whole frame."""

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.batch import Geometric
from warpkit.models.geometric.renderer import Rendered
from warpkit.models.layers import spread


def whole_frame(rendered: Rendered, size: tuple[int, int]) -> Geometric:
    """What was rendered, B = 1, in its frame of `size` (height, width): colours continued to where nobody is.

    Sights are counted as the renderer blends them, so that confidence is what is seen.
    """
    top, left = rendered.corner
    height, width = rendered.alpha.shape[-2:]
    beside = (left, size[1] - left - width, top, size[0] - top - height)

    def placed(window: Tensor) -> Tensor:
        return F.pad(window, beside)

    alpha = placed(rendered.alpha)
    person = (alpha > 0).to(alpha)
    colour = spread(placed(rendered.colour), person).clamp(-1, 1)
    seen = placed(torch.where(rendered.alpha > 0, 1 - rendered.filled, 0).clamp(0, 1))
    return Geometric(colour, seen, seen, alpha)
