"""The report: tables and plots of any number of runs, in one folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..instruments.plots.runs import PLOTS
from ..instruments.runs.differences import every_pair, paired
from ..instruments.runs.reading import listed
from ..instruments.runs.runs import Runs, load_runs
from ..instruments.runs.table import Table
from ..instruments.runs.tables import coverage, every_image, phases, summary
from ..labkit.files import whole_file, write_whole

__all__ = ["write_report"]

TITLES = {
    "psnr": "Quality of every image",
    "residual": "Residual against the noise floor",
    "distance": "Distance between particles",
    "success": "Success rate",
    "cost": "Quality against work",
}


def write_report(folders: Sequence[str | Path], out: str | Path) -> list[Path]:
    """Read the runs in ``folders`` and write report.md, ``tables/*.csv``, ``tables/*.tex`` and ``plots/*.png``.

    Returns the files. Raises ``ValueError`` when there is no run, ``OSError`` when the disk does not allow it.
    """
    runs = load_runs(folders)
    out = Path(out)
    tables = [summary(runs), paired(runs), every_pair(runs), coverage(runs), phases(runs), every_image(runs)]
    tables = [table for table in tables if table.rows]
    files: list[Path] = []
    (out / "tables").mkdir(parents=True, exist_ok=True)
    (out / "plots").mkdir(exist_ok=True)
    for table in tables:
        for suffix, text in ((".csv", table.to_csv()), (".tex", table.to_latex())):
            files.append(out / "tables" / f"{table.name}{suffix}")
            write_whole(files[-1], text.encode())
    for name, draw in PLOTS.items():
        files.append(out / "plots" / f"{name}.png")
        with whole_file(files[-1]) as picture:
            draw(runs).savefig(picture)
    report = out / "report.md"
    write_whole(report, _text(runs, tables).encode())
    return [report, *files]


def _text(runs: Runs, tables: Sequence[Table]) -> str:
    parts = ["# Report", _about(runs)]
    parts += [f"- **{name}** {runs.questions[name]}" for name in runs.experiments if runs.questions.get(name)]
    parts += ["\n".join(f"- {note}" for note in runs.notes)] if runs.notes else []
    for table in tables:
        parts += [f"## {table.title}", table.to_markdown().strip()]
        if table.name == "summary":
            parts += [f"![{title}](plots/{name}.png)" for name, title in TITLES.items()]
    if runs.problems:
        parts += ["## Left out", "\n".join(f"- {problem}" for problem in runs.problems)]
    return "\n\n".join(parts) + "\n"


def _about(runs: Runs) -> str:
    """What was run, where and with what, in one sentence; several of a kind are all named."""

    def named(values: Iterable[object]) -> str:
        return listed(list(dict.fromkeys(str(value) for value in values)))

    facts = [run.metrics for run in runs.runs]
    return (
        f"{len(runs.runs)} runs of {len(runs.experiments)} experiments on "
        f"{len({run.image for run in runs.runs})} images; device {named(fact['device'] for fact in facts)}, "
        f"seed {named(fact['seed'] for fact in facts)}, ComfyUI "
        f"{named(fact['versions'].get('comfyui', 'unknown') for fact in facts)}, torch "
        f"{named(fact['versions'].get('torch', 'unknown') for fact in facts)}."
    )
