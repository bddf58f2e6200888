#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Keys: who is let in over tcp and who is not, what each role may, and what strangers can do at the port."""
import hashlib
import os
import pathlib
import signal
import socket
import struct
import time

import zmq
import zmq.utils.z85

import foreign_protocol as protocol
import harness

HALF_OPEN = 400 if harness.SANITIZE else 3000  # connections that never prove a key
FAULTY = harness.plugin("faulty")

# What a client may not send under a key that may only work, and a worker under one that may only submit.
OF_CLIENTS = {
    "SUBMIT": {"ticket": 1, "function": "echo", "kind": 1, "first": 1, "last": 1, "chunk_jobs": 0, "timeout_ms": 0,
               "retries": 0, "crash_limit": 3, "timings": False, "shared": False, "window_bytes": 1 << 20, "count": 0,
               "keep": False, "hold": False, "attach": True, "ordered": False, "name": "", "priority": 0,
               "most_running": 0, "cpus": 1, "memory_bytes": 0, "begin_ms": 0, "backoff_ms": 0, "after": []},
    "SEAL": {"ticket": 1, "total": 1},
    "CONSUMED": {"ticket": 1, "bytes": 0},
    "CANCEL": {"id": 1, "mode": 1, "first": 0, "count": 0},
    "DETACH": {"ticket": 1},
}
OUTCOME = {"first": 1, "count": 0, "attempt": 1, "arrived_ns": 0, "began_ns": 0, "reported_ns": 0, "split": False,
           "decode_ns": 0, "execute_ns": 0, "encode_ns": 0, "cpu_ns": 0, "shared_bytes": 0, "failures": [],
           "timings": None}
OF_WORKERS = {"RESULT": {"batch": 1, "chunk": 1, "number": 0, "final": True, "process_cpu_ns": 0,
                         "process_voluntary": 0, "process_involuntary": 0, **OUTCOME},
              "PONG": {"nonce": 1}, "RETURNED": {"batch": 1, "chunk": 1, "first": 1, "count": 1},
              "STANDING": {"batch": 1, "chunk": 1, "first": 1, "count": 1, "attempt": 1}}


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.homes = {}
        self.daemons = []
        (self.home / "socket").mkdir(mode=0o700)
        self.local = f"ipc://{self.home}/socket/s"
        self.server_key = self.person("keeper")
        self.list = self.home / "config-keeper" / "muster" / "allowed"

    def tearDown(self):
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.signal(signal.SIGTERM)
                daemon.process.wait(harness.LIMIT_S)
        super().tearDown()

    def person(self, name, key=True):
        """Somebody with a configuration, and a key, of his own. Returns his public key."""
        folder = self.home / f"config-{name}"
        folder.mkdir()
        self.homes[name] = {"XDG_CONFIG_HOME": str(folder)}
        return self.by(name, "key", "make").out.strip() if key else None

    def by(self, name, *words):
        return self.muster(*words, env=self.homes[name])

    def secret(self, name):
        return self.home / f"config-{name}" / "muster" / "key"

    def allow(self, name, roles):
        """Somebody whose key is allowed."""
        self.assert_ok(self.by("keeper", "key", "allow", self.person(name), roles, name), "")

    def serve(self, *options, **more):
        """The keeper's coordinator, on loopback and at a socket. Returns it, with its endpoint over tcp."""
        log = self.home / f"log-{len(self.daemons)}"
        with open(log, "wb") as stderr:
            daemon = self.start("coordinator", "-j1", "--keys", "--plugin", FAULTY, "--listen", "tcp://127.0.0.1:*",
                                "--listen", self.local, *options, stderr=stderr, env=self.homes["keeper"], **more)
        daemon.log = log.read_text
        self.daemons.append(daemon)
        self.until(lambda: "1 worker; " in daemon.log(), "the coordinator says that it is ready")
        endpoint = daemon.log().split("listens at ")[1].split(",")[0]
        self.assertTrue(endpoint.startswith("tcp://127.0.0.1:") and endpoint.endswith("#" + self.server_key), endpoint)
        self.env["MUSTER_COORDINATOR"] = endpoint
        self.port = int(endpoint.split(":")[2].split("#")[0])
        return daemon

    def map(self, name, *words):
        return self.by(name, "map", "is_prime", *words, ":::", "7", "8")

    def peer(self, name, routing_id):
        """A peer in Python, with somebody's key."""
        secret = bytes.fromhex(self.secret(name).read_text())
        keys = [zmq.utils.z85.encode(key) for key in
                (bytes.fromhex(self.by(name, "key", "show").out.strip()), secret, bytes.fromhex(self.server_key))]
        peer = protocol.Peer(f"tcp://127.0.0.1:{self.port}", routing_id, keys)
        self.addCleanup(peer.close)
        return peer

    def say(self, peer, kind, /, **fields):
        """What is answered."""
        peer.send(kind, **fields)
        self.assertTrue(peer.socket.poll(harness.LIMIT_S * 1000, zmq.POLLIN), f"no answer to {kind}")
        return peer.receive()

    def hello(self, peer, role, user=""):
        return self.say(peer, "HELLO", version=protocol.VERSION, role=role, pid=os.getpid(),
                        credit=int(role == protocol.WORKER), concurrency=int(role == protocol.WORKER),
                        software="keys.py", user=user, standing=0)

    def host(self, name, routing_id):
        """Another host in Python, of one worker, which has joined; what it hears next is PING."""
        host = self.peer(name, routing_id)
        digest = hashlib.sha256(pathlib.Path(FAULTY).read_bytes()).hexdigest()
        answer = self.say(host, "JOIN", version=protocol.VERSION, pid=0, session=77, state=0, epoch=0, connection=1,
                          workers=1, host="hx", software=self.muster("--version").out.splitlines()[0], sandbox="",
                          plugins=[["faulty", digest]], residents=[])
        self.assertEqual(answer.type, "JOINED")
        return host


