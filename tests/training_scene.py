"""A stand-in system and data for tests of the trainer: small enough for a step in milliseconds.

Run as a program, under torchrun too: `training_scene.py FOLDER STEPS ACCUMULATE [STOP]`; it hangs before step STOP.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from liquid_warping_scene import body, project
from torch import Tensor, nn

from warpkit import warp_reduce
from warpkit.models.batch import Batch, Pictures, UvCondition, Visibility
from warpkit.models.bodies import BodyModel
from warpkit.models.training import Advice, TrainConfig, Trainer

SIZE = (32, 32)
ABOUT = {"system": {"name": "stand-in", "preset": "tiny"}, "data": {}}


class StandIn(nn.Module):
    """One convolution each for sources, target and discriminator."""

    visibility: Visibility = None

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.generator = nn.ModuleDict({"blocks": nn.ModuleList([nn.Conv2d(3, 6, 3, padding=1)])})
        self.generator["draw"] = nn.Conv2d(9, 4, 3, padding=1)
        self.discriminators = nn.ModuleDict({"global": nn.Conv2d(3, 1, 3)})
        with torch.no_grad():
            for value in self.parameters():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.2)

    def condition(self, model: BodyModel) -> UvCondition:
        return UvCondition(model)

    def encode_sources(self, batch: Batch) -> Tensor:
        image = batch.sources.image
        return self.generator["blocks"][0](image.flatten(0, 1)).unflatten(0, image.shape[:2])

    def render(self, sources: Tensor, batch: Batch) -> Any:
        carried = warp_reduce(sources.float(), batch.flow, "mean")
        colour, alpha = self.generator["draw"](torch.cat([carried, batch.target_condition], 1)).float().split([3, 1], 1)
        return SimpleNamespace(image=torch.tanh(colour), alpha=torch.sigmoid(alpha))

    def losses(self, rendered: Any, batch: Batch, stage: str, critics: Any = None, *, adversarial: bool | None = None):  # type: ignore[no-untyped-def]
        discriminator = self.discriminators["global"]
        if stage == "discriminator":
            return {
                "global": (discriminator(batch.target_image) - 1).square().mean()
                + (discriminator(rendered.image.detach()) + 1).square().mean()
            }
        terms = {
            "pixel": nn.functional.l1_loss(rendered.image, batch.target_image),
            "mask": nn.functional.mse_loss(rendered.alpha, batch.target_alpha),
        }
        if adversarial:
            frozen = {name: value.detach() for name, value in discriminator.named_parameters()}
            terms["adversarial"] = (
                0.1 * torch.func.functional_call(discriminator, frozen, rendered.image).square().mean()
            )
        return terms


class Noise:
    """Seeded noise on bodies seen from anywhere."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop

    def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
        if step == self.stop:
            time.sleep(300)
        generator = torch.Generator().manual_seed(step)
        people = []
        for _ in range(batch):
            degrees = (torch.rand(sources + 1, generator=generator) * 360).tolist()
            people.append(project(degrees, SIZE))
        vertices = torch.stack(people)
        image = torch.rand(batch, sources + 1, 3, *SIZE, generator=generator) * 2 - 1
        alpha = (image[:, :, :1] > 0).float()
        everything = Pictures(image, alpha, vertices, torch.ones(batch, sources + 1, dtype=torch.bool))
        return everything[:sources], everything[sources:]


def settings(**changes: Any) -> TrainConfig:
    values = {"steps": 8, "sources": [1, 3], "drop": 0.3, "save_every": 3, "sheet_every": 0, "adversarial_from": 0.5}
    return TrainConfig.from_dict(values | changes)


def trainer(folder: Path | None, samples: Any = None, advice: Advice | None = None, **changes: Any) -> Trainer:
    torch.set_num_threads(1)
    options: dict[str, Any] = {"about": ABOUT, "accelerator": "cpu", "advice": advice, "tell": print}
    return Trainer(StandIn(), samples or Noise(), body(), settings(**changes), folder, **options)


if __name__ == "__main__":
    folder, numbers = Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]
    running = trainer(folder, Noise(*numbers[2:]), steps=numbers[0], accumulate=numbers[1], save_every=5)
    running.fit()
    running.close()
