"""Files that lie: about their size, about where their values are, about their type; and readers that crash or hang."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from file_fuzz import np_header, with_settings
from operator_problems import picture
from sampler_lab.operators import Measurement, PhaseRetrieval
from sampler_lab.operators.files import ReadOptions, load_measurement, save_measurement
from sampler_lab.operators.files.containers import find_arrays
from sampler_lab.operators.files.reader_process import READER, parent
from sampler_lab.operators.files.stored_array import MAX_BYTES
from scipy.io import savemat

Y = PhaseRetrieval().measure(picture(1, 8, 8), 3).y[0].numpy()
posix = pytest.mark.skipif(os.name != "posix", reason="signals")


def refusal(path, operator=None, **options):
    """The sentence of a file that is refused."""
    with pytest.raises(ValueError, match=r"\.$") as caught:
        load_measurement(path, operator or PhaseRetrieval(), ReadOptions(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- no reader leaves the file ---------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path):
    """Files that somebody wants to see: raw numbers, and an HDF5 file."""
    (tmp_path / "secret.bin").write_bytes(Y.tobytes())
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["y"] = Y
    return tmp_path


def external_storage(path, secret, name="y"):
    with h5py.File(path, "a") as file:
        file.create_dataset(name, Y.shape, "f4", external=[(str(secret / "secret.bin"), 0, Y.nbytes)])


def virtual_dataset(path, secret, name="y"):
    with h5py.File(path, "a") as file:
        layout = h5py.VirtualLayout(Y.shape, "f4")
        layout[:] = h5py.VirtualSource(str(secret / "secret.h5"), "y", Y.shape)
        file.create_virtual_dataset(name, layout)


def external_link(path, secret, name="y"):
    with h5py.File(path, "a") as file:
        file[name] = h5py.ExternalLink(str(secret / "secret.h5"), "/y")


def link_in_a_group(path, secret):
    external_link(path, secret, "entry/y")


WAYS_OUT = (external_storage, virtual_dataset, external_link, link_in_a_group)


@pytest.mark.parametrize("way_out", WAYS_OUT)
@pytest.mark.parametrize("other", [False, True])
def test_values_in_another_file_are_not_followed(secret, way_out, other):
    """Neither chosen by name nor as the only or best-named array, and no other array is taken in their place."""
    path = secret / "a.h5"
    way_out(path, secret)
    name = "entry/y" if way_out is link_in_a_group else "y"
    if other:
        with h5py.File(path, "a") as file:
            file["dark"] = Y
    for array in ("", name):
        assert f"{name!r} in 'a.h5' has its values in another file" in refusal(path, array=array)
    assert load_measurement(path, PhaseRetrieval(), ReadOptions(array="dark")).count if other else True


@pytest.mark.parametrize("way_out", WAYS_OUT[:3])
@pytest.mark.parametrize("which", ["y", "mask", "sampler_lab"])
def test_no_part_of_a_saved_measurement_comes_from_elsewhere(secret, way_out, which):
    saved = secret / "saved.h5"
    mask = torch.ones(1, *Y.shape)
    mask[..., 2, 2] = 0
    save_measurement(Measurement(torch.from_numpy(Y)[None], PhaseRetrieval(), mask, (8, 8)), saved)
    with h5py.File(saved, "a") as file:
        del file[which]
    way_out(saved, secret, which)
    for operator in (None, PhaseRetrieval()):
        with pytest.raises(ValueError, match=rf"'{which}' in 'saved.h5' has its values in another file"):
            load_measurement(saved, operator)


def test_a_soft_link_is_named_but_not_followed(secret):
    """It could lead to an external link; the array it leads to inside the file can be named itself."""
    external_link(secret / "a.h5", secret)
    with h5py.File(secret / "a.h5", "a") as file:
        file["pattern"], file["inside"] = h5py.SoftLink("/y"), h5py.SoftLink("/data")
        file["data"] = Y
    for name in ("pattern", "inside"):
        assert refusal(secret / "a.h5", array=name) == f"{name!r} in 'a.h5' is a soft link; name the array itself."
    assert load_measurement(secret / "a.h5", PhaseRetrieval(), ReadOptions(array="data")).count == Y.size


def test_groups_that_contain_each_other(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one/two/data"] = Y
        file["one/two/again"] = file["one"]
    assert list(find_arrays(tmp_path / "a.h5")) == ["one/two/data"]


@posix
def test_settings_beside_an_array_are_not_read_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    save_measurement(PhaseRetrieval().measure(picture(1, 8, 8), 3), tmp_path / "a.npy")
    (tmp_path / "a.json").rename(tmp_path / "elsewhere" / "a.json")
    (tmp_path / "a.json").symlink_to(tmp_path / "elsewhere" / "a.json")
    with pytest.raises(ValueError, match=r"does not say how it was recorded"):
        load_measurement(tmp_path / "a.npy")


# -- readers that crash, hang or want too much -----------------------------------------------------------------------


def crashing(path):
    """The issue's file: scipy 1.17 segfaults on it."""
    savemat(path, {"data": Y})
    content = bytearray(path.read_bytes())
    content[184] ^= 0x20
    path.write_bytes(content)
    return path


