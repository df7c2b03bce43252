"""How a stage runs, and never what it computes; no stage depends on this room in DVC."""
