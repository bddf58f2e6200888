#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Large values in shared memory, on machines where /dev/shm is small or full, and when everything that
holds them is killed: no value is lost, and nothing is left."""
import json
import os
import pathlib
import signal
import unittest

import harness
from harness import as_root

BYTES = 2_000_000  # of a value: more than the /dev/shm here has
HEAP = "/memfd:muster-heap"  # as /proc/PID/maps has it


def heaps(pid):
    """The inodes of the heaps that a process has mapped; all memfds are of one file system."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()  # gone meanwhile
    return {int(line.split()[4]) for line in lines if HEAP in line}


def open_heaps(pid):
    """The inodes of the heaps that a process has open."""
    found = set()
    try:
        for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            if os.readlink(path).startswith(HEAP):
                found.add(path.stat().st_ino)
    except OSError:
        pass  # gone meanwhile
    return found


def jobs(count, wait=0.0):
    """Arguments of `work` that are large, and have it return as much."""
    return [json.dumps({"wait": wait, "bytes": BYTES, "data": "a" * BYTES}) for _ in range(count)]


class SharedMemory(harness.Case):
    def check_values(self, mount, left):
        """Large values go in and out with such a /dev/shm, which is as before at the end."""
        script = f"{mount} && \"$0\" \"$@\" && ls -A /dev/shm >&2"
        command = as_root(mount, "true") and ["unshare", "--mount", "--map-root-user", "sh", "-c", script,
                                              harness.MUSTER, "map", "work", "-j", "2", "--stats", self.home / "stats"]
        if not command:
            self.skipTest("tmpfs cannot be mounted here")
        source = self.home / "source"
        source.write_text("\n".join(jobs(6)))
        with open(source, "rb") as stdin:
            result = self.start(*command[1:], command=command[0], stdin=stdin).end()
        self.assertEqual((result.status, result.err), (0, left), str(result))
        self.assertEqual(result.out, f'"{"x" * BYTES}"\n' * 6)
        self.assertEqual(json.loads((self.home / "stats").read_text())["crashes"], 0)

    def test_values_larger_than_dev_shm(self):
        self.check_values("mount -t tmpfs -o size=1M none /dev/shm", "")

    def test_values_while_dev_shm_is_full(self):
        fill = "! head -c 2M /dev/zero 2>/dev/null >/dev/shm/full"
        self.check_values(f"mount -t tmpfs -o size=1M none /dev/shm && {fill}", "full\n")


class Killed(harness.Case):
    may_leave_files = True  # SIGKILL gives no chance to tidy up

    def hold(self, *words):
        """A run whose processes hold memory of each other: large arguments are with jobs that wait, a large
        result is with the client, which cannot write it. Returns the heaps, too."""
        source = self.home / "source"
        source.write_text("\n".join(jobs(2) + jobs(6, wait=1000)))
        with open(source, "rb") as stdin:
            run = self.start("map", "work", "-j", "2", "--chunk", "1", *words, stdin=stdin)

        def held():
            client = heaps(run.pid)
            workers = [heaps(pid) for pid in run.children()]
            both = len(workers) == 2 and all(client & worker for worker in workers)
            return both and len(client) >= 2 and client.union(*workers)

        return run, self.until(held, "heaps that are held")

    def assert_nothing_is_left(self, run, held):
        self.assertEqual(run.process.wait(harness.LIMIT_S), -signal.SIGKILL)
        for stream in (run.process.stdout, run.process.stderr):
            stream.close()
        self.assert_processes_gone()
        for pid, _, _ in harness.processes():
            self.assertEqual(held & (heaps(pid) | open_heaps(pid)), set(), f"process {pid} holds a heap")

    def test_all_are_killed_while_they_hold_each_others_memory(self):
        run, held = self.hold()
        for pid in [run.pid, *run.children()]:
            os.kill(pid, signal.SIGKILL)
        self.assert_nothing_is_left(run, held)

    def test_all_are_killed_while_they_hold_memory_of_many_jobs_at_once(self):
        run, held = self.hold("--concurrency", "4")
        for pid in [run.pid, *run.children()]:
            os.kill(pid, signal.SIGKILL)
        self.assert_nothing_is_left(run, held)

    def test_muster_is_killed_while_stopped_workers_hold_its_memory(self):
        run, held = self.hold()
        for pid in run.children():
            os.kill(pid, signal.SIGSTOP)
        run.signal(signal.SIGKILL)
        self.assert_nothing_is_left(run, held)


if __name__ == "__main__":
    harness.main()
