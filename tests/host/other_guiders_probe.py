"""Run by test_other_guiders.py in a process of its own, inside the ComfyUI folder: guiders and samplers of other packs.

They are written as packs write them: each of the host's methods is overridden by somebody, a guider may hold another
one, and a sampler may reach through the guider that it is given.
"""

import copy
import json
import sys

import torch
from inside_host import enter_host

enter_host()

import comfy.patcher_extension  # noqa: E402
import comfy.samplers  # noqa: E402
from sampler_lab.diffusion.tensors import rms  # noqa: E402
from sampler_lab.guiders.correction import Correction  # noqa: E402
from sampler_lab.guiders.guider import corrected  # noqa: E402
from sampler_lab.guiders.limits import GuidanceLimits  # noqa: E402
from sampler_lab.guiders.norm import NormCorrection  # noqa: E402
from sampler_lab.host.emoji_prior import emoji_conditioning, emoji_model  # noqa: E402


class Brighter(Correction):
    """D' = D + 1, so that what was corrected can be told by a number."""

    name = "BrighterGuider"

    def __init__(self) -> None:
        super().__init__("Brighter guider", size="rms of D")

    def correct(self, denoised, call):
        self.record.add(float(call.sigma), size=rms(denoised).tolist())
        return denoised + 1


class Overriding(comfy.samplers.CFGGuider):
    """Overrides all that it can, with signatures of its own, and calls ``predict_noise`` without the wrappers."""

    def __init__(self, model_patcher):
        super().__init__(model_patcher)
        self.called, self.strength = [], 0.5

    def set_conds(self, first, second, weight):
        self.inner_set_conds({"positive": first, "negative": second})
        self.strength = weight

    def describe(self):
        return f"strength {self.strength}"

    def __call__(self, *args, **kwargs):
        self.called.append("call")
        return self.predict_noise(*args, **kwargs)

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006, as the host writes it
        self.called.append("predict_noise")
        return self.strength * super().predict_noise(x, timestep, model_options, seed)

    def inner_sample(self, *args, **kwargs):
        self.called.append("inner_sample")
        return super().inner_sample(*args, **kwargs)

    def outer_sample(self, *args, **kwargs):
        self.called.append("outer_sample")
        return super().outer_sample(*args, **kwargs)

    def sample(self, *args, **kwargs):
        self.called.append("sample")
        return super().sample(*args, **kwargs)


class Holding(comfy.samplers.CFGGuider):
    """Holds another guider and samples with that one."""

    def __init__(self, guider):
        super().__init__(guider.model_patcher)
        self.held = guider

    def sample(self, *args, **kwargs):
        return self.held.sample(*args, **kwargs)


def cfg_guider():
    guider = comfy.samplers.CFGGuider(emoji_model("edm").clone())
    guider.set_conds(emoji_conditioning("animal"), emoji_conditioning("none"))
    guider.set_cfg(2.0)
    return guider


def overriding():
    guider = Overriding(emoji_model("edm"))
    guider.set_conds(emoji_conditioning("animal"), emoji_conditioning("none"), 0.75)
    return guider


def sample(guider, function=None, steps=3):
    start = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    sampler = comfy.samplers.KSAMPLER(function) if function else comfy.samplers.sampler_object("euler")
    sigmas = comfy.samplers.calculate_sigmas(guider.model_patcher.get_model_object("model_sampling"), "simple", steps)
    return guider.sample(start, torch.zeros_like(start), sampler, sigmas, disable_pbar=True, seed=5)


def one_call(ask):
    """A sampler that returns what ``ask(model, x, sigma, extra_args)`` makes of the first level."""

    def function(model, x, sigmas, extra_args=None, callback=None, disable=None):
        return ask(model, x, sigmas[0] * x.new_ones(len(x)), extra_args)

    return function


def predicted(guider, ask=lambda model, x, sigma, extra: model(x, sigma, **extra)):
    """The prediction at the first level, in the model's scale."""
    latent_format = guider.model_patcher.get_model_object("latent_format")
    return latent_format.process_in(sample(guider, one_call(ask)))


def by(difference: torch.Tensor) -> float:
    """By how much everything differs; NaN when not everything differs by the same."""
    return float(difference.mean()) if difference.std() < 1e-4 else float("nan")


