#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""muster map without its client, or without its coordinator for a while: --detach, a coordinator that is
started on demand, Ctrl-C that leaves a batch behind, and clients that come back to a coordinator that was
killed."""
import contextlib
import fcntl
import json
import os
import pathlib
import signal
import sqlite3

import harness

FAULTY = harness.plugin("faulty")
DRIVER = os.environ.get("MUSTER_TEST_DETACH_DRIVER", "")


def is_locked(folder):
    """Whether somebody has the lock on a folder, which may not be there yet."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def is_open(pid, path):
    """Whether a process has it open."""
    def leads_there(link):
        try:
            return link.samefile(path)
        except FileNotFoundError:  # closed meanwhile
            return False

    return any(leads_there(link) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir())


def sleeps(pid):
    """How often a process has waited for something."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.env["XDG_STATE_HOME"] = str(self.home / "state")
        self.env["HOME"] = str(self.home)
        self.folder = self.home / "state" / "muster"
        self.lock = self.temporary / f"muster-{os.getuid()}" / "daemon" / "socket.lock"
        self.file = self.home / "file"
        self.daemon = None
        self.killed = False
        self.may_leave_files = True

    def tearDown(self):
        self.stop()
        if self.killed:  # workers wait for a coordinator to come back
            for pid in self.marked():
                os.kill(pid, signal.SIGKILL)
        super().tearDown()

    def stop(self):
        """Ends the coordinator, whoever started it."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pid = int(self.lock.read_text(encoding="ascii"))
            os.kill(pid, signal.SIGTERM)
            self.assert_gone(pid, harness.LIMIT_S)
        if self.daemon:
            self.daemon.process.wait(harness.LIMIT_S)

    def serve(self, *options, state="coordinator.db"):
        """Starts a coordinator that keeps batches, and returns when it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "log"
        with open(log, "wb") as stderr:
            self.daemon = self.start("coordinator", "--plugin", FAULTY, "--state", self.folder / state, *options,
                                     stderr=stderr)
        self.until(lambda: b"are kept in" in log.read_bytes(), "the coordinator says that it is ready")
        return self.daemon

    def kill(self):
        self.daemon.signal(signal.SIGKILL)
        self.daemon.process.wait(harness.LIMIT_S)
        self.killed = True

    def ask(self, query):
        path = self.folder / "coordinator.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()

    def recorded(self):
        return self.ask("SELECT coalesce(sum(count), 0) FROM record")[0][0]

    def accepted(self, number=1):
        """Waits until a batch is there as a whole."""
        self.until(lambda: self.ask(f"SELECT 1 FROM batch WHERE number >= {number} AND total IS NOT NULL"),
                   f"batch {number} is accepted")

    def blocked(self, *options):
        """A client that knows that its batch is accepted, for a result has come; the other waits for a file."""
        client = self.map(*options, "--chunk", "1", "wait_file", ":::", self.home, self.file)
        self.assertEqual(client.line(), "true")
        return client

    def map(self, *arguments):
        return self.start("map", "--coordinator", "default", *arguments)

    def results(self, number):
        return self.muster("results", number, "--follow")


class Detached(Case):
    def test_batch_runs_on_without_its_client(self):
        self.serve("-j2")
        self.assert_ok(self.muster("map", "--detach", "echo", ":::", "1..1000"), "1\n")
        self.assert_ok(self.results(1), "".join(f"{i}\n" for i in range(1, 1001)))
        self.assert_ok(self.muster("map", "--detach", "-o", "json", "echo", ":::", "a"), '{"batch":2}\n')
        self.assert_ok(self.results(2), '"a"\n')

    def test_arguments_are_all_there_before_it_is_accepted(self):
        self.serve("-j2")
        lines = "".join(f"{i}\n" for i in range(100_000))  # more than is granted at once
        self.assert_ok(self.muster("map", "--detach", "echo", text=lines), "1\n")
        self.assert_ok(self.results(1), lines)

    def test_interrupted_while_arguments_come_leaves_nothing(self):
        self.serve("-j1")
        client = self.start("map", "--detach", "echo")
        client.write("1\n2\n")
        self.until(lambda: self.ask("SELECT 1 FROM batch"), "it has begun")
        client.interrupt()
        client.process.wait(harness.LIMIT_S)  # with its standard input open
        self.assert_fails(client.end(), 130, "before the batch was accepted", "nothing of it is kept")
        self.until(lambda: self.ask("SELECT * FROM batch") == [], "it is forgotten")

    def test_commands_interrupted_while_they_come_leave_nothing(self):
        self.serve("-j1")
        client = self.start("exec", "--detach", "echo")
        client.write("1\n2\n")
        self.until(lambda: self.ask("SELECT 1 FROM batch"), "it has begun")
        client.interrupt()
        client.process.wait(harness.LIMIT_S)  # with its standard input open
        self.assert_fails(client.end(), 130, "before the batch was accepted", "nothing of it is kept")

    def test_batch_in_memory_only_is_said_to_be(self):
        log = self.home / "log"
        with open(log, "wb") as stderr:
            self.daemon = self.start("coordinator", "-j1", stderr=stderr)
        self.until(lambda: b"keeps nothing on disk" in log.read_bytes(), "the coordinator is ready")
        for number, words in enumerate((["map", "--detach", "nqueens"], ["exec", "--detach", "echo"]), 1):
            result = self.muster(*words, ":::", "4")
            self.assertEqual((result.status, result.out), (0, f"{number}\n"), str(result))
            self.assertEqual(result.err, f"muster: batch {number} is kept in memory only: lost when that coordinator ends\n")

    def test_what_needs_somebody_who_looks_at_results_is_refused(self):
        for option, words in ((("--halt", "now,fail=1"), "--halt"), (("--stats", "-"), "--stats"),
                              (("--coordinator", "none"), "--detach"), (("-j2",), "-j"),
                              (("--model", "threads"), "processes")):
            result = self.muster("map", "--detach", *option, "echo", ":::", "1")
            self.assert_fails(result, 255, words)
            self.assertEqual(result.out, "")
        self.assertFalse(self.lock.exists(), "a mistake on the command line starts no coordinator")

    def test_function_that_is_not_there_is_no_batch(self):
        self.serve("-j1")
        self.assert_one_line_error(self.muster("map", "--detach", "is_prim", ":::", "1"), "is_prime")
        self.assertEqual(self.ask("SELECT * FROM batch"), [])


class OnDemand(Case):
    def test_first_detached_batch_starts_a_coordinator_and_the_next_finds_it(self):
        first = self.muster("map", "--detach", "echo", ":::", "7")
        self.assertEqual((first.status, first.out), (0, "1\n"), str(first))
        self.assertRegex(first.err, r"\Amuster: started a coordinator, process \d+[^\n]*coordinator.log\n\Z")
        self.assert_ok(self.muster("map", "--detach", "echo", ":::", "8"), "2\n")
        self.assert_ok(self.results(1), "7\n")
        pid = int(self.lock.read_text(encoding="ascii"))
        self.assertEqual(os.getsid(pid), pid)
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")

    def test_it_is_found_again_by_a_batch_of_its_last_life(self):
        self.muster("map", "--detach", "echo", ":::", "7")
        self.assert_ok(self.results(1), "7\n")
        self.stop()
        again = self.muster("map", "--detach", "echo", ":::", "8")
        self.assertEqual(again.out, "2\n", str(again))
        self.assert_ok(self.results(1), "7\n")

    def test_many_at_once_start_one(self):
        clients = [self.start("map", "--detach", "echo", ":::", i) for i in range(6)]
        results = [client.end() for client in clients]
        self.assertEqual(sorted(result.out for result in results), [f"{i}\n" for i in range(1, 7)])
        self.assertEqual(sum("started a coordinator" in result.err for result in results), 1)

    def test_plugins_are_its_own(self):
        result = self.muster("map", "--detach", "--plugin", os.path.relpath(FAULTY), "fail", ":::", "1")
        self.assertEqual(result.out, "1\n", str(result))

    def test_one_that_ends_just_then_is_waited_for(self):
        self.lock.parent.mkdir(parents=True)
        for folder in self.lock.parent, self.lock.parent.parent:
            folder.chmod(0o700)
        with open(self.lock, "wb") as ending:
            fcntl.flock(ending, fcntl.LOCK_EX)
            client = self.start("map", "--detach", "echo", ":::", "1")
            self.until(lambda: is_locked(self.folder), "the client is about to start one")
            before = sleeps(client.pid)
            self.until(lambda: sleeps(client.pid) >= before + 5, "it looks again and again")
        result = client.end()
        self.assertEqual((result.status, result.out), (0, "1\n"), str(result))

    def test_one_behind_a_starter_that_is_stopped_finds_a_coordinator_that_somebody_else_starts(self):
        self.folder.mkdir(parents=True)
        starter = os.open(self.folder, os.O_RDONLY)  # as one that starts it holds it
        self.addCleanup(os.close, starter)
        fcntl.flock(starter, fcntl.LOCK_EX)
        client = self.start("map", "--detach", "echo", ":::", "1")
        self.until(lambda: is_open(client.pid, self.folder), "the client waits for the other")
        daemon = self.start("coordinator", "-j1")
        result = client.end()
        daemon.signal(signal.SIGTERM)
        daemon.end()
        self.assertEqual((result.status, result.out), (0, "1\n"), str(result))

    def test_why_it_does_not_start_is_said(self):
        self.folder.mkdir(parents=True)
        (self.folder / "coordinator.db").write_text("no database " * 1000)
        result = self.muster("map", "--detach", "echo", ":::", "1")
        self.assert_one_line_error(result, "has ended", "coordinator.db", "coordinator.log")
        self.assertIn("coordinator.db", (self.folder / "coordinator.log").read_text())

    def test_state_folder_that_cannot_be_made_is_named(self):
        self.file.touch()
        result = self.muster("map", "--detach", "echo", ":::", "1", env={"XDG_STATE_HOME": str(self.file)})
        self.assert_one_line_error(result, f"{self.file}/muster")
        result = self.muster("map", "--detach", "echo", ":::", "1", env={"XDG_STATE_HOME": "", "HOME": ""})
        self.assert_one_line_error(result, "XDG_STATE_HOME")

    def test_none_is_started_at_a_place_that_was_named(self):
        endpoint = f"ipc://{self.home}/there"
        self.assert_one_line_error(self.muster("map", "--detach", "--coordinator", endpoint, "echo", ":::", "1"), endpoint)
        self.assertFalse(self.folder.exists())


class Interrupted(Case):
    def test_batch_goes_on_and_how_to_return_is_said(self):
        self.serve("-j1")
        for number, (sign, status) in enumerate(((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)), 1):
            file = self.home / f"file{number}"
            client = self.map("wait_file", ":::", file)
            self.accepted(number)
            client.signal(sign)
            self.assert_fails(client.end(), status, f"batch {number} goes on", f"muster results --follow {number}",
                              f"muster cancel {number}")
            file.touch()
            self.assert_ok(self.results(number), "true\n")

    def test_coordinator_that_was_named_is_named(self):
        (self.home / "a place").mkdir(mode=0o700)
        endpoint = f"ipc://{self.home}/a place/socket"
        self.serve("-j1", "--listen", endpoint)
        client = self.start("map", "--coordinator", endpoint, "wait_file", ":::", self.file)
        self.accepted()
        client.interrupt()
        self.assert_fails(client.end(), 130, f": muster results --follow 1 --coordinator '{endpoint}'\n",
                          f": muster cancel 1 --coordinator '{endpoint}'\n")
        self.daemon.signal(signal.SIGTERM)

    def test_batch_whose_arguments_still_come_is_given_up(self):
        self.serve("-j1")
        client = self.map("echo")
        client.write("1\n")
        self.assertEqual(client.line(), "1")
        client.interrupt()
        client.process.wait(harness.LIMIT_S)  # with its standard input open
        self.assert_fails(client.end(), 130, "before the batch was accepted", "nothing of it is kept")
        self.until(lambda: self.ask("SELECT * FROM batch") == [], "it is forgotten")


class Halted(Case):
    def test_failure_behind_a_job_that_still_runs_ends_the_batch(self):
        self.serve("-j2")
        result = self.muster("map", "--coordinator", "default", "--chunk", "1", "--halt", "now,fail=1", "wait_file", ":::",
                             self.file, "1")
        self.assert_fails(result, 1, "halted: 1 of 2 jobs done")

    def test_results_behind_a_late_one_do_not_stop_it(self):
        self.serve("-j2")
        late, large = '{"wait":0.5,"bytes":1}', '{"bytes":1000000}'  # 8 MB: two windows
        result = self.muster("map", "--coordinator", "default", "--chunk", "1", "--halt", "now,fail=1", "work", ":::", late,
                             *[large] * 8)
        self.assert_ok(result, "".join(f'"{"x" * size}"\n' for size in (1, *[1000000] * 8)))


class Cancelled(Case):
    def test_results_that_are_missing_since_somebody_cancelled_are_no_success(self):
        self.serve("-j1")
        for number, options in enumerate(([], ["--unordered"], ["--halt", "now,fail=1"]), 1):
            client = self.blocked(*options)
            self.assert_ok(self.muster("cancel", number, "--now"))
            self.assert_fails(client.end(), 255, f"batch {number} was cancelled: 1 of 2 jobs done")


class Returning(Case):
    def outlives(self, *options):
        """A client whose coordinator is killed again and again prints what one that is alone prints."""
        jobs = [json.dumps({"wait": 0.005 * (i % 5), "bytes": i}) for i in range(300)]
        self.serve("-j2")
        client = self.map(*options, "--chunk", "1", "work", ":::", *jobs)
        for least in 20, 80, 140:
            self.until(lambda least=least: self.recorded() >= least, "some more are recorded")
            self.kill()
            self.serve("-j2")
        result = client.end()
        self.assertEqual(result.status, 0, str(result))
        self.assertEqual(result.err.count("is gone: waiting"), 3, result.err)
        self.until(lambda: not self.ask("SELECT * FROM batch"), "a batch that its client has read to the end is forgotten")
        local = self.muster("map", "-j1", "--plugin", FAULTY, "work", ":::", *jobs)
        self.assert_ok(local)
        return result.out, local.out

    def test_results_in_order_are_those_of_a_run_alone(self):
        self.assertEqual(*self.outlives())

    def test_results_of_a_batch_that_may_halt_are_those_of_a_run_alone(self):
        self.assertEqual(*self.outlives("--halt", "now,fail=1"))

    def test_results_as_they_end_come_once_each(self):
        out, local = self.outlives("--unordered")
        self.assertEqual(sorted(out.splitlines()), sorted(local.splitlines()))

    def test_one_that_stays_away_is_given_up(self):
        self.serve("-j1")
        client = self.blocked("--wait-coordinator", "0.2")
        self.kill()
        self.assert_fails(client.end(), 255, "no coordinator listens at", "batch 1 goes on when it is started again")
        self.file.touch()
        self.serve("-j1")
        self.assert_ok(self.results(1), "true\ntrue\n")

    def test_interrupt_while_it_is_away_leaves_the_batch(self):
        self.serve("-j1")
        client = self.blocked()
        self.kill()
        self.assertIn(b"waiting for its return", client.process.stderr.readline())
        client.interrupt()
        self.assert_fails(client.end(), 130, "batch 1 goes on")

    def test_batch_that_was_not_accepted_is_not_said_to_go_on(self):
        self.serve("-j1")
        client = self.map("echo")
        client.write("1\n")
        self.assertEqual(client.line(), "1")
        self.kill()
        client.process.wait(harness.LIMIT_S)  # with its standard input open
        self.assert_fails(client.end(), 255, "was not accepted", "nothing of it is kept")
        self.serve("-j1")
        self.until(lambda: self.ask("SELECT * FROM batch") == [], "it is forgotten")

    def test_batch_of_another_state_file_is_not_taken_for_it(self):
        self.serve("-j1")
        client = self.blocked()
        self.kill()
        self.serve("-j1", state="other.db")
        self.assert_fails(client.end(), 255, "batch 1")

    def test_batch_of_another_function_is_not_taken_for_it(self):
        for _ in range(2):  # lives of the other file, whose epoch is not behind then
            self.serve("-j1", state="other.db")
            self.stop()
        self.serve("-j1", state="other.db")
        self.assert_ok(self.muster("map", "--detach", "echo", ":::", "1", "2"), "1\n")
        self.stop()
        self.serve("-j1")
        client = self.blocked()
        self.kill()
        self.serve("-j1", state="other.db")
        result = client.end()
        self.assert_fails(result, 255, "batch 1 is another one there than before")
        self.assertEqual(result.out, "")


class Library(Case):
    """tests/integration/detach_driver.c, a user of libmuster."""

    def drive(self, *arguments):
        return self.muster(*arguments, command=DRIVER)

    def test_batch_is_left_and_read_by_its_number(self):
        self.serve("-j2")
        self.assert_ok(self.drive("leave", "1", "5"), "1\n")
        self.assert_ok(self.drive("read", "1"), "1 2 3 4 5\n5 jobs\n")
        self.assert_fails(self.drive("read", "9"), 255, "9")

    def test_batch_that_is_read_is_not_halted_by_whoever_reads_it(self):
        self.serve("-j1")
        command = "[ {} -ne 2 ] || until [ -e go ]; do sleep 0.01; done; false"
        batch = self.muster("exec", "--coordinator", "default", "--detach", command, ":::", "1", "2", "3", cwd=self.home).out.strip()
        driver = self.start("read", batch, command=DRIVER)
        self.assertEqual(driver.line(), "failed")
        (self.home / "go").touch()
        self.assert_ok(driver.end(), "failed\nfailed\n\n3 jobs\n")

    def test_map_goes_on_and_single_jobs_fail_when_it_returns(self):
        self.serve("-j2")
        driver = self.start("both", FAULTY, self.file, command=DRIVER)
        self.assertEqual(driver.line(), "accepted")
        self.kill()
        self.serve("-j2")
        self.file.touch()
        self.assert_ok(driver.end(), "mapped 2\nlost\nagain 3\n")

    def test_batch_behind_a_restart_is_taken(self):
        self.serve("-j1")
        driver = self.start("twice", "1", "2", command=DRIVER)
        self.assertEqual(driver.line(), "1")
        self.kill()
        self.serve("-j1")
        driver.write("\n")
        self.assert_ok(driver.end(), "2\n")

    def test_what_ends_a_map_ends_it_while_the_coordinator_is_away(self):
        for number, (verb, code) in enumerate((("stop", "5 "), ("interrupt", "-")), 1):
            self.serve("-j1")
            driver = self.start(verb, FAULTY, self.file, command=DRIVER)
            self.assertEqual(driver.line(), "accepted")
            self.kill()
            result = driver.end()
            self.assertEqual(result.status, 0, str(result))
            self.assertTrue(result.out.startswith(code), result.out)
            self.assertIn(f"batch {number} goes on when it is started again", result.out)
            self.serve("-j1")
            self.file.touch()
            self.assert_ok(self.results(number), "true\ntrue\n")
            self.file.unlink()
            self.stop()

    def test_descriptor_tells_of_lost_jobs_after_a_map_that_was_refused(self):
        self.serve("-j2")
        driver = self.start("refused", FAULTY, command=DRIVER)
        self.assertEqual(driver.line(), "submitted")
        self.kill()
        driver.write("\n")
        self.assert_ok(driver.end(), "readable\nlost\n")

    def test_without_a_coordinator_it_is_refused(self):
        result = self.drive("alone")
        self.assert_fails(result, 255, "takes a coordinator that keeps it")


if __name__ == "__main__":
    harness.main()
