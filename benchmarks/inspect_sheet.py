"""The overview of `warpkit inspect` for someone photographed from two sides: the picture of docs/inspect.md.

`python -m benchmarks.inspect_sheet [--out FILE] [--weights CHECKPOINT]`. The person is openpeople's (made by a model,
nobody real), turned half-way between the two photos.
"""

import argparse
from pathlib import Path

from PIL import Image

from warpkit.models.data.photo_like import four_views
from warpkit.models.media.figures import figure_sheet
from warpkit.models.tasks import Look, Pipeline, Turn, inspect
from warpkit.models.tasks.inspect_figures import sections, title_of

PERSON, SIZE, AZIMUTH = "P008", 512, 45.0
SHRINK, QUALITY = 0.62, 72
"""Of the JPEG file, which belongs to the documentation."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/inspect.jpg"))
    parser.add_argument("--weights", type=Path, help="a checkpoint that draws in place of the embedded model")
    arguments = parser.parse_args()
    front, _, side, _ = four_views(PERSON)
    pipe = Pipeline.from_pretrained(arguments.weights)
    seen = inspect(pipe.view([front, side], Turn(AZIMUTH), look=Look(SIZE)))
    sheet = Image.fromarray(figure_sheet(title_of(seen), sections(seen)))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    small = sheet.resize((round(SHRINK * sheet.width), round(SHRINK * sheet.height)), Image.Resampling.LANCZOS)
    small.save(arguments.out, quality=QUALITY)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
