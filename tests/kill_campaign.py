"""Kill every command of ``lab.py`` at random moments, and look at what is left: processes, files, and the next start.

    python3 lab.py test -q -s tests/lab/test_kills.py            a few kills, in every test run
    .lab/venv/bin/python tests/kill_campaign.py --kills 40   the campaign (Linux; about half an hour on two cores)

Each kill is SIGKILL or SIGTERM, of ``lab.py`` or of one of the processes below it, after a random time. Then must hold:

* within ``GONE`` seconds no process of it is left (each carries a mark in its environment, so none can hide);
* nobody has printed a traceback, and one who was not killed himself says what was killed;
* every picture can be decoded, every JSON file read, and no folder of a demo is empty;
* what an experiment had finished is as it was, to the bit;
* the next start works: each kill is also a start, and at the end each command runs through.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
MARK = "SAMPLER_LAB_CAMPAIGN"
GONE = 30.0
SIGNALS = (signal.SIGKILL, signal.SIGTERM)


@dataclass(frozen=True)
class Command:
    """One command.

    arguments: of ``lab.py``. longest: seconds within which the kill comes. ends: whether it ends by itself.
    at_work: what its host's log says when there is something to lose.
    """

    name: str
    arguments: tuple[str, ...]
    longest: float
    ends: bool = True
    at_work: str = "got prompt"


def commands(results: Path, bench: Path) -> list[Command]:
    """Every command, as short as it can be while it still does all that it does."""
    quick = ("--num_samples", "2", "--steps", "2", "--count", "8")
    return [
        Command("experiment", ("experiment", "exp3", *quick, "--out", str(results)), 70),
        Command("demo", ("demo",), 100),
        Command("serve", ("serve", "--port", str(_free_port())), 50, ends=False, at_work="To see the GUI"),
        Command("test", ("test", "-q", "tests/host/test_server.py"), 60),
        Command("bench", ("bench", "latent_daps", "--glyphs", "1", "--out", str(bench)), 40, ends=False),
    ]


@dataclass
class Report:
    """What was done and what was found to be wrong."""

    kills: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def text(self) -> str:
        rows = [
            f"{count:4} {command:11} {number} of {target}" for (command, number, target), count in self.kills.items()
        ]
        return "\n".join([*sorted(rows), f"{self.kills.total()} kills, {len(self.wrong)} faults", *self.wrong])


class Campaign:
    """One after the other, in an order and at moments that follow from ``seed``."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.report = Report()
        self.results = folder / "results"
        self.commands = {each.name: each for each in commands(self.results, folder / "bench")}

    def kill(self, command: Command, number: signal.Signals, below: bool, after: float, late: bool = False) -> None:
        """Start, kill, look. below: not lab.py itself, but a process that it has started. late: count from when the
        host is at work."""
        finished = contents(self.results)
        with started(command, self.folder) as run:
            if late:
                wait_for_work(command, run.process)
            ends = time.monotonic() + after
            while time.monotonic() < ends and run.process.poll() is None:
                time.sleep(0.02)
            victim = run.process.pid
            if below and (others := [pid for pid in marked(run.mark) if pid != victim]):
                victim = self.random.choice(others)
            target = "lab.py" if victim == run.process.pid else "a child"
            was_over = run.process.poll() is not None
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, number)
            if target == "a child" and not command.ends:
                time.sleep(3)
                if run.process.poll() is None:
                    run.process.terminate()  # one child less may not be the end of it
            self._look(run, command, f"{command.name}, {number.name} of {target} after {after:.1f} s")
        self.report.kills[command.name, number.name, target + (" (over already)" if was_over else "")] += 1
        self._files(finished, command.name)

    def finish(self, command: Command) -> None:
        """After all the kills the command does what it always did."""
        with started(command, self.folder) as run:
            try:
                status, wanted = run.process.wait(900 if command.ends else command.longest), 0
            except subprocess.TimeoutExpired:
                run.process.terminate()
                status, wanted = run.process.wait(GONE), 143
            if status != wanted or command.ends != (wanted == 0):
                self.report.wrong.append(f"{command.name} at the end: status {status}. {run.said()[-1500:]}")
        self._files(contents(self.results), command.name)

    def _look(self, run: Run, command: Command, what: str) -> None:
        try:
            run.process.wait(120 if command.ends else GONE)
        except subprocess.TimeoutExpired:
            self.report.wrong.append(f"{what}: it does not end")
        ends = time.monotonic() + GONE
        while (left := marked(run.mark)) and time.monotonic() < ends:
            time.sleep(0.1)
        if left:
            self.report.wrong.append(f"{what}: left running: {[command_line(pid) for pid in left]}")
        # pytest shows where a test was when its host was killed; that is its business.
        if "Traceback" in run.said() and not (command.name == "test" and "of a child" in what):
            self.report.wrong.append(f"{what}: a traceback\n{run.said()[-3000:]}")
        if "of a child" in what and run.process.returncode not in (0, None) and not run.said().strip():
            self.report.wrong.append(f"{what}: status {run.process.returncode} without a word")

    def _files(self, finished: dict[Path, str], what: str) -> None:
        now = contents(self.results)
        lost = [str(path) for path, digest in finished.items() if now.get(path) != digest]
        if lost:
            self.report.wrong.append(f"{what}: finished files changed: {lost}")
        self.report.wrong += [f"{what}: {each}" for each in bad_files([self.results, *new_demos(self.folder)])]


