"""Metrics against values that are known otherwise, and regions on bodies that are known."""

import made_up_weights
import numpy as np
import pytest
import torch

from warpkit.models.batch import part_box
from warpkit.models.bodies import JOINTS, Camera
from warpkit.models.features.faces import SphereFace
from warpkit.models.metrics import Faces, Judges, body_crop, frechet_distance, psnr, ssim, widened
from warpkit.models.metrics.judges import cosines, known


def standing(model, yaw: float, size: int = 64) -> torch.Tensor:
    pose = torch.zeros(1, len(JOINTS), 3)
    pose[0, 0, 1] = yaw
    vertices = model(pose, model.mean_shape[None])
    camera = Camera(torch.tensor([size * 0.45]), torch.tensor([[size / 2, size * 0.5]]))
    return camera.project(vertices, (size, size))


def test_psnr_of_a_known_error():
    truth = torch.zeros(1, 3, 8, 8)
    torch.testing.assert_close(psnr(truth + 0.2, truth), torch.tensor([20.0]))
    torch.testing.assert_close(psnr(truth + 2.0, truth), torch.tensor([0.0]))


def test_ssim_of_flat_pictures_is_its_luminance_term():
    first, second = torch.full((2, 1, 3, 16, 16), 0.0).unbind(0)
    second = second + 0.4  # on [0, 1]: 0.5 and 0.7
    expected = (2 * 0.5 * 0.7 + 1e-4) / (0.5**2 + 0.7**2 + 1e-4)
    torch.testing.assert_close(ssim(first, second), torch.tensor([expected]), rtol=1e-4, atol=1e-4)


def exactly_gaussian(mean, root, count, seed):
    """Vectors whose mean and covariance are exactly `mean` and root rootᵀ."""
    vectors = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    vectors = vectors - vectors.mean(0)
    whiten = torch.linalg.inv(torch.linalg.cholesky(vectors.T.cov()))
    return vectors @ whiten.T @ root.T + mean


@pytest.mark.parametrize("count", [5, 50])  # fewer vectors than numbers in them, and more: by either way
def test_frechet_distance_of_gaussians_that_commute_is_known(count):
    mean, other = torch.zeros(4, dtype=torch.float64), torch.tensor([1.0, 2.0, 0.0, 0.0], dtype=torch.float64)
    one = exactly_gaussian(mean, torch.diag(torch.tensor([1.0, 2.0, 3.0, 1.0]).double()), count, 0)
    two = exactly_gaussian(other, torch.diag(torch.tensor([2.0, 2.0, 1.0, 4.0]).double()), count, 1)
    assert frechet_distance(one, two) == pytest.approx(1 + 4 + 1 + 0 + 4 + 9, rel=1e-9)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_equals_the_formula_with_a_matrix_root():
    linalg = pytest.importorskip("scipy.linalg")
    one, two = (torch.randn(n, 6, generator=torch.Generator().manual_seed(n)) for n in (40, 30))
    first, second = (np.cov(x.double().numpy(), rowvar=False) for x in (one, two))
    means = [x.double().mean(0).numpy() for x in (one, two)]
    expected = np.square(means[0] - means[1]).sum() + np.trace(first + second - 2 * linalg.sqrtm(first @ second).real)
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_wants_two_of_each():
    with pytest.raises(ValueError, match=r"second: expected .* N at least 2"):
        frechet_distance(torch.zeros(3, 4), torch.zeros(1, 4))
    with pytest.raises(ValueError, match="second: expected vectors of 4, got 5"):
        frechet_distance(torch.zeros(3, 4), torch.zeros(3, 5))


def test_a_mask_is_widened_by_a_share_of_its_height_all_round():
    alpha = torch.zeros(2, 1, 120, 60)
    alpha[0, 0, 10:110, 30] = 0.9
    mask = widened(alpha, 0.05)
    assert mask[0, 0, 60].nonzero().flatten().tolist() == list(range(25, 36))
    assert mask[0, 0, :, 30].nonzero().flatten().tolist() == list(range(5, 115))
    assert mask[0, 0, 5].sum() == 1  # round, not square
    assert mask[1].sum() == 0


