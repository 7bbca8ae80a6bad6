"""The short way for text frames, against the long one: `websockets` reads the same from it."""

from __future__ import annotations

import logging

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from server.framing import TextReader, text_frame

MOST = 70_000
SIZES = [0, 1, 125, 126, 127, 300, 65_535, 65_536, MOST, MOST + 1]

payloads = st.sampled_from(SIZES).map(bytes) | st.binary(max_size=140)
frames = st.builds(
    Frame,
    st.sampled_from([Opcode.TEXT] * 6 + [Opcode.PING, Opcode.PONG, Opcode.CONT, Opcode.BINARY]),
    payloads,
    fin=st.sampled_from([True] * 5 + [False]),
)
closing = st.just(Frame(Opcode.CLOSE, b"\x03\xe8"))


def library() -> Protocol:
    return Protocol(
        Side.SERVER, state=State.OPEN, max_size=MOST, logger=logging.getLogger("silent")
    )


def read(protocol: Protocol, data: bytes) -> list[Frame]:
    protocol.receive_data(data)
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


@given(st.lists(frames | closing, max_size=8), st.data())
def test_texts_and_the_rest_are_what_the_library_reads(
    sent: list[Frame], data: st.DataObject
) -> None:
    wire = b"".join(wire_of(frame) for frame in sent)
    wire += data.draw(st.binary(max_size=20) | st.just(b""))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    alone, behind = library(), library()
    reader = TextReader(MOST)
    expected: list[Frame] = []
    found: list[Frame] = []
    for start, stop in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        part = wire[start:stop]
        expected += read(alone, part)
        if not reader.is_over:
            found += [Frame(Opcode.TEXT, text) for text in reader.feed(part)]
            part = reader.take_others()
        found += read(behind, part)
    assert texts(found) == texts(expected)
    assert others(found) == others(expected)
    assert (behind.state, behind.close_sent) == (alone.state, alone.close_sent)
    assert b"".join(behind.data_to_send()) == b"".join(alone.data_to_send())


def test_a_frame_whose_first_byte_came_with_a_longer_one_before_is_not_waited_for() -> None:
    # Found by fuzzing: it came out only once as many bytes had come as the longer one had.
    first, second = masked(Frame(Opcode.TEXT, bytes(300))), masked(Frame(Opcode.TEXT, b"two"))
    reader = TextReader(MOST)
    assert reader.feed(first[:100]) == []
    assert reader.feed(first[100:] + second[:1]) == [bytes(300)]
    assert reader.feed(second[1:]) == [b"two"]


def wire_of(frame: Frame) -> bytes:
    if frame.opcode in (Opcode.PING, Opcode.PONG):
        frame = Frame(frame.opcode, bytes(frame.data[:125]), fin=frame.fin)
    return masked(frame)


def masked(frame: Frame) -> bytes:
    """The masked frame, also where the library itself would refuse to write it."""
    head = bytes([frame.opcode | (0x80 if frame.fin else 0)])
    size = len(frame.data)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += b"\xfe" + size.to_bytes(2, "big")
    else:
        head += b"\xff" + size.to_bytes(8, "big")
    mask = b"\x01\xfe\x80\x00"
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(frame.data))


def texts(found: list[Frame]) -> list[bytes]:
    return [bytes(f.data) for f in found if f.opcode is Opcode.TEXT and f.fin]


def others(found: list[Frame]) -> list[tuple[int, bytes]]:
    return [(f.opcode, bytes(f.data)) for f in found if not (f.opcode is Opcode.TEXT and f.fin)]


@given(payloads)
def test_a_text_frame_is_the_one_that_the_library_writes(message: bytes) -> None:
    assert text_frame(message) == Frame(Opcode.TEXT, message).serialize(mask=False)
