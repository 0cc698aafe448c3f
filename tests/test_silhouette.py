"""The comparison of benchmarks/silhouette.py, small: its mask is right and both ways of fitting find the body."""

import pytest
import torch

pytest.importorskip("scipy", reason="the extra [person] brings it")

import warpkit
from benchmarks.silhouette import fit_by_gradient, fit_by_outline, judge, make_problem, render_mask
from warpkit.models.bodies import load_body
from warpkit.models.recovery.fit import Fitter


@pytest.fixture(scope="module")
def fit() -> Fitter:
    return Fitter(load_body("anny"))


def test_the_mask_of_a_body_of_small_faces_is_what_it_covers(fit: Fitter) -> None:
    """At 96 pixels most of its faces hold no centre; against the mean of a mask four times finer."""
    problem = make_problem(fit, 0, 96)
    body = fit.body(problem.truth, problem.targets)
    mask = render_mask(body, fit.model, problem.size, warpkit.face_neighbours(fit.model.faces))[0, 0]
    centres = warpkit.rasterize(
        body.camera.project(fit.model(body.pose, body.shape), problem.size), fit.model.faces, problem.size
    ).face_index[0]
    jumpy = ((centres >= 0).float() - problem.mask).square().sum()
    assert (mask - problem.mask).square().sum() < 0.25 * jumpy
    assert float(mask.sum()) == pytest.approx(float(problem.mask.sum()), rel=0.01)


def test_both_ways_move_a_body_onto_its_mask(fit: Fitter) -> None:
    problem = make_problem(fit, 1, 96)
    with torch.no_grad():
        start = judge(fit, problem, problem.start)
        outline = judge(fit, problem, fit_by_outline(fit, problem, rounds=2))
    gradient = judge(fit, problem, fit_by_gradient(fit, problem, steps=20))
    assert start[0] < 0.8
    assert min(outline[0], gradient[0]) > 0.9
    assert gradient[1] < 0.5 * start[1]
