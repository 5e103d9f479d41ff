"""Experiments: a question, options of a workflow's nodes, and a list of pictures; results on disk, tables and plots.

``catalogue.py`` has the experiments, each one entry. ``options.py`` says what an option is called, ``graph.py`` puts
options into the graph of a picture, ``executors.py`` runs it, ``runner.py`` does what is missing, ``results.py`` keeps
what comes, ``report.py`` makes tables and plots. Nothing here computes with tensors.
"""
