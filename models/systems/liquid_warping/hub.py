"""Systems on the Hugging Face hub: `HubLiquidWarping.from_pretrained(name)`, `hub_system(system).push_to_hub(name)`."""

from pathlib import Path
from typing import Any

from warpkit.models.errors import needs_extra
from warpkit.models.systems.liquid_warping.checkpoints import load, save
from warpkit.models.systems.liquid_warping.system import LiquidWarping

with needs_extra("hub"):
    from huggingface_hub import PyTorchModelHubMixin, hf_hub_download

FILE = "model.safetensors"


class HubLiquidWarping(
    PyTorchModelHubMixin,
    LiquidWarping,
    library_name="warpkit",
    tags=["image-to-image", "human-animation"],
):
    """A `LiquidWarping` that has `from_pretrained`, `save_pretrained` and `push_to_hub`.

    The weights' file is that of `checkpoints.save`; it says its own preset.
    """

    def _save_pretrained(self, save_directory: Path) -> None:
        save(self, save_directory / FILE)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str = "cpu",
        **options: Any,
    ) -> "HubLiquidWarping":
        path = Path(model_id) / FILE
        if not Path(model_id).is_dir():
            downloaded = hf_hub_download(
                model_id,
                FILE,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                token=token,
                local_files_only=local_files_only,
            )
            path = Path(downloaded)
        return hub_system(load(path)).to(map_location)


def hub_system(system: LiquidWarping) -> HubLiquidWarping:
    """The same networks with the hub's methods, such as `push_to_hub`; weights are shared, not copied."""
    shared = HubLiquidWarping(system.preset)
    shared.generator, shared.discriminators = system.generator, system.discriminators
    return shared.train(system.training)
