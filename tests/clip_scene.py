"""A clip of a made-up person whose body and masks are known: nothing is recovered from pictures."""

from dataclasses import replace

import torch

from warpkit.models.bodies import JOINTS, Body, BodyModel, Camera
from warpkit.models.data.rendered import MadeUpPerson
from warpkit.models.geometric.appearance import gather_appearance
from warpkit.models.geometric.framing import frame_motion
from warpkit.models.media.tensors import to_image
from warpkit.models.recovery import Person
from warpkit.models.recovery.blazepose import NUM_LANDMARKS
from warpkit.models.systems.liquid_warping import PRESETS, LiquidWarping, build
from warpkit.models.tasks import Clip
from warpkit.models.tasks.clip import extent
from warpkit.models.tasks.sources import Source, standing_body
from warpkit.models.tasks.view import own_axis, turned, view_rotations

PHOTO, SIZE = 160, 64


def photographed(person: MadeUpPerson, model: BodyModel, degrees: float) -> Source:
    """A photo of a made-up person, whose body and mask are known."""
    pose = torch.zeros(1, len(JOINTS), 3)
    pose[0, 0, 1] = degrees * torch.pi / 180
    camera = Camera(0.75 * PHOTO / model.height(person.shape), torch.tensor([[PHOTO / 2, PHOTO * 0.48]]))
    body = Body(pose, person.shape, camera)
    shown = person.render(body, (PHOTO, PHOTO))
    rows, columns = (torch.nonzero((shown.alpha > 0.5).any(dim))[:, 0].tolist() for dim in (1, 0))
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    landmarks = torch.full((NUM_LANDMARKS, 2), PHOTO / 2)
    found = Person(
        (PHOTO, PHOTO), body, shown.alpha, box, landmarks, torch.zeros(NUM_LANDMARKS, 3), torch.ones(33), 0.01, 0.9
    )
    return Source(f"{degrees:g}.jpg", to_image(shown.colour * shown.alpha), found)


def moved_and_turned(model: BodyModel, device: torch.device) -> Clip:
    """Someone photographed from the front and from behind: as they stand, moved to the right, and turned round."""
    person = MadeUpPerson(model, seed=3)
    sources = [photographed(person, model, degrees) for degrees in (0, 180)]
    appearance = gather_appearance([source.view(SIZE) for source in sources], model, atlas_size=256)
    standing = standing_body(sources[0], appearance)
    bodies = [
        turned(standing, model, view_rotations([azimuth], [0], [0], own_axis(standing, model)), (shift, 0.0))
        for azimuth, shift in ((0, 0.0), (0, 0.4), (180, 0.0))
    ]
    every = Body(
        torch.cat([one.pose for one in bodies]),
        torch.cat([one.shape for one in bodies]),
        Camera(torch.cat([one.camera.scale for one in bodies]), torch.cat([one.camera.offset for one in bodies])),
    )
    framing = frame_motion(*extent(every, model), (PHOTO, PHOTO), SIZE)
    plate = torch.full((3, SIZE, SIZE), 0.2)
    return Clip(model, sources, appearance, every, framing, plate, fps=25.0, device=device)


def tiny(layers: str) -> LiquidWarping:
    """A system that was never trained: `small`, or `paper` with few channels."""
    torch.manual_seed(0)
    preset = PRESETS["small"] if layers == "small" else replace(PRESETS["paper"], width=4, discriminator_width=4)
    return build(preset).eval()
