#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Workers that outlive a coordinator with a state file: it is killed while jobs run, and comes back, or not. Each
job adds a byte to a file of its own when it begins, and ends when the test has added one, too: two bytes are a job
that began once."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import struct

import harness

FAULTY = harness.plugin("faulty")


class Adoption(harness.Case):
    def setUp(self):
        super().setUp()
        self.env["MUSTER_COORDINATOR"] = "default"
        self.state = self.home / "state"
        self.user = self.temporary / f"muster-{os.getuid()}"
        self.daemons = []

    def tearDown(self):
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.signal(signal.SIGTERM)
                daemon.end()
        super().tearDown()

    def serve(self, *options, plugin=FAULTY, state=None):
        """A coordinator that listens, with two workers."""
        log = self.home / f"log-{len(self.daemons)}"
        with open(log, "wb") as stderr:
            daemon = self.start("coordinator", "-v", "-j2", "--plugin", plugin, "--state", state or self.state, *options,
                                stderr=stderr)
        daemon.log = log.read_text
        self.daemons.append(daemon)
        self.until(lambda: "are kept in" in daemon.log(), "the coordinator says that it is ready")
        return daemon

    def kill(self, daemon):
        daemon.signal(signal.SIGKILL)
        daemon.end()

    def job(self, name):
        return self.home / f"job-{name}"

    def begun(self, name):
        return self.job(name).stat().st_size if self.job(name).exists() else 0

    def finish(self, name):
        with self.job(name).open("ab") as file:
            file.write(b"x")

    def positions(self):
        """Where in their chunks workers are, as their flight recorders say: odd while a job is executing."""
        return [struct.unpack_from("=Q", page.read_bytes(), 32)[0] for page in self.user.glob("workers-*/*.flight")]

    def submit(self, *names, options=("--chunk", "1")):
        """A batch whose jobs wait; returns when the first two have begun."""
        arguments = (json.dumps([str(self.job(name)), 2]) for name in names)
        self.assert_ok(self.muster("map", "--detach", *options, "wait_count", ":::", *arguments), "1\n")
        self.until(lambda: all(self.begun(name) for name in names[:2]), "jobs begin")

    def workers(self):
        """The processes of workers, whoever is their parent."""
        return {pid for pid in self.marked()
                if b"\0worker\0" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()}

    def ask(self, query):
        with contextlib.closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()

    def succeeded(self, jobs):
        self.until(lambda: self.ask("SELECT state, succeeded FROM batches") == [("succeeded", jobs)], "the batch ends")

    def assert_began_once(self, *names):
        self.assertEqual({name: self.begun(name) for name in names}, {name: 2 for name in names})

    def test_jobs_run_on_and_no_job_begins_twice(self):
        daemon = self.serve()
        self.submit("a", "b", "c", "d")
        before = self.workers()
        self.finish("a")
        self.until(lambda: self.ask("SELECT count(*) FROM record") == [(1,)] and self.begun("c"), "one is recorded")
        for _ in range(2):
            self.kill(daemon)
            daemon = self.serve()
        self.finish("b")
        self.finish("c")
        self.until(lambda: self.begun("d"), "the last job begins")
        self.finish("d")
        self.succeeded(4)
        self.assertEqual(self.workers(), before)
        self.assert_began_once("a", "b", "c", "d")

    def test_what_ended_while_nobody_was_there_is_recorded(self):
        daemon = self.serve()
        self.submit("a", "b")
        self.kill(daemon)
        self.assertEqual([position % 2 for position in self.positions()], [1, 1])  # both are executing
        for name in "a", "b":
            self.finish(name)
        self.until(lambda: not any(position % 2 for position in self.positions()), "both have ended")
        daemon = self.serve()
        self.succeeded(2)
        self.assert_began_once("a", "b")

    def test_workers_that_nobody_comes_back_for_end(self):
        daemon = self.serve("--orphan-grace", "0.3")
        self.submit("a", "b")
        self.kill(daemon)
        self.assert_processes_gone(harness.LIMIT_S)
        daemon = self.serve()
        self.until(lambda: self.begun("a") == 2 and self.begun("b") == 2, "both run again")
        self.succeeded(2)

    def test_without_a_grace_workers_end_with_their_coordinator(self):
        daemon = self.serve("--orphan-grace", "0")
        self.submit("a", "b")
        self.kill(daemon)
        self.assert_processes_gone()
        self.assertFalse(list(self.user.glob("workers-*")))
        self.may_leave_files = True  # the socket of the default place

    def test_job_of_a_worker_that_died_meanwhile_is_blamed(self):
        daemon = self.serve()
        self.submit("a", "b", options=("--chunk", "1", "--crash-limit", "1"))
        self.kill(daemon)
        victim = self.workers().pop()
        os.kill(victim, signal.SIGKILL)
        self.assert_gone(victim)
        daemon = self.serve()
        self.until(lambda: self.ask("SELECT count(*) FROM failures WHERE text LIKE '%nobody knows how%'") == [(1,)],
                   "its job has failed")
        for name in "a", "b":
            self.finish(name)
        self.until(lambda: self.ask("SELECT state, succeeded, failed FROM batches") == [("failed", 1, 1)], "the batch ends")
        self.assert_began_once("a", "b")

    def test_worker_that_is_stopped_for_a_while_goes_on(self):
        daemon = self.serve()
        self.submit("a", "b")
        self.kill(daemon)
        workers = self.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        daemon = self.serve()
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        for name in "a", "b":
            self.finish(name)
        self.succeeded(2)
        self.assert_began_once("a", "b")

    def test_worker_that_is_one_too_many_ends_behind_its_job(self):
        daemon = self.serve()
        self.submit("a", "b", "c")
        self.kill(daemon)
        self.serve("-j1")
        for name in "a", "b":
            self.finish(name)
        self.until(lambda: self.begun("c") and len(self.workers()) == 1, "one is left")
        self.finish("c")
        self.succeeded(3)
        self.assert_began_once("a", "b", "c")

    def test_worker_with_other_plug_ins_is_ended(self):
        copy = self.home / "copy.so"
        shutil.copy(FAULTY, copy)
        daemon = self.serve(plugin=copy)
        self.submit("a", "b")
        self.kill(daemon)
        copy.unlink()
        shutil.copy(FAULTY, copy)  # a new file, as an upgrade brings one
        daemon = self.serve(plugin=copy)
        self.assertEqual(daemon.log().count("its plug-ins or settings are others now; its jobs run again"), 2, daemon.log())
        self.until(lambda: self.begun("a") == 2 and self.begun("b") == 2, "both run again")
        self.succeeded(2)

    def test_coordinator_with_another_file_leaves_them_alone(self):
        daemon = self.serve()
        self.submit("a", "b")
        self.kill(daemon)
        workers = self.workers()
        other = self.serve(state=self.home / "other")
        self.assertEqual(self.workers(), workers)
        self.assertNotIn("another life", other.log())
        other.signal(signal.SIGTERM)
        other.end()
        daemon = self.serve()
        for name in "a", "b":
            self.finish(name)
        self.succeeded(2)
        self.assert_began_once("a", "b")

    def test_files_that_are_no_flight_recorders_are_passed_over(self):
        daemon = self.serve()
        self.submit("a", "b")
        self.kill(daemon)
        folder, = self.user.glob("workers-*")
        for name, content in (("worker-1.flight", b""), ("worker-2.9.9.flight", b"\xff" * 4096),
                              ("worker-1.8.8.flight", bytes(4096)), ("worker-x.1.flight", b"short")):
            (folder / name).write_bytes(content)
        broken, = folder.glob("worker-1.1.1.flight")
        with broken.open("r+b") as page:  # in place: to its worker, which has it mapped, a short file is SIGBUS
            page.write(b"\xff" * 4096)  # its worker is refused as nobody's, and its job runs again
        daemon = self.serve()
        self.finish("b" if self.begun("a") > 1 else "a")
        self.until(lambda: self.begun("a") + self.begun("b") >= 4, "a job runs again")
        for name in "a", "b":
            if self.begun(name) == 1:
                self.finish(name)
        self.succeeded(2)
        (folder / "worker-x.1.flight").unlink(missing_ok=True)

    def test_coordinator_that_is_asked_to_end_ends_its_workers_and_their_jobs_run_again(self):
        daemon = self.serve()
        self.submit("a", "b")
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.end().status, 0)
        self.assert_processes_gone()
        self.serve()
        self.until(lambda: self.begun("a") == 2 and self.begun("b") == 2, "both run again")
        self.succeeded(2)

    def test_clients_of_tcp_alone_do_not_matter(self):
        daemon = self.serve("--listen", "tcp://127.0.0.1:*")
        port = daemon.log().split("tcp://127.0.0.1:")[1].split(",")[0]
        self.env["MUSTER_COORDINATOR"] = f"tcp://127.0.0.1:{port}"
        self.submit("a", "b")
        self.kill(daemon)
        daemon = self.serve()
        for name in "a", "b":
            self.finish(name)
        self.succeeded(2)
        self.assert_began_once("a", "b")


if __name__ == "__main__":
    harness.main()
