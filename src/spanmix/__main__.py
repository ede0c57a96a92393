"""Make ``python -m spanmix`` the same as ``spanmix``."""

from __future__ import annotations

import sys

from spanmix.cli import main

if __name__ == "__main__":
    sys.exit(main())
