#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Workers that are killed and stopped from outside while they work: the results are those of an
undisturbed run, in order, each once."""
import hashlib
import itertools
import json
import os
import pathlib
import select
import signal
import unittest

import harness
from harness import plugin

# The primes up to LAST in jobs of STEP numbers, some milliseconds of work each, and how many
# there are of them in all and in the first job. All of them are counted ROUNDS times.
ROUNDS = 3 if harness.SANITIZE else 10
LAST, STEP, PRIMES, FIRST_PRIMES = 10**8, 200_000, 5761455, 17984
if harness.SANITIZE == "thread":
    LAST, STEP, PRIMES, FIRST_PRIMES = 10**7, 50_000, 664579, 5133


def at_work(workers):
    """Those that have got somewhere: with the threads of ZeroMQ, the link and the jobs (and TSan's)."""
    return [pid for pid in workers if threads(pid) >= (5 if harness.SANITIZE == "thread" else 4)]


def threads(pid):
    """How many threads a process has; 0 when it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def files(total_bytes):
    """Files of this machine, together about so large, none of which takes long to read."""
    found = []
    for path in sorted(pathlib.Path("/usr/bin").iterdir()):
        if path.is_file() and os.access(path, os.R_OK) and path.stat().st_size < 1 << 20:
            found.append(path)
            total_bytes -= path.stat().st_size
            if total_bytes < 0:
                break
    return found


def started(workers):
    """A worker of these, and its command; None before there is one."""
    pairs = [(parent, pid) for pid, parent, _ in harness.processes() if parent in workers]
    return pairs[0] if pairs else None


class Disturbed(harness.Case):
    """A run with somebody at its workers."""

    def disturb(self, run, interval, strike):
        """Calls strike(pids) every so often until the run is over; returns how often. The pids are of
        workers that were at work the last time, too: none is hit before it could do anything."""
        ended = os.pidfd_open(run.pid)
        before, count = set(), 0
        try:
            while not select.select([ended], [], [], interval)[0]:
                present = at_work(run.children())
                workers = [pid for pid in present if pid in before]
                before = set(present)
                if workers:
                    strike(workers)
                    count += 1
        finally:
            os.close(ended)
        return count

    def killer(self, number, count=1):
        """Strikes so many workers at once, in turn, with this signal."""
        turns = itertools.count()

        def strike(workers):
            for pid in [workers[next(turns) % len(workers)] for _ in range(count)]:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass  # it died by itself

        return strike

    def run_disturbed(self, words, text, interval, strike, *options):
        """The output of a run under fire, and its statistics."""
        source, sink, stats = self.home / "source", self.home / "sink", self.home / "stats"
        source.write_text(text)
        with open(source, "rb") as stdin, open(sink, "wb") as stdout:
            # Where the machine is busy, one job may be hit again and again.
            run = self.start("map", *words, "-j", "2", "--crash-limit", "1000", "--stats", stats, *options,
                             stdin=stdin, stdout=stdout)
            strikes = self.disturb(run, interval, strike)
            result = run.end()
        self.assert_ok(result)
        figures = json.loads(stats.read_text())
        self.assertGreater(strikes, 0, "nobody disturbed the run: it was too short")
        return sink.read_text(), figures

    def check_primes(self, interval, strike, *options):
        text = "".join(f"[{low},{low + STEP - 1}]\n" for low in range(0, LAST, STEP)) * ROUNDS
        out, figures = self.run_disturbed(["primes"], text, interval, strike, *options)
        counts = [int(line) for line in out.splitlines()]
        jobs = LAST // STEP
        self.assertEqual(len(counts), jobs * ROUNDS)
        self.assertEqual(counts, counts[:jobs] * ROUNDS)
        self.assertEqual((counts[0], sum(counts[:jobs])), (FIRST_PRIMES, PRIMES))
        return figures

    def check_files(self, interval, strike, *options):
        paths = files(300 << 20)
        out, figures = self.run_disturbed(["sha256"], "".join(f"{path}\n" for path in paths), interval, strike,
                                          *options)
        sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        self.assertEqual(out, "".join(f'"{digest}"\n' for digest in sums))
        return figures


class Killed(Disturbed):
    def test_worker_killed_every_tenth_of_a_second_changes_nothing(self):
        for check in (self.check_primes, self.check_files):
            self.assertGreater(check(0.1, self.killer(signal.SIGKILL))["crashes"], 0)

    @unittest.skipIf(harness.SANITIZE, "jobs take longer than workers live")
    def test_worker_killed_every_fiftieth_of_a_second_changes_nothing(self):
        for check in (self.check_primes, self.check_files):
            self.assertGreater(check(0.02, self.killer(signal.SIGKILL))["crashes"], 0)

    def test_all_workers_killed_at_once_change_nothing(self):
        self.check_primes(0.1, self.killer(signal.SIGKILL, count=2))

    def test_segmentation_fault_from_outside_changes_nothing(self):
        self.check_primes(0.1, self.killer(signal.SIGSEGV))

    def test_worker_asked_to_terminate_is_replaced(self):
        self.check_primes(0.1, self.killer(signal.SIGTERM))

    def test_unordered_and_tiny_jobs_are_each_counted_once(self):
        text = "".join(f"{number}\n" for number in range(200_000))
        interval = 0.05 if harness.SANITIZE else 0.02
        out, figures = self.run_disturbed(["echo"], text, interval, self.killer(signal.SIGKILL), "--unordered",
                                          "--chunk", "20")
        self.assertEqual(sorted(map(int, out.split())), list(range(200_000)))
        self.assertEqual((figures["ok"], figures["failed"], figures["jobs"]), (200_000, 0, 200_000))


class Stopped(Disturbed):
    def test_worker_stopped_in_mid_chunk_is_replaced(self):
        stopped = []

        def stop_two(workers):
            if len(stopped) < 2 and workers[0] not in stopped:
                stopped.append(workers[0])
                os.kill(workers[0], signal.SIGSTOP)

        figures = self.check_primes(0.1, stop_two, "--heartbeat", "0.5")
        # Half a second without a heartbeat is little on a busy machine: it may strike others too.
        self.assertGreaterEqual(figures["crashes"], len(stopped))
        self.assertGreater(len(stopped), 0)

    def test_worker_stopped_for_a_moment_goes_on(self):
        def stop_shortly(workers):
            os.kill(workers[0], signal.SIGSTOP)
            os.kill(workers[0], signal.SIGCONT)

        self.assertEqual(self.check_primes(0.05, stop_shortly)["crashes"], 0)

    def test_all_workers_stopped_are_replaced(self):
        stopped = []

        def stop_all_once(workers):
            if not stopped and len(workers) == 2:
                stopped.extend(workers)
                for pid in workers:
                    os.kill(pid, signal.SIGSTOP)

        self.assertEqual(self.check_primes(0.1, stop_all_once, "--heartbeat", "0.5")["crashes"], len(stopped))

    def test_stopped_fork_server_is_woken_and_not_given_up(self):
        release = self.home / "release"
        run = self.start("exec", "-j1", f"test -e {release} || exec sleep 1000; echo released #", ":::", "1")
        worker, _ = self.until(lambda: run.fork_server() and started(run.children()), "a worker with its command")
        os.kill(run.fork_server()[0], signal.SIGSTOP)
        release.touch()
        os.kill(worker, signal.SIGKILL)
        self.assert_ok(run.end(), "released\n")  # though nobody else wakes the server


def cpu_ticks(pid):
    """CPU time of a process in hundredths of a second; 0 when it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


class Blamed(harness.Case):
    def test_only_the_running_job_of_a_killed_worker_is_blamed(self):
        run = self.start("map", "busy", "--plugin", plugin("faulty"), "-j", "1", "--chunk", "5", "-o", "json", ":::",
                         "1", *["false"] * 4)
        for _ in range(3):
            worker = self.until(lambda: next((pid for pid in run.children() if cpu_ticks(pid) >= 5), None),
                                "a worker that computes")
            os.kill(worker, signal.SIGKILL)
            self.assert_gone(worker)
        result = run.end()
        self.assertEqual(result.status, 1, str(result))
        jobs = [json.loads(line) for line in result.out.splitlines()]
        self.assertIn("crashed its worker 3 times and is quarantined; the last one: killed by SIGKILL",
                      jobs[0]["error"])
        self.assertEqual([job["attempts"] for job in jobs], [3, 1, 1, 1, 1])


if __name__ == "__main__":
    harness.main()
