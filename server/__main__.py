"""`python -m server`, the same as the command `bandstand`."""

from server.cli import main

if __name__ == "__main__":
    main()
