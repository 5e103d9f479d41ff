"""Whether a run of LatentDAPS came to an end without coming anywhere: what its record shows of it, in one sentence.

A chain with too large a step does not raise: it becomes NaN or infinite and is set back, or it settles at noise that
explains nothing. What then comes out of the decoder looks like a result. Three signs tell it from one:

* most chains of the run became non-finite, and were set back to what the model alone made of them;
* the residual is larger at the end than after the first step, when nothing was known yet;
* the best residual at the end is many times what the truth itself leaves, the noise floor, and a good part of the
  measurement. Either alone says little: a VAE that blurs cannot come near the floor of a measurement without noise.

Measured on Emoji-64 (64 pixels, noise 0.05): good runs end at 1.1 to 1.4 floors, and with step sizes of 0.1 and 1 at
11 to 65. At noise 0.01 the autoencoder alone, which only has to repeat a picture, leaves 2.5 to 10 floors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..diffusion.sentence import Sentence

__all__ = ["FARTHEST_FROM_FLOOR", "divergence"]

#: Best residual over noise floor, and over the sum of the squared measurement: above both a result explains nothing.
FARTHEST_FROM_FLOOR = 5.0
UNEXPLAINED_SHARE = 0.03
#: Share of the chains (one per particle and step) that may be set back before the rest is in doubt.
MOST_SET_BACK = 0.25
#: Residuals scatter: this much above the start is above it.
RISE = 1.05


def divergence(
    steps: Sequence[Mapping[str, Any]], noise_floor: float | None, energy: float, has_step_size: bool = True
) -> Sentence | None:
    """What is wrong with a run, or None when nothing is.

    Args:
        steps: the rows of its record, each with ``particles``, ``residual`` (one for each, None where it is not
            finite), and ``set_back`` (names of particles whose chain failed) where there were any.
        noise_floor: the residual expected of the truth; None or 0 when it is not known or there is no noise.
        energy: the sum of the squared values of the measurement.
        has_step_size: whether the run's data step has one; where not, a smaller one is no cure.
    """
    if not steps:
        return None
    chains = sum(len(row["particles"]) for row in steps)
    set_back = sum(len(row.get("set_back", ())) for row in steps)
    if set_back > MOST_SET_BACK * chains:
        return Sentence(
            "{set_back} of {chains} chains became NaN or infinite and were set back to what the model alone makes, so "
            "the measurement was mostly ignored; connect a Data Step node with a smaller step_size.",
            set_back=set_back,
            chains=chains,
        )
    first, last = _best(steps[0]), _best(steps[-1].get("polish") or steps[-1])
    if last is None:
        return _not_finite(has_step_size)
    if first is not None and len(steps) > 1 and last > RISE * first:
        return _risen(first, last, has_step_size)
    floor = noise_floor or 0.0
    if last > max(FARTHEST_FROM_FLOOR * floor, UNEXPLAINED_SHARE * energy):
        return _unexplained(last, energy, floor, has_step_size)
    return None


def _not_finite(has_step_size: bool) -> Sentence:
    if has_step_size:
        return Sentence(
            "no residual is finite at the end of the run; connect a Data Step node with a smaller step_size."
        )
    return Sentence(
        "no residual is finite at the end of the run, so the model or its VAE failed; check both with a KSampler and "
        "VAE Decode."
    )


def _risen(first: float, last: float, has_step_size: bool) -> Sentence:
    values = {"first": f"{first:.3g}", "last": f"{last:.3g}"}
    if has_step_size:
        return Sentence(
            "the residual rose from {first} at the first step to {last} at the last; connect a Data Step node with a "
            "smaller step_size.",
            **values,
        )
    return Sentence(
        "the residual rose from {first} at the first step to {last} at the last; connect the VAE that belongs to the "
        "model, and check that measurement_weight is 1.",
        **values,
    )


def _unexplained(residual: float, energy: float, floor: float, has_step_size: bool) -> Sentence:
    share = f"{residual / energy:.0%}"
    if not has_step_size:
        return Sentence(
            "the best residual at the end is {share} of the measurement's energy, so no particle explains it; try "
            "another seed, more effort or particles, or a model and a prompt that suit the picture.",
            share=share,
        )
    if not floor:
        return Sentence(
            "the best residual at the end is {share} of the measurement's energy, so no particle explains it; try "
            "another seed, more steps or particles, and a smaller step_size if you have set one.",
            share=share,
        )
    return Sentence(
        "the best residual at the end is {share} of the measurement's energy, {times} times the noise floor, so no "
        "particle explains it; try another seed, more steps or particles, and a smaller step_size if you have set one.",
        share=share,
        times=f"{residual / floor:.3g}",
    )


def _best(row: Mapping[str, Any]) -> float | None:
    """The smallest finite residual."""
    known = [value for value in row["residual"] if value is not None and math.isfinite(value)]
    return min(known, default=None)
