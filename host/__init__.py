"""The only layer that imports ``comfy``: what the pack asks of the ComfyUI that runs it.

* Models: ``decoder`` and ``latents`` (a VAE's), ``feature_space``, ``model_sampling``, ``emoji_prior``.
* Sampling: ``guiders``, ``post_cfg_hooks``, ``samplers``, ``schedulers``, ``registration``, ``latent_daps``,
  ``run_handle``, ``rows``, ``trajectory``, ``cancel``.
* The server and its editor: ``prompts``, ``notices``, ``live_view``, ``folders``, ``versions``.
"""
