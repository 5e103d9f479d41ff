"""A WebSocket client (RFC 6455) in the standard library: enough to follow ComfyUI's progress messages.

Text and binary messages, fragments, ping and close; no extensions, no TLS.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
from urllib.parse import urlsplit

__all__ = ["WebSocket", "WebSocketClosed"]

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class WebSocketClosed(ConnectionError):
    """The other side has gone."""


class WebSocket:
    """One connection. ``receive`` gives whole messages; half a frame cut off by a timeout is kept for the next call."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        """Connect to ``ws://host:port/path``; raises ``OSError`` where nobody listens or the handshake is refused."""
        parts = urlsplit(url)
        self._buffer = bytearray()
        self._fragments = bytearray()
        self._fragment_kind = _TEXT
        self._socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=timeout)
        try:
            self._handshake(parts.netloc, parts.path + (f"?{parts.query}" if parts.query else ""))
        except BaseException:
            self._socket.close()
            raise

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """The next message: ``str`` for text, ``bytes`` for binary, ``None`` when ``timeout`` seconds brought none.

        Raises ``WebSocketClosed`` once the other side has gone.
        """
        self._socket.settimeout(timeout)
        while True:
            try:
                final, opcode, payload = self._frame()
            except TimeoutError:
                return None
            if opcode == _PING:
                self._send(_PONG, payload)
            elif opcode == _CLOSE:
                raise WebSocketClosed("the server closed the connection")
            elif opcode in (_TEXT, _BINARY, _CONTINUATION):
                if opcode != _CONTINUATION:
                    self._fragment_kind = opcode
                self._fragments += payload
                if final:
                    message, self._fragments = bytes(self._fragments), bytearray()
                    return message.decode("utf-8") if self._fragment_kind == _TEXT else message

    def send(self, text: str) -> None:
        """Send one text message."""
        self._send(_TEXT, text.encode("utf-8"))

    def close(self) -> None:
        """Say goodbye if the other side still listens, and close."""
        try:
            self._send(_CLOSE, struct.pack("!H", 1000))
        except OSError:
            pass  # it has gone first
        finally:
            self._socket.close()

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _handshake(self, host: str, target: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode("ascii")
        self._socket.sendall(
            (
                f"GET {target or '/'} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode("ascii")
        )
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        expected = base64.b64encode(hashlib.sha1((key + _MAGIC).encode("ascii")).digest()).decode("ascii")
        if " 101 " not in f"{status} " or headers.get("sec-websocket-accept") != expected:
            raise ConnectionError(f"the server refused the WebSocket handshake: {status}")

    def _fill(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise WebSocketClosed("the server closed the connection")
        self._buffer += received

    def _frame(self) -> tuple[bool, int, bytes]:
        """One frame (final, opcode, payload); nothing is taken from the buffer before all of it has come."""
        self._need(2)
        first, second = self._buffer[0], self._buffer[1]
        length, start = second & 0x7F, 2
        if length == 126:
            self._need(4)
            (length,), start = struct.unpack_from("!H", self._buffer, 2), 4
        elif length == 127:
            self._need(10)
            (length,), start = struct.unpack_from("!Q", self._buffer, 2), 10
        self._need(start + length)
        payload = bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        return bool(first & 0x80), first & 0x0F, payload

    def _need(self, count: int) -> None:
        while len(self._buffer) < count:
            self._fill()

    def _send(self, opcode: int, payload: bytes) -> None:
        """One masked frame, as a client must send it (RFC 6455, section 5.3)."""
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self._socket.settimeout(10.0)
        self._socket.sendall(head + mask + masked)
