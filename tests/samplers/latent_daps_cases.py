"""The cases of test_latent_daps_identity.py, and how their stored results were made.

Every part of LatentDAPS alone and all together; without a mask, with one for all particles and with one per particle;
on a VE and on a flow model. They are small enough to store the whole result, which was done, from the root, by

    python -c "import sys, lab; lab.import_pack(); sys.path[:0] = ['tests', 'tests/samplers'];
    import latent_daps_cases; latent_daps_cases.store()"
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from linear_problem import Scale, gaussian_denoiser, identity_decoder
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.instruments.record import RunRecord
from sampler_lab.operators import Measurement
from sampler_lab.posterior.data_steps.mcmc import MCMCOptions
from sampler_lab.posterior.estimates.probability_flow import ODEOptions
from sampler_lab.posterior.interaction.repulsion import RepulsionOptions
from sampler_lab.posterior.moves.hard_consistency import HardConsistencyOptions
from sampler_lab.posterior.moves.pruning import PruningOptions
from sampler_lab.samplers.latent_daps import LatentDAPSOptions, sample_latent_daps
from sampler_lab.schedulers import poly_rho

FILE = Path(__file__).parent / "fixtures" / "latent_daps.json"
PARTICLES, STEPS, SEED = 4, 8, 5

LANGEVIN = LatentDAPSOptions(
    ode=ODEOptions(steps=2, sigma_min=0.01),
    mcmc=MCMCOptions(steps=5, step_size=0.01, step_size_end=0.2, tau=0.7, prior_width="capped"),
)
HMC = replace(LANGEVIN, mcmc=replace(LANGEVIN.mcmc, kind="hmc", momentum=0.4, gradient_clamp=1.0))
REPULSION = RepulsionOptions(strength=0.05)
PRUNING = PruningOptions(keep=2, progress=0.5)
RESAMPLING = PruningOptions(keep=3, progress=0.5, mode="resample")
CONSISTENCY = HardConsistencyOptions(iterations=4, learning_rate=0.05, start=0.5, gate_tolerance=0.5)
OPTIONS = {
    "langevin": LANGEVIN,
    "hmc": HMC,
    "no measurement": replace(LANGEVIN, mcmc=replace(LANGEVIN.mcmc, weight=0.0)),
    "repulsion": replace(LANGEVIN, repulsion=REPULSION),
    "raw repulsion": replace(LANGEVIN, repulsion=RepulsionOptions(strength=0.5, mode="raw", schedule="cosine")),
    "pruning": replace(LANGEVIN, pruning=PRUNING),
    "resampling": replace(LANGEVIN, pruning=RESAMPLING),
    "hard consistency": replace(LANGEVIN, hard_consistency=CONSISTENCY),
    "everything": replace(HMC, repulsion=REPULSION, pruning=PRUNING, hard_consistency=CONSISTENCY),
    "everything, micro-batches": replace(
        LANGEVIN, micro_batch=1, repulsion=REPULSION, pruning=RESAMPLING, hard_consistency=CONSISTENCY
    ),
}
MASKS = {
    "no mask": None,
    "one mask": torch.tensor([[[[1.0, 0.0], [1.0, 1.0]]]]),
    "a mask per particle": torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]]).repeat(2, 1).reshape(4, 1, 2, 2),
}
PARAMETERIZATIONS = {"VE": VE, "CONST": CONST}
CASES = [(o, m, p) for o in OPTIONS for m in MASKS for p in PARAMETERIZATIONS]


def machine() -> str:
    """What single bits may depend on."""
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def run(options: str, mask: str, parameterization: str) -> tuple[torch.Tensor, dict[str, int]]:
    """The latents ``[K, 1, 2, 2]`` of a case, and its counted calls."""
    kind = PARAMETERIZATIONS[parameterization]
    sigmas = kind.sigma_from_ve(poly_rho(STEPS, 0.05, 20.0))
    starts = [torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(k)) for k in range(PARTICLES)]
    extra_args = {"seed": SEED} if MASKS[mask] is None else {"seed": SEED, "denoise_mask": MASKS[mask].clone()}
    denoise = gaussian_denoiser(kind)
    record = RunRecord()
    z = sample_latent_daps(
        lambda x, sigma, **_: denoise(x, sigma),
        torch.stack(starts) * sigmas[0],
        sigmas,
        extra_args=extra_args,
        disable=True,
        measurement=Measurement(torch.tensor([[[[1.0, -0.5], [0.0, 2.0]]]]), Scale(), noise_floor=0.2),
        decoder=identity_decoder,
        options=OPTIONS[options],
        parameterization=kind,
        record=record,
    )
    return z, record.to_dict()["calls"]


def store() -> None:
    """Write what the code does now into the file. Only ever run on code that is known to be right."""
    results = []
    for case in CASES:
        z, calls = run(*case)
        results.append(
            {"case": case, "shape": list(z.shape), "values": [v.hex() for v in z.flatten().tolist()], "calls": calls}
        )
    FILE.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n", encoding="utf-8")
