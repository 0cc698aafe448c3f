"""Videos of people as training data: found in their folders, prepared once into a cache, and drawn from by seed."""

from warpkit.models.data.clips.cases import ClipCases
from warpkit.models.data.clips.layouts import LAYOUTS, Video, read_layout, split_videos
from warpkit.models.data.clips.maker import Settings
from warpkit.models.data.clips.prepare import Report, prepare_clips
from warpkit.models.data.clips.samples import ClipSamples

__all__ = [
    "LAYOUTS",
    "ClipCases",
    "ClipSamples",
    "Report",
    "Settings",
    "Video",
    "prepare_clips",
    "read_layout",
    "split_videos",
]
