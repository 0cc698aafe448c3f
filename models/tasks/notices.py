"""What a person should know about the photos that they gave: each with a number, where it usually lies, what to do.

These are the failures of section 5.5 of Liquid Warping GAN with Attention that can be told before anything is drawn.
The usual ranges are those of 19 pictures of 4 people of openpeople, recovered by this package; those of crossed arms
and of sitting are a made-up person's.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, PARTS, Body, BodyModel
from warpkit.models.geometric.appearance import visibility
from warpkit.models.geometric.framing import Framing
from warpkit.models.geometric.trust import typical_colours
from warpkit.models.geometric.view import Sight, View, see
from warpkit.models.media.tensors import to_tensor
from warpkit.models.tasks.clip import leaves
from warpkit.models.tasks.sources import COMPARED, Shown, Source

POOR_FIT = 0.8
"""Silhouette IoU below which a fit is poor; usual: 0.86 to 0.92."""
POOR_KEYPOINTS = 0.012
"""Error of keypoints, of the body's height, above which it is; usual: 0.002 to 0.005."""
HIDDEN = 0.07
"""Share of the surface facing the camera that other parts of the body hide, and no other photo shows, from which on it
is much; usual: 0.02 to 0.05 standing, 0.3 to 0.4 from the side; with crossed arms 0.08 to 0.12, seated 0.07 to 0.14."""
UNLIKE_LIGHT = 0.6
"""Stops between the brightness of two photos of one person from which on their light is unlike; usual: up to 0.25."""
UNLIKE_CAST = 0.4
"""Likewise stops of a colour against the brightness; usual: up to 0.16."""
UNLIKE_BACKGROUND = 0.14
"""Mean difference of the colours round the person ([-1, 1]), sorted; usual: up to 0.09 in one place, 0.19 to 0.39 in
two."""
ENLARGED = 1.5
"""Times as large as in the best photo from which on a person in the frames looks soft."""
SIDE = 256
"""Pixels a side at which all of this is looked at."""
LUMINANCE = (0.2126, 0.7152, 0.0722)


def notes(sources: Sequence[Source], person: int | None, model: BodyModel) -> tuple[str, ...]:
    """Sentences about photos of one person; `person` as it was asked for."""
    told = [*_crowds(sources, person), *_cut_off(sources), *_poor_fits(sources)]
    views = [_look(source) for source in sources]
    sights = [see(view, model) for view in views]
    straight = [is_straight(source, model) for source in sources]
    looked_at = straight if any(straight) else [True] * len(sources)  # what views from the side hide, others may show
    told += _hidden(sources, [s * f for s, f in zip(hidden_shares(views, sights, model), looked_at, strict=True)])
    if len(sources) > 1:
        whole = [number for number, source in enumerate(sources) if source.person.whole]
        colours = [typical_colours(view, sight, model) for view, sight in zip(views, sights, strict=True)]
        told += _light([(sources[number].name, colours[number]) for number in whole])
        told += _backgrounds([(source.name, surroundings(source)) for source in sources])
    return tuple(told)


def in_frames(shown: Shown, framed: Body, model: BodyModel, shape: tuple[int, int], *, staying: bool) -> list[str]:
    """Sentences about whoever is shown as the bodies `framed` in frames of a shape (height, width)."""
    told = []
    if leaves(framed, model, shape):
        instead = "--frame square shows all of them" if staying else "--camera stay keeps them in place"
        told.append(f"the person leaves the picture for a part of the time: {instead}")
    return told + enlarged(shown.givers or shown.sources, framed)


def enlarged(sources: Sequence[Source], bodies: Body) -> list[str]:
    """What to say where `bodies`, in the frames' pixels, are larger than any of the photos shows the person."""
    best = max(sources, key=lambda source: float(source.person.body.camera.scale[0]))
    scale = float(best.person.body.camera.scale[0])
    times = float(bodies.camera.scale.amax()) / scale
    if times <= ENLARGED:
        return []
    box = best.person.box
    tall = max(box[2] - box[0], box[3] - box[1])
    return [
        f"the person is {tall:.0f} pixels tall in {best.name} and {times:.1f} times that in the frames, which will "
        "look soft: give a larger photo, or a smaller --size"
    ]


def _look(source: Source) -> View:
    """The person and their surroundings as the photo has them, small."""
    window, person = source.window(SIDE), source.person
    picture = window.cut(to_tensor(source.image), "border")
    alpha = window.cut(person.mask[None], "border")[0] * window.inside(person.size)
    return View(picture, alpha, window.body(person.body))


def _crowds(sources: Sequence[Source], person: int | None) -> list[str]:
    return [
        f"{source.person.people} people were found in {source.name}; the largest was taken (choose with "
        f"--person, of others with {source.name}:2)"
        for source in sources
        if source.person.people > 1 and person is None
    ]


def _cut_off(sources: Sequence[Source]) -> list[str]:
    cut = [source.name for source in sources if not source.person.whole]
    if not cut:
        return []
    legs = (
        "legs are taken from the other photos"
        if len(cut) < len(sources)
        else "legs are made up from what is seen, with forearms and hands if they are not in it; clothes and shoes are "
        "guessed: give a photo down to the feet"
    )
    return [f"only the upper body of the person is in {' and '.join(cut)}: {legs}"]


