"""The cases of test_latent_daps_identity.py, and how their stored results were made.

Every part of LatentDAPS alone and all together; without a mask, with one for all particles and with one per particle;
on a VE and on a flow model. They are small enough to store the whole result, which was done, from the root, by

    python -c "import sys, lab; lab.import_pack(); sys.path[:0] = ['tests', 'tests/samplers'];
    import latent_daps_cases; latent_daps_cases.store()"
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import torch
from linear_problem import Scale, gaussian_denoiser, identity_decoder
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.instruments.record import RunRecord
from sampler_lab.operators import Measurement
from sampler_lab.posterior.data_steps.hmc import HMC
from sampler_lab.posterior.data_steps.langevin import Langevin
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.estimates.probability_flow import ProbabilityFlow
from sampler_lab.posterior.interaction.repulsion import Repulsion
from sampler_lab.posterior.method import Method
from sampler_lab.posterior.moves.hard_consistency import HardConsistency
from sampler_lab.posterior.moves.pruning import Pruning
from sampler_lab.samplers.latent_daps import sample_latent_daps
from sampler_lab.schedulers import poly_rho

FILE = Path(__file__).parent / "fixtures" / "latent_daps.json"
PARTICLES, STEPS, SEED = 4, 8, 5

#: The old code's tau = 0.7 had no one-half beside it.
CHAIN = {"steps": 5, "step_size": 0.01, "step_size_end": 0.2, "tau": 0.7 / math.sqrt(2), "prior_width": "capped"}
ODE = ProbabilityFlow(steps=2, sigma_min=0.01)
LANGEVIN = Method(ODE, Langevin(**CHAIN))
UNDER_DAMPED = Method(ODE, HMC(**CHAIN, momentum=0.4, gradient_clamp=1.0))
REPELLED = replace(ODE, repulsion=Repulsion(strength=0.05))
RAW = replace(ODE, repulsion=Repulsion(strength=0.5, mode="raw", schedule="cosine"))
PRUNING = Pruning(keep=2, progress=0.5)
RESAMPLING = Pruning(keep=3, progress=0.5, mode="resample")
CONSISTENCY = HardConsistency(iterations=4, learning_rate=0.05, start=0.5, gate_tolerance=0.5)
METHODS = {
    "langevin": LANGEVIN,
    "hmc": UNDER_DAMPED,
    "no measurement": Method(ODE, Langevin(**CHAIN, weight=0.0)),
    "repulsion": replace(LANGEVIN, estimate=REPELLED),
    "raw repulsion": replace(LANGEVIN, estimate=RAW),
    "pruning": replace(LANGEVIN, moves=(PRUNING,)),
    "resampling": replace(LANGEVIN, moves=(RESAMPLING,)),
    "hard consistency": replace(LANGEVIN, moves=(CONSISTENCY,)),
    "everything": replace(UNDER_DAMPED, estimate=REPELLED, moves=(PRUNING, CONSISTENCY)),
    "everything, micro-batches": replace(
        LANGEVIN, estimate=REPELLED, moves=(RESAMPLING, CONSISTENCY), decoding=Decoding(micro_batch=1)
    ),
}
MASKS = {
    "no mask": None,
    "one mask": torch.tensor([[[[1.0, 0.0], [1.0, 1.0]]]]),
    "a mask per particle": torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]]).repeat(2, 1).reshape(4, 1, 2, 2),
}
PARAMETERIZATIONS = {"VE": VE, "CONST": CONST}
CASES = [(o, m, p) for o in METHODS for m in MASKS for p in PARAMETERIZATIONS]


def machine() -> str:
    """What single bits may depend on."""
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def run(method: str, mask: str, parameterization: str) -> tuple[torch.Tensor, dict[str, int]]:
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
        method=METHODS[method],
        parameterization=kind,
        observer=record,
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
