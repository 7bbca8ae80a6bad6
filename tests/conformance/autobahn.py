"""The cases of the Autobahn test suite, and what we make of them.

The suite itself runs on Python 2 only; `kosoku` drives its case files with a runner of its own. In:
a port that sends back what it is told. Out: a verdict for each case.

Left out: 12 and 13, which are about compression (it is not negotiated: see the handshakes), and the
halves of 9 that measure binary messages (which are not sent back; 1.2.1 stands for those).
"""

from __future__ import annotations

from typing import Final

from kosoku import FailureError, run_fuzzingclient
from kosoku._kosoku import CaseResult

LEFT_OUT: Final = (
    "12.*",
    "13.*",
    "9.2.*",
    "9.4.*",
    "9.6.*",
    "9.8.*",
    *(f"1.2.{n}" for n in range(2, 9)),
)

NOT_PASSED: Final = {
    "1.2.1": "binary messages mean nothing in Jazz: read and dropped, not sent back",
    "7.1.5": "a goodbye in the middle of a message is answered with 1002, not with 1000",
}
"""Cases with a verdict of FAILED or worse, and why."""

_EARLIER: Final = "the frames came in one read: the connection failed before the text was sent back"
NOT_STRICT: Final = {
    **dict.fromkeys(("3.2", "3.3", "3.4"), _EARLIER),
    **dict.fromkeys(("4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15"), _EARLIER),
    **dict.fromkeys(
        ("6.4.1", "6.4.2", "6.4.3", "6.4.4"), "UTF-8 is checked when the whole message is there"
    ),
}
"""Cases that may have a verdict of NON-STRICT, which is a pass, and why."""


async def run(port: int, *, and_not: str = "") -> dict[str, CaseResult]:
    """The verdicts, in the order of the suite; `and_not` leaves out more."""
    try:
        results = await run_fuzzingclient(
            f"ws://127.0.0.1:{port}", exclude_cases=[*LEFT_OUT, and_not], concurrency=8
        )
    except FailureError as failure:
        results = failure.results
    return {result.case_id: result for result in results}
