"""Runs on disk whose every number is known, written by the real record."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sampler_lab.instruments.record import RunRecord

__all__ = ["particle", "quality", "write_experiment", "write_run"]

FLOOR = 100.0


def particle(
    name: int, raw: float | None, aligned: float | None, symmetry: str = "identity", success: bool = True
) -> dict:
    """A row of a quality table; a particle that became NaN has None for its PSNR."""
    success = success and aligned is not None
    return {
        "particle": name,
        "finite": aligned is not None,
        "raw": {"psnr": raw, "ssim": 0.5, "lpips": None},
        "aligned": {"psnr": aligned, "ssim": 0.9, "lpips": None},
        "symmetry": symmetry,
        "residual": 110.0,
        "residual_ratio": 1.1,
        "success": success,
        "success_25": aligned is not None and aligned > 25,
    }


def quality(particles: list[dict], blind: int = 0, shows: str = "cat") -> dict:
    """A quality table. blind: place in ``particles``. shows: what is in the picture."""
    names = [row["particle"] for row in particles]
    return {
        "oracle": names[_largest([row["aligned"]["psnr"] for row in particles])],
        "oracle_raw": names[_largest([row["raw"]["psnr"] for row in particles])],
        "blind": names[blind],
        "flat_psnr": 13.0,
        "noise_floor": FLOOR,
        "truth_residual": FLOOR + sum(shows.encode()),
        "reference_sha256": hashlib.sha256(shows.encode()).hexdigest(),
        "particles": particles,
    }


def write_run(
    folder: Path,
    particles: list[dict],
    blind: int = 0,
    pruned: bool = False,
    status: str = "finished",
    image: str | None = None,
    seed: int = 42,
    **options: object,
) -> Path:
    """metrics.json of a run of four particles and three steps; 2 are left when it was ``pruned``.

    blind: place in ``particles``. image: what the picture shows; the folder's name if None. options: of the method.
    """
    record = RunRecord(folder / "metrics.json")
    names = [row["particle"] for row in particles]
    record.begin(
        {"kind": "langevin", **options},
        seed=seed,
        sigmas=[10.0, 1.0, 0.1, 0.0],
        particles=4,
        measurement={"noise_floor": FLOOR, "values": 50},
    )
    with record.phase("explore"):
        record.count(denoiser=8, decoder_forward=40, decoder_backward=36)
        record.step(0, 10.0, particles=[0, 1, 2, 3], residual=[400.0, 300.0, 200.0, None], pairwise_distance=2.0)
        record.step(1, 1.0, particles=[0, 1, 2, 3], residual=[200.0] * 4, pairwise_distance=1.0)
        if pruned:
            record.step(
                1, 1.0, pruning={"kept": names, "dropped": [{"particle": 3, "reason": "not finite"}], "new": []}
            )
    with record.phase("refine" if pruned else "explore"):
        record.count(denoiser=2, decoder_forward=10, decoder_backward=9)
        record.step(2, 0.1, particles=names, residual=[110.0] * len(names), pairwise_distance=0.5)
        if pruned:
            polish = {"particles": names, "iterations": [4, 0], "accepted": [True, False]}
            record.step(2, 0.1, polish=polish)
    if particles:
        record.quality(quality(particles, blind, shows=image or folder.name), image="reference")
    if status != "running":
        record.finish(status)
    return folder / "metrics.json"


def _largest(values: list[float | None]) -> int:
    return max(range(len(values)), key=lambda k: -1.0 if values[k] is None else values[k])


def write_experiment(results: Path, name: str, images: dict[str, list[dict]], **run: object) -> Path:
    """An experiment's folder with one run an image."""
    home = results / name
    home.mkdir(parents=True)
    about = {"schema": "sampler-lab/experiment/1", "name": name, "question": f"{name}?", "options": {}}
    (home / "experiment.json").write_text(json.dumps({**about, "images": list(images)}))
    for image, particles in images.items():
        write_run(home / image, particles, **run)
    return home
