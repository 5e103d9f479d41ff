"""``lab.py serve`` as a person uses it: started, opened, stopped with Ctrl-C, and nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import patience
from sampler_lab.labkit.client import Client
from sampler_lab.labkit.outcome import ServerGone

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(os.name == "nt", reason="no Ctrl-C can be sent to a single process on Windows"),
]
ROOT = Path(__file__).resolve().parents[2]


def test_ctrl_c_stops_the_server_and_is_no_failure(comfyui):
    lab = subprocess.Popen(
        [sys.executable, str(ROOT / "lab.py"), "serve", "--comfyui", str(comfyui)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        # A shell's background job ignores Ctrl-C, and so would its children; this one is in the foreground.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        line = next(line for line in lab.stdout if line.startswith("The editor is at "))
        client = Client(re.search(r"http://\S+?(?=,)", line)[0])
        assert client.system_stats()["system"]["comfyui_version"]
        lab.send_signal(signal.SIGINT)
        rest, errors = lab.communicate(timeout=patience(60))
    finally:
        lab.kill()
        lab.wait()
    assert (lab.returncode, rest, errors) == (0, "Stopped.\n", "")
    with pytest.raises(ServerGone):
        client.system_stats()
