"""What a person asks for: photo(s) in, frames out."""

from warpkit.models.tasks.clip import Clip
from warpkit.models.tasks.imitate import imitate
from warpkit.models.tasks.transfer import Wear, transfer
from warpkit.models.tasks.view import view

__all__ = ["Clip", "Wear", "imitate", "transfer", "view"]
