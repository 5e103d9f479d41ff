"""The experiments. Adding one is adding an entry here; ``lab.py experiment NAME`` then runs it.

exp0 is the baseline; exp1, exp2 and exp4 each add one part to the one before, so that a difference has one cause; exp3
asks why one starts with four; exp5 has what paid (docs/experiments.md). exp6 is the recipe and exp7 the recipe without
each of its parts (docs/recipe.md). langevin and no_class are what the benchmark compares with it
(docs/benchmarks/latent_daps.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ..labkit import places
from .experiment import Experiment
from .options import Value

__all__ = ["BASELINE", "BASELINES", "EXPERIMENTS", "catalogued"]

#: What every experiment sets, whatever the workflow was saved with.
BASELINE: Mapping[str, Value] = MappingProxyType(
    {
        "Particles.particles": 4,
        "LatentDAPS.preset": "emoji_hmc",
        "AnnealingScheduler.steps": 50,
        "RandomNoise.noise_seed": 42,
        "Measure.seed": 42,
    }
)
#: Shares of the model's direction; docs/experiments.md has what larger ones do.
REPULSION = {"Repulsion.rho": 0.04}
#: t = 200 of 1000 is after 80 % of the steps.
PRUNING = {"Pruning.keep": 2, "Pruning.progress": 0.8}

#: What the recipe's experiments set, whatever their workflow was saved with.
RECIPE: Mapping[str, Value] = MappingProxyType(
    {"PhaseRetrievalSampler.effort": 16, "PhaseRetrievalSampler.seed": 42, "Measure.seed": 42}
)
PARTS: Mapping[str, Value] = MappingProxyType(
    {"Particles.particles": 16, "RandomNoise.noise_seed": 42, "Measure.seed": 42}
)
#: By workflow: what each of its experiments sets.
BASELINES: Mapping[Path, Mapping[str, Value]] = MappingProxyType(
    {places.LATENT_DAPS_TEMPLATE: BASELINE, places.MAIN_TEMPLATE: RECIPE, places.PARTS_TEMPLATE: PARTS}
)
#: Of the recipe from its parts: what leaves each of them out.
PARTS_OFF: Mapping[str, tuple[str, Mapping[str, Value]]] = MappingProxyType(
    {
        "edge_map": (
            "its edge map",
            {"PixelDataStep.flat_share": 1.0, "JointFitDataStep.flat_share": 1.0},
        ),
        "feedback": ("its error feedback", {"PixelDataStep.feedback": 0.0}),
        "joint_fit": ("its joint fit, the only decoder gradients", {"JointFitDataStep.steps": 0}),
        "pruning": ("its prunings", {"Pruning.keep": 0}),
        "prior_error": ("the model's opinion in its blind choice", {"BlindChoice.prior_weight": 0.0}),
    }
)


def _without(part: str) -> Experiment:
    what, options = PARTS_OFF[part]
    question = f"What does the recipe find without {what}?"
    return Experiment(f"exp7_{part}", question, {**PARTS, **options}, places.PARTS_TEMPLATE)


EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        experiment.name: experiment
        for experiment in (
            Experiment("exp0", "The baseline: what do four independent particles find?", BASELINE),
            Experiment(
                "exp1", "Does repulsion find more, and spread particles over the modes?", {**BASELINE, **REPULSION}
            ),
            Experiment(
                "exp2",
                "Is the best still there after pruning 4 to 2 at t = 200, and what does it save?",
                {**BASELINE, **REPULSION, **PRUNING},
            ),
            Experiment(
                "exp3", "Why start with four: what do two particles find?", {**BASELINE, "Particles.particles": 2}
            ),
            Experiment(
                "exp4",
                "What does hard consistency from t = 200 gain, and what does it cost?",
                {**BASELINE, **REPULSION, **PRUNING, "HardConsistency.start": 0.8},
            ),
            Experiment(
                "exp5",
                "The best of what paid, eight independent particles pruned to two at t = 200: what does it reach?",
                {**BASELINE, **PRUNING, "Particles.particles": 8},
            ),
            Experiment(
                "langevin",
                "What do Langevin chains find in place of Hamiltonian ones?",
                {**BASELINE, "LatentDAPS.preset": "emoji_langevin"},
            ),
            Experiment(
                "no_class",
                "What do Langevin chains find that are not told the class of the picture?",
                {**BASELINE, "LatentDAPS.preset": "emoji_langevin", "EmojiPrompt.class_name": "none"},
            ),
            Experiment("exp6", "What does the recipe find?", RECIPE, places.MAIN_TEMPLATE),
            Experiment(
                "exp7", "The same from its parts: with all of them, what does it find?", PARTS, places.PARTS_TEMPLATE
            ),
            *(_without(part) for part in PARTS_OFF),
        )
    }
)


def catalogued(name: str) -> Experiment:
    """The experiment of this name; for a name of your own the baseline, to be changed."""
    return EXPERIMENTS.get(name, Experiment(name, "A setting of your own.", BASELINE))
