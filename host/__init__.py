"""The only room that imports ``comfy``: what the pack asks of the ComfyUI that runs it."""
