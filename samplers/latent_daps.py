r"""LatentDAPS: decoupled annealing posterior sampling in a latent space (Zhang et al., arXiv 2407.01521).

One step at noise level :math:`\sigma_i`, for every particle at once:

1. :math:`\hat z_0`: the probability-flow ODE from :math:`z_{\sigma_i}` to a clean latent, without a gradient;
2. :math:`z_0 \sim p(z_0 | z_{\sigma_i}, y)`: a Markov chain from :math:`\hat z_0` on the likelihood times a Gaussian
   around :math:`\hat z_0`;
3. :math:`z_{\sigma_{i+1}} = \alpha_{i+1} z_0 + \sigma_{i+1}\varepsilon`.

Consecutive levels share nothing but :math:`z_0`, so a step may undo large errors of the one before: that is what makes
the method work on non-linear problems such as phase retrieval. Without a measurement (weight 0) step 2 is left out and
what remains samples the prior.

With several particles the run becomes a search: repulsion in step 1 (``posterior/interaction/``), pruning and hard
consistency after step 2 (``posterior/moves/``). All of it are settings of one loop, ``posterior/loop.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tqdm.auto import tqdm

from ..diffusion.observer import SILENT, Observer
from ..diffusion.parameterization import Parameterization, parameterization_of
from ..operators import Measurement
from ..posterior.autoencoder import Autoencoder, Encoder
from ..posterior.decoding import Decoder
from ..posterior.interaction.features import FeatureSpace
from ..posterior.level import anneal
from ..posterior.likelihood import Likelihood
from ..posterior.loop import Callback, sample_posterior
from ..posterior.method import Method
from ..posterior.particles import Denoiser, Particles, SelectRows, select_mask_rows
from .methods import METHODS, PRESETS

__all__ = ["METHODS", "PRESETS", "sample_latent_daps"]


def sample_latent_daps(  # noqa: PLR0913 - k-diffusion's six, and what an inverse problem has besides
    model: Callable[..., torch.Tensor],
    x: torch.Tensor,
    sigmas: torch.Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Callback | None = None,
    disable: bool | None = None,
    *,
    measurement: Measurement,
    decoder: Decoder,
    encoder: Encoder | None = None,
    method: Method | None = None,
    parameterization: Parameterization | None = None,
    noise_sampler: Callable[[torch.Tensor], torch.Tensor] | None = None,
    feature_space: FeatureSpace | None = None,
    observer: Observer = SILENT,
    select_rows: SelectRows = select_mask_rows,
) -> torch.Tensor:
    """Sample latents whose decoded images explain ``measurement``.

    Args:
        model: denoiser, called as ``model(x, sigma, **extra_args)`` with sigma ``[N]``.
        x: noisy latents at ``sigmas[0]``, ``[N, ...]``; every row is a particle.
        sigmas: annealing levels in the model's own units, strictly decreasing, usually ending in 0.
        extra_args: handed to the model; ``seed`` seeds the particles' noise, ``denoise_mask`` is honoured.
        callback: called once per annealing step with ``x, i, sigma, sigma_hat, denoised``.
        disable: True hides the progress bar.
        measurement: what was measured; one measurement serves every particle.
        decoder: latents in the model's scale to images ``[N, 3, H, W]`` in [-1, 1], differentiable.
        encoder: images ``[N, 3, H, W]`` in [-1, 1] to latents in the model's scale, for methods that encode.
        method: what each step does; the "langevin" preset if None.
        parameterization: VE or CONST; asked of the model if None.
        noise_sampler: standard normal noise shaped like its argument; one stream per particle, from the seed, if None.
        feature_space: where repulsion tells particles apart; the latent space if None.
        observer: told of phases, calls, every step's residuals and images, and asked whether the run is cancelled.
        select_rows: ``(model, extra_args, rows, count) -> (model, extra_args)`` when only ``rows`` of ``count``
            particles go on; by default a mask with one row per particle follows them.

    Returns:
        Latents ``[N, ...]`` at ``sigmas[-1]``; ``[K, ...]`` after pruning to K.

    Raises:
        ValueError: sigmas that do not decrease or do not fit the model.
    """
    method = method or PRESETS["langevin"]
    likelihood = Likelihood(measurement, Autoencoder(decoder, encoder, method.decoding, observer))
    levels = anneal(sigmas, parameterization or parameterization_of(model), likelihood, observer)
    denoiser = Denoiser(model, extra_args, x.dtype, observer, select_rows)
    seed = denoiser.extra_args.get("seed") or 0
    # The chain's steps are far below half precision's resolution.
    particles = Particles(x.float(), denoiser, seed, noise_sampler, feature_space)
    observer.plan(method.phases(levels, len(particles)))
    z = sample_posterior(particles, tqdm(levels, disable=disable), method, callback)
    observer.leave()
    return z.to(x.dtype)
