"""Not the package: what `python stages/<name>.py` finds in its place, to say how a stage is run.

Such a start never runs `stages/__init__.py`, which fixes the arithmetic of NumPy.
"""

import sys
from pathlib import Path

root, command = Path(__file__).resolve().parent.parent, [Path(sys.argv[0]).stem, *sys.argv[1:]]
sys.exit(f"error: run it as a module, in {root}: python -m stages.{' '.join(command)}")
