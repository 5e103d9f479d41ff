"""Which versions of ComfyUI the pack works with: ``python3 lab.py bench hosts [VERSION ...]``.

Every test that needs a host, browser tests included, is run in each version by ``lab.py test --host VERSION -m host``,
one after the other, and docs/hosts.md is written anew from what the versions said so far; with ``--page`` it is written
only. Half an hour a version on two cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import import_pack

import_pack()

from sampler_lab.labkit import places
from sampler_lab.labkit.archive import HOST_ARCHIVES
from sampler_lab.labkit.errors import LabError

DOCUMENT = places.ROOT / "docs" / "hosts.md"
RESULTS = places.OUTPUT / "hosts"
VERSIONS = [archive.version for archive in HOST_ARCHIVES]
#: pytest's exit statuses: all passed, some failed.
ALL_WERE_RUN = (0, 1)

Result = Mapping[str, Any]


def run(version: str) -> Result:
    """Run the host tests on a version; what they say. Raises ``LabError`` when another version was tested."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / f"{version}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, str(places.ROOT / "lab.py"), "test", "--host", version, "-m", "host", "-q"]
    checked_out, begin = commit(), time.monotonic()
    ended = subprocess.run([*command, f"--junitxml={report}"], cwd=places.ROOT, check=False)
    if ended.returncode not in ALL_WERE_RUN or not report.is_file():
        raise LabError(f"The tests on ComfyUI {version} were not all run; why is said above.")
    return {**read(version, report), "commit": checked_out, "minutes": round((time.monotonic() - begin) / 60)}


def read(version: str, report: Path) -> Result:
    """What pytest's report says: how many tests passed, and what failed or was skipped, by the reason."""
    suite = ElementTree.parse(report).getroot().find("testsuite")
    tested = {each.get("value") for each in suite.iterfind("properties/property") if each.get("name") == "comfyui"}
    if tested - {version}:
        raise LabError(f"{report.name} is about ComfyUI {', '.join(sorted(tested))}, and {version} was asked for.")
    failed, skipped = [], {}
    for case in suite.iter("testcase"):
        name = f"{case.get('classname').rpartition('.')[2]}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif (left_out := case.find("skipped")) is not None:
            skipped.setdefault(left_out.get("message"), []).append(name)
    passed = int(suite.get("tests")) - len(failed) - sum(map(len, skipped.values()))
    return {"version": version, "passed": passed, "failed": failed, "skipped": skipped}


def commit() -> str:
    """The commit that is checked out, with a + when files differ from it."""
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=places.ROOT, capture_output=True, text=True
    )
    return answer.stdout.strip() or "unknown"


def document(results: Sequence[Result]) -> str:
    """The page. A version without a result is said to be without one."""
    by_version = {result["version"]: result for result in results}
    return "\n".join(
        [
            "# Versions of ComfyUI",
            "",
            "Every test that needs a running ComfyUI or its editor, in each version. To run them all:",
            "`python3 lab.py bench hosts`; one version alone: `python3 lab.py test --host 0.20.1 -m host`. Older",
            f"versions run with the packages of the main one, {places.MAIN_HOST}, its editor included. Versions before",
            f"{places.OLDEST_HOST} do not know the interface that the nodes are written in.",
            "",
            "| ComfyUI | passed | failed | skipped | minutes | commit |",
            "|---|---:|---:|---:|---:|---|",
            *(_row(version, by_version.get(version)) for version in VERSIONS),
            "",
            *_section("Failed", ((each["version"], {"": each["failed"]}) for each in results if each["failed"])),
            *_section("Skipped", ((each["version"], each["skipped"]) for each in results if each["skipped"])),
        ]
    )


def _row(version: str, result: Result | None) -> str:
    name = f"{version} (main)" if version == places.MAIN_HOST else version
    if result is None:
        return f"| {name} | not run | | | | |"
    skipped = sum(map(len, result["skipped"].values()))
    figures = (result["passed"], len(result["failed"]), skipped, result["minutes"], result["commit"])
    return f"| {name} | {' | '.join(map(str, figures))} |"


def _section(title: str, versions: Any) -> list[str]:
    """Per version and reason, the tests; a test with many cases once, with their number."""
    lines = []
    for version, reasons in versions:
        for reason, names in reasons.items():
            counts = Counter(name.partition("[")[0] for name in names)
            tests = [f"`{name}`" + (f" ({count} cases)" if count > 1 else "") for name, count in counts.items()]
            lines.append(f"- {version}: {f'{reason}: ' if reason else ''}{', '.join(tests)}")
    return [f"## {title}", "", *lines, ""] if lines else []


def main(arguments: Sequence[str]) -> None:
    """Run the named versions, or all, and write the page from every result there is."""
    if arguments != ["--page"]:
        for version in arguments or VERSIONS:
            (RESULTS / f"{version}.json").write_text(json.dumps(run(version), indent=1), encoding="utf-8")
    stored = [RESULTS / f"{version}.json" for version in VERSIONS]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in stored if path.is_file()]
    DOCUMENT.write_text(document(results), encoding="utf-8")
    print(DOCUMENT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
