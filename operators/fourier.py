r"""Zero-padding and the centred orthonormal 2-D Fourier transform.

Far-field (Fraunhofer) diffraction is a Fourier transform. An object of n pixels whose diffraction pattern has P > n
samples is the same as the object inside a frame of P pixels that is zero elsewhere:

.. math:: U[k] = \frac{1}{\sqrt{P_h P_w}} \sum_j u[j]\, e^{-2\pi i\, k\cdot j/P}.

Orthonormal means :math:`\|U\| = \|u\|` (Parseval), so noise has the same size on both sides. Centred means that zero
frequency lies at index ``P // 2``, where a detector shows it.
"""

from __future__ import annotations

import torch

__all__ = ["centred_fft2", "centred_ifft2", "crop", "padding", "point_reflection", "zero_pad"]

Shape = tuple[int, int]


def padding(inner: int, outer: int) -> tuple[int, int]:
    """Zeros before and after ``inner`` pixels to make ``outer``; an odd number puts the extra one after.

    >>> padding(256, 384), padding(3, 6)
    ((64, 64), (1, 2))
    """
    if outer < inner:
        raise ValueError(f"cannot pad {inner} pixels to {outer}; the detector must be at least as large as the image.")
    before = (outer - inner) // 2
    return before, outer - inner - before


def zero_pad(u: torch.Tensor, shape: Shape) -> torch.Tensor:
    """``u`` ``[..., H, W]`` in the middle of a frame of zeros ``[..., *shape]``."""
    rows, columns = padding(u.shape[-2], shape[0]), padding(u.shape[-1], shape[1])
    return torch.nn.functional.pad(u, (*columns, *rows))


def crop(u: torch.Tensor, shape: Shape) -> torch.Tensor:
    """The middle ``[..., *shape]`` of ``u``: the adjoint of :func:`zero_pad`."""
    top, left = padding(shape[0], u.shape[-2])[0], padding(shape[1], u.shape[-1])[0]
    return u[..., top : top + shape[0], left : left + shape[1]]


def centred_fft2(u: torch.Tensor) -> torch.Tensor:
    """The orthonormal transform of the last two axes, zero frequency in the middle; real or complex in, complex out.

    >>> flat = torch.ones(1, 1, 4, 4)
    >>> centred_fft2(flat)[0, 0, 2, 2].item()  # all of it at zero frequency
    (4+0j)
    """
    return torch.fft.fftshift(torch.fft.fft2(u, norm="ortho"), dim=(-2, -1))


def centred_ifft2(spectrum: torch.Tensor) -> torch.Tensor:
    """The inverse of :func:`centred_fft2`."""
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1)), norm="ortho")


def point_reflection(spectrum: torch.Tensor) -> torch.Tensor:
    """The value at -k for every frequency k of a centred spectrum ``[..., h, w]``.

    A real object has ``U[-k] = conj(U[k])`` (Friedel's law), so its amplitudes are unchanged by this.

    >>> centred_k = torch.tensor([[-2.0, -1.0, 0.0, 1.0]])
    >>> point_reflection(centred_k)  # -(-2) is -2 modulo 4
    tensor([[-2.,  1.,  0., -1.]])
    """
    for axis in (-2, -1):
        # Index i holds k = i - P // 2; -k lies at 2 (P // 2) - i modulo P.
        size = spectrum.shape[axis]
        spectrum = spectrum.flip(axis).roll(1 - size % 2, axis)
    return spectrum
