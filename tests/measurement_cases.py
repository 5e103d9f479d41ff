"""The cases of test_stored_results.py, and how their stored results were made.

Measurements drawn for a seed, their noise floors, previews and symmetries; detectors' files as they are read; saved
files as they come back; and a classical reconstruction. The results were stored with release 0.2.0's code, from the
root, by

    python -c "import sys, lab; lab.import_pack(); sys.path[:0] = ['tests'];
    import measurement_cases; measurement_cases.store()"

The measurements in ``operators/stored/`` were saved by release 0.1.0.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from operator_problems import picture
from sampler_lab.operators import Measurement, PhaseRetrieval
from sampler_lab.operators.classical.error_reduction import error_reduction
from sampler_lab.operators.classical.hybrid_input_output import best_channels, hybrid_input_output
from sampler_lab.operators.files import ReadOptions, load_measurement
from sampler_lab.operators.preview import preview

STORED = Path(__file__).parent / "operators" / "stored"
FILE = STORED / "results.npz"
SAVED_BY_0_1_0 = ("clipped.npz", "masked.npy", "counts.mat", "detector.h5")

#: Settings of Phase Retrieval as a prompt and a file name them.
SETTINGS = {
    "defaults": {},
    "unclipped": {"clip_negative": False, "noise_sigma": 0.2},
    "signed": {"signal_range": "-1..1", "oversample": 1.0},
    "intensity": {"kind": "intensity"},
    "poisson": {"noise": "poisson"},
    "poisson intensity, grey": {"noise": "poisson", "kind": "intensity", "channels": "mean"},
    "detector": {"detector": [15, 17]},
    "no noise": {"noise_sigma": 0.0},
}
#: How a detector's file is read: the operator's settings, and the reading options.
READ = {
    "counts in the corner": ({}, {"values": "intensity", "scale": 0, "negative_is_dead": True}),
    "beam beside the middle": ({}, {"beam": (8, 10), "negative_is_dead": True, "image_shape": (10, 8), "scale": 0}),
    "grey": ({"kind": "intensity"}, {"array": "grey", "scale": 0, "negative_is_dead": True}),
    "noise estimated": ({}, {"array": "bright", "estimate_noise": True}),
}


def machine() -> str:
    """What single bits may depend on: on another one an FFT rounds in another way."""
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def results() -> dict[str, np.ndarray]:
    """Every number of every case, by a name."""
    found: dict[str, np.ndarray] = {"machine": np.array(machine())}
    for name, settings in SETTINGS.items():
        operator = PhaseRetrieval.from_dict(settings)
        truth = picture(1, 12, 10, seed=4)
        measurement = operator.measure(truth, 7)
        found |= _facts(f"measured/{name}", measurement)
        found[f"floor of the truth/{name}"] = np.array(operator.noise_floor(truth))
        found[f"residual/{name}"] = measurement.residual(picture(2, 12, 10, seed=5)).numpy()
    for name in SAVED_BY_0_1_0:
        found |= _facts(f"saved/{name}", load_measurement(STORED / name))
        estimated = (
            load_measurement(STORED / name, PhaseRetrieval(), ReadOptions(scale=0.5)) if name[0] == "c" else None
        )
        found |= _facts(f"converted/{name}", estimated) if estimated else {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (settings, options) in READ.items():
            operator = PhaseRetrieval.from_dict(settings)
            found |= _facts(f"read/{name}", load_measurement(_detector_file(folder), operator, ReadOptions(**options)))
    found |= _classical()
    return found


def _facts(name: str, measurement: Measurement) -> dict[str, np.ndarray]:
    facts = {
        "y": measurement.y.numpy(),
        "floor": np.array(measurement.noise_floor),
        "shape": np.array(measurement.image_shape),
        "preview": preview(measurement, 3.0).numpy(),
        "settings": np.array(json.dumps(measurement.operator.to_dict())),
        "symmetries": np.array([symmetry.name for symmetry in measurement.operator.symmetries][:9]),
    }
    if measurement.mask is not None:
        facts["mask"] = measurement.mask.numpy()
    return {f"{name}/{fact}": value for fact, value in facts.items()}


def _detector_file(folder: str) -> Path:
    """Intensities of three channels and of one, zero frequency in the corner, a dead pixel; and a bright pattern."""
    exact = PhaseRetrieval.from_dict({"noise_sigma": 0.0})(picture(1, 12, 12, seed=6))[0]
    corner = (torch.fft.ifftshift(exact, dim=(-2, -1)).square() * 1e4).round().numpy()
    corner[:, 3, 4] = -1
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    bright = PhaseRetrieval.from_dict({"noise_sigma": 0.02}).measure(noise, 3).y[0].numpy()
    path = Path(folder) / "detector.npz"
    np.savez(path, data=corner, grey=corner[1], bright=bright)
    return path


def _classical() -> dict[str, np.ndarray]:
    measurement = PhaseRetrieval().measure(picture(1, 12, 10, seed=4), 7)
    images = hybrid_input_output(measurement, restarts=2, iterations=20, settle=5, seed=3)
    u = measurement.operator.object(picture(2, 12, 10, seed=5))
    return {
        "hybrid input-output": images.numpy(),
        "best channels": best_channels(images, measurement).numpy(),
        "error reduction": error_reduction(u, measurement).numpy(),
    }


def store() -> None:
    """Write the results of the code as it is."""
    np.savez_compressed(FILE, **results())
