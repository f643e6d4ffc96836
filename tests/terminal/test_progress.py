"""Bars of downloads and of decoding, before training begins."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from neocog import data, recipes
from neocog.terminal import progress as bars


def training(terminal):
    console = Console(file=io.StringIO(), width=80, force_terminal=terminal)
    return bars.TrainingProgress(console, recipes.get("photos"))


def test_a_download_has_a_bar_on_a_terminal_alone(monkeypatch):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(bars.time, "perf_counter", lambda: now.seconds)
    shown = training(terminal=True)
    speeds = []
    for done in (5_000_000, 7_000_000, 1_000_000, 4_000_000):  # goes on where it stopped; a second
        shown("download", done, 10_000_000)
        speeds.append(shown.download.bar.tasks[0].fields["speed"])
        now.seconds += 1
    assert speeds == ["0.0 MB/s", "2.0 MB/s", "0.0 MB/s", "3.0 MB/s"]
    assert shown.bar is None, "two bars at a time are none"
    shown("decode", 1, 10)
    assert shown.download.bar is None and shown.reading.bar
    shown.reading.close()
    shown.close()
    silent = training(terminal=False)
    silent("download", 1, 2)
    silent.close()
    assert not silent.console.file.getvalue()


def test_a_published_dataset_says_how_far_its_download_is(monkeypatch):
    class AskedError(Exception):
        """The dataset was read."""

    def read(progress):
        progress("download", 1, 2)
        raise AskedError

    seen = []
    monkeypatch.setitem(data.DATASETS, "digits", SimpleNamespace(read=read))
    with pytest.raises(AskedError):
        data.load("digits", progress=lambda *now: seen.append(now))
    assert seen == [("download", 1, 2)]
