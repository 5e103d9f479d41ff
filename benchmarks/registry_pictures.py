"""The icon and the banner that the registry shows: ``python3 lab.py bench registry_pictures``.

Both are drawn from what the pack does: the amplitudes of a held-out glyph's Fourier transform, and what LatentDAPS with
the shipped prior finds from nothing but those. They are written to docs/images/.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lab import import_pack

import_pack()

from _baselines import sampled
from sampler_lab.metrics.report import quality_table
from sampler_lab.operators import PhaseRetrieval
from sampler_lab.operators.preview import preview
from sampler_lab.priors.classes import class_weights
from sampler_lab.priors.held_out import find_glyph, load_glyph
from sampler_lab.priors.loader import load_emoji_prior
from sampler_lab.schedulers import poly_rho

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
GLYPH, PARTICLES, SEED = "tiger-face", 4, 42
INK, PAPER, DPI = "#16202c", "#f7f4ec", 100
ICON, BANNER = (400, 400), (1260, 540)  # the registry: a square of at most 400, and 21 by 9


def reconstruct() -> tuple[torch.Tensor, torch.Tensor]:
    """The measurement ``[3, h, w]`` and the particles ``[4, 3, 64, 64]``, turned upright, the best residual first."""
    prior, truth = load_emoji_prior(), load_glyph(GLYPH)
    weights = class_weights(find_glyph(GLYPH).klass)
    measurement, sigmas = PhaseRetrieval().measure(truth, seed=SEED), poly_rho(50, 0.05, 10.0)
    noise = [torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(SEED + k)) for k in range(PARTICLES)]
    images = sampled(
        prior,
        lambda x, sigma, **_: prior.denoiser(x, sigma, weights),
        torch.stack(noise) * sigmas[0],
        sigmas,
        measurement,
        extra_args={"seed": SEED},
        disable=True,
    )
    table = quality_table(images, truth, measurement)
    print(*(f"particle {row.particle}: {row.aligned.psnr:.1f} dB" for row in table.rows), sep="\n")
    order = torch.tensor([row.residual for row in table.rows]).argsort()
    return preview(measurement)[0], table.aligned_images[order]


def show(figure: Figure, place: tuple[float, float, float, float], picture: torch.Tensor) -> None:
    """``picture`` ``[3, h, w]`` in [0, 1] at (left, bottom, width, height) in pixels."""
    width, height = figure.get_size_inches() * DPI
    left, bottom, across, up = place
    axes = figure.add_axes((left / width, bottom / height, across / width, up / height))
    axes.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="lanczos", aspect="auto")
    axes.axis("off")


def canvas(size: tuple[int, int]) -> Figure:
    """An empty figure of that many pixels."""
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor=INK)
    FigureCanvasAgg(figure)
    return figure


def icon(amplitude: torch.Tensor, picture: torch.Tensor) -> Figure:
    """One half measured, one half found."""
    figure = canvas(ICON)
    show(figure, (0, 0, 200, 400), amplitude[:, :, : amplitude.shape[2] // 2])
    show(figure, (200, 0, 200, 400), picture[:, :, picture.shape[2] // 2 :])
    return figure


def banner(amplitude: torch.Tensor, particles: torch.Tensor) -> Figure:
    """What is measured, what is found, and what this is."""
    figure = canvas(BANNER)
    show(figure, (50, 250, 240, 240), amplitude)
    for k, picture in enumerate(particles):
        show(figure, (350 + k * 220, 270, 200, 200), picture)
    figure.text(320 / BANNER[0], 370 / BANNER[1], "\u2192", color=PAPER, size=22, ha="center", va="center")
    figure.text(50 / BANNER[0], 150 / BANNER[1], "Sampler Lab", color=PAPER, size=46, weight="bold", va="center")
    about = "posterior sampling in ComfyUI  ·  CFG++ samplers that are right on every model"
    figure.text(52 / BANNER[0], 70 / BANNER[1], about, color=PAPER, size=19, va="center")
    return figure


def main() -> None:
    """Draw both."""
    amplitude, particles = reconstruct()
    for name, figure in (("icon", icon(amplitude, particles[0])), ("banner", banner(amplitude, particles))):
        figure.savefig(IMAGES / f"{name}.png", dpi=DPI, facecolor=INK)
        print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
