"""What all tests share."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def threads_stay_as_they_are() -> Iterator[None]:
    """A test that computes on other threads, or runs a command that does, leaves the next test what it had."""
    before = torch.get_num_threads()
    yield
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)
