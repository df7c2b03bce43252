"""Rounds of driving and learning on, after the pipeline (World Models, section 6).

Round 0 begins with what the pipeline made. Round k trains the memory on with what was driven
before, climbs on from the best controller in its dreams and drives points of the way: `make rounds`
(docs/rounds.md). A script a stage: `python -m rounds.drive 1`.
"""

from wm.core import kernels

kernels.fix()  # before anything imports NumPy
