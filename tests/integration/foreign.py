#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Workers and clients in another language, written from proto/PROTOCOL.md alone, beside
muster's own: what that page says is enough, and it is true."""
import os
import pathlib
import signal
import unittest

import msgpack
import zmq

import foreign_protocol as protocol
import harness
from foreign_client import PLAIN, Client, Refused

DRIVER = os.environ.get("MUSTER_TEST_DRIVER", "")
GOLDEN = pathlib.Path(os.environ.get("MUSTER_TEST_GOLDEN", "."))
WORKER = pathlib.Path(protocol.__file__).with_name("foreign_worker.py")
VALUES = [None, True, -1, 2**63, 0.5, "é", b"\0\xff", [1, [2, {"k": "v"}]], {1: [], "": {}}, msgpack.ExtType(5, b"x")]


class Golden(unittest.TestCase):
    def setUp(self):
        self.vectors = {path.stem: protocol.golden(path) for path in GOLDEN.glob("*.hex")}
        self.foreign = self.vectors.pop("hello-foreign")
        for old in ("hello-old", "hello-version-3", "hello-version-4", "welcome-version-3", "welcome-version-4",
                    "join-version-3"):
            self.vectors.pop(old)

    def test_vectors_are_decoded_and_encoded_to_the_same_bytes(self):
        kinds = set()
        for name, frames in self.vectors.items():
            with self.subTest(name):
                message = vars(protocol.decode(frames))
                fields = {field: message[field] for field in protocol.fields_of(message["type"], "common" in message)}
                self.assertEqual(protocol.encode(message["type"], message["values"], **fields), frames)
                kinds.add(message["type"])
        self.assertEqual(kinds, set(protocol.FIELDS), "every type has a vector")

    def test_vectors_that_are_cut_short_or_too_long_are_refused(self):
        for name, frames in self.vectors.items():
            for place, frame in enumerate(frames):
                for other in [frame[:end] for end in range(len(frame))] + [frame + b"\0"]:
                    with self.subTest(name, frame=place, bytes=len(other)), self.assertRaises(protocol.Malformed):
                        protocol.decode(frames[:place] + [other] + frames[place + 1:])

    def test_hello_of_another_version_begins_as_every_hello(self):
        self.assertEqual(protocol.unpack(self.foreign[0])[:2], [protocol.NUMBERS["HELLO"], protocol.VERSION + 1])


class Foreign(harness.Case):
    def driver(self, function, *arguments, retries=0, timeout_ms=0, heartbeat_s=30, numbers=()):
        """Starts muster's library with the worker in Python: the function over the arguments, or
        over the numbers (first, last), or else over the arguments that are still to be written."""
        run = self.start(WORKER, harness.plugin("faulty"), function, retries, timeout_ms, heartbeat_s, *numbers, command=DRIVER)
        run.process.stdin.write(b"".join(map(protocol.pack, arguments)))
        if arguments or numbers:
            run.process.stdin.close()
            run.process.stdin = None
        return run

    def outcomes(self, run):
        """Waits for the driver; returns {index: (attempts, code, value or text)} and its summary."""
        result = run.end()
        self.assertEqual((result.status, result.err), (0, ""), str(result))
        unpacker = msgpack.Unpacker(strict_map_key=False)
        unpacker.feed(result.out.encode(errors="surrogateescape"))
        *jobs, summary = unpacker
        return {index: tuple(rest) for index, *rest in jobs}, summary

    def connect(self):
        """A client of the one coordinator of this test, that has not said HELLO."""
        folder = self.temporary / f"muster-{os.getuid()}"
        (socket,) = self.until(lambda: [path for path in folder.glob("??????") if path.is_socket()], "a coordinator listens")
        client = Client(f"ipc://{socket}", harness.LIMIT_S)
        self.addCleanup(client.peer.close)
        return client

    def welcome(self):
        client = self.connect()
        client.hello()
        return client