class Letting(Case):
    def test_one_that_is_allowed_runs_jobs(self):
        self.allow("alice", "submit")
        self.serve()
        self.assert_ok(self.map("alice"), "true\nfalse\n")
        self.assert_ok(self.by("alice", "exec", "echo", "{}", ":::", "x"), "x\n")
        self.assert_ok(self.muster("map", "--coordinator", self.local, "is_prime", ":::", "5"), "true\n")

    def test_one_that_is_not_allowed_is_told_how_he_would_be(self):
        self.allow("alice", "submit")
        key = self.person("eve")
        daemon = self.serve()
        self.assert_one_line_error(self.map("eve"), "does not accept this key", f"muster key allow {key} submit NAME")
        self.assert_one_line_error(self.by("eve", "jobs"), "does not accept this key")
        self.assertIn(f"refused: key {key}, from 127.0.0.1", daemon.log())
        self.assert_ok(self.by("keeper", "key", "allow", key, "submit", "eve"), "")
        self.until(lambda: self.map("eve").status == 0, "the list is read again")

    def test_another_coordinators_key(self):
        self.allow("alice", "submit")
        self.serve()
        self.env["MUSTER_COORDINATOR"] = f"tcp://127.0.0.1:{self.port}#{self.person('mallory')}"
        self.assert_one_line_error(self.map("alice"), "no coordinator answers", "the key behind the # is not its")
        self.env["MUSTER_COORDINATOR"] = f"tcp://127.0.0.1:{self.port}"
        self.assert_one_line_error(self.map("alice"), "no coordinator answers", "lacks its key")

    def test_a_coordinator_without_keys_is_not_taken_for_one(self):
        with open(self.home / "plain", "wb") as stderr:
            plain = self.start("coordinator", "-j1", "--listen", "tcp://127.0.0.1:*", stderr=stderr)
        self.daemons.append(plain)
        log = self.home / "plain"
        self.until(lambda: "keeps nothing" in log.read_text(), "it is ready")
        endpoint = log.read_text().split("listens at ")[1].split(",")[0]
        self.person("alice")
        self.env["MUSTER_COORDINATOR"] = f"{endpoint}#{self.server_key}"
        self.assert_one_line_error(self.map("alice"), "no coordinator answers")

    def test_who_has_no_key_is_told_how_to_make_one(self):
        self.allow("alice", "submit")
        self.serve()
        self.person("bob", key=False)
        self.assert_one_line_error(self.map("bob"), "there is no key", "muster key make")

    def test_key_that_is_withdrawn_is_refused_from_then_on(self):
        self.allow("alice", "submit")
        self.allow("bob", "submit")
        daemon = self.serve("-v")
        client = self.start("map", "wait_file", ":::", self.home / "file", env=self.homes["alice"])
        self.until(lambda: "accepted as batch 1" in daemon.log(), "it runs")
        text = self.list.read_text()
        self.list.write_text("".join(line for line in text.splitlines(True) if "alice" not in line))
        self.assert_one_line_error(client.end(), "this key is not allowed what it was")
        self.assert_one_line_error(self.map("alice"), "does not accept this key")
        (self.home / "file").touch()
        self.assert_ok(self.map("bob"), "true\nfalse\n")
        self.list.unlink()
        self.until(lambda: "no key is allowed: there is no" in daemon.log(), "it is read again")
        self.assert_one_line_error(self.map("bob"), "does not accept this key")

    def test_key_that_is_withdrawn_is_told_so_while_it_has_much_under_way(self):
        self.allow("alice", "submit")
        daemon = self.serve()
        peer = self.peer("alice", "talker")
        self.assertEqual(self.hello(peer, protocol.CLIENT).type, "WELCOME")
        daemon.signal(signal.SIGSTOP)
        for ticket in range(1, 2000):
            peer.send("REQUEST", ticket=ticket, operation=protocol.STATUS, batch=0, number=0, text="")
        self.list.write_text("")
        daemon.signal(signal.SIGCONT)
        answer = None
        while not answer or answer.type != "ERROR":
            self.assertTrue(peer.socket.poll(harness.LIMIT_S * 1000, zmq.POLLIN), "he is told why")
            answer = peer.receive()
        self.assertEqual(answer.text, "this key is not allowed what it was")

    def move_list(self):
        """Elsewhere, with a link in its place."""
        target = self.home / "lists" / "allowed"
        target.parent.mkdir()
        self.list.rename(target)
        self.list.symlink_to(target)
        return target

    def test_list_that_is_a_link_is_read_again_when_its_target_changes(self):
        self.allow("alice", "submit")
        self.allow("bob", "submit")
        target = self.move_list()
        daemon = self.serve("-v")
        client = self.start("map", "wait_file", ":::", self.home / "file", env=self.homes["alice"])
        self.until(lambda: "accepted as batch 1" in daemon.log(), "it runs")
        text = target.read_text()
        target.write_text("".join(line for line in text.splitlines(True) if "alice" not in line))
        self.assert_one_line_error(self.map("alice"), "does not accept this key")
        self.assert_one_line_error(client.end(), "this key is not allowed what it was")
        (self.home / "file").touch()
        self.assert_ok(self.map("bob"), "true\nfalse\n")
        target.unlink()
        self.assert_one_line_error(self.map("bob"), "does not accept this key")

    def test_one_who_only_listens_is_out_when_the_target_of_a_link_changes(self):
        """He stayed until somebody knocked."""
        self.allow("alice", "submit")
        target = self.move_list()
        daemon = self.serve("-v")
        client = self.start("map", "wait_file", ":::", self.home / "file", env=self.homes["alice"])
        self.until(lambda: "accepted as batch 1" in daemon.log(), "it runs")
        target.write_text("")
        self.assert_one_line_error(client.end(), "this key is not allowed what it was")

    def test_folder_that_another_one_takes_the_place_of(self):
        self.allow("alice", "submit")
        self.serve()
        self.assertEqual(self.map("alice").status, 0)
        folder = self.list.parent
        folder.rename(folder.with_name("before"))
        self.assert_one_line_error(self.map("alice"), "does not accept this key")
        folder.mkdir(mode=0o700)
        self.allow("bob", "submit")
        self.assert_ok(self.map("bob"), "true\nfalse\n")
        self.assert_one_line_error(self.map("alice"), "does not accept this key")

    def test_host_that_says_stop_through_itself_does_not_slip_out_of_the_list(self):
        """It was taken for its own farewell; its key was withdrawn, and it stayed."""
        self.allow("wilma", "work")
        daemon = self.serve("-v")
        host = self.host("wilma", "host-x")
        ping = host.receive()
        self.assertEqual(ping.type, "PING")
        for through in (b"\0nobody", b"\0host-x"):
            host.socket.send_multipart([through, protocol.pack([protocol.NUMBERS["STOP"]])])
        host.send("BEAT", nonce=ping.nonce, clock_ns=time.monotonic_ns())
        self.assertEqual(self.say(host, "BEAT", nonce=0, clock_ns=0).type, "PING")  # they were heard
        self.list.write_text("")
        self.until(lambda: "its key is withdrawn" in daemon.log(), "it is given up")
        self.assertNotIn("client host-x left", daemon.log())

    def test_client_that_is_killed_frees_the_worker(self):
        self.allow("alice", "submit")
        daemon = self.serve("-v")
        peer = self.peer("alice", "alice-1")
        self.assertEqual(self.hello(peer, protocol.CLIENT).type, "WELCOME")
        peer.send("SUBMIT", **{**OF_CLIENTS["SUBMIT"], "function": "spin", "first": 1000000, "last": 1000000})
        self.assertEqual(peer.receive().type, "ACCEPTED")
        peer.socket.close(0)  # without a word
        self.until(lambda: "client alice-1 is gone" in daemon.log(), "its end is seen")
        self.assert_ok(self.map("alice"), "true\nfalse\n")


