"""The short names that users of the published method know, and what each sets: ``--num_samples 8``.

A name stands for one or two dotted options. Three of them switch a part on and off (``repulsion_scale``,
``pruning_step``, ``optimization_step``); the other names of a part count only where the part is on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .options import Value

__all__ = ["KNOWN_NAMES", "OFF", "KnownName", "from_schema_1", "with_known_names"]

Settings = dict[str, Any]
OFF = -1
#: Steps are told as t of so many, counting down: t = 200 of 1000 is after 80 % of the annealing.
TRAINING_STEPS = 1000


@dataclass(frozen=True)
class KnownName:
    """kind: of its value. sets: dotted names. note: what is not as at the node."""

    kind: type
    sets: tuple[str, ...]
    note: str = ""

    @property
    def help(self) -> str:
        """For the command's help; what the option means is said by the node."""
        return " and ".join(self.sets) + (f", {self.note}" if self.note else "")


def _name(kind: type, *sets: str, note: str = "") -> KnownName:
    return KnownName(kind, sets, note)


_AS_T = f"told as t of {TRAINING_STEPS}, counting down; {OFF} is off"
KNOWN_NAMES: Mapping[str, KnownName] = {
    "num_samples": _name(int, "Particles.particles"),
    "preset": _name(str, "LatentDAPS.preset"),
    "steps": _name(int, "AnnealingScheduler.steps"),
    "seed": _name(int, "RandomNoise.noise_seed", "Measure.seed"),
    "repulsion_scale": _name(float, "Repulsion.rho", note="or Repulsion.scale in the mode raw; 0 is off"),
    "repulsion_sigma_break": _name(float, "Repulsion.sigma_break"),
    "repulsion_mode": _name(str, "Repulsion.mode"),
    "repulsion_schedule": _name(str, "Repulsion.schedule"),
    "repulsion_feature_space": _name(str, "Repulsion.feature_space"),
    "repulsion_dino_model": _name(str, "Repulsion.dino_model"),
    "pruning_step": _name(int, "Pruning.progress", note=_AS_T),
    "pruning_keep": _name(int, "Pruning.keep"),
    "pruning_mode": _name(str, "Pruning.mode"),
    "optimization_step": _name(int, "HardConsistency.start", note=_AS_T),
    "optimization_iterations": _name(int, "HardConsistency.iterations"),
    "optimization_learning_rate": _name(float, "HardConsistency.learning_rate"),
    "optimization_gate_sigma": _name(float, "HardConsistency.gate_sigma"),
}
#: The parts, and the name that switches each.
_SWITCHES = {"Repulsion": "repulsion_scale", "Pruning": "pruning_step", "HardConsistency": "optimization_step"}


def with_known_names(options: Mapping[str, Any], given: Mapping[str, Value]) -> Settings:
    """``options`` with what the short names in ``given`` set; texts from a command line are read as what they must be.

    Raises:
        ValueError: an unknown name, or a value of the wrong type.
    """
    values = {name: _read(name, value) for name, value in given.items()}
    changed = dict(options)
    for name in ("pruning_step", "optimization_step"):
        if name in values:
            _switch(changed, name, values.pop(name))
    _repulsion(changed, values)
    for name, value in values.items():
        for dotted in KNOWN_NAMES[name].sets:
            part = dotted.partition(".")[0]
            if part not in _SWITCHES or _is_on(changed, part):
                changed[dotted] = value
    return changed


def from_schema_1(options: Mapping[str, Any]) -> Settings:
    """The options in an experiment.json that was written before options were dotted: all of them, by their short names.

    What the nodes of that time had as defaults is left out, because dotted options name only what they set.
    """
    settings = with_known_names({}, options)
    return {name: value for name, value in settings.items() if _DEFAULTS_OF_SCHEMA_1.get(name) != value}


_DEFAULTS_OF_SCHEMA_1: Mapping[str, Value] = {
    "Repulsion.mode": "normalised",
    "Repulsion.sigma_break": 0.3,
    "Repulsion.schedule": "linear",
    "Repulsion.feature_space": "latent",
    "Repulsion.dino_model": "vit_small_patch16_224.dino",
    "Pruning.mode": "diverse",
    "HardConsistency.iterations": 20,
    "HardConsistency.learning_rate": 1e-3,
    "HardConsistency.gate_sigma": 0.2,
}


def _read(name: str, value: Value) -> Any:
    known = KNOWN_NAMES.get(name)
    if known is None:
        raise ValueError(f"there is no option {name}; there are: {', '.join(KNOWN_NAMES)}.")
    try:
        return known.kind(value)
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}[known.kind]
        raise ValueError(f"{name} is {value!r}; it must be {wanted}.") from None


def _is_on(options: Settings, part: str) -> bool:
    return any(name.startswith(f"{part}.") for name in options)


def _drop(options: Settings, part: str) -> None:
    for name in [each for each in options if each.startswith(f"{part}.")]:
        del options[name]


def _switch(options: Settings, name: str, step: int) -> None:
    """Pruning or hard consistency from t = ``step`` on, or off."""
    (dotted,) = KNOWN_NAMES[name].sets
    if step == OFF:
        _drop(options, dotted.partition(".")[0])
        return
    if not 0 <= step <= TRAINING_STEPS:
        raise ValueError(
            f"{name} is {step}; it must be {OFF} (off) or a step from {TRAINING_STEPS} (the beginning) down to 0 (the "
            "end)."
        )
    options[dotted] = 1 - step / TRAINING_STEPS


def _repulsion(options: Settings, values: Settings) -> None:
    """One strength for both modes of repulsion, which the node has apart."""
    if not {"repulsion_scale", "repulsion_mode"} & values.keys():
        return
    before = options.get("Repulsion.rho", options.get("Repulsion.scale", 0.0))
    strength = values.pop("repulsion_scale", before)
    if not strength >= 0:
        raise ValueError(f"repulsion_scale is {strength}; it must be 0 (off) or more.")
    mode = values.pop("repulsion_mode", options.get("Repulsion.mode", "normalised"))
    for name in ("Repulsion.mode", "Repulsion.rho", "Repulsion.scale"):
        options.pop(name, None)
    if strength == 0:
        _drop(options, "Repulsion")
    elif mode == "normalised":
        options["Repulsion.rho"] = strength
    else:
        options |= {"Repulsion.mode": mode, "Repulsion.scale": strength}
