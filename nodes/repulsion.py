"""The node of repulsion between LatentDAPS particles. It gives settings to the sampler and does nothing by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from comfy_api.latest import io

from ..diffusion.options import Option
from ..host.feature_space import FEATURE_SPACE, PREPROCESSING, FeatureSpaceOfRun
from ..posterior.interaction.dino import DINO_MODELS
from ..posterior.interaction.repulsion import Repulsion
from .inputs import widget
from .types import REPULSION

__all__ = ["NODES", "RepulsionSettings"]

_OPTIONS = {option.name: option for option in Repulsion.options()}
DINO_MODEL = Option(
    "dino_model",
    DINO_MODELS[0],
    "Which DINO the feature space dino uses, by timm's name. The small one is as published.",
    choices=DINO_MODELS,
    advanced=True,
    added_later=True,
)


@dataclass(frozen=True)
class RepulsionSettings:
    """Settings of repulsion; the feature space gets its VAE from the sampler that uses them."""

    options: Repulsion
    space: str
    preprocessing: str
    dino_model: str

    def feature_space(self, vae: Any) -> FeatureSpaceOfRun:
        """Of a run with this VAE."""
        return FeatureSpaceOfRun(self.space, vae, self.preprocessing, self.dino_model)


class SamplerLabRepulsion(io.ComfyNode):
    """REPULSION: how particles keep away from each other."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        # One strength, which means something else in each mode: two inputs, so that changing the mode breaks neither.
        strength = _OPTIONS["strength"]
        return io.Schema(
            node_id="SamplerLabRepulsion",
            display_name="Repulsion",
            category="sampler lab/posterior",
            description="While the picture is laid out, LatentDAPS particles push each other apart, so that several "
            "attempts do not all end in the same place.",
            search_aliases=["diversity", "particles", "RSD", "particle guidance", "DINO", "explore"],
            inputs=[
                widget(_OPTIONS["mode"]),
                widget(
                    replace(strength, name="rho", maximum=10.0),
                    tooltip="Strength in the mode normalised, usually 0.02 to 0.06. 0: off.",
                ),
                widget(
                    replace(strength, name="scale", default=10.0, step=0.1),
                    tooltip="Strength in the mode raw (published as repulsion_scale: 10 and less change little, 50 "
                    "destroys the pictures). 0: off. The mode normalised does not use it.",
                ),
                widget(_OPTIONS["sigma_break"]),
                widget(FEATURE_SPACE),
                widget(_OPTIONS["schedule"], optional=True),
                widget(DINO_MODEL),
                widget(PREPROCESSING),
                widget(_OPTIONS["micro_batch"], optional=True),
            ],
            outputs=[
                REPULSION.Output(
                    display_name="repulsion", tooltip="For the input of the same name of LatentDAPS Sampler."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        mode: str,
        rho: float,
        scale: float,
        feature_space: str,
        dino_model: str = DINO_MODELS[0],
        preprocessing: str = PREPROCESSING.default,
        **options: Any,
    ) -> io.NodeOutput:
        repulsion = Repulsion(strength=rho if mode == "normalised" else scale, mode=mode, **options)
        return io.NodeOutput(RepulsionSettings(repulsion, feature_space, preprocessing, dino_model))


NODES: list[type[io.ComfyNode]] = [SamplerLabRepulsion]
