#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Functions that crash, hang, stop or return garbage in a worker: the one job is named with the
reason, no other job is lost, and the exit status counts."""
import json
import unittest

import harness
from harness import plugin

FAULTY = ("--plugin", plugin("faulty"))
# Values that a sanitizer would take for a mistake of ours, memory that it needs for itself.
plain_only = unittest.skipIf(harness.SANITIZE, "means another thing under a sanitizer")


class Fault(harness.Case):
    def map(self, function, *words, **options):
        return self.muster("map", function, *FAULTY, "-j", "2", *words, **options)

    def objects(self, result):
        """The objects of `-o json`, by the number of the job."""
        objects = map(json.loads, result.out.splitlines())
        return {int(entry["job"].removeprefix("1.")): entry for entry in objects}

    def check_one_culprit(self, function, reason, *words, culprit="1", limit=harness.LIMIT_S):
        """The third of five jobs fails for this reason, the others do not notice."""
        result = self.map(function, *words, ":::", "false", "false", culprit, "false", "false", limit=limit)
        self.assert_fails(result, 1, f"muster: job 1.3 (argument {culprit}): ", reason, "1 of 5 jobs failed")
        self.assertEqual(result.out, "false\n" * 4, str(result))
        self.assertEqual(result.err.count("muster: job "), 1, str(result))


class Crash(Fault):
    def test_crashing_job_among_thousands_is_the_only_one_named(self):
        expected = "".join(f"{number}\n" for number in range(1, 2500) if number % 1000)
        for chunk in ("auto", "1", "64", "65536"):
            result = self.map("unlucky", "--chunk", chunk, ":::", "1..2499")
            self.assert_fails(result, 2, "job 1.1000 (argument 1000): crashed its worker 3 times",
                              "job 1.2000 (argument 2000): crashed its worker 3 times",
                              "killed by SIGSEGV", "2 of 2499 jobs failed")
            self.assertEqual(result.err.count("muster: job "), 2, str(result))
            self.assertEqual(result.out, expected, f"--chunk {chunk}")

    def test_crashing_job_among_lines_is_the_only_one_named(self):
        result = self.map("unlucky", text="".join(f"{number}\n" for number in range(1, 5001)))
        self.assert_fails(result, 5, "job 1.5000 (argument 5000): crashed", "5 of 5000 jobs failed")
        self.assertEqual(result.out, "".join(f"{number}\n" for number in range(1, 5001) if number % 1000))

    def test_job_that_crashes_is_tried_as_often_as_the_limit_says(self):
        for limit, said in ((1, "crashed its worker: killed by SIGSEGV"), (5, "crashed its worker 5 times")):
            counter = self.home / f"counter-{limit}"
            result = self.map("crash_times", "--crash-limit", limit, ":::", json.dumps([str(counter), 100]))
            self.assert_fails(result, 1, said)
            self.assertEqual(counter.stat().st_size, limit, "attempts")

    def test_job_that_crashes_less_often_than_the_limit_succeeds(self):
        counter = self.home / "counter"
        result = self.map("crash_times", "--crash-limit", "5", "-o", "json", ":::", json.dumps([str(counter), 4]))
        self.assert_ok(result)
        job = self.objects(result)[1]
        self.assertEqual((job["result"], job["attempts"]), (5, 5))

    def test_crashes_do_not_use_up_retries_nor_retries_crashes(self):
        counter = self.home / "crashes"
        result = self.map("crash_times", "--retries", "50", ":::", json.dumps([str(counter), 100]))
        self.assert_fails(result, 1, "crashed its worker 3 times")
        self.assertEqual(counter.stat().st_size, 3, "attempts")
        counter = self.home / "failures"
        result = self.map("fail_times", "--retries", "6", ":::", json.dumps([str(counter), 6]))
        self.assert_ok(result, "7\n")

    def test_every_way_a_process_ends_is_told_apart(self):
        for function, reason in (("crash", "killed by SIGSEGV"), ("overflow", "killed by SIGSEGV"),
                                 ("abort", "killed by SIGABRT"), ("kill_self", "killed by SIGKILL"),
                                 ("exit", "ended with exit status 1")):
            self.check_one_culprit(function, reason)
        self.check_one_culprit("exit", "ended with exit status 0", culprit="0")

    def test_more_than_a_hundred_crashing_jobs_are_all_counted(self):
        result = self.map("crash", "--crash-limit", "1", text="1\n" * 120 + "false\n")
        self.assert_fails(result, 101, "and 100 more failed", "120 of 121 jobs failed")
        self.assertEqual(result.out, "false\n")

    def test_halt_counts_crashes(self):
        result = self.map("crash", "--crash-limit", "1", "--halt", "soon,fail=3", "-o", "json", text="1\n" * 1000)
        self.assertIn(result.status, range(3, 6), str(result))  # another may have been running
        self.assertIn("halted: ", result.err)


class Silence(Fault):
    def test_job_that_stops_its_worker_is_blamed(self):
        self.check_one_culprit("stop_self", "not answering for 1 s", "--heartbeat", "1", "--crash-limit", "2")

    def test_job_that_becomes_another_program_is_blamed(self):
        self.check_one_culprit("exec", "not answering for 1 s", "--heartbeat", "1", "--crash-limit", "1")

    def test_job_beyond_its_time_limit_fails_alone(self):
        for function in ("hang", "busy"):
            self.check_one_culprit(function, "timed out after 0.3 s", "--timeout", "0.3")
            self.check_one_culprit(function, "timed out after 0.3 s", "--timeout", "0.3", "--chunk", "5")

    def test_job_beyond_its_time_limit_is_retried(self):
        result = self.map("busy", "--timeout", "0.2", "--retries", "2", "-o", "json", ":::", "false", "1")
        self.assertEqual(result.status, 1, str(result))
        job = self.objects(result)[2]
        self.assertEqual((job["attempts"], job["error_kind"]), (3, "timeout"), job)

    def test_jobs_within_the_limit_are_left_alone_however_long_the_batch(self):
        arguments = ['{"number": 3, "seconds": 0.05}'] * 30
        result = self.map("request", "--timeout", "2", "--chunk", "100", ":::", *arguments)
        self.assert_ok(result)

    def test_long_job_is_no_silent_worker(self):
        self.assert_ok(self.map("busy", "--heartbeat", "0.2", ":::", "false"), "false\n")
        self.assert_ok(self.muster("map", "spin", "--heartbeat", "0.3", ":::", "1.5"))


class Values(Fault):
    def test_result_that_is_no_value_fails_its_job(self):
        for function, reason in (("garbage_type", "a value has the unknown type 90"),
                                 ("garbage_pointer", "a value holds a string of 16 bytes at address 0")):
            result = self.map(function, ":::", "1", "2")
            self.assert_fails(result, 2, f"job 1.1 (argument 1): {reason}", "2 of 2 jobs failed")

    def test_result_that_points_to_nowhere_crashes_its_job_alone(self):
        self.check_one_culprit("garbage_wild", "crashed its worker 3 times")

    def test_result_that_nests_too_deep_fails_its_job(self):
        result = self.map("deep", ":::", "28", "29", "100000")
        self.assert_fails(result, 2, "job 1.2 (argument 29): a value nests deeper than 28",
                          "job 1.3 (argument 100000): ")
        self.assertEqual(result.out, "[" * 28 + "null" + "]" * 28 + "\n")

    def test_result_beyond_the_size_limit_fails_its_job(self):
        result = self.map("big", "-o", "json", ":::", "3", str((256 << 20) + 1), "6")
        self.assertEqual(result.status, 1, str(result))
        jobs = self.objects(result)
        self.assertEqual((jobs[1]["result"], jobs[3]["result"]), ("AAAA", "AAAAAAAA"))
        self.assertIn("larger than 268435456 bytes", jobs[2]["error"])

    def test_large_results_arrive_whole(self):
        sizes = [3 << 20, 30, 24 << 20, 3]
        result = self.map("big", ":::", *sizes)
        self.assert_ok(result)
        self.assertEqual([len(line) for line in result.out.splitlines()], [size // 3 * 4 + 2 for size in sizes])
        self.assertEqual(set(result.out), set('"A\n'))

    def test_failure_says_the_reason_of_the_function(self):
        result = self.map("fail", ":::", "no such luck", "two\tlines\nin one")
        self.assert_fails(result, 2, 'job 1.1 (argument "no such luck"): no such luck', ": two?lines?in one\n")
        self.check_one_culprit("fail_silently", "fail_silently failed with code 1")

    def test_attempts_that_failed_are_counted(self):
        for retries, status in (("1", 1), ("2", 0)):
            counter = self.home / f"counter-{retries}"
            result = self.map("fail_times", "--retries", retries, "-o", "json", ":::", json.dumps([str(counter), 2]))
            self.assertEqual(result.status, status, str(result))
            self.assertEqual(self.objects(result)[1]["attempts"], int(retries) + 1)

    @plain_only
    def test_memory_limit_fails_jobs_and_spares_muster(self):
        result = self.map("leak", "--memory", "256M", "-j", "1", text="60000000\n" * 8)
        self.assertIn(result.status, range(1, 8), str(result))
        self.assert_fails(result, 8 - result.out.count("\n"), "out of memory")

    @plain_only
    def test_workers_start_under_the_smallest_memory_limit_and_no_smaller_one_is_taken(self):
        self.assert_ok(self.muster("map", "echo", "--memory", "64M", ":::", "1"), "1\n")
        self.assert_one_line_error(self.muster("map", "echo", "--memory", "63M", ":::", "1"), "at least 64 MiB")

    def test_what_jobs_print_does_not_mix_with_results(self):
        for model in ("inline", "threads", "processes"):
            result = self.map("print", "--model", model, ":::", "first", "second")
            self.assertEqual((result.status, result.out), (0, "null\nnull\n"), str(result))
            self.assertEqual(sorted(result.err.split()), ["first", "second"])


class BetweenJobs(Fault):
    def test_worker_that_dies_after_its_job_does_not_run_it_for_ever(self):
        # A result of a few bytes is with the coordinator before its worker dies of anything.
        result = self.map("no_files", "-j", "1", ":::", "x" * 5000)
        self.assert_fails(result, 1, "job 1.1 (argument ", "quarantined")
        # A thread of its library may notice the lack before the job has returned.
        self.assertRegex(result.err, "workers died about when they ran it|crashed its worker 3 times")

    def test_result_that_a_worker_left_behind_as_it_died_counts(self):
        result = self.map("no_files", "-j", "1", ":::", "1")
        self.assertEqual((result.status, result.out), (0, "1\n"), str(result))

    def test_children_that_jobs_leave_behind_end_with_their_worker(self):
        paths = [self.home / f"child-{number}" for number in range(4)]
        result = self.map("fork_child", ":::", *paths)
        self.assert_ok(result)
        self.assertEqual(result.out.split(), [path.read_text().strip() for path in paths])
        for path in paths:
            self.assert_gone(int(path.read_text()))


if __name__ == "__main__":
    harness.main()
