#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A worker in another language, written from proto/PROTOCOL.md alone.

The coordinator launches it in the place of `muster worker`. Its functions are its own; those
that tests/support/plugins/README.md describes too do here what they do there.

Two threads: the main one owns the socket and watches the clock and the parent, the other one
runs jobs. Reports of the latter, as frames, pass through a queue to the former.
"""
import argparse
import collections
import ctypes
import mmap
import os
import pathlib
import queue
import resource
import signal
import sys
import threading
import time

import zmq

import foreign_protocol as protocol

REPORT_NS = 50_000_000  # results are shown as they come
REPORT_BYTES = 256 * 1024
REPORT_FAILURES = 2048
GRACE_S = 0.2  # that a job has to end by itself when its time is over


class Failed(Exception):
    """How a function fails: with a text."""


class FlightPage(ctypes.Structure):
    """The flight recorder: ctypes stores a number at once, in the host's byte order."""
    _fields_ = [("magic", ctypes.c_uint32), ("phase", ctypes.c_uint32), ("detail", ctypes.c_uint32),
                ("verdict", ctypes.c_uint32), ("chunk", ctypes.c_uint64), ("attempt", ctypes.c_uint32),
                ("progress", ctypes.c_uint32), ("position", ctypes.c_uint64), ("since_ns", ctypes.c_uint64),
                ("verdict_chunk", ctypes.c_uint64), ("verdict_index", ctypes.c_uint64)]
    MAGIC, RUNNING, STOPPING = 0x4D464C54, 2, 3

    def begin_chunk(self, chunk):
        self.position = 0
        self.chunk = chunk.chunk
        self.attempt = chunk.attempt
        self.since_ns = time.monotonic_ns()
        self.position = 2 * chunk.first

    def begin_job(self, index):
        self.since_ns = time.monotonic_ns()
        self.position = 2 * index + 1

    def end_job(self, index):
        self.position = 2 * index

    def time_out(self, chunk, index):
        self.verdict_chunk = chunk
        self.verdict_index = index
        self.verdict = 1


class Call:
    """What a function may ask: whether it should end, and to wait."""

    def __init__(self, chunk=None, index=0):
        timeout_ms = chunk.timeout_ms if chunk else 0
        self.chunk = chunk
        self.index = index
        self.ends = threading.Event()
        self.reason = 0  # why: CANCELLED or TIMEOUT
        self.deadline = time.monotonic() + timeout_ms / 1000 if timeout_ms else float("inf")

    def end(self, reason):
        if not self.reason:
            self.reason = reason
        self.ends.set()

    def wait(self, seconds):
        if self.ends.wait(seconds):
            raise Failed("asked to end")


def square(number, _):
    return number * number


def odd_fails(number, _):
    if number % 2:
        raise Failed(f"{number} is odd")
    return number


def slow(value, call):
    call.wait(0.02)
    return value


def unlucky(number, _):
    if number % 1000 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail_times(argument, _):
    path, times = argument
    with open(path, "ab") as file:
        file.write(b"x")
        attempt = file.tell()
    if attempt <= times:
        raise Failed(f"attempt {attempt}")
    return attempt


def wait_file(path, call):
    while not os.path.exists(path):
        call.wait(0.005)
    return True


def echo(value, _):
    return value


def hang(value, _):
    while value is not False:
        time.sleep(3600)
    return value


FUNCTIONS = {function.__name__: function
             for function in (echo, square, odd_fails, slow, unlucky, fail_times, wait_file, hang)}


