r"""LatentDAPS: decoupled annealing posterior sampling in a latent space (Zhang et al., arXiv 2407.01521).

One step at noise level :math:`\sigma_i`, for every particle at once:

1. :math:`\hat z_0`: the probability-flow ODE from :math:`z_{\sigma_i}` to a clean latent, without a gradient;
2. :math:`z_0 \sim p(z_0 | z_{\sigma_i}, y)`: a Markov chain from :math:`\hat z_0` on the likelihood times a Gaussian
   around :math:`\hat z_0`;
3. :math:`z_{\sigma_{i+1}} = \alpha_{i+1} z_0 + \sigma_{i+1}\varepsilon`.

Consecutive levels share nothing but :math:`z_0`, so a step may undo large errors of the one before: that is what makes
the method work on non-linear problems such as phase retrieval. Without a measurement (weight 0) step 2 is left out and
what remains samples the prior.

With several particles the run becomes a search, each part of which is left out unless it is asked for:

* explore: in step 1 the particles repel each other (``posterior/repulsion.py``): the force is computed once, from the
  denoiser's estimate at :math:`\sigma_i`, and added to the score along the whole ODE;
* prune: after step 2 of one level only the promising ones go on (``posterior/pruning.py``);
* polish: from then on step 2 is followed by hard consistency (``posterior/hard_consistency.py``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from tqdm.auto import trange

from ..diffusion.parameterization import Parameterization, parameterization_of
from ..diffusion.particle_noise import ParticleNoise
from ..instruments.record import RunRecord
from ..operators import Measurement
from ..posterior.data_steps.mcmc import MCMCOptions, prior_width, run_chain
from ..posterior.estimates.probability_flow import LARGEST_SPACING_SIGMA, ODEOptions, probability_flow
from ..posterior.interaction.features import LatentFeatures
from ..posterior.interaction.repulsion import FeatureSpace, RepulsionOfStep, RepulsionOptions, pairwise_distance
from ..posterior.likelihood import PRECISIONS, Decoder, Likelihood
from ..posterior.moves.hard_consistency import HardConsistencyOptions
from ..posterior.moves.pruning import PruningOptions
from ..posterior.search import Polishing, PruningOfRun, SelectRows, select_mask_rows

__all__ = ["PRESETS", "LatentDAPSOptions", "sample_latent_daps"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LatentDAPSOptions:
    """How x0 is estimated and how the chain runs; see :class:`ODEOptions` and :class:`MCMCOptions`.

    micro_batch: particles that are decoded together; 0 for all. Lower it when memory runs out.
    precision: "auto" or "full", of the decoder in the chain; see :func:`decoder_autocast`.
    repulsion, pruning, hard_consistency: the parts of a search; None leaves one out, and so does strength 0.
    """

    ode: ODEOptions = field(default_factory=ODEOptions)
    mcmc: MCMCOptions = field(default_factory=MCMCOptions)
    micro_batch: int = 0
    precision: str = "auto"
    repulsion: RepulsionOptions | None = None
    pruning: PruningOptions | None = None
    hard_consistency: HardConsistencyOptions | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}.")
        if self.micro_batch < 0:
            raise ValueError(f"micro_batch is {self.micro_batch}; it must be 0 (all particles at once) or more.")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for the run's record."""
        return asdict(self)


_EMOJI = ODEOptions(steps=3, sigma_min=0.02)
_LDM = MCMCOptions(
    kind="hmc", steps=65, step_size=2.1e-5, step_size_end=0.12, tau=0.01, momentum=0.41, gradient_clamp=1.0
)
_STABLE_DIFFUSION = MCMCOptions(
    kind="hmc", steps=95, step_size=1.1e-4, step_size_end=0.027, tau=0.01, momentum=0.47, gradient_clamp=1.0
)
_PIXEL = LatentDAPSOptions(
    ode=ODEOptions(steps=5, sigma_min=0.01),
    mcmc=MCMCOptions(kind="langevin", steps=100, step_size=5e-5, step_size_end=0.01, tau=0.01),
)

