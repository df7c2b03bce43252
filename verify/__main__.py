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

from verify import full_disk, kills, pipeline_kills, same_bytes, soak
from wm import artifacts

RESULTS = Path(__file__).parent / "results.json"
GROWTH = 32.0  # MiB over nine tenths of the soak: the cache of tracks fills, a leak goes on
PARTS = ("bytes", "kills", "pipeline_kills", "full_disk", "soak")


def main() -> None:
    parser = argparse.ArgumentParser(description="The same bytes, and every kill survived.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--stages", nargs="+", choices=kills.STAGES, default=kills.STAGES,
                        metavar="STAGE", help="to be killed; the others' rows stay")  # fmt: skip
    parser.add_argument("--moments", type=int, default=20, help="kills of each kind a stage")
    parser.add_argument("--steps", type=int, default=1_000_000, help="of the environment")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the actions")
    arguments = parser.parse_args()
    results: dict[str, Any] = artifacts.read_json(RESULTS) if RESULTS.exists() else {}

    def tell(part: str, rows: Iterable[dict[str, Any]]) -> None:
        kept = results.get(part, []) if part == "kills" else []
        results[part] = [row for row in kept if row["stage"] not in arguments.stages]
        for row in rows:
            print("  ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
            results[part].append(row)
            artifacts.write_json(RESULTS, results)  # now: a stop loses no row of this run

    with tempfile.TemporaryDirectory() as folder:
        if "bytes" in arguments.only:
            tell("bytes", same_bytes.rows(Path(folder) / "bytes"))
        if "kills" in arguments.only:
            where = Path(folder) / "kills"
            tell("kills", kills.rows(where, arguments.stages, arguments.moments, arguments.seed))
        if "pipeline_kills" in arguments.only:
            where, moments = Path(folder) / "pipeline", max(1, arguments.moments // 5)
            tell("pipeline_kills", pipeline_kills.rows(where, moments, arguments.seed))
        if "full_disk" in arguments.only:
            where, moments = Path(folder) / "full_disk", max(1, arguments.moments // 2)
            tell("full_disk", full_disk.rows(where, moments, arguments.seed))
        if "soak" in arguments.only:
            tell("soak", [soak.row(arguments.steps, arguments.seed)])
    failed = [row for part in arguments.only for row in results[part] if _failed(row)]
    sys.exit(f"{len(failed)} rows failed" if failed else 0)


def _failed(row: dict[str, Any]) -> bool:
    return bool(
        row.get("changed")
        or row.get("different")
        or row.get("tracebacks")
        or row.get("not_one_line")
        or row.get("half_written")
        or 0 in (row.get("killed_at_work"), row.get("full_at_work"))  # then nothing was tried
        or row.get("most_units_repeated", 0) > row.get("units_allowed", 0)
        or row.get("differs_at") is not None
        or row.get("mib_at_the_end", 0) - row.get("mib_after_a_tenth", 0) > GROWTH
    )


if __name__ == "__main__":
    main()
