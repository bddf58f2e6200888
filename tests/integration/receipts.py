#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Receipts: the phases of a job and of a batch add up, whatever model runs it and whatever happens."""
import json
import unittest

import harness
from harness import plugin

FAULTY = ("--plugin", plugin("faulty"))
WAY = ("encode", "queued", "send", "wait")
WORK = ("decode", "execute", "encode_result")
BACK = ("return", "decode_result", "commit")
MODELS = {
    "inline": ("--model", "inline"),
    "threads": ("--model", "threads", "-j", "2"),
    "gil": ("--model", "gil", "-j", "2"),
    "loop": ("--model", "loop"),
    "processes": ("--model", "processes", "-j", "2"),
    "concurrency": ("--model", "processes", "-j", "2", "--concurrency", "4"),
}


class Receipts(harness.Case):
    def run_jobs(self, *words, text=None, status=0):
        """The objects of the jobs, by index, and the statistics."""
        stats = self.home / "stats.json"
        result = self.muster("map", *words[:1], "-o", "json", "--stats", stats, *words[1:], text=text)
        self.assertEqual(result.status, status, str(result))
        jobs = {int(job["job"].split(".")[1]): job for job in map(json.loads, result.out.splitlines())}
        return jobs, json.loads(stats.read_text(encoding="utf-8"))

    def check_job(self, job, stats):
        """What is true of the receipt of every job."""
        receipt = dict(job["receipt"])
        total_us = receipt.pop("total_us")
        self.assertEqual(set(receipt), {f"{phase}_us" for phase in WAY + WORK + BACK}, job)
        self.assertAlmostEqual(sum(receipt.values()), total_us, delta=max(0.02 * total_us, 0.02), msg=job)
        self.assertLessEqual(total_us, 1e6 * stats["wall_s"] + 1, job)
        self.assertGreater(total_us, 0, job)

    def check_batch(self, stats):
        """What is true of the receipt of every batch."""
        receipt = dict(stats["receipt"])
        total_s, split = receipt.pop("total_s"), receipt.pop("split")
        self.assertIsInstance(split, bool)
        self.assertLessEqual(receipt.pop("execute_cpu_s"), total_s)
        self.assertEqual(set(receipt), {f"{phase}_s" for phase in WAY + WORK + BACK + ("idle",)}, stats)
        self.assertGreaterEqual(min(receipt.values()), 0, stats)
        self.assertAlmostEqual(sum(receipt.values()), total_s, delta=0.02 * total_s, msg=stats)
        wall_s = stats["workers"] * stats["wall_s"]
        self.assertAlmostEqual(total_s, wall_s, delta=0.02 * wall_s + 0.001 * stats["workers"], msg=stats)

    def check(self, jobs, stats):
        for job in jobs.values():
            self.check_job(job, stats)
        self.check_batch(stats)

    def test_phases_add_up_under_every_model(self):
        for name, options in MODELS.items():
            for arguments, text in (((":::", *["0.001"] * 100), None), ((), "0.001\n" * 100)):
                with self.subTest(model=name, stream=text is not None):
                    jobs, stats = self.run_jobs("spin", *options, *arguments, text=text)
                    self.assertEqual(len(jobs), 100)
                    self.check(jobs, stats)
                    self.assertTrue(stats["receipt"]["split"])
                    self.assertGreaterEqual(stats["receipt"]["execute_s"], 0.099 if name != "gil" else 0.09)
                    for job in jobs.values():
                        receipt = job["receipt"]
                        self.assertGreaterEqual(receipt["execute_us"], 990, job)
                        self.assertAlmostEqual(sum(receipt[f"{phase}_us"] for phase in WORK), job["wall_us"],
                                               delta=0.02, msg=job)
                        if name not in ("processes", "concurrency"):
                            for phase in ("send", "decode", "encode_result", "decode_result"):
                                self.assertEqual(receipt[f"{phase}_us"], 0, job)
                        else:
                            self.assertGreater(receipt["send_us"], 0, job)
                            self.assertGreater(receipt["encode_result_us"], 0, job)

    def test_range_of_tiny_jobs_says_that_it_is_not_split(self):
        stats = self.home / "stats.json"
        self.assert_ok(self.muster("map", "noop", "-j", "2", "-o", "none", "--stats", stats, ":::", "1..300000"))
        stats = json.loads(stats.read_text(encoding="utf-8"))
        self.check_batch(stats)
        self.assertFalse(stats["receipt"]["split"])

    def test_job_that_waited_for_a_worker_was_queued(self):
        jobs, stats = self.run_jobs("spin", "-j", "1", "--chunk", "1", ":::", "0.2", "0.2")
        self.check(jobs, stats)
        held_up = jobs[2]["receipt"]
        self.assertGreater(held_up["queued_us"] + held_up["wait_us"], 190e3, jobs)

    def test_result_that_waits_for_its_turn_is_not_committed(self):
        # The second worker may start as much later as the first job takes longer than the bound.
        jobs, stats = self.run_jobs("after", *FAULTY, "-j", "2", "--chunk", "1", text="[3, null]\n[0, null]\n")
        self.check(jobs, stats)
        self.assertGreater(jobs[2]["receipt"]["commit_us"], 200e3, jobs)
        self.assertGreater(stats["receipt"]["idle_s"], 0.2, "the worker of the second had nothing to do")

    def test_retries_and_failures(self):
        jobs, stats = self.run_jobs("spin", "-j", "2", "--retries", "2", ":::", "0.05", "x", "0.05", status=1)
        self.check(jobs, stats)
        self.assertEqual(jobs[2]["attempts"], 3)

    def test_job_that_passed_its_limit_was_executing(self):
        for options in ((), ("--concurrency", "2")):
            with self.subTest(options=options):
                jobs, stats = self.run_jobs("spin", "-j", "2", "--timeout", "1", *options, ":::", "0.01", "30",
                                            "0.01", status=1)
                self.check(jobs, stats)
                self.assertEqual(jobs[2]["error_kind"], "timeout")
                self.assertGreater(jobs[2]["receipt"]["execute_us"], 900e3, jobs)
                self.assertGreater(stats["receipt"]["execute_s"], 0.9, stats)

    def test_job_that_crashes_its_worker(self):
        jobs, stats = self.run_jobs("abort", "-j", "2", "--crash-limit", "2", *FAULTY, ":::", "1", "2", "3",
                                    status=3)
        self.assertEqual({job["error_kind"] for job in jobs.values()}, {"quarantined"})
        self.check(jobs, stats)

    def test_batch_that_is_halted(self):
        for name, options in MODELS.items():
            with self.subTest(model=name):
                jobs, stats = self.run_jobs("spin", *options, "--halt", "now,fail=1", ":::", "0.01", "x",
                                            *["0.01"] * 50, status=1)
                self.assertGreaterEqual(stats["cancelled"], 0)
                self.check(jobs, stats)

    def test_worker_that_is_never_used_is_idle(self):
        jobs, stats = self.run_jobs("spin", "-j", "2", ":::", "0.2")
        self.check(jobs, stats)
        self.assertGreater(stats["receipt"]["idle_s"], 0.19)
        self.assertGreater(stats["receipt"]["execute_s"], 0.19)


if __name__ == "__main__":
    harness.main()
