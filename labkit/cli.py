"""The commands of ``lab.py``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from . import places
from .archive import HOST_ARCHIVES
from .console import Console
from .errors import LabError
from .server import Server, port_is_free
from .setup import Host, prepare

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0 done, 1 with a sentence on the standard error, 130 after Ctrl-C."""
    options, rest = _parser().parse_known_args(arguments)
    if rest and not options.forwards:
        _parser().error(f"unrecognised: {' '.join(rest)}")
    options.rest = [argument for argument in rest if argument != "--"]
    console = Console()
    os.environ.setdefault("MPLCONFIGDIR", str(places.CACHE / "matplotlib"))
    # torch's threads wait for each other by spinning; beside another busy program that makes a run ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return options.run(console, options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--comfyui",
        type=Path,
        metavar="PATH",
        default=os.environ.get("COMFYUI_PATH") or None,
        help="use this ComfyUI instead of fetching one (or set COMFYUI_PATH)",
    )
    common.add_argument(
        "--host-version",
        metavar="VERSION",
        default=places.MAIN_HOST,
        help=f"the ComfyUI to fetch: {', '.join(archive.version for archive in HOST_ARCHIVES)} (default %(default)s)",
    )
    common.add_argument("--port", type=int, help="where the server listens (default: 8188 for serve, else a free one)")

    parser = argparse.ArgumentParser(prog="lab.py", description="A real ComfyUI with Sampler Lab in it.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, summary: str, forwards: bool = False) -> argparse.ArgumentParser:
        made = commands.add_parser(name, parents=[common], help=summary, description=summary, allow_abbrev=False)
        made.set_defaults(run=run, forwards=forwards)
        return made

    demo = command("demo", _demo, "reconstruct a picture from the amplitudes of its Fourier transform")
    demo.add_argument("--image", type=Path, metavar="FILE", help="a picture of your own (default: a held-out emoji)")
    demo.add_argument("--keep-running", action="store_true", help="leave the editor open afterwards, until Ctrl-C")
    command("test", _test, "run the tests; further arguments go to pytest", forwards=True)
    command("check", _check, "check the pack as the registry and the ecosystem's tools would")
    command("serve", _serve, "open the editor, until Ctrl-C")
    experiment = command("experiment", _experiment, "run exp0 … exp5 on images, or report on runs", forwards=True)
    experiment.add_argument("name", metavar="NAME", help="exp0 … exp5, a name of your own, or report (then folders)")
    experiment.add_argument(
        "--server", metavar="URL", help="a running ComfyUI with this pack, instead of one of our own"
    )
    experiment.epilog = (
        "Also --images DIR|emoji, --count N, --start K, --out DIR, --workflow FILE, and every option of an experiment: "
        "--num_samples, --repulsion_scale, --repulsion_sigma_break, --repulsion_schedule, --repulsion_dino_model, "
        "--pruning_step, --optimization_step (-1: off), --seed … (experiments/settings.py). report: folders, --out."
    )
    bench = command("bench", _bench, "run benchmarks/NAME.py; further arguments go to it", forwards=True)
    bench.add_argument("name", metavar="NAME")
    return parser


def _prepare(console: Console, options: argparse.Namespace, tests: bool = False) -> Host:
    return prepare(console, comfyui=options.comfyui, version=options.host_version, tests=tests)


def start(console: Console, host: Host, port: int | None, output: Path) -> Server:
    """Start the host, with one line on the console."""
    with console.step("ComfyUI") as step:
        server = Server(host.comfyui, base=host.base, python=host.python, port=port, output=output)
        server.start(on_wait=lambda seconds: step.update("starting"))
        step.result = f"up at {server.url} on the {'CPU' if server.cpu else 'GPU'}"
    return server


def _demo(console: Console, options: argparse.Namespace) -> int:
    from .demo import run_demo

    if options.image is not None and not options.image.is_file():
        raise LabError(f"There is no picture {options.image}.")
    host = _prepare(console, options)
    output = places.OUTPUT / time.strftime("demo-%Y%m%d-%H%M%S")
    with start(console, host, options.port, output) as server:
        run_demo(console, server, host.python, output, options.image)
        if options.keep_running:
            _stay(console, server)
    return 0


def _serve(console: Console, options: argparse.Namespace) -> int:
    host = _prepare(console, options)
    port = options.port or (8188 if port_is_free(8188) else None)
    with start(console, host, port, places.OUTPUT) as server:
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
    except KeyboardInterrupt:
        console.line("Stopped.")
        return
    raise LabError(f"ComfyUI has ended. The end of its log ({server.log}):\n{server.tail()}")


def _test(console: Console, options: argparse.Namespace) -> int:
    host = _prepare(console, options, tests=True)
    environment = {**os.environ, "COMFYUI_PATH": str(host.comfyui)}
    command = [str(host.python), "-m", "pytest", *options.rest]
    return subprocess.run(command, cwd=places.ROOT, env=environment, check=False).returncode


def _check(console: Console, options: argparse.Namespace) -> int:
    from .registry import check_package

    check_package(console, _prepare(console, options))
    return 0


def _bench(console: Console, options: argparse.Namespace) -> int:
    script = places.BENCHMARKS / f"{options.name}.py"
    if not script.is_file():
        known = ", ".join(sorted(path.stem for path in places.BENCHMARKS.glob("*.py"))) or "none yet"
        raise LabError(f"There is no benchmark {options.name}; there are: {known}.")
    host = _prepare(console, options)
    # The root on the path is for `import lab`, which every benchmark uses to find the pack.
    environment = {**os.environ, "COMFYUI_PATH": str(host.comfyui), "PYTHONPATH": str(places.ROOT)}
    command = [str(host.python), str(script), *options.rest]
    return subprocess.run(command, cwd=places.ROOT, env=environment, check=False).returncode


def _experiment(console: Console, options: argparse.Namespace) -> int:
    host = _prepare(console, options)
    code = (
        "import sys; from lab import import_pack; import_pack(); from sampler_lab.experiments.cli import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [str(host.python), "-c", code, options.name, *options.rest]
    if options.name != "report":
        command += ["--comfyui", str(host.comfyui), "--base", str(host.base)]
        command += ["--port", str(options.port)] if options.port else []
        command += ["--server", options.server] if options.server else []
    environment = {**os.environ, "PYTHONPATH": str(places.ROOT)}
    return subprocess.run(command, cwd=Path.cwd(), env=environment, check=False).returncode
