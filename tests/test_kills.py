"""kill -9 at random moments: the next start works and gives the right answer."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from neocog import data, runs
from neocog.evaluation.evaluate import evaluate
from neocog.storage import cache

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")

# Imports once, then forks: (command, seconds after which it is killed, or null) a line. Answers
# with [seconds it took, its exit code].
CHILD = """
import json, os, signal, sys, threading, time
import neocog.cli, neocog.data, neocog.evaluation.evaluate, neocog.report.page, neocog.report.plots
import neocog.report.contact_sheets, neocog.rendering.i18n, neocog.examine, neocog.terminal.dataset
for line in sys.stdin:
    command, seconds, number = json.loads(line)
    begin = time.monotonic()
    process = os.fork()
    if process == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        sys.argv = ["neocog", *command]
        try:
            neocog.cli.main()
        except SystemExit as ended:
            os._exit(ended.code or 0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(process, number)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(json.dumps([time.monotonic() - begin, code]), flush=True)
"""


@pytest.fixture
def forked(tmp_path, monkeypatch):
    """A function that runs a command in a fork, which it may kill: (seconds, exit code)."""
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a fork has no threads but its own
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def run(*command, after=None, number=9):
        child.stdin.write(json.dumps([[*map(str, command)], after, number]) + "\n")
        child.stdin.flush()
        return json.loads(child.stdout.readline())

    yield run
    child.stdin.close()
    child.stdout.close()
    child.wait(60)


@pytest.fixture
def photos(tmp_path):
    for n in range(300):
        blocks = np.random.default_rng(n).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        folder = tmp_path / "photos" / ("cat" if n % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks).resize((96, 96)).save(folder / f"{n}.png")
    return tmp_path / "photos"


times = pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.slow)])


@times
def test_data_and_its_cache_outlast_kills(forked, photos, tmp_path, times):
    form = data.DataConfig((0.5,) * 3, (0.5,) * 3, image_size=64)
    command = ("data", photos, "--sheets", tmp_path / "sheets")
    seconds, code = forked(*command)
    assert code == 0
    expected = data.load(str(photos), form).describe()
    cache.clear()
    for n in range(times):
        after = random.uniform(0, seconds)
        forked(*command, after=after)
        assert data.load(str(photos), form).describe() == expected, f"kill {n} after {after} s"
        if n % 2:
            cache.clear()
    assert forked(*command)[1] == 0
    for sheet in (tmp_path / "sheets").glob("*.png"):
        Image.open(sheet).load()


@times
def test_reports_and_evaluations_outlast_kills(forked, digits_run, tmp_path, times):
    run = runs.create_named("one", tmp_path / "runs")
    for file in digits_run.path.iterdir():
        if file.is_file():
            (run.path / file.name).write_bytes(file.read_bytes())
    expected = evaluate(digits_run.path).result.confusion
    seconds = {what: forked(what, run.path)[0] for what in ("report", "evaluate")}
    for n in range(times):
        what = ("report", "evaluate")[n % 2]
        forked(what, run.path, after=random.uniform(0, seconds[what]))
        assert run.report_file.read_text("utf-8").rstrip().endswith("</html>")
        assert run.read_evaluation().confusion == expected
        for plot in run.plots_folder.glob("*.png"):
            Image.open(plot).load()
        assert evaluate(run.path).result.confusion == expected


def test_sigterm_takes_temporary_folders_with_it(forked, photos, tmp_path, monkeypatch):
    """Nothing can be kept: what is decoded lies in a temporary folder while the command runs."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "cache").write_text("no folder")
    code = f"""
import os, signal, sys, tempfile
tempfile.tempdir = {str(tmp_path / "tmp")!r}
from neocog import cli
from neocog.data import decode_cache as decoded
decode = decoded._decoded_dataset
def struck(*arguments):
    found = decode(*arguments)
    assert os.listdir(tempfile.tempdir)
    os.kill(os.getpid(), signal.SIGTERM)
    return found
decoded._decoded_dataset = struck
sys.argv = ["neocog", "data", {str(photos)!r}]
cli.main()
"""
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert child.returncode == 143, child.stderr
    assert child.stderr.splitlines()[-1] == "Stopped."
    assert not os.listdir(tmp_path / "tmp")  # noqa: PTH208
