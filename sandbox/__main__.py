"""`python -m sandbox`: start the pretend company."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.seed import Company


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 lets the system pick one")
    parser.add_argument("--ready-file", type=Path, help="where to write the address once it listens")
    parser.add_argument("--empty", action="store_true", help="start without the pretend company's records")
    options = parser.parse_args()

    from sandbox.server import serve

    serve(options.port, options.ready_file, None if options.empty else company())


def company() -> Company:
    """Load the pretend company."""
    from sandbox.company import load

    return load()


if __name__ == "__main__":
    main()
