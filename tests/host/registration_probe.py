"""Run by test_registration.py in a process of its own, inside the ComfyUI folder: writes what it finds as JSON."""

import json
import logging
import sys
from pathlib import Path

from inside_host import enter_host, sentence

enter_host()

import comfy.k_diffusion.sampling as k_diffusion  # noqa: E402
import comfy.model_sampling as model_sampling  # noqa: E402
import comfy.samplers as host_samplers  # noqa: E402
from sampler_lab.host.registration import register, register_sampler, register_scheduler  # noqa: E402
from sampler_lab.host.samplers import catalogue_sampler, drops_penultimate_sigma  # noqa: E402
from sampler_lab.host.schedulers import schedule_sigmas  # noqa: E402
from sampler_lab.host.trajectory import Trajectory, recording  # noqa: E402
from sampler_lab.samplers import CATALOGUE  # noqa: E402
from sampler_lab.schedulers import CATALOGUE as SCHEDULES  # noqa: E402

STORED = Path(__file__).parents[1] / "schedulers" / "fixtures" / "release_0.1.0.json"


class Heard(logging.Handler):
    """Collects the log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


#: One of our names, taken by somebody else. As a string: checkers of imports look for attributes of the host.
TAKEN = "sample_lab_er_sde"


def state() -> dict:
    """Everything of the host that registration may touch."""
    functions = {name: value for name, value in vars(k_diffusion).items() if name.startswith("sample_")}
    lists = [host_samplers.KSAMPLER_NAMES, host_samplers.SAMPLER_NAMES, host_samplers.SCHEDULER_NAMES]
    return {
        "functions": functions,
        "handlers": dict(host_samplers.SCHEDULER_HANDLERS),
        "lists": [list(names) for names in lists],
        "identities": [id(names) for names in (*lists, host_samplers.SCHEDULER_HANDLERS)]
        + [id(host_samplers.KSampler.SAMPLERS), id(host_samplers.KSampler.SCHEDULERS)],
    }


def registration() -> dict:
    heard = Heard()
    logging.getLogger().addHandler(heard)
    before = state()
    # Somebody else was here first: one of our names as a sampler, and one in the list alone; one scheduler.
    stranger = k_diffusion.sample_euler
    setattr(k_diffusion, TAKEN, stranger)
    host_samplers.SAMPLER_NAMES.append("lab_euler")
    host_samplers.SCHEDULER_HANDLERS["lab_angle"] = host_samplers.SchedulerHandler(stranger)
    register()
    clashes, heard.lines = heard.lines, []
    with_clashes = state()
    delattr(k_diffusion, TAKEN)
    del host_samplers.SCHEDULER_HANDLERS["lab_angle"]
    host_samplers.SAMPLER_NAMES.remove("lab_euler")
    register()
    once = state()
    register()
    twice = state()
    new_list = [*host_samplers.SAMPLER_NAMES[:3]]
    host_samplers.KSampler.SAMPLERS = new_list  # as a pack might
    register()
    host_samplers.KSampler.SAMPLERS = host_samplers.SAMPLER_NAMES
    logging.getLogger().removeHandler(heard)
    return {
        "clashes": clashes,
        "said afterwards": heard.lines,
        "strangers stay": with_clashes["functions"][TAKEN] is stranger
        and with_clashes["handlers"]["lab_angle"].handler is stranger
        and "sample_lab_euler" not in with_clashes["functions"],
        "not listed": ["lab_er_sde" in names for names in with_clashes["lists"]],
        "nothing replaced": all(once["functions"][name] is value for name, value in before["functions"].items())
        and all(once["handlers"][name] is value for name, value in before["handlers"].items())
        and once["identities"] == before["identities"],
        "in front": all(
            after[: len(names)] == names for names, after in zip(before["lists"], once["lists"], strict=True)
        ),
        "new samplers": [names[len(old) :] for old, names in zip(before["lists"], once["lists"], strict=True)],
        "idempotent": once == twice,
        "a list of somebody's": sorted(set(new_list) - set(before["lists"][1])),
        "again": [register_sampler("lab_euler", stranger), register_scheduler("lab_angle", stranger)],
    }


def kinds() -> dict:
    """Model samplings of the host, as its models have them."""

    def made(*bases, **settings):
        config = type("Config", (), {"sampling_settings": settings})
        return type("Sampling", bases, {})(config)

    return {
        "eps": made(model_sampling.ModelSamplingDiscrete, model_sampling.EPS),
        "v": made(model_sampling.ModelSamplingDiscrete, model_sampling.V_PREDICTION),
        "edm": made(model_sampling.ModelSamplingContinuousEDM, model_sampling.EDM, sigma_min=0.002, sigma_max=80.0),
        "flow": made(model_sampling.ModelSamplingDiscreteFlow, model_sampling.CONST, shift=3.0),
        "flux": made(model_sampling.ModelSamplingFlux, model_sampling.CONST),
    }


def schedules() -> dict:
    found = {}
    for kind, sampling in kinds().items():
        ends = [float(sampling.sigma_max), float(sampling.sigma_min)]
        for each in SCHEDULES:
            for steps in (1, 4, 20):
                sigmas = host_samplers.calculate_sigmas(sampling, each.dropdown_name, steps)
                found[f"{kind} {each.name} {steps}"] = [ends, sigmas.tolist()]
    return found


def stored() -> list[list[float]]:
    """What the schedules of the first release were asked, answered now; ``scaled`` is a flow on stronger noise."""
    models = kinds() | {"scaled": kinds()["flow"]}
    models["scaled"].noise_scale = 8.0
    rows = json.loads(STORED.read_text(encoding="utf-8"))["results"]
    return [
        schedule_sigmas(row["schedule"], models[row["model"]], row["steps"], **row["options"]).tolist() for row in rows
    ]


def refusals() -> dict:
    flow, edm = kinds()["flow"], kinds()["edm"]
    return {
        "name": sentence(schedule_sigmas, "fastest", flow, 4),
        "flow range": sentence(schedule_sigmas, "angle", flow, 4, sigma_max=10.0),
        "range": sentence(schedule_sigmas, "poly_rho", edm, 4, sigma_max=1.0, sigma_min=2.0),
        "another sampler": sentence(recording, object(), Trajectory()),
        "empty trajectory": sentence(Trajectory().levels),
    }


def measure() -> dict:
    names = [*host_samplers.KSampler.DISCARD_PENULTIMATE_SIGMA_SAMPLERS]
    return {
        "registration": registration(),
        "schedules": schedules(),
        "stored": stored(),
        "refused": refusals(),
        "range": schedule_sigmas("trailing", kinds()["flow"], 3, sigma_max=0.9, sigma_min=0.3).tolist(),
        "drops": [
            [
                name
                for name in host_samplers.SAMPLER_NAMES
                if drops_penultimate_sigma(host_samplers.sampler_object(name))
            ],
            sorted(names),
            drops_penultimate_sigma(None),
            drops_penultimate_sigma(catalogue_sampler(CATALOGUE[0])),
        ],
    }


sys.stdout.write(json.dumps(measure()) + "\n")
