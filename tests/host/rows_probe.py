"""Run by test_rows.py in a process of its own, inside the ComfyUI folder: a pruned run beside the whole one, as JSON.

Every particle has something of its own that the host keeps: a class, a mask on its condition, a noise mask and a given
latent. A run that took the first rows instead of the surviving ones would end elsewhere.
"""

import json
import sys
from types import SimpleNamespace

import torch
from inside_host import enter_host

enter_host()

from dataclasses import replace  # noqa: E402

import comfy.controlnet  # noqa: E402
import comfy.samplers  # noqa: E402
from sampler_lab.host.emoji_prior import emoji_model, emoji_vae  # noqa: E402
from sampler_lab.host.latent_daps import latent_daps_sampler  # noqa: E402
from sampler_lab.host.rows import select_rows  # noqa: E402
from sampler_lab.host.run_handle import RunHandle  # noqa: E402
from sampler_lab.operators import PhaseRetrieval  # noqa: E402
from sampler_lab.posterior.decoding import Decoding  # noqa: E402
from sampler_lab.posterior.moves.pruning import Pruning  # noqa: E402
from sampler_lab.priors.classes import CLASSES, class_weights  # noqa: E402
from sampler_lab.priors.held_out import load_glyph  # noqa: E402
from sampler_lab.samplers.latent_daps import PRESETS  # noqa: E402
from sampler_lab.schedulers import poly_rho  # noqa: E402

COUNT = 4
METHOD = replace(
    PRESETS["emoji_hmc"],
    data_step=replace(PRESETS["emoji_hmc"].data_step, steps=2),
    decoding=Decoding(micro_batch=1, precision="full"),
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def conditioning(kind: str) -> list:
    """One condition with one row per particle."""
    weights = torch.cat([class_weights(CLASSES[3 * k]).reshape(1, 1, -1) for k in range(COUNT)])
    options = {}
    if kind == "masks":
        options["mask"] = (random(COUNT, 16, 16, seed=3) > 0).float()
    return [[weights, options]]


def sample(measurement, method, kind: str):
    """Latents and the names of the particles that are left."""
    guider = comfy.samplers.CFGGuider(emoji_model().clone())
    guider.set_conds(conditioning(kind), conditioning("classes"))
    guider.set_cfg(1.5)
    run = RunHandle("")
    noise_mask = (random(COUNT, 1, 64, 64, seed=4) > 0).float() if kind == "inpainting" else None
    with torch.inference_mode():
        given = random(COUNT, 4, 16, 16, seed=5) if kind == "inpainting" else torch.zeros(COUNT, 4, 16, 16)
        latents = guider.sample(
            random(COUNT, 4, 16, 16, seed=1),
            given,
            latent_daps_sampler(measurement, emoji_vae(), method, run),
            poly_rho(6, 0.05, 10.0),
            denoise_mask=noise_mask,
            disable_pbar=True,
            seed=7,
        )
    return latents, run.record.survivors


def controlnets() -> dict:
    """Two ControlNets behind each other with a hint a particle, shared by two conditions."""
    first, second = comfy.controlnet.ControlBase(), comfy.controlnet.ControlBase()
    first.set_cond_hint(random(COUNT, 3, 8, 8, seed=1))
    second.set_cond_hint(random(2, 3, 8, 8, seed=2)).set_previous_controlnet(first)
    second.timestep_range = (1.0, 0.0)
    second.cond_hint = random(COUNT, 3, 8, 8)

    guider = SimpleNamespace(conds={name: [{"control": second}] for name in ("positive", "negative")})
    model, _ = select_rows(SimpleNamespace(inner_model=guider), {}, [1, 3], COUNT)
    positive, negative = (model.inner_model.conds[name][0]["control"] for name in ("positive", "negative"))
    return {
        "shared": positive is negative,
        "hints": torch.equal(positive.previous_controlnet.cond_hint_original, first.cond_hint_original[[1, 3]]),
        "short batches repeat": torch.equal(positive.cond_hint_original, second.cond_hint_original[[1, 1]]),
        "made anew": positive.cond_hint is None,
        "range kept": positive.timestep_range == (1.0, 0.0),
        "originals": len(first.cond_hint_original) == COUNT and second.cond_hint is not None,
    }


def main() -> None:
    measurement = PhaseRetrieval().measure(load_glyph("tiger-face"), seed=1)
    found = {"controlnets": controlnets()}
    pruning = Pruning(keep=2, progress=0.5, mode="residual")
    for kind in ("classes", "masks", "inpainting"):
        whole, _ = sample(measurement, METHOD, kind)
        pruned, names = sample(measurement, replace(METHOD, moves=(pruning,)), kind)
        error = (pruned - whole[names]).abs().max() / whole.std()
        others = min(
            float((pruned[k] - whole[other]).abs().max() / whole.std())
            for k, name in enumerate(names)
            for other in range(COUNT)
            if other != name
        )
        found[kind] = {"names": names, "shape": list(pruned.shape), "error": float(error), "others": others}
    sys.stdout.write(json.dumps(found))


main()
