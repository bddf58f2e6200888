#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Workers that run many jobs at once: all results are there, the one job that crashes, overflows
its stack or takes too long is named, and those that waited beside it do not notice."""
import json
import os
import resource
import signal
import unittest

import harness
from harness import plugin

FAULTY = ("--plugin", plugin("faulty"))
WAITS = 400 if harness.SANITIZE else 2000  # jobs that wait at once, of both workers


def lines(values):
    return "".join(f"{json.dumps(value)}\n" for value in values)


def pids(path):
    """What jobs of note_pid have written there so far."""
    return path.read_text().split() if path.exists() else []


class Concurrency(harness.Case):
    def map(self, function, *words, **options):
        return self.muster("map", function, *FAULTY, "-j", "2", "--concurrency", WAITS, *words, **options)

    def after(self, *words, jobs, **options):
        """Jobs of the function `after`, given on standard input: [seconds, what then]."""
        return self.map("after", *words, text=lines(jobs), **options)


class Results(Concurrency):
    def test_jobs_that_wait_together_end_in_order_of_their_arguments(self):
        jobs = [[0.2 + 0.1 * (number * 7 % 5), None] for number in range(WAITS)]
        self.assert_ok(self.after(jobs=jobs), lines(seconds for seconds, _ in jobs))

    def test_unordered_results_come_as_jobs_end(self):
        jobs = [[0.6, None], [0.3, None], [0, None]]
        self.assert_ok(self.after("--unordered", "--concurrency", "3", "-j", "1", jobs=jobs), lines([0, 0.3, 0.6]))

    def test_thousands_of_jobs_wait_at_once(self):
        # One after another they would take a quarter of an hour at least.
        result = self.muster("map", "request", "-j", "2", "--concurrency", "5000", ":::", f"1..{5 * WAITS}")
        self.assert_ok(result, lines(number * number for number in range(1, 5 * WAITS + 1)))

    def test_jobs_that_do_not_wait_give_what_they_give_alone(self):
        self.assert_ok(self.map("echo", ":::", "1..30000"), lines(range(1, 30001)))

    def test_result_does_not_wait_for_a_job_behind_it_that_computes(self):
        run = self.start("map", "busy", *FAULTY, "-j", "1", "--concurrency", "4", ":::", "false", "true")
        self.assertEqual(run.line(), "false")
        run.interrupt()
        self.assert_fails(run.end(), 130, "interrupted")

    def test_large_result_is_followed_by_small_ones_of_the_same_worker(self):
        sizes = [5000000, 3, 3, 5000000, 3]
        result = self.map("big", "-j", "1", "--stats", self.home / "stats", ":::", *sizes)
        self.assert_ok(result)
        self.assertEqual([len(line) for line in result.out.splitlines()], [4 * ((size + 2) // 3) + 2 for size in sizes])
        self.assertEqual(json.loads((self.home / "stats").read_text())["crashes"], 0)

    def test_failures_among_results_are_named(self):
        result = self.map("is_prime", ":::", "1..99", "no", "101..200")
        self.assert_fails(result, 1, "job 1.100 (argument \"no\"): ", "1 of 200 jobs failed")
        self.assertEqual(len(result.out.splitlines()), 199)

    def test_times_of_jobs_are_their_own(self):
        result = self.after("-o", "json", "-j", "1", jobs=[[0.3, None]] * 50)
        self.assert_ok(result)
        for line in result.out.splitlines():
            entry = json.loads(line)
            self.assertGreaterEqual(entry["wall_us"], 300000)
            self.assertLess(entry["cpu_us"], 300000, "it waited, and others ran")


class Blame(Concurrency):
    def check_culprit(self, what, reason, *words, waits=0.5):
        jobs = [[waits, None]] * WAITS
        jobs[WAITS // 2] = [0.1, what]
        result = self.after("--crash-limit", "1", *words, jobs=jobs)
        self.assert_fails(result, 1, f"muster: job 1.{WAITS // 2 + 1} ", reason, f"1 of {WAITS} jobs failed")
        self.assertEqual(result.out, f"{waits}\n" * (WAITS - 1), str(result))
        return result

    def test_job_that_crashes_among_thousands_that_wait_is_the_only_one_blamed(self):
        self.check_culprit("crash", "crashed its worker: killed by SIGSEGV")

    def test_job_that_overflows_its_stack_is_named_with_the_reason(self):
        self.check_culprit("overflow", "KiB stack that a job has under --concurrency")

    @unittest.skipIf(harness.SANITIZE, "sanitizers allocate beyond any limit of data")
    def test_results_that_there_is_no_memory_for_fail_without_their_worker(self):
        no_shared_memory = {resource.RLIMIT_FSIZE: 512 << 10}  # of its own, beside the limit of data
        result = self.muster("map", "big", *FAULTY, "-j", "1", "--concurrency", "4", "--memory", "128M", "-o", "json",
                             "--stats", self.home / "stats", ":::", *["50000000"] * 4, "3", limits=no_shared_memory)
        *large, small = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual([entry["error"][:13] for entry in large], ["no memory to "] * 4, str(result))
        self.assertEqual(small["result"], "AAAA")
        self.assertEqual(json.loads((self.home / "stats").read_text())["crashes"], 0)

    @unittest.skipIf(harness.SANITIZE, "sanitizers allocate beyond any limit of data")
    def test_result_that_fits_neither_data_nor_shared_memory_fails_without_its_worker(self):
        result = self.muster("map", "big", *FAULTY, "-j", "1", "--concurrency", "4", "--memory", "64M", "-o", "json",
                             "--stats", self.home / "stats", ":::", "3", "80000000", "3")
        before, large, after = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual(large["error"], "out of memory", str(result))
        self.assertEqual([before["result"], after["result"]], ["AAAA"] * 2)
        self.assertEqual(json.loads((self.home / "stats").read_text())["crashes"], 0)

    def test_job_that_computes_beyond_its_limit_times_out_alone(self):
        self.check_culprit("busy", "timed out after 2 s", "--timeout", "2")

    def test_job_that_waits_beyond_its_limit_times_out_and_its_worker_lives_on(self):
        jobs = [[1, None]] * WAITS
        jobs[7] = [60, None]
        result = self.after("--timeout", "5", "--stats", self.home / "stats", jobs=jobs)
        self.assert_fails(result, 1, "job 1.8 ", "timed out after 5 s")
        stats = json.loads((self.home / "stats").read_text())
        self.assertEqual((stats["ok"], stats["crashes"], stats["retried"]), (WAITS - 1, 0, 0))

    def test_job_that_timed_out_is_tried_again(self):
        result = self.after("--timeout", "1", "--retries", "2", "--stats", self.home / "stats",
                            jobs=[[60, None], [0, None]])
        self.assert_fails(result, 1, "job 1.1 ", "timed out after 1 s")
        self.assertEqual(json.loads((self.home / "stats").read_text())["retried"], 2)


class Ends(Concurrency):
    def start_waiting(self, *words):
        """A run of thousands of jobs that wait for long, once half of them do; and the worker that
        began the last of these."""
        begun = self.home / "begun"
        run = self.start("map", "note_pid", *FAULTY, "-j", "2", "--concurrency", WAITS, "--unordered", *words)
        run.write(lines([[str(begun), 2]] * (2 * WAITS)))
        return run, int(self.until(lambda: pids(begun)[WAITS:], "jobs that wait")[-1])

    def test_interrupt_ends_thousands_that_wait_at_once(self):
        run, _ = self.start_waiting()
        run.interrupt()
        result = run.end()
        self.assert_fails(result, 130, "interrupted")

    def test_worker_that_is_killed_with_thousands_waiting_loses_none_and_runs_none_twice(self):
        run, worker = self.start_waiting("--stats", self.home / "stats")
        os.kill(worker, signal.SIGKILL)
        result = run.end()
        self.assert_ok(result, "2\n" * (2 * WAITS))
        stats = json.loads((self.home / "stats").read_text())
        self.assertEqual((stats["ok"], stats["failed"], stats["crashes"]), (2 * WAITS, 0, 1))

    def test_halt_ends_those_that_wait(self):
        jobs = [[30, None]] * WAITS
        jobs[3] = [0.1, "crash"]
        result = self.after("--halt", "now,fail=1", "--crash-limit", "1", jobs=jobs)
        self.assert_fails(result, 1, "job 1.4 ")


if __name__ == "__main__":
    harness.main()
