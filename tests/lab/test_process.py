"""Servers, tethers, locks and links: real processes, the host replaced by none; what is wrong is told in a sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sampler_lab.labkit.errors import LabError
from sampler_lab.labkit.link import link_folder
from sampler_lab.labkit.lock import locked
from sampler_lab.labkit.server import Server, free_port, port_is_free

ROOT = Path(__file__).resolve().parents[2]


def broken_host(folder: Path, program: str) -> Path:
    """A folder that looks like a ComfyUI and does what ``program`` says when it is started."""
    (folder / "comfy").mkdir(parents=True)
    (folder / "comfy" / "cli_args.py").write_text("")
    (folder / "main.py").write_text(program)
    return folder


def test_a_taken_port_is_told_before_the_start(tmp_path):
    host = broken_host(tmp_path / "host", "raise SystemExit('started')")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert not port_is_free(port)
        with pytest.raises(LabError, match=f"Port {port} is taken by another program: choose another one with --port"):
            Server(host, base=tmp_path / "base", port=port, cpu=True).start()
    assert not (tmp_path / "base" / "server.log").exists()


def test_a_host_that_ends_shows_the_end_of_its_log(tmp_path):
    lines = "\n".join(f"print('line {i}')" for i in range(100))
    host = broken_host(tmp_path / "host", f"{lines}\nraise SystemExit('\x1b[31mno such module\x1b[0m')")
    server = Server(host, base=tmp_path / "base", cpu=True)
    with pytest.raises(LabError, match="ended with status 1 before it came up") as failed:
        server.start()
    assert str(failed.value).splitlines()[-1] == "no such module"
    assert "line 99" in str(failed.value)
    assert "line 50" not in str(failed.value)
    assert server.pid is None


def test_a_host_that_hangs_is_stopped(tmp_path):
    host = broken_host(tmp_path / "host", "import time; print('thinking'); time.sleep(600)")
    server = Server(host, base=tmp_path / "base", cpu=True)
    with pytest.raises(LabError, match=r"(?s)did not come up within 1 seconds.*thinking"):
        server.start(timeout=1)
    assert server.pid is None


def test_a_folder_without_a_host_is_refused(tmp_path):
    with pytest.raises(LabError, match="is not a ComfyUI folder"):
        Server(tmp_path, base=tmp_path / "base").start()


def test_a_free_port_can_be_listened_on():
    port = free_port()
    assert port_is_free(port)


def test_a_tethered_program_goes_when_its_starter_is_killed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, pathlib, sys, time\npathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\ntime.sleep(600)\n"
    )
    note = tmp_path / "pid"
    code = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
        "import lab; lab.import_pack()\n"
        "from sampler_lab.labkit.tether import tethered\n"
        f"child = tethered(sys.executable, [{str(program)!r}, {str(note)!r}]); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code])
    try:
        pid = int(eventually(lambda: note.exists() and note.read_text()))
        assert is_alive(pid)
    finally:
        starter.kill()
        starter.wait()
    eventually(lambda: not is_alive(pid))


def test_a_tethered_program_sees_its_own_arguments_and_status(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import sys; print(sys.argv[1:], __name__, sys.path[0] == sys.argv[2]); sys.exit(5)")
    from sampler_lab.labkit.tether import tethered

    child = tethered(sys.executable, [str(program), "-x", str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with child:
        said = child.stdout.read()
    assert said == f"{['-x', str(tmp_path)]} __main__ True\n"
    assert child.returncode == 5


def test_only_one_process_holds_the_lock_and_a_killed_one_lets_go(tmp_path):
    lock, note = tmp_path / "lock", tmp_path / "held"
    code = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
        "import lab; lab.import_pack()\n"
        "from pathlib import Path\nfrom sampler_lab.labkit.lock import locked\n"
        f"with locked(Path({str(lock)!r})):\n"
        f"    Path({str(note)!r}).write_text('held')\n"
        "    time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code])
    eventually(note.exists)
    waited = []

    def on_wait() -> None:
        waited.append(True)
        holder.kill()

    with locked(lock, on_wait):
        assert waited == [True]
    holder.wait()


def test_a_link_leads_to_the_pack_and_can_be_made_twice(tmp_path):
    pack, link = tmp_path / "pack", tmp_path / "custom_nodes" / "sampler-lab"
    pack.mkdir()
    (pack / "here").write_text("")
    for _ in range(2):
        link_folder(pack, link)
        assert (link / "here").exists()


def test_a_link_that_leads_elsewhere_is_replaced(tmp_path):
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "link"
    for folder in (old, new):
        folder.mkdir()
        (folder / folder.name).write_text("")
    link_folder(old, link)
    link_folder(new, link)
    assert (link / "new").exists()
    assert (old / "old").exists(), "what the old link led to is not ours to remove"


def test_a_folder_in_the_way_of_the_link_is_left_alone(tmp_path):
    (tmp_path / "link").mkdir()
    with pytest.raises(LabError, match="is in the way: remove it"):
        link_folder(tmp_path, tmp_path / "link")


def eventually(condition, seconds: float = 30.0):
    """The first true value of ``condition``; fails when none comes."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("it never happened")


def is_alive(pid: int) -> bool:
    if os.name == "nt":
        return str(pid) in subprocess.run(["tasklist", "/FI", f"PID eq {pid}"], capture_output=True, text=True).stdout
    status = Path(f"/proc/{pid}/stat")
    if status.exists():
        return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"  # a zombie has ended; nobody has asked yet
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
