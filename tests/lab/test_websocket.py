"""The WebSocket client against frames written by hand, the samples of RFC 6455 (section 5.7) among them."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading

import pytest
from sampler_lab.labkit.websocket import WebSocket, WebSocketClosed

HELLO = bytes([0x81, 0x05]) + b"Hello"
HELLO_IN_TWO = bytes([0x01, 0x03]) + b"Hel", bytes([0x80, 0x02]) + b"lo"
PING = bytes([0x89, 0x05]) + b"Hello"
CLOSE = bytes([0x88, 0x02]) + struct.pack("!H", 1000)


class Peer:
    """The server's end of one connection, spoken by the test byte by byte."""

    def __init__(self, accept: str | None = None, at_once: bytes = b"") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._accept, self._at_once = accept, at_once
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/ws?clientId=me"
        self.request = b""
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        self.socket, _ = self._listener.accept()
        while b"\r\n\r\n" not in self.request:
            self.request += self.socket.recv(4096)
        key = next(
            line.split(b": ")[1] for line in self.request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key")
        )
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = self._accept or base64.b64encode(digest).decode()
        self.socket.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            + self._at_once
        )

    def connect(self) -> WebSocket:
        client = WebSocket(self.url, timeout=5)
        self._thread.join()
        return client

    def send(self, *frames: bytes) -> None:
        self.socket.sendall(b"".join(frames))

    def receive(self) -> tuple[int, bytes]:
        """One masked frame of the client: opcode and payload."""
        first, second = self._exactly(2)
        assert second & 0x80, "a client must mask what it sends"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._exactly(8))
        mask = self._exactly(4)
        return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(self._exactly(length)))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self.socket.recv(count - len(data))
        return data

    def close(self) -> None:
        self._thread.join()
        self.socket.close()
        self._listener.close()


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def client(peer):
    with peer.connect() as client:
        yield client


def test_the_request_asks_for_the_path_and_query(peer, client):
    assert peer.request.startswith(b"GET /ws?clientId=me HTTP/1.1\r\nHost: 127.0.0.1:")


def test_text_whole_and_in_fragments(peer, client):
    peer.send(HELLO, *HELLO_IN_TWO)
    assert client.receive(5) == "Hello"
    assert client.receive(5) == "Hello"


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_binary_messages_of_every_kind_of_length(peer, client, size):
    content = bytes(i % 251 for i in range(size))
    head = bytes([0x82])
    if size < 126:
        head += bytes([size])
    elif size < 65536:
        head += bytes([126]) + struct.pack("!H", size)
    else:
        head += bytes([127]) + struct.pack("!Q", size)
    peer.send(head, content)
    assert client.receive(5) == content


def test_a_ping_inside_a_fragmented_message_is_answered(peer, client):
    peer.send(HELLO_IN_TWO[0], PING, HELLO_IN_TWO[1])
    assert client.receive(5) == "Hello"
    assert peer.receive() == (0xA, b"Hello")


def test_a_frame_cut_by_the_timeout_is_completed_later(peer, client):
    for byte in HELLO[:-1]:
        peer.send(bytes([byte]))
        assert client.receive(0.02) is None
    peer.send(HELLO[-1:])
    assert client.receive(5) == "Hello"


def test_a_frame_that_came_with_the_handshake_is_not_lost():
    peer = Peer(at_once=HELLO)
    with peer.connect() as client:
        assert client.receive(5) == "Hello"
    peer.close()


@pytest.mark.parametrize("size", [5, 200, 70_000])
def test_what_is_sent_arrives(peer, client, size):
    reader = []
    thread = threading.Thread(target=lambda: reader.append(peer.receive()))
    thread.start()
    client.send("é" * size)
    thread.join()
    assert reader == [(1, ("é" * size).encode())]


@pytest.mark.parametrize("frames", [(CLOSE,), ()])
def test_the_end_is_told(peer, client, frames):
    peer.send(*frames)
    peer.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(WebSocketClosed):
        client.receive(5)


def test_a_wrong_handshake_is_refused():
    peer = Peer(accept="bm8=")
    with pytest.raises(ConnectionError, match=r"refused the WebSocket handshake: HTTP/1\.1 101"):
        peer.connect()
    peer.close()
