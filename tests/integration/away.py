#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A worker whose coordinator dies and comes back at the same endpoint, or does not. The coordinator is
one of the test's own, written from proto/PROTOCOL.md: it dies by closing its socket, at each point of a
worker's life: idle, in a job, with results that were not KEPT, with chunks that wait."""
import os
import signal
import struct

import zmq

import foreign_protocol as protocol
import harness
from harness import plugin

NAME = "worker-1.1"
LIMIT_MS = 1000 * harness.LIMIT_S
MIB = 1 << 20
KEPT_BYTES = 64 * MIB


class Coordinator:
    """One life of a coordinator with one worker."""

    def __init__(self, case, endpoint):
        self.case = case
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(endpoint)

    def die(self):
        self.socket.close()
        self.context.term()

    def send(self, kind, values=(), /, **fields):
        self.socket.send_multipart([NAME.encode(), *protocol.encode(kind, values, **fields)])

    def receive(self, kind):
        """The next message, which must be of that kind."""
        self.case.assertTrue(self.socket.poll(LIMIT_MS), f"no {kind} came")
        peer, *frames = self.socket.recv_multipart()
        self.case.assertEqual(peer.decode(), NAME)
        message = protocol.decode(frames)
        self.case.assertEqual(message.type, kind, message)
        return message

    def welcome(self, epoch):
        """Greets the worker; returns what it stands by."""
        hello = self.receive("HELLO")
        self.send("WELCOME", version=protocol.VERSION, workers=1, host=0, keeps=2, epoch=epoch)
        return [self.receive("STANDING") for _ in range(hello.standing)]

    def chunk(self, number, function, *arguments, batch=3, attempt=1):
        """The first job of the chunk 10 is job 10, and so on."""
        self.send("CHUNK", [protocol.pack(argument) for argument in arguments], batch=batch, chunk=number,
                  function=function, first=number, count=len(arguments), attempt=attempt, timeout_ms=0, timings=False,
                  reader=0, shared_bytes=0, kind=protocol.LIST, argument=0)

    def result(self, chunk, number):
        """The values, and failures, of a chunk of one job."""
        message = self.receive("RESULT")
        self.case.assertEqual((message.chunk, message.number, message.first, message.count, message.final),
                              (chunk, number, chunk, 1, True), message)
        return [protocol.unpack(value) for value in message.values] or [message.failures[0][1]]

    def ping(self):
        self.send("PING", nonce=1)
        self.receive("PONG")


