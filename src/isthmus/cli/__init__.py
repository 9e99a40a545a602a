"""Floor 9: the command line."""

from __future__ import annotations


def main() -> None:
    """Run the command line; errors made on purpose become one line and exit code 2."""
    from isthmus.cli.app import run

    run()
