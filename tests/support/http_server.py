# SPDX-License-Identifier: MIT
"""An HTTP server on loopback for tests: what a real one answers, and what a bad one does.

    with http_server.Server() as server:
        muster("map", "fetch", ":::", server.url("/text"))

A thread a connection; the port is the kernel's choice. Every path is a method of Handler. None
of them sleeps to wait for a test: they wait for the client to leave or for each other.
"""
import contextlib
import http.server
import select
import socket
import threading
import urllib.parse

LIMIT_S = 60  # of any wait here; a test fails long before
TEXT = b"hello, world\n"
BLOCK = bytes(range(256)) * 256  # 64 KiB


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and a short body in one segment

    def log_message(self, *_):
        """Says nothing: tests look at what the client says."""

    def handle(self):
        self.server.count("connections")
        try:
            super().handle()
        except (ConnectionError, BrokenPipeError):
            pass  # the client left, as it may

    def do_GET(self):  # pylint: disable=invalid-name
        self.server.count("requests")
        target = urllib.parse.urlsplit(self.path)  # a whole URL when this is asked as a proxy
        if target.netloc:
            self.server.count("proxied")
        action = getattr(self, "get_" + target.path.strip("/"), None)
        if action is None:
            self.answer(404, b"no such page\n")
        else:
            action(**dict(urllib.parse.parse_qsl(target.query)))

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def raw(self, content):
        """Bytes instead of an answer, then the end of the connection."""
        self.wfile.write(content)
        self.close_connection = True

    def client_left(self, wait=LIMIT_S):
        """Waits until the client closes the connection, `wait` seconds at most."""
        return bool(select.select([self.connection], [], [], wait)[0])

    def get_text(self, **_):
        self.answer(200, TEXT)

    def get_status(self, code):
        self.answer(int(code), TEXT)

    def get_large(self, blocks):
        self.send_response(200)
        self.send_header("Content-Length", str(int(blocks) * len(BLOCK)))
        self.end_headers()
        for _ in range(int(blocks)):
            self.wfile.write(BLOCK)

    def get_chunked(self, blocks):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(int(blocks)):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK))
        self.wfile.write(b"0\r\n\r\n")

    def get_redirect(self, times):
        left = int(times) - 1
        self.answer(302, b"elsewhere\n", Location=f"/redirect?times={left}" if left > 0 else "/text")

    def get_elsewhere(self, to):
        self.answer(302, b"elsewhere\n", Location=to)

    def get_hang(self):
        """Never answers."""
        self.server.count("hanging")
        self.client_left()
        self.close_connection = True

    def get_trickle(self):
        """A byte now and then, for as long as somebody reads."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.client_left(0.02):
            self.wfile.write(b".")
            self.wfile.flush()
        self.close_connection = True

    def get_broken(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.raw(b"x" * 400)

    def get_brokenchunk(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.raw(b"64\r\n" + b"x" * 0x64 + b"\r\nzz\r\n")

    def get_reset(self):
        """A connection that is reset in the middle of the body."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 400)
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True

    def get_garbage(self):
        self.raw(b"\x16\x03\x01\x00\xff\x00no HTTP at all\n")

    def get_empty(self):
        self.close_connection = True

    def get_gather(self, count):
        """Answers when so many requests are in, to all of them."""
        self.server.gather(int(count))
        self.answer(200, TEXT)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.changed = threading.Condition()
        self.counts = {}
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def url(self, path, user=""):
        return f"http://{user}127.0.0.1:{self.server_port}{path}"

    def count(self, name):
        with self.changed:
            self.counts[name] = self.counts.get(name, 0) + 1
            self.changed.notify_all()

    def await_count(self, name, number):
        """Waits until so many of them were counted; returns whether they were."""
        with self.changed:
            return self.changed.wait_for(lambda: self.counts.get(name, 0) >= number, LIMIT_S)

    def gather(self, number):
        self.count("gathered")
        return self.await_count("gathered", number)


@contextlib.contextmanager
def closed_port():
    """A port of loopback where nobody listens, and nobody else can meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
