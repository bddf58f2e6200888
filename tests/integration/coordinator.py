#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""muster coordinator: a daemon whose workers many clients share; who may start one and where, how it ends,
and what becomes of clients that die."""
import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import sqlite3
import time
import unittest

import harness

MANY = 40 if harness.SANITIZE else 200  # clients at once
FAULTY = harness.plugin("faulty")

# A client whose batch is not kept: its endpoint, the function, the argument and the memory that a job takes
# are its arguments.
GUEST = """
import sys
from foreign_client import Client
client = Client(sys.argv[1], 1000)
client.hello()
print(client.finish(client.submit(sys.argv[2], int(sys.argv[3]), int(sys.argv[3]),
                                  memory_bytes=int(sys.argv[4]))).succeeded)
client.leave()
"""


def switches(pid):
    """How often the threads of a process waited so far."""
    count = 0
    for task in os.scandir(f"/proc/{pid}/task"):
        for line in pathlib.Path(task.path, "status").read_text(encoding="ascii").splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                count += int(line.split()[1])
    return count


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.env["MUSTER_COORDINATOR"] = "default"
        self.folder = self.temporary / f"muster-{os.getuid()}" / "daemon"
        self.endpoint = f"ipc://{self.folder}/socket"
        self.daemons = []

    def tearDown(self):
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.signal(signal.SIGTERM)
                daemon.signal(signal.SIGCONT)  # a test may have stopped it, and failed
                daemon.process.wait(harness.LIMIT_S)
        super().tearDown()

    def serve(self, *options, ready="keeps nothing on disk", **more):
        """Starts a coordinator with the test's plug-in, and returns when it listens."""
        log = self.home / f"log-{len(self.daemons)}"
        with open(log, "wb") as stderr:
            daemon = self.start("coordinator", "--plugin", FAULTY, *options, stderr=stderr, **more)
        daemon.log = log.read_text
        self.daemons.append(daemon)
        self.until(lambda: ready in daemon.log(), "the coordinator says that it is ready")
        return daemon

    def map(self, function, *arguments):
        """A client under way."""
        return self.start("map", function, ":::", *arguments)

    def python(self, script, *arguments):
        return self.start("-c", script, *arguments, command="/usr/bin/python3",  # Debian's has zmq
                          env={"PYTHONPATH": str(pathlib.Path(harness.__file__).parent)})

    def guest(self, function, argument, endpoint=None, memory_bytes=0):
        """The same, of a batch that is not kept."""
        return self.python(GUEST, endpoint or self.endpoint, function, argument, memory_bytes)

    def occupied(self, daemon, batches):
        """Waits until so many batches were accepted by a verbose coordinator."""
        self.until(lambda: daemon.log().count("accepted as batch") == batches, f"{batches} batches are accepted")


