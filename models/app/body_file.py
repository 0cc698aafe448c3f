"""The file that `warpkit body` writes: one `.npz` of plain arrays, nothing pickled.

| key | shape | meaning |
|---|---|---|
| `model` | text | the body model: anny, smpl, smplh or smplx |
| `joints` | `[22]` text | names of the joints, in the order of `pose` |
| `pose` | `[22, 3]` | axis-angle, radians, each joint relative to its parent; all zero: the T-pose facing the camera |
| `shape` | `[K]` | shape parameters of the model |
| `camera_scale` | one number | pixels of the photo for each metre |
| `camera_offset` | `[2]` | pixel (x right, y down) where the pelvis lands |
| `image_size` | `[2]` | height and width of the photo, upright |
| `vertices` | `[V, 3]` | metres, the posed body: x right, y up, z to the viewer, pelvis at the origin |
| `faces` | `[F, 3]` | triangles, counter-clockwise seen from outside |
| `landmark_error`, `mask_iou` | one number each | the fit: mean distance as a fraction of the height; overlap |

A vertex (x, y, z) lies at the photo's pixel (offset_x + scale * x, offset_y - scale * y).
"""

from pathlib import Path

import numpy as np

from warpkit.models.bodies import JOINTS, BodyModel
from warpkit.models.errors import InputError
from warpkit.models.media.output import check_output, whole
from warpkit.models.recovery import Person


def check_body_output(path: Path, *, overwrite: bool = False) -> Path:
    """As `check_output`, for a name that ends in .npz."""
    if path.suffix.lower() != ".npz":
        raise InputError(f"{path}: the name of a body file must end in .npz")
    return check_output(path, overwrite=overwrite)


def write_body(path: Path, found: Person, model: BodyModel, *, overwrite: bool = False) -> None:
    """Writes the body of `found`, whole or not at all; raises InputError where that cannot be done."""
    body = found.body
    with whole(path, overwrite=overwrite) as draft, draft.open("wb") as file:
        np.savez(
            file,
            model=np.array(model.name),
            joints=np.array(JOINTS),
            pose=body.pose[0].numpy(),
            shape=body.shape[0].numpy(),
            camera_scale=body.camera.scale[0].numpy(),
            camera_offset=body.camera.offset[0].numpy(),
            image_size=np.array(found.size),
            vertices=model(body.pose, body.shape)[0].detach().numpy(),
            faces=model.faces.numpy(),
            landmark_error=np.array(found.landmark_error),
            mask_iou=np.array(found.mask_iou),
        )
