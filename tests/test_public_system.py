"""What is wrong with the public system, each as a test that ours is not: here, or where it belongs.

The public system is Impersonator++ (iPERCore) at its last commit; numbers are those of its issues.
"""

import ast
import math
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from warpkit import compose_flow, rasterize
from warpkit.models.bodies import Body, BodyModel, Camera, load_body
from warpkit.models.data.motion_library import make_motion
from warpkit.models.tasks.imitate import imitate_body
from warpkit.models.tasks.view import own_axis, turned, view_rotations

DEFECTS = {
    "settings that the command line's defaults overrule":
        "test_options::test_both_have_the_same_options_with_the_same_defaults",
    "switches that cannot be turned off, unknown keys that are accepted":
        "test_settings::test_what_does_not_fit_is_a_sentence",
    "part names that fail with a KeyError": "test_transfer::test_an_unknown_part_gets_the_known_ones_listed",
    "a photo without parts fails": "test_transfer::test_wear_is_a_photo_and_its_parts",
    "caches named by hand, which give the wrong person (#25, #43)":
        "test_cache::test_any_change_of_an_input_is_another_key",
    "two inputs without a name share one cache (#9, #17)":
        "test_cache::test_what_was_made_is_found_and_a_changed_input_is_not",
    "the frame rate asked for is overwritten": "test_motion::test_length_and_rate_are_as_asked",
    "only a video of three panels (#55, #58, #71)":
        "test_imitate::test_frames_have_the_size_and_number_that_were_promised",
    "always 180 views, no rotation or translation of one's own": "test_view::test_every_view_is_a_frame",
    "several views add up": "test_public_system::test_a_view_is_the_same_alone_and_among_others",
    "people who run on the spot (#22, #76, #78)": "test_public_system::test_people_go_sideways_and_come_nearer",
    "smoothing that takes every video for one rate": "test_travel::test_a_motion_is_smoothed_alike_at_any_rate",
    "11 to 18 frames that cannot be smoothed (#17)":
        "test_travel::test_clips_of_any_length_can_be_smoothed_and_what_goes_evenly_stays",
    "bullet time that snaps upright": "test_view::test_a_motion_frozen_in_the_middle_turns_and_goes_on",
    "stiff hands (#1, #154)": "test_motion::test_a_body_with_fingers_imitates_them",
    "one frame without a person loses the clip":
        "test_recovery::test_frames_in_which_the_person_is_lost_are_interpolated",
    "half a person is refused or squats (#27, #51)":
        "test_notices::test_an_upper_body_is_told_and_what_becomes_of_the_legs",
    "a little self-occlusion fails (#84)":
        "test_notices::test_what_the_body_hides_is_told_unless_another_photo_shows_it",
    "one person only": "test_crowd::test_a_real_video_of_two_gives_each_of_them",
    "errors without a reason (#45, #96, #116, #175)": "test_cli::test_a_fault_is_told_without_a_traceback_unless_debug",
    "failures with exit status 0": "test_clips::test_exit_status_tells_whether_all_some_or_no_videos_could_be_used",
    "out of memory with some photos (#57, #161)": "test_cli::test_out_of_memory_says_what_to_lower",
    "what cannot be used is deleted": "test_clips::test_broken_videos_are_skipped_and_told_and_the_others_made",
    "parts that are not split in the flow": "test_transfer::test_flow_reaches_the_giver_s_own_cells_alone",
    "no output without a reference video": "test_transfer::test_the_shirt_is_the_other_s_and_the_rest_is_the_person_s",
    "hidden surfaces sampled from what hides them": "test_mesh_flow::test_what_stands_in_front_hides",
    "a sentinel that bleeds at outlines": "test_warp::test_nothing_leaks_from_what_is_not_visible",
    "a body that fills the picture": "test_public_system::test_a_body_may_cover_the_whole_picture",
    "faces of one leg turned inside out": "test_bodies::test_faces_point_outwards",
    "batches of three": "test_complaints::test_an_image_is_the_same_in_every_batch",
    "flicker, and a temporal term that does not work (#114)":
        "test_steady::test_flicker_is_halved_on_wavering_bodies_and_pictures_stay_sharp",
    "no code for evaluation (#146)": "test_evaluate::test_a_perfect_renderer_beats_one_that_is_off_by_a_known_error",
    "the perceptual loss at 224 pixels": "test_losses::test_presets_have_their_perceptual_losses",
}  # fmt: skip
"""A defect, and the test that ours does not have it."""


@lru_cache
def names_in(module: str) -> set[str]:
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("defect", "where"), DEFECTS.items())
def test_every_defect_has_its_test(defect: str, where: str) -> None:
    module, name = where.split("::")
    assert name in names_in(module), f"{defect}: {where} is gone"


def standing() -> tuple[Body, BodyModel]:
    model = load_body("anny")
    camera = Camera(torch.tensor([100.0]), torch.tensor([[64.0, 90.0]]))
    return Body(torch.zeros(1, 22, 3), model.mean_shape[None], camera), model


def test_a_view_is_the_same_alone_and_among_others() -> None:
    body, model = standing()
    axis = own_axis(body, model)
    asked = (45.0, 90.0, 180.0, 270.0)
    together = turned(body, model, view_rotations(asked, (0.0,) * 4, (0.0,) * 4, axis))
    for number, azimuth in enumerate(asked):
        alone = turned(body, model, view_rotations((azimuth,), (0.0,), (0.0,), axis))
        torch.testing.assert_close(together.pose[number], alone.pose[0])
        torch.testing.assert_close(together.camera.offset[number], alone.camera.offset[0])
    quarter, half = together.pose[1, 0], together.pose[2, 0]
    assert float(quarter.norm()) == pytest.approx(math.pi / 2, abs=1e-3)
    assert float(half.norm()) == pytest.approx(math.pi, abs=1e-3)


def test_people_go_sideways_and_come_nearer() -> None:
    body, model = standing()
    motion = make_motion("walk", fps=10.0)
    frames = len(motion.rotations)
    steps = torch.linspace(0, 1, frames)
    path = torch.stack([1.5 * steps, torch.zeros(frames)], 1)  # metres to the right
    motion = type(motion)(motion.fps, motion.rotations, path, 1 + 0.5 * steps, motion.height)
    found = imitate_body(body, motion, model)
    across = found.camera.offset[:, 0] / body.camera.scale
    expected = 1.5 * float(model.height(body.shape)) / motion.height
    assert float(across[-1] - across[0]) == pytest.approx(float(expected), rel=1e-4)
    assert (across.diff() > 0).all()
    torch.testing.assert_close(found.camera.scale / body.camera.scale, 1 + 0.5 * steps)


def test_a_body_may_cover_the_whole_picture() -> None:
    body, model = standing()
    close = Camera(torch.tensor([3000.0]), torch.tensor([[16.0, 600.0]]))
    vertices = close.project(model(body.pose, body.shape), (32, 32))
    fragments = rasterize(vertices, model.faces, (32, 32))
    assert (fragments.face_index >= 0).all()
    flow = compose_flow(vertices[:, None], model.faces, fragments)
    assert flow.grid.isfinite().all()
    assert flow.grid.abs().amax() <= 1.0 + 1e-5
