#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""When commands of muster exec start, run again and are ended, and how a run is watched."""
import fcntl
import os
import signal
import struct
import subprocess
import termios
import time

import harness


def group(pid):
    """The process group of a process; None where it is gone."""
    try:
        return os.getpgid(pid)
    except OSError:
        return None


class Paced(harness.Case):
    daemon = None

    def tearDown(self):
        if self.daemon:
            self.daemon.signal(signal.SIGTERM)
            self.daemon.end()
        super().tearDown()

    def serve(self):
        """A coordinator, for clients that leave."""
        self.may_leave_files = True  # their folders
        self.daemon = self.start("coordinator", "-j2", stderr=subprocess.DEVNULL)
        self.until(lambda: self.muster("status").status == 0, "the coordinator listens")

    def exec(self, *arguments, **options):
        return self.muster("exec", *arguments, **options)

    def log(self):
        """The fields of a job log, by sequence number."""
        lines = [line.split("\t") for line in (self.home / "log").read_text().splitlines()[1:]]
        return sorted(lines, key=lambda fields: int(fields[0]))


class Retries(Paced):
    def test_a_failed_command_runs_again_and_only_its_last_run_is_told_of(self):
        runs = self.home / "runs"
        result = self.exec("-k", "-j1", "--retries", "3", "--joblog", self.home / "log",
                           f"echo {{}} >>{runs}; echo out{{}}; echo err{{}} >&2; exit {{}}", ":::", "1", "2", "0")
        self.assert_fails(result, 2, "err1\n", "err2\n", "err0\n", "2 of 3 jobs failed")
        self.assertEqual((result.out, result.err.count("err1\n")), ("out1\nout2\nout0\n", 1))
        self.assertEqual(runs.read_text().split(), ["1"] * 3 + ["2"] * 3 + ["0"])
        self.assertEqual([(fields[0], fields[5], fields[6]) for fields in self.log()],
                         [("1", "5", "1"), ("2", "5", "2"), ("3", "5", "0")])

    def test_a_command_that_succeeds_at_last_is_no_failure(self):
        runs = self.home / "runs"
        for retries in ("4", "0"):
            runs.unlink(missing_ok=True)
            self.assert_ok(self.exec("--retries", retries, f"echo >>{runs}; test $(wc -l <{runs}) = 4 #", ":::", "x"), "")
            self.assertEqual(len(runs.read_text()), 4)

    def test_a_command_that_failed_waits_twice_as_long_each_time(self):
        times = self.home / "times"
        self.assert_fails(self.exec("--retries", "3", "--backoff", "0.1", f"date +%s.%N >>{times}; exit 1 #", ":::", "x"), 1)
        first, second, third = map(float, times.read_text().split())
        self.assertTrue(second - first >= 0.1 and third - second >= 0.2, times.read_text())

    def test_a_command_that_waits_to_run_again_does_not_outlast_its_run(self):
        run = self.start("exec", "--retries", "0", "--backoff", "1h", f"touch {self.home}/begun; exit 1 #", ":::", "x")
        self.until((self.home / "begun").exists, "it runs for the first time")
        run.signal(signal.SIGTERM)
        self.assert_fails(run.end(), 128 + signal.SIGTERM, "interrupted: ")

    def test_a_command_that_is_ended_by_its_time_limit_runs_again(self):
        runs = self.home / "runs"
        result = self.exec("--retries", "2", "--timeout", "1", f"echo >>{runs}; sleep 1000 #", ":::", "x")
        self.assert_fails(result, 1, "ended after its time limit")
        self.assertEqual(len(runs.read_text()), 2)

    def test_what_a_failed_run_left_behind_does_not_write_into_the_next(self):
        runs, go = self.home / "runs", self.home / "go"
        script = (f"echo >>{runs}; if test $(wc -l <{runs}) = 1; then (until test -e {go}; do sleep 0.01; done; echo late; "
                  f"touch {go}.done) & exit 1; fi; touch {go}; until test -e {go}.done; do sleep 0.01; done; echo second #")
        self.assert_ok(self.exec("--retries", "2", script, ":::", "x"), "second\n")


