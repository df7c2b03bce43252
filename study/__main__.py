"""python -m study run | random | exhibits | report

    run       every cell that has no result yet, one after the other; several of these at once share
              the cells
    random    the random policy on evaluate's tracks
    exhibits  pictures and drives of one training seed, from its models
    report    report.html, its figures and tables.md, from results/

However `run` ended, study.csv and comparison.json then say what results/ holds; `report` writes
them too. What was stopped or killed goes on with the same command: cells that are finished are
kept, and a stage resumes from its checkpoint. Where cells failed, the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys

from study import (
    exhibits,
    experiments,
    grid,
    markdown,
    random_policy,
    report,
    runs,
    settings,
    table,
)
from study.grid import Cell
from wm.core.errors import UserError
from wm.runtime.entry import command


def main() -> None:
    parser = argparse.ArgumentParser(prog="study", description="VAE against VAE-GAN, over seeds.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="every cell that has no result yet")
    run.add_argument("--only", nargs="+", metavar="CELL", type=_cell,
                     help="cells, such as vaegan-3; all of them if left out")  # fmt: skip
    run.add_argument("-S", "--set", action="append", default=[], metavar="KEY=VALUE",
                     help="a change to params.yaml for every cell, as of dvc exp run")  # fmt: skip
    commands.add_parser("random", help="the random policy on evaluate's tracks")
    exhibit = commands.add_parser("exhibits", help="pictures and drives of one training seed")
    exhibit.add_argument("--seed", type=int, default=0)
    commands.add_parser("report", help="report.html, its figures and tables.md, from results/")
    arguments = parser.parse_args()
    if arguments.command == "run":
        every, only = grid.cells(arguments.set), arguments.only
        wanted = [cell for cell in every if only is None or cell.name in only]
        settings.check(arguments.set, wanted, experiments.params_at("HEAD"))
        try:
            failed = _run(wanted)
        except KeyboardInterrupt:
            _say("stopped; the same command goes on where it was")
            raise
        finally:
            table.write()
        if failed:
            raise UserError(f"{', '.join(failed)}: failed; {runs.RUNS}/<cell>/run.json says why")
    elif arguments.command == "random":
        random_policy.write()
    elif arguments.command == "exhibits":
        exhibits.write(arguments.seed)
    else:
        table.write()
        report.write()
        markdown.write()


def _cell(name: str) -> str:
    if name not in {cell.name for cell in grid.cells()}:
        raise argparse.ArgumentTypeError(
            f"{name}: no cell; one is a variant of {', '.join(grid.TITLES)} and a seed, such as "
            "vaegan-3; other seeds: SEEDS in study/grid.py"
        )
    return name


def _run(wanted: list[Cell]) -> list[str]:
    """Runs the cells that have no result, one after the other; returns those that failed."""
    experiments.check_committed()
    if wanted := _of_this_scale(wanted):
        _check_comparable(wanted[0])
    missing, failed = _without_result(wanted), []
    # what an earlier attempt finished and did not live to keep, or was pulled from elsewhere
    missing = [cell for cell in missing if not _kept(cell, ran_here=experiments.fetch(cell))]
    for number, cell in enumerate(missing):
        if _has_result(cell):  # from another process, meanwhile
            continue
        _say(f"{cell.name}: {number + 1} of {len(missing)}")
        experiments.check_committed()
        try:
            error = experiments.run(cell)
        except experiments.BusyError:
            _say(f"{cell.name}: another process runs it")
            continue
        if _kept(cell, ran_here=True):
            continue
        if error is None:
            raise UserError(f"{cell.name}: ran with other code than HEAD's; run this again")
        _say(f"{cell.name}: failed: {experiments.keep_failure(cell, error).error}")
        failed.append(cell.name)
    return failed


def _of_this_scale(wanted: list[Cell]) -> list[Cell]:
    """Returns the cells whose keys params.yaml has; says of the others which it lacks."""
    document, found = experiments.params_at("HEAD"), []
    for cell in wanted:
        if lacking := settings.missing(cell.changes(document["scale"]), document):
            _say(f"{cell.name}: left out: params.yaml has no {lacking.partition('=')[0]}")
        else:
            found.append(cell)
    return found


def _without_result(wanted: list[Cell]) -> list[Cell]:
    """Returns the cells that have none yet, or failed; says of the others which are from other
    code than this."""
    missing, older = [], []
    for cell in wanted:
        run = runs.load(cell)
        if run is None or not _has_result(cell):
            missing.append(cell)
        elif not experiments.is_current(run.commit):
            older.append(f"{cell.name} ({run.commit[:7]}, {run.scale})")
    if older:
        _say(f"kept, though the code has changed since: {', '.join(older)}; to run one again, "
             f"delete its folder in {runs.RUNS}")  # fmt: skip
    return missing


def _has_result(cell: Cell) -> bool:
    """Returns whether a run of the cell that did not fail is kept."""
    run = runs.load(cell)
    return run is not None and run.error is None


def _check_comparable(cell: Cell) -> None:
    """Raises UserError if runs are kept that started from other parameters than the cell does,
    which say what tracks are driven too: no table would hold both."""
    mine = experiments.study_parameters(cell)
    others = [run for run in runs.load_all() if run.error is None and run.parameters != mine]
    if others:
        of = f"{others[0].cell} among {len(others)}" if len(others) > 1 else others[0].cell
        raise UserError(f"{runs.RUNS}: holds runs with other parameters ({of}), which do not "
                        "compare with what is asked for; move them elsewhere, or ask for what they "
                        "had by -S")  # fmt: skip


def _kept(cell: Cell, *, ran_here: bool) -> bool:
    """Keeps the cell's finished experiment; returns whether there is one. Where it did not run
    here, it may have been pulled from another machine, which nobody can name any more."""
    if (revision := experiments.finished(cell)) is None:
        return False
    run = experiments.keep(cell, revision, experiments.machine() if ran_here else {})
    _say(f"{cell.name}: {run.metrics['evaluate']['mean']:.1f}")
    return True


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    command(main)