#: Numbers that work together, by name. Every tau is in the convention of :class:`MCMCOptions`, without the one-half.
#:
#: * emoji_langevin, emoji_hmc: tuned on Emoji-64 at noise 0.05, for which they are 6.4 times too sharp.
#: * daps_official, daps_official_sd, daps_official_pixel: the phase retrieval of the official code (github
#:   zhangbingliang2019/DAPS, commit 098df6b) for its latent diffusion models, for Stable Diffusion (published at noise
#:   0.01, not 0.05) and for pixel models, with the decoder in its own precision. Its levels are
#:   ``poly_rho(50, 0.1, 10.0, drop_sigma_min=True)``, for pixels ``poly_rho(200, 0.1, 100.0, drop_sigma_min=True)``.
#: * hmc, hmc_stable_diffusion, pixel_langevin: the same chains; the decoder may run in bfloat16 on a processor.
#: * langevin: in no official file. Official latent chains are hmc only; this one comes from early users of the method.
PRESETS: Mapping[str, LatentDAPSOptions] = MappingProxyType(
    {
        "emoji_langevin": LatentDAPSOptions(
            ode=_EMOJI,
            mcmc=MCMCOptions(
                kind="langevin", steps=10, step_size=5e-4, step_size_end=0.1, tau=0.028, prior_width="capped"
            ),
        ),
        "emoji_hmc": LatentDAPSOptions(
            ode=_EMOJI,
            mcmc=MCMCOptions(
                kind="hmc",
                steps=10,
                step_size=1e-4,
                step_size_end=0.1,
                tau=0.028,
                momentum=0.7,
                prior_width="capped",
            ),
        ),
        "daps_official": LatentDAPSOptions(mcmc=_LDM, precision="full"),
        "daps_official_sd": LatentDAPSOptions(mcmc=_STABLE_DIFFUSION, precision="full"),
        "daps_official_pixel": replace(_PIXEL, precision="full"),
        "langevin": LatentDAPSOptions(
            mcmc=MCMCOptions(
                kind="langevin", steps=50, step_size=4e-6, step_size_end=0.01, tau=0.01, gradient_clamp=1.0
            )
        ),
        "hmc": LatentDAPSOptions(mcmc=_LDM),
        "hmc_stable_diffusion": LatentDAPSOptions(mcmc=_STABLE_DIFFUSION),
        "pixel_langevin": _PIXEL,
    }
)


