# SPDX-License-Identifier: MIT
"""A client in another language, written from proto/PROTOCOL.md alone.

It runs batches on any coordinator whose endpoint it is told, several at once. Beyond what a
client has to do it checks what the coordinator promises: every job in one RESULTS and no
more, nothing behind ENDED, windows that are kept to.
"""
import os
import secrets

import zmq

import foreign_protocol as protocol

# What a SUBMIT says of a batch that is like any other.
PLAIN = {"count": 0, "keep": False, "hold": False, "attach": True, "ordered": False, "name": "", "priority": 0,
         "most_running": 0, "cpus": 1, "memory_bytes": 0, "begin_ms": 0, "backoff_ms": 0, "after": []}
REPORT_BYTES = 256 * 1024  # of arguments in a message, about


class Refused(Exception):
    """The coordinator answered with ERROR."""

    def __init__(self, error):
        super().__init__(error.text)
        self.code = error.code


class Batch:
    """One submission: its results so far, and its books of what crossed the connection."""

    def __init__(self, ticket, arguments, window_bytes):
        self.ticket = ticket
        self.arguments = iter(arguments)  # not sent yet; of a list
        self.sealed = False
        self.window_bytes = window_bytes
        self.batch = 0  # the coordinator's number for it, when it is accepted
        self.sent = 0  # arguments
        self.sent_cost = self.granted = 0
        self.received_cost = self.consumed = 0
        self.consumes = True  # whether it tells the coordinator that it is done with results
        self.values = {}  # index: result
        self.failures = {}  # index: (code, text)
        self.left = {}      # index: the value of a job that failed
        self.attempts = {}  # index: the attempt that ended
        self.measured = {}  # index: when it began, nanoseconds of decoding, executing, encoding and CPU
        self.messages = 0  # RESULTS
        self.error = None  # ERROR about it
        self.ended = None  # ENDED
        self.shared_bytes = 0  # of its arguments, in a heap of the caller's


