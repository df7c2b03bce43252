"""python -m share push | check

push    the run cache and all that its runs have made, metrics and plots too
check   reads every object of this cache (-r: of a remote) and removes damaged ones
"""

from __future__ import annotations

import argparse
import os
import sys

from dvc.repo import Repo

from share.check import check
from share.push import push
from wm.runtime.entry import TRACEBACK


def main() -> None:
    parser = argparse.ArgumentParser(prog="share", description="A cache that a team shares.")
    commands = parser.add_subparsers(dest="command", required=True)
    pushing = commands.add_parser("push", help="the run cache and all that its runs have made")
    pushing.add_argument("-r", "--remote", metavar="NAME", help="the default one if left out")
    checking = commands.add_parser("check", help="removes damaged objects")
    checking.add_argument("-r", "--remote", metavar="NAME", help="this cache if left out")
    arguments = parser.parse_args()
    removed = 0
    try:
        with Repo() as repo:
            if arguments.command == "push":
                sent, left_out = push(repo, arguments.remote)
                print(f"{sent} objects sent")
                if left_out:
                    print(
                        f"notice: {left_out} runs are left out: this cache no longer has all that "
                        "they made",
                        file=sys.stderr,
                    )
                return
            for found in check(repo, arguments.remote):
                print(f"removed: {found}", file=sys.stderr)
                removed += 1
            if removed:
                sys.exit(f"error: {removed} objects were removed; {_remedy(arguments.remote)}")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # whatever the library of a remote raises
        if os.environ.get(TRACEBACK):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        again = f"; {removed} objects were removed before: check again" if removed else ""
        sys.exit(f"error: {reason}{again}")


def _remedy(remote: str | None) -> str:
    if remote:
        return f"`dvc push -r {remote}` and `python -m share push -r {remote}` where they are whole"
    # a damaged object may already lie in the workspace, where DVC believes it is whole
    # by name: data/human holds what a person drove, which no stage brings back
    made = ("data/episodes data/latents data/evaluation data/rounds models videos/evaluate.mp4 "
            "videos/dream_page.html")  # fmt: skip
    return (f"bring them back by `rm -rf {made}; dvc pull`, or `dvc repro` in its place and, after "
            "rounds, `make rounds`")  # fmt: skip


if __name__ == "__main__":
    main()
