"""What every judging network shares: weights that are never trained nor saved, looked up by the names in their file."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warpkit.models.features.state import State


class Frozen(nn.Module):
    """Holds a file's tensors and applies layers by their names there; the sizes of layers are those in the file."""

    network: str = ""
    """Its name in logs and results, such as "vgg19": tells networks that play the same part apart."""
    about: str = ""
    """Where its weights came from, one line."""
    eps: float = 1e-5
    """Of its batch normalisations."""

    def __init__(self, state: State) -> None:
        super().__init__()
        for name, value in state.items():
            self.register_buffer(name.replace(".", "/"), value, persistent=False)

    def has(self, name: str) -> bool:
        """Whether the file holds a tensor of this name."""
        return name.replace(".", "/") in self._buffers

    def tensor(self, name: str) -> Tensor:
        """The tensor of this name; KeyError with the name where the file has none."""
        value = self._buffers.get(name.replace(".", "/"))
        if value is None:
            raise KeyError(name)
        return value

    def conv(self, x: Tensor, name: str, stride: int = 1, padding: int | None = None, groups: int = 1) -> Tensor:
        """A convolution, with its bias where it has one; `padding` None: as much as keeps the size at stride 1."""
        weight = self.tensor(f"{name}.weight")
        bias = self.tensor(f"{name}.bias") if self.has(f"{name}.bias") else None
        pads = (weight.shape[2] // 2, weight.shape[3] // 2) if padding is None else (padding, padding)
        return F.conv2d(x, weight, bias, stride, pads, groups=groups)

    def norm(self, x: Tensor, name: str) -> Tensor:
        """A batch normalisation by its running statistics."""
        mean, variance = self.tensor(f"{name}.running_mean"), self.tensor(f"{name}.running_var")
        return F.batch_norm(x, mean, variance, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"), eps=self.eps)

    def linear(self, x: Tensor, name: str) -> Tensor:
        """A fully connected layer."""
        return F.linear(x, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"))


class Embedding(Frozen):
    """A network that gives one vector a picture."""

    size: tuple[int, int]
    """Height and width that it was trained for; `forward` resizes to it."""

    def resized(self, image: Tensor) -> Tensor:
        """`image` at `size`, smoothed when it shrinks."""
        if image.shape[-2:] == self.size:
            return image
        return F.interpolate(image, self.size, mode="bilinear", antialias=True)

    def forward(self, image: Tensor) -> Tensor:
        """`[B, 3, H, W]` in [-1, 1] to `[B, D]`."""
        raise NotImplementedError


def standardised(image: Tensor) -> Tensor:
    """A picture in [-1, 1] by the mean and deviation of ImageNet's colours, as torchvision's networks want it."""
    mean, deviation = image.new_tensor([0.485, 0.456, 0.406]), image.new_tensor([0.229, 0.224, 0.225])
    return ((image + 1) / 2 - mean[:, None, None]) / deviation[:, None, None]


def unit(vectors: Tensor) -> Tensor:
    """Along axis 1, of length one."""
    return vectors / (torch.linalg.vector_norm(vectors, dim=1, keepdim=True) + 1e-8)
