"""A small run of every kernel, forward and backward: `compute-sanitizer python tests/sanitize.py`.

Nothing is compared here (test_cuda.py does that); an error that the device reports ends the run.
"""

import sys

import torch
from op_table import CASES, TINY, Case, Draw, Sizes, dtypes, run
from random_meshes import KINDS, random_meshes

import warpkit


def run_case(case: Case, sizes: Sizes, device: str) -> None:
    for kinds in dtypes(case):
        for layout in ("contiguous", "channels_last"):
            for deterministic in (False, True):
                torch.use_deterministic_algorithms(deterministic)
                run(case, sizes, case.inputs(Draw(sizes, *kinds), device, layout))
    torch.use_deterministic_algorithms(False)


def main(device: str = "cuda") -> None:
    for case in CASES:
        for sizes in (TINY, Sizes(1, 2, 30, 20, 40, 17, 35, 19, 33)):
            run_case(case, sizes, device)
        print(case, flush=True)
    for kind in KINDS:
        vertices, faces = random_meshes(kind, 3, torch.float32)
        warpkit.rasterize(vertices.to(device), faces.to(device), (70, 131))
    if device == "cuda":
        torch.cuda.synchronize()
    print(f"{len(CASES)} rows ran")


if __name__ == "__main__":
    main(*sys.argv[1:])