class Worker(Foreign):
    def test_range_is_mapped(self):
        outcomes, summary = self.outcomes(self.driver("unlucky", numbers=(-3000, -2001)))
        self.assertEqual(summary, [999, 1, 0 + 2, 3])
        self.assertEqual(outcomes.pop(1)[1], -protocol.QUARANTINED)
        self.assertEqual(outcomes, {index: (1, 0, index - 3001) for index in range(2, 1001)})

    def test_stream_is_mapped_and_every_kind_of_value_passes_through(self):
        values = VALUES * 500
        outcomes, summary = self.outcomes(self.driver("echo", *values))
        self.assertEqual(summary, [len(values), 0, 0, 0])
        self.assertEqual([outcomes[index][2] for index in range(1, len(values) + 1)], values)

    def test_job_that_fails_is_tried_again(self):
        paths = [str(self.home / f"counter-{number}") for number in range(20)]
        arguments = [[path, 2 if place % 2 else 9] for place, path in enumerate(paths)]
        outcomes, summary = self.outcomes(self.driver("fail_times", *arguments, retries=3))
        self.assertEqual(summary, [10, 10, 10 * 2 + 10 * 3, 0])
        for index in range(1, 21):
            self.assertEqual(outcomes[index], (4, -protocol.FAILED, "attempt 4") if index % 2 else (3, 0, 3))

    def test_worker_that_dies_is_replaced_and_its_flight_page_names_the_job(self):
        outcomes, summary = self.outcomes(self.driver("unlucky", numbers=(1, 2500)))
        self.assertEqual(summary, [2498, 2, 2 * 2, 2 * 3])
        for index in (1000, 2000):
            attempts, code, text = outcomes.pop(index)
            self.assertEqual((attempts, code), (3, -protocol.QUARANTINED))
            self.assertIn("killed by SIGKILL", text)
        self.assertEqual(outcomes, {index: (1, 0, index) for index in range(1, 2501) if index % 1000})

    def test_function_that_the_worker_does_not_have_fails_its_jobs(self):
        outcomes, _ = self.outcomes(self.driver("deep", 1, retries=1))
        self.assertEqual(outcomes, {1: (2, -protocol.NOTFOUND, "this worker has no function deep")})

    def test_job_out_of_time_ends_alone_or_with_its_worker(self):
        never = str(self.home / "never")
        outcomes, summary = self.outcomes(self.driver("wait_file", never, timeout_ms=100, retries=1))
        self.assertEqual((outcomes[1][:2], summary), ((2, -protocol.TIMEOUT), [0, 1, 1, 0]))
        outcomes, summary = self.outcomes(self.driver("hang", False, 1, False, timeout_ms=300))
        self.assertEqual((outcomes[2][:2], summary), ((1, -protocol.TIMEOUT), [2, 1, 0, 0]))

    def test_worker_answers_while_a_job_runs_for_longer_than_the_heartbeat(self):
        never = str(self.home / "never")
        outcomes, summary = self.outcomes(self.driver("wait_file", never, timeout_ms=4500, heartbeat_s=3))
        self.assertEqual((outcomes[1][:2], summary), ((1, -protocol.TIMEOUT), [0, 1, 0, 0]))

    def test_worker_ends_when_its_parent_is_gone(self):
        self.may_leave_files = True
        run = self.driver("hang", 1)
        self.until(run.children, "a worker runs")
        run.signal(signal.SIGKILL)
        run.process.wait()
        self.assert_processes_gone()
        run.end()


