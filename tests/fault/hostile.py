#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Somebody who means harm, at every door of a real coordinator: a socket, tcp on loopback, and tcp with keys. He
speaks almost the protocol, sends bombs, frames without end, garbage and old ZMTP, opens connections and says
nothing, and floods. The coordinator lives on, its memory and its descriptors stay below limits, and others are
served while he goes on.

MUSTER_HOSTILE=N opens N connections one after another, and prints what is left of others' rate: MUSTER_HOSTILE=10000 takes
a minute."""
import contextlib
import itertools
import json
import os
import pathlib
import select
import signal
import socket
import statistics
import struct
import threading
import unittest

import zmq
import zmq.utils.z85

import foreign_protocol as protocol
import harness

LONG = int(os.environ.get("MUSTER_HOSTILE", "0"))
CONNECTIONS = LONG or (100 if harness.SANITIZE else 300)
DESCRIPTORS = 400  # of a coordinator: some 90 clients, and as many strangers
MEMORY_KIB = 1 << 20 if harness.SANITIZE else 192 << 10  # above what it had before
MESSAGE_KIB = 640 << 10  # likewise, with one message that is as large as they may be, and what came until that was seen
FRAME_MAX = 257 << 20
STRANGER_BYTES = 64 << 10  # of one that is not welcome, or not yet

TURNS = 300  # of the other, while one floods
UNTIL_CUT = 1 << 20  # more than anybody gets to

NULL = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
CURVE = NULL.replace(b"NULL\0", b"CURVE", 1)
MORE, LARGE, COMMAND = 1, 2, 4
CANCEL, FORGET = 4, 6  # of REQUEST's operations

HELLO = {"version": protocol.VERSION, "role": protocol.CLIENT, "pid": 0, "credit": 0, "concurrency": 0,
         "software": "hostile.py", "user": "mallory", "standing": 0}
SUBMIT = {"ticket": 1, "function": "echo", "kind": 1, "first": 1, "last": 1, "chunk_jobs": 0, "timeout_ms": 0,
          "retries": 0, "crash_limit": 3, "timings": False, "shared": False, "window_bytes": 1 << 20, "count": 0,
          "keep": False, "hold": False, "attach": True, "ordered": False, "name": "", "priority": 0,
          "most_running": 0, "cpus": 1, "memory_bytes": 0, "begin_ms": 0, "backoff_ms": 0, "after": []}
RESULT = {"batch": 1, "chunk": 1, "number": 0, "final": True, "process_cpu_ns": 0, "process_voluntary": 0,
          "process_involuntary": 0, "first": 1, "count": 1, "attempt": 7, "arrived_ns": 0, "began_ns": 0,
          "reported_ns": 0, "split": False, "decode_ns": 0, "execute_ns": 0, "encode_ns": 0, "cpu_ns": 0,
          "shared_bytes": 0, "failures": [], "timings": None}

ACCEPTED = protocol.pack([protocol.NUMBERS["ACCEPTED"], 1, 1])[:2]  # how one begins

# Headers that a scan has to refuse before anything is allocated for them: counts that no bytes follow, depth.
BOMBS = [b"", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x4d",
         b"\x91" * 100000, b"\x81\x01" * 100000, b"\xdd\x00\x0a\x00\x00" + b"\xdd\x00\x0a\x00\x00" * 1000,
         b"\x9f" + b"\xdd\xff\xff\xff\xff" * 15, b"\x90", b"\x91\x00", b"\x91\xcf" + b"\xff" * 8, b"\xd9\xff", os.urandom(4096),
         b"\x00" * (1 << 19)]


def frame(body, flags=0):
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return struct.pack(">BQ", flags | LARGE, len(body)) + body


def message(kind, values=(), /, **fields):
    """Its frames."""
    *front, last = protocol.encode(kind, values, **fields)
    return b"".join(frame(part, MORE) for part in front) + frame(last)


def ask(operation, ticket=1):
    return message("REQUEST", ticket=ticket, operation=operation, batch=0, number=0, text="")


def ready(name):
    """What a DEALER says of itself to a server that asks nothing."""
    def member(key, value):
        return bytes([len(key)]) + key + struct.pack(">I", len(value)) + value

    return frame(b"\x05READY" + member(b"Socket-Type", b"DEALER") + member(b"Identity", name), COMMAND)


class Case(harness.Case):
    keys = False
    room_kib = MEMORY_KIB

    def setUp(self):
        super().setUp()
        soft, self.hard = harness.resource.getrlimit(harness.resource.RLIMIT_NOFILE)
        harness.resource.setrlimit(harness.resource.RLIMIT_NOFILE, (self.hard, self.hard))
        self.addCleanup(harness.resource.setrlimit, harness.resource.RLIMIT_NOFILE, (soft, self.hard))
        (self.home / "socket").mkdir(mode=0o700)
        self.path = f"{self.home}/socket/s"
        self.local = f"ipc://{self.path}"
        self.env["XDG_CONFIG_HOME"] = str(self.home)
        self.curve = None
        if self.keys:
            public = self.muster("key", "make").out.strip()
            self.assert_ok(self.muster("key", "allow", public, "submit", "tester"), "")
            key = bytes.fromhex(public)
            secret = bytes.fromhex((self.home / "muster" / "key").read_text())
            self.curve = [zmq.utils.z85.encode(each) for each in (key, secret, key)]
        self.daemon = self.serve()
        self.addCleanup(self.end)
        self.assert_served()
        self.before = self.memory("VmRSS")

    def serve(self):
        self.log = self.home / "log"
        with open(self.log, "wb") as stderr:
            daemon = self.start("coordinator", "-j1", *(["--keys"] if self.keys else []), "--listen", "tcp://127.0.0.1:*",
                                "--listen", self.local, stderr=stderr,
                                limits={harness.resource.RLIMIT_NOFILE: DESCRIPTORS})
        self.until(lambda: "keeps nothing on disk" in self.log.read_text(), "the coordinator says that it is ready")
        self.endpoint = self.log.read_text().split("listens at ")[1].split(",")[0]
        self.port = int(self.endpoint.split(":")[2].split("#")[0])
        return daemon

    def end(self):
        if self.daemon.process.poll() is None:
            self.daemon.signal(signal.SIGTERM)
            self.daemon.process.wait(harness.LIMIT_S)

    def tearDown(self):
        self.assertIsNone(self.daemon.process.poll(), self.log.read_text())
        self.assertLess(self.memory("VmHWM") - self.before, self.room_kib)
        self.assert_served()
        self.end()
        self.assertEqual(self.daemon.process.returncode, 0, self.log.read_text())
        super().tearDown()

    def memory(self, field):
        """In KiB."""
        for line in pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise AssertionError(field)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

    def assert_served(self):
        for endpoint in (self.endpoint, self.local):
            self.assert_ok(self.muster("map", "--coordinator", endpoint, "is_prime", ":::", "7", "8"), "true\nfalse\n")

    def tcp(self):
        return socket.AF_INET, ("127.0.0.1", self.port)

    def doors(self):
        """The addresses of sockets."""
        yield self.tcp()
        yield socket.AF_UNIX, self.path

    @contextlib.contextmanager
    def connection(self, family, address):
        with socket.socket(family, socket.SOCK_STREAM) as stream:
            stream.settimeout(harness.LIMIT_S)
            stream.connect(address)
            yield stream

    @contextlib.contextmanager
    def peer(self, endpoint, name, keyed=False):
        peer = protocol.Peer(endpoint.split("#")[0], name, self.curve if keyed else None)
        peer.socket.setsockopt(zmq.LINGER, 0)
        try:
            yield peer
        finally:
            peer.close()

    def peers(self, name):
        """One at each door, whoever may come."""
        for number, endpoint in enumerate((self.endpoint, self.local)):
            with self.peer(endpoint, f"{name}-{number}", self.keys and number == 0) as peer:
                yield peer

    def until_cut(self, stream):
        """Reads to the end, which comes."""
        try:
            while stream.recv(65536):
                pass
        except TimeoutError:
            raise
        except OSError:  # it was closed while something was under way
            pass

    def join(self, stream, name):
        """The handshake of a peer that needs no key: then messages are heard."""
        stream.sendall(NULL + ready(name))
        answer = b""
        while not answer.endswith(b"Identity" + bytes(4)):
            part = stream.recv(4096)
            self.assertTrue(part, "the handshake")
            answer += part

    def hang_up(self, stream):
        with contextlib.suppress(OSError):  # if he has not been faster
            stream.shutdown(socket.SHUT_WR)

    def send_all(self, stream, sent):
        """All of it, or until it is cut off. Returns whether it was all."""
        try:
            stream.sendall(sent)
        except TimeoutError:
            raise
        except OSError:
            return False
        return True

    def crowd(self, opening):
        """Many connections over tcp that say this much, while others are served."""
        with contextlib.ExitStack() as stack:
            for _ in range(CONNECTIONS):
                stream = stack.enter_context(self.connection(*self.tcp()))
                self.send_all(stream, opening)
            self.until(lambda: self.descriptors() < DESCRIPTORS - 50, "those that are too many are cut off")
            self.assert_served()

    def say(self, peer, kind, values=(), /, **fields):
        peer.send(kind, values, **fields)
        self.assertTrue(peer.socket.poll(harness.LIMIT_S * 1000), f"no answer to {kind}")
        return peer.receive()


class Almost:
    """The protocol, but for one thing."""

    def test_what_is_said_out_of_order(self):
        outsiders = [("SUBMIT", SUBMIT), ("SEAL", {"ticket": 1, "total": 1}), ("CONSUMED", {"ticket": 1, "bytes": 1 << 40}),
                     ("CANCEL", {"id": 1, "mode": 2, "first": 0, "count": 0}), ("PONG", {"nonce": 1}), ("DETACH", {"ticket": 1}),
                     ("STANDING", {"batch": 1, "chunk": 1, "first": 1, "count": 1, "attempt": 1})]
        for peer in self.peers("early"):
            for kind, fields in outsiders:
                self.assertEqual(self.say(peer, kind, **fields).type, "ERROR", kind)
            self.assertEqual(self.say(peer, "HELLO", **HELLO).type, "WELCOME")
            for kind, fields in (("HELLO", HELLO), ("PONG", {"nonce": 1}), ("WELCOME", {"version": protocol.VERSION, "workers": 1,
                                                                                      "host": 0, "keeps": 0, "epoch": 0})):
                self.assertEqual(self.say(peer, kind, **fields).type, "ERROR", kind)

    def test_results_of_an_attempt_that_nobody_made(self):
        for peer in self.peers("liar"):
            peer.send("RESULT", [protocol.pack(1)], **RESULT)
            peer.send("HELLO", **HELLO)
            peer.send("RESULT", [protocol.pack(1)], **RESULT)
            answers = [peer.receive().type]
            while answers.count("ERROR") == 0 or "WELCOME" not in answers:
                answers.append(peer.receive().type)

    def test_names_that_are_others(self):
        with self.peer(self.local, "victim") as victim:
            self.assertEqual(self.say(victim, "HELLO", **HELLO).type, "WELCOME")
            for name in ("victim", "ledger", "client", "worker-1.1", "x" * 200, "a\nb"):
                with self.peer(self.endpoint, name, self.keys) as thief:
                    for _ in range(20):
                        thief.send("HELLO", **HELLO)
                        thief.send("STOP")
                    thief.socket.poll(100)
            self.assertEqual(self.say(victim, "SUBMIT", **{**SUBMIT, "function": "noop"}).type, "ACCEPTED")

    def test_numbers_out_of_range(self):
        whole = [protocol.NUMBERS["SUBMIT"], *SUBMIT.values()]
        for peer in self.peers("ranges"):
            self.assertEqual(self.say(peer, "HELLO", **HELLO).type, "WELCOME")
            refused = 0
            for place in range(1, 12):
                for wrong in (-1, 2**63, 2**64 - 1, "", [], None, 1.5, b"\xff" * 70000):
                    header = list(whole)
                    header[place] = wrong
                    with self.peer(self.endpoint if peer.socket.LAST_ENDPOINT.startswith(b"tcp") else self.local,
                                   f"range-{place}-{refused}", self.keys and peer.socket.LAST_ENDPOINT.startswith(b"tcp")) as other:
                        other.send("HELLO", **HELLO)
                        other.socket.send_multipart([protocol.pack(header), b""])
                    refused += 1

    def test_bombs(self):
        for number, bomb in enumerate(BOMBS):
            arguments = protocol.pack([protocol.NUMBERS["ARGUMENTS"], 1, 1, 4096, 0])
            for peer in self.peers(f"bomb-{number}"):
                peer.socket.send(bomb)
                if len(bomb) < STRANGER_BYTES:  # else he may be cut off before
                    self.assertTrue(peer.socket.poll(harness.LIMIT_S * 1000), f"no answer to {bomb[:8]}")
                for frames in ([arguments, bomb], [bomb[:100]] * 100):
                    peer.socket.send_multipart(frames)


class Doors(Almost, Case):
    """Where nobody needs a key."""

    def test_garbage_and_old_versions(self):
        for family, address in self.doors():
            for sent in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 4096, b"\xff" * 4096, os.urandom(65536),
                         b"\x01\x00", b"\x05\x01name\x06\x00hello",                      # ZMTP 1.0
                         NULL[:10] + b"\x01\x05" + b"\x00\x04name" + frame(BOMBS[2]),    # 2.0
                         NULL[:10] + b"\x01\x05" + b"\x00\x04" + b"\x00\x00\x00\x00" + frame(b"x", MORE) * 1000,
                         NULL + frame(b"x" * 100000, COMMAND), NULL + frame(b"\x05READY" + b"\xff" * 200, COMMAND),
                         NULL + ready(b"twice") + ready(b"twice"), NULL + ready(b"") + b"\xff" * 9,
                         NULL + ready(b"r") + frame(b"\x04PING" + b"\xff" * 300, COMMAND) * 1000):
                with self.connection(family, address) as stream:
                    if self.send_all(stream, sent):
                        self.hang_up(stream)
                    self.until_cut(stream)

    def test_frame_of_a_length_that_never_comes(self):
        for family, address in self.doors():
            with contextlib.ExitStack() as stack:
                for number in range(50):
                    stream = stack.enter_context(self.connection(family, address))
                    self.join(stream, b"long-%d" % number)
                    stream.sendall(struct.pack(">BQ", LARGE, FRAME_MAX) + b"x" * 1000)
                with self.connection(family, address) as stream:
                    self.join(stream, b"longer")
                    stream.sendall(struct.pack(">BQ", LARGE, 1 << 63))
                    self.until_cut(stream)
                self.assert_served()

    def test_frames_without_end(self):
        for opening in (b"", NULL, NULL[:10] + b"\x01\x05\x00\x03old"):
            with self.connection(*self.tcp()) as stream:
                sent = len(opening)
                if opening:
                    self.send_all(stream, opening)
                else:
                    self.join(stream, b"endless")
                while sent < FRAME_MAX and self.send_all(stream, frame(b"x" * 65536, MORE)):
                    sent += 65536
                self.assertLess(sent, FRAME_MAX, "it is cut off")

    def test_connections_that_say_nothing(self):
        for opening in (b"", NULL[:9], NULL, NULL + ready(b"")):
            self.crowd(opening)

    def test_one_who_says_no_more_is_cut_off(self):
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(self.connection(*self.tcp())) for _ in range(4)]
            for stream, opening in zip(streams, (b"", NULL[:9], NULL)):
                stream.sendall(opening)
            self.join(streams[3], b"silent")
            for stream in streams:
                self.until_cut(stream)

    def test_strangers_that_take_all_descriptors_at_once_are_cut_off(self):
        with contextlib.ExitStack() as stack:
            self.daemon.signal(signal.SIGSTOP)
            for _ in range(2 * DESCRIPTORS):
                stack.enter_context(self.connection(*self.tcp()))
            self.daemon.signal(signal.SIGCONT)
            self.until(lambda: self.descriptors() < DESCRIPTORS - 50, "those that are too many are cut off")
            self.assert_served()

    def test_hosts_that_were_given_up_are_strangers_again(self):
        join, pong = self.says_join(1), message("PONG", nonce=1)
        with contextlib.ExitStack() as stack:
            streams = []
            for number in range(DESCRIPTORS // 3):
                streams.append(stack.enter_context(self.connection(*self.tcp())))
                self.join(streams[-1], b"host-%d" % number)
                streams[-1].sendall(join + pong)
                self.until_told(streams[-1], b"a host does not send this message")
            self.until_cut(streams[0])

    def test_host_that_was_given_up_is_not_cut_off_for_what_was_under_way(self):
        """It is to hear why, and may join again."""
        with self.connection(*self.tcp()) as stream:
            self.join(stream, b"host-that-is-late")
            stream.sendall(self.says_join(1) + message("PONG", nonce=1) + 100 * message("BEAT", nonce=0, clock_ns=0))
            self.until_told(stream, b"a host does not send this message")
            stream.sendall(self.says_join(2))
            self.until_told(stream, protocol.pack([protocol.NUMBERS["JOINED"], protocol.VERSION])[1:])

    def says_join(self, session):
        return message("JOIN", version=protocol.VERSION, pid=0, session=session, state=0, epoch=0, connection=1, workers=1,
                       host="x", software=self.muster("--version").out.splitlines()[0], sandbox="", plugins=[], residents=[])

    def until_told(self, stream, words):
        answer = b""
        while words not in answer:
            part = stream.recv(4096)
            self.assertTrue(part, "an answer")
            answer += part

    def test_client_that_was_given_up_is_a_stranger_again(self):
        """The process that he says he is has ended, his connection has not; others push it out."""
        with self.connection(*self.tcp()) as stream:
            self.join(stream, b"outlived")
            process = self.start("60", command="sleep")
            stream.sendall(message("HELLO", **{**HELLO, "pid": process.pid}))
            self.until(lambda: self.clients() == 2, "he is a client")
            process.process.kill()
            process.end()
            self.until(lambda: self.clients() == 1, "he is none any more")
            self.crowd(NULL)
            self.until_cut(stream)

    def clients(self):
        """Those that are there, with the one that asks."""
        return json.loads(self.muster("status", "-o", "json", "--coordinator", self.local).out)["clients"]

    def test_flood(self):
        pong, hello = message("PONG", nonce=1), message("HELLO", **HELLO)
        floods = [(b"", frame(b"\x91\x0d")), (b"", pong), (b"", frame(b"\xdd\xff\xff\xff\xff")), (b"", frame(bytes(1000))),
                  (hello, pong), (hello, hello)]
        for family, address in self.doors():
            for number, (first, flood) in enumerate(floods):
                with self.connection(family, address) as stream:
                    self.join(stream, b"flood-%d-%d" % (family, number))
                    stream.sendall(first)
                    for _ in range(30 if family == socket.AF_UNIX else UNTIL_CUT):
                        if not self.send_all(stream, flood * 1000):
                            break
                    else:
                        self.assertEqual(family, socket.AF_UNIX, "it is cut off")

    def test_flood_of_what_is_well_formed_leaves_others_their_turns(self):
        """As many batches begin of one as of another, if both ask for as many as they can."""
        def submit(tickets):
            return [message("SUBMIT", **{**SUBMIT, "function": "noop", "ticket": ticket, "window_bytes": 4096})
                    for ticket in tickets]

        hello, mine = message("HELLO", **HELLO), b"".join(submit(range(1, 1 + TURNS)))
        other = ask(protocol.STATUS) + ask(CANCEL) + ask(FORGET) + message("CANCEL", id=1 << 40, mode=2, first=0, count=0)
        flood = hello + b"".join(each + other for each in submit(range(1, 1 + 20 * TURNS)))
        for family, address in self.doors():
            with contextlib.ExitStack() as stack:
                flooder, stream = (stack.enter_context(self.connection(family, address)) for _ in range(2))
                self.join(flooder, b"flooder-%d" % family)
                self.join(stream, b"other-%d" % family)
                self.daemon.signal(signal.SIGSTOP)
                thread = threading.Thread(target=self.send_all, args=(flooder, flood))
                thread.start()
                stream.sendall(hello + mine)
                self.daemon.signal(signal.SIGCONT)
                began = self.batches(stream)
                self.assertLess(began[-1] - began[0], 8 * TURNS)
                with contextlib.suppress(OSError):  # he may have been cut off
                    flooder.shutdown(socket.SHUT_RDWR)
                thread.join()
            self.assert_served()

    def test_requests_that_come_faster_than_they_are_answered_are_cut_off(self):
        """He reads his answers, and what he asks is as it should be; but a coordinator does not keep all of it: neither
        what it has not come to (test_wire_guard.c), nor what he has not read."""
        requests = ask(protocol.STATUS) * 10000
        for family, address in self.doors():
            with self.connection(family, address) as stream:
                self.join(stream, b"asker-%d" % family)
                stream.sendall(message("HELLO", **HELLO))
                reader = threading.Thread(target=self.until_cut, args=(stream,))
                reader.start()
                for _ in range(1000):
                    if not self.send_all(stream, requests):
                        break
                else:
                    self.fail("it is cut off")
                reader.join()
            self.until(lambda: self.clients() == 1, "he is no client any more")

    def test_message_without_end_of_one_who_was_welcomed(self):
        self.room_kib = max(MEMORY_KIB, MESSAGE_KIB)
        with self.connection(*self.tcp()) as stream:
            self.join(stream, b"endless")
            stream.sendall(message("HELLO", **HELLO))
            self.until(lambda: self.clients() == 2, "he is a client")
            for _ in range(1 << 12):
                if not self.send_all(stream, frame(bytes(1 << 20), MORE)):
                    break
            else:
                self.fail("it is cut off")
        self.until(lambda: "endless was cut off: it sent a message without end" in self.log.read_text(),
                   "the coordinator says so")
        self.until(lambda: self.clients() == 1, "he is no client any more")

    def batches(self, stream):
        """The numbers of those that were accepted, which come in turn for all."""
        numbers, came = [], b""
        while len(numbers) < TURNS:
            part = stream.recv(65536)
            self.assertTrue(part, "an answer")
            came += part
            while len(came) >= 2:
                head, size = (9, int.from_bytes(came[1:9], "big")) if came[0] & LARGE else (2, came[1])
                if len(came) < head + size:
                    break
                body, came = came[head:head + size], came[head + size:]
                if body.startswith(ACCEPTED):
                    numbers.append(protocol.decode([body]).batch)
        return numbers

    def test_answers_that_nobody_reads(self):
        """Each message is as it should be, and so is answered, until too many answers wait for him."""
        for family, address in self.doors():
            with self.connection(family, address) as stream:
                self.join(stream, b"deaf-%d" % family)
                stream.sendall(message("HELLO", **HELLO))
                while self.send_all(stream, ask(protocol.STATUS) * 1000):
                    continue
                self.assert_served()


class KeyedDoor(Almost, Case):
    """Over tcp whoever comes needs a key."""
    keys = True

    def test_garbage_and_what_is_almost_a_handshake(self):
        for sent in (b"", os.urandom(65536), NULL + ready(b"x"), CURVE + frame(b"\x05HELLO" + bytes(194), COMMAND),
                     CURVE + frame(b"\x05HELLO\x01\x00" + bytes(192), COMMAND), CURVE + frame(b"\x08INITIATE" + bytes(300), COMMAND),
                     CURVE + struct.pack(">BQ", COMMAND | LARGE, 1 << 62)):
            with self.connection(*self.tcp()) as stream:
                if self.send_all(stream, sent):
                    self.hang_up(stream)
                self.until_cut(stream)

    def test_what_comes_before_a_key_is_bounded(self):
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(self.connection(*self.tcp())) for _ in range(8)]
            for stream in streams:
                stream.sendall(CURVE + struct.pack(">BQ", COMMAND | LARGE, FRAME_MAX))
                stream.setblocking(False)
            block, left, sent = bytes(1 << 18), set(streams), 0
            while left:
                for stream in list(left):
                    try:
                        sent += stream.send(block)
                    except BlockingIOError:
                        continue
                    except ConnectionError:
                        left.remove(stream)
                self.assertLess(sent, len(streams) * FRAME_MAX, "they are cut off")

    def test_connections_without_a_key(self):
        for opening in (b"", CURVE):
            self.crowd(opening)


@unittest.skipUnless(LONG, "MUSTER_HOSTILE is not set: nothing is measured")
class Rate(Case):
    """What others get while he goes on, in pairs of turns."""

    def rate(self):
        """Jobs of others, in a second."""
        result = self.muster("map", "--coordinator", self.local, "-o", "none", "--stats", "-", "spin", ":::",
                             *["0.0002"] * 4000)
        self.assertEqual(result.status, 0, str(result))
        return float(result.err.split('"jobs_per_s":')[1].split(",")[0])

    def hostile(self, attack, over):
        while not over.is_set():
            with contextlib.suppress(OSError, AssertionError):  # he may be cut off before he is in
                with self.connection(*self.tcp()) as stream:
                    attack(stream, over)

    def test_rate_of_others(self):
        flood, numbers = frame(b"\x91\x0d") * 1000, itertools.count()  # no name twice: docs/THREATS.md says why

        def talk(stream, over):
            self.join(stream, b"talk-%d" % next(numbers))
            while not over.is_set():
                stream.sendall(flood)

        def knock(stream, over):
            stream.sendall(NULL)

        def request(stream, over):
            self.join(stream, b"ask-%d" % next(numbers))
            stream.sendall(message("HELLO", **HELLO))
            requests = ask(protocol.STATUS) * 100
            while not over.is_set():
                stream.sendall(requests)
                while select.select([stream], [], [], 0)[0] and stream.recv(1 << 20):
                    continue

        for name, attack in (("messages that are none", talk), ("connections", knock), ("requests", request)):
            ratios = []
            for _ in range(5):
                alone, over = self.rate(), threading.Event()
                others = [threading.Thread(target=self.hostile, args=(attack, over)) for _ in range(2)]
                for thread in others:
                    thread.start()
                try:
                    ratios.append(self.rate() / alone)
                finally:
                    over.set()
                    for thread in others:
                        thread.join()
            print(f"{name}: others get {statistics.median(ratios):.2f} of their rate "
                  f"({min(ratios):.2f} to {max(ratios):.2f})")
            with self.subTest(name):
                self.assertGreaterEqual(statistics.median(ratios), 0.5, "of the rate of the others")


if __name__ == "__main__":
    harness.main()
