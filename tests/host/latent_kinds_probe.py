"""Run by test_latent_kinds.py in a process of its own, inside the ComfyUI folder: every kind of latent, as JSON."""

import json
import sys
import time
import traceback

import torch
from inside_host import enter_host, sentence

enter_host()

import comfy.samplers  # noqa: E402
from comfy_extras.nodes_custom_sampler import Noise_RandomNoise, SamplerCustomAdvanced  # noqa: E402
from latent_kinds import KINDS, Kind, kind  # noqa: E402
from sampler_lab.guiders.guider import corrected  # noqa: E402
from sampler_lab.guiders.likelihood import LikelihoodCorrection  # noqa: E402
from sampler_lab.guiders.limits import GuidanceLimits  # noqa: E402
from sampler_lab.guiders.norm import NormCorrection  # noqa: E402
from sampler_lab.guiders.particle import ParticleCorrection  # noqa: E402
from sampler_lab.host.emoji_prior import emoji_vae  # noqa: E402
from sampler_lab.host.feature_space import FeatureSpaceOfRun  # noqa: E402
from sampler_lab.host.latent_daps import latent_daps_sampler  # noqa: E402
from sampler_lab.host.run_handle import RunHandle  # noqa: E402
from sampler_lab.host.samplers import catalogue_sampler  # noqa: E402
from sampler_lab.operators import PhaseRetrieval  # noqa: E402
from sampler_lab.posterior.data_steps.langevin import Langevin  # noqa: E402
from sampler_lab.posterior.estimates.probability_flow import ProbabilityFlow  # noqa: E402
from sampler_lab.posterior.guidance import GuidanceOptions  # noqa: E402
from sampler_lab.posterior.interaction.repulsion import Repulsion  # noqa: E402
from sampler_lab.posterior.method import Method  # noqa: E402
from sampler_lab.posterior.moves.hard_consistency import HardConsistency  # noqa: E402
from sampler_lab.posterior.moves.pruning import Pruning  # noqa: E402
from sampler_lab.samplers import CATALOGUE  # noqa: E402

PICTURE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5)) * 2 - 1
MEASUREMENT = PhaseRetrieval().measure(PICTURE, seed=1)
SHORT_CHAIN = Langevin(steps=2, step_size=1e-5, tau=0.2, prior_width="capped")


def cfg_guider(which: Kind) -> comfy.samplers.CFGGuider:
    guider = comfy.samplers.CFGGuider(which.model)
    guider.set_conds(which.positive, which.negative)
    guider.set_cfg(1.5)
    return guider


def sample(which: Kind, guider=None, sampler=None, steps=2, count=2, latent=None):
    """What the host's SamplerCustomAdvanced makes, in the latent's raw scale."""
    guider = guider or cfg_guider(which)
    sampling = guider.model_patcher.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", steps)
    latent = which.latent(count) if latent is None else latent
    sampler = sampler or comfy.samplers.sampler_object("euler")
    with torch.inference_mode():
        return SamplerCustomAdvanced.execute(Noise_RandomNoise(1), guider, sampler, sigmas, {"samples": latent})[0][
            "samples"
        ]


def parts(latent) -> list[torch.Tensor]:
    return latent.unbind() if latent.is_nested else [latent]


def finite(which: Kind, **how) -> list:
    """Whether all of the result is finite, and its shape is that of the latent."""
    result, asked = parts(sample(which, **how)), parts(which.latent(how.get("count", 2)))
    return [
        all(bool(torch.isfinite(part).all()) for part in result),
        [x.shape for x in result] == [x.shape for x in asked],
    ]


def likelihood(which: Kind, vae=None, **settings):
    correction = LikelihoodCorrection(MEASUREMENT, vae or which.vae, GuidanceOptions(**settings))
    return corrected(cfg_guider(which), correction)


def particle(which: Kind, space="latent", vae=None):
    options, features = Repulsion(0.1, sigma_break=0.01), FeatureSpaceOfRun(space, vae or which.vae)
    return corrected(cfg_guider(which), ParticleCorrection(options, features))


def norm(which: Kind):
    return corrected(cfg_guider(which), NormCorrection(GuidanceLimits(rescale=0.5)))