def check_references(case, client):
    """What a client lends is echoed; what it does not have fails its job and no other."""
    heap = protocol.Heap(1 << 21)
    case.addCleanup(heap.close)
    values = [b"\xff" * (1 << 20), "é" * 1000, [1, {"deep": b"x"}]]
    lent = [heap.lend(values[0]), heap.lend(values[1]), [1, {"deep": heap.lend(b"x")}]]
    numbers = list(protocol.SHARED_REFERENCE.unpack(lent[0].data))
    for place, wrong in ((0, 3), (2, 0), (3, 1), (5, 1 << 21), (5, 0), (6, 1 << 21), (6, 0)):
        changed = protocol.SHARED_REFERENCE.pack(*numbers[:place], wrong, *numbers[place + 1:])
        lent.append(protocol.msgpack.ExtType(protocol.SHARED_EXT, changed))
    lent.append(protocol.msgpack.ExtType(protocol.SHARED_EXT, b"short"))
    batch = client.submit("echo", arguments=lent, chunk_jobs=1, shared_bytes=(1 << 20) + 2001)
    ended = client.finish(batch)
    case.assertEqual(batch.values, {index: value for index, value in enumerate(values, 1)})
    case.assertEqual((ended.succeeded, ended.failed, ended.crashes), (3, len(lent) - 3, 0))


class Coordinator(Foreign):
    """A coordinator in Python with one of muster's workers."""

    def setUp(self):
        super().setUp()
        context = zmq.Context()
        self.addCleanup(context.term)
        self.socket = context.socket(zmq.ROUTER)
        self.addCleanup(self.socket.close, 0)
        self.socket.setsockopt(zmq.RCVHWM, 1)  # what is not read stays in the worker
        self.socket.setsockopt(zmq.RCVTIMEO, harness.LIMIT_S * 1000)
        self.socket.bind(f"ipc://{self.home}/socket")
        self.worker = self.start("worker", "--connect", f"ipc://{self.home}/socket", "--name", "worker")
        self.assertEqual(self.receive().type, "HELLO")
        self.send("WELCOME", version=protocol.VERSION, workers=1, host=0, keeps=0, epoch=0)

    def send(self, kind, values=(), /, **fields):
        self.socket.send_multipart([b"worker", *protocol.encode(kind, values, **fields)])

    def receive(self):
        _, *frames = self.socket.recv_multipart()
        return protocol.decode(frames)

    def begin_and_stop(self, values):
        """Has the worker echo the values, stops it once it has begun, and returns its first report."""
        self.send("CHUNK", values, batch=1, chunk=1, function="echo", first=1, count=len(values), attempt=1,
                  timeout_ms=0, timings=False, reader=0, shared_bytes=0, kind=protocol.LIST, argument=0)
        message = self.receive()
        self.send("STOP")
        return message

    def test_worker_that_is_stopped_sends_all_that_it_has(self):
        values = [protocol.pack(bytes([number]) * (1 << 20)) for number in range(64)]
        message = self.begin_and_stop(values)
        results = list(message.values)
        while not message.final:
            message = self.receive()
            self.assertEqual(message.first, len(results) + 1)
            results += message.values
        self.assertEqual(results, values)
        self.assert_ok(self.worker.end(), "")

    def test_worker_that_keeps_no_results_passes_over_kept(self):
        self.send("KEPT", number=1)
        message = self.begin_and_stop([protocol.pack("still here")])
        self.assertEqual((message.number, message.values), (0, [protocol.pack("still here")]))
        self.assert_ok(self.worker.end(), "")

    def test_worker_that_is_stopped_does_not_wait_for_ever_to_be_heard(self):
        self.begin_and_stop([protocol.pack(bytes(1 << 20))] * 64)
        self.assert_ok(self.worker.end(), "")