class Sharing(Case):
    def test_two_clients_share_its_workers(self):
        daemon = self.serve("-j1", "-v")
        file = self.home / "file"
        first, second = self.map("wait_file", file), self.map("is_prime", "7", "8")
        self.occupied(daemon, 2)
        file.touch()
        self.assert_ok(first.end(), "true\n")
        self.assert_ok(second.end(), "true\nfalse\n")
        self.assertEqual(len(daemon.children()), 1)
        self.until(lambda: daemon.log().count(" left\n") == 2, "both have left")

    def test_many_clients_at_once(self):
        self.serve("-j2")
        clients = [self.map("echo", f"{i}..{i + 9}") for i in range(MANY)]
        for i, client in enumerate(clients):
            self.assert_ok(client.end(), "".join(f"{n}\n" for n in range(i, i + 10)))

    def test_clients_that_come_while_it_is_stopped_are_served(self):
        daemon = self.serve("-j1")
        daemon.signal(signal.SIGSTOP)
        clients = [self.start("map", "--heartbeat", "30", "echo", ":::", i) for i in range(60)]
        connections = pathlib.Path("/proc/net/unix")  # those that wait to be accepted: two of each client
        self.until(lambda: connections.read_text(encoding="utf-8").count(f"{self.folder}/socket") > 2 * len(clients),
                   "all have tried to connect")
        daemon.signal(signal.SIGCONT)
        for i, client in enumerate(clients):
            self.assert_ok(client.end(), f"{i}\n")

    def test_more_clients_than_descriptors_allow_are_refused(self):
        limit = 32 + 5 + 3 * 8 + 1  # as the command counts for a worker and eight clients
        daemon = self.serve("-j1", "-v", limits={harness.resource.RLIMIT_NOFILE: limit})
        file = self.home / "file"
        clients = [self.map("wait_file", file) for _ in range(8)]
        self.occupied(daemon, 8)
        self.assert_one_line_error(self.muster("map", "echo", ":::", "1"), self.endpoint, "too many clients")
        file.touch()
        for client in clients:
            self.assert_ok(client.end(), "true\n")

    def test_function_that_it_does_not_have(self):
        self.serve("-j1")
        self.assert_one_line_error(self.muster("map", "is_prim", ":::", "1"), "did you mean is_prime?", "--plugin")

    def test_it_listens_where_it_is_told_to(self):
        daemon = self.serve("-j1", "--listen", "tcp://127.0.0.1:*", "--listen", f"ipc://{self.home}/here")
        port = daemon.log().split("tcp://127.0.0.1:")[1].split(",")[0]
        for endpoint in f"tcp://127.0.0.1:{port}", f"ipc://{self.home}/here":
            self.assert_ok(self.muster("map", "--coordinator", endpoint, "echo", ":::", "5"), "5\n")
        self.assertIn("any user of this host may run jobs as you", daemon.log())
        self.assertFalse(self.folder.exists())

    def test_environment_and_option_say_which(self):
        self.assert_ok(self.muster("map", "--coordinator", "none", "-j1", "echo", ":::", "1"), "1\n")
        self.assert_ok(self.muster("map", "--model", "threads", "echo", ":::", "1"), "1\n")
        self.assert_ok(self.muster("map", "echo", ":::", "1", env={"MUSTER_COORDINATOR": ""}), "1\n")
        self.assert_one_line_error(self.muster("map", "-j2", "echo", ":::", "1"), "-j/--workers", "muster coordinator")

    @unittest.skipIf("thread" in harness.SANITIZE, "what finds races has a thread that wakes up")
    def test_idle_it_and_its_workers_do_not_wake_up(self):
        daemon = self.serve("-j2", "-v")
        self.assert_ok(self.muster("map", "noop", "-o", "none", ":::", "1..1000"))
        client = self.map("hang", "1")
        self.occupied(daemon, 2)
        client.interrupt()
        client.end()
        self.assert_ok(self.muster("cancel", "--now", "2"))  # who watches a job that runs does wake up
        self.assert_fails(self.muster("wait", "2"), 255, "cancelled")
        pids = [daemon.pid, *daemon.children()]

        def rest():
            before = [switches(pid) for pid in pids]
            select.select([], [], [], 1)  # what is measured
            return before == [switches(pid) for pid in pids]

        self.until(rest, "a second in which nothing wakes up")