def test_cosines_leave_out_what_is_not_seen():
    made = torch.tensor([[1.0, 0.0], [0.0, 2.0], [torch.nan, torch.nan]])
    real = torch.tensor([[[3.0, 0.0], [torch.nan, 0.0]], [[0.0, 1.0], [0.0, -1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    torch.testing.assert_close(cosines(made, real), torch.tensor([1.0, 0.0, torch.nan]).double(), equal_nan=True)
    torch.testing.assert_close(cosines(made[:2], made[:2]), torch.ones(2).double())
    assert len(known(made)) == 2


def test_a_face_looks_at_the_camera_from_the_front_alone(model):
    faces = Faces(model)
    cosine = torch.cat([faces.facing(standing(model, yaw)) for yaw in (0, np.pi / 4, np.pi / 2, np.pi)])
    assert cosine[0] > 0.9
    assert 0.5 < cosine[1] < 0.85
    assert abs(cosine[2]) < 0.35
    assert cosine[3] < -0.9


@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_eyes_land_where_the_network_wants_them(model, tilt):
    """Dots painted on the eyes of a body come to lie at the network's places in the chip, tilted head or not."""
    size = 512
    pose = torch.zeros(1, len(JOINTS), 3)
    pose[0, 0, 2] = tilt
    body = model(pose, model.mean_shape[None])
    camera = Camera(torch.tensor([500.0]), torch.tensor([[256.0, 256.0 + 500 * 0.5]]))
    vertices = camera.project(body, (size, size))
    faces = Faces(model)
    eyes = vertices[0, faces.eyes].mean(1)[:, :2]
    place = (torch.arange(size) + 0.5) / size * 2 - 1
    image = torch.zeros(1, 3, size, size)
    for number in range(2):
        near = (place[None, :] - eyes[number, 0]) ** 2 + (place[:, None] - eyes[number, 1]) ** 2 < 0.02**2
        image[0, number][near] = 1.0
    network = SphereFace(made_up_weights.sphereface(2).state)
    chip = faces.chips(image, vertices, network)
    assert chip.shape[-2:] == network.size
    for number, (x, y) in enumerate(network.eyes):
        weight = chip[0, number]
        rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in network.size), indexing="ij")
        assert float((weight * columns).sum() / weight.sum() / network.size[1]) == pytest.approx(x, abs=0.02)
        assert float((weight * rows).sum() / weight.sum() / network.size[0]) == pytest.approx(y, abs=0.02)


def test_the_persons_crop_holds_the_whole_body_in_the_wanted_aspect(model):
    size = 64
    vertices = standing(model, 0.0, size)
    image = torch.zeros(1, 3, size, size)
    pixels = ((vertices[0, :, :2] + 1) / 2 * size).long()
    image[0, :, pixels[:, 1], pixels[:, 0]] = 1.0
    crop = body_crop(image, vertices, (96, 48)).sum((0, 1))
    rows, columns = (crop.sum(axis).nonzero().flatten() for axis in (1, 0))
    assert columns[0] > 0
    assert columns[-1] < 47
    assert rows[0] > 0
    assert rows[-1] < 95


def test_judges_say_who_they_are_and_what_is_missing(tmp_path, monkeypatch):
    from warpkit.models import weights

    torch.save(made_up_weights.osnet(8).state, tmp_path / "osnet.pth")
    monkeypatch.setattr(weights, "_of_package", lambda name: None)
    judges = Judges.find(tmp_path)
    assert judges.body is not None
    assert judges.label("body_cs") == "Body-CS ↑"
    assert judges.networks()["body"].startswith("osnet: ")
    assert judges.networks()["lpips"].startswith("absent: put lpips-alex")
    substitute = Judges(body=judges.body)
    substitute.body.network = "somebody"
    assert substitute.label("body_fd") == "Body-FD (somebody) ↓"
    assert Judges(image=substitute.body).label("fid") == "Fréchet distance (somebody) ↓"


def test_distances_inside_the_mask_do_not_see_the_background():
    truth = torch.rand(1, 3, 64, 64) * 2 - 1
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[..., 10:50, 20:40] = 1
    elsewhere, inside = truth.clone(), truth.clone()
    elsewhere[..., 56:, :] = 0
    inside[..., 20:30, 25:35] = 0
    judges = Judges()
    far, near = judges.distances(elsewhere, truth, alpha), judges.distances(inside, truth, alpha)
    assert far["psnr/person"] > 100
    assert far["psnr"] < 40
    assert near["psnr/person"] < near["psnr"]
    assert judges.distances(truth, truth, alpha * 0)["psnr/person"].isnan().all()


def test_a_heads_box_puts_the_eyes_near_where_the_network_wants_them(model):
    vertices = standing(model, 0.0)
    network = SphereFace(made_up_weights.sphereface(2).state)
    left, top, right, bottom = network.box(part_box(vertices, model, ("head",)))[0].tolist()
    eyes = vertices[0, Faces(model).eyes].mean(1)
    for number, wanted in enumerate(network.eyes):
        x, y = (float(eyes[number, 0]) - left) / (right - left), (float(eyes[number, 1]) - top) / (bottom - top)
        assert (x, y) == pytest.approx(wanted, abs=0.06)
