"""Hostile inputs for every op, each set of them made from one seed; `make fuzz` (fuzz.py) runs these under sanitizers.

The rows of op_table.py come with other sizes (none and one among them), dtypes and layouts, and hold numbers that
nobody should pass: NaN, infinities, huge and tiny ones, indices out of every range. Each run must repeat bit for bit,
which finds memory that was never written, and face indices must lie in range.
"""

import argparse
import random
import time
from dataclasses import replace
from pathlib import Path

import torch
from op_table import CASES, LAYOUTS, Draw, Sizes, dtypes, laid_out, run
from torch import Tensor


def run_one(seed: int) -> str:
    """One row with the inputs of a seed; returns what it was. An error is an AssertionError or what the op raised."""
    choose = random.Random(seed)
    case = choose.choice(CASES)
    small = (1, 1, 2, 3, 5, 8, 13, 20)
    names = [name for name in Sizes.__dataclass_fields__ if name not in ("batch", "sources")]
    sizes = Sizes(choose.choice((1, 1, 2)), choose.choice((1, 2, 3)), **{name: choose.choice(small) for name in names})
    if choose.random() < 0.5:
        sizes = replace(
            sizes, vertices=30, faces=choose.choice((10, 200)), channels=choose.choice((4, 16, 33, 64, 130))
        )
    if choose.random() < 0.2:
        sizes = replace(sizes, **{choose.choice(("width", "height", "source_width", "source_height")): 700})
    if choose.random() < 0.15:
        sizes = replace(sizes, **{choose.choice(("batch", "sources", "vertices", "faces", "channels")): 0})
    draw = Draw(sizes, *choose.choice(dtypes(case)), seed=seed)
    inputs = {name: laid_out(tensor, choose.choice(LAYOUTS)) for name, tensor in case.inputs(draw).items()}
    for name, tensor in inputs.items():
        if choose.random() < 0.6:
            inputs[name] = spoil(tensor, choose)
    what = f"{case}, {sizes}, " + ", ".join(f"{name} {tensor.dtype}" for name, tensor in inputs.items())
    spoiled = choose.random() < 0.3

    def gradients(like: Tensor) -> Tensor:
        given = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed)).to(like.dtype)
        return spoil(laid_out(given, choose.choice(LAYOUTS)), random.Random(seed)) if spoiled else given

    state = choose.getstate()
    first = run(case, sizes, inputs, gradients)
    choose.setstate(state)
    for number, (one, two) in enumerate(zip(first, run(case, sizes, inputs, gradients), strict=True)):
        assert same_bits(one, two), f"output {number} does not repeat: {what}"
        if one.dtype == torch.int32:
            assert one.numel() == 0 or (one.min() >= -1 and one.max() < sizes.faces), f"face_index: {what}"
    return what


def same_bits(one: Tensor, two: Tensor) -> bool:
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[one.element_size()]
    nan = one.isnan() & two.isnan()  # whatever bits a NaN has
    return bool((nan | (one.contiguous().view(whole) == two.contiguous().view(whole))).all())


def spoil(tensor: Tensor, choose: random.Random) -> Tensor:
    """Overwrite a share of the numbers with hostile ones, in place: of an expanded tensor, in the one copy there is."""
    if tensor.dtype == torch.bool or tensor.numel() == 0:
        return tensor
    share = choose.choice((0.002, 0.05, 0.4, 1.0))
    if tensor.is_floating_point():
        most = torch.finfo(tensor.dtype).max
        hostile = [
            torch.nan,
            torch.inf,
            -torch.inf,
            0.0,
            -0.0,
            1.0,
            -1.0,
            most,
            -most,
            most / 2,
            1e-40,
            2.0**31,
            -(2.0**63),
        ]
        hostile += [1e30, -1e30, 1e6, -1e6, 2.0**17, 2.0**22, 2.0**30, 2.0**53, 1e-4, 0.5 / 256, 1 - 1e-7, 300.0, 1e18]
    else:
        hostile = [-1, 0, 1, 2**31 - 1, -(2**31), 29, 30, 31, 199, 200, 1000]
        if tensor.dtype == torch.int64:
            hostile += [2**63 - 1, -(2**63), 2**32, 2**31, 2**62 // 3, -(2**32) + 1]
    if choose.random() < 0.3:
        hostile = [choose.choice(hostile)]
    bound = torch.finfo(tensor.dtype).max if tensor.is_floating_point() else None
    values = [
        max(-bound, min(bound, value)) if bound and value == value and abs(value) != float("inf") else value
        for value in hostile
    ]
    base = tensor
    for dimension, stride in enumerate(tensor.stride()):
        if stride == 0:
            base = base.narrow(dimension, 0, 1)
    generator = torch.Generator().manual_seed(choose.randrange(2**31))
    chosen = torch.rand(base.shape, generator=generator) < share
    picked = torch.tensor(values, dtype=tensor.dtype)[torch.randint(len(values), base.shape, generator=generator)]
    base.copy_(torch.where(chosen, picked, base.clone()))
    return tensor


def work(seed: int, runs: int, seconds: float, progress: Path | None) -> int:
    """Seeds seed, seed + 1, … until either is reached; the seed in work stands in the file `progress`."""
    stop, done = time.monotonic() + seconds, 0
    while done < runs and time.monotonic() < stop:
        if progress:
            progress.write_text(str(seed + done))
        run_one(seed + done)
        done += 1
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--progress", type=Path, required=True)
    arguments = parser.parse_args()
    print(work(arguments.seed, 1 << 40, arguments.seconds, arguments.progress), "runs")


if __name__ == "__main__":
    main()