class Ended(Paced):
    ASKED = "trap 'echo int' INT; trap 'echo term' TERM; while :; do sleep 0.01; done #"

    def test_signals_come_in_the_order_asked_for(self):
        for sequence, said in (("TERM,500,INT,500,KILL,25", "term\nint\n"), ("INT,500,KILL", "int\n"), ("KILL,25", "")):
            result = self.exec("--timeout", "1", "--termseq", sequence, self.ASKED, ":::", "x")
            self.assert_fails(result, 1, "ended after its time limit")
            self.assertEqual(result.out, said, sequence)

    def test_signals_are_gnu_parallels_where_none_are_asked_for(self):
        for _ in range(10):  # a signal that comes 50 ms after another is the same to a shell that has not run
            result = self.exec("--timeout", "1", "trap 'echo cont' CONT; " + self.ASKED, ":::", "x")
            self.assert_fails(result, 1, "ended after its time limit")
            self.assertIn(result.out, ["term\n", "term\n" * 2, "term\n" * 3])
            if result.out == "term\n" * 3:
                return
        self.fail("the signals never came three times")


    CLEANS_UP = ("trap 'until test -e {0}/go; do sleep 0.01; done; touch {0}/cleaned; exit 1' TERM; touch {0}/ready; "
                 "while :; do sleep 0.01; done #")

    def ready(self):
        self.until((self.home / "ready").exists, "the command runs")

    def test_a_command_has_the_time_it_was_promised_when_the_run_is_interrupted(self):
        # More than the coordinator leaves to jobs that are cancelled, 250 ms.
        run = self.start("exec", "--termseq", "TERM,30000,KILL,25", self.CLEANS_UP.format(self.home), ":::", "x", "y")
        self.ready()
        run.signal(signal.SIGTERM)
        begin = time.monotonic()
        self.until(lambda: time.monotonic() - begin > 0.6, "half a second has passed")
        (self.home / "go").touch()
        self.assert_fails(run.end(), 128 + signal.SIGTERM, "interrupted: 0 of 2 jobs done")
        self.assertTrue((self.home / "cleaned").exists())

    def test_a_command_has_the_time_it_was_promised_when_the_run_is_halted(self):
        (self.home / "go").touch()
        script = f"test {{}} = a && {{ until test -e {self.home}/ready; do sleep 0.01; done; exit 7; }}; "
        result = self.exec("-j2", "--halt", "now,fail=1", "--termseq", "TERM,30000,KILL,25",
                           script + self.CLEANS_UP.format(self.home), ":::", "a", "b", "c")
        self.assert_fails(result, 7, "1 of 1 job failed", "halted: 1 of 3 jobs done")
        self.assertTrue((self.home / "cleaned").exists())

    def test_a_second_signal_ends_at_once_what_has_time_left(self):
        run = self.start("exec", "--termseq", "TERM,600000,KILL,25", self.CLEANS_UP.format(self.home), ":::", "x")
        self.ready()
        self.until(lambda: run.signal(signal.SIGINT) or run.process.poll() is not None, "a later signal ends the run")
        self.assert_fails(run.end(), 128 + signal.SIGINT, "interrupted: 0 of 1 job done")

    def test_a_hangup_lets_run_what_runs_and_begins_nothing(self):
        run = self.start("exec", "-j1", f"touch {self.home}/ready-{{}}; until test -e {self.home}/go-{{}}; do sleep 0.01; done; echo {{}}",
                         ":::", *map(str, range(1, 21)))
        self.until((self.home / "ready-1").exists, "the first job runs")
        run.signal(signal.SIGHUP)
        self.assertIn(b"hung up: jobs that run go on, and are the last", run.process.stderr.readline())
        (self.home / "go-1").touch()
        # A job that ends while the coordinator is being told may have a successor, which has none.
        self.until(lambda: run.process.poll() is not None or (self.home / "ready-2").exists(), "the run ends or goes on")
        (self.home / "go-2").touch()
        result = run.end()
        done = len(result.out.splitlines())
        self.assertIn(done, (1, 2))
        self.assertEqual(result.out, "1\n2\n"[:2 * done])
        self.assert_fails(result, 128 + signal.SIGHUP, f"hung up: {done} of 20 jobs done")


