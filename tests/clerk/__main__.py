"""`python -m tests.clerk [PORT]`: the stand-in in a process of its own, until it is ended.

Prints one line: its URL, which is the setting `clerk` and where to ask for tokens.
"""

from __future__ import annotations

import sys

import anyio

from tests.clerk.server import standing_in


async def main() -> None:
    """Serve."""
    async with standing_in(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as stand_in:
        sys.stdout.write(f"{stand_in.url}\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


anyio.run(main)
