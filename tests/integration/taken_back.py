#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Jobs do not wait behind a long one while another worker has nothing to do. In each batch one job
waits until all others have run: those that lie behind it, in its chunk or in chunks that its worker
holds, have to be taken back, or it never ends."""
import json

import harness
from harness import plugin

FAULTY = ("--plugin", plugin("faulty"))


class TakenBack(harness.Case):
    def run_jobs(self, count, long, *words):
        """`count` jobs, of which the one at `long` waits for the others. Returns what is said of each."""
        counter = self.home / "counter"
        lines = "".join(f"{json.dumps([str(counter), count if job == long else 0])}\n" for job in range(1, count + 1))
        result = self.muster("map", "wait_count", *FAULTY, "-j", "2", "-o", "json", *words, text=lines)
        self.assert_ok(result)
        jobs = [json.loads(line) for line in result.out.splitlines()]
        expected = [f"1.{job}" for job in range(1, count + 1)]
        self.assertTrue([job["job"] for job in jobs] == expected, "a job is missing, or out of order")
        self.assertEqual({job["attempts"] for job in jobs}, {1}, "a job that was taken back has not been tried")
        self.assertEqual(counter.stat().st_size, count, "each job ran once")
        counter.unlink()
        return jobs

    def behind(self, jobs, long, chunk=50):
        """Those of the long job's chunk that lay behind it and were run by its worker all the same. (Some
        before it may have been run elsewhere: its worker had no core while the other ran all it had.)"""
        return [job["job"] for job in jobs[long:chunk] if job["worker"] == jobs[long - 1]["worker"]]

    def test_no_job_behind_the_first_of_a_chunk_waits_for_it(self):
        jobs = self.run_jobs(100, 1, "--chunk", "50")
        self.assertEqual(self.behind(jobs, 1), [])

    def test_jobs_behind_one_in_the_middle_of_a_chunk_run_elsewhere(self):
        jobs = self.run_jobs(100, 20, "--chunk", "50")
        self.assertEqual(self.behind(jobs, 20), [])

    def test_chunks_behind_a_long_job_run_elsewhere(self):
        for long in 1000, 1500, 1990, 1999, 2000:
            with self.subTest(long=long):
                self.run_jobs(2000, long)

    def test_single_jobs_of_a_stream_run_elsewhere(self):
        self.run_jobs(300, 150, "--chunk", "1")

    def test_workers_of_several_jobs_give_back_what_did_not_begin(self):
        for long in 1, 150, 199:
            with self.subTest(long=long):
                self.run_jobs(200, long, "--concurrency", "4")

    def test_job_that_failed_and_is_tried_again_may_be_taken_back(self):
        counters = [str(self.home / f"counter-{job}") for job in range(40)]
        lines = "".join(f"{json.dumps([counter, 1])}\n" for counter in counters)
        result = self.muster("map", "fail_times", *FAULTY, "-j", "2", "--chunk", "20", "--retries", "1", text=lines)
        self.assert_ok(result, "2\n" * 40)


if __name__ == "__main__":
    harness.main()
