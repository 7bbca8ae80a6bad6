"""The command `bandstand`, and `python -m server`."""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line and exit; see `cli`."""
    # What is imported stays: looking for garbage among it would be a twentieth of the start.
    gc.disable()
    from server.cli import main as run

    gc.freeze()
    gc.enable()
    run()


if __name__ == "__main__":
    main()
