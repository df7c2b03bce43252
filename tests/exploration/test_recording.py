"""Collected episodes: the same bytes from one worker and from two."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from wm.core import episodes
from wm.drive.workers import WorkerEnvs
from wm.env.fast import environment
from wm.exploration.recording import RecordingTask, record
from wm.runtime.executor import Processes


def test_collected_episodes_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    folders = []
    for count, shards in ((1, [[0, 1, 2]]), (2, [[2], [0, 1]])):
        folder = tmp_path / str(count)
        folder.mkdir()
        folders.append(folder)
        tasks = [RecordingTask(ids, 7, 0.5, 40, folder) for ids in shards]
        with Processes(count, partial(WorkerEnvs, environment.make)) as executor:
            assert sum(executor.map(record, tasks)) == 3 * 41
    for id_ in range(3):
        one, two = ((folder / episodes.file_name(id_)).read_bytes() for folder in folders)
        assert one == two
    driven = [episodes.EpisodeFile(folders[0] / episodes.file_name(i)).read() for i in range(3)]
    assert [episode.id for episode in driven] == [0, 1, 2]
    assert len({episode.seed for episode in driven}) == 3
    assert (driven[0].frames[40] != driven[0].frames[0]).any()
    assert (driven[0].actions != driven[1].actions).any()
