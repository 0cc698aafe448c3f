"""The trainer, its settings and its checkpoints."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning_fabric")

from training_scene import ABOUT, Noise, StandIn, settings, trainer

from warpkit.models.batch import Pictures
from warpkit.models.errors import InputError
from warpkit.models.features.state import is_pickle
from warpkit.models.progress import Silent
from warpkit.models.training import EMA, Advice, TrainConfig, Trainer, load_checkpoint, load_weights
from warpkit.models.training.checkpoint import Checkpoint, compact, save_checkpoint
from warpkit.models.training.memory import memory_advice, recompute
from warpkit.models.training.trainer import only_known
from warpkit.models.training.workers import in_lanes


def curve(folder: Path) -> list[dict[str, float]]:
    """The log without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def program(*arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    script = str(Path(__file__).with_name("training_scene.py"))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, *launcher, script, *arguments], env=environment)


def same_state(one: Checkpoint, other: Checkpoint) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    for name, value in one.tensors.items():
        torch.testing.assert_close(value, other.tensors[name], rtol=0, atol=0, msg=name)


# -- resuming ---------------------------------------------------------------------------------------------------------


def test_a_training_killed_in_the_middle_goes_on_with_the_same_losses(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    trainer(whole, steps=12, save_every=5).fit()
    running = program(str(killed), "12", "1", "8")  # waits before its step 8
    try:
        while not (killed / "log.jsonl").exists() or len((killed / "log.jsonl").read_text().splitlines()) < 8:
            assert running.poll() is None
            time.sleep(0.01)
    finally:
        running.kill()  # SIGKILL
        running.wait()
    again = trainer(killed, steps=12, save_every=5)
    assert again.step == 5
    assert again.fit().reason == "finished"
    assert curve(killed) == curve(whole)
    same_state(load_checkpoint(killed / "last.safetensors"), load_checkpoint(whole / "last.safetensors"))


class StopAfter(Silent):
    """Asks a training to stop after some of its steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def test_lanes_take_whole_windows_and_leave_none_out() -> None:
    numbers = [in_lanes(turn, lane, lanes=3, window=4) for turn in range(8) for lane in range(3)]
    assert sorted(numbers) == list(range(24))
    assert [in_lanes(turn, 1, lanes=3, window=4) for turn in range(8)] == [4, 5, 6, 7, 16, 17, 18, 19]


def test_workers_draw_the_same_after_a_restart(tmp_path: Path) -> None:
    class Kept(Noise):
        window = 4

    trainer(tmp_path / "whole", Kept(), steps=9, accumulate=2, workers=2).fit()
    first = trainer(tmp_path / "pieces", Kept(), steps=9, accumulate=2, workers=2)
    requests = [first._request(index) for index in range(18)]
    assert len({(request.number, request.sources) for request in requests}) == 18
    assert len({(request.number // 4, request.sources) for request in requests}) == 6  # one number of sources a window
    first.progress = StopAfter(4)
    assert first.fit().step == 4
    assert trainer(tmp_path / "pieces", Kept(), steps=9, accumulate=2, workers=2).fit().reason == "finished"
    assert curve(tmp_path / "pieces") == curve(tmp_path / "whole")


def test_what_a_worker_raises_ends_the_training(tmp_path: Path) -> None:
    class Broken(Noise):
        def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        trainer(tmp_path, Broken(), workers=1).fit()


def test_sigterm_ends_the_step_and_saves(tmp_path: Path) -> None:
    class Terminated(Noise):
        def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
            if step == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().draw(step, batch, sources)

    handler = signal.getsignal(signal.SIGTERM)
    outcome = trainer(tmp_path, Terminated()).fit()
    assert (outcome.reason, outcome.step) == ("asked", 5)
    assert load_checkpoint(tmp_path / "last.safetensors").step == 5
    assert signal.getsignal(signal.SIGTERM) == handler


def test_an_interrupt_from_the_terminal_reaches_workers_too_and_saves(tmp_path: Path) -> None:
    class Interrupted(Silent):
        def advance(self, steps: int = 1) -> None:
            for process in multiprocessing.active_children():
                os.kill(process.pid or 0, signal.SIGINT)
                os.kill(process.pid or 0, signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGINT)

    stopped = trainer(tmp_path, workers=2)
    stopped.progress = Interrupted()
    outcome = stopped.fit()
    assert (outcome.reason, outcome.step) == ("asked", 1)
    assert load_checkpoint(tmp_path / "last.safetensors").step == 1


def test_machines_without_the_checkpoint_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(steps: torch.Tensor, how: object) -> None:
        steps.copy_(torch.maximum(steps, torch.tensor([0, 0])))  # of a process that begins

    trainer(tmp_path, steps=4).fit()
    late = trainer(tmp_path, steps=8)
    late.world = 2
    monkeypatch.setattr(torch.distributed, "all_reduce", other)
    with pytest.raises(InputError, match=r"different steps \(0 and 4\).*one folder that all machines see"):
        late._resume(None)


def test_minutes_stop_it_and_what_follows_is_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    trainer(tmp_path / "whole").fit()
    pieces = tmp_path / "pieces"
    first = trainer(pieces)
    assert first.fit(minutes=1e-9).reason == "time"
    assert first.step == 0
    assert trainer(pieces, steps=8).fit().reason == "finished"
    assert curve(pieces) == curve(tmp_path / "whole")


def test_compact_restart_is_warm_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer(tmp_path, steps=4).fit()
    (tmp_path / "last.safetensors").unlink()
    again = trainer(tmp_path, steps=8)
    assert again.step == 4
    assert "warm restart, not exact" in capsys.readouterr().out
    assert again.fit().step == 8


def test_compact_small_preset_is_at_most_60_mib(tmp_path: Path) -> None:
    from warpkit.models.systems.liquid_warping import build

    weights = EMA(build("small").generator, 0.9).weights
    assert save_checkpoint(tmp_path / "c.safetensors", compact(weights, 1, {})) <= 60 * 2**20


# -- steps ------------------------------------------------------------------------------------------------------------


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    trainer(one, steps=4, accumulate=2).fit()
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")  # on any free port
    running = program(str(two), "4", "1", launcher=launcher)
    try:
        assert running.wait(300) == 0
    finally:
        running.terminate()
    alone, together = (load_checkpoint(folder / "last.safetensors") for folder in (one, two))
    assert alone.step == together.step == 4
    for name, value in alone.tensors.items():
        torch.testing.assert_close(together.tensors[name], value, rtol=1e-4, atol=1e-6, msg=name)
    for ours, theirs in zip(curve(one), curve(two), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_discriminators_wait_for_their_share_of_the_training(tmp_path: Path) -> None:
    trainer(tmp_path).fit()
    assert [("discriminator_global" in line, "adversarial" in line) for line in curve(tmp_path)] == [
        (False,) * 2
    ] * 4 + [(True,) * 2] * 4


def test_losses_fall(tmp_path: Path) -> None:
    class Same(Noise):
        def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
            return super().draw(0, batch, sources)

    trainer(tmp_path, Same(), steps=40, sources=1, drop=0.0, learning_rate=0.01, adversarial_from=1.0).fit()
    lines = curve(tmp_path)
    assert lines[-1]["pixel"] + lines[-1]["mask"] < 0.95 * (lines[0]["pixel"] + lines[0]["mask"])


def test_nan_stops_with_the_last_good_state_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Noise):
        def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
            given, target = super().draw(step, batch, sources)
            if step == 4:
                target.image[:] = torch.nan
            return given, target

    outcome = trainer(tmp_path, Broken()).fit()
    assert (outcome.reason, outcome.step) == ("diverged", 4)
    kept = load_checkpoint(tmp_path / "last.safetensors")
    assert kept.step == 3
    assert all(value.isfinite().all() for value in kept.tensors.values())
    assert "no number" in capsys.readouterr().out


def test_bf16_and_recomputing_change_little(tmp_path: Path) -> None:
    for name, changes in {"plain": {}, "recomputed": {"checkpointing": True}, "half": {"precision": "bf16"}}.items():
        trainer(tmp_path / name, steps=2, **changes).fit()
    plain, recomputed, half = (curve(tmp_path / name)[-1] for name in ("plain", "recomputed", "half"))
    assert recomputed == pytest.approx(plain, rel=1e-5)
    assert half == pytest.approx(plain, rel=0.05)


@pytest.mark.parametrize("preset", ["ipercore", "small"])
def test_blocks_of_the_networks_are_found_for_recomputing(preset: str) -> None:
    from warpkit.models.layers import ResidualBlock
    from warpkit.models.systems.liquid_warping import build

    generator = build(preset).generator
    count = recompute(generator)
    again = [module for module in generator.modules() if "forward" in vars(module)]
    assert len(again) == count
    inside = {id(part) for block in again for part in block.modules() if part is not block}
    assert not any(id(block) in inside for block in again)
    assert all(
        id(block) in inside or block in again for block in generator.modules() if isinstance(block, ResidualBlock)
    )
    assert not any(isinstance(block, torch.nn.Conv2d) for block in again)
    stages = [stage for name in ("source", "transfer") for stage in getattr(getattr(generator, name), "encoder", ())]
    assert all(stage in again for stage in stages)


def test_unknown_part_of_the_truth_gives_no_gradient() -> None:
    system = StandIn()
    run = trainer(None)
    batch, _ = run._batch(Noise().draw(0, 1, 1), 0)
    rendered = system.render(system.encode_sources(batch), batch)
    rendered.image.retain_grad()
    known = torch.zeros(1, 1, 32, 32)
    known[..., :16] = 1
    terms = system.losses(rendered, only_known(batch, rendered, known), "generator")
    (terms["pixel"] + terms["mask"]).backward()
    assert not rendered.image.grad[..., 16:].any()
    assert rendered.image.grad[..., :16].any()


def test_every_sample_keeps_a_source() -> None:
    run = trainer(None)
    for number in range(20):
        batch, _ = run._batch(Noise().draw(number, 2, 3), number, 0.9)
        assert batch.sources.valid.any(1).all()
        assert not batch.sources.valid.all()


def test_sheets_show_samples_and_their_figures(tmp_path: Path) -> None:
    trainer(tmp_path, steps=2, sheet_every=2).fit()
    assert (tmp_path / "sheets" / "00000002.png").stat().st_size > 0
    assert "psnr" in json.loads((tmp_path / "checks.jsonl").read_text())
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_checks_of_steps_that_are_taken_again_are_dropped(tmp_path: Path) -> None:
    trainer(tmp_path, steps=2, sheet_every=2).fit()
    with (tmp_path / "checks.jsonl").open("a") as file:
        file.write('{"step": 4, "psnr": 1.0}\n{"step": 6, "ps')  # of a run that was killed before it saved
    trainer(tmp_path, steps=4, sheet_every=2).fit()
    assert [json.loads(line)["step"] for line in (tmp_path / "checks.jsonl").read_text().splitlines()] == [2, 4]


def test_deterministic_operations_are_asked_for_while_it_trains_alone(tmp_path: Path) -> None:
    class Watched(Noise):
        def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
            assert torch.are_deterministic_algorithms_enabled()
            return super().draw(step, batch, sources)

    assert trainer(tmp_path, Watched(), steps=1, deterministic=True).fit().reason == "finished"
    assert not torch.are_deterministic_algorithms_enabled()


def test_rate_stays_for_a_quarter_then_falls_to_the_end() -> None:
    config = TrainConfig()
    assert config.rate(0, 1000) == config.rate(249, 1000) == 1e-4
    assert config.rate(625, 1000) == pytest.approx(5.5e-5)
    assert config.rate(1000, 1000) == pytest.approx(1e-5)
    assert (config.batch, config.sources, config.epochs) == (2, (2, 2), 2.0)


# -- what cannot be ---------------------------------------------------------------------------------------------------


def test_unknown_setting_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"training\.learning_rat; did you mean learning_rate"):
        TrainConfig.from_dict({"learning_rat": 1e-4})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "training.batch"),
        ({"batch": "two"}, "training.batch"),
        ({"sources": [3, 2]}, "training.sources"),
        ({"precision": "fp8"}, "training.precision"),
        ({"ema": 1.0}, "training.ema"),
        ({"batch": 3, "accumulate": 2}, "training.batch: 3 people cannot be shared"),
        ({"epochs": 2.0, "steps": None}, "training.epochs: these data have no end"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Trainer(StandIn(), Noise(), None, settings(**changes), None, accelerator="cpu")  # type: ignore[arg-type]


def test_settings_that_changed_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer(tmp_path, steps=2).fit()
    trainer(tmp_path, steps=2, save_every=1)
    assert "settings changed" not in capsys.readouterr().out
    trainer(tmp_path, steps=4, learning_rate=1e-3)
    assert "last.safetensors: training.learning_rate, training.steps;" in capsys.readouterr().out


def test_checkpoint_of_another_preset_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer(tmp_path, steps=1).fit()
    monkeypatch.setitem(ABOUT["system"], "preset", "paper")
    with pytest.raises(InputError, match="'tiny', but 'paper'"):
        trainer(tmp_path)
    with pytest.raises(InputError, match="another preset"):
        load_weights(torch.nn.Linear(2, 2), load_checkpoint(tmp_path / "last.safetensors").part("generator"), "x")


def test_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path, steps=1).fit()
    last = tmp_path / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.raises(InputError, match="truncated"):
        trainer(tmp_path)


def test_a_checkpoint_is_no_pickle_whatever_the_length_of_its_header(tmp_path: Path) -> None:
    """The length comes first: 640 reads as the first bytes of a pickle, 19280 as those of a zip file."""
    path, lengths = tmp_path / "a.safetensors", set()
    for length in (640, 896, 1152, 1408, 19280):
        for padding in range(length - 400, length):
            kept = Checkpoint("compact", 1, {"a": "x" * padding}, {"generator.a": torch.zeros(1)})
            save_checkpoint(path, kept)
            if int.from_bytes(path.read_bytes()[:8], "little") == length:
                assert load_checkpoint(path).about == kept.about
                assert not is_pickle(path)
                lengths.add(length)
                break
    assert lengths == {640, 896, 1152, 1408, 19280}


def test_a_full_disk_is_a_sentence_and_the_last_state_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    trainer(tmp_path, steps=2).fit()

    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(InputError, match=r"last\.safetensors cannot be written: .*No space left"):
        trainer(tmp_path, steps=4).fit()
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "last.safetensors").step == 2
    assert not list(tmp_path.glob(".*"))


def test_pickled_checkpoint_is_refused_unread(tmp_path: Path) -> None:
    for name, content in (("a.pkl", pickle.dumps({})), ("b.pth", b"PK\x03\x04")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="pickled"):
            load_checkpoint(tmp_path / name)


class TooBig(Noise):
    """Asks for more than any machine has at its step 4."""

    def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
        if step == 4:
            torch.empty(2**50)
        return super().draw(step, batch, sources)


def test_out_of_memory_says_what_to_lower_and_keeps_the_last_state(tmp_path: Path) -> None:
    said = (
        r"out of memory with 2 people a step in 1 piece and up to 3 sources: raise training\.accumulate.*checkpointing"
    )
    with pytest.raises(InputError, match=said):
        trainer(tmp_path, TooBig()).fit()
    assert load_checkpoint(tmp_path / "last.safetensors").step == 3
    with pytest.raises(InputError, match=r"the same\), or lower training\.sources"):
        trainer(None, TooBig(), precision="bf16", checkpointing=True).fit()
    with pytest.raises(InputError, match="give a smaller picture"):
        trainer(None, TooBig(), advice=Advice("give a smaller picture", "")).fit()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("x"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_every_kind_of_out_of_memory_is_known(error: Exception) -> None:
    with pytest.raises(InputError, match="out of memory with a: b"), memory_advice("a", "b"):
        raise error
    with pytest.raises(RuntimeError, match="another"), memory_advice("a", "b"):
        raise RuntimeError("another")


def test_trouble_of_the_data_is_passed_on(tmp_path: Path) -> None:
    class Empty(Noise):
        def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
            raise InputError("the folder clips holds no video of a person")

    with pytest.raises(InputError, match="holds no video"):
        trainer(tmp_path, Empty()).fit()