class Client:
    """A connection. Everything happens on the caller's thread, inside of the methods."""

    def __init__(self, endpoint, limit_s):
        self.limit_ms = int(limit_s * 1000)  # of every wait for a message
        self.batches = {}
        self.tickets = 0
        self.peer = protocol.Peer(endpoint, f"python-{os.getpid()}-{secrets.token_hex(4)}")

    def hello(self, version=protocol.VERSION, user=""):
        """Says who it is and waits for the answer; returns WELCOME."""
        self.peer.send("HELLO", version=version, role=protocol.CLIENT, pid=os.getpid(), credit=0,
                       concurrency=0, software="a client in Python", user=user, standing=0)
        answer = self.receive()
        if answer.type == "ERROR":
            raise Refused(answer)
        protocol.check(answer.type == "WELCOME" and answer.version == protocol.VERSION, f"{answer}")
        return answer

    def receive(self):
        if not self.peer.socket.poll(self.limit_ms, zmq.POLLIN):
            raise TimeoutError(f"no message within {self.limit_ms} ms")
        return self.peer.receive()

    def submit(self, function, first=0, last=0, arguments=None, chunk_jobs=0, timeout_ms=0, retries=0,
               timings=False, window_bytes=1 << 20, shared_bytes=0, **more):
        """Submits the range first..last, or the list of arguments. Returns the batch at once. With a
        `count` the arguments, so many, are in the SUBMIT itself."""
        self.tickets += 1
        batch = self.batches[self.tickets] = Batch(self.tickets, arguments or (), window_bytes)
        batch.sealed = arguments is None or "count" in more
        batch.shared_bytes = shared_bytes
        values = [protocol.pack(argument) for argument in arguments] if "count" in more else []
        self.peer.send("SUBMIT", values, ticket=batch.ticket, function=function, first=first, last=last,
                       kind=protocol.RANGE if arguments is None else protocol.LIST, chunk_jobs=chunk_jobs,
                       timeout_ms=timeout_ms, retries=retries, crash_limit=3, timings=timings, shared=False,
                       window_bytes=window_bytes, **PLAIN | more)
        return batch

    def cancel(self, batch, mode, first=0, count=0):
        self.peer.send("CANCEL", id=batch.ticket, mode=mode, first=first, count=count)

    def until(self, condition):
        """Handles messages until the condition is true."""
        while not condition():
            self.handle(self.receive())

    def finish(self, batch):
        """Waits for the end of the batch; returns ENDED."""
        self.until(lambda: batch.ended or batch.error and not batch.batch)
        if batch.error:
            raise Refused(batch.error)
        return batch.ended

    def leave(self):
        self.peer.send("STOP")
        self.peer.close()

    def handle(self, message):
        protocol.check(message.type in ("ERROR", "ACCEPTED", "GRANT", "RESULTS", "ENDED"),
                       f"{message.type} is nothing for a client")
        if message.type == "ERROR" and message.ticket == 0:
            raise Refused(message)
        batch = self.batches[message.ticket]
        protocol.check(batch.ended is None, f"{message.type} behind ENDED")
        protocol.check(batch.batch or message.type in ("ACCEPTED", "ERROR"), f"{message.type} ahead of ACCEPTED")
        if message.type == "ACCEPTED":
            batch.batch = message.batch
        elif message.type == "ERROR":
            batch.error = message
        elif message.type == "GRANT":
            protocol.check(message.bytes >= batch.granted, "GRANT went down")
            batch.granted = message.bytes
            self.send_arguments(batch)
        elif message.type == "RESULTS":
            self.take_results(batch, message)
        else:
            self.take_end(batch, message)

    def send_arguments(self, batch):
        """What is granted, and SEAL behind the last."""
        while not batch.sealed and batch.sent_cost < batch.granted:
            values, size = [], 0
            for argument in batch.arguments:
                values.append(protocol.pack(argument))
                size += len(values[-1])
                if size >= REPORT_BYTES or len(values) == protocol.BLOCK_JOBS_MAX:
                    break
            if values:
                self.peer.send("ARGUMENTS", values, ticket=batch.ticket, first=batch.sent + 1, count=len(values),
                               shared_bytes=batch.shared_bytes)
                batch.sent += len(values)
                batch.sent_cost += protocol.cost(size)
            else:
                self.peer.send("SEAL", ticket=batch.ticket, total=batch.sent)
                batch.sealed = True

    def take_results(self, batch, message):
        values = iter(message.values)
        failed = {index: (code, text) for index, code, text, *_ in message.failures}
        valued = {entry[0] for entry in message.failures if len(entry) == 4}
        for position in range(message.count):
            index = message.first + position
            protocol.check(index not in batch.attempts, f"job {index} ended twice")
            batch.attempts[index] = message.attempt
            if index in failed:
                batch.failures[index] = failed[index]
                if index in valued:
                    batch.left[index] = protocol.unpack(next(values))
            else:
                batch.values[index] = protocol.unpack(next(values))
            if message.timings:
                each = protocol.TIMINGS
                start_ns, *durations = message.timings[each * position:each * position + each]
                batch.measured[index] = (message.began_ns + start_ns, *durations)
        batch.messages += 1
        batch.received_cost += protocol.cost(message.payload_bytes, message.failures, message.shared_bytes)
        protocol.check(message.shared_bytes == 0, "RESULTS: a reference")
        if batch.consumes and batch.received_cost - batch.consumed >= batch.window_bytes // 4:
            self.consume(batch)

    def consume(self, batch):
        """Says that the client is done with all results so far."""
        batch.consumed = batch.received_cost
        self.peer.send("CONSUMED", ticket=batch.ticket, bytes=batch.consumed)

    def take_end(self, batch, message):
        protocol.check(message.succeeded == len(batch.values), f"{message.succeeded} succeeded, "
                       f"{len(batch.values)} values came")
        protocol.check(message.failed == len(batch.failures), f"{message.failed} failed, "
                       f"{len(batch.failures)} failures came")
        batch.ended = message
