"""A bandstand that lets in nobody without a live Clerk token or the worker's key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.interop.server_process import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

    import anyio.abc

    from tests.interop.auth.frontend import Frontend

WORKER_KEY = "bsk_for-tests-and-nothing-else"


class EnforcingServer(ServerProcess):
    """Trusts the tokens of one `Frontend`, by its public key; in `folder` are all its files."""

    def __init__(self, folder: Path, tasks: anyio.abc.TaskGroup, frontend: Frontend) -> None:
        super().__init__(folder, tasks)
        pem, self._config = folder / "clerk.pem", folder / "bandstand.toml"
        pem.write_text(frontend.public_pem)
        # JSON texts are TOML texts.
        settings = {"policy": "enforce", "clerk": frontend.issuer, "clerk_pem": str(pem)}
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        worker = {"key": WORKER_KEY, "role": "worker"}
        lines += ["[api_keys.worker]", *(f"{k} = {json.dumps(v)}" for k, v in worker.items())]
        self._config.write_text("\n".join(lines))

    def _command(self) -> list[str]:
        return [*super()._command(), "--config", str(self._config)]