def _poor_fits(sources: Sequence[Source]) -> list[str]:
    return [
        f"the body fits {source.name} poorly (silhouette IoU {found.mask_iou:.2f}, usually 0.86 or more; keypoints off "
        f"by {100 * found.landmark_error:.1f} % of the height, usually 0.5 or less): wide clothes, crossed limbs or "
        "bags make that happen, and the result may suffer; see it with warpkit inspect, and take one with arms and "
        "legs apart"
        for source in sources
        if (found := source.person).whole and (found.mask_iou < POOR_FIT or found.landmark_error > POOR_KEYPOINTS)
    ]


def is_straight(source: Source, model: BodyModel) -> bool:
    """Whether the person is seen more from the front or the back than from the side."""
    joints = model.joints(source.person.body.pose, source.person.body.shape)[0]
    left, right = (joints[[JOINTS.index(f"{side}_{one}") for one in ("shoulder", "hip")]] for side in ("left", "right"))
    across = (left - right).sum(0)
    return bool(across[0].abs() > across[2].abs())


def hidden_shares(views: Sequence[View], sights: Sequence[Sight], model: BodyModel) -> list[float]:
    """For each view the share of the surface facing it, as large as it would look, that the body itself hides there.

    What another of the views shows does not count.
    """
    corners = model.faces.long()
    seen = [
        visibility(replace(view, alpha=torch.ones_like(view.alpha)), sight) > 0
        for view, sight in zip(views, sights, strict=True)
    ]
    hidden = (~torch.stack(seen).any(0)).float()[corners].mean(1)
    shares = []
    for sight in sights:
        first, second, third = sight.pixels[corners].unbind(1)
        one, other = second - first, third - first
        area = (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]).abs()
        area = area * (sight.normals[corners, 2].mean(1) > 0)
        shares.append(float((area * hidden).sum() / area.sum().clamp(min=1e-6)))
    return shares


def _hidden(sources: Sequence[Source], shares: Sequence[float]) -> list[str]:
    worst = max(range(len(shares)), key=shares.__getitem__)
    if shares[worst] <= HIDDEN:
        return []
    return [
        f"{100 * shares[worst]:.0f} % of what faces the camera in {sources[worst].name} lies behind other parts of the "
        "body, and no photo shows it (usually 5 % or less): views from the side, crossed arms and sitting do that. It "
        "is made up from what is seen: add a photo from the front, standing, arms away from the body"
    ]


def light_difference(one: Tensor, other: Tensor) -> tuple[float, float]:
    """Stops of brightness, and of colour cast, between two photos' typical colours of parts `[P, 3]` (sRGB, [-1, 1]).

    Medians over the trunk, arms and legs that both show (`COMPARED`); NaN where they share none.
    """
    compared = [number for number, part in enumerate(PARTS) if part.endswith(COMPARED)]
    linear = [((colours[compared] + 1) / 2).clamp(min=1e-3) ** 2.2 for colours in (one, other)]
    bright = [colours @ colours.new_tensor(LUMINANCE) for colours in linear]
    stops = (bright[0] / bright[1]).log2().nanmedian()
    casts = [(colours / light[:, None]).log2() for colours, light in zip(linear, bright, strict=True)]
    return float(stops.abs()), float((casts[0] - casts[1]).nanmedian(0).values.abs().amax())


def _light(colours: Sequence[tuple[str, Tensor]]) -> list[str]:
    pairs = [
        (*light_difference(one, other), first, second) for (first, one), (second, other) in combinations(colours, 2)
    ]
    unlike = [pair for pair in pairs if pair[0] > UNLIKE_LIGHT or pair[1] > UNLIKE_CAST]
    if not unlike:
        return []
    stops, cast, first, second = max(unlike, key=lambda pair: max(pair[0] / UNLIKE_LIGHT, pair[1] / UNLIKE_CAST))
    return [
        f"the light in {first} and {second} is unlike ({stops:.1f} stops in brightness and {cast:.1f} in colour; "
        "photos in one light differ by 0.3 and 0.2 at most): patches will show where they meet. Take all photos in one "
        "light, one after the other, without flash, or leave one out"
    ]


def surroundings(source: Source) -> Tensor:
    """[3, 33] quantiles of each colour round the person, in [-1, 1], from the darkest to the brightest."""
    view, window = _look(source), source.window(SIDE)
    return _quantiles(view, window, source.person.size)


def _quantiles(view: View, window: Framing, size: tuple[int, int]) -> Tensor:
    free = window.inside(size) & (view.alpha < 0.02)
    if not free.any():
        return torch.full((3, 33), torch.nan)
    return torch.quantile(view.image[:, free], torch.linspace(0.02, 0.98, 33), dim=1).T


def _backgrounds(found: Sequence[tuple[str, Tensor]]) -> list[str]:
    pairs = [
        (float((one - other).abs().mean()), first, second) for (first, one), (second, other) in combinations(found, 2)
    ]
    unlike = [pair for pair in pairs if pair[0] > UNLIKE_BACKGROUND]  # NaN, where a photo shows none, is not
    if not unlike:
        return []
    difference, first, second = max(unlike, key=lambda pair: pair[0])
    return [
        f"the backgrounds of {first} and {second} are unlike (colours differ by {difference:.2f}; in one place by 0.09 "
        f"at most): only that of {found[0][0]} is shown, and rims of another one may stay at the person's edge. Take "
        "all photos before one plain background"
    ]
