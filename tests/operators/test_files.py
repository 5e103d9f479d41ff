"""A saved measurement comes back whole from every format; anybody's own file can be read; refusals name the input."""

import json

import h5py
import numpy as np
import pytest
import torch
from operator_problems import generator, matlab73, picture
from sampler_lab.operators import GaussianNoise, Grey, Measurement, PhaseRetrieval, PoissonNoise
from sampler_lab.operators.files import ReadOptions, load_measurement, save_measurement
from scipy.io import savemat

EXTENSIONS = [".npz", ".npy", ".mat", ".h5", ".hdf5"]
OPERATORS = [
    PhaseRetrieval(),
    PhaseRetrieval(1.0, "-1..1", "intensity", noise=GaussianNoise(0.2, clip_negative=False)),
    PhaseRetrieval(channels="mean", noise=PoissonNoise()),
    PhaseRetrieval(detector=(25, 30)),
    Grey(noise=GaussianNoise(0.1)),
]


def measured(operator=None, masked=False, size=(16, 16)):
    measurement = (operator or PhaseRetrieval()).measure(picture(1, *size), 3)
    if not masked:
        return measurement
    mask = torch.rand(measurement.y.shape, generator=generator(1)) > 0.2
    return Measurement(measurement.y, measurement.operator, mask, size)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("operator", OPERATORS, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_round_trip(tmp_path, extension, operator, masked):
    saved = measured(operator, masked, (16, 12))
    save_measurement(saved, tmp_path / f"a{extension}")
    back = load_measurement(tmp_path / f"a{extension}")
    assert torch.equal(back.y, saved.y)
    assert back.y.dtype == saved.y.dtype
    assert back.operator == saved.operator
    assert back.image_shape == saved.image_shape
    assert back.noise_floor == saved.noise_floor
    assert (back.mask is None) == (not masked)
    assert not masked or torch.equal(back.mask, saved.mask)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_double_precision_survives(tmp_path, extension):
    saved = measured().to("cpu", torch.float64)
    save_measurement(saved, tmp_path / f"a{extension}")
    assert torch.equal(load_measurement(tmp_path / f"a{extension}").y, saved.y)


def test_another_operator_replaces_the_saved_one(tmp_path):
    saved = measured()
    save_measurement(saved, tmp_path / "a.npz")
    other = PhaseRetrieval(quantity="intensity", noise=GaussianNoise(0.1))
    back = load_measurement(tmp_path / "a.npz", other)
    assert back.operator == other
    torch.testing.assert_close(back.y, saved.y.square())
    assert back.noise_floor == pytest.approx(other.noise_floor(y=back.y))
    assert back.image_shape == saved.image_shape


def test_noise_of_a_saved_measurement_can_be_estimated(tmp_path):
    image = torch.rand(1, 3, 64, 64, generator=generator()) * 2 - 1
    wrong = Measurement(PhaseRetrieval().measure(image, 0).y, PhaseRetrieval(noise=GaussianNoise(0.5)))
    save_measurement(wrong, tmp_path / "a.npz")
    back = load_measurement(tmp_path / "a.npz", options=ReadOptions(estimate_noise=True))
    assert back.operator.noise.noise_sigma == pytest.approx(0.05, rel=0.05)


# -- files of one's own ----------------------------------------------------------------------------------------------


def write(path, arrays):
    """As a user's own program would: plain arrays, no settings."""
    if path.suffix == ".npy":
        np.save(path, next(iter(arrays.values())))
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".mat":
        savemat(path, arrays)
    elif path.suffix == ".v73":
        matlab73(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, value in arrays.items():
                file[name] = value
    return path


@pytest.mark.parametrize("extension", [".npz", ".npy", ".mat", ".v73", ".h5"])
@pytest.mark.parametrize("layout", ["CxHxW", "HxWxC"])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("values", ["amplitude", "intensity"])
def test_plain_files_of_every_kind(tmp_path, extension, layout, centred, values):
    saved = measured(size=(16, 12))
    y = saved.y[0] if centred else torch.fft.ifftshift(saved.y[0], dim=(-2, -1))
    y = y if values == "amplitude" else y.square()
    array = y.numpy() if layout == "CxHxW" else y.movedim(0, -1).numpy()
    path = write(tmp_path / f"a{extension}", {"pattern": array.astype(np.float64)})
    for explicit in (False, True):
        options = ReadOptions(
            values=values,
            layout=layout if explicit else "auto",
            zero_frequency=("centre" if centred else "corner") if explicit else "auto",
        )
        back = load_measurement(path, PhaseRetrieval(), options)
        torch.testing.assert_close(back.y, saved.y, rtol=0, atol=1e-6)
        assert back.image_shape == (16, 12)
        assert back.operator == saved.operator
        assert back.noise_floor == pytest.approx(saved.noise_floor, rel=1e-4)


def test_a_mask_in_the_file_is_found(tmp_path):
    saved = measured(masked=True)
    dead_pixels = saved.mask[0, 0].numpy()
    path = write(tmp_path / "a.npz", {"y": saved.y[0].numpy(), "mask": dead_pixels, "bad": 1 - dead_pixels})
    expected = saved.mask[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(load_measurement(path, PhaseRetrieval()).mask, expected)
    options = ReadOptions(mask_array="bad", mask_meaning="1 is dead")
    assert torch.equal(load_measurement(path, PhaseRetrieval(), options).mask, expected)


def test_array_names(tmp_path):
    y = measured().y[0].numpy()
    path = write(tmp_path / "a.npz", {"dark": 0 * y, "y": y, "exposure": np.float64(0.1)})
    assert load_measurement(path, PhaseRetrieval()).y.max() > 0  # a usual name
    with pytest.raises(ValueError, match=r"every valid value is 0; check the array's name and the mask"):
        load_measurement(path, PhaseRetrieval(), ReadOptions(array="dark"))
    with pytest.raises(ValueError, match=r"'a.npz' has no array 'z'; set array to one of dark \[3, 24, 24\], y"):
        load_measurement(path, PhaseRetrieval(), ReadOptions(array="z"))
    with pytest.raises(ValueError, match=r"'a.npz' has no array 'z'; set mask_array to one of"):
        load_measurement(path, PhaseRetrieval(), ReadOptions(mask_array="z"))
    several = write(tmp_path / "b.npz", {"first": y, "second": y})
    with pytest.raises(ValueError, match=r"'b.npz' holds several arrays; set array to one of first"):
        load_measurement(several, PhaseRetrieval())
    none = write(tmp_path / "c.npz", {"exposure": np.float64(0.1)})
    with pytest.raises(ValueError, match=r"'c.npz' holds no numeric array with two or more axes; it has exposure"):
        load_measurement(none, PhaseRetrieval())
    grouped = tmp_path / "d.h5"
    with h5py.File(grouped, "w") as file:
        file["entry/data"] = y
        file["entry/flat"] = y * 0 + 1
    torch.testing.assert_close(load_measurement(grouped, PhaseRetrieval()).y[0], torch.from_numpy(y))


def test_a_stack_of_frames(tmp_path):
    frames = np.stack([PhaseRetrieval(channels="mean").measure(picture(), seed).y[0, 0].numpy() for seed in range(5)])
    for extension in (".npy", ".h5"):
        path = write(tmp_path / f"stack{extension}", {"data": frames})
        back = load_measurement(path, PhaseRetrieval(), ReadOptions(frame=3))
        torch.testing.assert_close(back.y[0, 0], torch.from_numpy(frames[3]))
        with pytest.raises(ValueError, match=r"shape \[5, 24, 24\].*; set layout, or frame if it is a stack"):
            load_measurement(path, PhaseRetrieval())
        with pytest.raises(ValueError, match=r"frame is 5, but the array in .* has 5 \(the first is 0\)"):
            load_measurement(path, PhaseRetrieval(), ReadOptions(frame=5))


def test_an_operator_is_needed(tmp_path):
    path = write(tmp_path / "a.npz", {"y": measured().y[0].numpy()})
    with pytest.raises(
        ValueError, match=r"'a.npz' does not say how it was recorded; connect the node of its operator, for example"
    ):
        load_measurement(path)
    with pytest.raises(ValueError, match=r"the operator is str, which is none; connect one, or leave it out"):
        load_measurement(path, "phase_retrieval")


def test_a_json_beside_somebody_elses_npy_is_not_taken_for_settings(tmp_path):
    path = write(tmp_path / "a.npy", {"y": measured().y[0].numpy()})
    for content in ('{"schema": "other"}', "not json", "[1]"):
        path.with_suffix(".json").write_text(content)
        with pytest.raises(ValueError, match=r"does not say how it was recorded"):
            load_measurement(path)
        assert load_measurement(path, PhaseRetrieval()).image_shape == (16, 16)


def test_settings_of_a_later_version(tmp_path):
    save_measurement(measured(), tmp_path / "a.npy")
    sidecar = tmp_path / "a.json"
    settings = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**settings, "operator": {"operator": "holography"}}))
    with pytest.raises(ValueError, match=r"saved with the operator 'holography', which this version does not know"):
        load_measurement(tmp_path / "a.npy")
    sidecar.write_text(json.dumps({"schema": settings["schema"], "operator": settings["operator"]}))
    with pytest.raises(
        ValueError, match=r"'a.npy' lacks image_shape, noise_floor in its settings; save the measurement again"
    ):
        load_measurement(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", sampler_lab=json.dumps(settings))
    with pytest.raises(ValueError, match=r"'b.npz' has settings but no array y"):
        load_measurement(tmp_path / "b.npz")


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"file 'nothing.npz' was not found"):
        load_measurement(tmp_path / "nothing.npz", PhaseRetrieval())


def test_unknown_format(tmp_path):
    with pytest.raises(ValueError, match=r"cannot write 'a.tiff'"):
        save_measurement(measured(), tmp_path / "a.tiff")
