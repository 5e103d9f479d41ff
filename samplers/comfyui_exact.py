"""The arithmetic of ComfyUI's own gradient estimation, DPM++ 2M and RES, operation by operation: ``form="comfyui"``.

A picture made with ComfyUI's ``gradient_estimation``, ``dpmpp_2m`` or ``res_multistep`` (with ``_ancestral`` and
``_cfg_pp``) comes back bit for bit only if every rounding happens in the same place. These loops therefore work on the
caller's sigmas as tensors and in the caller's dtype, take flow models for variance-exploding ones, and draw one stream
of noise for a whole batch, as ComfyUI does. What is right is in ``gradient_estimation.py``, ``dpmpp_2m.py`` and
``res_multistep.py``; nothing else should use this file.

Differences that are kept: without negative conditioning CFG++ falls back to the plain sampler (ComfyUI computes with
zeros), a run without a seed has seed 0, and the caller's ``extra_args`` stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from ..diffusion.options import Option
from .run import Run
from .steps import plan

__all__ = ["FORM", "comfyui_dpmpp_2m", "comfyui_gradient_estimation", "comfyui_res_multistep", "is_comfyui_form"]

#: "core" is the name that "comfyui" had at first; graphs that were saved with it keep working.
FORM = Option(
    "form",
    "auto",
    "auto: right on every model. comfyui: ComfyUI's own numbers, to repeat old pictures. core: the same, its old name.",
    choices=("auto", "comfyui", "core"),
)


def is_comfyui_form(form: str) -> bool:
    """Whether ComfyUI's own numbers are asked for, under one name or the other."""
    return form != "auto"


def comfyui_gradient_estimation(run: Run, gamma: float) -> torch.Tensor:
    """ComfyUI's ``sample_gradient_estimation`` and, if ``run`` captures u, its CFG++ form."""
    x, d_last = run.given, None
    for i, sigma, sigma_next in _levels(run):
        D, u = _predict(run, x, i, sigma)
        # Dividing by a tensor with dimensions lifts half precision to float32, as it does in ComfyUI.
        d = (x - u) / sigma.reshape([1] * x.ndim)
        ds = sigma_next - sigma
        if sigma_next == 0:
            x = D
        else:
            x = x + d * ds if run.unconditional is None else D + d * sigma_next
            if d_last is not None:
                x = x + (gamma - 1) * (d - d_last) * ds
        d_last = d
    return x


def comfyui_dpmpp_2m(run: Run) -> torch.Tensor:
    """ComfyUI's ``sample_dpmpp_2m`` and, if ``run`` captures u, its CFG++ form."""
    x = run.given
    last: tuple[torch.Tensor, torch.Tensor] | None = None
    for i, sigma, sigma_next in _levels(run):
        D, u = _predict(run, x, i, sigma)
        t, t_next = sigma.log().neg(), sigma_next.log().neg()
        h = t_next - t
        if run.unconditional is None:
            target = D
            if last is not None and sigma_next != 0:
                u_last, h_last = last
                weight = 1 / (2 * (h_last / h))
                target = (1 + weight) * D - weight * u_last
            x = (t_next.neg().exp() / t.neg().exp()) * x - (-h).expm1() * target
        else:
            mix = -torch.exp(-h) * u
            if last is not None and sigma_next != 0:
                u_last, h_last = last
                mix = mix - torch.expm1(-h) * (1 / (2 * (h_last / h))) * (D - u_last)
            x = D + mix + torch.exp(-h) * x
        last = (u, h)
    return x


def comfyui_res_multistep(run: Run, eta: float, s_noise: float) -> torch.Tensor:
    """ComfyUI's ``sample_res_multistep_ancestral`` (eta = 0: ``sample_res_multistep``) and their CFG++ forms.

    The latter if ``run`` captures u. They leave (1 - e^-h)(D - u) out of every step but the first.
    """
    x, noise = run.given, _batch_noise(run)
    s_noise = s_noise * run.noise_scale
    last: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
    for i, sigma, sigma_next in _levels(run):
        D, u = _predict(run, x, i, sigma)
        down, up = _ancestral(sigma, sigma_next, eta)
        if down == 0 or last is None:
            d = (x - u) / sigma.reshape([1] * x.ndim)
            x = x + d * (down - sigma) if run.unconditional is None else D + d * down
        else:
            u_last, sigma_last, down_last = last
            t, t_down_last, t_next, t_last = (level.log().neg() for level in (sigma, down_last, down, sigma_last))
            h = t_next - t
            c2 = (t_last - t_down_last) / h
            phi_1 = torch.expm1(-h) / -h
            phi_2 = (phi_1 - 1.0) / -h
            b_1 = torch.nan_to_num(phi_1 - phi_2 / c2, nan=0.0)
            b_2 = torch.nan_to_num(phi_2 / c2, nan=0.0)
            if run.unconditional is not None:
                x = x + (D - u)
            x = h.neg().exp() * x + h * (b_1 * u + b_2 * u_last)
        if sigma_next > 0 and eta:
            x = x + noise(sigma, sigma_next) * s_noise * up
        last = (u, sigma, down)
    return x


def _ancestral(sigma: torch.Tensor, sigma_next: torch.Tensor, eta: float) -> tuple[torch.Tensor, torch.Tensor | float]:
    """The level that the deterministic part of a step goes to, and the deviation of the noise that follows."""
    if not eta:
        return sigma_next, 0.0
    up = min(sigma_next, eta * (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5)
    return (sigma_next**2 - up**2) ** 0.5, up


def _batch_noise(run: Run) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """ComfyUI's noise: one generator for the batch, on the latent's device, in its dtype."""
    if run.noise_sampler is not None:
        return run.noise_sampler
    x = run.given
    on_cpu = x.device.type == "cpu"  # there ComfyUI's generator would repeat the noise that the run starts from
    generator = torch.Generator(device=x.device).manual_seed((run.extra_args.get("seed") or 0) + on_cpu)
    return lambda *_levels: torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)


def _levels(run: Run) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    plan(run.sigmas, run.parameterization)  # for its sentences: the levels themselves are walked as they are
    sigmas = run.sigmas
    for i in run.progress(range(len(sigmas) - 1)):
        yield i, sigmas[i], sigmas[i + 1]


def _predict(run: Run, x: torch.Tensor, i: int, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    D = run.model(x, sigma * run.given.new_ones([len(x)]), **run.extra_args)
    run.report(x, i, sigma, D)
    return D, D if run.unconditional is None else run.unconditional.take(D)
