"""What a sampler costs besides the model: each of ours beside the host's native function, on a denoiser that is free.

The two run in turns, in an order that changes, and each pair gives one ratio of times; the table has their median and
the middle half. On a processor the time is what it worked for this program, so that others beside it count little.
Full-size tensors made and kernels started are counted by dispatch, so they do not depend on the machine.
``python3 lab.py bench samplers`` runs it with the orders; ``COMFYUI_PATH`` names the host.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lab import import_pack

import_pack()

from sampler_lab.diffusion.parameterization import CONST, VE, Parameterization
from sampler_lab.samplers import CATALOGUE, SamplerEntry
from sampler_lab.schedulers import poly_rho

SHAPES = ((1, 4, 128, 128), (8, 16, 64, 64))
STEPS = 20
Sampler = Callable[[], torch.Tensor]


def load_host(path: str) -> ModuleType:
    """The host's ``comfy.k_diffusion.sampling``."""
    sys.path.insert(0, path)
    import comfy.cli_args

    comfy.cli_args.args.cpu = not torch.cuda.is_available()
    import comfy.k_diffusion.sampling
    import comfy.model_sampling

    return comfy.k_diffusion.sampling


class FreeDenoiser:
    """Predictions made beforehand, through the host's hooks.

    Four pairs take turns: a sampler that keeps the last ones must not meet the same tensors again.
    """

    def __init__(self, x: torch.Tensor, parameterization: Parameterization) -> None:
        import comfy.model_sampling

        prediction = comfy.model_sampling.CONST if parameterization is CONST else comfy.model_sampling.EPS
        whole = (
            comfy.model_sampling.ModelSamplingDiscreteFlow
            if parameterization is CONST
            else comfy.model_sampling.ModelSamplingDiscrete
        )
        model_sampling = type("ModelSampling", (whole, prediction), {})()
        patcher = SimpleNamespace(get_model_object=lambda name: {"model_sampling": model_sampling}[name])
        self.inner_model = SimpleNamespace(
            inner_model=SimpleNamespace(model_sampling=model_sampling), model_patcher=patcher
        )
        self.parameterization = parameterization
        self.predictions = itertools.cycle([(torch.randn_like(x), torch.randn_like(x)) for _ in range(4)])

    def __call__(
        self, _x: torch.Tensor, _sigma: torch.Tensor, model_options: dict[str, Any] | None = None, **_: object
    ) -> torch.Tensor:
        denoised, unconditional = next(self.predictions)
        for hook in (model_options or {}).get("sampler_post_cfg_function", ()):
            denoised = hook(
                {"denoised": denoised, "uncond_denoised": unconditional, "uncond": [{}], "model_options": {}}
            )
        return denoised


class Counter(TorchDispatchMode):
    """Counts kernels on, and new tensors as large as, the latent."""

    def __init__(self, numel: int) -> None:
        super().__init__()
        self.numel, self.kernels, self.tensors = numel, 0, 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        given = [a for a in args if isinstance(a, torch.Tensor)]
        if isinstance(out, torch.Tensor) and out.numel() == self.numel:
            self.kernels += 1
            # In place or a view: the storage was there before.
            self.tensors += all(out.untyped_storage().data_ptr() != a.untyped_storage().data_ptr() for a in given)
        return out


@dataclass(frozen=True)
class Row:
    """Ours beside the host's: times in milliseconds per step, counts per step."""

    name: str
    model: str
    shape: tuple[int, ...]
    ratio: tuple[float, float, float]
    milliseconds: tuple[float, float]
    tensors: tuple[float, float]
    kernels: tuple[float, float]


def timed(run: Sampler) -> float:
    """Seconds: of a GPU on the clock, of a processor those that it worked for this program, whatever else it did."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        return time.perf_counter() - start
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(
    sampler: SamplerEntry, host: ModuleType, parameterization: Parameterization, shape: tuple[int, ...], pairs: int
) -> Row:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sigmas = parameterization.sigma_from_ve(poly_rho(STEPS, 0.03, 14.6)).to(device)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    model = FreeDenoiser(x, parameterization)
    native = getattr(host, f"sample_{sampler.name}")
    runs: list[Sampler] = [
        lambda: sampler.function(model, x, sigmas, {"seed": 1}, None, True),
        lambda: native(model, x, sigmas, {"seed": 1}, None, True),
    ]
    counts = []
    for run in runs:
        with Counter(x.numel()) as counter, torch.no_grad():
            run()
        counts.append((counter.tensors / STEPS, counter.kernels / STEPS))
    times: list[tuple[float, float]] = []
    order = random.Random(0)
    for _ in range(pairs):
        first = order.random() < 0.5
        a = timed(runs[0]) if first else 0.0
        b = timed(runs[1])
        times.append((a if first else timed(runs[0]), b))
    low, middle, high = statistics.quantiles([a / b for a, b in times], n=4)
    ours, theirs = (1e3 * statistics.median(t) / STEPS for t in zip(*times, strict=True))
    return Row(
        sampler.name,
        parameterization.name,
        shape,
        (low, middle, high),
        (ours, theirs),
        (counts[0][0], counts[1][0]),
        (counts[0][1], counts[1][1]),
    )


def markdown(rows: list[Row]) -> str:
    """The table, ours / host's."""
    lines = [
        "| sampler | model | latent | time ratio (middle half) | ms per step | tensors per step | kernels per step |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, middle, high = row.ratio
        lines.append(
            f"| {row.name} | {row.model} | {'×'.join(map(str, row.shape))} | {middle:.2f} ({low:.2f}–{high:.2f}) "
            f"| {row.milliseconds[0]:.3f} / {row.milliseconds[1]:.3f} | {row.tensors[0]:.1f} / {row.tensors[1]:.1f} "
            f"| {row.kernels[0]:.1f} / {row.kernels[1]:.1f} |"
        )
    by_shape = [
        f"{'×'.join(map(str, shape))}: {statistics.median(r.ratio[1] for r in rows if r.shape == shape):.2f}"
        for shape in SHAPES
        if any(r.shape == shape for r in rows)
    ]
    return "\n".join([*lines, "", f"Median of the median ratios: {', '.join(by_shape)}."])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=31, help="paired runs for each row")
    parser.add_argument("--sampler", help="only samplers whose name contains this")
    options = parser.parse_args(arguments)
    path = os.environ.get("COMFYUI_PATH")
    if not path:
        raise SystemExit(
            "COMFYUI_PATH is not set: run 'python3 lab.py bench samplers', or name a ComfyUI folder in it."
        )
    host = load_host(path)
    chosen = [
        e for e in CATALOGUE if hasattr(host, f"sample_{e.name}") and (not options.sampler or options.sampler in e.name)
    ]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(
        f"Overhead of {STEPS} steps on {device}, torch {torch.__version__}: ours / the host's, {options.pairs} pairs.\n"
    )
    rows = [
        compare(sampler, host, parameterization, shape, options.pairs)
        for sampler in chosen
        for parameterization in (VE, CONST)
        for shape in SHAPES
    ]
    print(markdown(rows))


if __name__ == "__main__":
    main()