def test_a_flipped_bit_does_not_end_the_host(tmp_path):
    crashing(tmp_path / "a.mat")
    assert refusal(tmp_path / "a.mat").startswith("'a.mat' ")
    savemat(tmp_path / "b.mat", {"data": Y})
    assert load_measurement(tmp_path / "b.mat", PhaseRetrieval()).count == Y.size  # the next file is read as ever


@posix
def test_a_crash_is_a_sentence_and_the_next_file_is_read_by_a_new_process(tmp_path, monkeypatch):
    """A real crash of the process, whatever scipy makes of the issue's file tomorrow."""
    savemat(tmp_path / "a.mat", {"data": Y})
    READER.close()
    (stored,) = find_arrays(tmp_path / "a.mat").values()
    first = READER.pid
    os.kill(first, signal.SIGSEGV)
    assert np.array_equal(stored.read(), Y)  # died between two requests: nobody needs to know
    assert READER.pid != first

    start = READER._start

    def start_and_crash(file: str) -> None:  # as with a file that crashes every reader
        start(file)
        os.kill(READER.pid, signal.SIGSEGV)

    os.kill(READER.pid, signal.SIGSEGV)
    monkeypatch.setattr(READER, "_start", start_and_crash)
    sentence = refusal(tmp_path / "a.mat")
    monkeypatch.undo()
    assert sentence.startswith("'a.mat' is damaged: the process that read it crashed (signal 11)")
    assert np.array_equal(find_arrays(tmp_path / "a.mat")["data"].read(), Y)


@posix
def test_a_reader_that_hangs_is_ended(tmp_path, monkeypatch):
    savemat(tmp_path / "a.mat", {"data": Y})
    (stored,) = find_arrays(tmp_path / "a.mat").values()
    hanging = READER.pid
    os.kill(hanging, signal.SIGSTOP)
    monkeypatch.setattr(parent, "SECONDS", 0.2)
    with pytest.raises(ValueError, match=r"'a.mat' could not be read within 0.2 seconds, .*; save it again, or write"):
        stored.read()
    assert READER.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(hanging, 0)


