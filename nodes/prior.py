"""Nodes of the shipped prior: Emoji-64 as MODEL and VAE, its classes as CONDITIONING, held-out pictures as IMAGE."""

from __future__ import annotations

from comfy_api.latest import io

from ..host.emoji_prior import PARAMETERIZATIONS, emoji_conditioning, emoji_model, emoji_vae
from ..priors.classes import CLASSES, NULL_CLASS
from ..priors.held_out import list_glyphs, load_glyph

CATEGORY = "sampler lab/prior"


class SamplerLabLoadEmojiPrior(io.ComfyNode):
    """MODEL and VAE: the small prior that ships with the pack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabLoadEmojiPrior",
            display_name="Load Emoji Prior",
            category=CATEGORY,
            description="Emoji-64, a latent diffusion model of 64x64 emoji that ships with this pack: nothing to "
            "download, fast on a CPU. Works with KSampler, SamplerCustomAdvanced, VAE Encode and Decode.",
            search_aliases=["emoji", "checkpoint", "load model", "prior", "flow", "EDM", "test model"],
            inputs=[
                io.Combo.Input(
                    "parameterization",
                    options=list(PARAMETERIZATIONS),
                    default="edm",
                    tooltip="How samplers see the network. edm: noise is added to the image, sigma from 0.002 to 80 "
                    "(like Stable Diffusion). flow: image and noise are mixed, sigma from 0 to 1 (like Flux and SD3). "
                    "It is the same denoiser either way.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The denoiser, for any sampler or guider."),
                io.Vae.Output(tooltip="64x64 pixels to 16x16 latents and back; a latent is 4 times smaller."),
            ],
        )

    @classmethod
    def execute(cls, parameterization: str) -> io.NodeOutput:
        return io.NodeOutput(emoji_model(parameterization).clone(), emoji_vae())


class SamplerLabEmojiPrompt(io.ComfyNode):
    """CONDITIONING: one of the twelve classes, or none."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabEmojiPrompt",
            display_name="Emoji Prompt",
            category=CATEGORY,
            description="What the emoji shall show. It takes the place of a text prompt for the Emoji Prior; mix "
            "classes with ConditioningAverage.",
            search_aliases=["emoji", "class", "prompt", "label", "conditioning", "CLIP Text Encode"],
            inputs=[
                io.Combo.Input(
                    "class_name",
                    options=[NULL_CLASS, *CLASSES],
                    default=NULL_CLASS,
                    tooltip="A group of emoji. none: any emoji; use it as the negative conditioning, or when you do "
                    "not know what a measurement shows.",
                ),
            ],
            outputs=[io.Conditioning.Output(tooltip="For the positive or negative input of a sampler or guider.")],
        )

    @classmethod
    def execute(cls, class_name: str) -> io.NodeOutput:
        return io.NodeOutput(emoji_conditioning(class_name))


class SamplerLabEmojiPicture(io.ComfyNode):
    """IMAGE: an emoji that the prior has never seen."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = [glyph.name for glyph in list_glyphs()]
        return io.Schema(
            node_id="SamplerLabEmojiPicture",
            display_name="Emoji Picture (held out)",
            category=CATEGORY,
            description="A 64x64 emoji that was kept out of the training of the Emoji Prior: a test image.",
            search_aliases=["emoji", "test image", "ground truth", "example image", "held out"],
            inputs=[
                io.Combo.Input(
                    "name",
                    options=names,
                    default="tiger-face",
                    tooltip="Which emoji. All of them were held out, with every skin tone and variant of the same "
                    "drawing; a few are near another drawing that was not, as the help page says.",
                ),
            ],
            outputs=[io.Image.Output(tooltip="64x64 pixels, for Measure, VAE Encode or Compare To Reference.")],
        )

    @classmethod
    def execute(cls, name: str) -> io.NodeOutput:
        picture = load_glyph(name)
        return io.NodeOutput((picture.movedim(1, -1) + 1) / 2)


NODES: list[type[io.ComfyNode]] = [SamplerLabLoadEmojiPrior, SamplerLabEmojiPrompt, SamplerLabEmojiPicture]
