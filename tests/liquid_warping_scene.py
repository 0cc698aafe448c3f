"""A small scene for tests of systems: the default body, standing, seen from several sides."""

import functools
import math

import torch

from warpkit.models.batch import Batch, Pictures, make_batch
from warpkit.models.bodies import JOINTS, BodyModel, Camera, load_body
from warpkit.models.systems.liquid_warping import LiquidWarping


@functools.cache
def body() -> BodyModel:
    return load_body("anny")


def project(degrees: list[float], size: tuple[int, int]) -> torch.Tensor:
    """[N, V, 3] NDC of the body, turned about the vertical."""
    model = body()
    pose = torch.zeros(len(degrees), len(JOINTS), 3)
    pose[:, 0, 1] = torch.tensor(degrees) * (math.pi / 180)
    shape = model.mean_shape[None]
    middle = torch.tensor([[size[1] / 2, size[0] / 2.0]]).expand(len(degrees), -1)
    camera = Camera((0.7 * size[0] / model.height(shape)).expand(len(degrees)), middle)
    return camera.project(model(pose, shape.expand(len(degrees), -1)), size)


def pictures(degrees: list[float], size: tuple[int, int], people: int = 1) -> Pictures:
    """Noise on the body's silhouette, before noise."""
    vertices = project(degrees, size)[None].expand(people, -1, -1, -1)
    count = len(degrees)
    image = torch.rand(people, count, 3, *size) * 2 - 1
    alpha = torch.zeros(people, count, 1, *size)
    high, wide = size[0] // 6, size[1] // 4
    alpha[..., high : size[0] - high, wide : size[1] - wide] = 1
    return Pictures(image, alpha, vertices, torch.ones(people, count, dtype=torch.bool), plate=image[:, 0])


def scene(
    system: LiquidWarping, sources: int = 2, size: tuple[int, int] = (64, 64), people: int = 1, turned: float = 20.0
) -> Batch:
    """Sources from all round, and a target with its truth."""
    seen = pictures([turned + 360 * i / sources for i in range(sources)], size, people)
    target = pictures([0.0], size, people)
    model = body()
    return make_batch(
        seen, target.vertices[:, 0], model, system.condition(model), target=target, visibility=system.visibility
    )
