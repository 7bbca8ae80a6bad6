"""The control socket: beside the database, for the owner of the process only."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import anyio
import structlog
from anyio.abc import SocketListener, SocketStream

from server.control.messages import Answer, Request
from server.control.wire import Unreadable, receive, send
from server.errors import PortUnavailable, ServerError

log: Final = structlog.get_logger(__name__)

_DEADLINE_S: Final = 20.0
_CONNECTIONS: Final = 8


def socket_path(db: str) -> str:
    """Where the control socket of the server on this database is."""
    return f"{db}-control"


@asynccontextmanager
async def controlled(
    db: str, answer: Callable[[Request], Awaitable[Answer]]
) -> AsyncIterator[None]:
    """The socket, answering inside the context. Raises `PortUnavailable`."""
    path = socket_path(db)
    listening = _bound(path)
    limiter = anyio.CapacityLimiter(_CONNECTIONS)

    async def handle(stream: SocketStream) -> None:
        async with stream, limiter:
            with suppress(ServerError, OSError, anyio.BrokenResourceError):
                with anyio.move_on_after(_DEADLINE_S):
                    await send(stream, await _answered(stream, answer))

    listener = await SocketListener.from_socket(listening)
    # The listener outside: closing it in a cancelled scope would swallow what happened inside.
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            with suppress(OSError):
                os.unlink(path)


async def ask(db: str, request: Request) -> Answer | None:
    """Ask the server on this database. `None` if none is running.

    Raises `ServerError` if it refuses, or does not answer within 20 s.
    """
    path = socket_path(db)
    try:
        with _short(path) as short:
            stream = await anyio.connect_unix(short)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise PortUnavailable(f"cannot reach the server at {path}: {error.strerror}") from None
    async with stream:
        try:
            with anyio.fail_after(_DEADLINE_S):
                await send(stream, request)
                answer: Answer = await receive(stream, Answer)
        except TimeoutError:
            raise PortUnavailable(f"the server at {path} does not answer") from None
        except Unreadable:
            raise PortUnavailable(f"what answers at {path} is no bandstand of this kind") from None
    return answer


async def _answered(stream: SocketStream, answer: Callable[[Request], Awaitable[Answer]]) -> Answer:
    try:
        request: Request = await receive(stream, Request)
        return await answer(request)
    except Unreadable:
        return Answer(error="the server does not know this request; is it another release?")
    except ServerError as error:
        return Answer(error=str(error))
    except Exception:
        log.exception("control.fault")
        return Answer(error="the server met a fault of its own; its log says which")


def _bound(path: str) -> socket.socket:
    """A socket that only its owner can connect to, from its first moment on."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        with suppress(FileNotFoundError):
            # Nobody else serves: the database's lock is ours.
            os.unlink(path)
        with _short(path) as short:
            listening.bind(short)
        listening.listen(_CONNECTIONS)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise PortUnavailable(
            f"cannot open the control socket {path}: {error.strerror or error}"
        ) from None
    finally:
        os.umask(mask)
    return listening


@contextmanager
def _short(path: str) -> Iterator[str]:
    """The same file by a name that fits: a socket's may have about a hundred bytes only."""
    folder, name = os.path.split(os.path.abspath(path))
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)
