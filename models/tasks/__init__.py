"""What a person asks for: photo(s) in, frames out."""

from warpkit.models.tasks.imitate import Imitation, imitate

__all__ = ["Imitation", "imitate"]
