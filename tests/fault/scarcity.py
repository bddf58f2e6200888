#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Disks with so many free blocks, files that may grow so far, and so many descriptors: for each number from too few
to enough, a coordinator with a state file, map and exec are right, or say in a line what is missing.

CI takes a sample of the numbers; with MUSTER_LONG in the environment all of them are tried."""
import os
import resource
import shlex
import subprocess
import unittest

import harness
from harness import as_root

BLOCK = 4096
JOBS = [str(job) for job in range(1, 41)]
SAMPLE = 5


def sample(numbers):
    """All of them, or some that lie evenly, with the first and the last."""
    if "MUSTER_LONG" in os.environ:
        return list(numbers)
    return [numbers[place * (len(numbers) - 1) // (SAMPLE - 1)] for place in range(SAMPLE)]


class Scarcity(harness.Case):
    may_leave_files = True  # of a coordinator that had no room for its last line

    def setUp(self):
        super().setUp()
        self.env["MUSTER_COORDINATOR"] = f"ipc://{self.temporary}/muster-{os.getuid()}/daemon/socket"
        self.full = self.home / "full"
        self.full.mkdir()
        self.right = self.refused = 0

    def end_sweep(self):
        """It went from too few to enough."""
        self.assertGreater(self.right, 0)
        self.assertGreater(self.refused, 0)

    def check_line(self, text, what):
        self.assertRegex(text, r"\Amuster: [^\n]+\n\Z", what)

    # --- one program

    def judge(self, result, what):
        """A run of map or exec: right, or refused; or jobs failed, each with a line."""
        if result.status == 0:
            self.right += 1
            self.assertEqual(sorted(result.out.split(), key=int), JOBS, f"{what}: {result}")
            return
        self.refused += 1
        self.assertLess(set(result.out.split()), set(JOBS), f"{what}: {result}")
        self.assertRegex(result.err, r"\A(muster: [^\n]+\n)+\Z", f"{what}: {result}")
        if result.status == 255:
            self.check_line(result.err, f"{what}: {result}")

    def runs(self):
        yield ("map", "--coordinator", "none", "-j2", "echo", ":::", *JOBS)
        yield ("exec", "--coordinator", "none", "-j2", "echo", "{}", ":::", *JOBS)

    def sweep_limit(self, kind, limits):
        for words in self.runs():
            self.right = self.refused = 0
            for limit in sample(limits):
                self.judge(self.muster(*words, limits={kind: limit}), f"{words[0]}, limit {limit}")
            self.end_sweep()

    @unittest.skipIf(harness.SANITIZE, "sanitizers need descriptors of their own")
    def test_descriptors(self):
        self.sweep_limit(resource.RLIMIT_NOFILE, range(4, 80))

    @unittest.skipIf(harness.SANITIZE or harness.COVERAGE, "files of their own may not grow either")
    def test_size_of_files(self):
        self.sweep_limit(resource.RLIMIT_FSIZE, range(0, 160 * BLOCK, BLOCK))

    def test_blocks_for_temporary_files(self):
        for words in self.runs():
            self.right = self.refused = 0
            for blocks in sample(range(1, 240)):
                command = as_root(f"mount -t tmpfs -o size={blocks * BLOCK},nr_inodes={blocks} none {self.full}",
                                  harness.MUSTER, *words)
                if not command:
                    self.skipTest("tmpfs cannot be mounted here")
                self.judge(self.start(*command[1:], command=command[0], env={"TMPDIR": str(self.full)}).end(),
                           f"{words[0]}, {blocks} blocks")
            self.end_sweep()

    # --- a coordinator

    def ready(self, daemon):
        """Whether it listens; else it has ended, and said why."""
        lines = []
        while True:
            try:
                lines.append(daemon.line())
            except AssertionError:
                self.assertEqual(daemon.process.wait(harness.LIMIT_S), 255, lines)
                self.check_line("".join(f"{line}\n" for line in lines), "a coordinator that does not start")
                return False
            if "are kept in" in lines[-1]:
                return True

    def submit(self):
        """Whether a batch is accepted; else that is said."""
        result = self.muster("map", "--detach", "echo", ":::", *JOBS)
        if result.status != 0:
            self.assertEqual((result.status, result.out), (255, ""), str(result))
            self.check_line(result.err, str(result))
        return result.status == 0

    def serve(self, daemon):
        """What becomes of a coordinator and a batch. Whether the batch was accepted."""
        accepted = False
        if self.ready(daemon):
            accepted = self.submit()
            self.muster("stop", "--now")
            daemon.end()
        daemon.process.stdout.close()
        self.right += accepted
        self.refused += not accepted
        return accepted

    def check_left(self, state, accepted, what):
        """What was accepted is there, and what was not does not keep a coordinator from starting."""
        daemon = self.start("coordinator", "-j2", "--state", state, stdin=None, stderr=subprocess.STDOUT)
        self.assertTrue(self.ready(daemon), what)
        if accepted:
            self.assert_ok(self.muster("results", "1", "--follow"), "".join(f"{job}\n" for job in JOBS))
        self.muster("stop", "--now")
        daemon.end()
        for file in state.parent.iterdir():
            file.unlink()

    def sweep_coordinator(self, kind, limits):
        state = self.full / "state"
        for limit in sample(limits):
            daemon = self.start("coordinator", "-j2", "--state", state, stdin=None, stderr=subprocess.STDOUT,
                                limits={kind: limit})
            self.check_left(state, self.serve(daemon), f"limit {limit}")
        self.end_sweep()

    @unittest.skipIf(harness.SANITIZE, "sanitizers need descriptors of their own")
    def test_descriptors_of_a_coordinator(self):
        self.sweep_coordinator(resource.RLIMIT_NOFILE, range(4, 100))

    @unittest.skipIf(harness.SANITIZE or harness.COVERAGE, "files of their own may not grow either")
    def test_size_of_a_state_file(self):
        self.sweep_coordinator(resource.RLIMIT_FSIZE, range(0, 60 * BLOCK, BLOCK // 2))

    def test_blocks_for_a_state_file(self):
        saved = self.home / "saved"
        saved.mkdir()
        for blocks in sample(range(1, 120)):
            words = shlex.join([harness.MUSTER, "coordinator", "-j2", "--state", str(self.full / "state")])
            command = as_root(f"mount -t tmpfs -o size={blocks * BLOCK} none {self.full}", "sh", "-c",
                              f"{words}; ended=$?; cp -p {self.full}/* {saved}; exit $ended")
            if not command:
                self.skipTest("tmpfs cannot be mounted here")
            daemon = self.start(*command[1:], command=command[0], stdin=None, stderr=subprocess.STDOUT)
            self.check_left(saved / "state", self.serve(daemon), f"{blocks} blocks")
        self.end_sweep()


if __name__ == "__main__":
    harness.main()
