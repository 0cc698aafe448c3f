"""The tasks of evaluation on clips: what real videos can show of the papers' protocol."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from warpkit.models.bodies import Body, Camera
from warpkit.models.data.cases import Case, Task
from warpkit.models.data.clips.samples import ClipSamples, Pick
from warpkit.models.data.gather import with_gathered
from warpkit.models.errors import InputError

REAL = 8
"""Real frames of the person beside each cross-imitation: the paper's candidates."""


class ClipCases(ClipSamples):
    """Clips with the tasks that they have a measure for.

    Appearance transfer is not among them: a video shows nobody in other clothes in the same pose.

    Args:
        *arguments: as of `ClipSamples`.
        gathered: each case comes with what the renderer of `warpkit imitate` makes of it, and its sources cut as there.
        **options: as of `ClipSamples`.
    """

    tasks: tuple[Task, ...] = ("self", "cross", "views")

    def __init__(self, *arguments: Any, gathered: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gathered = gathered

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
        if task not in self.tasks:
            raise ValueError(f"task: expected one of {', '.join(self.tasks)}, got {task!r}")
        if task != "cross":
            random = np.random.default_rng([self.seed, step])
            picks = (self._imitation if task == "self" else self._view)(random, sources)
            own, clip = picks[:-1], picks[-1][0]
            target = self._pictures([picks[-1:]], self.size, [clip])
            body = self._bodies(picks[-1:])
            case = Case(self._pictures([own], self.size, [clip]), target.vertices[:, 0], target)
        else:
            random = np.random.default_rng([self.seed, step, 1])
            picks = self._imitation(random, sources + REAL - 1)
            own, clip = picks[:sources], picks[-1][0]
            strangers = [n for n, entry in enumerate(self.clips) if entry.identity != self.clips[clip].identity]
            others = strangers or [n for n in range(len(self.clips)) if n != clip]
            if not others:
                raise InputError(f"{self._called}: there is one clip only; cross-imitation needs somebody else's pose")
            driver, frame = self._any_frame(random, others)
            first = self._bodies(own[:1])
            body = Body(torch.from_numpy(self._arrays[driver]["pose"][frame])[None], first.shape, first.camera)
            pictures = self._pictures([picks], self.size, [clip])
            device = self.model.faces.device
            posed = self.model(body.pose.to(device), body.shape.to(device)).cpu()
            vertices = body.camera.project(posed, (self.size, self.size))
            case = Case(pictures[:sources], vertices, real=pictures[sources:])
        return with_gathered(case, self._bodies(own), body, self.model) if self.gathered else case

    def _bodies(self, picks: Sequence[Pick]) -> Body:
        """Of frames, in pixels of the pictures that are drawn."""
        rows = [(self._arrays[clip], frame) for clip, frame, _ in picks]

        def stacked(name: str) -> torch.Tensor:
            return torch.from_numpy(np.stack([one[name][frame] for one, frame in rows]))

        shape = torch.from_numpy(np.stack([one["shape"] for one, _ in rows]))
        return Body(stacked("pose"), shape, Camera(stacked("scale") * self.size, stacked("offset") * self.size))
