"""The samplers' tables: orders and constants on exact problems, then overhead beside the host's native functions.

``python3 lab.py bench samplers``; ``--pairs`` and ``--sampler`` go to ``sampler_overhead.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import sampler_orders
import sampler_overhead

if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
    else:
        sampler_orders.main([])
        print("\n## Overhead\n")
    sampler_overhead.main()
