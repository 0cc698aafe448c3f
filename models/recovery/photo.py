"""One photo: who is in it, and the body, camera and mask of one of them."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel
from warpkit.models.recovery.fit import Fitter, targets_of
from warpkit.models.recovery.outline import Frame, mask_outline
from warpkit.models.recovery.people import Detection, choose_person, detect_people

_fitters: weakref.WeakKeyDictionary[BodyModel, Fitter] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Person:
    """One person of one picture, with the body that was fitted.

    Attributes:
        size: (height, width) of the picture in pixels.
        body: B = 1.
        mask: [H, W] float32 in [0, 1], the network's soft mask.
        box: x0, y0, x1, y1 in pixels, round the mask.
        landmarks: [33, 2] pixels, in the order of `blazepose.LANDMARKS`.
        world: [33, 3] metres, see `Detection`.
        visibility: [33] in [0, 1].
        landmark_error: the mean distance between the body's landmarks and the network's, as a fraction of the body's
            height in the picture (the longer side of the box round the landmarks).
        mask_iou: the fitted body's silhouette against mask > 0.5: intersection over union.
        people: how many people were found in the picture.
        whole: whether a leg is in the picture down to the shin; else pose and shape of the legs are a guess.
    """

    size: tuple[int, int]
    body: Body
    mask: Tensor
    box: tuple[float, float, float, float]
    landmarks: Tensor
    world: Tensor
    visibility: Tensor
    landmark_error: float
    mask_iou: float
    people: int = 1
    whole: bool = True


def fitter(model: BodyModel) -> Fitter:
    """The fitter of a body model, made once a model."""
    if model not in _fitters:
        _fitters[model] = Fitter(model)
    return _fitters[model]


@torch.no_grad()
def recover(
    image: np.ndarray, model: BodyModel, *, person: int | None = None, allow_upper_body: bool = False
) -> Person:
    """Body, camera and mask of one person in a photo.

    Args:
        image: uint8 [H, W, 3], RGB.
        model: the body model whose parameters are wanted.
        person: which one, counted from 1, the largest first; None: the largest.
        allow_upper_body: also fit people whose legs are not in the picture.

    Returns:
        The person; `people` says how many there were to choose from.

    Raises:
        InputError: no person, no such person, only an upper body, a picture that is too small or no picture, or the
            extra [person] is not installed.
    """
    return recover_detection(image, model, person=person, allow_upper_body=allow_upper_body)[1]


@torch.no_grad()
def recover_detection(
    image: np.ndarray, model: BodyModel, *, person: int | None = None, allow_upper_body: bool = False
) -> tuple[Detection, Person]:
    """As `recover`; also what the networks saw, whose mask is the person's at a small size."""
    people = detect_people(image)
    chosen = choose_person(people, person, allow_upper_body=allow_upper_body)
    return chosen, fit_detection(chosen, model, people=len(people))


@torch.no_grad()
def fit_detection(detection: Detection, model: BodyModel, *, people: int = 1) -> Person:
    """The body of one detected person, see `recover`."""
    fit = fitter(model)
    targets = targets_of([detection])
    x = fit.fit_landmarks(targets, fit.start(targets))
    frame = Frame.around(detection.box)
    outline = mask_outline(frame.cut(detection.mask), frame, detection.size)
    if len(outline.points):
        x = fit.fit_outline(targets, x, outline, frame)
    body = fit.body(x, targets)
    error = fit.errors(body, targets).mean()
    extent = (targets.points[0].amax(0) - targets.points[0].amin(0)).max()
    silhouette = torch.from_numpy(fit.silhouettes.mask(model(body.pose, body.shape), body.camera, detection.size))
    mask = detection.mask > 0.5
    union = int((silhouette | mask).sum())
    return Person(
        size=detection.size,
        body=body,
        mask=detection.mask,
        box=detection.box,
        landmarks=detection.landmarks,
        world=detection.world,
        visibility=detection.visibility,
        landmark_error=float(error / extent.clamp(min=1.0)),
        mask_iou=int((silhouette & mask).sum()) / max(union, 1),
        people=people,
        whole=detection.whole,
    )