def daps(which: Kind, vae=None, search=False):
    method = Method(ProbabilityFlow(steps=1, sigma_min=0.02), SHORT_CHAIN)
    space = None
    if search:
        method = Method(
            ProbabilityFlow(steps=1, sigma_min=0.02, repulsion=Repulsion(0.05, sigma_break=0.01)),
            SHORT_CHAIN,
            (Pruning(keep=1, progress=0.5), HardConsistency(iterations=2, start=0.5)),
        )
        space = FeatureSpaceOfRun("pixel", vae or which.vae)
    return latent_daps_sampler(MEASUREMENT, vae or which.vae, method, RunHandle("", None), space)


def changed(which: Kind, guider) -> float:
    """The largest change that the guider makes."""
    plain, guided = (parts(sample(which, each)) for each in (None, guider))
    return max((a - b).abs().max().item() for a, b in zip(plain, guided, strict=True))


def of_images(which: Kind) -> dict:
    guided = likelihood(which)
    found = {
        "likelihood": finite(which, guider=guided),
        "likelihood, through the model": finite(which, guider=likelihood(which, covariance="difference")),
        "pixel": finite(which, guider=particle(which, "pixel")),
        "daps": finite(which, sampler=daps(which), steps=3),
    }
    searched = sample(which, sampler=daps(which, search=True), steps=4)
    found["search"] = [bool(torch.isfinite(searched).all()), list(searched.shape[1:]) == list(which.shape)]
    noted = guided.corrections[0].record.series("residual")
    found["notes"] = [len(noted) == 2, all(value > 0 for item in noted for value in item)]
    changes = {
        name: changed(which, make) for name, make in (("likelihood", guided), ("pixel", particle(which, "pixel")))
    }
    return {"works": found, "changes": changes}


def refusals(which: Kind, latent) -> dict:
    """What everything that decodes says of a latent that cannot be decoded to single images."""
    vae = which.vae or kind("qwen_image").vae
    return {
        "likelihood": sentence(sample, which, likelihood(which, vae), latent=latent),
        "pixel": sentence(sample, which, particle(which, "pixel", vae), latent=latent),
        "daps": sentence(sample, which, sampler=daps(which, vae), latent=latent),
    }


def other_vaes(which: Kind, name: str) -> dict:
    """What is said of a VAE of other channels, and of one of another factor, with the latent of the right one."""
    other = kind("flux" if which.shape[0] == 4 else "sd15").vae
    said = refusals(Kind(which.model, other, which.positive, which.negative, which.shape), which.latent(2))
    if name == "sd15":
        emoji = Kind(which.model, emoji_vae(), which.positive, which.negative, which.shape)
        said |= {f"{what}, factor": sentence_ for what, sentence_ in refusals(emoji, which.latent(2)).items()}
    return said


def measure(name: str) -> dict:
    since, which = time.monotonic(), kind(name)
    works = {f"sampler {entry.name}": finite(which, sampler=catalogue_sampler(entry), steps=3) for entry in CATALOGUE}
    works["particle"] = finite(which, guider=particle(which))
    works["norm"] = finite(which, guider=norm(which))
    found = {
        "works": works,
        "changes": {"particle": changed(which, particle(which)), "norm": changed(which, norm(which))},
    }
    if which.vae is not None:
        images = of_images(which)
        found["works"] |= images["works"]
        found["changes"] |= images["changes"]
        found["other vae"] = other_vaes(which, name)
    if len(which.shape) == 4:
        channels, _, height, width = which.shape
        found["frames"] = refusals(which, torch.zeros(2, channels, 3, height, width))
        still = {"norm": norm(which), "particle": particle(which)}
        video = torch.zeros(1, channels, 3, height, width)
        found["video works"] = {k: list(sample(which, guider, latent=video).shape) for k, guider in still.items()}
    if which.vae is None:
        found["parts"] = refusals(which, which.latent(2))
    found["seconds"] = time.monotonic() - since
    return found


def attempt(name: str) -> dict:
    try:
        return measure(name)
    except Exception:  # noqa: BLE001 - one kind that fails must not hide the others
        return {"error": traceback.format_exc()[-1500:]}


sys.stdout.write(json.dumps({name: attempt(name) for name in KINDS}) + "\n")
