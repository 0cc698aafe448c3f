"""Bodies by name."""

from pathlib import Path

from warpkit.models.bodies.anny import Anny
from warpkit.models.bodies.body import BodyModel
from warpkit.models.bodies.smpl import Smpl, find_file
from warpkit.models.errors import InputError

BODIES = ("anny", "smpl", "smplh", "smplx")


def load_body(name: str = "anny", folder: Path | None = None) -> BodyModel:
    """A body model by its name.

    Args:
        name: "anny" travels with the package; "smpl", "smplh" and "smplx" need the extra `[smpl]` and model files.
        folder: where the files of SMPL's family lie, in the layout of `smplx` (`smpl/SMPL_NEUTRAL.npz`, …).

    Raises:
        InputError: the name is unknown, the extra is not installed, or the files are missing or unreadable.
    """
    if name == "anny":
        return Anny()
    if name in BODIES:
        if folder is None:
            raise InputError(f"the body {name!r} needs the folder that holds its model files")
        return Smpl(name, find_file(name, Path(folder)))
    raise InputError(f"unknown body {name!r}: expected one of {', '.join(BODIES)}")