class Clients(Case):
    def test_killed_client_frees_the_workers(self):
        daemon = self.serve("-j2", "-v")
        clients = [self.guest("hang", i) for i in range(3)]
        self.occupied(daemon, 3)
        for client in clients:
            client.signal(signal.SIGKILL)
            client.end()
        self.assert_ok(self.muster("map", "echo", ":::", "1", "2"), "1\n2\n")
        self.assertEqual(daemon.log().count("is gone"), 3)

    def test_kept_batch_of_a_killed_client_goes_on(self):
        daemon = self.serve("-j1", "-v")
        file = self.home / "file"
        client = self.map("wait_file", file)
        self.occupied(daemon, 1)
        client.signal(signal.SIGKILL)
        client.end()
        other = self.map("echo", "1")
        self.occupied(daemon, 2)
        self.until(lambda: "is gone" in daemon.log(), "its death is noticed")
        self.assertIsNone(other.process.poll())  # the worker is taken
        file.touch()
        self.assert_ok(other.end(), "1\n")
        self.assert_ok(self.muster("wait", "1"), "")
        self.assertEqual(json.loads(self.muster("status", "-o", "json", "1").out)["state"], "succeeded")

    def test_batch_that_is_not_kept_is_served(self):
        self.serve("-j1")
        result = self.guest("echo", 5).end()
        self.assert_ok(result, "1\n")

    def test_client_killed_while_others_wait_costs_them_nothing(self):
        daemon = self.serve("-j1", "-v")
        file = self.home / "file"
        first, second, third = self.map("wait_file", file), self.guest("hang", 1), self.map("echo", "1..9")
        self.occupied(daemon, 3)
        second.signal(signal.SIGKILL)
        second.end()
        self.until(lambda: "is gone" in daemon.log(), "its death is noticed")
        file.touch()
        self.assert_ok(first.end(), "true\n")
        self.assert_ok(third.end(), "".join(f"{i}\n" for i in range(1, 10)))

    def test_client_of_tcp_that_is_killed_frees_the_worker(self):
        daemon = self.serve("-j1", "-v", "--listen", "tcp://127.0.0.1:*")
        endpoint = "tcp://127.0.0.1:" + daemon.log().split("tcp://127.0.0.1:")[1].split(",")[0]
        client = self.guest("hang", 1, endpoint)
        self.occupied(daemon, 1)
        client.signal(signal.SIGKILL)
        client.end()
        self.assert_ok(self.muster("map", "--coordinator", endpoint, "echo", ":::", "1"), "1\n")

    def test_interrupted_client_leaves_its_jobs_and_says_how_to_end_them(self):
        daemon = self.serve("-j1", "-v")
        client = self.map("hang", "1")
        self.occupied(daemon, 1)
        client.interrupt()
        self.assert_fails(client.end(), 130, "interrupted", "batch 1 goes on", "muster cancel 1")
        self.assert_ok(self.muster("cancel", "--now", "1"), "")
        self.assert_ok(self.muster("map", "echo", ":::", "1"), "1\n")

    def test_nobody_there_is_said_at_once(self):
        began = time.monotonic()
        self.assert_one_line_error(self.muster("map", "echo", ":::", "1"), self.endpoint, "muster coordinator")
        daemon = self.serve("-j1")
        daemon.signal(signal.SIGKILL)
        daemon.end()
        self.assert_one_line_error(self.muster("map", "echo", ":::", "1"), self.endpoint, "any more")
        for endpoint, words in (("tcp://127.0.0.1:1", "no coordinator answers"), ("tcp://192.0.2.1:5555", "known by its key"),
                                ("tcp://localhost", "PORT"), ("ipc://here", "from the root on"),
                                ("ipc://" + "/x" * 60, "at most"), ("here", "no endpoint")):
            self.assert_one_line_error(self.muster("map", "--coordinator", endpoint, "echo", ":::", "1"), endpoint, words)
        self.assertLess(time.monotonic() - began, harness.LIMIT_S)
        self.may_leave_files = True

    def test_one_that_does_not_answer_is_named(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.home / "deaf"))
            listener.listen()
            endpoint = f"ipc://{self.home}/deaf"
            self.assert_one_line_error(self.muster("map", "--coordinator", endpoint, "--heartbeat", "0.1", "echo", ":::", "1"),
                                       "no coordinator answers", endpoint)

    @unittest.skipIf(os.getuid() != 0, "only root can be somebody else")
    def test_coordinator_of_another_user_is_refused(self):
        with socket.socket(socket.AF_UNIX) as listener:
            os.chmod(self.home, 0o777)
            os.seteuid(12345)
            try:
                listener.bind(str(self.home / "theirs"))
                listener.listen()
            finally:
                os.seteuid(0)
            endpoint = f"ipc://{self.home}/theirs"
            self.assert_one_line_error(self.muster("map", "--coordinator", endpoint, "echo", ":::", "1"), endpoint, "12345")

    def greeted(self, path):
        """Whether ZeroMQ says its greeting to who connects there."""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(str(path))
            with contextlib.suppress(ConnectionResetError):
                return bool(stream.recv(1))
        return False

    @unittest.skipIf(os.getuid() != 0, "only root can be somebody else")
    def test_another_user_is_turned_away_though_the_socket_is_open_to_all(self):
        self.serve("-j1")
        path = pathlib.Path(self.endpoint.removeprefix("ipc://"))
        for folder in path.parents:
            if self.home in (folder, *folder.parents):
                os.chmod(folder, 0o755)
        os.chmod(path, 0o777)
        self.assertTrue(self.greeted(path))
        os.seteuid(12345)
        try:
            self.assertFalse(self.greeted(path))
        finally:
            os.seteuid(0)
        self.assertTrue(self.greeted(path))


