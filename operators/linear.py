"""Linear operators: their adjoint and proximal step, for data steps that use more than a gradient."""

from __future__ import annotations

import torch

from ..diffusion.tensors import per_row
from .conjugate_gradients import conjugate_gradients
from .operator import Operator

__all__ = ["LinearOperator"]


class LinearOperator(Operator):
    """An operator with an adjoint and a proximal step.

    Both work for every subclass that has A(x). One that knows its adjoint in closed form, or its step, overrides them:
    it is quicker then, and a test holds both to what they are here.
    """

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """A*(y), ``[N, 3, H, W]``, for y ``[N, C, h, w]``: <A(x), y> = <x, A*(y)> for every image x.

        Here by differentiation: the gradient of <A(x), y>.
        """
        height, width = self.image_shape((y.shape[-2], y.shape[-1]))
        with torch.inference_mode(False), torch.enable_grad():
            x = y.new_zeros(len(y), 3, height, width).clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self(x), x, y.detach().clone())
        return gradient

    def prox(
        self, x: torch.Tensor, y: torch.Tensor, weight: float | torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        r"""The image that fits y better and stays near x.

        It is :math:`\arg\min_z \tfrac w2\|A(z) - y\|^2 + \tfrac12\|z - x\|^2` over the valid pixels M, and solves
        :math:`(I + wA^*MA)\,z = x + wA^*My`, here by conjugate gradients. Under Gaussian noise it is the mean of the
        posterior for a normal prior of deviation r around x when :math:`w = r^2/\sigma^2`.

        Args:
            x: ``[N, 3, H, W]``.
            y: ``[1, C, h, w]`` or one per row.
            weight: w > 0, or ``[N]``, one per row.
            mask: 1 = valid, 0 = dead pixel; broadcasts to y.
        """
        w = per_row(weight, x) if isinstance(weight, torch.Tensor) and weight.ndim else weight

        def back(difference: torch.Tensor) -> torch.Tensor:
            return w * self.adjoint(difference if mask is None else mask * difference)

        # From x on: the sought z - x = d solves (I + w A*MA) d = w A*M (y - A(x)).
        b = back(y - self(x))
        return x + conjugate_gradients(lambda d: d + back(self(d)), b, torch.zeros_like(x))