class Roles(Case):
    def setUp(self):
        super().setUp()
        self.allow("alice", "submit")
        self.allow("bob", "submit")
        self.allow("carol", "admin")
        self.allow("wilma", "work")
        self.daemon = self.serve()

    def batch(self, name):
        result = self.by(name, "map", "--detach", "is_prime", ":::", "1..4")
        self.assertEqual(result.status, 0, str(result))
        number = result.out.strip()
        self.assertEqual(self.by(name, "wait", number).status, 0)
        return number

    def numbers(self, name, *words):
        return [line.split()[0] for line in self.by(name, "jobs", *words).out.splitlines()[1:]]

    def test_who_submits_sees_his_own_batches_alone(self):
        hers, his = self.batch("alice"), self.batch("bob")
        self.assertEqual(self.numbers("alice"), [hers])
        self.assertEqual(self.numbers("bob"), [his])
        self.assertEqual(self.numbers("carol", "--user", "bob"), [his])
        self.assertEqual(sorted(self.numbers("carol")), sorted([hers, his]))
        for verb in ("status", "jobs", "results", "wait", "cancel", "retry", "forget"):
            self.assert_one_line_error(self.by("bob", verb, hers), f"no batch {hers}")
        self.assert_ok(self.by("alice", "results", hers), "false\ntrue\ntrue\nfalse\n")
        for words in (["status"], ["jobs"], ["cancel"], ["retry", "--all"], ["forget"]):
            self.assertEqual(self.by("alice", *words, hers).status, 0, words)
        self.assertEqual(self.by("carol", "forget", his).status, 0)

    def test_what_he_says_of_himself_counts_for_nothing(self):
        hers = self.batch("alice")
        self.env["USER"] = "alice"
        self.assertEqual(self.numbers("bob"), [])
        peer = self.peer("bob", "bob-1")
        self.assertEqual(self.hello(peer, protocol.CLIENT, user="alice").type, "WELCOME")
        answer = self.say(peer, "ATTACH", ticket=1, batch=int(hers), first=1, ordered=True, follow=False,
                          arguments=False, results=True, window_bytes=1 << 20)
        self.assertEqual((answer.type, answer.ticket), ("ERROR", 1))
        # The answer to the first has not come yet as the second is sent.
        peer.send("ATTACH", ticket=2, batch=int(hers), first=1, ordered=True, follow=True, arguments=False,
                  results=False, window_bytes=0)
        self.assertEqual(self.say(peer, "CANCEL", id=2, mode=2, first=0, count=0).type, "ERROR")

    def test_the_coordinator_itself_is_an_admins(self):
        for words in (["workers"], ["scale", "2"], ["drain"], ["drain", "--off"], ["stop"]):
            self.assert_one_line_error(self.by("alice", *words), "the roles of this key do not allow that")
        self.assertEqual(self.by("alice", "status").status, 0)
        for words in (["workers"], ["scale", "2"], ["drain"], ["drain", "--off"], ["stop"]):
            self.assertEqual(self.by("carol", *words).status, 0, words)

    def test_who_works_may_not_submit(self):
        self.assert_one_line_error(self.map("wilma"), "the roles of this key do not allow that")
        for kind, fields in OF_CLIENTS.items():
            peer = self.peer("wilma", f"wilma-{kind}")
            answer = self.say(peer, kind, **fields)
            self.assertEqual((answer.type, answer.ticket), ("ERROR", 0), kind)
            self.assertIn("the roles of this key", answer.text)

    def test_who_submits_is_no_worker(self):
        peer = self.peer("alice", "alice-1")
        self.assertIn("the roles of this key", self.hello(peer, protocol.WORKER).text)
        for kind, fields in OF_WORKERS.items():
            self.assertIn("the roles of this key", self.say(peer, kind, **fields).text, kind)

    def test_who_works_is_not_heard_until_he_is_welcome(self):
        for kind, fields in OF_WORKERS.items():
            peer = self.peer("wilma", f"wilma-{kind}")
            answer = self.say(peer, kind, **fields)
            self.assertIn("no worker of this name", answer.text, kind)

    def test_references_to_memory_of_this_host_are_refused(self):
        for kind, fields, values in (("SUBMIT", {**OF_CLIENTS["SUBMIT"], "shared": True}, ()),
                                     ("ARGUMENTS", {"ticket": 1, "first": 1, "count": 1, "shared_bytes": 65536},
                                      (protocol.pack(protocol.msgpack.ExtType(protocol.SHARED_EXT, bytes(37))),))):
            peer = self.peer("alice", f"alice-{kind}")
            self.assertEqual(self.hello(peer, protocol.CLIENT).type, "WELCOME")
            peer.send(kind, values, **fields)
            self.assertIn("over tcp nothing is in shared memory", peer.receive().text, kind)

    def test_references_in_results_of_another_host_are_refused(self):
        host = self.host("wilma", "host-x")
        self.assertEqual(host.receive().type, "PING")
        reference = protocol.pack(protocol.msgpack.ExtType(protocol.SHARED_EXT, bytes(37)))
        result = {**OF_WORKERS["RESULT"], "count": 1, "shared_bytes": 65536}
        host.socket.send_multipart([b"\0worker-1.2.1", *protocol.encode("RESULT", (reference,), **result)])
        answer = host.receive()
        while answer.type == "PING":
            answer = host.receive()
        self.assertIn("over tcp nothing is in shared memory", answer.text)

    def test_names_of_workers_and_of_others_are_theirs(self):
        for name in ("wilma", "alice", "carol"):
            peer = self.peer(name, f"worker-1.{name}")
            self.assertIn("belongs to a worker", self.hello(peer, protocol.CLIENT).text)
        self.assert_ok(self.map("alice"), "true\nfalse\n")


