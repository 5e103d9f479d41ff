"""The README's Python, taken at its word on a small problem."""

from __future__ import annotations

import re
from pathlib import Path

import torch

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_example_for_researchers_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    code = code.replace("from lab import import_pack\n\nimport_pack()  # or: pip install .\n", "")
    assert "import_pack" not in code
    picture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def denoiser(x: torch.Tensor, sigma: torch.Tensor, **_: object) -> torch.Tensor:
        return x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2)

    said = {
        "image": picture,
        "denoiser": denoiser,
        "decoder": lambda z: z.repeat_interleave(4, -1).repeat_interleave(4, -2)[:, :3].tanh(),
        "noise": torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(1)),
    }
    exec(compile(code, str(README), "exec"), said)  # noqa: S102 - our own text
    assert said["latents"].shape == (2, 3, 2, 2)
    assert bool(said["latents"].isfinite().all())
