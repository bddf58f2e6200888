#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What runs with a coordinator say and do that is not theirs alone: errors that name it, jobs by the number of their
batch, readers that leave, and numbers of batches that cannot be written."""
import contextlib
import fcntl
import json
import os
import pathlib
import signal
import sqlite3
import subprocess

import harness
import verbs

TREE = pathlib.Path(__file__).resolve().parents[2]


class Named(verbs.Case):
    def test_refusals_name_the_endpoint(self):
        self.serve()
        for words, said in ((["map", "is_prim"], "is_prime"), (["map", "--after", "99", "echo"], "batch 99"),
                            (["map", "--cpus", "99", "echo"], "99 CPUs"), (["map", "--detach", "is_prim"], "is_prime"),
                            (["exec", "--after", "99", "true"], "batch 99")):
            self.assert_fails(self.muster(*words, ":::", "1"), 255, f"muster: {self.endpoint}: ", said)
        self.assert_one_line_error(self.muster("retry", self.ended("echo", 1)), f"muster: {self.endpoint}: ", "nothing to try")

    def test_failed_jobs_have_the_number_of_their_batch(self):
        self.serve()
        self.ended("echo", 1)
        self.assert_fails(self.muster("map", "is_prime", ":::", "x"), 1, 'job 2.1 (argument "x")')
        self.assert_fails(self.muster("exec", "exit", ":::", "7"), 1, "job 3.1 (exit 7)")
        result = self.muster("map", "-o", "json", "is_prime", ":::", "7", "x")
        self.assertEqual([json.loads(line)["job"] for line in result.out.splitlines()], ["4.1", "4.2"])
        local = self.muster("map", "--coordinator", "none", "is_prime", ":::", "x")
        self.assert_fails(local, 1, 'job 1.1 (argument "x")')

    def test_job_that_fails_before_its_batch_has_a_number_is_named_without(self):
        self.serve()
        client = self.start("map", "is_prime")
        client.write("x\n")
        self.assertIn(b'muster: job 1 (argument "x")', client.process.stderr.readline())
        client.write("y\n")
        self.assert_fails(client.end(), 2, "(argument \"y\")", "2 of 2 jobs failed")

    def test_user_without_a_variable_has_a_name(self):
        self.serve()
        self.env.pop("USER", None)
        self.muster("map", "--detach", "echo", ":::", "1")
        self.muster("map", "--detach", "echo", ":::", "1", env={"USER": "u" * 65})
        names = {found["user"] for found in self.objects("jobs")}
        self.assertEqual(len(names), 1)
        self.assertRegex(names.pop(), r"\A[a-z0-9_.-]+\Z")


class ReaderThatLeaves(verbs.Case):
    def test_it_ends_the_batch_and_nobody_is_told(self):
        self.serve()
        client = self.start("map", "echo", ":::", "1..1000000000000")
        self.assertEqual(client.line(), "1")
        client.process.stdout.close()
        client.process.stdout = None
        result = client.end()
        self.assertEqual((result.status, result.err), (141, ""), str(result))
        self.until(lambda: self.objects("jobs", "--state", "running") == [], "the batch is ended")

    def test_verbs_without_a_batch_end_as_quietly(self):
        for words in ["functions"], ["--help"], ["map", "--help"], ["--version"]:
            run = self.start("-c", '"$0" "$@"; echo $? >&2', harness.MUSTER, *words, command="/bin/sh", stdin=None,
                             stdout=self.closed_pipe())
            self.assertEqual(run.end().err, "141\n", words)

    def closed_pipe(self):
        """An end that nobody reads from."""
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        return writer


class NumberThatCannotBeWritten(verbs.Case):
    def test_it_is_said_on_standard_error(self):
        self.serve()
        batch = self.ended("is_prime", "x")
        steps = self.home / "steps.json"
        steps.write_text('{"step": [{"name": "a", "function": "echo", "arguments": [1]}]}')
        for number, words in enumerate((["map", "--detach", "echo", ":::", "1"], ["exec", "--detach", "true", ":::", "1"],
                                        ["retry", batch], ["submit", steps]), int(batch) + 1):
            with open("/dev/full", "wb") as full:
                result = self.muster(*words, stdout=full)
            self.assert_fails(result, 255, "standard output: No space left on device", str(number))
            self.assertRegex(result.err, rf"goes on; to return to it: muster results --follow {number}\n|as batch {number}\n")
            self.muster("wait", number)


class BeginsWhole(verbs.Case):
    def test_input_without_an_end_is_refused_and_not_remembered_without_bound(self):
        self.serve()
        for option in ["--begin", "+1h"], ["--after", self.submit("wait_file", str(self.home / "never"))]:
            with subprocess.Popen(["yes", "x" * 100000], stdout=subprocess.PIPE) as endless:
                result = self.muster("map", "echo", *option, stdin=endless.stdout)
                endless.stdout.close()
            self.assert_fails(result, 255, "more than the 256 MiB that a client remembers", "--detach")
        self.assertEqual([job["state"] for job in self.objects("jobs")], ["running"])
        self.assert_ok(self.muster("cancel", "1", "--now"))


class Interrupted(verbs.Case):
    def interrupted_ahead_of_its_number(self, words, last, **options):
        """What a client says whose batch is accepted more than two seconds after Ctrl-C; `last` is the message with
        which all of it has come."""
        log = self.home / "log"

        def reply(message):
            if message.type != last:
                return []
            (pid,) = self.marked()
            os.kill(pid, signal.SIGINT)
            self.until(lambda: b"has not said yet whether" in log.read_bytes(), "it waits beyond two seconds")
            return [verbs.protocol.encode("ACCEPTED", ticket=message.ticket, batch=7)]

        with open(log, "wb") as stderr:
            result = self.answers(reply, *words, stderr=stderr, **options)
        self.assertEqual(result.status, 130, log.read_text())
        return log.read_text()

    def test_before_the_batch_has_a_number_it_waits_for_that(self):
        self.assertIn("batch 7 goes on", self.interrupted_ahead_of_its_number(["map", "echo", ":::", "1..3"], "SUBMIT"))

    def test_when_the_number_has_come_a_reader_is_not_waited_for(self):
        self.may_leave_files = True  # the folder of exec, which is ended at once
        for words, last in ((["map", "--detach", "echo", ":::", "1..3"], "SUBMIT"),
                            (["exec", "--detach", "true", ":::", "1"], "SEAL")):
            said = self.interrupted_ahead_of_its_number(words, last, stdout=self.full_pipe())
            self.assertRegex(said, r"ended at once: .* whoever reads the results, held it up for 2 s\n\Z")

    def full_pipe(self):
        """An end to which nothing can be written, and nobody reads."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))
        os.set_blocking(writer, True)
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        return writer

    def test_while_another_coordinator_starts_it_ends_at_once(self):
        self.env.update(XDG_STATE_HOME=str(self.home / "state"))
        folder = self.home / "state" / "muster"
        folder.mkdir(parents=True)
        steps = self.home / "steps.json"
        steps.write_text('{"step": [{"name": "a", "function": "echo", "arguments": [1]}]}')
        descriptor = os.open(folder, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # as one that starts it holds it
        for words in (["map", "--detach", "echo", ":::", "1"], ["exec", "--detach", "true", ":::", "1"], ["submit", steps]):
            client = self.start(*words)
            self.until(lambda: any(self.has_open(pid, folder) for pid in self.marked()), "it waits for the lock")
            client.interrupt()
            self.assertEqual(client.end().status, 130, words)

    @staticmethod
    def has_open(pid, path):
        try:
            return any(os.readlink(entry) == str(path) for entry in os.scandir(f"/proc/{pid}/fd"))
        except OSError:
            return False  # gone meanwhile


class Returning(verbs.Case):
    """Clients of a coordinator that is killed."""

    def setUp(self):
        super().setUp()
        self.may_leave_files = True
        self.file = self.home / "file"
        self.serve("--state", self.home / "state")

    def tearDown(self):
        self.leave()
        if self.daemon.process.poll() is None:
            self.kill()
        for pid in self.marked():  # workers wait for a coordinator to come back
            os.kill(pid, signal.SIGKILL)
        super().tearDown()

    def kill(self):
        self.leave()
        self.daemon.signal(signal.SIGKILL)
        self.daemon.end()

    def blocked(self):
        """A batch whose second job waits."""
        return self.submit("wait_file", str(self.home), str(self.file), chunk_jobs=1)

    def start_both(self, *options):
        """results --follow, of which a line has come, and wait, of this batch."""
        batch = self.blocked()
        clients = [self.start("results", batch, "--follow", *options), self.start("wait", batch, *options)]
        self.assertEqual(clients[0].line(), "true")
        self.until(lambda: self.objects("status")[0]["clients"] >= 4, "both are connected")
        self.kill()
        return clients

    def test_results_and_wait_go_on_with_the_next_one(self):
        clients = self.start_both()
        for client in clients:
            self.assertIn(b"waiting for its return", client.process.stderr.readline())
        self.file.touch()
        self.serve("--state", self.home / "state")
        for client, out in zip(clients, ("true\n", "")):
            result = client.end()
            self.assertEqual((result.status, result.out), (0, out), str(result))
            self.assertEqual(result.err, "muster: the coordinator is back\n")

    def test_one_that_stays_away_is_given_up(self):
        for client in self.start_both("--wait-coordinator", "0.2"):
            self.assert_fails(client.end(), 255, f"no coordinator listens at {self.endpoint}", "started again")

    def test_time_is_over_while_it_is_away(self):
        batch = self.blocked()
        client = self.start("wait", batch, "--timeout", "2")
        self.until(lambda: self.objects("status")[0]["clients"] >= 3, "it is connected")
        self.kill()
        self.assert_fails(client.end(), 102, f"batch {batch} is not over")

    def test_batch_of_another_state_file_is_not_taken_for_it(self):
        clients = self.start_both()
        self.serve("--state", self.home / "other")
        for client in clients:
            self.assert_fails(client.end(), 255, self.endpoint)


class Counted(verbs.Case):
    def test_commands_that_failed_are_failed_jobs_to_wait_and_jobs(self):
        self.serve()
        result = self.muster("exec", "--detach", "echo {}; exit {}", ":::", "0", "3", "1")
        batch = result.out.strip()
        waited = self.muster("wait", batch)
        self.assert_fails(waited, 2, f"batch {batch}: 2 of 3 jobs failed")
        waited = self.muster("wait", batch, "-o", "json")
        self.assertEqual((waited.status, json.loads(waited.out)),
                         (2, {"batch": int(batch), "outcome": "failed", "succeeded": 1, "failed": 2, "cancelled": 0}))
        self.assert_one_line_error(self.muster("jobs", batch, "--state", "queued"), "jobs are shown when they have ended")
        self.assertEqual([(job["job"], job["state"], job["error"]) for job in self.objects("jobs", batch, "--state", "failed")],
                         [(f"{batch}.2", "failed", "exit status 3"), (f"{batch}.3", "failed", "exit status 1")])
        self.assertEqual([job["state"] for job in self.objects("jobs", batch)], ["succeeded", "failed", "failed"])

    def test_commands_that_failed_are_tried_again_and_nothing_else(self):
        self.serve()
        result = self.muster("exec", "--detach", "echo {}; exit {}", ":::", "0", "3", "1")
        batch = result.out.strip()
        self.assert_fails(self.muster("wait", batch), 2)
        self.assertEqual({key: self.objects("status", batch)[0][key] for key in ("state", "succeeded", "failed")},
                         {"state": "failed", "succeeded": 1, "failed": 2})
        again = self.muster("retry", batch).out.strip()
        self.assert_fails(self.muster("wait", again), 2, f"batch {again}: 2 of 2 jobs failed")
        result = self.muster("results", again)
        self.assertEqual((result.status, result.out), (2, "3\n1\n"), str(result))
        after = self.muster("exec", "--detach", "--after", f"{again}:ok", "true").out.strip()
        self.assertEqual(self.objects("status", after)[0]["state"], "cancelled")

    def test_batch_of_commands_that_all_succeeded_has_nothing_to_try_again(self):
        self.serve()
        batch = self.muster("exec", "--detach", "exit {}", ":::", "0", "0").out.strip()
        self.assert_ok(self.muster("wait", batch), "")
        self.assert_fails(self.muster("retry", batch), 255, "all jobs")

    def test_command_that_succeeds_when_it_runs_again_in_its_worker_has_not_failed(self):
        self.serve()
        batch = self.muster("exec", "--detach", "--retries", "2", f"echo {{}} >> {self.home}/tries; "
                            f"test $(wc -l < {self.home}/tries) = 2", ":::", "x").out.strip()
        self.assert_ok(self.muster("wait", batch), "")
        self.assertEqual((self.home / "tries").read_text(), "x\nx\n")

    def test_state_file_of_an_older_muster_is_read_and_its_commands_run(self):
        state = self.home / "older"
        file = sqlite3.connect(state)
        file.executescript((TREE / "tests/support/older/state-4.sql").read_text())
        file.close()
        self.serve("--state", state)
        self.assert_fails(self.muster("wait", "4"), 1, "batch 4: 1 of 2 jobs failed")
        self.assertEqual([(self.muster("results", str(batch)).out, self.muster("wait", str(batch)).status)
                          for batch in (1, 2, 3, 4)],
                         [("out0\nout3\n", 0), ("true\n", 1), ("out0\n", 1), ("out0\nout5\n", 1)])
        self.assert_ok(self.muster("retry", "3"), "5\n")
        self.assert_fails(self.muster("wait", "5"), 1, "batch 5: 1 of 1 job failed")
        self.assert_fails(self.muster("results", "5"), 1, "exit status 4")
        with contextlib.closing(sqlite3.connect(state)) as file:
            self.assertEqual(file.execute("PRAGMA user_version").fetchone(), (6,))

    def attached(self, name):
        """An attached run of a command that fails and one that does not, which wait for a gate of that name."""
        gate = self.home / name
        os.mkfifo(gate)
        known = len(self.objects("jobs"))
        client = self.start("exec", "-j1", f"test {{}} = 0 || cat {gate}; exit {{}}", ":::", "0", "3")
        self.until(lambda: len(self.objects("jobs")) > known, "it is accepted")
        return client, gate

    def test_commands_of_a_batch_that_its_client_takes_with_it_are_counted(self):
        self.serve()
        client, gate = self.attached("gate")
        waiting = self.start("wait", "1", "-o", "json")
        self.until(lambda: self.objects("status")[0]["clients"] >= 3, "it waits")
        gate.write_text("")
        self.assertEqual(client.end().status, 1)
        result = waiting.end()
        self.assertEqual((result.status, result.err), (1, ""), str(result))
        self.assertEqual(json.loads(result.out),
                         {"batch": 1, "outcome": "failed", "succeeded": 1, "failed": 1, "cancelled": 0})

    def test_batch_that_is_gone_when_another_ends_was_counted(self):
        self.serve()
        first, gate = self.attached("first")
        second, other = self.attached("second")
        waiting = self.start("wait", "1", "2")
        self.until(lambda: self.objects("status")[0]["clients"] >= 4, "it waits")
        for client, path in (first, gate), (second, other):
            path.write_text("")
            self.assertEqual(client.end().status, 1)
            self.until(lambda: len(self.objects("jobs")) == (1 if client is first else 0), "it is forgotten")
        self.assert_fails(waiting.end(), 2, "batch 1: 1 of 2 jobs failed", "batch 2: 1 of 2 jobs failed")

    def test_jobs_that_were_cancelled_are_listed(self):
        self.serve()
        gate = str(self.home / "gate")
        batch = self.submit("wait_file", str(self.home), gate, gate, gate, gate, chunk_jobs=1)
        self.until(lambda: len(self.objects("jobs", batch)) == 1, "the first is done")
        self.assertEqual(self.objects("jobs", batch, "--state", "cancelled"), [])
        self.assert_ok(self.muster("cancel", batch, "--now"))
        self.muster("wait", batch)
        cancelled = [f"{batch}.{index}" for index in range(2, 6)]
        self.assertEqual([job["job"] for job in self.objects("jobs", batch, "--state", "cancelled")], cancelled)
        self.assertEqual([job["state"] for job in self.objects("jobs", batch)], ["succeeded", *["cancelled"] * 4])
        self.assertEqual(len(self.objects("jobs", batch, "--state", "cancelled", "--limit", "2")), 2)
        self.assertRegex(self.muster("jobs", batch).out, rf"(?m)^{batch}\.5  cancelled +0 +0  cancelled$")


if __name__ == "__main__":
    harness.main()
