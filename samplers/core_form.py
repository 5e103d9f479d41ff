"""The arithmetic of ComfyUI's own gradient estimation and DPM++ 2M, operation by operation.

A picture made with ComfyUI's ``gradient_estimation[_cfg_pp]`` or ``dpmpp_2m[_cfg_pp]`` comes back bit for bit only if
every rounding happens in the same place. These loops therefore work on the caller's sigmas as tensors and in the
caller's dtype, and take flow models for variance-exploding ones, as ComfyUI does. What is right is in
``gradient_estimation.py`` and ``dpmpp_2m.py``; nothing else should use this file.

Differences that are kept: without negative conditioning CFG++ falls back to the plain sampler (ComfyUI computes with
zeros), and the caller's ``extra_args`` stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from .run import Run
from .steps import plan

__all__ = ["FORMS", "core_dpmpp_2m", "core_gradient_estimation"]

FORMS = ("auto", "core")


def core_gradient_estimation(run: Run, gamma: float) -> torch.Tensor:
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


def core_dpmpp_2m(run: Run) -> torch.Tensor:
    """ComfyUI's ``sample_dpmpp_2m`` and, if ``run`` captures u, its CFG++ form."""
    x, u_last, h_last = run.given, None, None
    for i, sigma, sigma_next in _levels(run):
        D, u = _predict(run, x, i, sigma)
        t, t_next = sigma.log().neg(), sigma_next.log().neg()
        h = t_next - t
        has_slope = u_last is not None and sigma_next != 0
        if run.unconditional is None:
            target = D
            if has_slope:
                weight = 1 / (2 * (h_last / h))
                target = (1 + weight) * D - weight * u_last
            x = (t_next.neg().exp() / t.neg().exp()) * x - (-h).expm1() * target
        else:
            mix = -torch.exp(-h) * u
            if has_slope:
                mix = mix - torch.expm1(-h) * (1 / (2 * (h_last / h))) * (D - u_last)
            x = D + mix + torch.exp(-h) * x
        u_last, h_last = u, h
    return x


def _levels(run: Run) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    plan(run.sigmas, run.parameterization)  # for its sentences: the levels themselves are walked as they are
    sigmas = run.sigmas
    for i in run.progress(range(len(sigmas) - 1)):
        yield i, sigmas[i], sigmas[i + 1]


def _predict(run: Run, x: torch.Tensor, i: int, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    D = run.model(x, sigma * run.given.new_ones([len(x)]), **run.extra_args)
    run.report(x, i, sigma, D)
    return D, D if run.unconditional is None else run.unconditional.take(D)
