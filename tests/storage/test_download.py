import contextlib
import hashlib
import http.server
import random
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


class Breaking(http.server.BaseHTTPRequestHandler):
    """Serves `content`, with ranges unless `whole`, and breaks off after `most` bytes."""

    content, most, whole = b"", 2**40, False

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        wanted = self.headers.get("Range")
        begin = 0 if self.whole or not wanted else int(wanted.removeprefix("bytes=").rstrip("-"))
        if begin >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if begin:
            size = len(self.content)
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        self.send_header("Content-Length", str(len(self.content) - begin))
        self.end_headers()
        self.wfile.write(self.content[begin : begin + self.most])

    def log_message(self, *_):
        pass


@pytest.fixture
def breaking_server(monkeypatch):
    """Start a server with these attributes of `Breaking`: its address and the ranges asked for."""
    monkeypatch.setenv("NEOCOG_OFFLINE", "0")
    servers = []

    def serve(**attributes):
        handler = type("Handler", (Breaking,), attributes)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.ranges = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/file", server.ranges

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


LARGE = random.Random(0).randbytes(3 * 2**20 + 5)
SHA256 = hashlib.sha256(LARGE).hexdigest()


def parts(folder):
    return [path for path in folder.iterdir() if path.suffix == ".part"]


def test_a_broken_download_goes_on_where_it_stopped(breaking_server, tmp_path):
    broken, _ = breaking_server(content=LARGE, most=2 * 2**20)
    with pytest.raises(NeocogError, match=r"broke off 1,048,581 bytes before the end"):
        fetch([broken], tmp_path / "file", sha256=SHA256)
    (part,) = parts(tmp_path)
    assert part.read_bytes() == LARGE[: 2 * 2**20]
    good, ranges = breaking_server(content=LARGE)
    seen = []
    fetch([good], tmp_path / "file", sha256=SHA256, progress=lambda *now: seen.append(now))
    assert (tmp_path / "file").read_bytes() == LARGE and ranges == [f"bytes={2 * 2**20}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    done = [now[1] for now in seen]
    assert {(now[0], now[2]) for now in seen} == {("download", len(LARGE))}
    assert done == sorted(done) and done[0] > 2 * 2**20 and done[-1] == len(LARGE)


def test_the_next_mirror_goes_on_with_what_the_first_sent(breaking_server, tmp_path):
    broken, _ = breaking_server(content=LARGE, most=2 * 2**20)
    good, ranges = breaking_server(content=LARGE)
    fetch([broken, good], tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == LARGE and ranges == [f"bytes={2 * 2**20}-"]


@pytest.mark.parametrize("kind", ["no ranges", "part of another file", "part beyond the end"])
def test_what_cannot_be_gone_on_with_is_fetched_anew(breaking_server, tmp_path, kind):
    part = tmp_path / f".file-{SHA256[:16]}.part"
    size = len(LARGE) + 1 if kind == "part beyond the end" else 2 * 2**20
    part.write_bytes(bytes(size) if kind != "no ranges" else LARGE[:size])
    good, ranges = breaking_server(content=LARGE, whole=kind == "no ranges")
    fetch([good], tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == LARGE
    assert ranges == [f"bytes={size}-", None] and not parts(tmp_path)


def test_parts_of_one_process_are_not_taken_by_two(breaking_server, tmp_path):
    (tmp_path / f".file-{SHA256[:16]}.part").write_bytes(LARGE[: 2 * 2**20])
    good, _ = breaking_server(content=LARGE)
    threads = [
        threading.Thread(target=fetch, args=([good], tmp_path / "file", "", SHA256))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() == LARGE
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_wrong_and_small_parts_are_not_kept(breaking_server, tmp_path):
    wrong, _ = breaking_server(content=bytes(3 * 2**20))
    small, _ = breaking_server(content=LARGE, most=2**19)
    with pytest.raises(NeocogError, match=r"SHA-256 begins with.*broke off"):
        fetch([wrong, small], tmp_path / "file", sha256=SHA256)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_keeps_what_came(breaking_server, tmp_path):
    def stop(_, done, __):
        if done > 2**20:
            raise KeyboardInterrupt

    good, _ = breaking_server(content=LARGE)
    with pytest.raises(KeyboardInterrupt):
        fetch([good], tmp_path / "file", sha256=SHA256, progress=stop)
    (part,) = parts(tmp_path)
    assert LARGE.startswith(part.read_bytes()) and part.stat().st_size > 2**20


def test_a_total_that_the_server_does_not_give_is_0(local_server, tmp_path, monkeypatch):
    monkeypatch.setenv("NEOCOG_OFFLINE", "0")
    seen = []
    address = local_server({"file": CONTENT})
    fetch([f"{address}/file"], tmp_path / "file", MD5, progress=lambda *now: seen.append(now))
    assert seen[-1] == ("download", len(CONTENT), 0)
