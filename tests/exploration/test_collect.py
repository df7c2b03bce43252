"""The stage that collects, which runs in more processes than any other."""

import subprocess
import sys
from pathlib import Path

from verify.workspace import ROOT

SCRIPT = """
import sys
from pathlib import Path

import stages.collect
from wm.drive.workers import WorkerEnvs
from wm.env.fast import environment
from wm.exploration.recording import RecordingTask, record

task = RecordingTask([0, 1], seed=0, random_share=0.5, max_steps=3, directory=Path(sys.argv[1]))
assert record(WorkerEnvs(environment.make), task) == 8
print(*sorted(sys.modules))
"""


def test_a_worker_imports_no_torch_and_no_model(tmp_path: Path) -> None:
    """Which would take it seconds and hundreds of megabytes."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert "wm.exploration.recording" in modules
    assert "torch" not in modules
    models = ("wm.nn", "wm.vision", "wm.memory", "wm.control", "wm.training")
    assert [module for module in modules if module.startswith(models)] == []
