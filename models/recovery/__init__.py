"""From photos and video to people: who is in the picture, their landmarks and masks, their body's parameters and camera."""

from warpkit.models.recovery.people import Detection, choose_person, detect_people

__all__ = ["Detection", "choose_person", "detect_people"]
