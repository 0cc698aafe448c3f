"""Registers, spills and shared memory of the CUDA kernels, from the compiler's report: a table in Markdown.

`python benchmarks/resources.py BUILD_LOG [FILE.md]`, where the log is that of a build with WARPKIT_RESOURCES=ON.
`make resources` builds for all architectures and writes docs/cuda-resources.md.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\w+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


@dataclass
class Kernel:
    name: str
    architecture: int
    registers: int
    stack: int
    spilled: int
    shared: int


def read_report(log: str) -> list[Kernel]:
    """Kernels of a build log in the order of their names; a report is the lines after its entry function."""
    kernels, entry, spills = [], None, None
    for line in log.splitlines():
        if found := ENTRY.search(line):
            entry, spills = found, None
        elif entry and spills is None and (found := SPILLS.search(line)):
            spills = found
        elif entry and spills and (found := USED.search(line)):
            stack, stores, loads = map(int, spills.groups())
            architecture = int(re.sub(r"\D", "", entry[2]))
            kernels.append(Kernel(entry[1], architecture, int(found[1]), stack, stores + loads, int(found[2] or 0)))
            entry = None
    names = [kernel.name for kernel in kernels]
    shown = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    for kernel, name in zip(kernels, shown.splitlines(), strict=True):
        kernel.name = short(name)
    return sorted(kernels, key=lambda kernel: (kernel.name, kernel.architecture))


def short(name: str) -> str:
    """A demangled kernel without return type, the namespaces that all have, and arguments."""
    name = re.sub(r"\(anonymous namespace\)::|warpkit::|c10::|torch::headeronly::", "", name.removeprefix("void "))
    depth = 0
    for at, letter in enumerate(name):  # arguments begin at the first parenthesis outside the template's list
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "(" and depth == 0:
            name = name[:at]
            break
    return re.sub(r"\([\w: ]+\)(?=\d)", "", name)


def as_markdown(kernels: list[Kernel]) -> str:
    """One line a kernel, one column an architecture: registers, and what is out of the ordinary."""
    architectures = sorted({kernel.architecture for kernel in kernels})
    spilling = [kernel for kernel in kernels if kernel.spilled]
    spills = "Nothing is spilled."
    if spilling:
        worst = max(spilling, key=lambda kernel: kernel.spilled)
        spills = (
            f"{len(spilling)} of these {len(kernels)} spill; the most are {worst.spilled} bytes "
            f"(stored and loaded): `{worst.name}` on sm_{worst.architecture}."
        )
    lines = [
        "# Registers of the CUDA kernels",
        "",
        "Written by `make resources` from the compiler's report. Registers a thread; then, where it has any, bytes of",
        "static shared memory a block, of stack and of spills a thread.",
        "",
        f"{len({kernel.name for kernel in kernels})} kernels, each for {len(architectures)} architectures. {spills}",
        "",
        "| kernel | " + " | ".join(f"sm_{architecture}" for architecture in architectures) + " |",
        "|---" * (len(architectures) + 1) + "|",
    ]
    for name in dict.fromkeys(kernel.name for kernel in kernels):
        cells = []
        for architecture in architectures:
            found = [one for one in kernels if (one.name, one.architecture) == (name, architecture)]
            cells.append(", ".join(describe(kernel) for kernel in found) or "–")
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def describe(kernel: Kernel) -> str:
    words = [str(kernel.registers)]
    for label, count in (("shared", kernel.shared), ("stack", kernel.stack), ("**spilled**", kernel.spilled)):
        if count:
            words.append(f"{count} {label}")
    return " · ".join(words)


if __name__ == "__main__":
    table = as_markdown(read_report(Path(sys.argv[1]).read_text()))
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(table)
    print(table)