class ClientOfMuster(Foreign):
    """A client in Python beside `muster map`, which waits for the next line of its input."""

    def setUp(self):
        super().setUp()
        self.map = self.start("map", "echo", "-j", "2", "--plugin", harness.plugin("faulty"))

    def tearDown(self):
        try:  # the owner does not notice its guest
            self.map.write("1\n")
            self.assertEqual(self.map.line(), "1")
            self.assert_ok(self.map.end(), "")
        finally:
            super().tearDown()

    def test_range_is_run_within_a_small_window(self):
        client = self.welcome()
        batch = client.submit("is_prime", first=1, last=100000, window_bytes=4096, timings=True)
        ended = client.finish(batch)
        self.assertEqual((ended.code, ended.succeeded, ended.failed, ended.cancelled), (0, 100000, 0, 0))
        self.assertEqual(sum(batch.values.values()), 9592)
        self.assertEqual(len(batch.measured), 100000)

    def test_list_is_sent_as_far_as_it_is_granted(self):
        values = (VALUES + ["x" * 1000]) * 10000
        client = self.welcome()
        batch = client.submit("echo", arguments=values)
        client.until(lambda: batch.granted)
        self.assertFalse(batch.sealed, "all of it was granted at once")
        self.assertEqual(client.finish(batch).succeeded, len(values))
        self.assertEqual([batch.values[index] for index in range(1, len(values) + 1)], values)

    def test_arguments_in_shared_memory_are_read_in_place(self):
        check_references(self, self.welcome())

    def test_empty_list_ends_at_once(self):
        client = self.welcome()
        self.assertEqual(client.finish(client.submit("echo", arguments=[])).succeeded, 0)

    def test_list_that_comes_with_its_submission_is_run_without_more(self):
        client = self.welcome()
        batch = client.submit("echo", arguments=VALUES, count=len(VALUES))
        self.assertEqual(client.finish(batch).succeeded, len(VALUES))
        self.assertEqual([batch.values[index] for index in range(1, len(VALUES) + 1)], VALUES)
        self.assertEqual(batch.granted, 0, "nothing more may be sent")

    def test_what_only_a_coordinator_that_keeps_batches_does_is_refused_by_name(self):
        client = self.welcome()
        for asked, why in (({"keep": True}, "keep"), ({"ordered": True}, "ordered"), ({"begin_ms": 1}, "begin_ms"),
                           ({"after": [[1, protocol.ANY]]}, "after")):
            with self.subTest(why), self.assertRaises(Refused) as refused:
                client.finish(client.submit("echo", first=1, last=1, **asked))
            self.assertEqual(refused.exception.code, -protocol.STATE)
            self.assertIn(why, str(refused.exception))
        for kind, fields in (("ATTACH", {"batch": 1, "first": 1, "ordered": False, "follow": True, "arguments": False,
                                         "results": False, "window_bytes": 0}),
                             ("REQUEST", {"operation": protocol.STATUS, "batch": 0, "number": 0, "text": ""}),
                             ("DETACH", {})):
            with self.subTest(kind):
                client.peer.send(kind, ticket=99, **fields)
                answer = client.receive()
                self.assertEqual((answer.type, answer.ticket, answer.code), ("ERROR", 99, -protocol.STATE))
        self.assertEqual(client.finish(client.submit("echo", first=1, last=10)).succeeded, 10)

    def test_nothing_new_starts_behind_a_window_that_is_not_consumed(self):
        client = self.welcome()
        stalled = client.submit("echo", first=1, last=10000, window_bytes=1, chunk_jobs=100)
        stalled.consumes = False
        other = client.submit("echo", first=1, last=1000)
        client.finish(other)
        self.assertLessEqual(len(stalled.values), 100 * 2 * 16)  # what two workers may hold
        stalled.consumes = True
        client.until(lambda: stalled.messages)
        client.consume(stalled)
        self.assertEqual(client.finish(stalled).succeeded, 10000)

    def test_failures_name_jobs_and_reasons(self):
        client = self.welcome()
        batch = client.submit("fail", arguments=["one", "two"], retries=2)
        self.assertEqual(client.finish(batch).retried, 4)
        self.assertEqual(batch.failures, {1: (-protocol.FAILED, "one"), 2: (-protocol.FAILED, "two")})
        self.assertEqual(set(batch.attempts.values()), {3})
        batch = client.submit("no_such_function", first=1, last=3)
        self.assertEqual(client.finish(batch).failed, 3)
        self.assertEqual({code for code, _ in batch.failures.values()}, {-protocol.NOTFOUND})

    def test_command_that_failed_is_a_failure_with_its_result(self):
        client = self.welcome()
        lines = ["echo one", "echo two; exit 3", "echo three; echo no >&2; exit 4"]
        batch = client.submit("command", arguments=[{"shell": "/bin/sh", "line": line} for line in lines], retries=1)
        ended = client.finish(batch)
        self.assertEqual((ended.succeeded, ended.failed, ended.retried), (1, 2, 2))
        self.assertEqual(batch.failures, {2: (-protocol.FAILED, "exit status 3"), 3: (-protocol.FAILED, "exit status 4: no")})
        self.assertEqual({index: (value[0], value[8]) for index, value in (batch.values | batch.left).items()},
                         {1: (0, b"one\n"), 2: (3, b"two\n"), 3: (4, b"three\n")})

    def test_texts_of_failures_count_in_a_small_window(self):
        client = self.welcome()
        text = "é" * 500
        batch = client.submit("fail", arguments=[text] * 5000, window_bytes=16384, chunk_jobs=50)
        self.assertEqual(client.finish(batch).failed, 5000)
        self.assertEqual(set(batch.failures.values()), {(-protocol.FAILED, text)})

    def test_cancelled_batch_accounts_for_every_job_and_others_go_on(self):
        here, never = str(self.home / "here"), str(self.home / "never")
        pathlib.Path(here).touch()
        client = self.welcome()
        for mode in (protocol.SOON, protocol.NOW):
            other = client.submit("is_prime", first=1, last=1000)
            batch = client.submit("wait_file", arguments=[here, never, here], chunk_jobs=1)
            client.until(lambda batch=batch: batch.values)
            client.cancel(batch, mode)
            if mode == protocol.SOON:
                pathlib.Path(never).touch()
            ended = client.finish(batch)
            self.assertEqual((ended.code, ended.failed), (0, 0))
            self.assertEqual(ended.succeeded + ended.cancelled, 3)
            self.assertEqual(client.finish(other).succeeded, 1000)
            pathlib.Path(never).unlink(missing_ok=True)
        self.assertGreaterEqual(ended.cancelled, 1)

    def test_list_that_is_cancelled_needs_no_seal(self):
        def arguments():
            yield from range(5000)
            client.cancel(batch, protocol.SOON)  # what follows crosses it
            yield from range(5000)

        client = self.welcome()
        batch = client.submit("echo", arguments=arguments())
        ended = client.finish(batch)
        self.assertEqual(ended.succeeded + ended.cancelled, protocol.BLOCK_JOBS_MAX)

    def test_misuse_is_refused_by_name_and_harms_nobody(self):
        client = self.welcome()
        client.peer.socket.send(b"\xc1")
        with self.assertRaises(Refused) as refused:
            client.until(lambda: False)
        self.assertEqual(refused.exception.code, -protocol.PROTOCOL)

        gate = self.home / "gate"
        batch = client.submit("wait_file", arguments=[str(gate)])
        client.until(lambda: batch.granted)
        client.peer.send("SUBMIT", ticket=batch.ticket, function="echo", kind=protocol.RANGE, first=1, last=1,
                         chunk_jobs=0, timeout_ms=0, retries=0, crash_limit=1, timings=False,
                         shared=False, window_bytes=1, **PLAIN)
        client.until(lambda: batch.error)
        gate.touch()
        client.until(lambda: batch.ended)
        self.assertEqual((batch.error.code, batch.ended.succeeded), (-protocol.STATE, 1))

        batch = client.submit("echo", first=1, last=1000)
        client.cancel(batch, protocol.RETURN, first=1, count=1000)
        with self.assertRaises(Refused) as refused:
            client.until(lambda batch=batch: False)
        self.assertEqual(refused.exception.code, -protocol.PROTOCOL)
        self.assertEqual(client.finish(batch).succeeded, 1000)

        batch = client.submit("echo", first=1, last=10**9)
        client.peer.send("CONSUMED", ticket=batch.ticket, bytes=2**63)
        client.until(lambda: batch.ended)
        self.assertEqual((batch.error.code, batch.ended.code), (-protocol.PROTOCOL, 0))
        self.assertGreater(batch.ended.cancelled, 0)

    def test_strangers_are_told_why_nobody_listens(self):
        client = self.connect()
        client.peer.send("PONG", nonce=1)
        self.assertEqual(client.receive().code, -protocol.STATE)
        for version in (protocol.VERSION - 1, protocol.VERSION + 1):
            with self.assertRaises(Refused) as refused:
                client.hello(version)
            self.assertEqual(refused.exception.code, -protocol.VERSION_ERROR)
        self.assertEqual(client.hello().workers, 2)

    def test_client_that_stops_takes_only_its_batches_along(self):
        leaving, staying = self.welcome(), self.welcome()
        never = str(self.home / "never")
        leaving.until(lambda batch=leaving.submit("wait_file", arguments=[never, never]): batch.sealed)
        leaving.leave()
        self.assertEqual(staying.finish(staying.submit("is_prime", first=1, last=1000)).succeeded, 1000)