class Report:
    """How a run of jobs of a chunk ended: what the next RESULT says."""

    def __init__(self, chunk, first):
        self.chunk = chunk
        self.first = first
        self.begin_ns = time.monotonic_ns()
        self.values, self.failures, self.timings = [], [], []
        self.count = self.cpu_ns = self.bytes = self.job_ns = 0
        self.spent_ns = [0, 0, 0]  # decoding, executing, encoding

    def add(self, index, outcome, start_ns, spent_ns, cpu_ns):
        if isinstance(outcome, bytes):
            self.values.append(outcome)
            self.bytes += len(outcome)
        else:
            self.failures.append([index, *outcome])
        self.job_ns = self.job_ns or start_ns  # of the first
        self.timings += [start_ns - self.job_ns, *spent_ns, cpu_ns]
        self.count += 1
        self.spent_ns = [sum(both) for both in zip(self.spent_ns, spent_ns)]
        self.cpu_ns += cpu_ns

    def is_due(self):
        return (time.monotonic_ns() - self.begin_ns > REPORT_NS or self.bytes > REPORT_BYTES
                or len(self.failures) >= REPORT_FAILURES)

    def frames(self, final):
        usage = resource.getrusage(resource.RUSAGE_SELF)
        decode_ns, execute_ns, encode_ns = self.spent_ns
        return protocol.encode(
            "RESULT", self.values, batch=self.chunk.batch, chunk=self.chunk.chunk, number=0, final=final,
            process_cpu_ns=time.process_time_ns(), process_voluntary=usage.ru_nvcsw,
            process_involuntary=usage.ru_nivcsw, first=self.first, count=self.count, attempt=self.chunk.attempt,
            arrived_ns=self.chunk.arrived_ns, began_ns=self.job_ns, reported_ns=time.monotonic_ns(), split=True,
            decode_ns=decode_ns, execute_ns=execute_ns, encode_ns=encode_ns, cpu_ns=self.cpu_ns, shared_bytes=0,
            failures=self.failures, timings=self.timings if self.chunk.timings and self.count else None)


class Executor:
    """Runs chunks in the order in which they came, on a thread of its own."""

    def __init__(self, flight):
        self.flight = flight
        self.chunks = queue.SimpleQueue()
        self.reports = collections.deque()
        self.ready_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)  # readable: look at the reports
        self.call = Call()  # that runs, or the one before
        self.lock = threading.Lock()  # held where the deadline of a call is changed
        self.stopping = False
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            chunk = self.chunks.get()
            if chunk is None or self.stopping:
                break
            self.run(chunk)
        self.post(None)

    def post(self, frames):
        self.reports.append(frames)
        os.eventfd_write(self.ready_fd, 1)

    def run(self, chunk):
        report = Report(chunk, chunk.first)
        self.flight.begin_chunk(chunk)
        for index in range(chunk.first, chunk.first + chunk.count):
            if report.count and report.is_due():
                self.post(report.frames(final=False))
                report = Report(chunk, index)
            call = self.call = Call(chunk, index)
            if chunk.cancelled:  # read after self.call is there: cancel() sets it, then ends the call
                break
            if any(index in jobs for jobs in chunk.unwanted):
                call.end(protocol.CANCELLED)
            if chunk.timeout_ms:
                os.eventfd_write(self.ready_fd, 1)  # there is a deadline to watch
            self.flight.begin_job(index)
            start_ns, cpu_ns = time.monotonic_ns(), time.thread_time_ns()
            outcome, *ends_ns = self.job(chunk, index, call)
            spent_ns = [end_ns - begin_ns for begin_ns, end_ns in zip([start_ns, *ends_ns], ends_ns)]
            report.add(index, outcome, start_ns, spent_ns, time.thread_time_ns() - cpu_ns)
            with self.lock:
                call.deadline = float("inf")
            self.flight.end_job(index)
        self.post(report.frames(final=True))
        chunk.done = True

    def job(self, chunk, index, call):
        """The encoded result of a job, or code and text of its failure; and when its argument was
        decoded, its function was over, and its result was encoded."""
        try:
            argument = self.argument(chunk, index - chunk.first)
        except (protocol.Malformed, OSError) as error:
            return (-protocol.INVALID, f"the argument cannot be read: {error}"), *[time.monotonic_ns()] * 3
        decoded_ns = time.monotonic_ns()
        try:
            result = self.call_function(chunk.function, argument, call)
        except Failed as error:
            return error.args, decoded_ns, *[time.monotonic_ns()] * 2
        executed_ns = time.monotonic_ns()
        try:
            outcome = protocol.pack(result)
        except (TypeError, ValueError, OverflowError) as error:
            outcome = -protocol.INVALID, f"the result is no value: {type(error).__name__}"
        return outcome, decoded_ns, executed_ns, time.monotonic_ns()

    @staticmethod
    def argument(chunk, position):
        if chunk.kind == protocol.RANGE:
            return chunk.argument + position
        return protocol.unpack(chunk.values[position], protocol.follow if chunk.shared_bytes else protocol.msgpack.ExtType)

    @staticmethod
    def call_function(name, argument, call):
        """Its result; raises Failed with code and text."""
        function = FUNCTIONS.get(name)
        if not function:
            raise Failed(-protocol.NOTFOUND, f"this worker has no function {name}")
        if call.reason == protocol.CANCELLED:
            raise Failed(-protocol.CANCELLED, "cancelled before it began")
        try:
            return function(argument, call)
        except Exception as error:  # whatever a function raises is how it fails
            text = (str(error) or repr(error)).splitlines()[0][:200]
            raise Failed(-(call.reason or protocol.FAILED), text) from error


