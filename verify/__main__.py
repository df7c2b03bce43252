"""One table and verify/results.json.

python -m verify [--only PART ...] [--stages train_vae ...] [--moments 20]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from verify import frames, full_disk, inputs, kills, pipeline_kills, primitives, same_bytes, soak
from verify.workspace import commit
from wm.core import artifacts, processor
from wm.runtime.entry import command

RESULTS = Path(__file__).parent / "results.json"
GROWTH = 32.0  # MiB over nine tenths of the soak: the cache of tracks fills, a leak goes on
LEFT = 500  # bytes that an episode of ours may leave: gymnasium's own leaves 2,400
LEFT_BLOCKS = 1.0  # of Python's own, which are not the C library's: a leak of integers left 40
PARTS = ("bytes", "kills", "pipeline_kills", "full_disk", "inputs", "soak", "frames", "arithmetic")


def main() -> None:
    parser = argparse.ArgumentParser(description="The same bytes, and every kill survived.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--stages", nargs="+", choices=kills.STAGES, default=kills.STAGES,
                        metavar="STAGE", help="to be killed; the others' rows stay")  # fmt: skip
    parser.add_argument("--moments", type=int, default=20, help="kills of each kind a stage")
    parser.add_argument("--seconds", type=int, default=600, help="of fuzzing, a reader")
    parser.add_argument("--steps", type=int, default=1_000_000, help="of the environment")
    parser.add_argument("--frames", type=int, default=100_000, help="beside gymnasium's")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the actions")
    arguments = parser.parse_args()
    for name in ("moments", "seconds", "steps", "frames"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} counts from 1")
    stages, moments, seed = arguments.stages, arguments.moments, arguments.seed
    results: dict[str, Any] = artifacts.read_json(RESULTS) if RESULTS.exists() else {}
    ran: list[dict[str, Any]] = []
    on = {"commit": commit(RESULTS), "processor": processor.name()}

    def tell(part: str, rows: Iterable[dict[str, Any]]) -> None:
        old = results.get(part, [])
        kept = [row for row in old if part == "kills" and row["stage"] not in stages]
        for row in rows:
            print("  ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
            kept.append(row | on)
            ran.append(row)
            # now: a stop loses no row of this run, and a part without rows none of the last
            results[part] = kept
            artifacts.write_json(RESULTS, results)

    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        if "bytes" in arguments.only:
            tell("bytes", same_bytes.rows(where / "bytes"))
        if "kills" in arguments.only:
            tell("kills", kills.rows(where / "kills", stages, moments, seed))
        if "pipeline_kills" in arguments.only:
            few = max(1, moments // 5)
            tell("pipeline_kills", pipeline_kills.rows(where / "pipeline", few, seed))
        if "full_disk" in arguments.only:
            tell("full_disk", full_disk.rows(where / "full_disk", max(1, moments // 2), seed))
        if "inputs" in arguments.only:
            tell("inputs", inputs.rows(where / "inputs", arguments.seconds, seed))
        if "soak" in arguments.only:
            tell("soak", soak.rows(arguments.steps, seed))
        if "frames" in arguments.only:
            tell("frames", frames.rows(arguments.frames, seed))
        if "arithmetic" in arguments.only:
            tell("arithmetic", primitives.rows())
    failed = [row for row in ran if _failed(row)]
    sys.exit(f"{len(failed)} rows failed" if failed else 0)


def _failed(row: dict[str, Any]) -> bool:
    return bool(
        row.get("changed")
        or row.get("different")
        or row.get("tracebacks")
        or row.get("not_one_line")
        or row.get("half_written")
        or row.get("findings")
        or 0 in (row.get("killed_at_work"), row.get("full_at_work"))  # then nothing was tried
        or row.get("most_units_repeated", 0) > row.get("units_allowed", 0)
        or row.get("differs_at") is not None
        or row.get("compared") == 0
        or (row.get("whose") == "ours" and row.get("malloc_bytes_an_episode", 0) > LEFT)
        or (row.get("whose") == "ours" and row["python_blocks_an_episode"] > LEFT_BLOCKS)
        or row.get("mib_at_the_end", 0) - row.get("mib_after_a_tenth", 0) > GROWTH
    )


if __name__ == "__main__":
    command(main)
