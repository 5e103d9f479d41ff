"""Seven hundred damaged and hostile files of every format: each is a measurement or one sentence, nothing else."""

from collections import Counter

import torch
from file_fuzz import mutated_files
from sampler_lab.operators import Measurement, PhaseRetrieval
from sampler_lab.operators.files import load_measurement
from sampler_lab.operators.files.reader_process import parent

SEED = 8


def is_sound(measurement: Measurement) -> bool:
    mask = measurement.mask
    return (
        bool(torch.isfinite(measurement.y).all())
        and 0 <= measurement.noise_floor < float("inf")
        and (mask is None or set(mask.unique().tolist()) <= {0.0, 1.0})
        and measurement.count > 0
    )


def outcome(path) -> str:
    """Without an operator first; a file that needs one gets it."""
    sentence = ""
    for operator in (None, PhaseRetrieval()):
        if not operator or "Retrieval, to the operator input" in sentence:
            try:
                measurement = load_measurement(path, operator)
            except ValueError as problem:
                sentence = str(problem)
            else:
                assert is_sound(measurement), path.name
                return "loaded"
    assert sentence.endswith("."), (path.name, sentence)
    assert "\n" not in sentence
    assert len(sentence) < 700, (path.name, sentence)
    endings = {"crashed": "its reader crashed", "could not be read within": "too slow", "of memory": "too large"}
    return next((ending for words, ending in endings.items() if words in sentence), "refused")


def test_every_file_is_a_measurement_or_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(parent, "SECONDS", 6.0)  # some make HDF5 search for ever
    counts: Counter[str] = Counter()
    for _, path in mutated_files(tmp_path, SEED):
        counts[outcome(path)] += 1
    print(dict(counts))  # noqa: T201 - the figures of the campaign, with -s
    assert counts.total() >= 500
    assert counts["loaded"] >= 50
    assert counts["refused"] >= 300
