"""ksampler_sigmas: by hand, and beside the host's KSampler object."""

from __future__ import annotations

import sys

import pytest
import torch
from sampler_lab.schedulers import ksampler_sigmas, linear_quadratic, uniform_angle


def countdown(steps):
    """10 steps: 10, 9, ... 1, 0."""
    return torch.arange(steps, -1, -1).float()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [4, 3, 2, 1, 0]),
        ({"denoise": 0.99995}, [4, 3, 2, 1, 0]),
        ({"denoise": 0.5}, [4, 3, 2, 1, 0]),  # the tail of 8 steps
        ({"denoise": 0.0}, []),
        ({"start_step": 0, "end_step": 10000}, [4, 3, 2, 1, 0]),
        ({"start_step": 1}, [3, 2, 1, 0]),
        ({"start_step": 4}, []),
        ({"start_step": 99}, []),
        ({"end_step": 2}, [4, 3, 2]),
        ({"end_step": 2, "force_full_denoise": True}, [4, 3, 0]),
        ({"end_step": 4, "force_full_denoise": True}, [4, 3, 2, 1, 0]),
        ({"start_step": 1, "end_step": 3}, [3, 2, 1]),
        ({"start_step": 3, "end_step": 3}, []),
        ({"end_step": 0}, [4]),
        ({"discard_penultimate": True}, [5, 4, 3, 2, 0]),
        ({"discard_penultimate": True, "denoise": 0.5}, [5, 4, 3, 2, 0]),
        ({"discard_penultimate": True, "start_step": 2}, [3, 2, 0]),
    ],
    ids=str,
)
def test_by_hand(options, expected):
    assert ksampler_sigmas(countdown, 4, **options).tolist() == expected


@pytest.mark.parametrize(("steps", "denoise", "made"), [(20, 0.6, 33), (7, 0.3, 23), (1, 0.0001, 10000)])
def test_denoise_rounds_the_longer_schedule_down(steps, denoise, made):
    asked = []

    def schedule(n):
        asked.append(n)
        return countdown(n)

    assert len(ksampler_sigmas(schedule, steps, denoise)) == steps + 1
    assert asked == [made]


def test_a_schedule_that_is_kept_somewhere_is_not_written_to():
    kept = countdown(4)
    ksampler_sigmas(lambda steps: kept, 4, end_step=2, force_full_denoise=True)
    assert torch.equal(kept, countdown(4))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"steps": 0}, "steps is 0"), ({"start_step": -1}, "start_step is -1"), ({"end_step": -2}, "end_step is -2")],
)
def test_impossible_steps(options, words):
    with pytest.raises(ValueError, match=words):
        ksampler_sigmas(countdown, **{"steps": 4, **options})


@pytest.fixture(scope="module")
def host_samplers(comfyui):
    """The host's ``comfy.samplers``, imported for the CPU; ``sys.path`` is put back."""
    sys.path.insert(0, str(comfyui))
    try:
        import comfy.cli_args

        comfy.cli_args.args.cpu = True
        import comfy.model_sampling
        import comfy.samplers

        return comfy.samplers
    finally:
        sys.path.remove(str(comfyui))


@pytest.mark.parametrize("sampler", ["euler", "dpm_2", "uni_pc"])
@pytest.mark.parametrize("denoise", [1.0, 0.7, 0.33])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_hosts_ksampler_has_the_same_sigmas(host_samplers, steps, denoise, sampler):
    import comfy.model_sampling

    model_sampling = comfy.model_sampling.ModelSamplingDiscrete()

    class Model:
        def get_model_object(self, name):
            return {"model_sampling": model_sampling}[name]

    for scheduler in host_samplers.KSampler.SCHEDULERS:

        def schedule(n, scheduler=scheduler):
            return host_samplers.calculate_sigmas(model_sampling, scheduler, n)

        stock = host_samplers.KSampler(Model(), steps, "cpu", sampler, scheduler, denoise)
        discard = sampler in host_samplers.KSampler.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
        sigmas = ksampler_sigmas(schedule, steps, denoise, discard_penultimate=discard)
        # One step of kl_optimal is 0/0 in the host.
        torch.testing.assert_close(sigmas, stock.sigmas, rtol=0, atol=0, equal_nan=True, msg=scheduler)


def test_schedules_that_the_host_has_too(host_samplers):
    import comfy.model_sampling

    flow = comfy.model_sampling.ModelSamplingDiscreteFlow()
    for n in (1, 2, 9, 30):
        assert torch.allclose(linear_quadratic(n), host_samplers.linear_quadratic_schedule(flow, n), atol=1e-6)
    for n in (2, 9, 30):
        assert torch.allclose(
            uniform_angle(n, 0.03, 14.6), host_samplers.kl_optimal_scheduler(n, 0.03, 14.6), rtol=1e-4
        )
