"""Writes docs/results.md from the files of runs in benchmarks/results: `python -m benchmarks.results_page`.

No number on that page is typed by hand. A section whose run has not been made says so, and how to make it.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import background, costs, error_shares, personalization_curve, strategies_table
from benchmarks.provenance import where
from warpkit.models.metrics.results import Results
from warpkit.models.metrics.study import Verdict

ROOT = Path(__file__).parent.parent
RUNS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "results.md"
BETTER_PSNR, BETTER_VGG, PREFERRED = 1.5, 0.25, 21
"""The goals of `small` against the geometric picture: dB, share of the VGG distance, of 30 blind pairs."""


def evaluation(path: Path) -> list[str]:
    """The tables of `warpkit evaluate`, and what they were made with."""
    results = Results.from_json(path.read_text())
    lines = [f"- {name}: {value}" for name, value in results.settings.items() if name != "command"]
    lines += [f"- {role}: {about}" for role, about in results.networks.items() if not about.startswith("absent")]
    for (task, sources), seconds in results.seconds.items():
        cases = len(set(next(iter(results.tallies[task, sources].values())).cases))
        lines.append(f"- {task}, {sources} source{'s' * (sources > 1)}: {cases} cases in {seconds / 60:.1f} minutes")
    return [*lines, "", *results.tables(level=3)]


def against_geometric(path: Path) -> list[str]:
    """`evaluation`, and whether what was wanted came out."""
    results = Results.from_json(path.read_text())
    lines = []
    for (task, sources), tallies in results.tallies.items():
        if task != "self" or not {"geometric", "small"} <= tallies.keys():
            continue
        found = tallies["small"].against(tallies["geometric"])
        psnr, vgg = found["psnr/person"], found.get("vgg/person")
        line = f"- **{sources} source{'s' * (sources > 1)}, {psnr['n']} pairs**: PSNR {psnr['mean']:+.2f} dB "
        line += f"(± {psnr['error']:.2f}; wanted +{BETTER_PSNR:.1f}: {_reached(psnr['mean'] >= BETTER_PSNR)})"
        if vgg is not None:
            line += f", VGG distance {100 * vgg['relative']:+.1f} % (± {100 * vgg['relative_error']:.1f}; wanted "
            line += f"−{BETTER_VGG:.0%}: {_reached(vgg['relative'] <= -BETTER_VGG)}), smaller in {vgg['better']:.0%}"
        lines.append(line)
    return [*lines, "", *evaluation(path)]


def backgrounds(path: Path) -> list[str]:
    """What fills the person's place better."""
    return background.markdown(json.loads(path.read_text()))


def _reached(yes: bool) -> str:
    return "reached" if yes else "not reached"


def shares(path: Path) -> list[str]:
    """Where errors lie."""
    return error_shares.markdown(json.loads(path.read_text()))


def study(path: Path) -> list[str]:
    """What the blind reviewers chose."""
    verdict = Verdict(**json.loads(path.read_text()))
    lines = [f"- {name}: {value}" for name, value in verdict.about.items()] + [""] if verdict.about else []
    lines += verdict.to_markdown().splitlines()
    if verdict.people == 1 and "trained" in verdict.chosen:
        chosen = verdict.chosen["trained"]
        asked = f"the trained picture was preferred in {chosen} of {verdict.answers} (wanted: {PREFERRED} of 30)"
        lines += ["", f"{asked}: {_reached(chosen * 30 >= PREFERRED * verdict.answers)}."]
    return lines


def strategies(path: Path) -> list[str]:
    """Variants trained alike, and what each is to the first."""
    return strategies_table.markdown(json.loads(path.read_text())).splitlines()


def personalization(path: Path) -> list[str]:
    """Without and with, by steps (Fig. 14)."""
    found = json.loads(path.read_text())
    lines = [f"- {name}: {value}" for name, value in found["settings"].items()]
    lines.append(f"- measured on: {where(found['machine'])}")
    picture = path.with_suffix(".png")
    if picture.exists():
        lines += ["", f"![PSNR and VGG distance by steps](../benchmarks/results/{picture.name})"]
    return [*lines, *personalization_curve.table(found)]


