"""Emoji-64: the small latent diffusion prior that ships with the pack (see README.md here).

Everything in this layer is plain torch and runs without ComfyUI; `host/emoji_prior.py` wraps it for the host.
"""
