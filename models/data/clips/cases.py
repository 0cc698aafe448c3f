"""The tasks of evaluation on clips: what real videos can show of the papers' protocol."""

import numpy as np
import torch

from warpkit.models.bodies import Camera
from warpkit.models.data.cases import Case, Task
from warpkit.models.data.clips.samples import ClipSamples, Pick
from warpkit.models.data.clips.samples import Task as Draw
from warpkit.models.errors import InputError

REAL = 8
"""Real frames of the person beside each cross-imitation: the paper's candidates."""


class ClipCases(ClipSamples):
    """Clips with the tasks that they have a measure for; arguments as of `ClipSamples`.

    Appearance transfer is not among them: a video shows nobody in other clothes in the same pose.
    """

    tasks: tuple[Task, ...] = ("self", "cross", "views")

    @torch.no_grad()
    def cases(self, task: Task, step: int, sources: int) -> Case:
        """The case of a number, the same for the same seed and arguments.

        - "self": frames of one video.
        - "cross": a person of one video in a pose of another's, of somebody else where there is somebody; placed and
          scaled as in the first source; real frames of the person beside it.
        - "views": frames of a person who turns, the target seen at least 30° beside each source.

        Raises:
            InputError: there is one clip only, or nobody turns; or as of `draw`.
        """
        if task in ("self", "views"):
            drawn: Draw = "imitation" if task == "self" else "view"
            given, target = self.draw(step, 1, sources, drawn)
            return Case(given, target.vertices[:, 0], target)
        if task != "cross":
            raise ValueError(f"task: expected one of {', '.join(self.tasks)}, got {task!r}")
        random = np.random.default_rng([self.seed, step, 1])
        own: list[Pick] = self._imitation(random, sources + REAL - 1)
        clip = own[-1][0]
        strangers = [n for n, entry in enumerate(self.clips) if entry.identity != self.clips[clip].identity]
        others = strangers or [n for n in range(len(self.clips)) if n != clip]
        if not others:
            raise InputError(f"{self._called}: there is one clip only; cross-imitation needs somebody else's pose")
        driver, frame = self._any_frame(random, others)
        pictures = self._pictures([own], self.size, [clip])
        arrays, place = self._arrays[clip], own[0][1]
        pose = torch.from_numpy(self._arrays[driver]["pose"][frame])[None]
        shape = torch.from_numpy(arrays["shape"])[None]
        camera = Camera(*(torch.from_numpy(np.asarray(arrays[n][place]))[None] for n in ("scale", "offset")))
        device = self.model.faces.device
        stored = int(self._clip_of(clip).about["size"])
        vertices = camera.project(self.model(pose.to(device), shape.to(device)).cpu(), (stored, stored))
        return Case(pictures[:sources], vertices, real=pictures[sources:])
