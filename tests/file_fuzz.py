"""Mutated measurement files: good ones of every format, and what chance and malice make of them, from a seed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from operator_problems import matlab73, picture
from sampler_lab.operators import Measurement, PhaseRetrieval
from sampler_lab.operators.files import save_measurement
from scipy.io import savemat

__all__ = ["mutated_files"]

#: What a number, a text or a list in the settings is replaced by.
ODD_VALUES = (
    *("hello", "", [1], [], {}, {"a": [1]}, None, True, -1, -5.0, 0, 1e300, 10**400, float("nan"), float("inf")),
    *([1, 2, 3], [0, 0], [-1, 12], [1e9, 1e9], [10**30, 1], ["a", "b"], [True, True], [[8], [8]], "x" * 10_000),
)
#: What ``y`` or ``mask`` is replaced by.
ODD_ARRAYS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda y: y.astype(np.uint32),
    lambda y: y.astype(np.uint16),
    lambda y: y.astype(np.int64),
    lambda y: y.astype(">f4"),
    lambda y: y.astype(np.float16),
    lambda y: y.astype(np.longdouble),
    lambda y: y.astype(bool),
    lambda y: y + 1j,
    lambda y: y * np.nan,
    lambda y: y.astype(np.float64) * 1e200,
    lambda y: y[:, :0],
    lambda y: y[0, 0, 0],
    lambda y: y[None, None],
    lambda y: y.reshape(-1),
    lambda y: y.astype("U8"),
    lambda y: y.astype("S8"),
    lambda y: np.zeros(y.shape, [("a", "<f4"), ("b", "<i2")]),
    lambda y: -y,
    lambda y: y * 0,
    lambda y: y * 0 + 7,
)


def saved() -> Measurement:
    measurement = PhaseRetrieval().measure(picture(1, 8, 8), 3)
    mask = torch.rand(measurement.y.shape, generator=torch.Generator().manual_seed(1)) > 0.1
    return Measurement(measurement.y, measurement.operator, mask, (8, 8))


def good_files(folder: Path) -> list[Path]:
    """One of each kind: saved by this pack, and as others write them."""
    measurement = saved()
    y = measurement.y[0].numpy()
    for name in ("saved.npz", "saved.npy", "saved.mat", "saved.h5"):
        save_measurement(measurement, folder / name)
    np.save(folder / "plain.npy", y)
    np.savez(folder / "plain.npz", pattern=y, mask=np.ones(y.shape, np.uint32))
    savemat(folder / "issue.mat", {"data": y})
    savemat(folder / "matlab4.mat", {"data": y[0], "title": "gold"}, format="4")
    savemat(
        folder / "struct.mat", {"data": y, "about": {"name": "gold", "sigma": 0.1}, "cells": np.array([1, "a"], object)}
    )
    matlab73(folder / "matlab73.mat", {"pattern": y.astype(np.float64), "field": y[0] + 1j})
    with h5py.File(folder / "chunked.h5", "w") as file:
        file.create_dataset("entry/data", data=y, chunks=(1, 6, 6), compression="gzip", shuffle=True, fletcher32=True)
        file["entry/title"] = "gold on silicon"
        file["entry/data"].attrs["units"] = "counts"
    with h5py.File(folder / "latest.h5", "w", libver="latest") as file:
        file.create_dataset("entry/data", data=y, chunks=(1, 12, 12), maxshape=(None, 12, 12))
        file["shortcut"] = h5py.SoftLink("/entry/data")
    return sorted(path for path in folder.iterdir() if path.suffix != ".json")


def mutated_bytes(content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
    """What happens to files on disks and on the way, half of it in the headers."""
    what = ("bits", "header bits", "cut", "zeros", "noise", "numbers", "inserted", "swapped")[random.integers(8)]
    data = np.frombuffer(content, np.uint8).copy()
    place = int(random.integers(len(data)))
    if what in ("bits", "header bits"):
        places = random.integers(
            min(len(data), 300 if what == "header bits" else len(data)), size=random.integers(1, 9)
        )
        np.bitwise_xor.at(data, places, (1 << random.integers(8, size=len(places))).astype(np.uint8))
    elif what == "cut":
        data = data[:place]
    elif what in ("zeros", "noise"):
        part = data[place : place + int(random.integers(1, 64))]
        part[:] = 0 if what == "zeros" else random.integers(256, size=len(part))
    elif what == "numbers":  # a length or a type out of its range
        part = data[place // 4 * 4 :][:4]
        part[:] = np.frombuffer(
            random.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\2\0\0\0"]), "u1"
        )[: len(part)]
    elif what == "inserted":
        data = np.concatenate([data[:place], random.integers(256, size=8).astype(np.uint8), data[place:]])
    else:
        half = len(data) // 2
        data = np.concatenate([data[half:], data[:half]]) if place % 2 else data[::-1]
    return what, data.tobytes()


def by_bytes(folder: Path, random: np.random.Generator, each: int) -> Iterator[tuple[str, Path]]:
    """``each`` mutations of the bytes of every good file, and the issue's own, a byte of a .mat that crashes scipy."""
    (folder / "good").mkdir()
    for path in good_files(folder / "good"):
        content = path.read_bytes()
        for number in range(each):
            what, mutated = mutated_bytes(content, random)
            target = folder / f"{path.stem}_{number}{path.suffix}"
            target.write_bytes(mutated)
            if path.with_suffix(".json").is_file() and random.random() < 0.8:
                target.with_suffix(".json").write_bytes(path.with_suffix(".json").read_bytes())
            yield what, target
    content = bytearray((folder / "good" / "issue.mat").read_bytes())
    content[184] ^= 0x20
    (folder / "issue_184.mat").write_bytes(content)
    yield "header bits", folder / "issue_184.mat"


