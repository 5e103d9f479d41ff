"""The table of hosts: what it makes of pytest's reports."""

from __future__ import annotations

import pytest
from sampler_lab.labkit.errors import LabError

hosts = pytest.importorskip("benchmarks.hosts")

REPORT = """<testsuites><testsuite tests="5" skipped="2" failures="1" errors="0">
<properties><property name="comfyui" value="0.20.1"/></properties>
<testcase classname="tests.host.test_a" name="test_one"/>
<testcase classname="tests.host.test_a" name="test_two"/>
<testcase classname="tests.host.test_a" name="test_three[x]"><failure message="no"/></testcase>
<testcase classname="tests.host.test_b" name="test_four[x]"><skipped message="this ComfyUI has none"/></testcase>
<testcase classname="tests.host.test_b" name="test_four[y]"><skipped message="this ComfyUI has none"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    return path


def test_it_names_what_failed_and_why_others_were_skipped(report):
    result = {**hosts.read("0.20.1", report), "commit": "abc", "minutes": 12}
    page = hosts.document([result])
    assert "| 0.20.1 | 2 | 1 | 2 | 12 | abc |" in page
    assert "- 0.20.1: `test_a::test_three`" in page
    assert "- 0.20.1: this ComfyUI has none: `test_b::test_four` (2 cases)" in page
    assert "| 0.16.3 | not run |" in page


def test_a_report_about_another_version_is_refused(report):
    with pytest.raises(LabError, match=r"about ComfyUI 0\.20\.1, and 0\.16\.3 was asked for"):
        hosts.read("0.16.3", report)
