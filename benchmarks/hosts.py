"""Which versions of ComfyUI the pack works with: ``python3 lab.py bench hosts [VERSION ...]``.

Every test that needs a host, browser tests included, is run in each version by ``lab.py test --host VERSION -m host``,
one after the other, and docs/hosts.md is written anew from what the versions said so far. About ten minutes a version.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

from lab import import_pack

import_pack()

from sampler_lab.labkit import places
from sampler_lab.labkit.archive import HOST_ARCHIVES

DOCUMENT = places.ROOT / "docs" / "hosts.md"
RESULTS = places.OUTPUT / "hosts"
#: 0.3.75 is older than the interface that the nodes are written in.
VERSIONS = [archive.version for archive in HOST_ARCHIVES if archive.version != "0.3.75"]


def run(version: str) -> dict[str, object]:
    """Run the host tests on a version and count what they say."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / f"{version}.xml"
    command = [sys.executable, str(places.ROOT / "lab.py"), "test", "--host", version, "-m", "host", "-q"]
    begin = time.monotonic()
    subprocess.run([*command, f"--junitxml={report}"], cwd=places.ROOT, check=False)
    suite = ElementTree.parse(report).getroot().find("testsuite")
    failed = [
        case.get("name")
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = int(suite.get("skipped"))
    counts = {"passed": int(suite.get("tests")) - len(failed) - skipped, "failed": failed, "skipped": skipped}
    return {"version": version, **counts, "commit": commit(), "minutes": (time.monotonic() - begin) / 60}


def commit() -> str:
    """The commit that is checked out, with a + when files differ from it."""
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=places.ROOT, capture_output=True, text=True
    )
    return answer.stdout.strip() or "unknown"


def document(results: list[dict[str, object]]) -> str:
    """The page."""
    rows = [
        f"| {row['version']}{' (main)' if row['version'] == places.MAIN_HOST else ''} | {row['passed']} | "
        f"{len(row['failed'])} | {row['skipped']} | {', '.join(f'`{name}`' for name in row['failed']) or '-'} | "
        f"{row['commit']} |"
        for row in results
    ]
    return "\n".join(
        [
            "# Versions of ComfyUI",
            "",
            "Every test that needs a running ComfyUI or its editor, in each version: `python3 lab.py bench hosts`.",
            "One version alone: `python3 lab.py test --host 0.20.1 -m host`. Older versions run with the packages of",
            f"the main one, {places.MAIN_HOST}. Versions before 0.16.3 do not know the interface that the nodes are",
            "written in.",
            "",
            "| ComfyUI | passed | failed | skipped | which failed | commit |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main(versions: list[str]) -> None:
    """Run the named versions, or all, and write the page from every result there is."""
    for version in versions or VERSIONS:
        result = run(version)
        (RESULTS / f"{version}.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    stored = [RESULTS / f"{version}.json" for version in VERSIONS]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in stored if path.is_file()]
    DOCUMENT.write_text(document(results), encoding="utf-8")
    print(DOCUMENT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
