"""Motions: what a body does over time, as files, from videos, and as a small library written as functions of time."""

from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import MOTIONS, make_motion

__all__ = ["MOTIONS", "Motion", "make_motion"]
