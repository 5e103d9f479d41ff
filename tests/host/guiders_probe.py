"""Run by test_guiders.py in a process of its own, inside the ComfyUI folder: writes measurements as JSON."""

import copy
import gc
import json
import logging
import sys
import tempfile
from pathlib import Path

import torch
from inside_host import enter_host, sentence

enter_host()

import comfy.samplers  # noqa: E402
import folder_paths  # noqa: E402
from comfy.model_patcher import ModelPatcher, set_model_options_post_cfg_function  # noqa: E402
from sampler_lab.diffusion.parameterization import VE  # noqa: E402
from sampler_lab.guiders.correction import Correction  # noqa: E402
from sampler_lab.guiders.guider import corrected  # noqa: E402
from sampler_lab.guiders.likelihood import LikelihoodCorrection  # noqa: E402
from sampler_lab.guiders.limits import GuidanceLimits  # noqa: E402
from sampler_lab.guiders.norm import NormCorrection  # noqa: E402
from sampler_lab.guiders.particle import ParticleCorrection  # noqa: E402
from sampler_lab.host.decoder import DifferentiableDecoder  # noqa: E402
from sampler_lab.host.emoji_prior import emoji_conditioning, emoji_model, emoji_vae  # noqa: E402
from sampler_lab.host.feature_space import FeatureSpaceOfRun  # noqa: E402
from sampler_lab.operators import PhaseRetrieval  # noqa: E402
from sampler_lab.posterior.guidance import GuidanceOptions, _covariance_times  # noqa: E402
from sampler_lab.posterior.interaction.dino import DINO_MODEL  # noqa: E402
from sampler_lab.posterior.interaction.forces import pairwise_distance  # noqa: E402
from sampler_lab.posterior.interaction.repulsion import Repulsion  # noqa: E402
from sampler_lab.priors.held_out import load_glyph  # noqa: E402

VAE = emoji_vae()


class Positive(comfy.samplers.CFGGuider):
    """What the host's BasicGuider makes: no negative."""

    def set_conds(self, positive):
        self.inner_set_conds({"positive": positive})


def cfg_guider(parameterization="edm", class_name="animal", cfg=2.0):
    guider = comfy.samplers.CFGGuider(emoji_model(parameterization))
    guider.set_conds(emoji_conditioning(class_name), emoji_conditioning("none"))
    guider.set_cfg(cfg)
    return guider


def basic_guider(parameterization="edm"):
    guider = Positive(emoji_model(parameterization))
    guider.set_conds(emoji_conditioning("animal"))
    return guider