def with_settings(path: Path, y: np.ndarray, mask: np.ndarray, text: str) -> Path:
    """A saved measurement of our own layout with any content."""
    if path.suffix == ".npy":
        np.save(path, y)
        path.with_suffix(".json").write_text(text)
    elif path.suffix == ".npz":
        np.savez(path, y=y, mask=mask, sampler_lab=text)
    elif path.suffix == ".mat":
        savemat(path, {"y": y, "mask": mask, "sampler_lab": text})
    else:
        with h5py.File(path, "w") as file:
            file["y"], file["mask"], file["sampler_lab"] = y, mask, text
    return path


def edited(settings: dict, random: np.random.Generator) -> str:
    """JSON with one value replaced or left out, in the settings or in the operator's."""
    where = settings["operator"] if random.random() < 0.6 else settings
    key = list(where)[random.integers(len(where))]
    if random.random() < 0.1:
        del where[key]
    else:
        where[key] = ODD_VALUES[random.integers(len(ODD_VALUES))]
    return json.dumps(settings)


def by_settings(folder: Path, random: np.random.Generator, count: int) -> Iterator[tuple[str, Path]]:
    measurement = saved()
    y, mask = measurement.y[0].numpy(), measurement.mask[0].numpy()
    save_measurement(measurement, folder / "for_settings.npy")
    text = (folder / "for_settings.json").read_text()
    odd_texts = ("[" * 100_000, '{"a":' * 50_000, "", "null", "{}", "9" * 5_000, text[:-3], "\ufeff" + text)
    for number in range(count):
        path = folder / f"settings_{number}{('.npz', '.npy', '.mat', '.h5')[number % 4]}"
        settings = json.loads(text)
        settings.pop("sha256", None)  # of the .npy it was saved with
        what = edited(settings, random) if number >= 2 * len(odd_texts) else odd_texts[number // 2]
        if path.suffix == ".mat" and not what:
            what = " "
        yield "settings", with_settings(path, y, mask, what)


def by_arrays(folder: Path) -> Iterator[tuple[str, Path]]:
    """Other types and shapes in the place of ``y`` and of ``mask``."""
    measurement = saved()
    y, mask = measurement.y[0].numpy(), measurement.mask[0].numpy()
    save_measurement(measurement, folder / "for_arrays.npz")
    with np.load(folder / "for_arrays.npz") as archive:
        text = str(archive["sampler_lab"])
    for number, change in enumerate(ODD_ARRAYS):
        for suffix in (".npz", ".mat", ".h5"):
            for odd in ("y", "mask"):
                new = {"y": y, "mask": mask.astype(np.float32)}
                new[odd] = change(new[odd])
                if suffix == ".h5" and new[odd].dtype.kind == "U":
                    new[odd] = new[odd].astype("S8")
                if suffix == ".mat" and new[odd].dtype == np.longdouble:
                    continue  # MATLAB has no such type
                path = folder / f"array_{number}_{odd}{suffix}"
                yield "array", with_settings(path, new["y"], new["mask"], text)


def by_archives(folder: Path) -> Iterator[tuple[str, Path]]:
    """What zip archives can hold besides arrays."""
    y = saved().y[0].numpy()
    np.save(folder / "member.npy", y)
    member = (folder / "member.npy").read_bytes()
    methods = {"stored": zipfile.ZIP_STORED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}
    for name, method in methods.items():
        path = folder / f"archive_{name}.npz"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("y.npy", member)
        yield "archive", path
    contents = {
        "text": {"y.npy": b"not an array", "readme.txt": b"hello"},
        "empty": {},
        "long header": {"y.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(1000)},
        "tokens": {"y.npy": b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f4', 'shape': (3L,".ljust(118)},
        "nested": {"y.npy": b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000},
        "huge": {"y.npy": np_header("<f4", (10**9, 10**9))},
        "negative": {"y.npy": np_header("<f4", (-3, 4))},
        "objects": {"y.npy": np_header("|O", (3, 4)) + b"\x80\x04N."},
    }
    for name, members in contents.items():
        path = folder / f"archive_{name}.npz"
        with zipfile.ZipFile(path, "w") as archive:
            for member_name, content in members.items():
                archive.writestr(member_name, content)
        yield "archive", path
    content = bytearray((folder / "archive_stored.npz").read_bytes())
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        content[content.index(signature) + flags] |= 1
    (folder / "archive_encrypted.npz").write_bytes(content)
    yield "archive", folder / "archive_encrypted.npz"


def np_header(descr: str, shape: tuple[int, ...]) -> bytes:
    text = str({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def mutated_files(folder: Path, seed: int, each: int = 36, settings: int = 120) -> Iterator[tuple[str, Path]]:
    """(what was done, path) of some seven hundred files; the same ones for the same seed."""
    random = np.random.default_rng(seed)
    yield from by_bytes(folder, random, each)
    yield from by_settings(folder, random, settings)
    yield from by_arrays(folder)
    yield from by_archives(folder)
