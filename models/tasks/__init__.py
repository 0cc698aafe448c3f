"""What a person asks for: photo(s) in, frames out."""

from warpkit.models.tasks.imitate import Imitation, imitate
from warpkit.models.tasks.transfer import Wear, transfer
from warpkit.models.tasks.view import view

__all__ = ["Imitation", "Wear", "imitate", "transfer", "view"]
