#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""When jobs get their turn, and how many at once: priorities, limits, CPUs, and waits before retries."""
import json
import signal
import time

import harness
from harness import plugin

FAULTY = plugin("faulty")


class Turns(harness.Case):
    def assert_workers(self, count, *options):
        """Of many jobs, the first wait until so many have begun; no more workers than that run any."""
        line = json.dumps([str(self.home / f"counter-{count}"), count]) + "\n"
        result = self.muster("map", "wait_count", "--plugin", FAULTY, *options, "--chunk", "1", "-o", "json", text=50 * line)
        self.assert_ok(result)
        self.assertEqual({json.loads(line)["worker"] for line in result.out.splitlines()}, set(range(1, count + 1)))

    def test_no_more_workers_than_the_limit_has_use_for(self):
        self.assert_workers(3, "-j5", "--max-running", "3")

    def test_no_more_workers_than_there_are_cpus_for(self):
        self.assert_workers(2, "-j5", "--cpus", "2")

    def test_job_that_could_never_run_is_refused(self):
        self.assert_one_line_error(self.muster("map", "noop", "-j2", "--cpus", "3", ":::", "1"),
                                   "a job of 3 CPUs can never run here: jobs may take 2 together")

    def test_what_needs_workers_is_refused_without(self):
        for options in ("--max-running", "2"), ("--cpus", "2"), ("--backoff", "1"):
            self.assert_one_line_error(self.muster("map", "noop", "--model", "threads", *options, ":::", "1"),
                                       "needs the model 'processes'")
        self.assert_ok(self.muster("map", "echo", "--model", "threads", "--priority", "-3", ":::", "1"), "1\n")

    def test_failed_job_waits_before_it_is_tried_again(self):
        began = time.monotonic()
        result = self.muster("map", "fail_times", "--plugin", FAULTY, "--retries", "2", "--backoff", "0.2", "-j1",
                             text=json.dumps([str(self.home / "counter"), 2]) + "\n")
        self.assert_ok(result, "3\n")
        self.assertGreaterEqual(time.monotonic() - began, 0.2 + 0.4)

    def test_higher_priority_overtakes_jobs_that_wait(self):
        log = self.home / "log"
        self.env["MUSTER_COORDINATOR"] = "default"
        with open(log, "wb") as stderr:
            daemon = self.start("coordinator", "-j1", "-v", "--plugin", FAULTY, stderr=stderr)
        self.until(lambda: "keeps nothing on disk" in log.read_text(), "the coordinator is ready")
        held, low = self.home / "held", self.home / "low"
        clients = []
        for words in (["wait_file", ":::", held], ["wait_file", ":::", low], ["echo", "--priority", "5", ":::", "7"]):
            clients.append(self.start("map", *words))
            self.until(lambda: log.read_text().count("accepted as batch") == len(clients), "it is accepted")
        held.touch()
        self.assert_ok(clients[2].end(), "7\n") # the only worker would wait for `low` by now
        low.touch()
        self.assert_ok(clients[1].end(), "true\n")
        self.assert_ok(clients[0].end(), "true\n")
        daemon.signal(signal.SIGTERM)
        daemon.end()


if __name__ == "__main__":
    harness.main()
