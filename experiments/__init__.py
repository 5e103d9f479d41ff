"""The numbered experiments: each an API graph sent to the prompt queue of a running ComfyUI, one image a prompt.

``settings.py`` says what each of them asks, ``graph.py`` makes its prompt, ``runner.py`` runs it and keeps the results;
``runs.py`` reads them, and ``report.py`` makes tables and plots of them. Nothing here computes with tensors.
"""
