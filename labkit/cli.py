"""The commands of ``lab.py``."""

from __future__ import annotations

import argparse
import os
import sys
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from . import places
from .archive import HOST_ARCHIVES
from .console import Console
from .errors import LabError, about_file
from .helping import benchmark_list, known_benchmarks
from .pictures import require_picture, require_picture_for
from .programs import Terminated, obey_sigterm, run_program
from .running import claim_results, private_folder, require_writable, running
from .server import Server, port_is_free
from .setup import Host, find_damage, mend, prepare

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status.

    0: done. 1: not done, with a sentence on the standard error. 130 after Ctrl-C, 143 after SIGTERM, 128 + N when the
    program that the command is about was ended by signal N.
    """
    options, rest = _parser().parse_known_args(arguments)
    if rest and not options.forwards:
        _parser().error(f"unrecognised: {' '.join(rest)}")
    options.rest = [argument for argument in rest if argument != "--"]
    console = Console()
    os.environ.setdefault("MPLCONFIGDIR", str(places.CACHE / "matplotlib"))
    # torch's threads wait for each other by spinning; beside another busy program that makes a run ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    undo = obey_sigterm()
    try:
        return options.run(console, options)
    except LabError as error:
        print(error, file=sys.stderr)
    except BrokenPipeError:
        # Nobody reads what we say any more; Python shall not complain of it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(about_file(error), file=sys.stderr)
    except KeyboardInterrupt as error:
        print("\nStopped. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 143 if isinstance(error, Terminated) else 130
    finally:
        undo()
    return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--comfyui",
        type=Path,
        metavar="PATH",
        help="use this ComfyUI instead of fetching one (or set COMFYUI_PATH; --host goes before that)",
    )
    common.add_argument(
        "--host",
        "--host-version",
        dest="host_version",
        metavar="VERSION",
        help=f"the ComfyUI to fetch: {', '.join(archive.version for archive in HOST_ARCHIVES)} "
        f"(default {places.MAIN_HOST})",
    )
    common.add_argument("--port", type=int, help="where the server listens (default: 8188 for serve, else a free one)")

    parser = argparse.ArgumentParser(prog="lab.py", description="A real ComfyUI with Sampler Lab in it.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: object, summary: str, forwards: bool = False, **options: object
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            parents=[common],
            help=summary,
            description=summary,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,
        )
        made.set_defaults(run=run, forwards=forwards)
        return made

    demo = command("demo", _demo, "reconstruct a picture from the amplitudes of its Fourier transform")
    demo.add_argument("--image", type=Path, metavar="FILE", help="a picture of your own (default: a held-out emoji)")
    demo.add_argument("--keep-running", action="store_true", help="leave the editor open afterwards, until Ctrl-C")
    command("test", _test, "run the tests; further arguments go to pytest", forwards=True)
    command("check", _check, "check the pack as the registry and the ecosystem's tools would")
    command("serve", _serve, "open the editor, until Ctrl-C")
    # Its help, with the experiments, their options and the report, is its own program's.
    experiment = command(
        "experiment", _experiment, "run exp0 ... exp5 on images, or report on runs", forwards=True, add_help=False
    )
    experiment.add_argument("name", metavar="NAME", nargs="?")
    experiment.add_argument("--server", metavar="URL")
    bench = command(
        "bench", _bench, "run benchmarks/NAME.py; further arguments go to it", forwards=True, add_help=False
    )
    bench.add_argument("name", metavar="NAME", nargs="?")
    command("repair", _repair, "compare every installed file with what was installed, and mend what is damaged")
    return parser


def _prepare(console: Console, options: argparse.Namespace, tests: bool = False) -> Host:
    """Who names a version means it: what a shell, or a command that runs this one, has in COMFYUI_PATH counts less."""
    named = os.environ.get("COMFYUI_PATH") if options.host_version is None else None
    comfyui = options.comfyui or (Path(named) if named else None)
    return prepare(console, comfyui=comfyui, version=options.host_version or places.MAIN_HOST, tests=tests)


def _demo(console: Console, options: argparse.Namespace) -> int:
    from .demo import run_demo

    if options.image is not None:
        require_picture(options.image)
    host = _prepare(console, options)
    if options.image is not None:
        require_picture_for(host.python, options.image)
    with private_folder("demo") as (private, number):
        output = claim_results(places.OUTPUT, "demo", number)
        with running(console, host, private, options.port, output) as server:
            run_demo(console, server, host.python, output, options.image)
            if options.keep_running:
                _stay(console, server)
    return 0


def _serve(console: Console, options: argparse.Namespace) -> int:
    host = _prepare(console, options)
    require_writable(places.OUTPUT)
    port = options.port or (8188 if port_is_free(8188) else None)
    with (
        private_folder("serve") as (private, _),
        running(console, host, private, port, places.OUTPUT) as server,
    ):
        if sys.stdout.isatty():
            webbrowser.open(server.url)
        _stay(console, server)
    return 0


def _stay(console: Console, server: Server) -> None:
    """Until Ctrl-C, or until the host goes by itself."""
    console.line(f"The editor is at {server.url}, its log in {server.log}. Ctrl-C stops it.")
    try:
        while server.pid is not None:
            time.sleep(0.5)
    except Terminated:
        raise
    except KeyboardInterrupt:
        console.line("Stopped.")
        return
    raise LabError(server.how_it_ended())


def _test(console: Console, options: argparse.Namespace) -> int:
    host = _prepare(console, options, tests=True)
    return _run(host, "The test run", ["-m", "pytest", *options.rest], cwd=places.ROOT)


def _check(console: Console, options: argparse.Namespace) -> int:
    from .registry import check_package

    check_package(console, _prepare(console, options))
    return 0


def _bench(console: Console, options: argparse.Namespace) -> int:
    asks_for_help = bool({"-h", "--help"} & set(options.rest))
    if options.name is None:
        text = benchmark_list()
        print(text, file=sys.stdout if asks_for_help else sys.stderr)
        return 0 if asks_for_help else 2
    script = places.BENCHMARKS / f"{options.name}.py"
    if not script.is_file():
        known = ", ".join(known_benchmarks()) or "none yet"
        raise LabError(f"There is no benchmark {options.name}; there are: {known}.")
    host = _prepare(console, options)
    return _run(host, "The benchmark", [str(script), *options.rest], cwd=places.ROOT)


def _experiment(console: Console, options: argparse.Namespace) -> int:
    arguments = ["-m", "sampler_lab.experiments.cli", *([options.name] if options.name else []), *options.rest]
    asks_for_help = bool({"-h", "--help"} & set(options.rest))
    if asks_for_help or options.name is None:
        # Needs nothing that is not in Python, so it does not wait for torch to be fetched.
        return run_program("The help", sys.executable, arguments, cwd=Path.cwd(), environment=os.environ)
    host = _prepare(console, options)
    if options.name == "report":
        return _run(host, "The report", arguments, cwd=Path.cwd())
    arguments += ["--port", str(options.port)] if options.port else []
    arguments += ["--server", options.server] if options.server else []
    with private_folder("experiment") as (private, _):
        arguments += ["--comfyui", str(host.comfyui), "--base", str(host.base), "--private", str(private)]
        return _run(host, "The experiment", arguments, cwd=Path.cwd())


def _run(host: Host, what: str, arguments: Sequence[str], cwd: Path) -> int:
    """Run a program with the lab's own Python; when it fails and files are damaged, say which and what to do."""
    # The root on the path is for `import lab`, which every benchmark uses to find the pack.
    environment = {**os.environ, "COMFYUI_PATH": str(host.comfyui), "PYTHONPATH": str(places.ROOT)}
    status = run_program(what, host.python, arguments, cwd=cwd, environment=environment)
    if status != 0 and (damage := find_damage(host)):
        print(
            f"The installation is damaged: {'; '.join(damage[:5])}. 'python3 lab.py repair' mends it; then start "
            "again.",
            file=sys.stderr,
        )
    return status


def _repair(console: Console, options: argparse.Namespace) -> int:
    host = _prepare(console, options)
    if not (host.archive or host.environment):
        raise LabError(f"{host.comfyui} and its Python are your own; the lab mends only what it has made.")
    mend(console, host)
    return 0
