"""The scene of a reference: what its camera saw behind the person, without them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi
import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.data.motion import Motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.background import fill_background
from warpkit.models.geometric.framing import Framing
from warpkit.models.media.video import VideoReader
from warpkit.models.recovery.blazepose import landmarks
from warpkit.models.recovery.crops import Pyramid, Square
from warpkit.models.recovery.people import BELIEF, to_detection
from warpkit.models.tasks.sources import to_tensor

MOMENTS = 24
"""Frames that the scene is gathered from, evenly over the video."""
MARGIN = 0.04
"""Of the person's height, that their mask is widened by: hair, loose clothes, the edge of a shadow."""
MOVES = 0.07
"""Mean difference of colours ([-1, 1]) between the frames' surroundings and the still scene beyond which the camera is
said to move; compression and light leave about 0.02."""


@torch.no_grad()
def reference_scene(video: Path, motions: Sequence[Motion], model: BodyModel, framing: Framing) -> Tensor:
    """[3, H, W] in [-1, 1] what `framing` shows of the video's pictures, with the people gone whose motions are given.

    The median over `MOMENTS` frames of what is seen beside them; what they hide in all of them is filled from
    the rest. So the camera must stand still.

    Args:
        video: the reference.
        motions: recovered from it, with their places; one or several.
        model: any body model; where the person is is told by it, and their outline by the mask network.
        framing: of the video's pictures.

    Raises InputError where the camera moves.
    """
    reader = VideoReader(video)
    people = [_bodies(motion, model) for motion in motions]
    motion = motions[0]
    total = max(2, round(motion.seconds * float(reader.fps)))
    wanted = {round(moment) for moment in np.linspace(0, total - 1, min(MOMENTS, total))}
    frames, hidden = [], []
    for number, frame in enumerate(reader):
        if number not in wanted:
            continue
        moment = min(len(motion) - 1, round(number * motion.fps / float(reader.fps)))
        frames.append(framing.cut(to_tensor(frame)))
        mask = torch.from_numpy(np.max([_person(frame, bodies[moment], model) for bodies in people], 0))[None]
        hidden.append(framing.cut(mask, "border")[0] > 0.01)
    pictures, masks = torch.stack(frames), torch.stack(hidden)
    pictures.masked_fill_(masks[:, None], torch.nan)
    scene = torch.cat([rows.nanmedian(0).values for rows in pictures.split(64, 2)], 1)
    never = scene.isnan().any(0)
    differences = (pictures - scene).abs().flatten(1).nanmean(1)
    moved = float(differences.nanmedian())
    if moved > MOVES:
        raise InputError(
            f"the camera of {video} moves (its surroundings differ by {moved:.2f} from frame to frame, at most {MOVES} "
            "is taken for a camera that stands still): only a still camera's scene can be kept, so choose another "
            "background"
        )
    scene = scene.nan_to_num(0.0)
    return fill_background(scene, never) if never.any() else scene


def _bodies(motion: Motion, model: BodyModel) -> Body:
    """The reference's bodies in the video's pixels, in a neutral shape of their height."""
    assert motion.place is not None
    place, shape = motion.place, model.mean_shape[None]
    scale = place.scale * motion.scale * (motion.height / model.height(shape))
    offset = motion.path.new_tensor(place.pelvis) + place.scale * motion.path
    return Body(motion.rotations, shape.expand(len(motion), -1), Camera(scale, offset))


def _person(frame: np.ndarray, body: Body, model: BodyModel) -> np.ndarray:
    """float32 [H, W]: 1 where the person may be, by the mask network round `body` and by the body itself."""
    pixels = body.camera.pixels(model(body.pose, body.shape))[0]
    low, high = pixels.amin(0), pixels.amax(0)
    tall = float((high - low).max())
    centre = ((low + high) / 2).tolist()
    picture = Pyramid(frame)
    found = landmarks(picture, Square((centre[0], centre[1]), 1.25 * tall))
    if found.score >= BELIEF:
        found = landmarks(picture, found.next_square())
    height, width = frame.shape[:2]
    hidden = np.zeros((height, width), bool)
    if found.score >= BELIEF:
        hidden |= to_detection(found, (height, width)).mask.numpy() > 0.1
    columns, rows = pixels.round().long().T
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    hidden[rows[inside], columns[inside]] = True
    reach = MARGIN * tall
    step = max(1, int(reach / 4))  # coarser where the person is large: a margin need not be exact
    coarse = F.max_pool2d(torch.from_numpy(hidden)[None, None].float(), step, ceil_mode=True)[0, 0].numpy() > 0
    wide = ndi.distance_transform_edt(~coarse) * step <= reach
    full = wide.repeat(step, 0).repeat(step, 1)[:height, :width]
    return np.ascontiguousarray(full, np.float32)
