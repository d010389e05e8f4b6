"""What MLflow, Weights & Biases and Trackio show of a run, where they are installed: they are not in the lock."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from commandline import finish, only_run, python, result_of, run, train_words
from tracked_runs import SETTINGS, assert_same, here, needs, stop_twice


@needs("mlflow")
class TestMLflow:
    def store(self, folder: Path) -> Any:
        from mlflow.tracking import MlflowClient

        return MlflowClient(f"sqlite:///{folder}/mlflow.db")

    def in_mlflow(
        self, folder: Path, experiment: str, tmp_path: Path
    ) -> tuple[Any, dict[str, list[tuple[int, float]]]]:
        client = self.store(tmp_path)
        known = client.get_experiment_by_name(experiment)
        assert known is not None, [entry.name for entry in client.search_experiments()]
        name = f"attributes.run_name = '{folder.name}'"
        (entry,) = client.search_runs([known.experiment_id], name)
        identity = entry.info.run_id
        curves = {key: client.get_metric_history(identity, key) for key in entry.data.metrics}
        return entry, {key: [(point.step, point.value) for point in points] for key, points in curves.items()}

    def test_a_stopped_run_goes_on_as_the_same(self, data: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        words = train_words(data, out, *SETTINGS, "track=mlflow")
        stop_twice(words, out, tmp_path, here(tmp_path))
        entry, tracked = self.in_mlflow(only_run(out), "ptv2", tmp_path)
        assert_same(tracked, only_run(out))
        assert entry.info.status == "FINISHED"
        assert entry.data.params["optim.lr"] == "0.03"
        (page,) = self.store(tmp_path).list_artifacts(entry.info.run_id)
        assert page.path == "report.html"

    def test_a_sweep_is_an_experiment(self, data: Path, tmp_path: Path) -> None:
        words = train_words(data, tmp_path / "out", *SETTINGS, "trainer.epochs=1", "seed=1,2", "track=mlflow", "-m")
        for _ in range(2):  # the second finds both finished
            done = run(words, tmp_path, environment=here(tmp_path), before=partial(os.chdir, tmp_path))
            assert done.code == 0, done.err
        names = [entry.name for entry in self.store(tmp_path).search_experiments() if entry.name != "Default"]
        assert len(names) == 1
        assert re.fullmatch(r"sweep-seed-[0-9a-f]{6}", names[0])
        for folder in (path.parent for path in (tmp_path / "out").glob("*/result.json")):
            assert_same(self.in_mlflow(folder, names[0], tmp_path)[1], folder)

    def test_a_group_of_ones_own(self, data: Path, tmp_path: Path) -> None:
        words = train_words(data, tmp_path / "out", *SETTINGS, "trainer.max_steps=2", "track=mlflow")
        assert (
            run(
                words, tmp_path, environment=here(tmp_path, PTV2_TRACK_GROUP="mine"), before=partial(os.chdir, tmp_path)
            ).code
            == 0
        )
        self.in_mlflow(only_run(tmp_path / "out"), "mine", tmp_path)

    def test_a_server_that_is_away_costs_a_line(self, data: Path, untracked: Path, tmp_path: Path) -> None:
        away = here(tmp_path, MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
        done = run(train_words(data, tmp_path / "out", *SETTINGS, "track=mlflow"), tmp_path, environment=away)
        assert done.code == 0, done.err
        assert len(re.findall(r"^warning: track=mlflow: .*; the run goes on without it$", done.err, re.M)) == 1
        assert result_of(only_run(tmp_path / "out"))["test"] == result_of(untracked)["test"]


def in_leveldb_log(data: bytes) -> Iterator[bytes]:
    """The records of a log of LevelDB, whose first seven bytes are a header; a last one that is torn is left out."""
    at, pieces, block = 7, b"", 2**15
    while at + 7 <= len(data):
        if block - at % block < 7:  # no header fits into the rest of a block
            at += block - at % block
            continue
        size, kind = struct.unpack_from("<HB", data, at + 4)
        pieces += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4) and at <= len(data):  # the whole record, or its last piece
            yield pieces
            pieces = b""


@needs("wandb")
class TestWandB:
    def records(self, folder: Path) -> list[Any]:
        """All that offline runs have written, the earliest first."""
        from wandb.proto.wandb_internal_pb2 import Record

        paths = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
        return [Record.FromString(content) for path in paths for content in in_leveldb_log(path.read_bytes())]

    def in_wandb(self, folder: Path) -> dict[str, list[tuple[int, float]]]:
        curves: dict[str, list[tuple[int, float]]] = {}
        for record in self.records(folder):
            if record.WhichOneof("record_type") != "history":
                continue
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            for key, value in row.items():
                if not key.startswith("_"):
                    curves.setdefault(key, []).append((row["step"], value))
        return curves

    def test_a_stopped_run_goes_on_as_the_same(self, data: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        words = train_words(data, out, *SETTINGS, "track=wandb")
        stop_twice(words, out, tmp_path, here(tmp_path, PTV2_TRACK_GROUP="mine"))
        folder = only_run(out)
        assert_same(self.in_wandb(folder), folder)
        runs = [record.run for record in self.records(folder) if record.WhichOneof("record_type") == "run"]
        known = json.loads((folder / "tracking.json").read_text(encoding="utf-8"))["wandb"]["id"]
        assert {(entry.run_id, entry.project, entry.run_group, entry.display_name) for entry in runs} == {
            (known, "ptv2", "mine", folder.name)
        }
        assert any(record.WhichOneof("record_type") == "artifact" for record in self.records(folder)) or any(
            record.request.WhichOneof("request_type") == "log_artifact" for record in self.records(folder)
        )

    def test_switched_off_it_keeps_nothing(self, data: Path, tmp_path: Path) -> None:
        words = train_words(data, tmp_path / "out", *SETTINGS, "trainer.max_steps=2", "track=wandb")
        done = run(words, tmp_path, environment=here(tmp_path, WANDB_MODE="disabled"))
        assert done.code == 0, done.err
        assert "tracked" not in done.err
        assert "warning" not in done.err
        assert not (only_run(tmp_path / "out") / "wandb").exists()


@needs("trackio")
class TestTrackio:
    def test_a_stopped_run_goes_on_as_the_same(self, data: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        words = train_words(data, out, *SETTINGS, "track=trackio")
        stop_twice(words, out, tmp_path, here(tmp_path))
        code = (
            "import json, trackio\nfrom trackio.sqlite_storage import SQLiteStorage as store\n"
            "(name,) = store.get_runs('ptv2')\n"
            "print(json.dumps([name, store.get_run_config('ptv2', name), store.get_logs('ptv2', name)]))"
        )
        shown = finish(python("-c", code, **here(tmp_path)))
        assert shown.code == 0, shown.err
        name, settings, rows = json.loads(shown.out)
        folder = only_run(out)
        assert name.startswith(folder.name)
        assert settings["optim.lr"] == 0.03
        curves: dict[str, list[tuple[int, float]]] = {}
        for row in rows:
            for key, value in row.items():
                curves.setdefault(key, []).append((row["step"], value))
        assert_same(curves, folder)
