"""The fit: pose, shape and weak-perspective camera from landmarks in pixels and in metres, and from the outline."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, KEYPOINTS, PARENTS, Body, BodyModel, Camera
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from warpkit.models.recovery.blazepose import LANDMARKS
from warpkit.models.recovery.calibration import USED, bone_of, depth_bias, offsets
from warpkit.models.recovery.outline import Frame, Matches, Outline, Silhouettes, match
from warpkit.models.recovery.people import Detection
from warpkit.models.recovery.priors import PosePrior
from warpkit.models.recovery.solver import Residuals, minimise

USED_LANDMARKS = [LANDMARKS.index(name) for name in USED]
USED_KEYPOINTS = [KEYPOINTS.index(name) for name in USED]
HIPS = [USED.index("left_hip"), USED.index("right_hip")]
TORSO = [USED.index(f"{side}_{joint}") for joint in ("shoulder", "hip") for side in ("left", "right")]
BODY_HEIGHT = 1.65  # metres: turns the world landmarks' scale into a length in pixels

WEIGHTS = {"nose": 0.7, "eye": 0.7, "ear": 0.5, "hip": 0.7, "toe": 0.7, "heel": 0.7}  # of landmarks; 1 for the others
SIGMA_PIXELS, OUTLIER_PIXELS = 0.0035, 0.03  # of the body's height
SIGMA_DEPTH, OUTLIER_DEPTH = 0.05, 0.25  # metres: world landmarks are poor in depth
SIGMA_OUTLINE, OUTLIER_OUTLINE = 0.005, 0.015  # of the body's height
OUTLINE_WEIGHT = 110.0  # all points of the outline together count as so many measurements
SHAPE_WEIGHT = 2.5
WIDER = (100.0, 3.0, 1.0)  # outliers are told from a pose that is not yet reached by narrowing in these stages
UNKNOWN = 0.05  # how much of the pose prior holds in frames where the person was lost: there the neighbours say more
TILT_SPREAD = (0.4, 0.02, 0.3)  # radians; turning about the vertical is yaw's

SLOW_JOINTS = {"spine1", "spine2", "spine3", "left_collar", "right_collar", "left_foot", "right_foot"}
YAW, TILT, JOINT, SCALE, OFFSET, SHAPE = 0, slice(1, 4), slice(4, 67), 67, slice(68, 70), 70


@dataclass(frozen=True)
class Targets:
    """What the fit has to explain, a row a frame."""

    points: Tensor  # [T, 21, 2] pixels
    depth: Tensor  # [T, 21] metres towards the camera from the middle of the hips, by the world landmarks' own scale
    weights: Tensor  # [T, 21]
    world_scale: Tensor  # [T] pixels per metre of the world landmarks
    height: Tensor  # [T] about a body's height in pixels
    yaw: Tensor  # [T] radians: how the torso is turned, by the world landmarks
    hips: Tensor  # [T, 2] pixels: the middle of the hips
    middle: Tensor  # [T, 2] pixels: where the parameters' offset counts from
    found: Tensor  # [T] 1 where the person was found, 0 where nothing is known


def targets_of(detections: list[Detection]) -> Targets:
    """Targets of one person in several frames."""
    points = torch.stack([one.landmarks[USED_LANDMARKS] for one in detections])
    world = torch.stack([one.world[USED_LANDMARKS] for one in detections])
    seen = torch.stack([one.visibility[USED_LANDMARKS] for one in detections])
    weights = seen * torch.tensor([WEIGHTS.get(name.split("_")[-1], 1.0) for name in USED])
    # pixels per metre, by least squares over the visible landmarks
    flat = world[..., :2] * torch.tensor([1.0, -1.0])
    share = (weights / weights.sum(1, keepdim=True).clamp(min=1e-6))[..., None]
    centred, spread = points - (share * points).sum(1, keepdim=True), flat - (share * flat).sum(1, keepdim=True)
    scale = (share * centred * spread).sum((1, 2)) / (share * spread.square()).sum((1, 2)).clamp(min=1e-6)
    scale = scale.clamp(min=1.0)
    depth = world[..., 2] - world[:, HIPS, 2].mean(1, keepdim=True)
    left, right = world[:, TORSO[0::2]].sum(1), world[:, TORSO[1::2]].sum(1)
    across = left - right
    yaw = torch.atan2(-across[:, 2], across[:, 0])
    hips = points[:, HIPS].mean(1)
    return Targets(points, depth, weights, scale, scale * BODY_HEIGHT, yaw, hips, hips, torch.ones(len(points)))


class Fitter:
    """Fits one body model; what depends on the model alone is prepared once."""

    def __init__(self, model: BodyModel) -> None:
        self.model = model
        self.silhouettes = Silhouettes(model)
        self.prior = PosePrior()
        self.offsets, self.depth_bias = offsets(), depth_bias()
        self.bones = [bone_of(name) for name in USED]
        limbs = [12.0 if name in SLOW_JOINTS else 40.0 for name in JOINTS[1:]]
        self.acceleration = torch.tensor([20.0, 8.0, 8.0, 8.0, *(a for a in limbs for _ in range(3)), 0.6, 4.0, 4.0])
        self.size = SHAPE + model.num_shape

    def start(self, targets: Targets) -> Tensor:
        """The parameters [T, P] to begin with: a body at rest, turned as the torso is, the mean shape."""
        x = torch.zeros(len(targets.points), self.size)
        x[:, YAW] = targets.yaw
        x[:, JOINT] = self.prior.mean.flatten()
        x[:, SCALE] = (targets.world_scale * BODY_HEIGHT / targets.height).log()
        x[:, OFFSET] = (targets.hips - targets.middle) / targets.height[:, None]
        x[:, SHAPE:] = self.model.mean_shape
        return x

    def _one_shape(self, body: Body) -> Tensor:
        """The shapes, as one where all are the same: what depends on shape alone is then computed once."""
        return body.shape[:1] if bool((body.shape == body.shape[:1]).all()) else body.shape

    def body(self, x: Tensor, targets: Targets, frames: Tensor | None = None) -> Body:
        """Parameters [N, P] as bodies; `frames` [N] says whose targets each row belongs to (default: row by row)."""
        height = targets.height if frames is None else targets.height[frames]
        middle = targets.middle if frames is None else targets.middle[frames]
        turn = torch.zeros(len(x), 3)
        turn[:, 1] = x[:, YAW]
        root = matrix_to_axis_angle(axis_angle_to_matrix(turn) @ axis_angle_to_matrix(x[:, TILT]))
        pose = torch.cat([root[:, None], x[:, JOINT].unflatten(1, (21, 3))], 1)
        scale = height / BODY_HEIGHT * x[:, SCALE].exp()
        return Body(pose, x[:, SHAPE:], Camera(scale, middle + height[:, None] * x[:, OFFSET]))

    def landmarks(self, body: Body) -> Tensor:
        """The places [B, 21, 3] in body space where the landmark network would see the USED landmarks."""
        points = self.model.keypoints(body.pose, self._one_shape(body))[:, USED_KEYPOINTS]
        turned = global_rotations(body.pose)[:, self.bones]
        return points + (turned @ self.offsets[..., None]).squeeze(-1)

    def errors(self, body: Body, targets: Targets) -> Tensor:
        """Distances [B, 21] in pixels between the body's landmarks and the network's."""
        return (body.camera.pixels(self.landmarks(body)) - targets.points).norm(dim=-1)

    def _residuals(self, targets: Targets, matches: Matches | None) -> tuple[Residuals, Tensor]:
        weight = targets.weights.sqrt()
        vertices, inverse = (None, None) if matches is None else matches.vertices.unique(return_inverse=True)

        def residuals(rows: Tensor, frames: Tensor) -> Tensor:
            body = self.body(rows, targets, frames)
            points = self.landmarks(body)
            height = targets.height[frames, None, None]
            flat = (body.camera.pixels(points) - targets.points[frames]) / (height * SIGMA_PIXELS)
            depth = points[..., 2] - points[:, HIPS, 2].mean(1, keepdim=True)
            ratio = targets.world_scale[frames] / body.camera.scale
            leaning = self.depth_bias[:, 0] + self.depth_bias[:, 1] * targets.yaw[frames, None].cos()
            deep = (depth + leaning - targets.depth[frames] * ratio[:, None]) / SIGMA_DEPTH
            shared = weight[frames]
            sure = targets.found[frames, None].clamp(min=UNKNOWN)
            parts = [
                (flat * shared[..., None]).flatten(1),
                deep * shared,
                self.prior(rows[:, JOINT].unflatten(1, (21, 3))) * sure,
                rows[:, TILT] / torch.tensor(TILT_SPREAD),
                self._shape(rows[:, SHAPE:]),
            ]
            if matches is not None:
                pixels = body.camera.pixels(self.model(body.pose, self._one_shape(body), vertices=vertices))[:, inverse]
                gap = ((pixels - matches.points) * matches.outward).sum(-1)
                each = (matches.weights * OUTLINE_WEIGHT).sqrt()
                parts.append(gap / (height[..., 0] * SIGMA_OUTLINE) * each)
            return torch.cat(parts, 1)

        never = math.inf
        robust = [
            torch.full((2 * len(USED),), OUTLIER_PIXELS / SIGMA_PIXELS),
            torch.full((len(USED),), OUTLIER_DEPTH / SIGMA_DEPTH),
            self.prior.outlier,
            torch.full((3 + self.model.num_shape,), never),
        ]
        if matches is not None:
            each = (matches.weights * OUTLINE_WEIGHT).sqrt()
            robust.append((OUTLIER_OUTLINE / SIGMA_OUTLINE * each).clamp(min=1e-6))
        return residuals, torch.cat(robust)

    def _shape(self, shape: Tensor) -> Tensor:
        """The shape's residuals [N, K]: the root of each coordinate's own penalty, with its sign."""
        count = shape.shape[1]
        away = shape - self.model.mean_shape
        alone = self.model.mean_shape + torch.diag_embed(away)
        penalty = self.model.shape_penalty(alone.reshape(-1, count)).reshape(-1, count)
        return SHAPE_WEIGHT * away.sign() * penalty.clamp(min=0).sqrt()

    def fit_landmarks(self, targets: Targets, start: Tensor, *, steps: int = 30) -> Tensor:
        """First the camera and the turn alone, then everything."""
        residuals, robust = self._residuals(targets, None)
        free = torch.zeros(self.size, dtype=torch.bool)
        free[[YAW, SCALE]], free[OFFSET] = True, True
        x = minimise(residuals, start, free, robust * WIDER[0], steps=6, apart=SHAPE)
        free[:] = True
        for wider in WIDER:
            x = minimise(residuals, x, free, robust * wider, steps=steps // len(WIDER), apart=SHAPE)
        return x

    def fit_clip(self, targets: Targets, start: Tensor, fps: float, *, steps: int = 24) -> Tensor:
        """Landmarks of a whole clip [T, P] at once, with the shape of `start` and a prior on accelerations."""
        residuals, robust = self._residuals(targets, None)
        free = torch.ones(self.size, dtype=torch.bool)
        free[SHAPE:] = False
        smooth = torch.zeros(self.size)
        smooth[: len(self.acceleration)] = (fps**2 / self.acceleration).square()
        x = start
        for wider in WIDER:
            x = minimise(
                residuals, x, free, robust * wider, steps=steps // len(WIDER), smooth=smooth, fresh=2, apart=SHAPE
            )
        return x

    def fit_outline(
        self, targets: Targets, start: Tensor, outline: Outline, frame: Frame, *, rounds: int = 6, steps: int = 2
    ) -> Tensor:
        """Landmarks and outline, of one frame: points are matched anew every few steps."""
        x, free = start, torch.ones(self.size, dtype=torch.bool)
        for _ in range(rounds):
            body = self.body(x, targets)
            vertices = self.model(body.pose, body.shape)
            seen = self.silhouettes.outline(vertices, body.camera, frame)
            matches = match(outline, seen, float(targets.height[0]), self.silhouettes.head)
            residuals, robust = self._residuals(targets, matches)
            x = minimise(residuals, x, free, robust, steps=steps, apart=SHAPE)
        return x


def global_rotations(pose: Tensor) -> Tensor:
    """[B, 22, 3, 3]: how each joint's frame is turned in body space."""
    local = axis_angle_to_matrix(pose)
    turned = [local[:, 0]]
    for joint in range(1, len(PARENTS)):
        turned.append(turned[PARENTS[joint]] @ local[:, joint])
    return torch.stack(turned, 1)
