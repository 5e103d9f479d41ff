"""Which runs are of the same image, and which are the same run, whatever their files are called.

An image is known by the sha256 of the reference. Records of schema 1 have none; there the PSNR of a flat image (a
property of the image alone) and the residual of the truth (one of image and noise) stand for it. A run is one image,
its measured data, its settings and its seed; done or copied again it is the same run, and counts once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .reading import listed, short
from .run import Run

__all__ = ["image_keys", "settings_of", "without_repeats"]

#: Decibels; two runs of one setting on two machines differ by less.
SAME_PSNR = 0.05


def image_keys(runs: Sequence[Run]) -> list[str]:
    """One text per run; equal for equal images."""
    hashes = [run.table.get("reference_sha256") for run in runs]
    figures = [_figures(run) for run in runs]
    # What an old record knows of its image leads to the hash, when a new one is of the same.
    known = {told: sha for told, sha in zip(figures, hashes, strict=True) if told and sha}
    return [
        sha or known.get(told or "") or told or f"file of {run.file}"
        for run, told, sha in zip(runs, figures, hashes, strict=True)
    ]


def settings_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Of each run everything recorded that is chosen by a person, except the seed; empty where no run was recorded.

    Records of schema 1 do not know the model: where runs with otherwise equal settings are all of one, so are they.
    """
    settings = [_settings(run) for run in runs]
    keys = [json.dumps(facts, sort_keys=True) for facts in settings]
    models: dict[str, set[str]] = {}
    for key, run in zip(keys, runs, strict=True):
        if run.metrics["model"] is not None:
            models.setdefault(key, set()).add(run.metrics["model"])
    return [
        {**facts, "model": run.metrics["model"] or (next(iter(models[key])) if len(models.get(key, ())) == 1 else None)}
        if facts
        else {}
        for facts, key, run in zip(settings, keys, runs, strict=True)
    ]


def without_repeats(runs: Sequence[Run], images: Sequence[str]) -> tuple[list[Run], list[str]]:
    """Every run once, the newest of those that are the same, and a sentence about what was left out.

    Runs of two experiments that a person named apart are two, even if nothing recorded differs. A run without a name
    repeats one with a name: the host keeps its own copy of what an experiment collects.
    """
    found: dict[str, list[Run]] = {}
    for run, image, settings in zip(runs, images, settings_of(runs), strict=True):
        found.setdefault(_run_key(run, image, settings), []).append(run)
    kept: list[Run] = []
    repeats: list[Run] = []
    changed = 0
    for same in found.values():
        newest = sorted(same, key=lambda run: (run.metrics["created"], str(run.file)), reverse=True)
        first: dict[str, Run] = {}
        for run in sorted(newest, key=lambda run: not run.experiment):  # stable: with a name first, then the newest
            counted = first.get(run.experiment)
            if counted is None and not run.experiment:
                counted = next(iter(first.values()), None)
            if counted is None:
                first[run.experiment] = run
                kept.append(run)
            else:
                repeats.append(run)
                changed += _figures_differ(run, counted)
    return kept, [_repeats_sentence(repeats, changed)] if repeats else []


def _repeats_sentence(repeats: list[Run], changed: int) -> str:
    one = len(repeats) == 1
    names = listed(sorted(short(run.file, 4) for run in repeats))  # two sets of results may have equal names
    sentence = (
        f"{len(repeats)} {'run repeats another' if one else 'runs repeat others'} (same image, settings and seed), so "
        f"{'it is' if one else 'they are'} left out and the newest counts: {names}."
    )
    if changed:
        sentence += (
            f" {'Its figures differ' if one else f'The figures of {changed} differ'}, so something that records do not "
            "hold, such as the prompt or the checkpoint, was another."
        )
    return sentence


def _figures_differ(a: Run, b: Run) -> bool:
    """By more than rounding on another machine does."""
    scores = [[row["aligned"]["psnr"] for row in run.rows] for run in (a, b)]
    if len(scores[0]) != len(scores[1]):
        return True
    return any(x is not y if x is None or y is None else abs(x - y) > SAME_PSNR for x, y in zip(*scores, strict=True))


def _settings(run: Run) -> dict[str, Any]:
    facts = run.metrics
    if not facts["sigmas"] and not facts["options"]:
        return {}
    sigmas = [sigma for sigma in facts["sigmas"] or [] if sigma is not None]
    return {
        **facts["options"],
        "particles": facts["particles"],
        "annealing": {
            "steps": max(0, len(sigmas) - 1),
            "from": max(sigmas, default=None),
            "to": min((sigma for sigma in sigmas if sigma > 0), default=None),
            "sha256": (facts["sigmas_sha256"] or "")[:8],
        },
        "operator": facts["measurement"].get("operator"),
    }


def _run_key(run: Run, image: str, settings: dict[str, Any]) -> str:
    truth = run.table.get("truth_residual")
    # To six digits: another machine rounds otherwise.
    data = run.metrics["measurement"].get("sha256") if truth is None else f"{truth:.6g}"
    # Where nothing says how images were made, only equal figures say that they are the same.
    made = settings or run.table["particles"]
    return json.dumps([image, data, run.metrics["seed"], made], sort_keys=True)


def _figures(run: Run) -> str | None:
    """What a record of schema 1 knows of its image; None when that is too little."""
    flat, truth = run.table.get("flat_psnr"), run.table.get("truth_residual")
    return None if flat is None or truth is None else f"flat {flat:.6g} dB, truth's residual {truth:.6g}"
