"""Rounds of driving and learning on, after the pipeline (World Models, section 6).

Round k drives with what was found, trains the memory on with these drives and searches on:
`dvc repro rounds/dvc.yaml` (docs/rounds.md). A script a stage, `python -m rounds.<name> <round>`.
"""

from wm.core import kernels

kernels.fix()  # before anything imports NumPy