class Starts(Paced):
    def starts(self):
        return [float(fields[2]) for fields in self.log()]

    def test_starts_are_the_delay_apart_and_in_order(self):
        self.assert_ok(self.exec("-j4", "--delay", "0.1", "--joblog", self.home / "log", "echo", ":::", *"1234"), "1\n2\n3\n4\n")
        starts = self.starts()
        for before, after in zip(starts, starts[1:]):
            self.assertGreaterEqual(round(after - before, 3), 0.099)  # the log rounds to milliseconds

    def test_runs_of_one_command_are_the_delay_apart(self):
        times = self.home / "times"
        self.exec("--retries", "3", "--delay", "0.1", f"date +%s.%N >>{times}; exit 1 #", ":::", "x")
        first, _, third = map(float, times.read_text().split())
        self.assertGreaterEqual(third - first, 0.1, times.read_text())  # 0.2, but for the time that a start may take

    def test_kept_order_holds_no_start_back(self):
        # The second worker does all that is left while the first command runs.
        script = f"test {{}} = 1 && until test -e {self.home}/last; do sleep 0.01; done; test {{}} = 5 && touch {self.home}/last; echo {{}}"
        self.assert_ok(self.exec("-k", "-j2", "--delay", "0.01", script, ":::", *"12345"), "1\n2\n3\n4\n5\n")

    def test_a_line_is_answered_while_the_input_is_idle(self):
        run = self.start("exec", "--delay", "0.01", "echo")
        for number in range(3):
            run.write(f"{number}\n")
            self.assertEqual(run.line(), str(number))
        self.assert_ok(run.end(), "")

    def test_time_limit_follows_the_median(self):
        result = self.exec("-j2", "--timeout", "400%", "sleep", ":::", "0.3", "0.3", "0.3", "1000", "0.3")
        self.assert_fails(result, 1, "(sleep 1000): ended after its time limit", "1 of 5 jobs failed")


class Host(Paced):
    """What the host does, as files in the place of those in /proc tell it."""

    def on_host(self, file, content, *arguments):
        self.file = self.home / file
        self.tell(content)
        command = harness.as_root(f"mount --bind {self.file} /proc/{file}", harness.MUSTER, "exec", *arguments)
        if not command:
            self.skipTest("no mount namespace here")
        return self.start(*command[1:], command=command[0])

    def tell(self, content):
        self.file.write_text(content)

    @staticmethod
    def memory(mebibytes):
        return f"MemTotal: 9999999 kB\nMemFree: 1 kB\nMemAvailable:   {mebibytes * 1024} kB\n"

    def test_nothing_begins_above_the_load(self):
        run = self.on_host("loadavg", "0.1 0.1 0.1 6/100 1\n", "-j3", "--load", "4", "--joblog", self.home / "log", "echo", ":::", "1", "2", "3")
        self.until((self.home / "log").exists, "it is about to run")
        begin = time.time()
        self.tell("0.1 0.1 0.1 3/100 1\n")
        self.assert_ok(run.end())
        starts = [float(fields[2]) for fields in self.log()]
        self.assertEqual(len(starts), 3)
        self.assertTrue(all(start >= round(begin, 3) - 0.001 for start in starts), (begin, starts))

    def runs(self, number):
        return (self.home / f"run{number}").read_text().count("x") if (self.home / f"run{number}").exists() else 0

    COMMAND = "echo x >>{0}/run{{}}; until test -e {0}/go; do sleep 0.01; done; echo {{}}"

    def test_the_youngest_gives_way_when_memory_is_short_and_runs_again(self):
        run = self.on_host("meminfo", self.memory(400), "-k", "-j2", "--memfree", "100M", self.COMMAND.format(self.home), ":::", "1", "2")
        self.until(lambda: self.runs(1) == self.runs(2) == 1, "both commands run")
        self.tell(self.memory(40))
        self.until(lambda: len(list(self.shells())) == 1, "one has given way")
        self.tell(self.memory(400))
        self.until(lambda: self.runs(1) + self.runs(2) == 3, "it runs again")
        (self.home / "go").touch()
        self.assert_ok(run.end(), "1\n2\n")

    def test_a_run_without_more_jobs_ends_while_none_may_begin(self):
        self.assert_ok(self.muster("exec", "--delay", "1000", "echo", ":::", "1"), "1\n")

    def test_command_of_a_killed_worker_does_not_count_as_one_that_runs(self):
        line = (f"{self.COMMAND}; test -e {{0}}/once && exit; touch {{0}}/once; kill -KILL $PPID; sleep 1000").format(self.home)
        run = self.on_host("meminfo", self.memory(400), "-k", "-j2", "--memfree", "100M", line, ":::", "1", "2")
        self.until(lambda: self.runs(1) == self.runs(2) == 1, "both commands run")
        self.tell(self.memory(40))
        self.until(lambda: len(list(self.shells())) == 1, "one has given way")
        (self.home / "go").touch()
        self.assert_ok(run.end(), "1\n2\n")

    def test_the_youngest_is_stopped_when_memory_is_short_and_goes_on(self):
        run = self.on_host("meminfo", self.memory(400), "-k", "-j2", "--memsuspend", "100M", self.COMMAND.format(self.home), ":::", "1", "2")
        self.until(lambda: self.runs(1) == self.runs(2) == 1, "both commands run")
        self.tell(self.memory(150))
        self.until(lambda: self.stopped() == 1, "one is stopped")
        self.tell(self.memory(400))
        self.until(lambda: self.stopped() == 0, "it goes on")
        (self.home / "go").touch()
        self.assert_ok(run.end(), "1\n2\n")

    def leave_while_one_is_stopped(self, number):
        """A client at a coordinator gets this signal while --memsuspend has stopped a command; how it ended."""
        self.serve()
        run = self.on_host("meminfo", self.memory(400), "--coordinator", "default", "-j2", "--memsuspend", "100M",
                           self.COMMAND.format(self.home), ":::", "1", "2")
        self.until(lambda: self.runs(1) == self.runs(2) == 1, "both commands run")
        self.tell(self.memory(150))
        self.until(lambda: self.stopped() == 1, "one is stopped")
        run.signal(number)
        result = run.end()
        self.until(lambda: self.stopped() == 0, "it goes on")
        (self.home / "go").touch()
        self.assertEqual(sorted(self.muster("results", "1", "--follow").out), ["\n", "\n", "1", "2"])
        return result

    def test_command_that_was_stopped_goes_on_when_its_client_has_left(self):
        self.assert_fails(self.leave_while_one_is_stopped(signal.SIGINT), 130, "muster results --follow 1")

    def test_command_that_was_stopped_goes_on_when_its_client_was_killed(self):
        self.assertEqual(self.leave_while_one_is_stopped(signal.SIGKILL).status, 137)

    def test_command_that_is_held_back_begins_when_its_client_was_killed(self):
        self.serve()
        run = self.start("exec", "--coordinator", "default", "--delay", "1000", "--retries", "2",
                         f"echo x >>{self.home}/run1; test $(wc -l <{self.home}/run1) = 2 #", ":::", "1")
        self.until(lambda: self.runs(1) == 1, "it runs for the first time")
        run.signal(signal.SIGKILL)
        run.end()
        self.assert_ok(self.muster("results", "1", "--follow"))
        self.assertEqual(self.runs(1), 2)

    def shells(self):
        """The commands, by process; not what a shell is about to start."""
        for pid in self.marked():
            if group(pid) != pid:
                continue
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[1:2] == [b"-c"] and b"/run" in words[2]:
                yield pid

    def stopped(self):
        """How many of them are: a shell that starts a program waits for it in vfork, and cannot stop itself then."""
        shells = set(self.shells())
        return len(shells & {group(pid) for pid, _, state in harness.processes() if state == "T"})


