"""All that servers of this run of the suite have printed, and what of it should not be there.

Who starts a bandstand in a process of its own hands over what that process wrote, standard output
and standard error; `tests/conftest.py` fails the run if a secret is in it. Tests make all their
secrets so that they are recognised here: keys begin with `bsk_`, tokens are JWTs, whatever else is
to stay secret contains `s3cr3t`.
"""

from __future__ import annotations

import re
from typing import Final

SECRETS: Final = {
    "an API key": r"bsk_[\w-]+",
    "a token": r"\beyJ[\w-]{4,}",
    "a secret of Jazz": r"(sealer|signer)Secret_",
    "a cookie": r"__session|__client_uat|\bcookie:",
    "the subprotocols": r"sec-websocket-protocol",
    "a bearer": r"\bbearer \S",
    "a query string": r"[?&][\w%-]+=",
    "a secret of a test": r"s3cr3t|s3cret",
}
_ANY: Final = re.compile("|".join(f"({p})" for p in SECRETS.values()), re.IGNORECASE)


class Printed:
    """What was handed over: how much, and the leaks in it."""

    def __init__(self) -> None:
        self.characters = 0
        self.leaks: list[str] = []

    def take(self, who: str, text: str) -> None:
        """Take in what `who` has printed; whole lines."""
        self.characters += len(text)
        # One pass over everything; only who leaks is looked at line by line.
        if _ANY.search(text) is None:
            return
        for line in text.splitlines():
            self.leaks += [
                f"{who} printed {what}: {line.strip()[:200]}"
                for what, pattern in SECRETS.items()
                if re.search(pattern, line, re.IGNORECASE)
            ]


PRINTED: Final = Printed()
"""Of this run."""
