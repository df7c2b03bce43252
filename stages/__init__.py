"""One thin script a stage: read params, load, call `wm`, save. Run as `python -m stages.<name>`."""
