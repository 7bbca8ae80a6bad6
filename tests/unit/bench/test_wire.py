"""The generator's framing, against the `websockets` library's own."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from bench.faults import ConnectionFailed
from bench.wire import CLOSE, PING, FrameReader, Handshake, masked

texts = st.binary(max_size=300) | st.sampled_from([b"x" * 125, b"x" * 126, b"y" * 65_535])
URL = "ws://example.org:4200/?key=a"


def served() -> ServerProtocol:
    """A server after the handshake with our client."""
    handshake, server = Handshake(urlsplit(URL)), ServerProtocol()
    server.receive_data(handshake.request)
    (request,) = server.events_received()
    assert isinstance(request, Request)
    assert request.path == "/?key=a"
    server.send_response(server.accept(request))
    assert handshake.feed(b"".join(server.data_to_send()) + b"more") == b"more"
    return server


@given(st.lists(texts, max_size=5))
def test_a_server_reads_our_frames(messages: list[bytes]) -> None:
    server = served()
    server.receive_data(b"".join(map(masked, messages)))
    frames = [event for event in server.events_received() if isinstance(event, Frame)]
    assert [bytes(frame.data) for frame in frames] == messages


def test_a_server_reads_a_large_frame() -> None:
    server = served()
    server.receive_data(masked(b"z" * 70_000))
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert frame.data == b"z" * 70_000


# Drawing is slow on a busy machine.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(texts, max_size=5), st.data())
def test_we_read_its_frames_however_they_are_cut(
    messages: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(Frame(Opcode.TEXT, message).serialize(mask=False) for message in messages)
    reader, found = FrameReader(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])[0]
        stream = stream[size:]
    assert found == messages


def test_fragments_are_put_together_and_control_frames_between_them_found() -> None:
    frames = [
        Frame(Opcode.TEXT, b"one ", fin=False),
        Frame(Opcode.PING, b"p"),
        Frame(Opcode.CONT, b"two ", fin=False),
        Frame(Opcode.CONT, b"three"),
        Frame(Opcode.CLOSE, b"\x03\xe8"),
    ]
    found = FrameReader().feed(b"".join(frame.serialize(mask=False) for frame in frames))
    assert found == ([b"one two three"], [(PING, b"p"), (CLOSE, b"\x03\xe8")])


def test_a_refusal_says_what_the_server_said() -> None:
    with pytest.raises(ConnectionFailed, match="503"):
        Handshake(urlsplit(URL)).feed(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")


def test_an_answer_to_another_handshake_is_refused() -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"
    with pytest.raises(ConnectionFailed, match="another"):
        Handshake(urlsplit(URL)).feed(answer)


def test_an_unfinished_answer_is_waited_for() -> None:
    assert Handshake(urlsplit(URL)).feed(b"HTTP/1.1 101 Switch") is None
