"""A person cut out of a picture: the square round them, an alpha that follows the edges, colours that are theirs."""

from torch import Tensor

from warpkit.models.bodies import Body
from warpkit.models.geometric.framing import Framing, frame_round
from warpkit.models.geometric.matte import estimate_foreground, refine_alpha
from warpkit.models.geometric.view import View

MARGIN = 0.15
"""Of the longer side of a person's box, left free on each side of it."""


def window_round(box: tuple[float, float, float, float], resolution: int) -> Framing:
    """The square of `resolution` pixels a side that a view of the person in `box` (x0, y0, x1, y1; pixels) shows."""
    return frame_round(box, MARGIN, resolution)


def cut_out(picture: Tensor, mask: Tensor, body: Body, framing: Framing) -> View:
    """The person in a square of a picture, with their own colours only.

    Args:
        picture: `[3, H, W]` in [-1, 1].
        mask: `[H, W]` in [0, 1], of the person; soft.
        body: B = 1, in the picture's pixels.
        framing: the square, see `window_round`.

    Returns:
        The view; what lies beyond the picture's borders is nobody's.
    """
    cut = framing.cut(picture, "border")
    height, width = mask.shape
    alpha = refine_alpha(cut, framing.cut(mask[None], "border")[0] * framing.inside((height, width)))
    detail = min(1.0, framing.side / framing.size)
    return View(estimate_foreground(cut, alpha), alpha, framing.body(body), detail)
