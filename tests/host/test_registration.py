"""Registration in a real ComfyUI, and our schedules on each of its kinds of model, in a process of its own."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from inside_host import found_by
from sampler_lab import schedulers
from sampler_lab.samplers import CATALOGUE

SCHEDULES = tuple(each.name for each in schedulers.CATALOGUE)
STORED = Path(__file__).parents[1] / "schedulers" / "fixtures" / "release_0.1.0.json"
KINDS = ("eps", "v", "edm", "flow", "flux")

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def probe(comfyui: Path) -> dict:
    """What the probe found inside the host."""
    return found_by("registration_probe.py", comfyui, timeout=600)


def test_names_are_appended_and_nothing_is_replaced(probe):
    found = probe["registration"]
    names = sorted(each.dropdown_name for each in CATALOGUE)
    assert [sorted(new) for new in found["new samplers"]] == [names, names, sorted(f"lab_{s}" for s in SCHEDULES)]
    assert found["nothing replaced"]
    assert found["in front"]
    assert "lab_latent_daps" not in found["new samplers"][1]


def test_a_second_registration_changes_and_says_nothing(probe):
    assert probe["registration"]["idempotent"]
    assert probe["registration"]["said afterwards"] == []


def test_a_taken_name_stays_its_owners_with_one_line_in_the_log(probe):
    found = probe["registration"]
    assert sorted(found["clashes"]) == [
        "Sampler Lab: the sampler name lab_er_sde is taken by another pack and stays theirs.",
        "Sampler Lab: the sampler name lab_euler is taken by another pack and stays theirs.",
        "Sampler Lab: the scheduler name lab_angle is taken by another pack and stays theirs.",
    ]
    assert found["strangers stay"]
    assert found["not listed"] == [False, False, False]


def test_a_list_that_a_pack_gave_the_ksampler_gets_the_names_too(probe):
    assert probe["registration"]["a list of somebody's"] == sorted(each.dropdown_name for each in CATALOGUE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 4, 20])
def test_a_schedule_falls_from_the_models_largest_sigma_to_0(probe, kind, schedule, steps):
    (largest, smallest), sigmas = probe["schedules"][f"{kind} {schedule} {steps}"]
    assert len(sigmas) == steps + 1
    assert sigmas[0] == pytest.approx(largest, rel=1e-6)
    assert sigmas[-1] == 0.0
    assert all(a > b for a, b in pairwise(sigmas))
    if steps > 1 and schedule in ("poly_rho", "half_log_snr", "angle"):
        assert sigmas[-2] == pytest.approx(smallest, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_even_in_half_log_snr_is_even_on_every_model(probe, kind):
    """From the second level on: a flow's first one is pure noise."""
    _, sigmas = probe["schedules"][f"{kind} half_log_snr 20"]
    is_flow = kind in ("flow", "flux")
    levels = [math.log((1 - s) / s) if is_flow else -math.log(s) for s in sigmas[1:-1]]
    lengths = [b - a for a, b in pairwise(levels)]
    assert lengths == pytest.approx([lengths[0]] * len(lengths), rel=1e-3)


def test_every_schedule_is_what_it_was_in_the_first_release(probe):
    """To the bit on the machine that stored them; elsewhere a float32 may be rounded the other way."""
    release = json.loads(STORED.read_text(encoding="utf-8"))
    same_machine = release["machine"] == f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    assert len(probe["stored"]) == len(release["results"]) == 225
    for row, found in zip(release["results"], probe["stored"], strict=True):
        expected = torch.tensor(row["sigmas"]).tolist()
        assert found == (expected if same_machine else pytest.approx(expected, rel=1e-6)), row


def test_trailing_keeps_to_the_range(probe):
    sigmas = probe["range"]
    assert 0.89 < sigmas[0] <= 0.9
    assert sigmas[-2] > 0.3


def test_the_samplers_that_lose_their_penultimate_sigma_are_recognised(probe):
    recognised, names, without, ours = probe["drops"]
    assert sorted(recognised) == names
    assert not without
    assert not ours


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("name", "no schedule is called 'fastest'; choose one of poly_rho"),
        ("flow range", "0 < sigma_min < sigma_max <= 1, for this is a flow model"),
        ("range", "sigma_min is 2 and sigma_max 1"),
        ("another sampler", "steps cannot be recorded"),
        ("empty trajectory", "the trajectory is empty; connect Record Trajectory"),
    ],
)
def test_bad_input_gets_a_sentence(probe, case, words):
    assert words in probe["refused"][case]
