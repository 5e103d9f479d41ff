"""What a metrics.json must hold, key by key, and the sentence for one that does not.

Unknown keys are allowed (a later pack of the same schema may add some). What readers rely on is checked: types, ranges,
lists that must be of equal length, and names of particles that must be among those of the table.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CHOICES", "STATUSES", "check_content", "describe", "hash_sigmas"]

STATUSES = ("running", "finished", "cancelled", "failed")
#: Keys of a quality table that name one particle of it.
CHOICES = ("blind", "oracle", "oracle_raw")


@dataclass(frozen=True)
class _Kind:
    """words: what it must be. accepts: whether a value is. inside: checks the parts of one that is."""

    words: str
    accepts: Callable[[Any], bool]
    inside: Callable[[Any, str], None] | None = None


def _check(value: Any, kind: _Kind, where: str) -> None:
    if not kind.accepts(value):
        raise ValueError(f"{where} is {describe(value)}; it must be {kind.words}.")
    if kind.inside is not None:
        kind.inside(value, where)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)  # in Python True is an int


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _or_null(kind: _Kind) -> _Kind:
    def inside(value: Any, where: str) -> None:
        if value is not None and kind.inside is not None:
            kind.inside(value, where)

    return _Kind(f"{kind.words} or null", lambda value: value is None or kind.accepts(value), inside)


def _list_of(kind: _Kind) -> _Kind:
    def inside(values: list[Any], where: str) -> None:
        for i, value in enumerate(values):
            _check(value, kind, f"{where}[{i}]")

    return _Kind("a list", lambda value: isinstance(value, list), inside)


def _object_of(kind: _Kind) -> _Kind:
    """An object with whatever keys, each with such a value."""

    def inside(values: dict[str, Any], where: str) -> None:
        for key, value in values.items():
            _check(value, kind, f"{where}.{key}")

    return _Kind("an object", lambda value: isinstance(value, dict), inside)


def _record(
    required: Mapping[str, _Kind],
    optional: Mapping[str, _Kind] | None = None,
    rule: Callable[[dict[str, Any], str], None] | None = None,
) -> _Kind:
    """An object with these keys; ``rule`` is what they must fulfil together."""

    def inside(value: dict[str, Any], where: str) -> None:
        prefix = f"{where}." if where else ""
        for key, kind in required.items():
            if key not in value:
                raise ValueError(f"{prefix}{key} is missing.")
            _check(value[key], kind, prefix + key)
        for key, kind in (optional or {}).items():
            if value.get(key) is not None:
                _check(value[key], kind, prefix + key)
        if rule is not None:
            rule(value, prefix)

    return _Kind("an object", lambda value: isinstance(value, dict), inside)


def _equally_long(*keys: str) -> Callable[[dict[str, Any], str], None]:
    """The lists under those of ``keys`` that are there have one length."""

    def rule(value: dict[str, Any], prefix: str) -> None:
        first, *others = [key for key in keys if value.get(key) is not None] or [""]
        for key in others:
            if len(value[key]) != len(value[first]):
                raise ValueError(
                    f"{prefix}{key} holds {len(value[key])} values, but {prefix}{first} holds {len(value[first])}."
                )

    return rule


def _table_rule(table: dict[str, Any], prefix: str) -> None:
    """Every choice is the name of one row."""
    names = [row["particle"] for row in table["particles"]]
    if not names:
        raise ValueError(f"{prefix}particles is empty; a quality table has a row for every particle.")
    if len(set(names)) < len(names):
        raise ValueError(f"{prefix}particles holds the same particle twice.")
    for key in CHOICES:
        if table[key] not in names:
            raise ValueError(
                f"{prefix}{key} is {table[key]}, which is none of the table's particles ({_listed(names)})."
            )


def _final_rule(final: dict[str, Any], prefix: str) -> None:
    _equally_long("particles", "residual")(final, prefix)
    if final["blind"] is not None and final["blind"] not in final["particles"]:
        raise ValueError(
            f"{prefix}blind is {final['blind']}, which is none of its particles ({_listed(final['particles'])})."
        )


def _sigmas_rule(metrics: dict[str, Any], _prefix: str) -> None:
    sigmas = metrics["sigmas"]
    if sigmas is not None and None not in sigmas and hash_sigmas(sigmas) != metrics["sigmas_sha256"]:
        raise ValueError("sigmas do not agree with sigmas_sha256; the file was changed by hand.")


_NUMBER = _Kind("a number", _is_number)
_POSITIVE = _Kind("a number, 0 or more", lambda value: _is_number(value) and value >= 0)
_WHOLE = _Kind("a whole number", _is_whole)
_COUNT = _Kind("a whole number, 0 or more", lambda value: _is_whole(value) and value >= 0)
_TEXT = _Kind("a text", lambda value: isinstance(value, str))
_FLAG = _Kind("true or false", lambda value: isinstance(value, bool))
_OBJECT = _Kind("an object", lambda value: isinstance(value, dict))
_NAMES, _RESIDUALS = _list_of(_COUNT), _list_of(_or_null(_POSITIVE))

_CALLS = _record({"denoiser": _COUNT, "decoder_forward": _COUNT, "decoder_backward": _COUNT}, {"encoder": _COUNT})
_PHASE = _record(
    {"name": _TEXT, "wall_seconds": _POSITIVE, "peak_memory_bytes": _or_null(_COUNT), "calls": _CALLS},
)
_PARTS = _object_of(_record({"seconds": _POSITIVE, "times": _COUNT}))
_PRUNING = _record(
    {"kept": _NAMES, "dropped": _list_of(_record({"particle": _COUNT, "reason": _TEXT}))},
    {"new": _list_of(_record({"particle": _COUNT, "parent": _COUNT}))},
)
_POLISH = _record(
    {"particles": _NAMES},
    {"residual": _RESIDUALS, "iterations": _list_of(_COUNT), "accepted": _list_of(_FLAG)},
    _equally_long("particles", "residual", "iterations", "accepted"),
)
_OFF_DECODER = _record(
    {"particles": _NAMES, "residual_before": _RESIDUALS, "residual": _RESIDUALS},
    rule=_equally_long("particles", "residual_before", "residual"),
)
_CHOICE = _record(
    {"particles": _NAMES, "misfit": _RESIDUALS, "prior_error": _RESIDUALS, "score": _RESIDUALS},
    rule=_equally_long("particles", "misfit", "prior_error", "score"),
)
_STEP = _record(
    {"step": _COUNT, "sigma": _or_null(_NUMBER), "phase": _or_null(_TEXT)},
    {
        "particles": _NAMES,
        "residual": _RESIDUALS,
        "pairwise_distance": _POSITIVE,
        "pruning": _PRUNING,
        "polish": _POLISH,
        "off_decoder": _OFF_DECODER,
        "choice": _CHOICE,
    },
    _equally_long("particles", "residual"),
)
_SCORES = _record({"psnr": _or_null(_NUMBER), "ssim": _or_null(_NUMBER), "lpips": _or_null(_NUMBER)})
_ROW = _record(
    {"particle": _COUNT, "finite": _FLAG, "raw": _SCORES, "aligned": _SCORES, "symmetry": _TEXT, "success": _FLAG},
    {"residual": _POSITIVE, "residual_ratio": _POSITIVE, "success_25": _FLAG},
)
_TABLE = _record(
    {
        "image": _TEXT,
        "flat_psnr": _or_null(_NUMBER),
        "particles": _list_of(_ROW),
        **dict.fromkeys(CHOICES, _COUNT),
    },
    {
        "truth_residual": _POSITIVE,
        "noise_floor": _POSITIVE,
        "reference_sha256": _TEXT,
        "notes": _list_of(_TEXT),
        "blind_by": _Kind("residual or run", lambda value: value in ("residual", "run")),
    },
    _table_rule,
)
_FINAL = _record({"particles": _NAMES, "residual": _RESIDUALS, "blind": _or_null(_COUNT)}, rule=_final_rule)
_FILE = _record(
    {
        "status": _TEXT,
        "created": _TEXT,
        "updated": _TEXT,
        "versions": _OBJECT,
        "device": _or_null(_TEXT),
        "model": _or_null(_TEXT),
        "experiment": _or_null(_TEXT),
        "picture": _or_null(_TEXT),
        "seed": _or_null(_WHOLE),
        "particles": _or_null(_COUNT),
        "sigmas": _or_null(_list_of(_or_null(_NUMBER))),
        "sigmas_sha256": _or_null(_TEXT),
        "options": _OBJECT,
        "measurement": _record({}, {"noise_floor": _POSITIVE, "values": _COUNT, "sha256": _TEXT, "operator": _OBJECT}),
        "wall_seconds": _POSITIVE,
        "calls": _CALLS,
        "phases": _list_of(_PHASE),
        "steps": _list_of(_STEP),
        "final": _or_null(_FINAL),
        "quality": _list_of(_TABLE),
    },
    {"parts": _PARTS},
    _sigmas_rule,
)


def check_content(metrics: dict[str, Any]) -> None:
    """Raise a ``ValueError`` that names the first thing in which ``metrics`` is not of the present schema."""
    _check(metrics, _FILE, "")
    if metrics["status"] not in STATUSES:
        raise ValueError(f"status is {metrics['status']!r}; it must be one of {', '.join(STATUSES)}.")


def hash_sigmas(sigmas: Iterable[float]) -> str:
    """The sha256 of the levels as little-endian doubles; equal for equal numbers, on any machine."""
    return hashlib.sha256(b"".join(struct.pack("<d", sigma) for sigma in sigmas)).hexdigest()


def describe(value: Any) -> str:
    """``value`` as JSON, cut where it gets long."""
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _listed(names: list[int]) -> str:
    return ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")