class Watched(Paced):
    def shown(self, columns, *arguments):
        """The states of the progress line on a terminal of so many columns, and other lines there."""
        reader, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        run = self.start("exec", *arguments, stderr=terminal)
        os.close(terminal)
        shown = harness.shown_on(reader).decode()
        self.assertEqual(run.end().status, 1, shown)
        return shown.split("\r\x1b[K")[1:]

    def test_progress_fits_the_terminal_and_tells_failures_and_time_left(self):
        for columns in (40, 200):
            # The last takes longer than the line is left as it is, 100 ms.
            states = self.shown(columns, "-j2", "--bar", "test {} != 6 || sleep 0.5; test {} != 2", ":::", *"123456")
            lines = [state for state in states if "\n" not in state]
            self.assertTrue(lines and all(len(line) < columns for line in lines), states)
            self.assertTrue(any("/6 done, 1 failed" in line and "ETA" in line for line in lines), states)
            self.assertTrue(columns == 40 or any(line.startswith("[#####") for line in lines), states)


class Mistakes(Paced):
    def test_mistakes_are_one_line_and_run_nothing(self):
        for option, value in (("--retries", "-1"), ("--retries", "x"), ("--termseq", "TERM,x"), ("--termseq", "FOO,1"), ("--delay", "-1"),
                              ("--delay", "auto"), ("--timeout", "%"), ("--memfree", "x"), ("--load", "x"), ("--backoff", "x"), ("--backoff", "2h")):
            self.assert_one_line_error(self.exec(option, value, "echo", ":::", "1"), value)


if __name__ == "__main__":
    harness.main()
