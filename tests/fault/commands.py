#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nothing of a command outlives muster, whatever ends muster or its worker: not what it started, nor
what went into a session of its own.

The harness looks for every process that a test started."""
import base64
import json
import os
import signal
import unittest

import harness
from harness import as_root

# A command of four processes that do not end when they are asked: itself, a child, one in a session of its own
# and a child of that whose parent is gone. `ready` says that they are there.
TREE = """
trap '' TERM HUP INT
sleep 1000 &
setsid sh -c 'sh -c "sleep 1000 & echo x" >one; exec sleep 1000' &
while ! [ -s one ]; do :; done
echo $$ >ready
while :; do sleep 1000; done
"""
PROCESSES = 5  # with the sleep of the last line

# Places of a command's result: enum command_place of worker/command.h.
OUT, ERR = 8, 9


class Case(harness.Case):
    may_leave_files = True  # SIGKILL gives no chance to tidy up

    def begin(self, *options, count=1):
        """A muster whose jobs run such trees."""
        jobs = []
        for number in range(count):
            folder = self.home / f"{number}"
            folder.mkdir()
            jobs.append(json.dumps({"shell": "/bin/sh", "line": TREE, "dir": str(folder)}))
        run = self.start("map", "command", "-j", f"{count}", *options, ":::", *jobs)
        for number in range(count):
            self.until(lambda: (self.home / f"{number}" / "ready").exists(), "a command has begun")
        self.until(lambda: len(self.commands(run)) == count * PROCESSES, "its processes")
        return run

    def commands(self, run):
        """All processes of the test but muster and its workers."""
        own = [run.pid, *run.fork_server(), *run.children()]
        return [pid for pid in self.marked() if pid not in own]

    def close(self, run):
        for stream in (run.process.stdin, run.process.stdout, run.process.stderr):
            stream.close()
        run.process.wait(harness.LIMIT_S)

    def test_muster_killed(self):
        run = self.begin(count=2)
        run.signal(signal.SIGKILL)
        self.close(run)
        self.assert_processes_gone()

    def test_muster_interrupted(self):
        run = self.begin(count=2)
        run.interrupt()
        run.interrupt()
        self.close(run)
        self.assertEqual(run.process.returncode, 130)
        self.assert_processes_gone()

    def test_worker_killed(self):
        run = self.begin("--crash-limit", "1", "--retries", "0")
        before = self.commands(run)
        (worker,) = run.children()
        os.kill(worker, signal.SIGKILL)
        self.assertEqual(run.end().status, 1)
        for pid in before:
            self.assert_gone(pid)

    def test_worker_ends_for_the_time_limit_of_its_job(self):
        run = self.begin("--timeout", "2", "--retries", "0")
        self.assertEqual(run.end().status, 1)
        self.assert_processes_gone()

    def test_worker_is_stopped_when_muster_is_killed(self):
        run = self.begin()
        (worker,) = run.children()
        os.kill(worker, signal.SIGSTOP)
        run.signal(signal.SIGKILL)
        self.close(run)
        self.assert_processes_gone()

    def test_full_disk_is_the_problem_of_the_command(self):
        full = self.home / "full"
        full.mkdir()
        job = json.dumps({"shell": "/bin/sh", "line": "head -c 1000000 /dev/zero",
                          "tmpdir": str(full)})
        command = as_root(f"mount -t tmpfs -o size=64k none {full}", harness.MUSTER, "map", "command", "-j", "1",
                          "-o", "json", ":::", job, json.dumps({"argv": ["echo", "next"]}))
        if not command:
            self.skipTest("no mount namespaces here")
        result = self.muster(*command[1:], command=command[0])
        self.assertEqual(result.status, 1, str(result))
        first, second = (json.loads(line)["result"] for line in result.out.splitlines())
        self.assertEqual(len(base64.b64decode(first[OUT])), 64 << 10)
        self.assertEqual((first[0], first[ERR]), (1, ""))  # there was no room for its message either
        self.assertEqual(base64.b64decode(second[OUT]), b"next\n")

    def test_command_that_reads_the_terminal_is_not_stopped(self):
        reader, terminal = os.openpty()
        job = json.dumps({"shell": "/bin/sh", "line": "cat </dev/tty"})
        script = f"exec setsid --ctty --wait '{harness.MUSTER}' map command -o none ::: '{job}'"
        result = self.muster("-c", script, command="/bin/sh", stdin=terminal)
        os.close(terminal)
        os.close(reader)
        self.assert_fails(result, 1, "exit status", "/dev/tty")

    def test_command_does_not_keep_a_finished_muster(self):
        """What a job leaves behind is left alone, and holds nobody up."""
        job = json.dumps({"shell": "/bin/sh", "line": f"setsid sleep 1000 & echo $! >{self.home}/daemon"})
        self.assertEqual(self.muster("map", "command", "-o", "none", ":::", job).status, 0)
        (daemon,) = self.marked()
        self.assertEqual((self.home / "daemon").read_text(encoding="ascii").strip(), str(daemon))
        os.kill(daemon, signal.SIGKILL)


if __name__ == "__main__":
    harness.main()
