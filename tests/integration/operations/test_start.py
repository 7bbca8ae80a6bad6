"""Starting: what the command says, where it listens, where it stores."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import anyio
import pytest

from tests.integration.operations.command import names, run, serving
from tests.integration.operations.talk import health, talking
from tests.integration.sync.stage import Band
from tests.printed import PRINTED

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[3]


async def test_it_says_where_it_listens_and_where_it_stores(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        name = f"bandstand {version('bandstand')}"
        assert server.stdout.split("\n")[0] == f"{name} listens on ws://127.0.0.1:{server.port}"
        assert server.stdout.split("\n")[1] == f"stores in {tmp_path / 'bandstand.db'}"
        assert (tmp_path / "bandstand.db").exists()


async def test_health(tmp_path: Path) -> None:
    async with serving(tmp_path, "--db", "band.db") as server, talking(server.url) as alice:
        await alice.upload(*Band().first())
        said = await health(server.port)
        assert (said["status"], said["store"], said["peers"]) == ("ok", "ok", 1)
        assert said["version"] == version("bandstand")
        assert said["covalues_in_memory"] == 3
        assert said["counters"]["transactions"] == 3


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    band = Band()
    async with serving(tmp_path, "--db", "band.db") as server, talking(server.url) as alice:
        await alice.upload(*band.first())
        await server.stop()
    async with serving(tmp_path, "--db", "band.db") as server, talking(server.url) as bob:
        assert (await bob.load(band.map.id))["new"].keys() == {band.session.id}


async def test_in_memory_nothing_is_written(tmp_path: Path) -> None:
    async with serving(tmp_path, "--in-memory") as server, talking(server.url) as alice:
        assert "memory only" in server.stdout
        await alice.upload(*Band().first())
        await server.stop()
    assert names(tmp_path) == []


async def test_settings_from_all_three_places(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    await anyio.Path(config).write_text("db = 'from-file.db'\nlog_format = 'json'\nport = 1\n")
    environment = {"BANDSTAND_CONFIG": str(config), "BANDSTAND_LOG_LEVEL": "debug"}
    async with serving(tmp_path, env=environment) as server, talking(server.url):
        await server.logged('"event": "peer.joined"')
        assert str(tmp_path / "from-file.db") in server.stdout


async def test_without_open_only_this_machine_is_listened_to(tmp_path: Path) -> None:
    ended = await run(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert (ended.code, ended.stdout) == (64, "")
    assert "0.0.0.0" in ended.stderr
    assert "--open" in ended.stderr
    assert names(tmp_path) == []


async def test_with_open_every_address_is(tmp_path: Path) -> None:
    async with serving(tmp_path, "--host", "0.0.0.0", "--open") as server:
        assert f"ws://0.0.0.0:{server.port}" in server.stdout
        assert "open" in server.stdout.splitlines()[2]
        assert (await health(server.port))["status"] == "ok"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3"])
async def test_loopback_needs_no_leave(tmp_path: Path, host: str) -> None:
    async with serving(tmp_path, "--host", host, "--in-memory") as server:
        await server.stop()


async def test_version_and_help(tmp_path: Path) -> None:
    ended = await run(tmp_path, "--version")
    assert ended == (0, f"bandstand {version('bandstand')}\n", "")
    ended = await run(tmp_path, "serve", "--help")
    assert (ended.code, ended.stderr) == (0, "")
    assert "--in-memory" in ended.stdout


async def test_as_a_module(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        ended = await anyio.run_process([sys.executable, "-m", "server", "--version"], cwd=ROOT)
    PRINTED.take("python -m server", (ended.stdout + ended.stderr).decode())
    assert ended.stdout.decode() == f"bandstand {version('bandstand')}\n"