@torch.no_grad()
def sample_latent_daps(
    model: Callable[..., torch.Tensor],
    x: torch.Tensor,
    sigmas: torch.Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    disable: bool | None = None,
    *,
    measurement: Measurement,
    decoder: Decoder,
    options: LatentDAPSOptions | None = None,
    parameterization: Parameterization | None = None,
    noise_sampler: Callable[[torch.Tensor], torch.Tensor] | None = None,
    feature_space: FeatureSpace | None = None,
    record: RunRecord | None = None,
    on_iteration: Callable[[], None] | None = None,
    on_images: Callable[[list[int], torch.Tensor], None] | None = None,
    select_rows: SelectRows = select_mask_rows,
) -> torch.Tensor:
    """Sample latents whose decoded images explain ``measurement``.

    Args:
        model: denoiser, called as ``model(x, sigma, **extra_args)`` with sigma ``[N]``.
        x: noisy latents at ``sigmas[0]``, ``[N, ...]``; every row is a particle.
        sigmas: annealing levels in the model's own units, strictly decreasing, usually ending in 0.
        extra_args: handed to the model; ``seed`` seeds the particles' noise, ``denoise_mask`` is honoured.
        callback: called once an annealing step with ``x, i, sigma, sigma_hat, denoised``.
        disable: True hides the progress bar.
        measurement: what was measured; one measurement serves every particle.
        decoder: latents in the model's scale to images ``[N, 3, H, W]`` in [-1, 1], differentiable.
        options: numbers of the method; the "langevin" preset if None.
        parameterization: VE or CONST; asked of the model if None.
        noise_sampler: standard normal noise shaped like its argument; one stream a particle, from the seed, if None.
        feature_space: where repulsion tells particles apart; the latent space if None.
        record: is given the phases, the number of calls and every step's residuals.
        on_iteration: called before every chain step and every denoiser call; raising from it cancels the run.
        on_images: called once a step with the particles' names and their images ``[N, 3, H, W]``, when a ``record`` is
            kept (there is nothing to decode for otherwise).
        select_rows: ``(model, extra_args, rows, count) -> (model, extra_args)`` when only ``rows`` of ``count``
            particles go on; by default a mask with a row a particle follows them.

    Returns:
        Latents ``[N, ...]`` at ``sigmas[-1]``; ``[K, ...]`` after pruning to K.

    Raises:
        ValueError: sigmas that do not decrease or do not fit the model.
    """
    options = options or PRESETS["langevin"]
    extra_args = {} if extra_args is None else extra_args
    parameterization = parameterization or parameterization_of(model)
    check_annealing(sigmas, parameterization)
    seed = extra_args.get("seed") or 0
    noise = noise_sampler or ParticleNoise(seed)
    likelihood = Likelihood(measurement, decoder, options.micro_batch, options.precision)
    mask = extra_args.get("denoise_mask")
    dtype, x = x.dtype, x.float()  # the chain's steps are far below half precision's resolution
    steps, warned, is_final = len(sigmas) - 1, False, False
    levels = [parameterization.sigma_ve(float(sigma)) for sigma in sigmas[:-1]]
    top = min(max(levels, default=0.0), LARGEST_SPACING_SIGMA)  # a flow may start at sigma_ve = infinity
    pruning = PruningOfRun(options.pruning, levels, len(x), seed, measurement.operator)
    polishing = Polishing(options.hard_consistency, steps, parameterization, likelihood, seed)
    features = feature_space or LatentFeatures()

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        if on_iteration is not None:
            on_iteration()
        if record is not None:
            record.count(denoiser=len(x))
        return model(x.to(dtype), sigma * x.new_ones(len(x)), **extra_args).float()

    def enter(phase: str) -> None:
        if record is not None:
            likelihood.report(record)  # the calls so far belong to the phase that ends here
            record.enter(phase)

    for i in trange(steps, disable=disable):
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        phase = "refine" if pruning.done else "explore"
        enter(phase)
        repulsion = RepulsionOfStep(options.repulsion, features, parameterization, levels[i], top, len(x))
        z0_hat = probability_flow(denoise, x, sigma, parameterization, options.ode, repulsion.correction)
        if record is not None:
            forward, backward = repulsion.decoder_passes
            record.count(decoder_forward=forward, decoder_backward=backward)
        if mask is not None:
            # The host's inpainting wrapper makes the denoiser return the given part exactly; the ODE, which ends at
            # sigma_min, would leave that much noise on it.
            z0_hat = torch.lerp(denoise(x, sigma), z0_hat, mask)
        z0, set_back = z0_hat, []
        if options.mcmc.is_active:
            width = prior_width(levels[i], options.mcmc.prior_width)
            step_size = options.mcmc.step_size_at(i, steps)
            z0, failed = run_chain(z0_hat, likelihood, width, step_size, options.mcmc, noise, mask, on_iteration)
            set_back = [pruning.names[k] for k in failed.nonzero().flatten().tolist()]
            if set_back and not warned:
                warned = True
                log.warning(
                    "Sampler Lab: the chain of particle %s became NaN or infinite at sigma %.3g and was set back "
                    "to its estimate; if the result ignores the measurement, halve the step size.",
                    ", ".join(map(str, set_back)),
                    float(sigma),
                )
        due = pruning.is_due(i)
        if record is not None or due:
            # Nothing moves after the last step, unless it is polished or pruned: this look is at the result.
            is_final = i == steps - 1 and float(sigma_next) == 0 and not (due or polishing.is_due(i))
            residual, images = (likelihood.look_precisely if is_final else likelihood.look)(z0)
        if record is not None:
            likelihood.report(record)
            record.step(
                i,
                float(sigma),
                particles=list(pruning.names),
                residual=residual.tolist(),
                pairwise_distance=pairwise_distance(z0_hat),
                repulsion=repulsion.strength,
                repulsion_norm=repulsion.norms,
                **({"set_back": set_back} if set_back else {}),
            )
            if on_images is not None:
                on_images(list(pruning.names), images)
        if due:
            enter("prune")
            pruned = pruning.choose(residual, images)
            if record is not None:
                record.step(i, float(sigma), phase=phase, pruning=pruned)
            rows, count = pruning.rows, len(z0)
            x, z0 = x[rows], z0[rows]
            model, extra_args = select_rows(model, extra_args, rows, count)
            mask = extra_args.get("denoise_mask")
            for stream in (noise, polishing.noise):
                if isinstance(stream, ParticleNoise):
                    stream.keep(rows)
        if polishing.is_due(i):
            enter("polish")
            z0, polished = polishing(z0, denoise, mask, on_iteration)
            if record is not None:
                record.step(i, float(sigma), phase=phase, polish={"particles": list(pruning.names), **polished})
        if callback is not None:
            callback({"x": x, "i": i, "sigma": sigma, "sigma_hat": sigma, "denoised": z0})
        x = parameterization.alpha(sigma_next) * z0
        if sigma_next > 0:
            x = x + parameterization.noise_deviation(sigma_next) * noise(x)
    if record is not None:
        if steps > 0 and float(sigmas[-1]) == 0:  # what ends above 0 is still noisy, and no result to choose from
            if not is_final:
                _, images = likelihood.look_precisely(x)
                if on_images is not None:
                    on_images(list(pruning.names), images)
            record.final(pruning.names, likelihood.residual_of_pictures(images))
        likelihood.report(record)
        record.leave()
    return x.to(dtype)


def check_annealing(sigmas: torch.Tensor, parameterization: Parameterization) -> None:
    """Raise a ``ValueError`` that names what is wrong with ``sigmas`` for a model of this parameterization."""
    if not bool(torch.isfinite(sigmas).all()):
        raise ValueError("sigmas contain NaN or infinity; connect an Annealing Scheduler.")
    if len(sigmas) > 1 and not bool((sigmas[1:] < sigmas[:-1]).all()):
        raise ValueError("sigmas must decrease from step to step; connect an Annealing Scheduler.")
    if len(sigmas) and float(sigmas[0]) > parameterization.sigma_limit:
        raise ValueError(
            f"sigmas start at {float(sigmas[0]):g}, but this is a flow model, whose sigma runs from 1 to 0; "
            "connect the model to the Annealing Scheduler so that it can convert them."
        )
