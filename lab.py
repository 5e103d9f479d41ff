#!/usr/bin/env python3
"""The lab: a real ComfyUI with Sampler Lab in it, on a machine that has only Python and a package index.

    python3 lab.py demo       reconstruct a picture from the amplitudes of its Fourier transform
    python3 lab.py test       every test (arguments go on to pytest)
    python3 lab.py serve      open the editor
    python3 lab.py experiment NAME   run an experiment, or 'experiment report' on what was run
    python3 lab.py bench NAME        run benchmarks/NAME.py
    python3 lab.py repair     compare every installed file with what was installed, and mend it

Everything made lies in .lab/ and output/. The work is done in labkit/; this file only finds it, and stays readable for
Pythons too old to run the rest, so that it can say so.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 10)


def import_pack(name="sampler_lab"):
    """Register this folder as the package ``name`` and return it; a second call returns the same module.

    ComfyUI imports a pack under the name of its folder. Tests, benchmarks and scripts use this instead, so that
    ``from sampler_lab.operators import PhaseRetrieval`` works in any checkout, whatever its folder is called.
    """
    module = sys.modules.get(name)
    if module is not None:
        return module
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def main(arguments=None):
    """Run one command; the exit status."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(str(part) for part in sys.version_info[:3])
        wanted = ".".join(str(part) for part in OLDEST_PYTHON)
        print(
            "Sampler Lab needs Python %s or newer and this is %s: start lab.py with a newer one, for example "
            "'python3.12 lab.py demo'." % (wanted, found),
            file=sys.stderr,
        )
        return 1
    import_pack()
    return importlib.import_module("sampler_lab.labkit.cli").main(arguments)


if __name__ == "__main__":
    sys.exit(main())
