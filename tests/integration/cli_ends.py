#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs that end before their time: signals, readers that leave, full disks, closed descriptors.
Whatever was done is printed, and no worker stays behind (the harness looks)."""
import fcntl
import os
import signal
import sys
import termios

import harness
from harness import plugin

FAULTY = ("--plugin", plugin("faulty"))


class Signals(harness.Case):
    def begin(self, *words, **options):
        """A run whose first job is done and whose second waits for a file that never comes."""
        here = self.home / "here"
        here.touch()
        run = self.start("map", "wait_file", *FAULTY, "-j", "2", *words, ":::", here, self.home / "never", here,
                         **options)
        self.assertEqual(run.line(), "true")
        return run

    def test_first_signal_ends_the_batch_with_what_was_done(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            for model in ("threads", "processes"):
                run = self.begin("--model", model)
                run.signal(number)
                result = run.end()
                self.assert_fails(result, status, "muster: interrupted: ", " of 3 jobs done")
                self.assertLess(result.seconds, harness.LIMIT_S)

    def test_ctrl_c_reaches_the_whole_group_and_still_ends_in_order(self):
        run = self.begin()
        run.interrupt()
        self.assert_fails(run.end(), 130, "muster: interrupted: ", " of 3 jobs done")

    def test_statistics_of_an_interrupted_batch_are_written(self):
        path = self.home / "stats.json"
        run = self.begin("--stats", path)
        run.signal(signal.SIGINT)
        self.assertEqual(run.end().status, 130)
        self.assertIn('"cancelled":', path.read_text())

    def test_jobs_deaf_to_cancellation_cannot_hold_muster_back(self):
        for model in ("threads", "processes"):
            run = self.start("map", "hang", *FAULTY, "-j", "1", "--model", model, "--progress", ":::", "false", "1")
            self.assertEqual(run.line(), "false")
            run.signal(signal.SIGTERM)
            self.assertEqual(run.end().status, 143)

    def test_idle_input_is_interrupted(self):
        for words in (["map", "echo"], ["compare", "echo"]):
            run = self.start(*words)
            if words[0] == "map":
                run.write("1\n")
                self.assertEqual(run.line(), "1")
            else:
                self.until(lambda pid=run.pid: waits_in_poll(pid), "compare waits for lines")
            run.signal(signal.SIGINT)
            run.process.wait(harness.LIMIT_S)  # with its input still open
            self.assert_fails(run.end(), 130, "interrupted: ")

    def test_signal_that_comes_twice_at_once_is_one(self):
        """As timeout(1) sends it: to its child, then to the child's group."""
        release = self.home / "release"
        ready = self.home / "ready"
        ready.touch()
        for _ in range(5):
            run = self.start("map", "wait_file", *FAULTY, "-j", "2", ":::", ready, release)
            self.assertEqual(run.line(), "true")
            run.signal(signal.SIGTERM)
            run.signal(signal.SIGTERM)
            self.assert_fails(run.end(), 143, "interrupted: 1 of 2 jobs done")

    def test_ignored_hangup_stays_ignored(self):
        release = self.home / "release"
        ready = self.home / "ready"
        ready.touch()
        old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            run = self.start("map", "wait_file", *FAULTY, "-j", "1", ":::", ready, release)
        finally:
            signal.signal(signal.SIGHUP, old)
        self.assertEqual(run.line(), "true")
        run.signal(signal.SIGHUP)
        release.touch()
        self.assert_ok(run.end(), "true\n")


def waits_in_poll(pid):
    """Whether the main thread sleeps, with its signals already in the hands of another."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    blocked = int(fields["SigBlk"], 16) >> (signal.SIGINT - 1) & 1
    return blocked and fields["State"].startswith("S") and int(fields["Threads"]) > 1


class BrokenOutput(harness.Case):
    def test_reader_that_leaves_ends_the_run_early(self):
        for model in ("inline", "threads", "processes"):
            run = self.start("map", "echo", "--model", model, ":::", "1..1000000000000")
            self.assertEqual(run.line(), "1")
            run.process.stdout.close()
            run.process.stdout = None
            result = run.end()
            self.assertEqual((result.status, result.err), (141, ""))

    def test_reader_of_a_report_that_leaves_is_no_error(self):
        for words in (["compare", "noop", "--rounds", "1"], ["compare", "noop", "--rounds", "1", "-o", "json"],
                      ["advise", "fib", "--time", "0.1"]):
            reader, writer = os.pipe()
            os.close(reader)
            with open(writer, "w", encoding="ascii") as nobody:
                result = self.muster(*words, ":::", "1", stdout=nobody)
            self.assertEqual((result.status, result.err), (141, ""), words)

    def test_full_disk_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            for words in (["map", "echo", ":::", "1"], ["functions"], ["--version"], ["map", "--help"],
                          ["compare", "noop", "--rounds", "1", ":::", "1"]):
                result = self.muster(*words, stdout=full)
                self.assertEqual((result.status, result.err),
                                 (255, "muster: standard output: No space left on device\n"), words)

    def test_closed_output_is_an_error_and_no_other_file_takes_its_place(self):
        stats = self.home / "stats.json"
        command = f'exec "$0" map echo --stats {stats} ::: 1 2 >&-'
        result = self.start("-c", command, harness.MUSTER, command="/bin/sh").end()
        self.assert_fails(result, 255, "muster: standard output: Bad file descriptor")
        self.assertTrue(stats.read_text().startswith('{"model":'), "statistics alone are in their file")

    def test_closed_output_matters_only_to_what_is_written(self):
        result = self.start("-c", 'exec "$0" map echo -o none ::: 1 2 >&-', harness.MUSTER, command="/bin/sh").end()
        self.assert_ok(result, "")

    def test_closed_input_is_no_arguments(self):
        result = self.start("-c", 'exec "$0" map echo <&-', harness.MUSTER, command="/bin/sh").end()
        self.assert_ok(result, "")

    def test_everything_closed_is_survived(self):
        result = self.start("-c", '"$0" map echo ::: 1 <&- >&- 2>&-; echo $?', harness.MUSTER,
                            command="/bin/sh").end()
        self.assert_ok(result, "255\n")

    def test_input_that_is_a_directory_is_named(self):
        directory = os.open("/", os.O_RDONLY)
        try:
            result = self.muster("map", "echo", stdin=directory)
        finally:
            os.close(directory)
        self.assert_one_line_error(result, "cannot read arguments from standard input: Is a directory")

    def test_slow_reader_gets_everything(self):
        run = self.start("map", "echo", ":::", "1..300000")
        pipe = run.process.stdout.fileno()
        size = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
        self.until(lambda: unread(pipe) > size // 2, "the pipe fills up")
        result = run.end()
        self.assert_ok(result)
        self.assertEqual(result.out, "".join(f"{number}\n" for number in range(1, 300001)))


def unread(pipe):
    """Bytes that wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


if __name__ == "__main__":
    harness.main()