class Ends(Case):
    def test_waiting_clients_are_told(self):
        daemon = self.serve("-j1", "-v")
        clients = [self.map("hang", "1")]
        self.occupied(daemon, 1)
        clients.append(self.map("echo", "1"))
        self.occupied(daemon, 2)
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.end().status, 0, daemon.log())
        for client in clients:
            self.assert_fails(client.end(), 255, f"{self.endpoint}: the coordinator ends")
        self.assertFalse(any(self.folder.iterdir()))

    def test_client_is_told_of_one_that_is_killed(self):
        daemon = self.serve("-j1", "-v")
        client = self.map("hang", "1")
        self.occupied(daemon, 1)
        daemon.signal(signal.SIGKILL)
        self.assert_fails(client.end(), 255, f"{self.endpoint}: the connection to the coordinator broke")
        daemon.end()
        self.may_leave_files = True

    def test_status_says_which_signal(self):
        for number in signal.SIGINT, signal.SIGHUP:
            daemon = self.serve("-j1")
            daemon.signal(number)
            self.assertEqual(daemon.end().status, 128 + number, daemon.log())

    def test_systemd_is_told(self):
        for name in str(self.home / "notify"), "@" + self.mark:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
                listener.bind("\0" + name[1:] if name[0] == "@" else name)
                listener.settimeout(harness.LIMIT_S)
                daemon = self.serve("-j1", env={"NOTIFY_SOCKET": name})
                self.assertEqual(listener.recv(999), f"READY=1\nSTATUS=1 worker at {self.endpoint}".encode())
                daemon.signal(signal.SIGTERM)
                self.assertEqual(listener.recv(999).split(b"\n")[0], b"STOPPING=1")
                daemon.end()

    def test_death_of_a_worker_is_logged_and_survived(self):
        daemon = self.serve("-j1")
        self.assert_fails(self.muster("map", "--crash-limit", "1", "kill_self", ":::", "1"), 1, "SIGKILL")
        self.assert_ok(self.muster("map", "echo", ":::", "1"), "1\n")
        self.assertIn("worker 1 died: killed by SIGKILL", daemon.log())


class Places(Case):
    def refused(self, *words, options=()):
        self.assert_one_line_error(self.muster("coordinator", *options), *words)

    def test_second_one_is_refused_and_told_who_is_first(self):
        daemon = self.serve("-j1")
        self.refused(f"process {daemon.pid}", self.endpoint)
        self.assert_ok(self.muster("map", "echo", ":::", "1"), "1\n")

    def takes_connections(self):
        """Its socket is there before it listens."""
        with socket.socket(socket.AF_UNIX) as attempt:
            return attempt.connect_ex(str(self.folder / "socket")) == 0

    def test_one_of_many_that_begin_at_once_gets_the_place(self):
        starts = [self.start("coordinator", "-j1", stdout=None) for _ in range(12)]
        self.until(lambda: sum(start.process.poll() is None for start in starts) == 1, "all but one have given up")
        first = next(start for start in starts if start.process.poll() is None)
        for start in starts:
            if start is not first:
                self.assert_one_line_error(start.end(), f"process {first.pid}")
        self.until(self.takes_connections, "it listens")
        self.assert_ok(self.muster("map", "echo", ":::", "1"), "1\n")
        first.signal(signal.SIGTERM)
        self.assertEqual(first.end().status, 0)

    def test_what_a_killed_one_left_is_replaced(self):
        daemon = self.serve("-j1")
        self.assert_ok(self.muster("map", "echo", ":::", "1"), "1\n")
        daemon.signal(signal.SIGKILL)
        daemon.end()
        self.assertTrue((self.folder / "socket").is_socket())
        self.serve("-j1")
        self.assert_ok(self.muster("map", "echo", ":::", "1"), "1\n")

    def test_folder_that_others_can_enter_is_refused(self):
        self.folder.mkdir(parents=True, mode=0o700)
        os.chmod(self.folder.parent, 0o700)
        os.chmod(self.folder, 0o750)
        self.refused(str(self.folder), "mode 0700")
        os.chmod(self.folder, 0o700)
        os.chmod(self.folder.parent, 0o755)
        self.refused(str(self.folder.parent), "mode 0700")

    def test_endpoints_that_cannot_be_listened_at_are_refused(self):
        os.chmod(self.home, 0o700)
        (self.home / "file").write_text("kept")
        for endpoint, words in (("tcp://0.0.0.0:5555", "keys"), ("tcp://*:5555", "keys"), ("tcp://127.0.0.1", "PORT"),
                                ("ipc://@abstract", "from the root on"), ("inproc://x", "no endpoint"),
                                (f"ipc://{self.home}/file", "no socket"), ("ipc:///nonexistent/socket", "/nonexistent")):
            self.refused(endpoint.rsplit("/", 1)[1], words, options=("--listen", endpoint))
        self.assertEqual((self.home / "file").read_text(), "kept")
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
            self.refused(endpoint, "in use", options=("--listen", endpoint))