@posix
def test_cancelling_ends_the_reader(tmp_path):
    savemat(tmp_path / "a.mat", {"data": Y})

    class Cancelled(Exception):
        pass

    def interrupt():
        raise Cancelled

    find_arrays(tmp_path / "a.mat")
    hanging = READER.pid
    os.kill(hanging, signal.SIGSTOP)
    with pytest.raises(Cancelled):
        load_measurement(tmp_path / "a.mat", PhaseRetrieval(), interrupt=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(hanging, 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of memory and /proc")
def test_a_reader_that_wants_too_much_memory_is_refused(tmp_path, monkeypatch):
    """200 MiB are within the limit for an array; a reader that may have 300 MiB in all has to give up."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", (200, 1024, 1024), "u1", fillvalue=1, chunks=(200, 1024, 1024))
        file["data"][:1, :1, :1] = 1  # its one chunk is there, uncompressed and whole
    READER.close()
    monkeypatch.setattr(parent, "MEMORY", 300 * 2**20)
    try:
        assert refusal(tmp_path / "a.h5").startswith("'a.h5' needs more than 0.293 GiB of memory to be read")
    finally:
        READER.close()


def program(code: str) -> subprocess.Popen:
    """Another Python with the pack, as a host is: it prints the number of its reading process, and then waits."""
    before = f"""
        import sys, importlib.util
        spec = importlib.util.spec_from_file_location("lab", {str(Path(__file__).parents[2] / "lab.py")!r})
        lab = importlib.util.module_from_spec(spec); sys.modules["lab"] = lab; spec.loader.exec_module(lab)
        lab.import_pack()
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(before) + textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@posix
def test_the_reader_goes_when_its_host_is_killed(tmp_path):
    savemat(tmp_path / "a.mat", {"data": Y})
    host = program(f"""
        from pathlib import Path
        from sampler_lab.operators.files.containers import find_arrays
        from sampler_lab.operators.files.reader_process import READER
        find_arrays(Path({str(tmp_path / "a.mat")!r}))
        print(READER.pid, flush=True)
        input()
    """)
    reader = int(host.stdout.readline())
    os.kill(reader, 0)
    host.kill()
    host.wait()
    for _ in range(1000):
        if not Path(f"/proc/{reader}").exists() and not is_running(reader):
            break
        time.sleep(0.02)
    assert not is_running(reader)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1] if Path(f"/proc/{pid}").exists() else True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_the_reader_has_neither_torch_nor_the_pack(tmp_path):
    """It is run by its path, so the pack's folder may have any name; and it starts quickly."""
    savemat(tmp_path / "a.mat", {"data": Y})
    find_arrays(tmp_path / "a.mat")
    maps = Path(f"/proc/{READER.pid}/maps").read_text()
    assert "numpy" in maps
    assert "torch" not in maps


# -- sizes -------------------------------------------------------------------------------------------------------------


def test_a_claim_of_gigabytes_is_refused_before_it_is_read(tmp_path):
    """The issue's file: 1,400 bytes that claim 1.6 GB."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (20_000, 10_000), "f8")
    assert path.stat().st_size < 3000
    assert refusal(path) == (
        "array 'data' in 'a.h5' claims 1.49 GiB, more than the 1 GiB that are read at once; set frame if it is a "
        "stack, or save the part that you need."
    )


def test_one_frame_of_a_stack_beyond_the_limit(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        stack = file.create_dataset("data", (10**6, 12, 12 * 256), "f4", chunks=(1, 12, 12 * 256))
        stack[5] = 1
    (stored,) = find_arrays(path).values()
    assert stored.read(5).sum() == 12 * 12 * 256
    with pytest.raises(ValueError, match=r"claims 137 GiB, more than .*; set frame if it is a stack"):
        stored.read()


def test_an_array_that_nobody_asked_for_is_not_inflated(tmp_path):
    """The issue's file inflated from 396 kB to 393 MB; here it is beside a small array that is wanted."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, y=Y, other=np.zeros((68, 1024, 1024), np.uint8))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        load_measurement(path, PhaseRetrieval())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20
    assert "array 'other' in 'a.npz' would grow from" in refusal(path, array="other")


@pytest.mark.parametrize("extension", [".npz", ".mat", ".h5"])
def test_a_decompression_bomb_does_not_inflate(tmp_path, extension):
    zeros = np.zeros((68, 1024, 1024), np.uint8)
    path = tmp_path / f"a{extension}"
    if extension == ".npz":
        np.savez_compressed(path, data=zeros)
    elif extension == ".mat":
        savemat(path, {"data": zeros}, do_compression=True)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=zeros, compression="gzip", chunks=(1, 1024, 1024))
    assert path.stat().st_size < zeros.nbytes / 200
    assert "which recorded data do not; if it is what you mean, save it uncompressed" in refusal(path)


