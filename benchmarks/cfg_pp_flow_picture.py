"""The README's picture: a flow model, ComfyUI's own 2M CFG++ and ours, over the CFG++ scale.

``python3 lab.py bench cfg_pp_flow_picture`` writes ``docs/images/cfg_pp_flow.png``. Both samplers see the same network
(the Emoji prior as a flow), noise, classes and levels; only the arithmetic of a step differs. Above each column is the
scale; 0 is no guidance, 1 the conditional prediction.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from lab import import_pack

import_pack()

from sampler_lab.diffusion.parameterization import CONST
from sampler_lab.priors.classes import NULL_CLASS, class_weights
from sampler_lab.priors.loader import EmojiPrior, load_emoji_prior
from sampler_lab.samplers import sample_dpmpp_2m_cfg_pp

SCALES = (0.4, 0.6, 0.8, 1.0, 1.4, 2.0)
#: Class and seed of each line of pictures.
CASES = (("face", 6), ("symbol", 6), ("gesture", 6))
STEPS = 20
CELL, GAP, LEFT, TOP, FINER = 96, 6, 190, 44, 2
INK, PAPER = (32, 33, 36), (255, 255, 255)


def flow_view(prior: EmojiPrior, names: list[str], scale: float) -> Callable[..., torch.Tensor]:
    """The prior as the host hands a flow model to its samplers: guided, with the hooks that CFG++ gets u from."""

    def model(x: torch.Tensor, sigma: torch.Tensor, model_options: dict | None = None, **_: object) -> torch.Tensor:
        # At sigma = 1 the network's own level would be infinite; it knows 80 and more as the same thing.
        capped = sigma.clamp(max=80 / 81)
        x_ve = CONST.to_ve(x, capped.reshape(-1, 1, 1, 1))
        conditional, unconditional = (
            prior.denoiser(x_ve, CONST.sigma_ve(capped), torch.cat([class_weights(n).reshape(1, -1) for n in each]))
            for each in (names, [NULL_CLASS] * len(names))
        )
        denoised = torch.lerp(unconditional, conditional, scale)
        for hook in (model_options or {}).get("sampler_post_cfg_function", ()):
            denoised = hook({"denoised": denoised, "uncond_denoised": unconditional, "uncond": [NULL_CLASS]})
        return denoised

    return model


def load_host(path: str) -> ModuleType:
    """The host's ``comfy.k_diffusion.sampling``."""
    sys.path.insert(0, path)
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import comfy.k_diffusion.sampling

    return comfy.k_diffusion.sampling


@torch.no_grad()
def pictures(prior: EmojiPrior, sampler: Callable[..., torch.Tensor], scale: float) -> torch.Tensor:
    """One picture a case, ``[n, 3, 64, 64]`` in [0, 1]."""
    names = [name for name, _ in CASES]
    noise = torch.stack([torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(seed)) for _, seed in CASES])
    sigmas = torch.linspace(1, 0, STEPS + 1)
    latents = sampler(flow_view(prior, names, scale), noise, sigmas, {"seed": 0}, None, True)
    return (prior.decode(latents).clamp(-1, 1) + 1) / 2


def draw(rows: list[tuple[str, list[torch.Tensor]]], caption: str) -> Image.Image:
    """``rows``: a name and, for each scale, its pictures one below the other."""
    block = len(CASES) * (CELL + GAP)
    width = LEFT + len(SCALES) * (CELL + GAP) + 10
    height = TOP + len(rows) * (block + 14) + 24
    picture = Image.new("RGB", (width * FINER, height * FINER), PAPER)
    pen = ImageDraw.Draw(picture)

    def write(x: float, y: float, text: str, anchor: str, size: int = 15) -> None:
        font = ImageFont.load_default(size * FINER)
        pen.multiline_text((x * FINER, y * FINER), text, INK, font, anchor=anchor, align="right")

    write(LEFT - 16, TOP - 22, "CFG++ scale", "rm")
    for column, scale in enumerate(SCALES):
        write(LEFT + column * (CELL + GAP) + CELL / 2, TOP - 22, f"{scale:g}", "mm")
    for row, (name, columns) in enumerate(rows):
        top = TOP + row * (block + 14)
        write(LEFT - 16, top + block / 2, name, "rm")
        for column, images in enumerate(columns):
            for k, image in enumerate(images):
                cell = Image.fromarray((image.movedim(0, -1).numpy() * 255).round().astype(np.uint8))
                at = (LEFT + column * (CELL + GAP)) * FINER, (top + k * (CELL + GAP)) * FINER
                picture.paste(cell.resize((CELL * FINER, CELL * FINER), Image.Resampling.BICUBIC), at)
    write(LEFT, height - 16, caption, "lm", 12)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images" / "cfg_pp_flow.png")
    options = parser.parse_args()
    host = load_host(os.environ["COMFYUI_PATH"])
    prior = load_emoji_prior()

    def ours(model: Callable[..., torch.Tensor], *arguments: object) -> torch.Tensor:
        return sample_dpmpp_2m_cfg_pp(model, *arguments, parameterization=CONST)

    rows = []
    for name, sampler in (
        ("ComfyUI's own\ndpmpp_2m_cfg_pp", host.sample_dpmpp_2m_cfg_pp),
        ("Sampler Lab's\nlab_dpmpp_2m_cfg_pp", ours),
    ):
        columns = [pictures(prior, sampler, scale) for scale in SCALES]
        burnt = [float(((c < 0.004) | (c > 0.996)).float().mean()) for c in columns]
        print(name.replace("\n", " "), "share of clipped values:", " ".join(f"{share:.0%}" for share in burnt))
        rows.append((name, columns))
    caption = (
        f"Emoji-64 as a flow model, {STEPS} steps; both rows from the same noise: {', '.join(n for n, _ in CASES)}."
    )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    draw(rows, caption).save(options.output, optimize=True)
    print(options.output)


if __name__ == "__main__":
    main()
