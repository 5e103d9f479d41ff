"""Arrays written by NumPy, SciPy and h5py come back; damaged and hostile files are refused in a sentence."""

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from operator_problems import matlab73
from sampler_lab.operators.files.containers import find_arrays, write_arrays
from scipy.io import savemat

Y = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def read_arrays(path):
    return {name: array.read() for name, array in find_arrays(path).items()}


@pytest.mark.parametrize("extension", [".npz", ".mat", ".h5", ".hdf5"])
def test_what_is_written_is_read(tmp_path, extension):
    path = tmp_path / "sub" / f"first{extension}"
    write_arrays(path, {"y": Y, "mask": Y[0] > 3}, {"note": "grün, \u03c3"})
    back = read_arrays(path)
    assert np.array_equal(back["y"], Y)
    assert back["y"].dtype == Y.dtype
    assert np.array_equal(back["mask"], Y[0] > 3)
    assert str(back["note"].reshape(-1)[0]) == "grün, \u03c3"
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing temporary is left


def test_npy(tmp_path):
    np.save(tmp_path / "a.npy", Y)
    assert np.array_equal(read_arrays(tmp_path / "a.npy")[""], Y)


@pytest.mark.parametrize("version", ["4", "5"])
def test_old_matlab(tmp_path, version):
    savemat(tmp_path / "a.mat", {"pattern": Y[0]}, format=version)
    assert np.array_equal(read_arrays(tmp_path / "a.mat")["pattern"], Y[0])


def test_matlab_73_has_its_axes_turned_back(tmp_path):
    matlab73(tmp_path / "a.mat", {"pattern": Y.astype(np.float64), "field": Y[0] + 1j})
    back = read_arrays(tmp_path / "a.mat")
    assert np.array_equal(back["pattern"], Y)
    assert np.array_equal(back["field"], Y[0] + 1j)


def test_hdf5_groups(tmp_path):
    with h5py.File(tmp_path / "a.nxs.h5", "w") as file:
        file["entry/instrument/data"] = Y
        file["entry/title"] = "gold on silicon"
    back = read_arrays(tmp_path / "a.nxs.h5")
    assert np.array_equal(back["entry/instrument/data"], Y)


def test_one_frame_of_a_stack(tmp_path):
    np.save(tmp_path / "a.npy", Y)
    savemat(tmp_path / "a.mat", {"y": Y})
    matlab73(tmp_path / "a73.mat", {"y": Y})
    write_arrays(tmp_path / "a.h5", {"y": Y}, {})
    for path in tmp_path.iterdir():
        (stored,) = find_arrays(path).values()
        assert stored.shape == Y.shape
        assert np.array_equal(stored.read(1), Y[1])
        for wrong in (2, -1):
            with pytest.raises(ValueError, match=rf"frame is {wrong}, but the array in '{path.name}' has 2"):
                stored.read(wrong)


def test_hdf5_arrays_are_read_only_when_asked_for(tmp_path):
    """One array is damaged beyond reading; the other comes all the same."""
    path = tmp_path / "a.h5"
    noise = np.random.default_rng(0).random((64, 64))
    with h5py.File(path, "w") as file:
        file["good"] = Y
        damaged = file.create_dataset("damaged", data=noise, compression="gzip")
        place = damaged.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
    path.write_bytes(content)
    arrays = find_arrays(path)
    assert np.array_equal(arrays["good"].read(), Y)
    assert arrays["damaged"].shape == (64, 64)
    with pytest.raises(ValueError, match=r"'a.h5' could not be read"):
        arrays["damaged"].read()


def test_the_format_is_what_the_file_holds_not_what_it_is_called(tmp_path):
    np.savez(tmp_path / "a.npz", y=Y)
    (tmp_path / "a.npz").rename(tmp_path / "a.h5")
    assert np.array_equal(read_arrays(tmp_path / "a.h5")["y"], Y)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"y": Y}, {})

    class Unreadable:
        def __array__(self, dtype=None, copy=None):
            raise OSError("the disk went away")

    with pytest.raises(OSError, match=r"went away"):
        write_arrays(path, {"y": Unreadable()}, {})
    assert np.array_equal(read_arrays(path)["y"], Y)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def damaged(tmp_path: Path, name: str, good: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(good[: len(good) // 2])
    return path


@pytest.mark.parametrize("extension", [".npz", ".npy", ".mat", ".h5"])
def test_damaged_files(tmp_path, extension):
    whole = tmp_path / f"whole{extension}"
    noise = np.random.default_rng(0).random((64, 64))
    np.save(whole, noise) if extension == ".npy" else write_arrays(whole, {"y": noise}, {})
    with pytest.raises(ValueError, match=r"'half.* could not be read .*; it may be damaged or of another format"):
        read_arrays(damaged(tmp_path, f"half{extension}", whole.read_bytes()))


@pytest.mark.parametrize("content", [b"", b"not an array at all"])
@pytest.mark.parametrize("extension", [".npz", ".npy", ".h5", ".png"])
def test_files_of_another_kind(tmp_path, content, extension):
    (tmp_path / f"a{extension}").write_bytes(content)
    with pytest.raises(ValueError, match=r"is none of the formats that can be read: .npz, .npy, .mat, .h5, .hdf5"):
        read_arrays(tmp_path / f"a{extension}")


def test_text_called_mat(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"not an array at all, and long enough to hold a header" * 10)
    with pytest.raises(ValueError, match=r"'a.mat' could not be read"):
        read_arrays(tmp_path / "a.mat")


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("extension", [".npy", ".npz"])
def test_nothing_is_unpickled(tmp_path, extension, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile = np.array([Bomb()], dtype=object)
    np.save("a.npy", hostile, allow_pickle=True) if extension == ".npy" else np.savez("a.npz", y=hostile)
    with pytest.raises(ValueError, match=r"could not be read"):
        read_arrays(tmp_path / f"a{extension}")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"none of the formats"):
        read_arrays(tmp_path / "b.npy")
    assert not (tmp_path / "exploded").exists()


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"file 'nothing.npz' was not found"):
        read_arrays(tmp_path / "nothing.npz")


def test_unknown_ending(tmp_path):
    with pytest.raises(ValueError, match=r"cannot write 'a.tiff'; its name must end in .npz"):
        write_arrays(tmp_path / "a.tiff", {"y": Y}, {})
