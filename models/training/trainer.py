"""The trainer: draws samples, takes steps, keeps checkpoints. It knows systems and data by their protocols alone."""

import math
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from warpkit.models.batch import Batch, Pictures, make_batch
from warpkit.models.bodies import BodyModel
from warpkit.models.errors import InputError, needs_extra
from warpkit.models.progress import SILENT, Progress
from warpkit.models.training.checkpoint import COMPACT_ROOM, Checkpoint, compact, load_checkpoint, save_checkpoint
from warpkit.models.training.config import TrainConfig
from warpkit.models.training.ema import EMA
from warpkit.models.training.gradients import average_gradients
from warpkit.models.training.log import Log
from warpkit.models.training.memory import memory_advice, recompute
from warpkit.models.training.protocols import Samples, System, Windowed
from warpkit.models.training.sheets import figures, sheet
from warpkit.models.training.state import TrainingState, changes, check_origin
from warpkit.models.training.stopping import asked_to_stop
from warpkit.models.training.workers import Request, draw_ahead, drawn, in_lanes

EXACT, COMPACT = "last.safetensors", "compact.safetensors"
CHECK_BATCH = 4
"""People a batch in the check between steps."""
Reason = Literal["finished", "time", "asked", "diverged"]


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    step: int
    """Steps done, of all runs together."""
    reason: Reason
    """finished: all of them. time: the minutes are over. asked: by a signal. diverged: a loss was no number."""


@dataclass(frozen=True)
class Advice:
    """What can be done where a training fails, in the words of whoever runs it."""

    memory: str
    """When memory ran out: what to lower."""
    divergence: str
    """When a loss was no number."""


