"""Write the tables and plots of docs/experiments.md and docs/benchmarks/latent_daps.md from what was run.

``python3 lab.py bench pages`` reads the results of exp0 to exp5 and of ``lab.py bench latent_daps``, and replaces what
stands between ``<!-- NAME -->`` and ``<!-- end of NAME -->`` in the pages; the words around it are people's. It writes
nothing as long as one glyph of one experiment is missing, so that no page is half of one set and half of another.

Times are left out: they depend on what else the machine did. Calls of the networks are exact.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from lab import import_pack

import_pack()

import latent_daps
from sampler_lab.experiments.cli import RESULTS
from sampler_lab.experiments.pictures import Picture, emoji_pictures
from sampler_lab.experiments.results import is_finished
from sampler_lab.instruments.plots.runs import PLOTS, cost
from sampler_lab.instruments.runs.differences import every_pair, paired
from sampler_lab.instruments.runs.runs import load_runs
from sampler_lab.instruments.runs.table import Table
from sampler_lab.instruments.runs.tables import coverage, every_image, phases, summary
from sampler_lab.priors.loader import load_emoji_prior

EXPERIMENTS = [f"exp{k}" for k in range(6)]
PAGE, BENCHMARK = ROOT / "docs" / "experiments.md", ROOT / "docs" / "benchmarks" / "latent_daps.md"
PICTURES = ROOT / "docs" / "images" / "experiments"


def missing(names: Sequence[str], pictures: Sequence[Picture], results: Path) -> list[str]:
    """What has no result yet, as EXPERIMENT/GLYPH."""
    pairs = [f"{name}/{picture.name}" for name in names for picture in pictures]
    return [each for each in pairs if not is_finished(results / each)]


def without_times(table: Table) -> Table:
    """The table without columns and rows that tell seconds."""
    kept = [k for k, head in enumerate(table.head) if not head.startswith("time")]
    rows = [row for row in table.rows if not any(cell.startswith("time") for cell in row)]
    return replace(table, head=[table.head[k] for k in kept], rows=[[row[k] for k in kept] for row in rows])


def with_tables(text: str, tables: Sequence[Table]) -> str:
    """A page with its tables replaced. Raises ``ValueError`` where it has no place for one."""
    for table in tables:
        begin, end = f"<!-- {table.name} -->", f"<!-- end of {table.name} -->"
        place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"the page has no place for the table {table.name}: {begin} ... {end}.")
        made = f"{begin}\n{table.to_markdown().strip()}\n{end}"
        text = place.sub(lambda _, made=made: made, text)
    return text


def main() -> int:
    """Check that everything is there; write the pages and the plots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where results are")
    results = parser.parse_args().results
    pictures = emoji_pictures(None, 0)
    methods = [*latent_daps.QUEUED.values(), latent_daps.GAUSSIAN.name, latent_daps.HIO.name]
    left = missing(list(dict.fromkeys([*EXPERIMENTS, *methods])), pictures, results)
    if left:
        print(f"{len(left)} results are missing, so no page is written: {', '.join(left[:8])} ...", file=sys.stderr)
        return 1
    runs = load_runs([results / name for name in EXPERIMENTS])
    tables = [make(runs) for make in (summary, paired, every_pair, coverage, phases, every_image)]
    page = with_tables(PAGE.read_text(encoding="utf-8"), [without_times(table) for table in tables])
    found, prior = latent_daps.methods(pictures, results), load_emoji_prior()
    ceilings = {picture.name: latent_daps.ceiling(prior, picture.name) for picture in pictures}
    own = [latent_daps.summary(found), latent_daps.every_glyph(found, ceilings)]
    benchmark = with_tables(BENCHMARK.read_text(encoding="utf-8"), own)
    for name, draw in PLOTS.items():
        # Times are left out: other programs used the machine.
        figure = draw(runs, with_seconds=False) if draw is cost else draw(runs)
        figure.savefig(PICTURES / f"{name}.png")
    PAGE.write_text(page, encoding="utf-8")
    BENCHMARK.write_text(benchmark, encoding="utf-8")
    print(f"{PAGE}\n{BENCHMARK}\n{PICTURES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
