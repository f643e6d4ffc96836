import http.server
import io
import json
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from neocog import cli, data, recipes
from neocog.data.sources import mnist
from neocog.runs import Run
from neocog.training import train

# Absolute, since every test works in a folder of its own.
FOLDERS = [Path(f).absolute() for f in os.environ.get("NEOCOG_DATA", "").split(os.pathsep) if f]
# What is decoded is kept apart from the user's own.
os.environ["NEOCOG_CACHE"] = tempfile.mkdtemp(prefix="neocog-tests-")
os.environ["NEOCOG_DATA"] = os.pathsep.join(map(str, FOLDERS))
HAS_MNIST = any((folder / mnist.MNIST.folder).is_dir() for folder in FOLDERS)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("mnist") and not HAS_MNIST:
            item.add_marker(
                pytest.mark.skip(reason="needs MNIST/raw in a folder named by NEOCOG_DATA")
            )


@pytest.fixture(autouse=True)
def _away(tmp_path_factory, monkeypatch):
    """No test writes into the source tree, and none reaches the network."""
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    monkeypatch.setenv("NEOCOG_OFFLINE", "1")
    monkeypatch.delenv("NEOCOG_RUNS", raising=False)


@pytest.fixture(scope="session")
def digits_recipe():
    """A training that ends within a second or two and learns."""
    return recipes.get("digits", {"epochs": 6})


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory, digits_recipe) -> Run:
    return train(digits_recipe, runs_dir=tmp_path_factory.mktemp("runs"), device="cpu").run


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory) -> Run:
    """LeNet-5 on mnist5k for a few epochs: good enough to read a clean digit."""
    recipe = recipes.get("quickstart", {"epochs": 6, "warmup_fraction": 0.2})
    return train(recipe, runs_dir=tmp_path_factory.mktemp("quick"), device="cpu").run


@pytest.fixture(scope="session")
def mnist5k():
    return data.load("mnist5k")


@pytest.fixture
def neocog_command(monkeypatch, capsys):
    """Runs a command line; returns exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["neocog", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium. Skips where there is none, except where CI is set."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no chromium: see .ci/run")
        pytest.skip("needs chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *quiet],
        )
        yield started
        started.close()


@pytest.fixture
def open_page(browser):
    """A function that opens a page from disk; none may complain or ask for anything else."""
    contexts, complaints = [], []

    def opened(path, dark=False, width=1000):
        context = browser.new_context(
            color_scheme="dark" if dark else "light", viewport={"width": width, "height": 900}
        )
        contexts.append(context)
        page = context.new_page()
        address = Path(path).absolute().as_uri()
        page.on("console", lambda m: complaints.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on(
            "request",
            lambda r: (
                None
                if r.url == address or r.url.startswith("data:")
                else complaints.append(f"request: {r.url}")
            ),
        )
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def local_server():
    """A function that serves {name: bytes} on this machine and gives the address."""
    servers = []

    def serve(files):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                content = files.get(self.path.lstrip("/"))
                self.send_response(200 if content is not None else 404)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def parquet():
    """A function that writes (image, label) rows as a Hugging Face image table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def encoded(image):
        if isinstance(image, bytes):
            return image
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()

    def write(path, rows, classes):
        images = [{"bytes": encoded(p), "path": f"{k}.png"} for k, (p, _) in enumerate(rows)]
        table = pa.table({"img": images, "label": [label for _, label in rows]})
        if classes:
            features = {
                "img": {"_type": "Image"},
                "label": {"names": classes, "_type": "ClassLabel"},
            }
            notes = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": notes})
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        return path

    return write
