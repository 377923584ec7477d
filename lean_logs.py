"""Load structlog without rich, which it takes for tracebacks in colour where that is installed.

Ours are JSON. It would be 4 MB more in every process; whoever needs rich loads it later.
"""

from __future__ import annotations

import sys

if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog.dev  # noqa: F401
    finally:
        del sys.modules["rich"]
