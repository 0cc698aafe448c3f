"""A little of `make fuzz`, without sanitizers: hostile inputs neither raise nor give answers that do not repeat."""

import hostile
import pytest


@pytest.mark.parametrize("first", range(0, 400, 50))
def test_hostile_inputs(first: int) -> None:
    assert hostile.work(first, 50, 60, None) == 50
