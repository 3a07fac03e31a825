"""Callbacks that write: tables, lines of JSON, TensorBoard's files, curves."""

import csv
import json
import sys

import pytest

from dlcore import train
from tests.test_train import loader, trainer, unseen


def test_logs_have_a_row_for_each_epoch_and_go_on_after_a_resumption(tmp_path):
    table, path = tmp_path / "log.csv", tmp_path / "run.safetensors"
    logs = lambda: [train.RateLog(), train.CSVLog(table), train.JSONLog(tmp_path / "log.jsonl")]
    trainer([*logs(), train.Checkpoint(path)]).fit(loader(), epochs=2)

    history = trainer(logs()).fit(loader(), epochs=3, resume=path)

    rows = [*csv.DictReader(table.read_text().splitlines())]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == history["loss"] == [line["loss"] for line in lines]
    assert history["lr"] == [0.01] * 3


def test_the_curves_are_drawn_anew_after_each_epoch(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "losses.svg"

    trainer([train.ProgressPlot(path, log=True)]).fit(loader(), epochs=2, validation=unseen())

    assert path.read_text().startswith("<?xml")


def test_tensorboard_is_asked_for_by_name(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)

    with pytest.raises(ImportError, match=r"pip install 'dlcore\[tensorboard\]'"):
        train.TensorBoardLog(tmp_path)


def test_tensorboard_gets_every_result(tmp_path):
    pytest.importorskip("tensorboardX")
    log = train.TensorBoardLog(tmp_path)

    trainer([log]).fit(loader(), epochs=2)
    trainer([log]).fit(loader(), epochs=1)

    (file, *_) = sorted(tmp_path.glob("events*"))
    assert all(name in file.read_bytes() for name in (b"loss", b"accuracy"))
