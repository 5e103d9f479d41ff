"""What every test shares: the pack under its name ``sampler_lab``, a real ComfyUI with the pack in it, and a browser.

The host is the folder in ``COMFYUI_PATH`` (``lab.py test`` sets it), else the one ``lab.py`` unpacked into ``.lab/``.
The interpreter that runs pytest runs the host too. Everything the host writes goes into pytest's temporary folder.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _import_pack() -> None:
    """Load lab.py by its path, without putting the root on ``sys.path``, and let it register the pack."""
    spec = importlib.util.spec_from_file_location("lab", ROOT / "lab.py")
    lab = importlib.util.module_from_spec(spec)
    sys.modules["lab"] = lab
    spec.loader.exec_module(lab)
    lab.import_pack()


_import_pack()

from patience import patience  # noqa: E402
from sampler_lab.labkit.browser import CHROMIUM_FLAGS, find_chromium  # noqa: E402
from sampler_lab.labkit.client import Client  # noqa: E402
from sampler_lab.labkit.link import link_folder  # noqa: E402
from sampler_lab.labkit.places import PACK_NAME, unpacked_host  # noqa: E402
from sampler_lab.labkit.server import Server, make_base  # noqa: E402


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The folder of the ComfyUI under test."""
    path = os.environ.get("COMFYUI_PATH") or unpacked_host()
    if not path:
        pytest.skip("no ComfyUI: run the tests with 'python3 lab.py test', or set COMFYUI_PATH to a ComfyUI folder")
    return Path(path)


@pytest.fixture(scope="session")
def server(
    comfyui: Path, tmp_path_factory: pytest.TempPathFactory, record_testsuite_property: Callable[[str, object], None]
) -> Iterator[Server]:
    """A running host with the pack installed as a custom node; one for all tests of a session."""
    base = make_base(tmp_path_factory.mktemp("host"))
    link_folder(ROOT, base / "custom_nodes" / PACK_NAME)
    with Server(comfyui, base=base) as running:
        # benchmarks/hosts.py looks here for what was tested in truth.
        record_testsuite_property("comfyui", Client(running.url).system_stats()["system"]["comfyui_version"])
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of ``server``. What the test leaves in the queue is cancelled afterwards, and its history forgotten.

    The host's history repeats a prompt as it came, and a NaN in one would end every editor's list of jobs.
    """
    client = Client(server.url, since_news=True)  # a limit finds what hangs, not what is slow
    yield client
    running, waiting = client.queue_state()
    for prompt_id in [*waiting, *running]:
        client.cancel(prompt_id)
    client.forget()


@pytest.fixture(scope="session")
def object_info(server: Server) -> dict:
    """The schema of every node type of ``server``."""
    return Client(server.url).object_info()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Headless Chromium (a Playwright ``Browser``)."""
    executable = find_chromium()
    if executable is None:
        sentence = (
            "no Chromium: install your system's package (Debian: apt-get install chromium), or name one in "
            "SAMPLER_LAB_CHROMIUM"
        )
        if os.environ.get("SAMPLER_LAB_REQUIRE_BROWSER") == "1":
            pytest.fail(sentence, pytrace=False)
        pytest.skip(sentence)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: object, server: Server) -> Iterator[object]:
    """A fresh page (a Playwright ``Page``) with the editor of ``server`` loaded.

    ``page.console_errors`` collects what the page's console and its scripts complain about.
    """
    # The list of templates that greets a newcomer would lie over what a test clicks at.
    Client(server.url)._post("/settings/Comfy.TutorialCompleted", True)
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(1000 * patience(120))  # a busy machine takes its time; a hang is still found
    page.console_errors = []
    page.on("console", lambda said: page.console_errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.console_errors.append(str(error)))
    page.goto(server.url)
    # Until a workflow is active the editor's own start may still replace what a test loads.
    page.wait_for_function(
        "() => window.app?.extensionManager?.workflow?.activeWorkflow"
        " && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100"
    )
    yield page
    context.close()
