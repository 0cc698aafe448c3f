"""What a person asks for: photo(s) in, frames out."""

from warpkit.models.tasks.choices import Adaptation, Look, Travel
from warpkit.models.tasks.clip import Clip
from warpkit.models.tasks.inspect import Inspection, inspect
from warpkit.models.tasks.inspect_figures import write_figures
from warpkit.models.tasks.pipeline import Pipeline
from warpkit.models.tasks.together import Role, Together
from warpkit.models.tasks.transfer import Wear
from warpkit.models.tasks.view import Turn

__all__ = [
    "Adaptation",
    "Clip",
    "Inspection",
    "Look",
    "Pipeline",
    "Role",
    "Together",
    "Travel",
    "Turn",
    "Wear",
    "inspect",
    "write_figures",
]
