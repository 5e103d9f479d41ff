"""Run by test_family_nodes.py in a process of its own, inside the ComfyUI folder: samplers added to a catalogue.

Real ones, each with an option of its own: one without a CFG++ form, one with nothing else, and one with both.
"""

import json
import sys
from types import SimpleNamespace

from inside_host import enter_host

enter_host()

import comfy.model_sampling  # noqa: E402
import torch  # noqa: E402
from sampler_lab.diffusion.options import Option  # noqa: E402
from sampler_lab.nodes.samplers import family_nodes  # noqa: E402
from sampler_lab.samplers import CATALOGUE, SamplerEntry  # noqa: E402
from sampler_lab.samplers.convention import cfg_pp, sampler  # noqa: E402
from sampler_lab.samplers.run import Run  # noqa: E402
from sampler_lab.samplers.steps import weighted_sum  # noqa: E402

SHARE = Option("share", 0.5, "Share of the step that is taken.", minimum=0.0, maximum=1.0, step=0.01)


def walk(run: Run, share: float) -> torch.Tensor:
    """Shortened Euler steps, but for the last."""
    x = run.x
    for step in run.steps():
        D, u = run.predict(x, step)
        eps = step.noise(x, u)
        taken = share if step.sigma_next > 0 else 1.0
        x = weighted_sum((1 - taken, x), (taken * step.alpha_next, D), (taken * step.sigma_next, eps))
    return x


def named(name: str):
    def copy(run: Run, share: float) -> torch.Tensor:
        return walk(run, share)

    copy.__name__ = f"sample_{name}"
    return sampler(SHARE)(copy)


PLAIN, BOTH = named("short_euler"), named("shortened")
ADDED = [
    SamplerEntry(PLAIN, 1, "none"),
    SamplerEntry(cfg_pp(named("guided_short")), 1, "none"),
    SamplerEntry(BOTH, 1, "none"),
    SamplerEntry(cfg_pp(BOTH), 1, "none"),
]


class Model:
    """A denoiser that pulls to 1 and unconditionally to 0, with the host's own model sampling."""

    def __init__(self) -> None:
        bases = (comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS)
        model_sampling = type("ModelSampling", bases, {})()
        self.inner_model = SimpleNamespace(
            model_patcher=SimpleNamespace(get_model_object=lambda name: {"model_sampling": model_sampling}[name])
        )

    def __call__(self, x, sigma, model_options=None):
        denoised = x / 2 + 0.5
        for hook in (model_options or {}).get("sampler_post_cfg_function", ()):
            denoised = hook({"denoised": denoised, "uncond_denoised": x / 2, "uncond": [{}], "model_options": {}})
        return denoised


def sampled(made, steps=(4.0, 2.0, 1.0)) -> list[float]:
    x = torch.full((1, 2), 3.0)
    return made.sampler_function(Model(), x, torch.tensor(steps), {}, None, True, **made.extra_options)[0].tolist()


def measure() -> dict:
    nodes = {node.define_schema().node_id: node for node in family_nodes([*CATALOGUE, *ADDED])}
    before = [node.define_schema().node_id for node in family_nodes(CATALOGUE)]
    said = {}
    for node_id, node in nodes.items():
        schema = node.define_schema()
        said[node_id] = {
            "inputs": [each.id for each in schema.inputs],
            "description": schema.description,
            "aliases": schema.search_aliases,
        }
    return {
        "nodes": said,
        "before": before,
        "plain": [sampled(nodes["SamplerLabShortEuler"].execute(share=share).args[0]) for share in (0.5, 1.0)],
        "only cfg_pp": [sampled(nodes["SamplerLabGuidedShort"].execute(share=share).args[0]) for share in (0.5, 1.0)],
        "both": [
            sampled(nodes["SamplerLabShortened"].execute(cfg_pp=on, share=share).args[0])
            for on in (False, True)
            for share in (0.5, 1.0)
        ],
    }


sys.stdout.write(json.dumps(measure()) + "\n")
