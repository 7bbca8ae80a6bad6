"""A bandstand that lets in nobody without a live Clerk token or the worker's key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.interop.server_process import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

    import anyio.abc
    from anyio.streams.buffered import BufferedByteReceiveStream

    from tests.interop.auth.frontend import Frontend

WORKER_KEY = "bsk_for-tests-and-nothing-else"


class EnforcingServer(ServerProcess):
    """Trusts the tokens of one `Frontend`, by its public key; in `folder` are all its files."""

    def __init__(self, folder: Path, tasks: anyio.abc.TaskGroup, frontend: Frontend) -> None:
        super().__init__(folder, tasks)
        self._secrets = frontend.minted
        self._said: list[bytes] = []
        pem, self._config = folder / "clerk.pem", folder / "bandstand.toml"
        pem.write_text(frontend.public_pem)
        # JSON texts are TOML texts.
        settings = {"policy": "enforce", "clerk": frontend.instance.issuer, "clerk_pem": str(pem)}
        settings["log_level"] = "debug"
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        worker = {"key": WORKER_KEY, "role": "worker"}
        lines += ["[api_keys.worker]", *(f"{k} = {json.dumps(v)}" for k, v in worker.items())]
        self._config.write_text("\n".join(lines))

    def leaks(self) -> list[str]:
        """Lines of its log, of the most talkative level, that show a token or the key."""
        secrets = [secret.encode() for secret in (*self._secrets, WORKER_KEY)]
        shown = [line for line in self._said if any(secret in line for secret in secrets)]
        return [line.decode() for line in shown]

    async def _read_line(self, lines: BufferedByteReceiveStream) -> bytes:
        line = await super()._read_line(lines)
        self._said.append(line)
        return line

    def _command(self) -> list[str]:
        return [*super()._command(), "--config", str(self._config)]
