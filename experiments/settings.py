"""What the experiments are: the options by the names that users of this method know, and the six of them.

exp0 is the baseline; exp1, exp2 and exp4 each add one part to the one before, so that a difference has one cause; exp3
asks why one starts with four; exp5 has what paid (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any

__all__ = ["EXPERIMENTS", "HELP", "OFF", "Experiment", "Options"]

OFF = -1
#: Steps are told as t of so many, counting down: t = 200 of 1000 is after 80 % of the annealing.
TRAINING_STEPS = 1000


#: What each option means, a phrase each: the command's help.
HELP: Mapping[str, str] = MappingProxyType(
    {
        "num_samples": "particles",
        "preset": "of the LatentDAPS Sampler",
        "steps": "annealing steps",
        "seed": "of all noise",
        "repulsion_scale": "rho or scale, whichever the mode uses; 0 is off",
        "repulsion_sigma_break": "sigma at which repulsion has faded out",
        "repulsion_mode": "normalised or raw, see the Repulsion node",
        "repulsion_schedule": "how it fades, see the Repulsion node",
        "repulsion_feature_space": "where distances are measured, see the Repulsion node",
        "repulsion_dino_model": "the network of the feature space dino",
        "pruning_step": "t of 1000, counting down, at which only pruning_keep particles go on; -1 is off",
        "pruning_keep": "particles that go on",
        "pruning_mode": "how they are chosen, see the Pruning node",
        "optimization_step": "t of 1000 from which hard consistency follows every step; -1 is off",
        "optimization_iterations": "at most, for each particle and step",
        "optimization_learning_rate": "of its Adam steps, see the Hard Consistency node",
        "optimization_gate_sigma": "see the Hard Consistency node",
    }
)


@dataclass(frozen=True)
class Options:
    """One run's options, as ``HELP`` explains them; everything that is not here is as in the template."""

    num_samples: int = 4
    preset: str = "emoji_hmc"
    steps: int = 50
    seed: int = 42
    repulsion_scale: float = 0.0
    repulsion_sigma_break: float = 0.3
    repulsion_mode: str = "normalised"
    repulsion_schedule: str = "linear"
    repulsion_feature_space: str = "latent"
    repulsion_dino_model: str = "vit_small_patch16_224.dino"
    pruning_step: int = OFF
    pruning_keep: int = 2
    pruning_mode: str = "diverse"
    optimization_step: int = OFF
    optimization_iterations: int = 20
    optimization_learning_rate: float = 1e-3
    optimization_gate_sigma: float = 0.2

    def __post_init__(self) -> None:
        for name in ("num_samples", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more.")
        for name in ("pruning_step", "optimization_step"):
            if getattr(self, name) != OFF and not 0 <= getattr(self, name) <= TRAINING_STEPS:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; it must be -1 (off) or a step from {TRAINING_STEPS} (the "
                    "beginning) down to 0 (the end)."
                )
        if not self.repulsion_scale >= 0:
            raise ValueError(f"repulsion_scale is {self.repulsion_scale}; it must be 0 (off) or more.")

    @staticmethod
    def progress(step: int) -> float:
        """The share of the annealing that is done at t = ``step``."""
        return 1 - step / TRAINING_STEPS

    def changed(self, **values: Any) -> Options:
        """These options with others in place of some; text from a command line becomes the type of the default.

        Raises:
            ValueError: an unknown name, or a value of the wrong type.
        """
        known = {field.name: type(field.default) for field in fields(self)}
        for name in values:
            if name not in known:
                raise ValueError(f"there is no option {name}; there are: {', '.join(known)}.")
        converted = {}
        for name, value in values.items():
            try:
                converted[name] = known[name](value)
            except ValueError:
                wanted = {int: "a whole number", float: "a number"}[known[name]]
                raise ValueError(f"{name} is {value!r}; it must be {wanted}.") from None
        return replace(self, **converted)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for experiment.json."""
        return asdict(self)


@dataclass(frozen=True)
class Experiment:
    """A name, what it asks, and its options."""

    name: str
    question: str
    options: Options


def _experiment(name: str, question: str, **options: Any) -> Experiment:
    return Experiment(name, question, Options(**options))


#: rho of the experiments with repulsion; docs/experiments.md has what larger ones do.
RHO = 0.04

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        experiment.name: experiment
        for experiment in (
            _experiment("exp0", "The baseline: what do four independent particles find?"),
            _experiment("exp1", "Does repulsion find more, and spread particles over the modes?", repulsion_scale=RHO),
            _experiment(
                "exp2",
                "Is the best still there after pruning 4 to 2 at t = 200, and what does it save?",
                repulsion_scale=RHO,
                pruning_step=200,
            ),
            _experiment("exp3", "Why start with four: what do two particles find?", num_samples=2),
            _experiment(
                "exp4",
                "What does hard consistency from t = 200 gain, and what does it cost?",
                repulsion_scale=RHO,
                pruning_step=200,
                optimization_step=200,
            ),
            _experiment(
                "exp5",
                "The best of what paid, eight independent particles pruned to two at t = 200: what does it reach?",
                num_samples=8,
                pruning_step=200,
            ),
        )
    }
)
