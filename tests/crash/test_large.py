"""A large file and a large log after kill -9: the server comes up, and everything is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from time import perf_counter

import pytest

from tests.crash.large import add_to_log, make_large
from tests.integration.operations.command import run, serving
from tests.integration.operations.talk import health, talking

pytestmark = pytest.mark.anyio


async def test_a_large_file_is_served_after_a_kill(
    tmp_path: Path, megabytes: int, figures: Counter[str]
) -> None:
    large = await make_large(tmp_path / "large.db", megabytes * 1_000_000)
    # What a kill leaves: a log that nobody has emptied.
    logged = await add_to_log(tmp_path / "large.db", large, megabytes * 1_000_000 // 10)
    began = perf_counter()
    async with serving(tmp_path, "--db", "large.db") as server:
        figures["ms until a large file and log were served"] = int((perf_counter() - began) * 1000)
        assert (await health(server.port))["store"] == "ok"
        for value in (large.maps[0], large.maps[-1], *logged):
            async with talking(server.url) as talk:
                counts: dict[str, int] = {}
                while counts.get(large.session, 0) < large.transactions:
                    message = await talk.load(value.id)
                    assert message["action"] == "content"
                    part = message["new"][large.session]
                    counts[large.session] = part["after"] + len(part["newTransactions"])
        await server.stop()
    ended = await run(tmp_path, "verify", "large.db", seconds=600)
    assert ended.code == 0, ended.stdout
    expected = 2 + (len(large.maps) + len(logged)) * large.transactions
    assert f" {expected:,} transactions" in ended.stdout
