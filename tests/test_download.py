import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from neocog.download import fetch
from neocog.errors import NeocogError

CONTENT = b"ten digits" * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A local server of a folder; its address and the folder."""
    monkeypatch.setenv("NEOCOG_OFFLINE", "0")
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "good").write_bytes(CONTENT)
    (folder / "short").write_bytes(CONTENT[:-1])
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/"
    http.shutdown()
    thread.join()
    http.server_close()


def test_takes_the_first_mirror_that_has_the_right_content(server, tmp_path):
    target = tmp_path / "new" / "folder" / "file"
    mirrors = [server + "missing", server + "short", server + "good"]
    assert fetch(mirrors, target, MD5).read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == ["file"]


def test_wrong_content_never_appears_and_every_mirror_is_named(server, tmp_path):
    with pytest.raises(NeocogError, match=r"missing: File not found.*short: MD5 is .*9,999 bytes"):
        fetch([server + "missing", server + "short"], tmp_path / "file", MD5)
    assert not (tmp_path / "file").exists()


def test_a_good_file_is_not_fetched_again(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert fetch(["http://127.0.0.1:1/never"], tmp_path / "file", MD5).exists()


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT[:50])
    assert fetch([server + "good"], tmp_path / "file", MD5).read_bytes() == CONTENT


def test_a_refused_connection_is_told(server, tmp_path):
    with pytest.raises(NeocogError, match="Connection refused"):
        fetch(["http://127.0.0.1:1/file"], tmp_path / "file", MD5)


def test_offline_is_obeyed_at_once(tmp_path):
    with pytest.raises(NeocogError, match="NEOCOG_OFFLINE=1 forbids"):
        fetch(["http://127.0.0.1:1/file"], tmp_path / "file", MD5)
