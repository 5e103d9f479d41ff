"""Nodes of the catalogue's samplers, made from the catalogue: one per family that has something to set, one for all."""

from __future__ import annotations

from comfy_api.latest import io

from ..host.samplers import catalogue_sampler
from ..samplers import CATALOGUE, Option, SamplerEntry, entry

__all__ = ["NODES", "describe", "family_node"]

CATEGORY = "sampler lab/samplers"
#: How the parts of a family's name are written for people.
_WRITTEN = {"dpmpp": "DPM++", "er": "ER", "sde": "SDE", "res": "RES", "2m": "2M", "2s": "2S"}


def describe(sampler: SamplerEntry) -> str:
    """One line: order, model calls per step, whether it adds noise, where it comes from."""
    calls = "1 model call" if sampler.model_calls_per_step == 1 else f"{sampler.model_calls_per_step} model calls"
    kind = "stochastic" if sampler.stochastic else "deterministic"
    return f"{sampler.name}: order {sampler.order}, {calls} per step, {kind}, {sampler.reference}"


def _title(family: str) -> str:
    return " ".join(_WRITTEN.get(part, part.capitalize()) for part in family.split("_"))


def _input(option: Option) -> io.Input:
    """The widget that an option of the catalogue asks for."""
    said = {"default": option.default, "tooltip": option.tooltip, "optional": option.added_later}
    if option.choices:
        return io.Combo.Input(option.name, options=list(option.choices), **said)
    kind, more = (io.Int, {}) if isinstance(option.default, int) else (io.Float, {"round": False})
    limits = {"min": option.minimum, "max": option.maximum, "step": option.step}
    return kind.Input(option.name, **said, **limits, **more)


def family_node(family: str) -> type[io.ComfyNode]:
    """The node ``SamplerLab<Family>`` of a family of the catalogue: its options, with CFG++ or without."""
    plain, with_cfg_pp = (
        next(each for each in CATALOGUE if each.family == family and each.cfg_pp is cfg_pp) for cfg_pp in (False, True)
    )
    # One of the two has every option of the other.
    options = max(plain.options, with_cfg_pp.options, key=len)

    class FamilyNode(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(
                node_id=_node_id(family),
                display_name=f"{_title(family)} Sampler",
                category=CATEGORY,
                description=f"{describe(plain)}. Also with CFG++. Right on every kind of model.",
                search_aliases=[plain.dropdown_name, with_cfg_pp.dropdown_name, "cfg++", "sampler"],
                inputs=[
                    io.Boolean.Input(
                        "cfg_pp",
                        default=True,
                        tooltip="CFG++: noise goes on from the unconditional prediction, so that guidance does not "
                        "burn. Use a scale of 0.4 to 2 in the guider, which needs a negative. Off: the plain sampler.",
                    ),
                    *(_input(option) for option in options),
                ],
                outputs=[io.Sampler.Output(tooltip="For the sampler input of SamplerCustomAdvanced.")],
            )

        @classmethod
        def execute(cls, cfg_pp: bool, **values: float | str) -> io.NodeOutput:
            chosen = with_cfg_pp if cfg_pp else plain
            # Without CFG++ there is nothing to choose about the unconditional prediction.
            known = {option.name: values[option.name] for option in chosen.options if option.name in values}
            return io.NodeOutput(catalogue_sampler(chosen, **known))

    FamilyNode.__name__ = FamilyNode.__qualname__ = _node_id(family)
    FamilyNode.__doc__ = f"SAMPLER: {family}, with CFG++ or without."
    return FamilyNode


def _node_id(family: str) -> str:
    return "SamplerLab" + "".join(part.capitalize() for part in family.split("_"))


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
                    tooltip="\n".join(describe(each) for each in CATALOGUE),
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


#: Families with nothing to set are in Sampler Select only; RES without noise, with a form only, is the node of its
#: ancestral family at eta 0.
FAMILIES = tuple(
    dict.fromkeys(each.family for each in CATALOGUE if {option.name for option in each.options} - {"form"})
)
NODES = [SamplerLabSamplerSelect, *(family_node(family) for family in FAMILIES)]
