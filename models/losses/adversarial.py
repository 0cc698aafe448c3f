"""The least-squares game of LSGAN with targets -1 (made), 1 (real) and 0 (what the generator is after)."""

from torch import Tensor


def lsgan_generator(scores: Tensor) -> Tensor:
    """The mean square of a discriminator's scores of what was made, any shape: Liquid Warping GAN, Eq. 5."""
    return scores.float().square().mean()


def lsgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """How far a discriminator's scores lie from 1 for what is real and -1 for what was made: Eq. 8."""
    return (real.float() - 1).square().mean() + (fake.float() + 1).square().mean()
