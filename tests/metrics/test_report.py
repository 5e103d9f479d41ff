"""The quality table: its numbers are those of the metrics, and its choices are what their names say."""

import json
import math
from functools import partial

import pytest
import torch
from sampler_lab.instruments.record import RunRecord, load_metrics
from sampler_lab.metrics import flat_image_psnr, psnr, quality_table, ssim
from sampler_lab.metrics.blind_choice import blind_choice
from sampler_lab.operators import GaussianNoise, PhaseRetrieval, rot180

OPERATOR = PhaseRetrieval()


def noise(like, seed):
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def truth():
    """Smooth, so that a flat image is worth something, and filling its frame."""
    y, x = torch.meshgrid(torch.linspace(0, 3, 24), torch.linspace(0, 4, 32), indexing="ij")
    channels = [torch.sin(x + 2 * y), torch.cos(2 * x - y), torch.sin(3 * x * y / 4)]
    return 0.8 * torch.stack(channels)[None]


@pytest.fixture
def measurement(truth):
    return OPERATOR.measure(truth, seed=1)


@pytest.fixture
def particles(truth):
    """0: the truth with a little noise. 1: its exact twin. 2: one channel turned. 3: NaN. 4: grey."""
    turned = truth.clone()
    turned[:, 1] = rot180(turned[:, 1])
    lost = truth.clone()
    lost[0, 0, 5, 5] = math.nan
    return torch.cat([truth + 0.05 * noise(truth, 2), rot180(truth), turned, lost, torch.zeros_like(truth)])


def unit(images):
    return (images.clamp(-1, 1) + 1) / 2


def test_every_number_is_that_of_its_metric(particles, truth, measurement):
    table = quality_table(particles, truth, measurement)
    raw = psnr(unit(particles), unit(truth)).tolist()
    similar = ssim(unit(particles), unit(truth)).tolist()
    back = psnr(unit(rot180(particles)), unit(truth)).tolist()
    for k in (0, 1, 2, 4):
        row = table.rows[k]
        assert row.particle == k
        assert row.raw.psnr == pytest.approx(raw[k])
        assert row.raw.ssim == pytest.approx(similar[k])
        assert row.aligned.psnr == pytest.approx(max(raw[k], back[k]))
        assert row.residual == pytest.approx(measurement.residual(particles[k : k + 1]).item(), rel=1e-5)
        assert row.residual_ratio == pytest.approx(row.residual / measurement.noise_floor)
    assert table.flat_psnr == pytest.approx(flat_image_psnr(unit(truth)).item())
    assert table.truth_residual == pytest.approx(measurement.residual(truth).item())
    assert 0.8 < table.truth_residual / table.noise_floor < 1.2


def test_raw_and_aligned_tell_the_twin_from_a_failure(particles, truth, measurement):
    twin = quality_table(particles, truth, measurement).rows[1]
    assert twin.raw.psnr < 15
    assert twin.aligned.psnr == math.inf
    assert twin.aligned.ssim == pytest.approx(1)
    assert twin.symmetry == "rot180"


def test_a_turned_channel_counts_only_in_its_own_column(particles, truth, measurement):
    row = quality_table(particles, truth, measurement).rows[2]
    assert row.aligned.psnr < 20
    assert not row.success
    assert (row.aligned_per_channel.psnr, row.symmetry_per_channel) == (math.inf, "rot180 G")


def test_oracle_and_blind_choose_differently_when_the_measurement_cannot_tell(truth):
    """Without noise a turned channel fits exactly: blind takes it, and the oracle knows better."""
    measurement = PhaseRetrieval(noise=GaussianNoise(0.0)).measure(truth, seed=0)
    turned = truth.clone()
    turned[:, 1] = rot180(turned[:, 1])
    table = quality_table(torch.cat([truth + 0.02 * noise(truth, 3), turned]), truth, measurement, choose=blind_choice)
    assert (table.oracle, table.oracle_raw, table.blind) == (0, 0, 1)
    assert table.rows[0].success
    assert not table.rows[1].success
    assert [row.residual_ratio for row in table.rows] == [None, None]  # no noise, no floor


def test_the_oracle_is_the_best_of_the_finite(particles, truth, measurement):
    table = quality_table(particles, truth, measurement)
    assert table.oracle == 1
    assert table.oracle_raw == 0
    assert table.blind in (0, 1, 2)
    order = torch.tensor([3, 2, 4, 0])
    assert quality_table(particles[order], truth, measurement).oracle == 3


def test_whoever_chooses_is_given_the_residuals(particles, truth, measurement):
    seen = []

    def last(residual):
        seen.append(residual)
        return len(residual) - 1

    table = quality_table(particles, truth, measurement, choose=last)
    assert table.blind == 4
    assert seen[0][3].isnan()
    assert seen[0].isfinite().sum() == 4


