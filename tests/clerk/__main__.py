"""`python -m tests.clerk [PORT]`: the stand-in in a process of its own, until SIGTERM or SIGINT.

Prints one line: its URL, which is the setting `clerk` and where to ask for tokens.
"""

from __future__ import annotations

import signal
import sys

import anyio

from tests.clerk.server import standing_in


async def main() -> None:
    """Serve."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with standing_in(port) as stand_in:
            sys.stdout.write(f"{stand_in.url}\n")
            sys.stdout.flush()
            async for _ in signals:
                return


anyio.run(main)