class Away(harness.Case):
    concurrency = ()

    def setUp(self):
        super().setUp()
        self.endpoint = f"ipc://{self.home}/socket"
        self.lives = 0
        self.counter = self.home / "counter"
        self.flight = self.home / "flight"
        self.flight.write_bytes(bytes(4096))
        self.here = None

    def tearDown(self):
        if self.here:
            self.here.die()
        for pid in self.marked():
            os.kill(pid, signal.SIGKILL)
        super().tearDown()

    def live(self):
        """The next life of the coordinator."""
        self.lives += 1
        self.here = Coordinator(self, self.endpoint)
        return self.here

    def die(self):
        self.here.die()
        self.here = None

    def begin(self, grace=300):
        """A worker that was welcomed."""
        here = self.live()
        self.worker = self.start("-c", 'exec 9<>"$0"; exec "$@" --flight-fd 9', self.flight, harness.MUSTER, "worker",
                                 "--connect", self.endpoint, "--name", NAME, "--parent", "1", "--plugin",
                                 plugin("faulty"), "--orphan-grace", grace, *self.concurrency, command="/bin/sh")
        self.assertEqual(here.welcome(1), [])
        return here

    def come_back(self):
        """Another life; returns it, and what the worker stands by."""
        here = self.live()
        return here, [(mine.batch, mine.chunk, mine.first, mine.count, mine.attempt)
                      for mine in here.welcome(self.lives)]

    def count(self):
        return self.counter.stat().st_size if self.counter.exists() else 0

    def start_waiting(self, here, chunk, **fields):
        """A job that has begun, and ends when `finish` was called."""
        here.chunk(chunk, "wait_count", [str(self.counter), 2], **fields)
        self.until(lambda: self.count() == 1, "the job begins")

    def finish(self):
        with self.counter.open("ab") as file:
            file.write(b"x")

    def test_idle_worker_serves_the_next_life(self):
        self.begin()
        for _ in range(2):
            self.die()
            here, standing = self.come_back()
            self.assertEqual(standing, [])
        here.chunk(10, "echo", "a")
        self.assertEqual(here.result(10, 1), ["a"])

    def test_job_runs_on_and_is_reported_to_the_next_life(self):
        self.start_waiting(self.begin(), 10, attempt=7)
        self.die()
        here, standing = self.come_back()
        self.assertEqual(standing, [(3, 10, 10, 1, 7)])
        self.finish()
        here.result(10, 1)
        self.assertEqual(self.count(), 2, "it ran once")

    def test_job_that_ends_while_nobody_is_there_is_reported_to_the_next_life(self):
        self.start_waiting(self.begin(), 10)
        self.die()
        self.finish()
        self.until(lambda: self.flight_field("<Q", 32) == 20, "the job ends")  # position, not executing
        here, standing = self.come_back()
        self.assertEqual(standing, [(3, 10, 10, 1, 1)])
        here.result(10, 1)

    def test_results_that_were_not_kept_are_sent_again_and_no_others(self):
        here = self.begin()
        for chunk in 10, 11, 12, 13:
            here.chunk(chunk, "echo", chunk)
            self.assertEqual(here.result(chunk, chunk - 9), [chunk])
        here.send("KEPT", number=2)
        here.ping()
        for _ in range(2):  # and again, as long as nobody keeps them
            self.die()
            here, standing = self.come_back()
            self.assertEqual(standing, [(3, 12, 12, 1, 1), (3, 13, 13, 1, 1)])
            for chunk in 12, 13:
                self.assertEqual(here.result(chunk, chunk - 9), [chunk])
        here.send("KEPT", number=4)
        here.ping()
        self.die()
        self.assertEqual(self.come_back()[1], [])

    def test_chunks_that_wait_are_run_but_for_those_that_are_not_wanted(self):
        here = self.begin()
        self.start_waiting(here, 10)
        here.chunk(11, "echo", "b")
        here.chunk(12, "echo", "c")
        here.ping()
        self.die()
        here, standing = self.come_back()
        self.assertEqual([chunk for _, chunk, *_ in standing], [10, 11, 12])
        here.send("CANCEL", id=3, mode=protocol.NOW, first=11, count=1)
        here.ping()
        self.finish()
        here.result(10, 1)
        self.assertEqual(here.result(11, 2), [protocol.CANCELLED * -1])
        self.assertEqual(here.result(12, 3), ["c"])

    def test_jobs_that_were_given_back_are_not_stood_by(self):
        here = self.begin()
        here.chunk(10, "wait_count", *[[str(self.counter), 2]] * 4)
        self.until(lambda: self.count() == 1, "the job begins")
        here.send("CANCEL", id=3, mode=protocol.RETURN, first=12, count=2)
        self.assertEqual(here.receive("RETURNED").first, 12)
        self.die()
        self.assertEqual(self.come_back()[1], [(3, 10, 10, 2, 1)])

    def test_worker_begins_no_job_while_too_much_is_not_kept(self):
        here = self.begin()
        many = KEPT_BYTES // (4 * MIB)
        for chunk in range(1, many + 1):
            here.chunk(chunk, "echo", "x" * 4 * MIB)
            here.result(chunk, chunk)
        here.chunk(many + 1, "wait_count", [str(self.counter), 2])
        here.ping()
        self.assertEqual(self.count(), 0)
        here.send("KEPT", number=1)
        self.until(lambda: self.count() == 1, "the job begins")
        self.finish()
        here.result(many + 1, many + 1)

    def test_worker_that_nobody_comes_back_for_ends_and_blames_no_job(self):
        self.start_waiting(self.begin(grace=0.3), 10)
        self.assertEqual(self.flight_field("<I", 80), self.worker.pid)
        self.die()
        result = self.worker.end()
        self.assert_fails(result, 128 + signal.SIGKILL, "no coordinator came back", self.endpoint)
        self.assertEqual(self.flight_field("<I", 4), 3, "phase: stopping")

    def test_worker_that_is_stopped_when_its_parent_dies_goes_on(self):
        here = self.live()
        words = ("worker", "--connect", self.endpoint, "--name", NAME, "--orphan-grace", "300", *self.concurrency)
        parent = self.start("-c", '"$@" --parent $$ & echo $!; wait', "sh", harness.MUSTER, *words, command="/bin/sh")
        pid = int(parent.line())
        here.welcome(1)
        os.kill(pid, signal.SIGSTOP)
        parent.signal(signal.SIGKILL)
        parent.process.wait()
        self.die()
        self.assertEqual(self.come_back()[1], [])
        for pipe in parent.process.stdin, parent.process.stdout, parent.process.stderr:
            pipe.close()

    def test_worker_that_is_refused_ends_with_its_job(self):
        self.start_waiting(self.begin(), 10)
        self.die()
        here = self.live()
        here.receive("HELLO")
        here.send("ERROR", ticket=0, code=-protocol.STATE, text="nobody knows you")
        self.assert_fails(self.worker.end(), 128 + signal.SIGKILL, "nobody knows you")

    def flight_field(self, layout, offset):
        return struct.unpack_from(layout, self.flight.read_bytes(), offset)[0]


class AwayConcurrent(Away):
    """The same of a worker that runs several jobs at once."""
    concurrency = ("--concurrency", "2")


if __name__ == "__main__":
    harness.main()