class Trainer:
    """Trains one system in one folder; taken up again where the folder's last checkpoint left it."""

    def __init__(
        self,
        system: System,
        samples: Samples,
        model: BodyModel,
        config: TrainConfig,
        folder: str | Path | None,
        *,
        about: dict[str, Any] | None = None,
        labels: dict[str, str] | None = None,
        critics: Any = None,
        check: Samples | None = None,
        check_count: int = 8,
        start: Checkpoint | None = None,
        accelerator: str = "auto",
        advice: Advice | None = None,
        progress: Progress = SILENT,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Starts the processes' talk and reads the folder's last checkpoint.

        Args:
            system: an `nn.Module` that is a `System`.
            samples: data; on any device.
            model: the body model of the data's vertices.
            config: how.
            folder: for checkpoints, log and sheets; None: nothing is written.
            about: the tables `system` and `data` of the configuration, kept in checkpoints.
            labels: what compact checkpoints say besides, for the system's own loader.
            critics: networks from outside, handed to the system's losses.
            check: samples that are not trained on, for sheets and figures; None: further ones of `samples`.
            check_count: how many of them.
            start: weights to start from where the folder has no checkpoint.
            accelerator: "cpu", "cuda" or "auto".
            advice: what people are told to do where it fails; None: which settings of a configuration to change.
            progress: told of steps.
            tell: told sentences.

        Raises:
            InputError: a checkpoint that cannot be read or is another system's, settings that cannot be.
        """
        with needs_extra("train"):
            from lightning_fabric import Fabric
        assert isinstance(system, nn.Module)
        world, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self.fabric = Fabric(
            accelerator=accelerator,
            devices=local,
            num_nodes=max(world // max(local, 1), 1),
            strategy="ddp" if world > 1 else "auto",
            precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        )
        self.fabric.launch()
        self.world, self.rank, self.device = world, self.fabric.global_rank, self.fabric.device
        self.config, self.samples, self.model = config, samples, model
        self.critics, self.check, self.check_count = critics, check or samples, check_count
        self.advice = advice or _by_settings(config)
        self.progress = progress
        self.tell = tell if self.rank == 0 else lambda line: None
        pieces = config.accumulate * self.world
        if config.batch % pieces:
            raise InputError(
                f"training.batch: {config.batch} people cannot be shared by {self.world} processes in "
                f"{config.accumulate} pieces each; give a multiple of {pieces}"
            )
        self.share = config.batch // pieces
        self.steps = self._count()
        self.module: Any = system.to(self.device)
        if config.channels_last:
            self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.system: System = self.module
        self.condition = system.condition(model)
        if config.checkpointing:
            recompute(system.generator)
        self.networks: dict[str, nn.Module] = {"generator": system.generator}
        if any(True for _ in system.discriminators.parameters()):
            self.networks["discriminators"] = system.discriminators
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=config.betas)
            for name, network in self.networks.items()
        }
        self.ema = EMA(system.generator, config.ema)
        self._state = TrainingState(self.networks, self.optimizers, self.ema)
        self.folder = None if folder is None else Path(folder)
        self.about, self.labels = {**(about or {}), "training": config.to_dict()}, labels or {}
        self.step = 0
        self._ahead: Iterator[Any] | None = None
        self._resume(start)

    # -- what there is to do ------------------------------------------------------------------------------------------

    def _count(self) -> int:
        config = self.config
        if config.steps is not None:
            return config.steps
        assert config.epochs is not None
        try:
            pictures = len(self.samples)  # type: ignore[arg-type]
        except TypeError:
            raise InputError("training.epochs: these data have no end; give training.steps instead") from None
        return max(1, math.ceil(config.epochs * pictures / config.batch))

    def fit(self, minutes: float | None = None) -> Outcome:
        """Trains until all steps are done, the minutes are over, or a signal asks to stop; then saves.

        SIGTERM and the interrupt key let the step that runs end; a second one does not wait.
        """
        config, began = self.config, time.monotonic()
        before_this = torch.are_deterministic_algorithms_enabled()
        if config.deterministic:
            torch.use_deterministic_algorithms(True)
        log = Log(self.folder, self.step) if self.folder is not None and self.rank == 0 else None
        first = self.step
        self.progress.stage("Training", self.steps - first)
        if config.workers:
            draws = (first * config.accumulate, self.steps * config.accumulate)
            self._ahead = draw_ahead(self.samples, self._request, *draws, config.workers)
        try:
            with asked_to_stop() as asked:
                if log is not None and not (self.folder / EXACT).exists():  # type: ignore[operator]
                    self.save()
                while self.step < self.steps:
                    over = minutes is not None and time.monotonic() - began >= 60 * minutes
                    if reason := self._agreed("asked" if asked() else "time" if over else None):
                        break
                    before = time.monotonic()
                    values = self._advance()
                    if values is None:
                        return self._diverged()
                    values["seconds"] = time.monotonic() - before
                    if log is not None:
                        log.step(self.step - 1, values, board=self.step % config.log_every == 0)
                    if self.step % config.log_every == 0:
                        self._report(values, began, first)
                    if config.sheet_every and self.step % config.sheet_every == 0 and log is not None:
                        self._look(log)
                    if self.step % config.save_every == 0 and self.step < self.steps:
                        self.save()
                    self.progress.advance()
                else:
                    reason = "finished"
                if self.step > first:
                    self.save()
        finally:
            self._ahead = None
            torch.use_deterministic_algorithms(before_this)
            if log is not None:
                log.close()
        return Outcome(self.step, reason)

    def close(self) -> None:
        """Ends the talk of several processes, which at a process' own end is not done in good order."""
        if self.world > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def _agreed(self, reason: Reason | None) -> Reason | None:
        """The same answer on all processes: the first reason that any of them has."""
        reasons: list[Reason | None] = [None, "time", "asked"]
        if self.world == 1:
            return reason
        number = torch.tensor(reasons.index(reason), device=self.device)
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
        return reasons[int(number)]

    # -- a step -------------------------------------------------------------------------------------------------------

    def _advance(self) -> dict[str, float] | None:
        """One step of the optimizers; None, and nothing changed, where a loss or a gradient is no number."""
        config, step = self.config, self.step
        self.module.train()
        judged = "discriminators" in self.optimizers and step >= config.adversarial_from * self.steps
        judged = judged and config.adversarial_from < 1
        sums: dict[str, Tensor] = {}
        for piece in range(config.accumulate):
            request = self._request(step * config.accumulate + piece)
            torch.manual_seed(_mixed(config.seed, request.number))
            with memory_advice(self._doing, self.advice.memory):
                given = drawn(self.samples, request) if self._ahead is None else next(self._ahead)
                batch, known = self._batch(given, request.number, config.drop)
                terms = self._backward(batch, known, judged)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value / config.accumulate
        rate = config.rate(step, self.steps)
        acting = {name: opt for name, opt in self.optimizers.items() if judged or name == "generator"}
        if not self._gradients_ready(acting, sums):
            for optimizer in self.optimizers.values():
                optimizer.zero_grad(set_to_none=True)
            return None
        with memory_advice(self._doing, self.advice.memory):  # the first step makes room for the optimizers' memory
            for optimizer in acting.values():
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        self.ema.update(step)
        self.step += 1
        return {**{name: float(value) for name, value in sums.items()}, "rate": rate}

    def _request(self, index: int) -> Request:
        """What this process's `index`-th draw asks for. Those of a window have one number of sources."""
        config = self.config
        step = index // config.accumulate
        window = self.samples.window if isinstance(self.samples, Windowed) else 1
        if config.workers:
            turn, worker = divmod(index, config.workers)
            number = in_lanes(turn, worker * self.world + self.rank, config.workers * self.world, window)
            first = number // window
        else:
            number = index * self.world + self.rank
            first = step - step % max(1, window // (config.accumulate * self.world))
        sources = random.Random(f"{config.seed}:{first}").randint(*config.sources)
        return Request(number, self.share, sources)

    @property
    def _doing(self) -> str:
        batch, pieces, sources = self.config.batch, self.config.accumulate, self.config.sources[1]
        people, in_pieces = "person" if batch == 1 else "people", "piece" if pieces == 1 else "pieces"
        return f"{batch} {people} a step in {pieces} {in_pieces} and up to {sources} sources"

    def _batch(self, draw: Any, number: int, drop: float = 0.0) -> tuple[Batch, Tensor | None]:
        """The batch of a draw, and where its truth is known (None: everywhere)."""
        given: Pictures = draw[0].to(self.device)
        target: Pictures = draw[1].to(self.device)
        known = draw[2].to(self.device) if len(draw) > 2 else None
        if drop:
            generator = torch.Generator().manual_seed(_mixed(self.config.seed + 1, number))
            stay = torch.rand(given.valid.shape, generator=generator) >= drop
            stay[torch.arange(len(stay)), torch.randint(stay.shape[1], (len(stay),), generator=generator)] = True
            stay = stay.to(self.device) & given.valid
            # one that stays may itself be only padding
            given = replace(given, valid=torch.where(stay.any(1, keepdim=True), stay, given.valid))
        batch = make_batch(
            given,
            target.vertices[:, 0],
            self.model,
            self.condition,
            target=target,
            visibility=self.system.visibility,
        )
        return batch, known

    def _backward(self, batch: Batch, known: Tensor | None, judged: bool) -> dict[str, Tensor]:
        """Adds this piece's gradients; the terms, detached."""
        system, pieces = self.system, self.config.accumulate
        with self.fabric.autocast():
            rendered = system.render(system.encode_sources(batch), batch)
            if known is not None:
                batch = only_known(batch, rendered, known)
            terms = system.losses(rendered, batch, "generator", self.critics, adversarial=judged)
        self.fabric.backward(torch.stack([term.float() for term in terms.values()]).sum() / pieces)
        values = {name: term.detach().float() for name, term in terms.items()}
        if judged:
            with self.fabric.autocast():
                terms = system.losses(rendered, batch, "discriminator", self.critics, adversarial=True)
            self.fabric.backward(torch.stack([term.float() for term in terms.values()]).sum() / pieces)
            values |= {f"discriminator_{name}": term.detach().float() for name, term in terms.items()}
        return values

    def _gradients_ready(self, acting: dict[str, torch.optim.Adam], sums: dict[str, Tensor]) -> bool:
        """Averages gradients and terms over the processes and clips; whether all of it is numbers."""
        if self.world > 1:
            for name in acting:
                average_gradients(list(self.networks[name].parameters()), self.world)
            terms = torch.stack(list(sums.values()))
            torch.distributed.all_reduce(terms)
            sums.update(zip(sums, terms / self.world, strict=True))
        finite = torch.stack([value.isfinite() for value in sums.values()]).all()
        for name in acting:
            parameters = [value for value in self.networks[name].parameters() if value.grad is not None]
            limit = self.config.clip if name == "generator" and self.config.clip else math.inf
            norm = torch.nn.utils.get_total_norm([value.grad for value in parameters if value.grad is not None])
            finite &= norm.isfinite()
            if limit < math.inf:
                torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
        return bool(finite)

    # -- what is told -------------------------------------------------------------------------------------------------

    def _report(self, values: dict[str, float], began: float, first: int) -> None:
        rest = {name: value for name, value in values.items() if name not in ("rate", "seconds")}
        pace = (time.monotonic() - began) / (self.step - first)
        terms = ", ".join(f"{name} {value:.3f}" for name, value in rest.items())
        self.tell(f"step {self.step} of {self.steps}: {terms}; rate {values['rate']:.2g}, {pace:.2f} s a step")

    @torch.no_grad()
    def _look(self, log: Log) -> None:
        """Figures and a sheet of samples that are not trained on, by the averaged weights."""
        self.module.eval()
        sums: dict[str, float] = {}
        pages: list[Any] = []
        with self.ema.applied():
            done = 0
            while done < self.check_count:
                people = min(CHECK_BATCH, self.check_count - done)
                sources = self.config.sources[0] + len(pages) % (self.config.sources[1] - self.config.sources[0] + 1)
                # far beyond the steps of any training
                number = 2**40 + len(pages)
                with memory_advice(f"{people} people in a check", self.advice.memory):
                    batch, _ = self._batch(self.check.draw(number, people, sources), number)
                    with self.fabric.autocast():
                        rendered = self.system.render(self.system.encode_sources(batch), batch)
                for name, value in figures(batch, rendered).items():
                    sums[name] = sums.get(name, 0.0) + value * people / self.check_count
                pages.append(sheet(batch, rendered))
                done += people
        log.check(self.step, sums, pages[0])
        self.tell(f"check at step {self.step}: " + ", ".join(f"{name} {value:.3f}" for name, value in sums.items()))

    def _diverged(self) -> Outcome:
        kept = f"the state kept is {self.folder / EXACT}" if self.folder is not None else "nothing was saved"
        self.tell(
            f"step {self.step} gave a loss or a gradient that is no number, and was not taken; {kept}. "
            f"{self.advice.divergence}, and start again"
        )
        return Outcome(self.step, "diverged")

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def state(self) -> Checkpoint:
        """Everything that the next step depends on."""
        return Checkpoint("exact", self.step, self.about, self._state.tensors())

    def save(self) -> None:
        """Writes both checkpoints; only the first process does."""
        if self.folder is None or self.rank != 0:
            return
        save_checkpoint(self.folder / EXACT, self.state())
        size = save_checkpoint(self.folder / COMPACT, compact(self.ema.weights, self.step, self.about, self.labels))
        if size > COMPACT_ROOM:
            self.tell(
                f"note: {self.folder / COMPACT} has {size / 2**20:.0f} MiB; of a state that is to travel between "
                f"machines, more than {COMPACT_ROOM / 2**20:.0f} is much"
            )

    def _resume(self, start: Checkpoint | None) -> None:
        exact, small = (None if self.folder is None else self.folder / name for name in (EXACT, COMPACT))
        if exact is not None and exact.exists():
            found = load_checkpoint(exact)
            check_origin(found, self.about, str(exact))
            if changed := changes(found.about, self.about):
                self.tell(f"note: settings changed since {exact}: {', '.join(changed)}; so the result is another")
            self._state.restore(found, str(exact))
            self.step = found.step
            if self.step:
                exactly = self.device.type == "cpu" or self.config.deterministic
                how = "exactly" if exactly else "but for the order of sums on the GPU (see training.deterministic)"
                self.tell(f"going on from step {self.step} of {exact}, {how}")
        elif small is not None and small.exists():
            found = load_checkpoint(small)
            check_origin(found, self.about, str(small))
            self._state.begin(found, str(small))
            self.step = found.step
            self.tell(f"going on from step {self.step} of {small}: a warm restart, not exact (no optimizer's memory)")
        elif start is not None:
            check_origin(start, self.about, "the checkpoint to start from")
            self._state.begin(start, "the checkpoint to start from")
            self.tell(f"starting from weights of {start.step} steps")
        if self.world > 1:
            steps = torch.tensor([self.step, -self.step], device=self.device)
            torch.distributed.all_reduce(steps, torch.distributed.ReduceOp.MAX)
            if steps[0] != -steps[1]:
                raise InputError(
                    f"the processes would go on from different steps ({-steps[1]} and {steps[0]}): "
                    f"{self.folder} must be one folder that all machines see"
                )
            self._state.share()


def _by_settings(config: TrainConfig) -> Advice:
    frugal = config.checkpointing and config.precision == "bf16"
    more = "" if frugal else ', set training.precision = "bf16" and training.checkpointing = true'
    return Advice(
        f"raise training.accumulate (the gradient stays the same){more}, or lower training.sources or data.size; the "
        "last checkpoint is as it was",
        "Lower training.learning_rate, set training.clip = 1.0, or change training.seed",
    )


def only_known(batch: Batch, rendered: Any, known: Tensor) -> Batch:
    """The batch whose truth, where it is not known, is what was made: no loss there, and no gradient."""
    assert batch.target_image is not None
    image = torch.lerp(rendered.image.detach().float(), batch.target_image, known)
    alpha = batch.target_alpha
    if alpha is not None:
        alpha = torch.lerp(rendered.alpha.detach().float(), alpha, known)
    return replace(batch, target_image=image, target_alpha=alpha)


def _mixed(seed: int, number: int) -> int:
    """A seed of two, as unlike its neighbours as hashing makes it."""
    return random.Random(f"{seed}/{number}").getrandbits(62)
