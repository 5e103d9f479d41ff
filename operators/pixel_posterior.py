r"""What a measurement makes of a picture that is known to be a little wrong.

A decoder's picture :math:`x_0` of a latent is not the truth: :math:`x = x_0 + e`, with independent errors
:math:`e_p \sim N(0, s_p^2)` of the pixels. What the measurement then says about x is the mean of

.. math:: p(x \mid y) \propto p(y \mid x)\, \exp\Big(-\sum_p (x_p - x_{0,p})^2 / (2 s_p^2)\Big),

found without a gradient through any network. By Tweedie's formula it is also the gradient that a network is to be
given,

.. math:: -\nabla_{x_0} \log p(y \mid x_0) = (x_0 - E[x \mid y]) / s^2,

whatever the likelihood. How large the errors are is measured too: the misfit to y says it, no truth is needed.

``Operator.pixel_posterior`` makes one. Phase retrieval has its own (``phaseless_posterior.py``), linear operators share
one (``linear_posterior.py``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

__all__ = ["ErrorEstimate", "PixelPosterior"]


@dataclass(frozen=True)
class ErrorEstimate:
    """How wrong pictures are, told by their misfit.

    variance: mean squared error of a pixel, per particle ``[N]``, in units of images (whose range is 2).
    """

    variance: torch.Tensor


Error = TypeVar("Error", bound=ErrorEstimate)


class PixelPosterior(ABC, Generic[Error]):
    """p(x | y) for pictures of known error, of one measurement. All images are ``[N, 3, H, W]`` in [-1, 1]."""

    #: The variance that the measurement alone would leave in a pixel that it sees directly.
    noise_variance: float

    @abstractmethod
    def error(self, x0: torch.Tensor, by_band: bool = True) -> Error:
        """How wrong the pictures ``x0`` are, from their misfit alone.

        by_band: whether the misfit is told apart by frequency, where the operator can.
        """

    @abstractmethod
    def mean(
        self,
        x0: torch.Tensor,
        error: Error,
        variance: torch.Tensor,
        iterations: int,
        start: torch.Tensor | None = None,
        momentum: bool = True,
    ) -> torch.Tensor:
        """E[x | y], clamped to [-1, 1].

        Args:
            x0: where the prior's mass is centred.
            error: of ``x0`` (or of pictures near to it), from :meth:`error`.
            variance: s² of every pixel, ``[N, 1, H, W]``, in units of images.
            iterations: of an iterative solution; those that have a closed form ignore it.
            start: where the iteration starts; ``x0`` if None.
            momentum: whether the iteration is accelerated.
        """