class ClientOfWorker(Foreign):
    """A client in Python and workers in Python, with muster's coordinator between them."""

    def setUp(self):
        super().setUp()
        self.owner = self.driver("noop")  # of arguments that do not come
        self.client = self.welcome()

    def tearDown(self):
        self.owner.end()
        super().tearDown()

    def test_functions_that_the_owner_never_heard_of_are_run(self):
        batch = self.client.submit("square", first=-1000, last=1000)
        self.assertEqual(self.client.finish(batch).succeeded, 2001)
        self.assertEqual(batch.values, {index: (index - 1001)**2 for index in range(1, 2002)})
        batch = self.client.submit("odd_fails", arguments=iter(range(1, 1001)), timings=True)
        ended = self.client.finish(batch)
        self.assertEqual((ended.succeeded, ended.failed), (500, 500))
        self.assertEqual(batch.failures[501], (-protocol.FAILED, "501 is odd"))
        self.assertEqual(len(batch.measured), 1000)

    def test_arguments_in_shared_memory_are_followed(self):
        check_references(self, self.client)

    def test_results_of_a_chunk_come_before_its_end(self):
        batch = self.client.submit("slow", first=1, last=12, chunk_jobs=12)
        ended = self.client.finish(batch)
        self.assertEqual((ended.succeeded, ended.chunks), (12, 1))
        self.assertGreater(batch.messages, 1)

    def test_cancel_reaches_running_and_waiting_chunks(self):
        never = str(self.home / "never")
        for mode in (protocol.SOON, protocol.NOW):
            batch = self.client.submit("slow", arguments=[1] + [2] * 999, chunk_jobs=10)
            stuck = self.client.submit("wait_file", arguments=[never] * 9, chunk_jobs=3)
            self.client.until(lambda batch=batch, stuck=stuck: batch.values and stuck.sealed)
            self.client.cancel(batch, mode)
            self.client.cancel(stuck, protocol.NOW)
            ended = self.client.finish(batch)
            self.assertEqual((ended.code, ended.failed, ended.succeeded + ended.cancelled), (0, 0, 1000))
            self.assertGreater(ended.cancelled, 900)
            self.assertEqual(self.client.finish(stuck).cancelled, 9)

    def test_end_of_the_coordinator_is_told_to_its_clients(self):
        self.assertEqual(self.outcomes(self.owner), ({}, [0, 0, 0, 0]))
        with self.assertRaises(Refused) as refused:
            self.client.until(lambda: False)
        self.assertEqual(refused.exception.code, -protocol.LOST)


if __name__ == "__main__":
    harness.main()