def test_a_particle_with_nan_is_never_chosen_and_never_touches_another(particles, truth, measurement):
    table = quality_table(particles, truth, measurement)
    lost = table.rows[3]
    assert not lost.finite
    assert math.isnan(lost.raw.psnr)
    assert math.isnan(lost.aligned.ssim)
    assert math.isnan(lost.residual)
    assert not lost.success
    without = quality_table(particles[[0, 1, 2, 4]], truth, measurement)
    for with_it, row in zip([table.rows[k] for k in (0, 1, 2, 4)], without.rows, strict=True):
        assert (with_it.raw, with_it.aligned, with_it.symmetry) == (row.raw, row.aligned, row.symmetry)
        assert with_it.residual == pytest.approx(row.residual, rel=1e-6)


def test_all_particles_lost_is_a_table_too(truth, measurement):
    table = quality_table(torch.full((2, *truth.shape[1:]), math.inf), truth, measurement, choose=blind_choice)
    assert (table.oracle, table.blind) == (0, 0)
    assert not any(row.finite or row.success or row.success_25 for row in table.rows)
    assert "particle 0, 1" in table.to_markdown()


def at_decibels(truth, decibels):
    """The truth with an error of exactly this PSNR, half a pattern up and half down so that nothing is clamped."""
    signs = torch.ones_like(truth)
    signs[..., ::2] = -1
    return truth + 2 * 10 ** (-decibels / 20) * signs


@pytest.mark.parametrize(
    ("contrast", "decibels", "success", "success_25"),
    [
        (0.8, 19.9, False, False),
        (0.8, 20.1, True, False),
        (0.8, 24.9, True, False),
        (0.8, 25.1, True, True),
        # A picture of little contrast: 24 dB is what a flat image scores, and no success.
        (0.12, 24.0, False, False),
    ],
)
def test_success_needs_20_dB_and_5_more_than_a_flat_image(truth, contrast, decibels, success, success_25):
    truth = truth / 0.8 * min(contrast, 0.75)
    measurement = OPERATOR.measure(truth, seed=4)
    table = quality_table(at_decibels(truth, decibels), truth, measurement)
    row = table.rows[0]
    assert row.raw.psnr == pytest.approx(decibels, abs=1e-3)
    assert (table.flat_psnr > 19) == (contrast < 0.5)
    assert (row.success, row.success_25) == (success, success_25)


def test_pictures_are_clamped_and_residuals_are_not(truth, measurement):
    bright = truth + 3
    row = quality_table(bright, truth, measurement).rows[0]
    assert row.raw.psnr == pytest.approx(psnr(torch.ones_like(truth), unit(truth)).item())
    assert row.residual == pytest.approx(measurement.residual(bright).item(), rel=1e-6)


def test_lpips_is_asked_only_about_finite_rows(particles, truth, measurement):
    asked = []

    def distance(images, reference):
        asked.append(images)
        return (images - reference).abs().flatten(1).mean(1)

    big = partial(torch.nn.functional.interpolate, scale_factor=2)
    measurement = OPERATOR.measure(big(truth), seed=1)
    table = quality_table(big(particles), big(truth), measurement, lpips=distance)
    assert all(images.isfinite().all() and len(images) == 4 for images in asked)
    assert math.isnan(table.rows[3].raw.lpips)
    assert table.rows[1].aligned.lpips == pytest.approx(0, abs=1e-7)
    assert table.rows[1].raw.lpips > 0.01
    assert "LPIPS" in table.to_markdown()
    assert table.notes == ()


def test_what_cannot_be_computed_is_said_once(truth, measurement):
    notes = quality_table(truth, truth, measurement).notes
    assert len(notes) == 1
    assert notes[0].startswith("LPIPS is left out")
    small = truth[..., :8, :8]
    table = quality_table(small, small, OPERATOR.measure(small, seed=0), lpips=lambda *_: None)
    assert [note.split()[0] for note in table.notes] == ["SSIM", "LPIPS"]
    assert (table.rows[0].raw.ssim, table.rows[0].raw.lpips) == (None, None)


def test_the_dictionary_is_strict_json_and_goes_through_a_record(tmp_path, particles, truth, measurement):
    table = quality_table(particles, truth, measurement)
    content = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert content["particles"][3]["raw"]["psnr"] is None
    assert content["particles"][1]["symmetry"] == "rot180"
    assert content["particles"][0]["success"] is True
    record = RunRecord(tmp_path / "metrics.json")
    record.begin({}, 0, [1.0, 0.0])
    record.quality(table.to_dict())
    record.finish()
    assert load_metrics(tmp_path / "metrics.json")["quality"] == [{"image": "image", **content}]


def test_the_report_says_it_in_words(particles, truth, measurement):
    table = quality_table(particles, truth, measurement, choose=lambda _: 2)
    lines = table.to_markdown().splitlines()
    assert lines[0].startswith("**Chosen blind (by residual):** particle 2")
    assert lines[0].endswith("not reconstructed.")
    assert lines[1].startswith("**Chosen by oracle (best of N, looking at the truth):** particle 1, \u221e dB aligned")
    assert lines[1].endswith(": reconstructed.")
    rows = [line for line in lines if line.startswith("| ") and line[2].isdigit()]
    assert [row.rstrip("| ").split("|")[-1].strip() for row in rows[1:3]] == ["oracle", "blind"]
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    text = "\n".join(lines)
    assert f"mean colour: {table.flat_psnr:.2f} dB" in text
    assert "Without alignment the oracle would choose particle 0." in text
    assert "particle 2: \u221e dB (rot180 G)" in text
    assert "Not finite, so not scored: particle 3." in text
    assert "nan" not in text.lower()


