# SPDX-License-Identifier: MIT
"""A connection that a test can hold, break and lead elsewhere: what comes to a port of loopback goes on to another
one, both ways, on a thread of its own."""
import select
import socket
import threading

PART = 65536


class Relay:
    def __init__(self, port=None):
        self.port_behind = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * PART)  # no more is on its way than on a line
        self.port = self.listener.getsockname()[1]
        self.ends = {}  # of each connection, the other one
        self.held = self.over = False
        self.pace = 0  # seconds that a byte takes, whichever way it goes
        self.lock = threading.Lock()
        self.bell, self.rung = socket.socketpair()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def change(self, **state):
        """Returns when it is so."""
        with self.lock:
            for name, value in state.items():
                setattr(self, name, value)
            if self.held is None:
                self.drop_all()
        self.bell.send(b"x")

    def hold(self):
        """Nothing comes through, nor is anybody told so."""
        self.change(held=True)

    def cut(self):
        """Connections end, and no other comes through."""
        self.change(held=None)

    def open(self, port=None):
        """What was held goes on; new connections go to this port."""
        self.change(held=False, port_behind=port or self.port_behind)

    def close(self):
        self.change(over=True)
        self.thread.join()
        self.drop_all()
        for one in (self.listener, self.bell, self.rung):
            one.close()

    def drop(self, end):
        for one in (end, self.ends.pop(end, None)):
            if one:
                self.ends.pop(one, None)
                one.close()

    def drop_all(self):
        for end in list(self.ends):
            self.drop(end)

    def accept(self):
        end, _ = self.listener.accept()
        other = socket.socket()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * PART)
        try:
            other.connect(("127.0.0.1", self.port_behind))
        except OSError:
            end.close()
            other.close()
            return
        self.ends[end] = other
        self.ends[other] = end

    def move(self, end):
        try:
            part = end.recv(PART)
            if part:
                self.ends[end].sendall(part)
        except OSError:
            part = b""
        if not part:
            self.drop(end)
        return len(part)

    def run(self):
        while not self.over:
            with self.lock:
                waited = [self.rung] + ([] if self.held or self.held is None else [self.listener, *self.ends])
            moved = 0
            for one in select.select(waited, [], [])[0]:
                with self.lock:
                    if one is self.rung:
                        self.rung.recv(PART)
                    elif self.held or self.held is None:
                        break
                    elif one is self.listener:
                        self.accept()
                    elif one in self.ends:
                        moved += self.move(one)
            if moved and self.pace:
                select.select([self.rung], [], [], moved * self.pace)