def overrides() -> dict:
    plain, guider = overriding(), overriding()
    stacked = corrected(guider, Brighter())
    difference = predicted(stacked) - predicted(plain)
    called = stacked.called
    found = {
        "corrected": by(difference),
        "called": sorted(set(called)),
        "a guider of the host": isinstance(stacked, comfy.samplers.CFGGuider),
        "method": stacked.describe(),
        "original": [type(guider) is Overriding, "conds" in vars(guider)],
    }
    stacked.set_conds(emoji_conditioning("face"), emoji_conditioning("none"), 0.25)
    other = overriding()
    other.set_conds(emoji_conditioning("face"), emoji_conditioning("none"), 0.25)
    found["after its own set_conds"] = by(predicted(stacked) - predicted(other))
    stacked.strength = 0.1
    other.strength = 0.1
    found["after an attribute"] = by(predicted(stacked) - predicted(other))
    found["original's conds"] = torch.equal(predicted(guider), predicted(plain))
    return found


def holders() -> dict:
    plain = predicted(cfg_guider())
    return {
        "around ours": by(predicted(Holding(corrected(cfg_guider(), Brighter()))) - plain),
        "inside ours": by(predicted(corrected(Holding(cfg_guider()), Brighter())) - plain),
    }


def wrappers() -> dict:
    """The host's wrappers are called, with the guider that they may change (as the node CFG Override does)."""
    seen = []

    def override(executor, *args, **kwargs):
        guider = executor.class_obj
        saved, guider.cfg = guider.cfg, 5.0
        seen.append(type(guider).__name__)
        try:
            return executor(*args, **kwargs)
        finally:
            guider.cfg = saved

    def around(executor, guider, *args, **kwargs):
        seen.append(sorted(guider.conds))
        return executor(guider, *args, **kwargs)

    results = []
    for correction in (None, NormCorrection(), Brighter()):
        guider = cfg_guider()
        kinds = comfy.patcher_extension.WrappersMP
        guider.model_patcher.add_wrapper(kinds.PREDICT_NOISE, override)
        guider.model_patcher.add_wrapper(kinds.SAMPLER_SAMPLE, around)
        results.append(predicted(corrected(guider, correction) if correction else guider))
    strong = cfg_guider()
    strong.set_cfg(5.0)
    return {
        "watched": torch.equal(results[0], results[1]),
        "corrected": by(results[2] - results[0]),
        "overridden": torch.equal(results[0], predicted(strong)),
        "seen": seen[:2],
        "times": len(seen),
    }


def samplers() -> dict:
    """What a sampler finds when it reaches through the model that it is given."""
    found = {}

    def reach(model, x, sigma, extra):
        guider = model.inner_model
        found["is a guider"] = isinstance(guider, comfy.samplers.CFGGuider)
        found["attributes"] = all(
            hasattr(guider, name) for name in ("conds", "model_options", "cfg", "inner_model", "loaded_models")
        )
        with_other_conds = copy.copy(guider)
        with_other_conds.conds = {**guider.conds, "positive": guider.conds["negative"]}
        found["own conds"] = guider.conds["positive"] is not guider.conds["negative"]
        direct = guider.predict_noise(x, sigma, extra["model_options"], 5)
        found["predict_noise"] = torch.equal(direct, guider(x, sigma, model_options=extra["model_options"], seed=5))
        guider.cfg = 1.0
        found["set"] = by(guider(x, sigma, **{k: v for k, v in extra.items() if k != "denoise_mask"}) - direct)
        guider.cfg = 2.0
        return with_other_conds(x, sigma, model_options=extra["model_options"], seed=5)

    copied = predicted(corrected(cfg_guider(), Brighter()), reach)
    negative = cfg_guider()
    negative.set_conds(emoji_conditioning("none"), emoji_conditioning("none"))
    found["set"] = found["set"] != 0.0
    found["a copy's conds"] = by(copied - predicted(negative))
    return found


def copies() -> dict:
    """A copy of the whole guider, and no sigmas."""
    guider = corrected(corrected(cfg_guider(), Brighter()), NormCorrection(GuidanceLimits(rescale=0.5)))
    other = copy.copy(guider)
    other.set_cfg(7.0)
    start = torch.zeros(1, 4, 16, 16)
    nothing = guider.sample(start, start, comfy.samplers.sampler_object("euler"), torch.FloatTensor([]))
    return {
        "apart": [guider.cfg, other.cfg],
        "corrections": [type(each).__name__ for each in other.corrections],
        "no sigmas": nothing is start and not vars(start),
    }


def measure() -> dict:
    with torch.inference_mode():
        return {
            "overrides": overrides(),
            "holders": holders(),
            "wrappers": wrappers(),
            "samplers": samplers(),
            "copies": copies(),
        }


sys.stdout.write(json.dumps(measure()) + "\n")
