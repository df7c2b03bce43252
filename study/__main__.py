"""python -m study run | random | exhibits | report

    run       every cell that has no result yet, through DVC's queue
    random    the random policy on evaluate's tracks
    exhibits  pictures and drives of one training seed, from its models
    report    study.csv, comparison.json, report.html and its figures, from results/

Each leaves what the others made as it is, and every one of them ends with the tables.
"""

from __future__ import annotations

import argparse
import sys
import time

from study import exhibits, experiments, grid, random_policy, report, runs, table
from study.grid import Cell
from wm.errors import UserError

POLL = 60.0
"""Seconds between looks at DVC's queue, at most: it begins with 4 and doubles."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="study", description="VAE against VAE-GAN, over seeds.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="every cell that has no result yet, then the tables")
    run.add_argument("--only", nargs="+", metavar="CELL", choices=[c.name for c in grid.cells()],
                     help="cells, such as vaegan-3; all of them if left out")  # fmt: skip
    run.add_argument("--jobs", type=int, default=1, help="cells at a time")
    run.add_argument("--loop", action="store_true", help="one after the other, without the queue")
    commands.add_parser("random", help="the random policy on evaluate's tracks")
    exhibit = commands.add_parser("exhibits", help="pictures and drives of one training seed")
    exhibit.add_argument("--seed", type=int, default=0)
    commands.add_parser("report", help="the tables, report.html and its figures, from results/")
    arguments = parser.parse_args()
    try:
        if arguments.command == "run":
            _run(arguments.only, arguments.jobs, arguments.loop)
        elif arguments.command == "random":
            random_policy.write()
        elif arguments.command == "exhibits":
            exhibits.write(arguments.seed)
        table.write()
        if arguments.command == "report":
            report.write()
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        _say("stopped; DVC's queue, if at work, goes on (`dvc queue stop --kill` ends it); "
             "the same command takes up what there is")  # fmt: skip
        sys.exit(130)


def _run(only: list[str] | None, jobs: int, loop: bool) -> None:
    experiments.check_committed()
    missing = [cell for cell in grid.cells() if only is None or cell.name in only]
    missing = [cell for cell in missing if not _is_done(cell)]
    if loop:
        _one_by_one(missing)
    else:
        _queued(missing, jobs)


def _is_done(cell: Cell) -> bool:
    run = runs.load(cell)
    if run is None or run.error is not None:
        return False
    if not experiments.is_current(run.commit):
        _say(f"{cell.name}: kept from {run.commit[:7]}, the pipeline has changed since; "
             f"delete {run.directory} to run it again")  # fmt: skip
    return True


def _one_by_one(missing: list[Cell]) -> None:
    for number, cell in enumerate(missing):
        _say(f"{cell.name}: {number + 1} of {len(missing)}")
        known = cell.name in experiments.finished()
        if not known and (error := experiments.run_here(cell)) is not None:
            _say(f"{cell.name}: failed: {experiments.keep_failure(cell, error).error}")
            continue
        experiments.keep(cell, experiments.finished()[cell.name])


def _queued(missing: list[Cell], jobs: int) -> None:
    experiments.clear()
    waiting, known = {*experiments.tasks()}, {*experiments.finished()}
    for cell in missing:
        if cell.name not in waiting | known:
            experiments.queue(cell)
    started, total, wait = time.monotonic(), len(missing), 2.0
    if any(cell.name not in known for cell in missing):
        experiments.start(jobs)
    while missing:
        finished, states = experiments.finished(), experiments.tasks()
        for cell in list(missing):
            if cell.name in finished:
                run = experiments.keep(cell, finished[cell.name])
                _say(f"{cell.name}: {run.metrics['evaluate']['mean']:.1f}")
            elif states.get(cell.name) == "Failed":
                run = experiments.keep_failure(cell, experiments.last_line(cell.name))
                _say(f"{cell.name}: failed: {run.error}")
            elif cell.name not in states:
                raise UserError(f"{cell.name}: no longer in DVC's queue; run this again")
            else:
                continue
            missing.remove(cell)
        if missing:
            done, minutes = total - len(missing), (time.monotonic() - started) / 60
            for name in [name for name, state in states.items() if state == "Running"]:
                _say(f"study: {done}/{total} cells, {minutes:.0f} min; "
                     f"{name}: {experiments.last_line(name)}")  # fmt: skip
            time.sleep(wait := min(2 * wait, POLL))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
