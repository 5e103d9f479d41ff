"""Servers, tethers, locks and links: real processes, the host replaced by none; what is wrong is told in a sentence."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import psutil
import pytest
from patience import computed, eventually, patience, run_while_it_works
from sampler_lab.labkit import places
from sampler_lab.labkit.archive import HostArchive, sha256_of
from sampler_lab.labkit.client import Client
from sampler_lab.labkit.console import Console
from sampler_lab.labkit.errors import LabError
from sampler_lab.labkit.files import write_whole
from sampler_lab.labkit.link import link_folder
from sampler_lab.labkit.lock import claim, locked, own_folder
from sampler_lab.labkit.programs import how_it_ended
from sampler_lab.labkit.running import claim_results, running
from sampler_lab.labkit.server import Server, StartFailed, free_port, port_is_free
from sampler_lab.labkit.setup import Host

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
    with pytest.raises(LabError, match=r"(?s)did not come up within \d+ seconds, the last 1 of.*thinking"):
        server.start(timeout=1)
    assert server.pid is None


def test_a_host_that_is_slow_but_says_so_is_waited_for(tmp_path):
    program = "import time\nfor k in range(8):\n    print(k, flush=True); time.sleep(0.5)\n" + ANSWERING
    with Server(broken_host(tmp_path / "host", program), base=tmp_path / "base", cpu=True).start(timeout=3) as server:
        assert server.pid


def test_a_program_that_does_not_compute_any_more_is_stopped():
    computing = "import time\nwhile time.process_time() < 3: pass\nprint('done')"
    assert run_while_it_works([sys.executable, "-c", computing]).stdout == "done\n"
    with pytest.raises(TimeoutError, match="has not computed for 2 seconds"):
        run_while_it_works([sys.executable, "-c", "import time; time.sleep(600)"], idle=2)


def test_what_a_program_computes_is_counted_with_what_it_started():
    child = "import time\nwhile True: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", code]) as program:
        try:
            eventually(lambda: computed(program.pid) > 1)
        finally:
            for each in (*psutil.Process(program.pid).children(), program):
                each.kill()


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


def program_run_by(tmp_path: Path, program: str, **options) -> subprocess.Popen:
    """A process that runs ``program`` as ``lab.py test`` runs pytest; the program may write to ``note``."""
    (tmp_path / "program.py").write_text(
        f"import os, pathlib, signal, sys, time\nnote = pathlib.Path(sys.argv[1])\n{program}"
    )
    code = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import lab; lab.import_pack()\n"
        "from pathlib import Path\nfrom sampler_lab.labkit.programs import obey_sigterm, run_program\n"
        "obey_sigterm()\n"
        f"arguments = [{str(tmp_path / 'program.py')!r}, {str(tmp_path / 'note')!r}]\n"
        "sys.exit(run_program('The program', sys.executable, arguments, cwd=Path.cwd(), environment=os.environ))"
    )
    return subprocess.Popen([sys.executable, "-c", code], text=True, **options)


SAY_PID = "note.with_suffix('.new').write_text(str(os.getpid())); note.with_suffix('.new').replace(note); "


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_is_run_goes_with_whoever_runs_it(tmp_path, number):
    runner = program_run_by(tmp_path, SAY_PID + "time.sleep(600)", stderr=subprocess.DEVNULL)
    pid = int(eventually(lambda: (tmp_path / "note").exists() and (tmp_path / "note").read_text()))
    runner.send_signal(number)
    runner.wait(patience(60))
    eventually(lambda: not is_alive(pid))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_program_that_listens_to_sigterm_may_tidy_up_when_its_starter_is_killed(tmp_path):
    program = (
        "def tidy(*_): note.write_text('tidy'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, tidy)\n" + SAY_PID + "time.sleep(600)"
    )
    runner = program_run_by(tmp_path, program)
    pid = int(eventually(lambda: (tmp_path / "note").exists() and (tmp_path / "note").read_text()))
    runner.kill()
    runner.wait()
    eventually(lambda: not is_alive(pid))
    assert (tmp_path / "note").read_text() == "tidy"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_program_that_is_killed_is_named(tmp_path):
    runner = program_run_by(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)", stderr=subprocess.PIPE)
    said = runner.communicate(timeout=patience(60))[1]
    assert runner.returncode == 128 + signal.SIGKILL
    assert said.startswith("The program (process ")
    assert "was killed from outside (SIGKILL); mostly the system does that when the memory is full" in said
    assert len(said.splitlines()) == 1


def test_a_program_that_is_run_has_the_keyboard_and_its_status_is_ours(tmp_path):
    program = "note.write_text(input()); sys.exit(5)"
    runner = program_run_by(tmp_path, program, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    said = runner.communicate("typed\n", timeout=patience(60))[1]
    assert (runner.returncode, said, (tmp_path / "note").read_text()) == (5, "", "typed")


def test_what_a_group_leader_started_goes_with_it(tmp_path):
    """pip and the host start processes of their own, which hold on to nobody."""
    program = tmp_path / "program.py"
    program.write_text(
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid))\ntime.sleep(600)\n"
    )
    code = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
        "import lab; lab.import_pack()\n"
        "from sampler_lab.labkit.tether import tethered\n"
        f"child = tethered(sys.executable, [{str(program)!r}, {str(tmp_path / 'pid')!r}]); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code])
    try:
        pid = int(eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    finally:
        starter.kill()
        starter.wait()
    if os.name != "nt":
        eventually(lambda: not is_alive(pid))


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (-9, "was killed from outside (SIGKILL)"),
        (137, "was killed from outside (SIGKILL)"),
        (-11, "crashed (SIGSEGV): 'python3 lab.py repair'"),
        (-15, "was stopped from outside (SIGTERM)"),
        (3, "ended with status 3."),
    ],
)
def test_how_a_process_ended_is_one_sentence(status, says):
    said = how_it_ended("ComfyUI", 4711, status)
    assert said.startswith("ComfyUI (process 4711) ")
    assert says in said


#: A host as far as the start goes: it answers one question.
ANSWERING = (
    "import http.server, json, sys\n"
    "class Answer(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps({'system': {}}).encode())\n"
    "    def log_message(self, *_): pass\n"
    "port = int(sys.argv[sys.argv.index('--port') + 1])\n"
    "http.server.HTTPServer(('127.0.0.1', port), Answer).serve_forever()\n"
)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_host_that_is_killed_is_named_instead_of_a_server_that_does_not_answer(tmp_path):
    host = broken_host(tmp_path / "host", ANSWERING)

    def ask_a_killed_one() -> None:
        with Server(host, base=tmp_path / "base", cpu=True) as server:
            os.kill(server.pid, signal.SIGKILL)
            Client(server.url).system_stats()

    with pytest.raises(LabError, match=r"^ComfyUI \(process \d+\) was killed from outside \(SIGKILL\)"):
        ask_a_killed_one()


def test_a_host_whose_files_were_cut_short_is_unpacked_again_and_started(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "LAB", tmp_path / "lab")
    monkeypatch.setattr(places, "CACHE", tmp_path / "cache")
    (tmp_path / "cache" / "archives").mkdir(parents=True)
    host = broken_host(tmp_path / "pack-1" / "Host", ANSWERING)
    with tarfile.open(tmp_path / "cache" / "archives" / "pack-1.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "pack-1", "pack-1")
    file = tmp_path / "cache" / "archives" / "pack-1.tar.gz"
    made_from = HostArchive("9.9.9", "pack==1", file.name, sha256_of(file), "pack-1/Host")
    (host / "main.py").write_text("import no_such_module_here")
    said = io.StringIO()
    ours = Host(host, Path(sys.executable), tmp_path / "base", made_from)
    with running(Console(said), ours, tmp_path / "private", None, tmp_path / "output") as server:
        assert server.pid
    assert "ComfyUI 9.9.9 (1 files: main.py)" in said.getvalue()

    # One's own host is nobody's to mend; the command that looks is named.
    (host / "main.py").write_text("import no_such_module_here")
    theirs = Host(host, Path(sys.executable), tmp_path / "base")
    with (
        pytest.raises(StartFailed, match=r"(?s)no_such_module_here.*python3 lab\.py repair"),
        running(Console(said), theirs, tmp_path / "private", None, tmp_path / "output"),
    ):
        pass


def test_two_at_the_same_time_have_folders_of_their_own(tmp_path):
    with own_folder(tmp_path, "demo") as first, own_folder(tmp_path, "demo") as second:
        assert [first, second] == [(tmp_path / "demo-1", 1), (tmp_path / "demo-2", 2)]
        results = [claim_results(tmp_path / "output", "demo", number) for _, number in (first, second)]
        assert results[0] != results[1]
        assert not any(each.exists() for each in results), "a kill now would leave an empty folder"
    with own_folder(tmp_path, "demo") as again:
        assert again == first
    results[0].mkdir()
    assert claim_results(tmp_path / "output", "demo", 1) not in results[:1]


def test_a_claim_is_one_processs_and_leaves_no_file(tmp_path):
    with claim(tmp_path / "lock") as ours, claim(tmp_path / "lock") as second:
        assert (ours, second) == (True, False)
    assert not (tmp_path / "lock").exists()
    with claim(tmp_path / "lock", wait=True) as ours:
        assert ours


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    write_whole(tmp_path / "picture.png", b"before")
    full = Path("/dev/full")
    if full.exists():
        (tmp_path / f".{os.getpid()}.picture.png").symlink_to(full)
        with pytest.raises(OSError, match="No space left"):
            write_whole(tmp_path / "picture.png", b"after")
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
    assert (tmp_path / "picture.png").read_bytes() == b"before"


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