@dataclass
class Run:
    """lab.py under way. mark: in the environment of everything that it starts."""

    process: subprocess.Popen
    mark: str
    log: Path

    def said(self) -> str:
        """All that it said."""
        return self.log.with_suffix(".out").read_text(errors="replace") + self.errors()

    def errors(self) -> str:
        """What it said on the standard error."""
        return self.log.with_suffix(".err").read_text(errors="replace")


@contextlib.contextmanager
def started(command: Command, folder: Path) -> Iterator[Run]:
    """lab.py with its own session; whatever of it is there at the end, the campaign ends."""
    mark = uuid.uuid4().hex
    log = folder / f"{command.name}-{mark[:8]}"
    with log.with_suffix(".out").open("wb") as out, log.with_suffix(".err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "lab.py"), *command.arguments],
            env={**os.environ, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    try:
        yield Run(process, mark, log)
    finally:
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def marked(mark: str) -> list[int]:
    """Processes with ``mark`` in their environment; one that has ended and was not asked for has none any more."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


def command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return "?"


def contents(results: Path) -> dict[Path, str]:
    """Every file of a finished image to its hash."""
    folders = [path.parent for path in results.rglob("metrics.json") if not path.parent.name.startswith(".")]
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in folder.iterdir()
        if path.is_file()
    }


def bad_files(folders: Sequence[Path]) -> list[str]:
    """Pictures that cannot be decoded, JSON that cannot be read, folders with nothing in them."""
    wrong = []
    for folder in folders:
        if folder.is_dir() and not any(path.is_file() for path in folder.rglob("*")):
            wrong.append(f"{folder} is empty")
        for path in folder.rglob("*"):
            try:
                if path.suffix == ".png":
                    with Image.open(path) as picture:
                        picture.load()
                elif path.suffix == ".json":
                    json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                wrong.append(f"{path}: {error}")
    return wrong


def wait_for_work(command: Command, process: subprocess.Popen) -> None:
    """Until the host of the command is at work, or the command is over."""
    log = ROOT / ".lab" / "running" / f"{command.name}-1" / "server.log"
    began = time.time()
    while process.poll() is None:
        with contextlib.suppress(OSError):
            if log.stat().st_mtime > began and command.at_work in log.read_text(errors="replace"):
                return
        time.sleep(0.1)


def new_demos(since: Path) -> list[Path]:
    """Folders of demos that were made after the folder ``since``."""
    begin = since.stat().st_ctime if not (since / "begin").exists() else (since / "begin").stat().st_mtime
    return [path for path in (ROOT / "output").glob("demo-*") if path.stat().st_mtime > begin]


def say(text: str) -> None:
    """At once, also into a file."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_campaign(
    kills: int, seed: int, folder: Path, names: Sequence[str] = (), finish: bool = True, late: bool = False
) -> Report:
    """``kills`` of them, the commands in turns; then each command once to its end.

    late: kill only when a host is at work, within half a minute.
    """
    (folder / "begin").write_text("")
    campaign = Campaign(folder, seed)
    chosen = [campaign.commands[name] for name in names] or list(campaign.commands.values())
    for k in range(kills):
        command = chosen[k % len(chosen)]
        round_number = k // len(chosen)
        after = campaign.random.uniform(0.1, min(command.longest, 30) if late else command.longest)
        campaign.kill(command, SIGNALS[round_number % 2], below=round_number % 8 in (3, 6), after=after, late=late)
        say(f"{k + 1} of {kills}: {command.name} after {after:.1f} s, {len(campaign.report.wrong)} faults")
    if finish:
        for command in chosen:
            campaign.finish(command)
    return campaign.report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=(), help="these commands only")
    parser.add_argument("--late", action="store_true", help="only while a host is at work (experiment, demo, serve)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sampler-lab-kills-") as folder:
        report = run_campaign(asked.kills, asked.seed, Path(folder), asked.only, late=asked.late)
    say(report.text())
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
