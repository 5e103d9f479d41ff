"""Noise models: how recorded values scatter around what the operator gives, one file each.

What the residual ``||A(x) - y||^2`` is under each, which samplers compare with the noise floor:

* **Gaussian, not clipped**: -2 sigma^2 log p(y | x), up to a constant. Comparing squares is comparing likelihoods.
* **Gaussian, clipped**: the same at values above 0. A clipped 0 says only that a + n was 0 or less: squares push a down
  with a/sigma^2, the likelihood with phi(s)/(sigma Phi(-s)), s = a/sigma, which is more, most of all for small a.
* **Poisson, amplitudes**: sqrt(N/kappa) has nearly the same deviation 1/(2 sqrt(kappa)) everywhere (Anscombe 1948), so
  squares are near -log p(y | x)/(2 kappa) at many counts, and are not where most pixels hold none.
* **Poisson, intensities**: squares weigh every count alike, but the variance is the intensity itself: bright pixels
  count too much.

Samplers still compare squares. :meth:`NoiseModel.negative_log_likelihood` is there for data steps that do not.
"""

from .catalogue import NOISE, NOISE_MODELS, noise_model
from .friedel import estimate_sigma
from .gaussian import GaussianNoise
from .mixing import mixing_weights
from .model import NoiseModel
from .poisson import PoissonNoise, root_poisson_square

__all__ = [
    "NOISE",
    "NOISE_MODELS",
    "GaussianNoise",
    "NoiseModel",
    "PoissonNoise",
    "estimate_sigma",
    "mixing_weights",
    "noise_model",
    "root_poisson_square",
]
