"""Nodes of the catalogue's samplers, made from the catalogue: one per family that has something to set, one for all."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io

from ..diffusion.options import Option
from ..host.samplers import catalogue_sampler
from ..samplers import CATALOGUE, SamplerEntry, entry
from .inputs import widgets

__all__ = ["NODES", "describe", "family_node", "family_nodes"]

CATEGORY = "sampler lab/samplers"
#: How the parts of a family's name are written for people.
_WRITTEN = {"dpmpp": "DPM++", "er": "ER", "sde": "SDE", "res": "RES", "2m": "2M", "2s": "2S"}


def describe(sampler: SamplerEntry) -> str:
    """One line: order, model calls per step, whether it adds noise, where it comes from."""
    calls = "1 model call" if sampler.model_calls_per_step == 1 else f"{sampler.model_calls_per_step} model calls"
    noise = "stochastic" if sampler.stochastic else "deterministic"
    return f"{sampler.name}: order {sampler.order}, {calls} per step, {noise}, {sampler.reference}"


def family_nodes(catalogue: Sequence[SamplerEntry]) -> list[type[io.ComfyNode]]:
    """A node for each family of the catalogue with something to set besides ``form``.

    The others are in Sampler Select only; RES without noise is the node of its ancestral family at eta 0.
    """
    families = dict.fromkeys(each.family for each in catalogue if {option.name for option in each.options} - {"form"})
    return [family_node([each for each in catalogue if each.family == family]) for family in families]


def family_node(forms: Sequence[SamplerEntry]) -> type[io.ComfyNode]:
    """The node ``SamplerLab<Family>`` of one family: its options, and a switch where it has a plain and a CFG++ form.

    Args:
        forms: the entries of the family: the plain sampler, its CFG++ form, or both.
    """
    by_cfg_pp = {each.cfg_pp: each for each in forms}
    first = by_cfg_pp.get(False) or by_cfg_pp[True]
    has_both = len(by_cfg_pp) == 2
    node_id = "SamplerLab" + "".join(part.capitalize() for part in first.family.split("_"))

    class FamilyNode(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            also = " Also with CFG++." if has_both else ""
            return io.Schema(
                node_id=node_id,
                display_name=f"{_title(first.family)} Sampler",
                category=CATEGORY,
                description=f"{describe(first)}.{also} Right on every kind of model.",
                search_aliases=[*(each.dropdown_name for each in forms), *(["cfg++"] * (True in by_cfg_pp)), "sampler"],
                inputs=[*([_switch()] if has_both else []), *widgets(_options_of(forms))],
                outputs=[io.Sampler.Output(tooltip="For the sampler input of SamplerCustomAdvanced.")],
            )

        @classmethod
        def execute(cls, cfg_pp: bool = first.cfg_pp, **values: float | str | bool) -> io.NodeOutput:
            chosen = by_cfg_pp[cfg_pp]
            # Without CFG++ there is nothing to choose about the unconditional prediction.
            known = {option.name: values[option.name] for option in chosen.options if option.name in values}
            return io.NodeOutput(catalogue_sampler(chosen, **known))

    FamilyNode.__name__ = FamilyNode.__qualname__ = node_id
    FamilyNode.__doc__ = f"SAMPLER: {first.family}{', with CFG++ or without' if has_both else ''}."
    return FamilyNode


def _switch() -> io.Input:
    return io.Boolean.Input(
        "cfg_pp",
        default=True,
        tooltip="CFG++: noise goes on from the unconditional prediction, so that guidance does not burn. Use a scale "
        "of 0.4 to 2 in the guider, which needs a negative. Off: the plain sampler.",
    )


def _options_of(forms: Sequence[SamplerEntry]) -> list[Option]:
    """Every option of a family once; in the order of the form that has most."""
    longest_first = sorted(forms, key=lambda each: -len(each.options))
    return list({option.name: option for form in longest_first for option in form.options}.values())


def _title(family: str) -> str:
    return " ".join(_WRITTEN.get(part, part.capitalize()) for part in family.split("_"))


class SamplerLabSamplerSelect(io.ComfyNode):
    """SAMPLER: any of the catalogue, as it is by default."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabSamplerSelect",
            display_name="Sampler Select (Sampler Lab)",
            category=CATEGORY,
            description="Every sampler of this pack with its usual settings, the same as lab_… in a KSampler. The "
            "second output says what the chosen one is.",
            search_aliases=["KSamplerSelect", "cfg++", "cfg_pp", *(each.dropdown_name for each in CATALOGUE)],
            inputs=[
                io.Combo.Input(
                    "sampler_name",
                    options=[each.name for each in CATALOGUE],
                    default="dpmpp_2m_cfg_pp",
                    tooltip="The method. …_cfg_pp is its CFG++ form, which needs a negative and a scale of 0.4 to 2. "
                    "The help page compares them all.",
                ),
            ],
            outputs=[
                io.Sampler.Output(tooltip="For the sampler input of SamplerCustomAdvanced."),
                io.String.Output(
                    display_name="about", tooltip="Its order, model calls per step and reference, in one line."
                ),
            ],
        )

    @classmethod
    def execute(cls, sampler_name: str) -> io.NodeOutput:
        chosen = entry(sampler_name)
        return io.NodeOutput(catalogue_sampler(chosen), describe(chosen))


NODES = [SamplerLabSamplerSelect, *family_nodes(CATALOGUE)]
