#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Batches without end: arguments are read and results printed as they come, and memory depends on
what is in flight alone. And batches that are halted before theirs."""
import json
import os
import pathlib
import subprocess
import time
import unittest

import harness
from harness import plugin

FAULTY = ("--plugin", plugin("faulty"))
MIB = 1 << 20
measures_memory = unittest.skipIf(harness.SANITIZE, "sanitizers keep memory of their own")


def cpu_ticks(pids):
    """CPU time of the processes in hundredths of a second."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


def peak_bytes(pid):
    """The most memory that a process had so far."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError("a process without memory")


class Quiet:
    """Becomes true when the processes have used no CPU for half a second."""

    def __init__(self, pids):
        self.pids = pids
        self.ticks = None
        self.since = 0.0

    def __call__(self):
        ticks, now = cpu_ticks(self.pids), time.monotonic()
        if ticks != self.ticks:
            self.ticks, self.since = ticks, now
        return now - self.since > 0.5


class Streams(harness.Case):
    def test_line_in_pieces_is_one_argument(self):
        run = self.start("map", "echo")
        for piece in ("[1,", "2", ",3", "]\n"):
            run.write(piece)
        self.assertEqual(run.line(), "[1,2,3]")
        self.assert_ok(run.end(), "")

    def test_crash_in_the_middle_of_a_stream_does_not_end_it(self):
        run = self.start("map", "crash", *FAULTY)
        for line in ("false", "1", "false"):
            run.write(f"{line}\n")
        self.assertEqual([run.line(), run.line()], ["false", "false"])
        for _ in range(100):
            run.write("false\n")
            self.assertEqual(run.line(), "false")
        self.assert_fails(run.end(), 1, "job 1.2 (argument 1): crashed its worker 3 times", "1 of 103 jobs failed")

    def test_unordered_results_do_not_wait_for_a_slow_one(self):
        here, gate = self.home / "here", self.home / "gate"
        here.touch()
        options = ["-j", "2", "--unordered", "--chunk", "1", "-o", "json"]
        run = self.start("map", "wait_file", *FAULTY, *options, ":::", gate, here, here)
        self.assertEqual(sorted(run.line().split('"')[3] for _ in range(2)), ["1.2", "1.3"])
        gate.touch()
        self.assertIn('"1.1"', run.line())
        self.assert_ok(run.end(), "")

    def test_results_before_a_slow_one_are_printed_while_it_runs(self):
        here, gate = self.home / "here", self.home / "gate"
        here.touch()
        run = self.start("map", "wait_file", *FAULTY, "-j", "1", "--chunk", "1", ":::", here, here, gate)
        self.assertEqual([run.line(), run.line()], ["true", "true"])
        gate.touch()
        self.assert_ok(run.end(), "true\n")

    def test_results_do_not_wait_for_a_slow_job_of_their_chunk(self):
        """Not even when the job is deaf and has to be killed: what was finished is printed."""
        for options in ([], ["-o", "json"], ["--timeout", "1000"]):
            arguments = ["false"] * 500 + ["1", "false"]
            run = self.start("map", "hang", *FAULTY, "-j", "1", "--chunk", "1000", *options, ":::", *arguments)
            for _ in range(500):
                self.assertIn("false", run.line())
            run.interrupt()
            result = run.end()
            self.assert_fails(result, 130, "interrupted: 500 of 502 jobs done")
            self.assertEqual(result.out, "")

    def test_results_do_not_wait_for_the_end_of_a_chunk_whose_jobs_became_slow(self):
        """Each too short to be told from the others, in a chunk that was expected to be over at once."""
        run = self.start("map", "spin", "-j", "1", "--chunk", "200", ":::", *[0] * 400, *[0.01] * 200)
        self.assertEqual([run.line() for _ in range(401)], ["0"] * 400 + ["0.01"])
        first = time.monotonic()
        self.assert_ok(run.end(), "0.01\n" * 199)
        self.assertGreater(time.monotonic() - first, 1, "for jobs of 2 s in all")

    def test_chunk_goes_on_after_its_results_were_taken_from_behind_a_slow_job(self):
        slow, fast = '{"number":3,"seconds":0.2}', '{"number":2,"seconds":0}'
        arguments = [fast, fast, slow, "x", fast, slow, slow, "x", fast]
        result = self.muster("map", "request", "-j", "1", "--chunk", "9", "-o", "json", ":::", *arguments)
        self.assertEqual(result.status, 2, str(result))
        jobs = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual([job["job"] for job in jobs], [f"1.{number}" for number in range(1, 10)])
        self.assertEqual([job.get("result") for job in jobs], [4, 4, 9, None, 4, 9, 9, None, 4])
        for job in jobs:
            self.assertEqual(job["wall_us"] > 150_000, job.get("result") == 9, job)
            self.assertEqual(job["attempts"], 1)

    def test_waiting_for_input_takes_no_time(self):
        run = self.start("map", "echo", "-j", "2")
        run.write("1\n2\n")
        self.assertEqual([run.line(), run.line()], ["1", "2"])
        pids = [run.pid, *run.children()]
        self.until(Quiet(pids), "muster and its workers are idle")
        self.assert_ok(run.end(), "")

    def test_waiting_for_a_job_takes_no_time(self):
        run = self.start("map", "request", "-j", "1", "--heartbeat", "0.5", ":::", '{"number":3,"seconds":3}')
        self.until(run.children, "a worker")
        self.until(Quiet([run.pid, *run.children()]), "muster and its worker are idle")
        self.assert_ok(run.end(), "9\n")


class Memory(harness.Case):
    def peak(self, *words, lines=(), status=0):
        """The most memory that a run took, in bytes, its output thrown away."""
        source = self.home / "source"
        with open(source, "w", encoding="ascii") as file:
            file.writelines(lines)
        with open(source, "rb") as stdin:
            run = self.start("map", *words, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, wait_status, usage = os.wait4(run.pid, 0)
        run.process.returncode = os.waitstatus_to_exitcode(wait_status)
        self.assertEqual(run.process.returncode, status, words)
        return usage.ru_maxrss * 1024

    @measures_memory
    def test_memory_does_not_grow_with_a_range(self):
        for words in (["noop", "-o", "none"], ["echo"], ["echo", "--chunk", "100"]):
            little = self.peak(*words, ":::", "1..1000")
            self.assertLess(self.peak(*words, ":::", "1..2000000"), little + 48 * MIB, words)

    @measures_memory
    def test_memory_does_not_grow_with_standard_input(self):
        little = self.peak("echo", lines=["1\n"])
        much = self.peak("echo", lines=(f'"{number:090}"\n' for number in range(600_000)))
        self.assertLess(much, little + 48 * MIB, "for a text of 56 MB")

    @measures_memory
    def test_memory_does_not_grow_with_failures(self):
        little = self.peak("is_prime", lines=["x\n"], status=1)
        self.assertLess(self.peak("is_prime", lines=("x\n" for _ in range(300_000)), status=101), little + 64 * MIB)

    @measures_memory
    def test_slow_first_job_bounds_what_runs_ahead_of_it(self):
        """Results behind it wait in memory; when that is full, nothing more is begun."""
        here, gate = self.home / "here", self.home / "gate"
        here.touch()
        jobs = 60_000
        source = self.home / "source"
        source.write_text(f"{gate}\n" + f"{here}\n" * jobs, encoding="ascii")
        with open(source, "rb") as stdin:
            run = self.start("map", "wait_file", *FAULTY, "-j", "2", "--chunk", "1", stdin=stdin)
        self.until(lambda: len(run.children()) == 2, "workers")
        self.until(Quiet([run.pid, *run.children()]), "nothing more is begun")
        peak = peak_bytes(run.pid)
        gate.touch()
        result = run.end()
        self.assert_ok(result)
        self.assertEqual(result.out.count("true\n"), jobs + 1)
        self.assertLess(peak, 160 * MIB)


class Halt(harness.Case):
    def test_now_ends_the_jobs_that_run(self):
        never = self.home / "never"
        result = self.muster("map", "wait_file", *FAULTY, "-j", "2", "--chunk", "1", "--halt", "now,fail=1", ":::", "5",
                             never, never)
        self.assert_fails(result, 1, "job 1.1 (argument 5): ", "halted: 1 of 3 jobs done")

    def test_silent_workers_count_and_the_rest_is_ended(self):
        options = ["-j", "2", "--heartbeat", "0.3", "--crash-limit", "1", "--halt", "now,fail=1"]
        result = self.muster("map", "stop_self", *FAULTY, *options, ":::", "1", "2", "3", "4")
        self.assertIn(result.status, (1, 2), str(result))  # two stop at once
        self.assertIn("halted: ", result.err)

    def test_soon_lets_running_jobs_finish_and_starts_no_more(self):
        begun = self.home / "begun"
        with open(self.home / "err", "wb") as err:
            run = self.start("map", "note_pid", *FAULTY, "-j", "2", "--chunk", "1", "--unordered", "--halt",
                             "soon,fail=1", stderr=err)
        run.write(json.dumps([str(begun), 1]) + "\n")
        self.until(begun.exists, "a job that runs")
        run.write("5\n")
        self.until(lambda: b"job 1.2 (argument 5): " in (self.home / "err").read_bytes(), "the failure")
        run.write((json.dumps([str(begun), 0]) + "\n") * 10)
        result = run.end()
        self.assertEqual((result.status, result.out), (1, "1\n"), str(result))

    def test_never_goes_on(self):
        result = self.muster("map", "is_prime", "--halt", "never", ":::", "x", "y", "7")
        self.assert_fails(result, 2, "2 of 3 jobs failed")
        self.assertEqual(result.out, "true\n")

    def test_no_more_than_so_many_failures_are_waited_for(self):
        result = self.muster("map", "is_prime", "--halt", "soon,fail=50", "-o", "none", text="x\n" * 200_000)
        self.assertIn("halted: ", result.err)
        self.assertGreaterEqual(result.status, 50)


if __name__ == "__main__":
    harness.main()