@pytest.mark.parametrize("shape", [(10**6, 10**6), (2**40,), (10**9, 10**9, 10**9)])
@pytest.mark.parametrize("extension", [".npz", ".npy"])
def test_numpy_headers_that_claim_too_much(tmp_path, shape, extension):
    path = tmp_path / f"a{extension}"
    content = np_header("<f4", shape) + bytes(100)
    if extension == ".npy":
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("y.npy", content)
    (stored,) = find_arrays(path).values()
    with pytest.raises(ValueError, match=r"is cut short\); it may be damaged"):
        stored.read()


def test_the_limit_is_what_the_help_page_says():
    page = (Path(__file__).parents[2] / "web/docs/SamplerLabLoadMeasurement/en.md").read_text(encoding="utf-8")
    assert f"{MAX_BYTES / 2**30:g} GiB" in page
    assert f"{parent.SECONDS:g} seconds" in page


def test_sentences_stay_short_whatever_a_file_holds(tmp_path):
    """The issue's file: 3,000 arrays gave a sentence of 46,941 characters."""
    np.savez(tmp_path / "a.npz", **{f"array_{n:04}": Y for n in range(3000)})
    for sentence in (refusal(tmp_path / "a.npz"), refusal(tmp_path / "a.npz", array="x" * 5000)):
        assert "array_0000 [3, 12, 12]" in sentence
        assert "array_0011 [3, 12, 12], and 2988 more" in sentence
        assert len(sentence) < 700
    with h5py.File(tmp_path / "b.h5", "w") as file:
        for n in range(3):
            file["n" * 500 + f"\n\x1b[2J{n}"] = Y
    assert len(refusal(tmp_path / "b.h5")) < 700


# -- values, masks and settings ----------------------------------------------------------------------------------------

MEASUREMENT = Measurement(torch.from_numpy(Y)[None], PhaseRetrieval(), image_shape=(8, 8))


def settings(**changes):
    text = {
        "schema": "sampler-lab/measurement/1",
        "operator": PhaseRetrieval().to_dict(),
        "image_shape": [8, 8],
        "noise_floor": 1.0,
    }
    operator = {**text["operator"], **changes.pop("operator", {})}
    return json.dumps({**text, "operator": operator, **changes})


@pytest.mark.parametrize("value", ["hello", [1], float("nan"), -5, None, True, {}, float("inf"), 10**400, 1e300])
def test_a_noise_floor_is_a_number(tmp_path, value):
    """The first four are the issue's."""
    path = with_settings(tmp_path / "a.npz", Y, np.ones(Y.shape), settings(noise_floor=value))
    with pytest.raises(
        ValueError, match=r"^save 'a.npz' again, its .*: noise_floor is .*; it must be a number between"
    ):
        load_measurement(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("oversample", value) for value in ("2", None, -1, float("nan"), 1e9, [2], True)],
        *[("noise_sigma", value) for value in ("0.05", None, -0.1, float("inf"), 10**400)],
        *[
            (name, value)
            for name in ("signal_range", "kind", "noise", "channels")
            for value in ("odd", 1, None, [], {})
        ],
        *[("clip_negative", value) for value in ("yes", 1, None)],
        *[("detector", value) for value in (12, [12], [12, 0], [12.5, 12], ["12", "12"], [10**30, 1], {"a": 1})],
    ],
)
def test_the_operators_settings_have_types_and_ranges(tmp_path, name, value):
    path = with_settings(tmp_path / "a.npz", Y, np.ones(Y.shape), settings(operator={name: value}))
    with pytest.raises(
        ValueError,
        match=rf"^save 'a.npz' again, its settings cannot be used: {name} is .*; (it must be|choose one of) .*\.$",
    ):
        load_measurement(path)


@pytest.mark.parametrize("value", [None, 8, [8], [8, 8, 8], [8, 0], [8.0, 8.5], ["8", "8"], [True, True], [10**30, 8]])
def test_an_image_shape_is_two_whole_numbers(tmp_path, value):
    path = with_settings(tmp_path / "a.npz", Y, np.ones(Y.shape), settings(image_shape=value))
    with pytest.raises(
        ValueError, match=r"^save 'a.npz' again, its .*: image_shape is .*; it must be \[rows, columns\]"
    ):
        load_measurement(path)