def noise(count=3):
    return torch.randn(count, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def sigmas(guider, steps=6):
    sampling = guider.model_patcher.get_model_object("model_sampling")
    return comfy.samplers.calculate_sigmas(sampling, "simple", steps)


def sample(guider, start=None, sampler="euler", steps=6, mask=None, latent=None):
    start = noise() if start is None else start
    latent = torch.zeros_like(start) if latent is None else latent
    sampler = comfy.samplers.sampler_object(sampler) if isinstance(sampler, str) else sampler
    return guider.sample(start, latent, sampler, sigmas(guider, steps), denoise_mask=mask, disable_pbar=True, seed=5)


def particle(guider, **settings):
    space = settings.pop("space", None)
    return corrected(guider, ParticleCorrection(Repulsion(**settings), space))


def likelihood(guider, measurement, vae=VAE, **settings):
    return corrected(guider, LikelihoodCorrection(measurement, vae, GuidanceOptions(**settings)))


def norm(guider, **settings):
    return corrected(guider, NormCorrection(GuidanceLimits(**settings)))


def record(guider):
    """What the latest correction of a guider noted."""
    return guider.corrections[-1].record


def residual(measurement, latent):
    return measurement.residual(2 * VAE.decode(latent).movedim(-1, 1) - 1).tolist()


def zero_strength(measurement) -> dict:
    same = {}
    for kind in ("edm", "flow"):
        for sampler in ("euler", "dpmpp_2m", "euler_ancestral", "euler_cfg_pp"):
            plain = cfg_guider(kind)
            zero = particle(likelihood(norm(plain), measurement, weight=0.0), strength=0.0)
            same[f"cfg {kind} {sampler}"] = torch.equal(sample(plain, sampler=sampler), sample(zero, sampler=sampler))
        plain = basic_guider(kind)
        zero = norm(particle(likelihood(plain, measurement, weight=0.0), strength=0.0))
        same[f"basic {kind}"] = torch.equal(sample(plain), sample(zero))
    one = noise(1)
    same["a single particle"] = torch.equal(sample(cfg_guider(), one), sample(particle(cfg_guider()), one))
    return same


def particles() -> dict:
    folder_paths.models_dir = tempfile.mkdtemp()  # an empty models folder: no DINO in it
    distances = {}
    for kind in ("edm", "flow"):
        distances[f"{kind} plain"] = pairwise_distance(sample(cfg_guider(kind)))
        distances[f"{kind} latent"] = pairwise_distance(sample(particle(cfg_guider(kind), strength=0.05)))
        distances[f"{kind} basic plain"] = pairwise_distance(sample(basic_guider(kind)))
        distances[f"{kind} basic latent"] = pairwise_distance(sample(particle(basic_guider(kind), strength=0.05)))
    pixel = particle(cfg_guider(), strength=0.05, space=FeatureSpaceOfRun("pixel", VAE))
    distances["edm pixel"] = pairwise_distance(sample(pixel))
    parts = particle(cfg_guider(), strength=0.05, micro_batch=2, space=FeatureSpaceOfRun("pixel", VAE))
    spoilt = noise()
    spoilt[2, 0, 0, 0] = torch.nan
    with_nan = sample(particle(cfg_guider(), strength=0.05), spoilt)
    alone = sample(particle(cfg_guider(), strength=0.05), noise()[:2])
    return {
        "distances": distances,
        "micro batches": (sample(pixel) - sample(parts)).abs().max().item(),
        "nan stays alone": [
            (with_nan[:2] - alone).abs().max().item(),
            bool(torch.isfinite(with_nan[2]).any()),
        ],
        "rows": [len(record(pixel).rows), *record(pixel).rows[0]],
    }


def samplers(measurement) -> dict:
    """All three guiders at once under samplers of every kind: multi-step, two calls a step, adaptive, SDE, CFG++."""
    finite = {}
    for kind in ("edm", "flow"):
        for name in ("heun", "dpm_2", "uni_pc", "dpm_adaptive", "dpmpp_3m_sde", "lcm", "gradient_estimation_cfg_pp"):
            stacked = norm(particle(likelihood(cfg_guider(kind), measurement), strength=0.05), rescale=0.5)
            finite[f"{name} {kind}"] = bool(torch.isfinite(sample(stacked, noise(2), name, steps=3)).all())
    return finite


def dino() -> dict:
    """Random weights in the models folder; and none, which must say so and use the latent."""
    import timm
    from safetensors.torch import save_file

    said = []
    handler = logging.Handler()
    handler.emit = lambda line: said.append(line.getMessage())
    logging.getLogger().addHandler(handler)
    guider = particle(cfg_guider(), strength=0.05, space=FeatureSpaceOfRun("dino", VAE, dino_model=DINO_MODEL))
    elsewhere = (torch.hub.get_dir(), folder_paths.models_dir)
    folder_paths.models_dir = tempfile.mkdtemp()
    torch.hub.set_dir(folder_paths.models_dir)
    without = sample(guider, steps=3)
    latent = sample(particle(cfg_guider(), strength=0.05), steps=3)
    folder = Path(folder_paths.models_dir) / "dino"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(DINO_MODEL, pretrained=False, num_classes=0)
        save_file(
            {key: value.clone() for key, value in network.state_dict().items()}, folder / f"{DINO_MODEL}.safetensors"
        )
    features = sample(guider, steps=3)
    torch.hub.set_dir(elsewhere[0])
    logging.getLogger().removeHandler(handler)
    return {
        "said": [line for line in said if "DINO" in line or DINO_MODEL in line],
        "without weights is latent": torch.equal(without, latent),
        "with weights is another": not torch.equal(features, latent) and bool(torch.isfinite(features).all()),
    }


def likelihoods(measurement) -> dict:
    guider = cfg_guider(class_name="none", cfg=1.0)
    residuals = {"plain": residual(measurement, sample(guider, noise(2), steps=12))}
    for form, weight in (("matched", 1.0), ("dps", 0.05)):
        guided = likelihood(guider, measurement, form=form, weight=weight)
        residuals[form] = residual(measurement, sample(guided, noise(2), steps=12))
    flow = likelihood(cfg_guider("flow", "none", 1.0), measurement)
    residuals["flow"] = residual(measurement, sample(flow, noise(2), steps=12))
    noted = record(guided).series("residual")
    frozen = copy.copy(VAE)
    frozen.first_stage_model = copy.deepcopy(VAE.first_stage_model)  # under inference mode: inference tensors
    frozen.patcher = ModelPatcher(frozen.first_stage_model, VAE.device, VAE.device)
    weights_are_inference = next(frozen.first_stage_model.parameters()).is_inference()
    a = sample(likelihood(guider, measurement), noise(2), steps=3)
    b = sample(likelihood(guider, measurement, vae=frozen), noise(2), steps=3)
    return {
        "residuals": residuals,
        "floor": measurement.noise_floor,
        "noted": [len(noted), len(noted[0]), noted[0][0] > noted[0][-1]],
        "inference weights": [weights_are_inference, (a - b).abs().max().item()],
    }


def jacobian() -> dict:
    """C g by a difference quotient against the gradient through the network, which Emoji-64 happens to allow."""
    guider = cfg_guider(class_name="none", cfg=1.0)
    found = {}

    def ask(model, x, sigmas, extra_args=None, callback=None, disable=None):
        clean = sample_clean / 1.0
        for level in (0.2, 1.0, 5.0):
            with torch.inference_mode(False), torch.enable_grad():
                sigma = torch.tensor(level)
                x = (clean + level * noise(2)).clone().requires_grad_(True)
                denoised = guider.inner_model.apply_model(
                    x, sigma.expand(2).clone(), c_crossattn=torch.zeros(2, 1, 12), transformer_options={}
                )
                g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
                (exact,) = torch.autograd.grad(denoised, x, g)

                def denoise(other, sigma=sigma):
                    with torch.no_grad():
                        return guider.inner_model.apply_model(
                            other, sigma.expand(2).clone(), c_crossattn=torch.zeros(2, 1, 12), transformer_options={}
                        )

                quotient = _covariance_times(g, denoised.detach(), x.detach(), sigma, VE, denoise)
            cosine = torch.nn.functional.cosine_similarity(quotient.flatten(1), level**2 * exact.flatten(1))
            ratio = quotient.flatten(1).norm(dim=1) / (level**2 * exact.flatten(1).norm(dim=1))
            found[str(level)] = [cosine.min().item(), ratio.min().item(), ratio.max().item()]
        return x.detach()

    sample_clean = VAE.encode(load_glyph("donkey").movedim(1, -1) / 2 + 0.5)
    sample_clean = guider.model_patcher.get_model_object("latent_format").process_in(sample_clean)
    sample(guider, noise(2), sampler=comfy.samplers.KSAMPLER(ask), steps=1)
    return found


def norms() -> dict:
    guider = cfg_guider(cfg=6.0)
    watched = norm(guider)
    plain = sample(guider)
    watched_result = sample(watched)
    noted = record(watched)
    gaps = noted.series("gap")
    none_of_it = norm(guider, start_percent=0.98, end_percent=0.99)
    unguided = cfg_guider(cfg=1.0)
    clamped = norm(guider, clamp=0.1)
    sample(clamped)
    limited = record(clamped)
    basic = norm(basic_guider())
    sample(basic)
    once = corrected(cfg_guider(), NormCorrection())  # without settings
    return {
        "same": torch.equal(plain, watched_result),
        "calls": len(noted.rows),
        "items": [len(noted.series(name)) for name in ("gap", "guidance", "denoised", "direction")],
        "guidance is five gaps": max(
            abs(a / (5 * b) - 1) for a, b in zip(noted.series("guidance")[0], gaps[0], strict=True)
        ),
        "outside the interval": torch.equal(sample(none_of_it), sample(unguided)),
        "no gap outside": record(none_of_it).series("gap") == [],
        "clamp": max(max(values) for values in limited.series("guidance"))
        < 0.5 * max(max(values) for values in noted.series("guidance")),
        "basic has no gap": [record(basic).series("gap"), len(record(basic).series("denoised"))],
        "defaults": torch.equal(sample(once), sample(cfg_guider())),
    }


def hooks(measurement) -> dict:
    """Post-CFG hooks: the model's get every argument and what the limits left; the sampler's hear each x once."""
    seen, heard = [], []
    patched = emoji_model("edm").clone()
    patched.set_model_sampler_post_cfg_function(lambda args: (seen.append(sorted(args)), args["denoised"])[1])
    guider = comfy.samplers.CFGGuider(patched)
    guider.set_conds(emoji_conditioning("animal"), emoji_conditioning("none"))
    guider.set_cfg(2.0)

    def listening(model, x, sigmas, extra_args=None, callback=None, disable=None):
        options = set_model_options_post_cfg_function(
            extra_args["model_options"].copy(),
            lambda args: (heard.append(args["input"].clone()), args["denoised"])[1],
            disable_cfg1_optimization=True,
        )
        denoised = model(x, sigmas[2] * x.new_ones(len(x)), **{**extra_args, "model_options": options})
        heard.append(x)
        return denoised

    stacked = norm(likelihood(guider, measurement, covariance="difference"), rescale=0.5)
    sample(stacked, sampler=comfy.samplers.KSAMPLER(listening))
    return {"arguments": seen[0], "model": len(seen), "sampler": len(heard) - 1, "x": torch.equal(heard[0], heard[1])}


def callers(measurement) -> dict:
    """What the caller handed over is as it was, and the mask is honoured."""
    guider = cfg_guider()
    before = (type(guider), copy.deepcopy(guider.model_options), sorted(vars(guider)))
    start, latent = noise(), VAE.encode(torch.rand(3, 64, 64, 3, generator=torch.Generator().manual_seed(2)))
    mask = torch.zeros(3, 1, 16, 16)
    mask[..., 8:] = 1
    kept = start.clone(), latent.clone(), mask.clone()
    gc.collect()
    state = torch.random.get_rng_state()
    stacked = norm(particle(likelihood(guider, measurement), strength=0.05), rescale=0.5)
    result = sample(stacked, start, mask=mask, latent=latent)
    gc.collect()
    return {
        "guider": (type(guider), guider.model_options, sorted(vars(guider))) == before,
        "tensors": all(torch.equal(a, b) for a, b in zip(kept, (start, latent, mask), strict=True)),
        "random state": torch.equal(torch.random.get_rng_state(), state),
        "kept part": (result - latent)[..., :8].abs().max().item(),
        "new part": (result - latent)[..., 8:].abs().max().item(),
        "released": [
            not any(type(each) is DifferentiableDecoder for each in gc.get_objects()),
            sum(isinstance(each, Correction) for each in gc.get_objects()) == len(stacked.corrections),
        ],
        "again": torch.equal(result, sample(stacked, start, mask=mask, latent=latent)),
    }


def refusals(measurement) -> dict:
    guider = cfg_guider()
    small = torch.zeros(1, 4, 8, 8)
    return {
        "size": sentence(sample, likelihood(guider, measurement), small),
        "kind": sentence(norm, object()),
        "twice": sentence(norm, particle(norm(guider))),
        "vae": sentence(FeatureSpaceOfRun, "pixel"),
        "space": sentence(FeatureSpaceOfRun, "clip"),
    }


@torch.inference_mode()
def measure() -> dict:
    with torch.inference_mode(False):
        measurement = PhaseRetrieval().measure(load_glyph("donkey"), seed=0)
    return {
        "zero strength": zero_strength(measurement),
        "particles": particles(),
        "samplers": samplers(measurement),
        "dino": dino(),
        "likelihood": likelihoods(measurement),
        "jacobian": jacobian(),
        "norms": norms(),
        "hooks": hooks(measurement),
        "callers": callers(measurement),
        "refused": refusals(measurement),
    }


sys.stdout.write(json.dumps(measure()) + "\n")
