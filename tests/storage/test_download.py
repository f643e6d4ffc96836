import contextlib
import hashlib
import socketserver
import threading
import time
import tracemalloc
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from neocog.errors import NeocogError
from neocog.storage import download
from neocog.storage.download import fetch

CONTENT = b"ten digits" * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A local server of a folder: its address and the folder."""
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


def test_fetch_uses_the_first_mirror_with_the_right_content(server, tmp_path):
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


def test_a_refused_connection_is_reported(server, tmp_path):
    with pytest.raises(NeocogError, match="Connection refused"):
        fetch(["http://127.0.0.1:1/file"], tmp_path / "file", MD5)


def test_offline_is_obeyed_at_once(tmp_path):
    with pytest.raises(NeocogError, match="NEOCOG_OFFLINE=1 forbids"):
        fetch(["http://127.0.0.1:1/file"], tmp_path / "file", MD5)


def endless(write):
    write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        write(b"x" * 65536)


def endless_that_promises_little(write):
    write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        write(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def a_byte_a_moment(write):
    write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        write(b"x")
        time.sleep(0.05)


def headers_without_end(write):
    write(b"HTTP/1.1 200 OK\r\n")
    while True:
        write(b"X")
        time.sleep(0.05)


def trailers_without_end(write):
    write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    while True:
        write(b"X-More: x\r\n")
        time.sleep(0.01)


def nothing_at_all(write):
    time.sleep(30)


def redirect_to_nowhere(write):
    write(b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n")


def redirect_to_a_port_that_is_none(write):
    write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:99999999/\r\n\r\n")


def redirect_to_a_file(write):
    write(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\n\r\n")


def redirect_without_end(write):
    write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")
    while True:
        write(b"x" * 65536)


def no_http(write):
    write(b"\0\xff" * 100 + b"\r\n\r\n")


def a_length_that_is_none(write):
    write(b"HTTP/1.1 200 OK\r\nContent-Length: -5e3\r\n\r\nx")


def chunks_of_no_size(write):
    write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n")


HOSTILE = [
    endless, endless_that_promises_little, a_byte_a_moment, headers_without_end,
    trailers_without_end, nothing_at_all, redirect_to_nowhere, redirect_to_a_port_that_is_none,
    redirect_to_a_file, redirect_without_end, no_http, a_length_that_is_none, chunks_of_no_size,
]  # fmt: skip


@pytest.fixture
def hostile_server():
    """Start a server that answers by `answer(write)`; return its address."""
    servers = []

    def serve(answer):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.recv(65536)
                with contextlib.suppress(OSError):
                    answer(self.request.sendall)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/file"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("answer", HOSTILE)
def test_after_any_failure_the_next_mirror_is_tried(
    answer, server, hostile_server, tmp_path, monkeypatch
):
    monkeypatch.setattr(download, "WINDOW_SECONDS", 0.5)
    begin = time.monotonic()
    target = tmp_path / "new" / "file"
    mirrors = [hostile_server(answer), server + "good"]
    assert fetch(mirrors, target, MD5, most_bytes=len(CONTENT)).read_bytes() == CONTENT
    assert time.monotonic() - begin < 10
    assert [p.name for p in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("answer", HOSTILE)
def test_the_failure_of_a_mirror_is_reported_in_one_line(
    answer, hostile_server, tmp_path, monkeypatch
):
    monkeypatch.setenv("NEOCOG_OFFLINE", "0")
    monkeypatch.setattr(download, "WINDOW_SECONDS", 0.3)
    tracemalloc.start()
    try:
        with pytest.raises(NeocogError, match="file could not be downloaded") as caught:
            fetch([hostile_server(answer)], tmp_path / "file", MD5, most_bytes=10_000)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert "\n" not in caught.value.message and len(caught.value.message) < 500
    assert not list(tmp_path.glob("*file*")) and not list(tmp_path.glob(".*"))


def test_a_file_has_a_deadline_over_all_mirrors(hostile_server, tmp_path, monkeypatch):
    monkeypatch.setenv("NEOCOG_OFFLINE", "0")
    monkeypatch.setattr(download, "DEADLINE_SECONDS", 0.5)
    begin = time.monotonic()
    mirrors = [hostile_server(answer) for answer in (a_byte_a_moment, nothing_at_all)]
    with pytest.raises(NeocogError, match=r"did not come within 0 s.*did not come within 0 s"):
        fetch(mirrors, tmp_path / "file", MD5)
    assert time.monotonic() - begin < 3


def test_a_response_larger_than_the_file_is_refused(server, tmp_path):
    with pytest.raises(NeocogError, match="more than the 100 bytes that the file has"):
        fetch([server + "good"], tmp_path / "file", MD5, most_bytes=100)


def test_a_disk_error_is_not_blamed_on_the_mirrors(server, tmp_path):
    (tmp_path / "here").write_text("a file, no folder")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        fetch([server + "good"], tmp_path / "here" / "file", MD5)
