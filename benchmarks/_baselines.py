"""What LatentDAPS has to beat, on the measurements of its own runs. Used by ``latent_daps.py``.

Each baseline is a function that the experiments' runner calls in this process. It rebuilds the measurement of the run
in the prompt queue that it is compared with, and refuses to go on unless the sha256 of both is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sampler_lab.diffusion.fingerprint import tensor_sha256
from sampler_lab.experiments.executors import Job
from sampler_lab.instruments.metrics_file import load_metrics
from sampler_lab.instruments.record import RunRecord
from sampler_lab.metrics import quality_table
from sampler_lab.operators import Measurement, PhaseRetrieval
from sampler_lab.operators.classical.hybrid_input_output import best_channels, hybrid_input_output
from sampler_lab.priors.held_out import load_glyph
from sampler_lab.priors.loader import EmojiPrior
from sampler_lab.samplers.latent_daps import PRESETS, sample_latent_daps

__all__ = ["HIO_RESTARTS", "gaussian", "hio", "picture_of_the_workflow", "sampled"]

PRESET = "emoji_langevin"
#: Of 1,000 iterations each: about 22 s of a processor, as much as one LatentDAPS run takes there.
HIO_RESTARTS = 32
AT_ONCE = 4


def picture_of_the_workflow(name: str) -> torch.Tensor:
    """A glyph ``[1, 3, 64, 64]`` in [-1, 1] as the workflow's Measure node gets it.

    Upscale Image rounds every value down to a byte, so some are one of 255 levels darker than in the file.
    """
    pixels = np.clip(255.0 * ((load_glyph(name) + 1) / 2).numpy(), 0, 255).astype(np.uint8)
    return torch.from_numpy(pixels.astype(np.float32) / 255.0) * 2 - 1


def gaussian(prior: EmojiPrior, beside: Path) -> Callable[[Job, Path], None]:
    """The chains of LatentDAPS with the prior N(0, 1) in place of the network, to see what the network is worth.

    beside: the folder of the experiment in the prompt queue, whose measurements, noise levels and start it has.
    """

    def solve(job: Job, folder: Path) -> None:
        truth, measurement, run = _posed(job, beside)
        sigmas = torch.tensor(run["sigmas"])
        start = torch.randn(run["particles"], 4, 16, 16, generator=torch.manual_seed(run["seed"])) * sigmas[0]
        options = {**PRESETS[PRESET].to_dict(), "prior": "gaussian"}
        record = _begun(folder, job, measurement, options, run["seed"], run["sigmas"], run["particles"])
        chain = {"extra_args": {"seed": run["seed"]}, "disable": True, "observer": record}
        _finish(record, sampled(prior, _no_network, start, sigmas, measurement, **chain), truth, measurement)

    return solve


def _no_network(x: torch.Tensor, sigma: torch.Tensor, **_: Any) -> torch.Tensor:
    """E[x0 | x] for x0 ~ N(0, 1), the crudest prior on standardised latents."""
    return x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2)


def sampled(
    prior: EmojiPrior,
    denoiser: Callable[..., torch.Tensor],
    start: torch.Tensor,
    sigmas: torch.Tensor,
    measurement: Measurement,
    **chain: Any,
) -> torch.Tensor:
    """Images of a LatentDAPS run in this process; ``chain`` goes to the sampler as it is."""
    method = PRESETS[PRESET]
    latents = sample_latent_daps(
        denoiser, start, sigmas, measurement=measurement, decoder=prior.decode, method=method, **chain
    )
    with torch.no_grad():
        return prior.decode(latents)


def hio(beside: Path) -> Callable[[Job, Path], None]:
    """Hybrid input-output, restarted: the best by residual, and one picture of their best channels."""

    def solve(job: Job, folder: Path) -> None:
        truth, measurement, run = _posed(job, beside)
        record = _begun(folder, job, measurement, {"restarts": HIO_RESTARTS}, run["seed"], [], run["particles"])
        record.enter("explore")
        rounds = [
            hybrid_input_output(measurement, restarts=AT_ONCE, seed=run["seed"] + k)
            for k in range(HIO_RESTARTS // AT_ONCE)
        ]
        record.leave()
        every = torch.cat(rounds)
        best = measurement.residual(every).argsort()[: run["particles"] - 1]
        _finish(record, torch.cat([every[best], best_channels(every, measurement)]), truth, measurement)

    return solve


def _posed(job: Job, beside: Path) -> tuple[torch.Tensor, Measurement, dict[str, Any]]:
    """Truth, measurement and record of the run that this is compared with."""
    run = load_metrics(beside / job.picture.name / "metrics.json")
    truth = picture_of_the_workflow(job.picture.name)
    seed = job.experiment.options["Measure.seed"] + job.number
    measurement = PhaseRetrieval.from_dict(run["measurement"]["operator"]).measure(truth, seed=seed)
    if measurement.describe()["sha256"] != run["measurement"]["sha256"]:
        raise SystemExit(
            f"The measurement of {job.picture.name} is not the one in {beside}; do not compare figures of both. Was it "
            "run with another workflow, or another seed?"
        )
    return truth, measurement, run


def _begun(
    folder: Path,
    job: Job,
    measurement: Measurement,
    options: dict[str, Any],
    seed: int,
    sigmas: list[float],
    particles: int,
) -> RunRecord:
    record = RunRecord(folder / "metrics.json")
    about = measurement.describe()
    record.begin(options=options, seed=seed, sigmas=sigmas, particles=particles, measurement=about)
    record.note(experiment=job.experiment.name, picture=job.picture.name)
    return record


def _finish(record: RunRecord, images: torch.Tensor, truth: torch.Tensor, measurement: Measurement) -> None:
    table = quality_table(images, truth, measurement).to_dict()
    record.quality({**table, "reference_sha256": tensor_sha256(truth)}, image="reference")
    record.finish()