class Worker:
    """The main thread: the socket, the clock, the parent."""

    def __init__(self, options):
        self.parent_fd = os.pidfd_open(options.parent)
        if os.getppid() != options.parent:
            sys.exit("the parent is gone")
        self.flight = FlightPage.from_buffer(mmap.mmap(options.flight_fd, 4096))
        self.flight.magic = FlightPage.MAGIC
        self.executor = Executor(self.flight)
        self.peer = protocol.Peer(options.connect, options.name)
        self.held = []  # chunks that were not answered in full
        self.poller = zmq.Poller()
        for waited in (self.peer.socket, self.parent_fd, self.executor.ready_fd):
            self.poller.register(waited, zmq.POLLIN)
        self.flight.phase = FlightPage.RUNNING
        self.peer.send("HELLO", version=protocol.VERSION, role=protocol.WORKER, pid=os.getpid(), credit=2,
                       concurrency=1, software="a worker in Python", user="", standing=0)

    def run(self):
        """Returns the exit status."""
        while True:
            ready = dict(self.poller.poll(self.milliseconds_left()))
            if self.parent_fd in ready:
                return 1
            if self.executor.ready_fd in ready:
                os.eventfd_read(self.executor.ready_fd)
                if not self.send_reports():
                    self.peer.close()
                    return 0
            if self.peer.socket in ready and not self.take(self.peer.receive()):
                return 1
            self.enforce_timeout()

    def milliseconds_left(self):
        left = self.executor.call.deadline - time.monotonic()
        return None if left == float("inf") else max(0, int(left * 1000) + 1)

    def enforce_timeout(self):
        call = self.executor.call
        with self.executor.lock:
            if time.monotonic() < call.deadline:
                return
            if call.ends.is_set():
                self.flight.time_out(call.chunk.chunk, call.index)
                os.kill(os.getpid(), signal.SIGKILL)
            call.end(protocol.TIMEOUT)
            call.deadline += GRACE_S

    def send_reports(self):
        """Whether the executor goes on."""
        while self.executor.reports:
            frames = self.executor.reports.popleft()
            if frames is None:
                return False
            self.peer.socket.send_multipart(frames)
        return True

    def take(self, message):
        """Whether the worker goes on."""
        if message.type == "PING":
            self.peer.send("PONG", nonce=message.nonce)
        elif message.type == "CHUNK":
            message.arrived_ns = time.monotonic_ns()
            message.cancelled = message.done = False
            message.unwanted = []  # jobs that were cancelled by themselves
            self.held = [chunk for chunk in self.held if not chunk.done] + [message]
            self.executor.chunks.put(message)
        elif message.type == "CANCEL":
            if message.mode != protocol.RETURN:  # it may keep them
                self.cancel(message)
        elif message.type == "STOP":
            self.flight.phase = FlightPage.STOPPING
            self.executor.stopping = True
            self.executor.chunks.put(None)
        elif message.type == "ERROR":
            print(f"{sys.argv[0]}: {message.text}", file=sys.stderr)
            return False
        else:
            protocol.check(message.type in ("WELCOME", "KEPT"), f"{message.type} is nothing for a worker")
        return True

    def cancel(self, message):
        jobs = range(message.first, message.first + message.count)
        for chunk in self.held:
            if chunk.batch == message.id and jobs:
                chunk.unwanted.append(jobs)
            elif chunk.batch == message.id:
                chunk.cancelled = True
        call = self.executor.call
        if (message.mode == protocol.NOW and call.chunk in self.held and call.chunk.batch == message.id
                and (not jobs or call.index in jobs)):
            call.end(protocol.CANCELLED)


def main():
    parser = argparse.ArgumentParser(description="a muster worker in Python")
    parser.add_argument("verb", choices=["worker"])
    parser.add_argument("--connect")
    parser.add_argument("--name")
    parser.add_argument("--parent", type=int)
    parser.add_argument("--flight-fd", type=int)
    parser.add_argument("--check-plugin", type=pathlib.Path)
    options, _ = parser.parse_known_args()
    if options.check_plugin:
        print("the plug-in loads", file=sys.stderr)  # or so it says: the functions here are its own
        sys.stderr.flush()
        return 0
    return Worker(options).run()


if __name__ == "__main__":
    os._exit(main())  # the other thread may be deaf
