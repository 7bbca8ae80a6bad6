"""The whole server, from start to stop, top to bottom."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
import structlog

from server import __version__
from server.admission import check_alone, opened
from server.auth.door import Door
from server.auth.ledger import Ledger, NoLedger
from server.config import Settings
from server.control.desk import Desk
from server.control.socket import controlled
from server.gateway import Gateway, listening
from server.node import Node
from server.readiness import unready
from server.store import Store
from server.store.ledger import SqliteLedger
from server.store.memory import MemoryStore
from server.store.sqlite import SqliteStore

log: Final = structlog.get_logger(__name__)

_CLOSE_S: Final = 1.5
SERVICE_RESTART: Final = 1012


async def serve(settings: Settings) -> None:
    """Run the server until SIGTERM or SIGINT.

    Raises `ServerError` if it cannot start: unsafe settings, port taken, database unusable.
    """
    check_alone(settings)
    _collect_less()
    async with (
        _store(settings) as (store, ledger),
        opened(settings, ledger) as door,
        anyio.create_task_group() as tasks,
    ):
        loop = asyncio.get_running_loop()
        node = Node(store, settings.limits(), clock=loop.time, call_soon=loop.call_soon)
        gateway = Gateway(node, settings, lambda: _health(node, door), door)
        settled = anyio.Event()

        async def run_node(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            await node.run(task_status=task_status)
            settled.set()

        await tasks.start(run_node)
        with (
            _dropping(gateway),
            anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
        ):
            async with _control(settings, door, gateway), listening(gateway) as (host, port):
                _announce(settings, host, port)
                tasks.start_soon(gateway.ping_all)
                received = await anext(signals)
            log.info("server.stopping", signal=received.name, peers=node.peers)
            async with anyio.create_task_group() as stopping:
                stopping.start_soon(_exit_at_second, signals)
                await _stop(gateway, settled, settings.shutdown_seconds)
                stopping.cancel_scope.cancel()
        tasks.cancel_scope.cancel()
    log.info("server.stopped")


def _collect_less() -> None:
    """Have Python look for circular garbage less often.

    A full search stops the loop for 0.1 s per million objects, and what comes and goes here by the
    thousand (subscriptions, records) is not circular.
    """
    gc.set_threshold(20_000, 20, 20)


async def _stop(gateway: Gateway, settled: anyio.Event, deadline_s: float) -> None:
    """Take in no more, make durable what has arrived, tell its senders, and close them."""
    gateway.stop_reading()
    gateway.node.drain()
    with anyio.move_on_after(deadline_s) as deadline:
        await settled.wait()
    if deadline.cancelled_caught:
        log.error("server.undurable", changes=gateway.node.journal.undurable)
    await gateway.close_all(SERVICE_RESTART, "restart", _CLOSE_S)


@contextmanager
def _dropping(gateway: Gateway) -> Iterator[None]:
    """Leave no connection open behind a stop that did not come to its end."""
    try:
        yield
    finally:
        gateway.drop_all()


async def _exit_at_second(signals: AsyncIterator[signal.Signals]) -> None:
    received = await anext(signals)
    log.warning("server.killed", signal=received.name)
    os._exit(128 + received)


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[tuple[Store, Ledger]]:
    if settings.in_memory:
        yield MemoryStore(), NoLedger()
        return
    store = await SqliteStore.open(settings.db)
    try:
        yield store, SqliteLedger(store.run)
    finally:
        await store.close()


@asynccontextmanager
async def _control(settings: Settings, door: Door, gateway: Gateway) -> AsyncIterator[None]:
    """The control socket; without a database there is no place for one."""
    if settings.in_memory:
        yield
        return
    async with controlled(settings.db, Desk(door, gateway).answer):
        yield


def _health(node: Node, door: Door) -> dict[str, Any]:
    reason = unready(node, anyio.current_time())
    store = "ok"
    if node.journal.failure is not None or reason == "store":
        store = "unavailable"
    elif node.reads.damaged:
        store = "damaged"
    return {
        "status": "ok" if reason is None and store == "ok" else "degraded",
        "version": __version__,
        "peers": node.peers,
        "covalues_in_memory": len(node.residents),
        "memory_bytes": node.residents.size,
        "store": store,
        "damaged": len(node.reads.damaged),
        "auth": door.status(),
        "counters": dict(node.counters),
    }


def _admits(settings: Settings) -> str:
    if settings.policy == "off":
        return "open: any key is accepted, for whoever reaches this address"
    how = " and ".join((["Clerk tokens"] if settings.clerk else []) + ["API keys"])
    if settings.policy == "observe":
        return f"observe: everybody is let in; {how} are checked and counted"
    return f"enforce: {how} are checked, nobody else is let in"


def _announce(settings: Settings, host: str, port: int) -> None:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    where = "memory only, nothing is kept" if settings.in_memory else os.path.abspath(settings.db)
    lines = [
        f"bandstand {__version__} listens on ws://{address}",
        f"stores in {where}",
        _admits(settings),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    log.info("server.started", host=host, port=port, in_memory=settings.in_memory)
