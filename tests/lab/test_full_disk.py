"""A disk that is full while plots are drawn: one sentence, and no empty picture.

A limit on the size of a file refuses what is written as a full disk does, in the middle of a file.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from recorded_runs import particle, write_experiment

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size there")


def on_a_full_disk(code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in the pack, with no file over 9000 bytes."""
    begin = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from lab import import_pack; import_pack()\n"
        "import resource; from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
    )
    return subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True, check=False)


def empty_or_hidden(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if path.stat().st_size == 0 or path.name.startswith(".")]


@pytest.fixture
def runs(tmp_path) -> Path:
    write_experiment(tmp_path / "runs", "exp0", {"cat": [particle(0, 26.0, 26.0)]})
    return tmp_path / "runs"


def test_the_plots_of_a_report(runs, tmp_path):
    ended = on_a_full_disk(
        "from sampler_lab.experiments.cli import main\n"
        f"sys.exit(main(['report', {str(runs)!r}, '--out', {str(tmp_path / 'report')!r}]))"
    )
    assert ended.returncode == 1, ended.stderr
    assert "The disk is full" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list((tmp_path / "report").rglob("*.png")) == []
    assert empty_or_hidden(tmp_path / "report") == []


def test_the_plot_of_the_demo(runs):
    (record,) = runs.rglob("metrics.json")
    before = record.read_bytes()
    ended = on_a_full_disk(
        "from sampler_lab.labkit import demo\nfrom sampler_lab.labkit.errors import LabError\n"
        f"try: demo._plot(Path(sys.executable), Path({str(record)!r}), [])\n"
        "except LabError as error: sys.exit(str(error))"
    )
    assert "metrics.json cannot be drawn (OSError: " in ended.stderr
    assert "the run's record and pictures are there" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert record.read_bytes() == before
    assert not (record.parent / "residuals.png").exists()
    assert empty_or_hidden(record.parent) == []
