"""From photos and video to people: landmarks, masks, parameters of their bodies, cameras."""

from warpkit.models.recovery.crowd import recover_people
from warpkit.models.recovery.people import Detection, choose_person, detect_people
from warpkit.models.recovery.photo import Person, fit_detection, recover, recover_detection
from warpkit.models.recovery.video import Clip, recover_clip

__all__ = [
    "Clip",
    "Detection",
    "Person",
    "choose_person",
    "detect_people",
    "fit_detection",
    "recover",
    "recover_clip",
    "recover_detection",
    "recover_people",
]