class Strangers(Case):
    def setUp(self):
        super().setUp()
        self.allow("alice", "submit")
        self.daemon = self.serve()

    def connect(self):
        stream = socket.create_connection(("127.0.0.1", self.port), timeout=harness.LIMIT_S)
        self.addCleanup(stream.close)
        return stream

    def assert_alive(self):
        self.assert_ok(self.map("alice"), "true\nfalse\n")
        self.assertIsNone(self.daemon.process.poll())

    def test_garbage_and_old_versions(self):
        greeting = b"\xff" + bytes(8) + b"\x7f"
        for sent in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 4096, b"\xff" * 4096, os.urandom(65536),
                     b"\x01\x00",                                # ZMTP 1.0: a name, and no more to it
                     b"\x05\x01name\x06\x00hello",               # and a message
                     greeting + b"\x01" + b"\x05",               # ZMTP 2.0
                     greeting + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32),
                     greeting + b"\x03\x00" + b"PLAIN".ljust(20, b"\0") + bytes(32),
                     greeting + b"\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32) + b"\x04\xc8\x05HELLO" + bytes(194),
                     # a frame of the largest size that is accepted, of which nothing comes
                     greeting + b"\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32) +
                     b"\x02" + struct.pack(">Q", (257 << 20) - 1)):
            stream = self.connect()
            try:
                stream.sendall(sent)
                stream.shutdown(socket.SHUT_WR)
                while stream.recv(4096):
                    pass
            except TimeoutError:
                raise
            except OSError:  # it was closed meanwhile
                pass
        self.assert_alive()

    def test_peer_without_a_key_is_not_heard(self):
        peer = protocol.Peer(f"tcp://127.0.0.1:{self.port}", "plain")
        self.addCleanup(peer.close)
        peer.socket.setsockopt(zmq.LINGER, 0)
        monitor = peer.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED)
        peer.send("HELLO", version=protocol.VERSION, role=protocol.CLIENT, pid=os.getpid(), credit=0, concurrency=0,
                  software="", user="", standing=0)
        self.assertTrue(monitor.poll(harness.LIMIT_S * 1000), "it is refused")
        peer.socket.disable_monitor()
        self.assertFalse(peer.socket.poll(0, zmq.POLLIN))
        self.assert_alive()

    def test_half_open_connections_keep_nobody_out(self):
        soft, hard = harness.resource.getrlimit(harness.resource.RLIMIT_NOFILE)
        if hard < HALF_OPEN + 200:
            self.skipTest(f"a limit of {hard} file descriptors")
        harness.resource.setrlimit(harness.resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(harness.resource.setrlimit, harness.resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(HALF_OPEN):
            self.connect().sendall(b"\xff" + bytes(8))
        self.assert_alive()
        self.assert_ok(self.muster("map", "--coordinator", self.local, "is_prime", ":::", "5"), "true\n")

        def descriptors():
            return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

        self.until(lambda: descriptors() < 100, "they are closed when their time is over")
        self.assert_alive()


class Files(Case):
    def test_secret_that_others_can_read_is_refused(self):
        self.allow("alice", "submit")
        self.serve()
        for mode in (0o640, 0o604, 0o660):
            self.secret("alice").chmod(mode)
            self.assert_one_line_error(self.map("alice"), "others can read", "chmod 600", str(self.secret("alice")))
            self.assert_one_line_error(self.by("alice", "key", "show"), "chmod 600")
        self.secret("keeper").chmod(0o644)
        self.refused("others can read", "chmod 600")

    def refused(self, *words, listen="tcp://127.0.0.1:*"):
        result = self.by("keeper", "coordinator", "-j1", "--keys", "--listen", listen)
        self.assert_one_line_error(result, "needs keys", *words)

    def test_coordinator_says_how_to_make_what_it_lacks(self):
        for listen in ("tcp://127.0.0.1:*", "tcp://0.0.0.0:*", "tcp://*:*", "tcp://[::]:*"):
            self.refused("no key is allowed", "muster key allow", listen=listen)
        result = self.by("keeper", "coordinator", "--listen", "tcp://0.0.0.0:5555")  # --keys goes without saying
        self.assert_one_line_error(result, "tcp://0.0.0.0:5555 needs keys")
        self.secret("keeper").unlink()
        self.refused("there is no key", "muster key make")

    def test_line_that_is_none_is_named(self):
        self.allow("alice", "submit")
        good = self.list.read_text()
        self.list.write_text(f"# the keys\n{good}{self.server_key} submt bob\n")
        self.refused(str(self.list), "line 3", "submit, work, admin")
        self.list.write_text(good)
        self.list.chmod(0o620)
        self.refused("others can write", "chmod go-w")
        self.list.chmod(0o600)
        daemon = self.serve()
        self.list.write_text(f"nonsense\n{good}")
        self.until(lambda: f"{self.list}, line 1, lets nobody in" in daemon.log(), "it is read again")
        self.assert_ok(self.map("alice"), "true\nfalse\n")

    def test_folder_that_others_can_write_is_refused(self):
        self.allow("alice", "submit")
        self.list.parent.chmod(0o770)
        self.refused("others can write", "chmod go-w", str(self.list.parent))
        self.assert_one_line_error(self.by("keeper", "key", "show"), "others can write", str(self.list.parent))
        self.assert_one_line_error(self.by("keeper", "key", "allow", "0" * 64, "submit", "bob"), "others can write")
        self.list.parent.chmod(0o700)
        target = self.home / "lists" / "allowed"
        target.parent.mkdir(mode=0o700)
        target.parent.chmod(0o722)
        self.list.rename(target)
        self.list.symlink_to(target)
        self.refused("others can write", str(target.parent))
        target.parent.chmod(0o700)
        daemon = self.serve()
        self.assertEqual(self.map("alice").status, 0)
        target.parent.chmod(0o722)
        target.touch()
        self.until(lambda: self.map("alice").status != 0, "the list is not trusted any more")
        self.assertIn(f"others can write {target.parent}", daemon.log())

    def test_any_folder_on_the_way_that_others_can_write_is_refused(self):
        """One above the folder of keys, and one that only a link in the middle of a chain is in."""
        self.allow("alice", "submit")
        config, middle, target = self.list.parent.parent, self.home / "middle", self.home / "lists" / "allowed"
        config.chmod(0o777)
        self.refused("others can write", "chmod go-w", str(config))
        self.assert_one_line_error(self.by("keeper", "key", "show"), "others can write", str(config))
        config.chmod(0o700)
        for folder in (middle, target.parent):
            folder.mkdir(mode=0o700)
        self.list.rename(target)
        (middle / "link").symlink_to("../lists/./allowed")
        self.list.symlink_to(middle / "link")
        middle.chmod(0o777)
        self.refused("others can write", str(middle))
        self.assert_one_line_error(self.by("keeper", "key", "allow", "0" * 64, "submit", "bob"), "others can write")
        middle.chmod(0o1777)  # as /tmp is: there nobody puts anything in the place of what is another's
        self.serve()
        self.assert_ok(self.map("alice"), "true\nfalse\n")
        if os.geteuid() == 0:
            os.chown(middle / "link", 4711, -1, follow_symlinks=False)
            self.refused("another user", "4711", str(middle / "link"))
            middle.chmod(0o700)
            os.chown(middle, 4711, -1)
            self.refused("another user", "4711", str(middle))

    def test_links_that_lead_round_are_refused(self):
        self.list.unlink(missing_ok=True)
        self.list.symlink_to(self.list)
        self.refused("leads too far", str(self.list))

    def test_what_is_no_file_of_keys_is_refused(self):
        secret = self.secret("keeper")
        secret.write_text("nonsense\n")
        self.assert_one_line_error(self.by("keeper", "key", "show"), str(secret), "holds no key", "muster key make")
        if os.geteuid() == 0:
            os.chown(secret, 4711, -1)
            self.assert_one_line_error(self.by("keeper", "key", "show"), str(secret), "another user", "4711")
        secret.unlink()
        secret.mkdir(mode=0o700)
        self.assert_one_line_error(self.by("keeper", "key", "show"), str(secret), "is no file")
        secret.rmdir()
        self.by("keeper", "key", "make")
        self.list.write_text("#" * ((1 << 20) + 1))
        self.list.chmod(0o600)
        self.refused(str(self.list), "more than 1048576 bytes")
        self.assert_one_line_error(self.by("keeper", "key", "allow", "0" * 64, "submit", "bob"), "more than")

    def test_place_of_keys_that_is_none_is_refused(self):
        for home, words in (("", ("neither XDG_CONFIG_HOME nor HOME",)), (f"/{'x' * 5000}", ("too long",)),
                            ("/dev/null", ("/dev/null/.config", "cannot make the folder"))):
            made = self.muster("key", "make", env={"XDG_CONFIG_HOME": "not/absolute", "HOME": home})
            self.assert_one_line_error(made, *words)

    def test_folder_and_key_are_closed_to_others(self):
        folder = self.home / "config-keeper" / "muster"
        self.allow("alice", "submit")
        self.assertEqual([path.stat().st_mode & 0o777 for path in (folder, folder / "key", folder / "allowed")],
                         [0o700, 0o600, 0o600])
        self.assertEqual(sorted(path.name for path in folder.iterdir()), ["allowed", "key"])

    def test_what_is_there_is_not_replaced(self):
        before = self.secret("keeper").read_text()
        self.assert_one_line_error(self.by("keeper", "key", "make"), "there is a key already")
        self.assertEqual(self.secret("keeper").read_text(), before)
        self.assert_ok(self.by("keeper", "key", "show"), self.server_key + "\n")
        self.allow("alice", "submit")
        key = self.by("alice", "key", "show").out.strip()
        self.assert_one_line_error(self.by("keeper", "key", "allow", key, "admin", "alice"), "allowed already")
        self.assertEqual(self.list.read_text(), f"{key} submit alice\n")
        self.secret("keeper").write_text("0" * 63 + "\n")
        self.assert_one_line_error(self.by("keeper", "key", "show"), "holds no key")

    def test_words_of_key(self):
        key = "0" * 64
        for words, said in ((["key"], "make, show, allow"), (["key", "mak"], "make"), (["key", "show", "x"], "'x'"),
                            (["key", "allow"], "KEY ROLE"), (["key", "allow", "x", "submit", "a"], "64 hexadecimal"),
                            (["key", "allow", key, "sumbit", "a"], "submit, work, admin"),
                            (["key", "allow", key, "submit", "a\nb"], "name"),
                            (["key", "allow", key, "submit", "a#b"], "name"),
                            (["key", "allow", key, "submit", "a" * 65], "name")):
            self.assert_one_line_error(self.by("keeper", *words), said, "see 'muster key --help'")
        self.assertFalse(self.list.exists())


if __name__ == "__main__":
    harness.main()