def test_aligned_images_are_pictures_beside_the_reference(particles, truth, measurement):
    aligned = quality_table(particles, truth, measurement).aligned_images
    torch.testing.assert_close(aligned[1:2], unit(truth))
    assert aligned.shape == particles.shape


@pytest.mark.parametrize(
    ("particles", "reference", "sentence"),
    [
        ((1, 3, 24, 32), (2, 3, 24, 32), "reference holds 2 images, but a measurement is of one; pick"),
        ((1, 3, 24, 32), (1, 3, 32, 24), "resize or crop the reference to 32×24"),
        ((1, 3, 48, 64), (1, 3, 48, 64), "the measurement is of an image of 24×32"),
    ],
)
def test_says_what_does_not_fit(measurement, particles, reference, sentence):
    with pytest.raises(ValueError, match=sentence):
        quality_table(torch.zeros(particles), torch.zeros(reference), measurement)


def test_refuses_a_reference_with_nan(truth, measurement):
    broken = truth.clone()
    broken[0, 0, 0, 0] = math.nan
    with pytest.raises(ValueError, match="the reference holds NaN"):
        quality_table(truth, broken, measurement)


def test_works_under_the_hosts_inference_mode(particles, truth, measurement):
    outside = quality_table(particles, truth, measurement).to_dict()
    with torch.inference_mode():
        inside = quality_table(particles.clone(), truth.clone(), measurement).to_dict()
    assert inside == outside


def test_choices_in_the_dictionary_are_names(particles, truth, measurement):
    table = quality_table(particles[[4, 1]], truth, measurement, names=[4, 7])
    content = table.to_dict()
    assert (table.blind, table.oracle) == (1, 1)
    assert (content["blind"], content["oracle"], content["oracle_raw"]) == (7, 7, 4)


class TestRecordedResiduals:
    """What a run noted of its result decides, if these images are its result."""

    def test_they_are_used_when_the_images_are_those_of_the_run(self, truth, measurement):
        pair = torch.cat([truth + 0.01 * noise(truth, 2), truth + 0.01 * noise(truth, 3)])
        own = measurement.residual(pair)
        # As from another decoder pass: the order of two that are nearly equal is another.
        low, high = own.min(), own.max()
        assert high / low < 1.005, "the case needs two that are nearly equal"
        recorded = torch.where(own == low, low * 1.006, low * 1.001).tolist()
        table = quality_table(pair, truth, measurement, choose=blind_choice, recorded=recorded)
        assert [row.residual for row in table.rows] == pytest.approx(recorded)
        assert table.blind == recorded.index(min(recorded)) != int(own.argmin())
        assert not any("computed anew" in note for note in table.notes)

    def test_other_images_have_their_own_and_it_is_said(self, particles, truth, measurement):
        own = quality_table(particles, truth, measurement)
        recorded = [2 * row.residual for row in own.rows]
        table = quality_table(particles, truth, measurement, recorded=recorded)
        assert [row.residual_ratio for row in table.rows][:3] == [row.residual_ratio for row in own.rows][:3]
        assert table.notes[0] == "These images are not what the run returned: their residuals were computed anew."
        table = quality_table(particles, truth, measurement, recorded=recorded[:2])
        assert table.notes[0].startswith("The run returned 2 particles, but these are 5 images")
        assert "computed anew" in table.to_markdown()

    def test_a_run_may_choose_by_more_than_its_residual_and_it_is_said(self, particles, truth, measurement):
        recorded = [row.residual for row in quality_table(particles, truth, measurement).rows]
        by_residual = quality_table(particles, truth, measurement, recorded=recorded)
        by_run = quality_table(particles, truth, measurement, recorded=recorded, chosen=4)
        assert (by_run.blind, by_run.to_dict()["blind_by"]) == (4, "run")
        assert by_run.to_markdown().startswith("**Chosen blind (by the run):** particle 4, ")
        assert by_residual.blind != 4
        assert by_residual.to_dict()["blind_by"] == "residual"
        doubled = [2 * value for value in recorded]
        elsewhere = quality_table(particles, truth, measurement, recorded=doubled, chosen=4)
        assert (elsewhere.blind, elsewhere.blind_by) == (by_residual.blind, "residual"), "not the run's images"

    def test_a_particle_that_both_lost_agrees(self, particles, truth, measurement):
        own = quality_table(particles, truth, measurement)
        recorded = [row.residual for row in own.rows]
        assert math.isnan(recorded[3])
        assert quality_table(particles, truth, measurement, recorded=recorded).notes == own.notes
