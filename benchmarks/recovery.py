"""Body from a photo, measured: `python -m benchmarks.recovery [--sheets out]` prints the table of docs/quality.md.

The pictures are openpeople's (extra [demo]): outdoors, in the studio, and the four full bodies of the character sheet.
Errors are to the landmark network's points and mask, not to a hand-made truth; P008-P010 were not used for calibration.
"""

from __future__ import annotations

import argparse
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

import warpkit
from warpkit.models.bodies import BodyModel, load_body
from warpkit.models.recovery import Person, recover
from warpkit.models.recovery.fit import USED_LANDMARKS
from warpkit.models.recovery.photo import fitter

PEOPLE = range(1, 11)
PHOTOS = {"outdoors": "amateur_posture", "studio": "studio_posture"}
SHEET = {  # x0, y0, x1, y1 of the full bodies in a character sheet
    "front": (72, 880, 546, 1630),
    "left": (665, 880, 1140, 1630),
    "back": (1262, 880, 1736, 1630),
    "right": (1854, 880, 2328, 1630),
}
SHEET_HEIGHT = 480


def load_picture(person: int, view: str) -> np.ndarray:
    """uint8 [H, W, 3]."""
    assets = Path(str(files("openpeople"))) / "data" / "curated" / f"P{person:03d}" / "assets"
    if view in PHOTOS:
        return np.array(Image.open(assets / f"{PHOTOS[view]}.jpg").convert("RGB"))
    return np.array(Image.open(assets / "character_sheet.jpg").convert("RGB").crop(SHEET[view]))


def overlay(image: np.ndarray, person: Person, model: BodyModel) -> Image.Image:
    """The fitted body over the picture, the mask's outline red, landmarks green, the body's landmarks yellow."""
    x0, y0, x1, y1 = person.box
    margin = 0.05 * (y1 - y0)
    left, top = max(0, int(x0 - margin)), max(0, int(y0 - margin))
    right, bottom = min(person.size[1], int(x1 + margin)), min(person.size[0], int(y1 + margin))
    body = person.body
    vertices = model(body.pose, body.shape)
    fragments = warpkit.rasterize(body.camera.project(vertices, person.size), model.faces, person.size)
    corners = vertices[0][model.faces.long()]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = torch.nn.functional.normalize(normals, dim=1)
    light = torch.nn.functional.normalize(torch.tensor([-0.3, 0.5, 0.8]), dim=0)
    shade = ((normals @ light).clamp(min=0) * 0.7 + 0.3)[:, None] * torch.tensor([120.0, 170.0, 255.0])
    ids = fragments.face_index[0, top:bottom, left:right].long()
    part = torch.from_numpy(image[top:bottom, left:right].copy()).float()
    drawn = torch.where((ids >= 0)[..., None], 0.4 * part + 0.6 * shade[ids.clamp(min=0)], part)
    factor = SHEET_HEIGHT / max(bottom - top, 1)
    size = (max(1, round((right - left) * factor)), SHEET_HEIGHT)
    mask = Image.fromarray(person.mask[top:bottom, left:right].gt(0.5).byte().mul(255).numpy()).resize(size)
    inside = np.array(mask) > 127
    edge = inside & ~(np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1))
    pixels = np.array(Image.fromarray(drawn.byte().numpy()).resize(size))
    pixels[edge] = (255, 0, 0)
    result = Image.fromarray(pixels)
    draw = ImageDraw.Draw(result)
    places = body.camera.pixels(fitter(model).landmarks(body))[0]
    for points, radius, colour in ((person.landmarks[USED_LANDMARKS], 3, (0, 255, 0)), (places, 2, (255, 255, 0))):
        for x, y in ((points - torch.tensor([left, top])) * factor).tolist():
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour)
    return result


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one height in a row."""
    row = Image.new("RGB", (sum(picture.width for picture in pictures), SHEET_HEIGHT), "white")
    x = 0
    for picture in pictures:
        row.paste(picture, (x, 0))
        x += picture.width
    return row


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sheets", type=Path, help="write overlay_<view>.png, all people side by side, into this folder"
    )
    parser.add_argument("--views", nargs="+", default=[*PHOTOS, *SHEET], choices=[*PHOTOS, *SHEET])
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_body("anny")
    recover(load_picture(1, options.views[0]), model)  # files are read and pages touched before the clock starts
    print("| picture | landmark error, % of height | mask IoU | shape penalty | seconds, 1 thread |")
    print("|---|---|---|---|---|")
    for view in options.views:
        rows, pictures = [], []
        for number in PEOPLE:
            image = load_picture(number, view)
            start = time.perf_counter()
            person = recover(image, model)
            seconds = time.perf_counter() - start
            penalty = float(model.shape_penalty(person.body.shape))
            rows.append((100 * person.landmark_error, person.mask_iou, penalty, seconds))
            print(
                f"| P{number:03d} {view} | {rows[-1][0]:.2f} | {rows[-1][1]:.3f} | {penalty:.2f} | {seconds:.1f} |",
                flush=True,
            )
            if options.sheets:
                pictures.append(overlay(image, person, model))
        error, iou, penalty, seconds = np.mean(rows, 0)
        print(f"| **mean {view}** | **{error:.2f}** | **{iou:.3f}** | **{penalty:.2f}** | **{seconds:.1f}** |")
        if options.sheets:
            options.sheets.mkdir(parents=True, exist_ok=True)
            side_by_side(pictures).save(options.sheets / f"overlay_{view}.png")


if __name__ == "__main__":
    main()