class Kept(Case):
    """With a file to keep batches in."""

    def setUp(self):
        super().setUp()
        self.state = self.home / "state"

    def keep(self, *options):
        return self.serve("--state", self.state, *options, ready="are kept in")

    def ask(self, query):
        """The rows that another program reads in the file."""
        with contextlib.closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()

    def recorded(self):
        return self.ask("SELECT coalesce(sum(count), 0) FROM record")[0][0]

    def test_batch_and_results_are_there_when_the_coordinator_has_gone(self):
        daemon = self.keep("-j1", "-v")
        file = self.home / "file"
        clients = [self.map("wait_count", json.dumps([str(file), 2]))]
        self.until(lambda: file.exists() and file.stat().st_size == 1, "the worker is taken")
        clients += [self.map("is_prime", "1..1000"), self.start("map", "--retries", "1", "fail", ":::", "1..3")]
        self.occupied(daemon, 3)
        for client in clients:
            client.signal(signal.SIGKILL)
            client.end()
        with open(file, "ab") as counter:
            counter.write(b"2")
        self.until(lambda: self.ask("SELECT count(*) FROM batches WHERE ended IS NOT NULL") == [(3,)], "all end")
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.end().status, 0)
        self.assertEqual(self.ask("SELECT state, jobs, succeeded, failed FROM batches ORDER BY jobs"),
                         [("succeeded", 1, 1, 0), ("failed", 3, 0, 3), ("succeeded", 1000, 1000, 0)])

    def test_batch_that_its_client_has_read_to_the_end_is_forgotten(self):
        self.keep("-j2")
        self.assert_ok(self.map("is_prime", "7").end(), "true\n")
        self.assert_ok(self.start("map", "--unordered", "-o", "none", "noop", ":::", "1..50000").end(), "")
        result = self.start("map", "--retries", "1", "fail", ":::", "1..3").end()
        self.assertEqual(result.status, 3, str(result))
        self.until(lambda: self.ask("SELECT * FROM batches") == self.ask("SELECT * FROM results") == [], "nothing is left")

    def test_results_behind_a_late_one_do_not_stop_the_reader(self):
        self.keep("-j2")
        late, large = '{"wait":0.5,"bytes":1}', '{"bytes":1000000}'  # 8 MB: two windows
        result = self.muster("map", "--chunk", "1", "work", ":::", late, *[large] * 8)
        self.assert_ok(result, "".join(f'"{"x" * size}"\n' for size in (1, *[1000000] * 8)))

    def test_killed_coordinator_goes_on_where_it_was_and_records_each_job_once(self):
        daemon = self.keep("-j2", "-v")
        client = self.start("map", "--chunk", "1", "spin", ":::", *["0.02"] * 60)
        self.until(lambda: self.recorded() >= 5, "some jobs are recorded")
        client.signal(signal.SIGKILL)
        client.end()
        for least in 15, 30:
            daemon.signal(signal.SIGKILL)
            daemon.process.wait(harness.LIMIT_S)
            daemon = self.keep("-j2")
            self.until(lambda least=least: self.recorded() >= least, "more are recorded")
        self.until(lambda: self.ask("SELECT state, succeeded FROM batches") == [("succeeded", 60)], "the batch ends")
        self.assertEqual(self.ask("SELECT first, count FROM record ORDER BY first"), [(i, 1) for i in range(1, 61)])

    def test_missing_sqlite_is_named_and_missed_by_nobody_else(self):
        (self.home / "libsqlite3.so.0").write_text("no library\n", encoding="utf-8")
        env = {"LD_LIBRARY_PATH": str(self.home)}
        result = self.muster("coordinator", "--state", self.state, "--listen", f"ipc://{self.home}/socket", env=env)
        self.assert_fails(result, 255, "a store needs SQLite", "libsqlite3.so.0")
        self.assertFalse(self.state.exists())
        self.assert_ok(self.muster("map", "noop", "--coordinator", "none", ":::", 1, env=env))

    def test_file_of_another_coordinator_is_refused(self):
        self.keep()
        other = self.home / "other"
        other.mkdir(mode=0o700)
        result = self.muster("coordinator", "--state", self.state, "--listen", f"ipc://{other}/socket")
        self.assert_one_line_error(result, str(self.state))


if __name__ == "__main__":
    harness.main()
