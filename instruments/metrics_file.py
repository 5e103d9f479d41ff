"""The file metrics.json: how it is written without ever being half there, and how it is read back.

Strict JSON: NaN and infinity become null, so that every language's reader opens it. What must be in it stands in
``metrics_schema.py``; the names of its keys are an interface, and change only with the number of the schema.

Schema 2 (``sampler-lab/metrics/2``), against schema 1:

* ``quality[i].blind``, ``oracle`` and ``oracle_raw`` are names of particles, the ``particle`` of one of the table's
  rows. In schema 1 they were places in the list of rows, which is something else once particles were pruned.
* ``measurement.sha256`` and ``quality[i].reference_sha256`` identify the measured data and the true image by content.
* ``final``: of the latents that the run returned, decoded in full precision and clamped as a saved picture is: the
  ``residual`` of each of ``particles``, and ``blind``, the particle to choose by it (null when none is finite). It is
  null while a run goes on, and for one that ends above noise level 0.
* ``experiment`` and ``picture``: the names that ``lab.py experiment`` gave, else null. ``model``: the class of the
  host's model, null when it is not known.
* Whatever readers rely on is checked: ranges, list lengths, the rows of quality tables.

Files of schema 1 are read as if they were of schema 2: places become names, what they lack becomes null.
"""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from ..diffusion.files import replacing
from .metrics_schema import CHOICES, STATUSES, check_content, describe, hash_sigmas

__all__ = [
    "SCHEMA",
    "STATUSES",
    "check_metrics",
    "hash_sigmas",
    "load_metrics",
    "plain",
    "read_json",
    "row_of",
    "write_json",
]

SCHEMA_NAME, SCHEMA_VERSION = "sampler-lab/metrics", 2
SCHEMA = f"{SCHEMA_NAME}/{SCHEMA_VERSION}"

#: A run of a thousand steps and a hundred particles is a tenth of it.
LARGEST_FILE = 128 * 2**20
#: A record is nested eight levels deep, and options of the future may be some more.
DEEPEST_NESTING = 32
#: Seeds are the largest whole numbers; Python would read any, and fail where one becomes a float.
LARGEST_WHOLE = 2**64


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


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write ``content`` so that ``path`` holds, at every moment, either what it held before or all of this.

    Raises:
        OSError: the folder or the disk does not allow it; ``path`` is then unchanged.
    """
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(plain(content), indent=1, allow_nan=False), encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """A JSON file from anybody: of bounded size and depth, every number finite, every text writable again.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is no such file; the sentence names it and says what is wrong.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ValueError(f"{path} holds {size / 2**20:.0f} MB; a record holds at most {LARGEST_FILE / 2**20:.0f} MB.")
    try:
        content = json.loads(
            path.read_text(encoding="utf-8"), parse_constant=_refuse, parse_float=_real, parse_int=_whole
        )
        _check_depth_and_texts(content)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8, so it is no metrics.json.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON (line {error.lineno}: {error.msg}).") from error
    except RecursionError as error:
        raise ValueError(f"{path}: it is nested more than {DEEPEST_NESTING} levels deep.") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return content


def load_metrics(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a metrics.json of any schema so far and check it; what is returned is of schema ``SCHEMA``.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is not a metrics file that this pack reads; the sentence says what is wrong and where.
    """
    content = read_json(path)
    try:
        metrics = _upgraded(content)
        check_content(metrics)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return metrics


def check_metrics(metrics: Any) -> None:
    """Raise a ``ValueError`` that names the first thing in which ``metrics`` is of no schema that this pack reads."""
    check_content(_upgraded(metrics))


def row_of(table: Mapping[str, Any], choice: str) -> dict[str, Any]:
    """The row of a quality table that "blind", "oracle" or "oracle_raw" names."""
    return next(row for row in table["particles"] if row["particle"] == table[choice])


def _upgraded(metrics: Any) -> dict[str, Any]:
    """``metrics`` as the present schema has it, or a ``ValueError`` when its schema is none of ours."""
    if not isinstance(metrics, dict) or "schema" not in metrics:
        raise ValueError(f"this is no metrics file: it has no key 'schema' (expected {SCHEMA!r}).")
    if metrics["schema"] == SCHEMA:
        return metrics
    if metrics["schema"] == f"{SCHEMA_NAME}/1":
        return _from_schema_1(metrics)
    name, _, version = str(metrics["schema"]).rpartition("/")
    if name == SCHEMA_NAME and version.isascii() and version.isdigit() and int(version) > SCHEMA_VERSION:
        raise ValueError(f"it was written with schema {metrics['schema']!r} by a newer Sampler Lab; update the pack.")
    raise ValueError(f"its schema is {metrics['schema']!r}; this pack reads {SCHEMA!r}.")


def _from_schema_1(metrics: dict[str, Any]) -> dict[str, Any]:
    """Places in the list of rows become names, and what schema 1 did not have becomes null."""
    missing = {"model": None, "experiment": None, "picture": None, "final": None}
    metrics = copy.deepcopy({**missing, **metrics, "schema": SCHEMA})
    tables = metrics.get("quality")
    for i, table in enumerate(tables if isinstance(tables, list) else []):
        rows = table.get("particles") if isinstance(table, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "particle" in row for row in rows):
            continue  # the check that follows says what is wrong with it
        for key in CHOICES:
            place = table.get(key)
            if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < len(rows):
                raise ValueError(
                    f"quality[{i}].{key} is {describe(place)}; it must be a place in the list of {len(rows)} particles."
                )
            table[key] = rows[place]["particle"]
    return metrics


def _check_depth_and_texts(content: Any) -> None:
    """Without recursion, or a file made for it would end the reader."""
    level = [content]
    for _ in range(DEEPEST_NESTING + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str) and not _is_writable(value):
                raise ValueError(f"the text {value[:40]!r} holds half a character, which no file can hold.")
            if isinstance(value, dict):
                below += [*value, *value.values()]
            elif isinstance(value, list):
                below += value
        if not below:
            return
        level = below
    raise ValueError(f"it is nested more than {DEEPEST_NESTING} levels deep.")


def _is_writable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _refuse(name: str) -> None:
    raise ValueError(f"it contains {name}, which JSON does not have; write null instead.")


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it contains the number {text[:40]}, which is too large for a computer's number.")
    return value


def _whole(text: str) -> int:
    if len(text) > len(str(LARGEST_WHOLE)) or abs(int(text)) > LARGEST_WHOLE:
        raise ValueError(f"it contains the whole number {text[:40]}, which is larger than any that is recorded.")
    return int(text)
