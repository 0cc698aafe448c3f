"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from warpkit.models.bodies import BodyModel


@pytest.fixture(autouse=True)
def threads_stay_as_they_are() -> Iterator[None]:
    """A test that computes on other threads, or runs a command that does, leaves the next test what it had."""
    before = torch.get_num_threads()
    yield
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing is taken from the cache of whoever runs the tests, and nothing is left there."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("WARPKIT_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def model() -> "BodyModel":
    """The body that travels with the package."""
    from warpkit.models.bodies import load_body  # tests of the ops alone need nothing of what it needs

    return load_body("anny")
