"""The file metrics.json: its schema, how it is written without ever being half there, and how it is read back.

Strict JSON: NaN and infinity become null, so that every language's reader opens it. Unknown keys are allowed (a later
pack of the same schema may add some), missing or wrong ones are named.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

__all__ = ["SCHEMA", "STATUSES", "check_metrics", "hash_sigmas", "load_metrics", "plain", "write_json"]

SCHEMA_NAME, SCHEMA_VERSION = "sampler-lab/metrics", 1
SCHEMA = f"{SCHEMA_NAME}/{SCHEMA_VERSION}"
STATUSES = ("running", "finished", "cancelled", "failed")

_number, _count, _text, _object, _list = (int, float), (int,), (str,), (dict,), (list,)
_nothing = (type(None),)
_WORDS = {int: "a whole number", float: "a number", str: "a text", dict: "an object", list: "a list"}

_CALLS = {"denoiser": _count, "decoder_forward": _count, "decoder_backward": _count}
_TOP = {
    "status": _text,
    "created": _text,
    "updated": _text,
    "versions": _object,
    "device": _text + _nothing,
    "seed": _count + _nothing,
    "particles": _count + _nothing,
    "sigmas": _list + _nothing,
    "sigmas_sha256": _text + _nothing,
    "options": _object,
    "measurement": _object,
    "wall_seconds": _number,
    "calls": _object,
    "phases": _list,
    "steps": _list,
    "quality": _list,
}
_PHASE = {"name": _text, "wall_seconds": _number, "peak_memory_bytes": _count + _nothing, "calls": _object}
_STEP = {"step": _count, "sigma": _number + _nothing, "phase": _text + _nothing}
_QUALITY = {"image": _text}


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: tensors and arrays as lists, NaN and infinity as None, unknown things as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if hasattr(value, "tolist"):  # torch tensors, numpy arrays and numpy scalars
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def hash_sigmas(sigmas: Iterable[float]) -> str:
    """The sha256 of the levels as little-endian doubles; equal for equal numbers, on any machine."""
    return hashlib.sha256(b"".join(struct.pack("<d", sigma) for sigma in sigmas)).hexdigest()


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write ``content`` so that ``path`` holds, at every moment, either what it held before or all of this.

    Raises:
        OSError: the folder or the disk does not allow it; ``path`` is then unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(plain(content), indent=1, allow_nan=False), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_metrics(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a metrics.json and check it.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is not a metrics file of this schema; the sentence says what is wrong and where.
    """
    try:
        metrics = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        check_metrics(metrics)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8, so it is no metrics.json.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON (line {error.lineno}: {error.msg}).") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return metrics


def check_metrics(metrics: Any) -> None:
    """Raise a ``ValueError`` that names the first thing in which ``metrics`` is not of schema ``SCHEMA``."""
    if not isinstance(metrics, dict) or "schema" not in metrics:
        raise ValueError(f"this is no metrics file: it has no key 'schema' (expected {SCHEMA!r}).")
    if metrics["schema"] != SCHEMA:
        name, _, version = str(metrics["schema"]).rpartition("/")
        if name == SCHEMA_NAME and version.isdigit() and int(version) > SCHEMA_VERSION:
            raise ValueError(
                f"it was written with schema {metrics['schema']!r} by a newer Sampler Lab; update the pack."
            )
        raise ValueError(f"its schema is {metrics['schema']!r}; this pack reads {SCHEMA!r}.")
    _check(metrics, _TOP, "")
    if metrics["status"] not in STATUSES:
        raise ValueError(f"status is {metrics['status']!r}; it must be one of {', '.join(STATUSES)}.")
    _check(metrics["calls"], _CALLS, "calls.")
    for where, rows, keys in (("phases", metrics["phases"], _PHASE), ("steps", metrics["steps"], _STEP)):
        for i, row in enumerate(rows):
            _check(row, keys, f"{where}[{i}].")
    for i, phase in enumerate(metrics["phases"]):
        _check(phase["calls"], _CALLS, f"phases[{i}].calls.")
    for i, table in enumerate(metrics["quality"]):
        _check(table, _QUALITY, f"quality[{i}].")
    _check_sigmas(metrics["sigmas"], metrics["sigmas_sha256"])


def _check(row: Any, keys: Mapping[str, tuple[type, ...]], where: str) -> None:
    if not isinstance(row, dict):
        raise ValueError(f"{where.rstrip('.')} is {_describe(row)}; it must be an object.")
    for key, types in keys.items():
        if key not in row:
            raise ValueError(f"{where}{key} is missing.")
        # In Python True is an int; in the file it is not a number.
        if not isinstance(row[key], types) or isinstance(row[key], bool):
            wanted = " or ".join(_WORDS.get(kind, "null") for kind in types if kind is not int or float not in types)
            raise ValueError(f"{where}{key} is {_describe(row[key])}; it must be {wanted}.")


def _check_sigmas(sigmas: list[Any] | None, digest: str | None) -> None:
    if sigmas is None:
        return
    for i, sigma in enumerate(sigmas):
        if sigma is not None and (isinstance(sigma, bool) or not isinstance(sigma, _number)):
            raise ValueError(f"sigmas[{i}] is {_describe(sigma)}; it must be a number or null.")
    if None not in sigmas and hash_sigmas(sigmas) != digest:
        raise ValueError("sigmas do not agree with sigmas_sha256; the file was changed by hand.")


def _describe(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it contains {name}, which JSON does not have; write null instead.")