def cost(path: Path) -> list[str]:
    """Counted and measured."""
    found = json.loads(path.read_text())
    public = "; ".join(f"to {name}²: {gb:g} GB" for name, gb in found["public_gb"].items())
    settings = found["settings"]
    return [
        f"{where(found['machine'])}; medians of {settings['frames']} frames and {settings['steps']} steps",
        "",
        *costs.tables(found).splitlines(),
        "",
        f"The public system, as its code's page tells: {public}.",
    ]


@dataclass(frozen=True)
class Section:
    """Of the page."""

    title: str
    about: str
    command: str
    file: str
    """In benchmarks/results; or a picture in docs, which is shown."""
    write: Callable[[Path], list[str]] | None = None

    def lines(self, runs: Path, docs: Path) -> list[str]:
        """Title, command, and the tables of the run, or that there is none."""
        head = [f"## {self.title}", "", self.about, "", "```bash", *self.command.splitlines(), "```", ""]
        if self.write is None:
            return [*head, f"![{self.title}]({self.file})" if (docs / self.file).exists() else "Not run yet."]
        path = runs / self.file
        return [*head, *(self.write(path) if path.exists() else ["Not run yet."])]


SECTIONS = (
    Section(
        "`small` against the geometric picture",
        "Rendered people of held-out identities and motions, seen as recovery sees them; PSNR and VGG distance in the "
        "person's mask widened by 2 % of the height. `geometric` is the picture that `small` is given to correct. VGG "
        "distance and Face-CS are by the networks that its losses were computed with; PSNR, SSIM and Body-CS are not.",
        "warpkit evaluate geometric small=small.safetensors --out out --sources 1,4 --count 200 --size 256\n"
        "cp out/results.json benchmarks/results/evaluate-small.json",
        "evaluate-small.json",
        against_geometric,
    ),
    Section(
        "`small` on photographic people",
        "The same people in photographed skins and clothes (P007 of openpeople, which training never shows).",
        "warpkit evaluate geometric small=small.safetensors --out out --sources 1,4 --count 100 --size 256 "
        "--people photographic --baked CACHE\n"
        "cp out/results.json benchmarks/results/evaluate-photographic.json",
        "evaluate-photographic.json",
        against_geometric,
    ),
    Section(
        "Where the rest of the error lies",
        "Shares of the geometric picture's error in the widened mask, and what is left of them. Then what the "
        "geometric picture would be with the true outline, which a body as recovery fits it does not tell, with the "
        "true colours, and with the truth wherever a source shows it. From one source most of the VGG distance lies on "
        "surface that it does not show, whose colours nothing tells; from four most lies on surface that was seen, "
        "which bodies fitted some pixels off put beside its place. That is what keeps `small` from the VGG distance "
        "that was wanted.",
        "python -m benchmarks.error_shares small.safetensors --json benchmarks/results/error-shares.json",
        "error-shares.json",
        shares,
    ),
    Section(
        "Cross-imitation, appearance transfer and novel views",
        "The columns of the paper's Tables 1, 3 and 4, for `small` and what it starts from; bodies are exact here.",
        "warpkit evaluate geometric small=small.safetensors --out out --tasks cross,transfer,views --sources 1,4 "
        "--count 50 --size 256\n"
        "cp out/results.json benchmarks/results/evaluate-tasks.json",
        "evaluate-tasks.json",
        evaluation,
    ),
    Section(
        "Backgrounds",
        "Where the person was, against the true place (held-out rendered people before pictures and painted places): "
        "patches of the picture itself (`exemplar`, what `warpkit imitate` fills with), G_BG of `small`, and the "
        "colours that it starts from, continued into the hole. Means, and differences from `exemplar` with their "
        "standard errors.",
        "python -m benchmarks.background small.safetensors --baked CACHE --out benchmarks/results/background.json",
        "background.json",
        backgrounds,
    ),
    Section(
        "Seven ways to carry the sources over",
        "Section 5.3's, trained alike on the same samples: [how](results/strategies.md). In the person's widened mask, "
        "200 held-out people; a mean with its standard error, below it the difference from AttLWB with that one's.",
        "python -m benchmarks.strategies --out runs/strategies --samples runs/samples --baked CACHE\n"
        "cp runs/strategies/summary.json benchmarks/results/strategies.json",
        "strategies.json",
        strategies,
    ),
    Section(
        "Losses",
        "Table 6's, likewise, for AttLWB; differences are from the full loss. [What they say](results/strategies.md"
        "#what-the-losses-do).",
        "python -m benchmarks.strategies --study losses --out runs/losses --samples runs/samples --baked CACHE\n"
        "cp runs/losses/summary.json benchmarks/results/losses.json",
        "losses.json",
        strategies,
    ),
    Section(
        "LWB and AttLWB",
        "The same for two ways of carrying the sources over, trained alike (seed 1 of the seven ways above).",
        "warpkit evaluate warped lwb=add.safetensors attlwb=attention.safetensors --out out --plain "
        "--tasks self,cross,transfer,views --sources 2,4 --count 50 --size 128\n"
        "cp out/results.json benchmarks/results/evaluate-strategies.json",
        "evaluate-strategies.json",
        evaluation,
    ),
    Section(
        "Personalization",
        "`small` as it is, and after some steps of adapting to a person: one run of 200 steps a person and number of "
        "photos, read on the way on other poses (Fig. 14).",
        "python -m benchmarks.personalization_curve small.safetensors --people 6 --sources 1 2 4 8 --baked CACHE "
        "--out benchmarks/results/personalization.json",
        "personalization.json",
        personalization,
    ),
    Section(
        "Photo-like people, with and without personalization",
        "P008, P009 and P010 of openpeople outdoors (made by a model, nobody real; held out), from that one picture: "
        "by geometry alone, by `small`, and after 100 steps of personalization.",
        "python -m benchmarks.imitation_sheet small.safetensors --out docs/imitated.jpg",
        "imitated.jpg",
    ),
    Section(
        "Blind pairs",
        "30 pairs of the held-out photo-like people P008, P009 and P010 (made by a model, nobody real), each drawn by "
        "geometry and by the trained model, shuffled; the reviewer does not know which is which. The answers here are "
        "not of people, but of a vision-language model that was shown the shuffled pictures alone.",
        "python -m benchmarks.blind_pairs small.safetensors --out pairs\n"
        "warpkit study tally pairs/study --json benchmarks/results/study.json",
        "study.json",
        study,
    ),
    Section(
        "What a run costs",
        "Section 5.4's stages. To run and to personalize: weights, pictures and all tensors alive at once, counted "
        "from shapes (bodies, recovery and workspaces of convolutions not among them); measured memory is that of the "
        "whole process.",
        "python -m benchmarks.costs --json benchmarks/results/costs.json",
        "costs.json",
        cost,
    ),
)


def page(runs: Path = RUNS, docs: Path = PAGE.parent) -> str:
    """The whole page."""
    lines = [
        "# Results",
        "",
        "Written by `python -m benchmarks.results_page` from the files of runs in `benchmarks/results`; every number "
        "comes from one of them, made by the command above it. How it is measured: [evaluation](evaluation.md). "
        "Recovery and the geometric renderer by themselves: [quality](quality.md). Kernels: "
        "[performance](performance.md).",
        "",
        "Runs that name no commit were made before results recorded it.",
    ]
    for section in SECTIONS:
        lines += ["", *section.lines(runs, docs)]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results_page", description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    arguments = parser.parse_args()
    arguments.out.write_text(page())
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
