"""python -m study run | best | random | exhibits | report

    run       every cell that has no result yet, through DVC's queue
    best      the best run of the pair, its controller driven over the paper's 1,024 episodes
    random    the random policy on evaluate's tracks
    exhibits  pictures and drives of one training seed, from its models
    report    report.html and its figures, from results/

Whatever it was, and however it ended, study.csv and comparison.json then say what results/ holds.
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
LOST = 3
"""Looks at the queue without a worker, or at a cell that it no longer knows, before giving up."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="study", description="VAE against VAE-GAN, over seeds.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="every cell that has no result yet")
    run.add_argument("--only", nargs="+", metavar="CELL", choices=[c.name for c in grid.cells()],
                     help="cells, such as vaegan-3; all of them if left out")  # fmt: skip
    how = run.add_mutually_exclusive_group()
    how.add_argument("--jobs", type=int, default=1, choices=range(1, 65), metavar="N",
                     help="cells at a time; their seconds then say little")  # fmt: skip
    how.add_argument("--loop", action="store_true", help="one after the other, without the queue")
    commands.add_parser("best", help="the best run's controller over the paper's 1,024 episodes")
    commands.add_parser("random", help="the random policy on evaluate's tracks")
    exhibit = commands.add_parser("exhibits", help="pictures and drives of one training seed")
    exhibit.add_argument("--seed", type=int, default=0)
    commands.add_parser("report", help="report.html and its figures, from results/")
    arguments = parser.parse_args()
    try:
        try:
            if arguments.command == "run":
                only = arguments.only
                wanted = [cell for cell in grid.cells() if only is None or cell.name in only]
                _run(wanted, arguments.jobs, arguments.loop)
            elif arguments.command == "best":
                best = runs.best()
                _run([Cell(grid.LONG[best.variant], best.seed)], jobs=1, loop=True)
            elif arguments.command == "random":
                random_policy.write()
            elif arguments.command == "exhibits":
                exhibits.write(arguments.seed)
        finally:
            table.write()
        if arguments.command == "report":
            report.write()
    except (UserError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        _say("stopped; DVC's queue, if at work, goes on (`dvc queue stop --kill` ends it); "
             "the same command takes up what there is")  # fmt: skip
        sys.exit(130)


def _run(wanted: list[Cell], jobs: int, loop: bool) -> None:
    experiments.check_committed()
    missing = [cell for cell in wanted if not _is_done(cell)]
    # what an earlier attempt finished and did not live to keep
    missing = [cell for cell in missing if not _kept(cell)]
    if loop:
        _one_by_one(missing)
    elif missing:
        _queued(missing, jobs)


def _is_done(cell: Cell) -> bool:
    run = runs.load(cell)
    if run is None or run.error is not None:
        return False
    if not experiments.is_current(run.commit) or run.changes != cell.changes(run.scale):
        _say(f"{cell.name}: kept from {run.commit[:7]}, scale {run.scale}; the code has changed: "
             f"delete {run.directory} to run it again")  # fmt: skip
    return True


def _kept(cell: Cell) -> bool:
    """Keeps the cell's finished experiment, if there is one."""
    if (revision := experiments.finished(cell)) is None:
        return False
    run = experiments.keep(cell, revision)
    _say(f"{cell.name}: {run.metrics['evaluate']['mean']:.1f}")
    return True


def _failed(cell: Cell, error: str) -> None:
    _say(f"{cell.name}: failed: {experiments.keep_failure(cell, error).error}")


def _one_by_one(missing: list[Cell]) -> None:
    for number, cell in enumerate(missing):
        _say(f"{cell.name}: {number + 1} of {len(missing)}")
        experiments.check_committed()
        if (error := experiments.run_here(cell)) is not None:
            _failed(cell, error)
        elif not _kept(cell):
            raise UserError(f"{cell.name}: ran with other code than HEAD's; run this again")


def _queued(missing: list[Cell], jobs: int) -> None:
    experiments.clear([cell.name for cell in missing])
    running = experiments.tasks()
    for cell in missing:
        if cell.name not in running:
            experiments.queue(cell)
    experiments.start(jobs)
    started, total, wait, lost = time.monotonic(), len(missing), 2.0, 0
    while missing:
        time.sleep(wait := min(2 * wait, POLL))
        states = experiments.tasks()
        ended = [cell for cell in missing if states.get(cell.name) not in ("Queued", "Running")]
        for cell in ended:
            if states.get(cell.name) == "Failed":
                _failed(cell, experiments.reason(cell.name))
                missing.remove(cell)
            elif _kept(cell):
                missing.remove(cell)
        # DVC may need a moment to list what has changed its state, and a worker to answer
        unknown = [cell.name for cell in ended if cell in missing]
        lost = lost + 1 if unknown or not experiments.has_worker() else 0
        if missing and lost == LOST:
            name = (unknown or [missing[0].name])[0]
            raise UserError(f"{name}: DVC's queue has no worker, or ran it at another commit; "
                            "run this again")  # fmt: skip
        done, minutes = total - len(missing), (time.monotonic() - started) / 60
        for name in [name for name, state in states.items() if state == "Running"]:
            _say(f"study: {done}/{total} cells, {minutes:.0f} min; "
                 f"{name}: {experiments.last_line(name)}")  # fmt: skip


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