def test_settings_that_do_not_fit_together(tmp_path):
    text = settings(operator={"noise": "poisson", "noise_sigma": 0})
    with pytest.raises(ValueError, match=r"^save 'a.npz' again, its settings cannot be used: noise_sigma is 0"):
        load_measurement(with_settings(tmp_path / "a.npz", Y, np.ones(Y.shape), text))


def test_settings_of_a_later_schema(tmp_path):
    text = settings(schema="sampler-lab/measurement/2")
    with pytest.raises(ValueError, match=r"saved by another version of this pack \('sampler-lab/measurement/2'\)"):
        load_measurement(with_settings(tmp_path / "a.npz", Y, np.ones(Y.shape), text))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"schema":' * 50_000, "9" * 5000, "null", "\ud800".encode("utf-8", "replace").decode()]
)
@pytest.mark.parametrize("extension", [".npz", ".npy", ".h5"])
def test_text_that_is_no_settings_is_somebody_elses(tmp_path, text, extension):
    path = with_settings(tmp_path / f"a{extension}", Y, np.ones(Y.shape, np.uint8), text)
    with pytest.raises(ValueError, match=r"does not say how it was recorded"):
        load_measurement(path)
    assert load_measurement(path, PhaseRetrieval()).image_shape == (8, 8)


MASK_TYPES = ("bool", "u1", "u2", "u4", "u8", "i1", "i4", "i8", "f2", "f4", "f8", ">f4", ">u4")


@pytest.mark.parametrize("dtype", MASK_TYPES)
@pytest.mark.parametrize("extension", [".npz", ".mat", ".h5"])
def test_a_mask_may_be_of_any_numeric_type(tmp_path, dtype, extension):
    mask = np.ones(Y.shape, dtype)
    mask[:, 3, 4] = 0
    if extension == ".mat" and dtype == "f2":
        mask = mask.astype("f4")  # MATLAB has no half precision
    path = with_settings(tmp_path / f"a{extension}", Y, mask, settings())
    assert load_measurement(path).count == Y.size - 3
    plain = with_settings(tmp_path / f"b{extension}", Y, mask, "by hand")
    assert load_measurement(plain, PhaseRetrieval()).count == Y.size - 3
    assert Measurement(
        MEASUREMENT.y, PhaseRetrieval(), torch.from_numpy(mask.astype(mask.dtype.newbyteorder("=")))[None]
    )


@pytest.mark.parametrize("odd", [2, -1, 0.5, np.nan])
def test_a_saved_mask_holds_zeros_and_ones(tmp_path, odd):
    mask = np.ones(Y.shape)
    mask[0, 0, 0] = odd
    with pytest.raises(ValueError, match=r"the mask in 'a.npz' holds something else than 0 and 1"):
        load_measurement(with_settings(tmp_path / "a.npz", Y, mask, settings()))


def test_arrays_that_are_no_numbers(tmp_path):
    struct = np.zeros(Y.shape, [("a", "<f4")])
    for odd, found in ((struct, "holds neither numbers nor text"), (Y.astype("U5"), "y in 'a.npz' is of type <U5")):
        path = with_settings(tmp_path / "a.npz", odd, np.ones(Y.shape), settings())
        with pytest.raises(ValueError, match=found):
            load_measurement(path)
    path = with_settings(tmp_path / "a.npz", Y, Y.astype("U5"), settings())
    with pytest.raises(ValueError, match=r"the mask in 'a.npz' holds something else"):
        load_measurement(path)


@pytest.mark.parametrize("floor", [float("nan"), -1.0, "hello", [1], float("inf")])
def test_a_measurement_itself_has_a_noise_floor_that_is_a_number(floor):
    with pytest.raises(ValueError, match=r"noise_floor is .*; it must be a finite number, 0 or more"):
        Measurement(MEASUREMENT.y, PhaseRetrieval(), noise_floor=floor)
