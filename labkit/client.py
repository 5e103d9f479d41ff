"""A running ComfyUI, as its prompt queue sees us.

client = Client("http://127.0.0.1:8188")
result = client.run(prompt, on_progress=print)
picture = client.view(result.files("SaveImage")[0])
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mimetypes
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import LabError
from .outcome import Progress, Prompt, PromptRefused, Result, ServerGone, refusal, result_of
from .websocket import WebSocket

__all__ = ["UPLOADS", "Client"]

#: The folder in the host's input folder that uploads go to.
UPLOADS = "sampler_lab_uploads"


class Client:
    """One client of one server. Every call raises ``ServerGone`` when nobody answers at ``url``.

    timeout: seconds for one answer. since_news: whether the limits of ``wait`` and ``run`` count from the last news of
    the run (a node begun, a step done) instead of from its beginning, so that a slow machine may take its time.
    """

    def __init__(self, url: str, timeout: float = 60.0, since_news: bool = False) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.since_news = since_news
        self.client_id = uuid.uuid4().hex

    def system_stats(self) -> dict[str, Any]:
        """The host's version, its Python and torch, its devices."""
        return self._get("/system_stats")

    def object_info(self, node_type: str | None = None) -> dict[str, Any]:
        """The schema of one node type, or of all, keyed by type."""
        return self._get(f"/object_info/{urllib.parse.quote(node_type)}" if node_type else "/object_info")

    def queue(self, prompt: Prompt, workflow: dict[str, Any] | None = None, about: dict[str, str] | None = None) -> str:
        """Put a graph (API format) into the queue; its prompt id.

        workflow: the editor's graph, to be saved in the pictures, so that dropping one onto the editor opens it.
        about: names of the ``experiment`` and the ``picture``, for the run's record and for the pictures.
        Raises ``PromptRefused`` with the host's own sentences. The host runs the valid part of a half-valid graph; we
        take that part back, for a run without one of its outputs is not what was asked for.
        """
        body: dict[str, Any] = {"prompt": prompt, "client_id": self.client_id}
        known = {"workflow": workflow, "sampler_lab": about}
        if extra := {key: value for key, value in known.items() if value is not None}:
            body["extra_data"] = {"extra_pnginfo": extra}
        status, answer = self._exchange(
            "/prompt", json.dumps(body).encode("utf-8"), {"Content-Type": "application/json"}
        )
        reply = _parse(answer)
        errors = reply.get("node_errors") or {}
        if status == 200 and not errors:
            return reply["prompt_id"]
        if status == 200:
            self.cancel(reply["prompt_id"])
        raise PromptRefused(refusal(reply, errors), errors)

    def wait(
        self,
        prompt_id: str,
        on_progress: Callable[[Progress], None] | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Wait for a queued graph.

        on_progress: told about every node and step that the host reports from now on.
        timeout: seconds, or no limit.
        Raises ``RunFailed``, ``RunInterrupted``, or ``LabError`` when the time is up.
        """
        if (entry := self.history(prompt_id)) is not None:
            return result_of(prompt_id, entry)
        try:
            socket = self.connect()
        except OSError:
            socket = None  # the history tells the end, too
        return self._wait(socket, prompt_id, {}, on_progress, timeout)

    def run(
        self,
        prompt: Prompt,
        workflow: dict[str, Any] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        timeout: float | None = None,
        about: dict[str, str] | None = None,
    ) -> Result:
        """``queue`` and ``wait``, listening from before the start, so that no progress is missed; Ctrl-C cancels it."""
        try:
            socket = self.connect()
        except OSError as error:
            raise ServerGone(f"The server at {self.url} does not answer ({error}).") from error
        try:
            prompt_id = self.queue(prompt, workflow, about)
        except BaseException:
            socket.close()
            raise
        types = {key: node["class_type"] for key, node in prompt.items()}
        try:
            return self._wait(socket, prompt_id, types, on_progress, timeout)
        except KeyboardInterrupt:
            # The server may be somebody's: it shall not go on with what nobody waits for.
            with contextlib.suppress(LabError):
                self.cancel(prompt_id)
            raise

    def connect(self) -> WebSocket:
        """The host's stream of messages to this client, once the host has begun to send on it."""
        socket = WebSocket(f"ws{self.url.removeprefix('http')}/ws?clientId={self.client_id}", timeout=self.timeout)
        # The host knows the socket only some time after the handshake; its greeting tells that it does.
        socket.receive(timeout=self.timeout)
        return socket

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The history's entry of a run that has ended, or ``None``."""
        entry = self._get(f"/history/{prompt_id}").get(prompt_id)
        return entry if entry and (entry.get("status") or {}).get("status_str") else None

    def forget(self) -> None:
        """Empty the history; the files that runs wrote stay."""
        self._post("/history", {"clear": True})

    def queue_state(self) -> tuple[list[str], list[str]]:
        """Prompt ids running now, and waiting."""
        state = self._get("/queue")
        return [item[1] for item in state["queue_running"]], [item[1] for item in state["queue_pending"]]

    def interrupt(self) -> None:
        """Cancel what runs now."""
        self._post("/interrupt", {})

    def cancel(self, prompt_id: str) -> None:
        """Cancel one run, waiting or running."""
        self._post("/queue", {"delete": [prompt_id]})
        if prompt_id in self.queue_state()[0]:
            self.interrupt()

    def upload_image(self, path: Path, name: str | None = None, overwrite: bool = False) -> str:
        """Copy an image file into the host's input folder; the name ``LoadImage`` knows it by.

        It goes into a folder named by its content, so that neither a file of the person's nor another of the same name
        is touched, and the same file twice is one. overwrite: put it into the input folder itself instead, in place of
        whatever has its name there.
        """
        path = Path(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise LabError(f"The image {path} cannot be read: {error.strerror or error}.") from error
        name = name or path.name
        fields = {"overwrite": "true"}
        if not overwrite:
            fields = {"subfolder": f"{UPLOADS}/{hashlib.sha256(content).hexdigest()[:16]}"}
        body, kind = _form(fields, name, content)
        status, answer = self._exchange("/upload/image", body, {"Content-Type": kind})
        if status != 200:
            raise LabError(f"The server did not take the image {path} (HTTP {status}).")
        reply = _parse(answer)
        return f"{reply['subfolder']}/{reply['name']}" if reply.get("subfolder") else reply["name"]

    def view(self, file: dict[str, str]) -> bytes:
        """The content of a file that a node showed (see ``Result.files``), or that ``upload_image`` named."""
        subfolder, _, name = file["filename"].rpartition("/")
        wanted = {"filename": name, "subfolder": file.get("subfolder") or subfolder, "type": file.get("type", "")}
        query = urllib.parse.urlencode(wanted)
        status, answer = self._exchange(f"/view?{query}")
        if status != 200:
            raise LabError(f"The server has no file {file.get('filename')} (HTTP {status}).")
        return answer

    def _wait(
        self,
        socket: WebSocket | None,
        prompt_id: str,
        types: dict[str, str],
        on_progress: Callable[[Progress], None] | None,
        timeout: float | None,
    ) -> Result:
        """Listen for progress, and look into the history for the end; closes ``socket``."""
        ends = None if timeout is None else time.monotonic() + timeout

        def heard(progress: Progress) -> None:
            nonlocal ends
            if on_progress:
                on_progress(progress)
            if self.since_news and timeout is not None:
                ends = time.monotonic() + timeout

        try:
            while True:
                # Listen first: a quick run would be in the history before its messages are read.
                pause = min(time.monotonic() + 2.0, ends or float("inf"))
                socket = self._follow(socket, prompt_id, types, heard, pause)
                entry = self.history(prompt_id)
                if entry is not None:
                    return result_of(prompt_id, entry)
                if ends is not None and time.monotonic() > ends:
                    since = " without news" if self.since_news else ""
                    raise LabError(f"The run {prompt_id} is not finished after {timeout:.0f} seconds{since}.")
        finally:
            if socket is not None:
                socket.close()

    def _follow(
        self,
        socket: WebSocket | None,
        prompt_id: str,
        types: dict[str, str],
        on_progress: Callable[[Progress], None],
        pause: float,
    ) -> WebSocket | None:
        """Read messages until the run seems over or it is ``pause`` o'clock; the socket, or ``None`` once dead."""
        if socket is None:
            time.sleep(max(0.05, min(0.5, pause - time.monotonic())))
            return None
        try:
            while (left := pause - time.monotonic()) > 0:
                message = socket.receive(timeout=left)
                if not isinstance(message, str):
                    continue  # nothing came, or a preview picture
                event = json.loads(message)
                kind, data = event.get("type"), event.get("data") or {}
                if data.get("prompt_id") != prompt_id:
                    continue
                node = data.get("node")
                if kind in ("execution_success", "execution_error", "execution_interrupted") or (
                    kind == "executing" and node is None
                ):
                    time.sleep(0.05)  # the history is written just after the message
                    return socket
                if kind in ("executing", "progress"):
                    value, maximum = int(data.get("value", 0)), int(data.get("max", 0))
                    on_progress(Progress(str(node), types.get(str(node), ""), value, maximum))
        except OSError:  # WebSocketClosed among them
            socket.close()
            return None
        return socket

    def _get(self, path: str) -> dict[str, Any]:
        status, answer = self._exchange(path)
        if status != 200:
            raise LabError(f"The server at {self.url} answered HTTP {status} to {path}.")
        return _parse(answer)

    def _post(self, path: str, body: dict[str, Any]) -> None:
        status, _ = self._exchange(path, json.dumps(body).encode("utf-8"), {"Content-Type": "application/json"})
        if status != 200:
            raise LabError(f"The server at {self.url} answered HTTP {status} to {path}.")

    def _exchange(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise ServerGone(f"The server at {self.url} does not answer ({reason}).") from error


def _parse(answer: bytes) -> dict[str, Any]:
    try:
        return json.loads(answer)
    except ValueError as error:
        raise LabError(f"The server answered something that is not JSON: {answer[:200]!r}.") from error


def _form(fields: Mapping[str, str], name: str, content: bytes) -> tuple[bytes, str]:
    """Body and content type of a form with a file ``image``."""
    boundary = uuid.uuid4().hex
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    quoted = name.replace("\\", "_").replace('"', "_")
    begin = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    )
    begin += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{quoted}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    return begin.encode() + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
