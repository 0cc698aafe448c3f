"""Samples that are recorded: the same as drawn, drawn once, taken up again."""

from dataclasses import replace

import pytest
import torch
from training_scene import Noise

from warpkit.models.batch import Geometric
from warpkit.models.data.recorded import RecordedSamples
from warpkit.models.errors import InputError


class Counted(Noise):
    """Says which samples were drawn."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def draw(self, step, batch, sources):
        self.drawn.append(step)
        return super().draw(step, batch, sources)


def test_recorded_samples_are_those_drawn_to_half_a_grey_level(tmp_path):
    recorded = RecordedSamples(Noise(), tmp_path, 3, 2)
    sources, target = Noise().draw(1, 1, 2)
    for _ in range(2):  # drawn, then read
        for kept, true in zip(recorded.sample(1), (sources, target), strict=True):
            assert (kept.image - true.image).abs().max() <= 1 / 255 + 1e-6
            assert (kept.alpha - true.alpha).abs().max() <= 0.5 / 255 + 1e-6
            assert (kept.vertices - true.vertices).abs().max() <= true.vertices.abs().max() / 65534 + 1e-6
            assert torch.equal(kept.valid, true.valid)


def test_every_sample_comes_once_in_each_turn_and_is_drawn_once_in_all(tmp_path):
    samples = Counted()
    recorded = RecordedSamples(samples, tmp_path, 4, 2)
    known = torch.cat([recorded.sample(number)[1].image for number in range(4)])
    orders = []
    for turn in range(3):
        images = torch.cat([recorded.draw(2 * turn + step, 2, 2)[1].image for step in range(2)])
        order = [int((known - image).flatten(1).abs().sum(1).argmin()) for image in images]
        assert sorted(order) == [0, 1, 2, 3]
        orders.append(tuple(order))
    assert len(set(orders)) > 1
    assert sorted(samples.drawn) == [0, 1, 2, 3]


def test_a_recording_goes_on_where_it_was_left_and_mends_a_file_that_was_cut_short(tmp_path):
    first = RecordedSamples(Noise(), tmp_path, 4, 2)
    expected = [first.draw(step, 2, 1)[0].image for step in range(2)]
    cut = tmp_path / "000002.npz"
    cut.write_bytes(cut.read_bytes()[:100])
    samples = Counted()
    again = RecordedSamples(samples, tmp_path, 4, 2)
    assert all(torch.equal(again.draw(step, 2, 1)[0].image, expected[step]) for step in range(2))
    assert samples.drawn == [2]


def test_fewer_sources_are_the_first_of_those_recorded(tmp_path):
    recorded = RecordedSamples(Noise(), tmp_path, 2, 3)
    few, many = recorded.draw(0, 2, 2)[0], recorded.draw(0, 2, 3)[0]
    assert torch.equal(few.image, many.image[:, :2])
    with pytest.raises(ValueError, match=r"sources: 3 of each were recorded, got 4"):
        recorded.draw(0, 2, 4)


def test_a_folder_of_other_samples_is_refused(tmp_path):
    RecordedSamples(Noise(), tmp_path, 2, 2, about={"size": 32})
    with pytest.raises(InputError, match=r"other settings \(size\)"):
        RecordedSamples(Noise(), tmp_path, 2, 2, about={"size": 64})
    with pytest.raises(InputError, match="sources"):
        RecordedSamples(Noise(), tmp_path, 2, 3, about={"size": 32})


def test_geometric_pictures_are_refused_as_they_belong_to_a_number_of_sources(tmp_path):
    class Drawn(Noise):
        def draw(self, step, batch, sources):
            given, target = super().draw(step, batch, sources)
            return given, replace(target, geometric=Geometric(target.image, target.alpha, target.alpha, target.alpha))

    with pytest.raises(ValueError, match="geometric"):
        RecordedSamples(Drawn(), tmp_path, 2, 2).sample(0)


def test_a_folder_that_does_not_say_what_it_holds_is_a_sentence(tmp_path):
    for text in ("{", "[1]"):
        (tmp_path / "about.json").write_text(text)
        with pytest.raises(InputError, match=r"about\.json does not say what was recorded"):
            RecordedSamples(None, tmp_path, 1, 1)
