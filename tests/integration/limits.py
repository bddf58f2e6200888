#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Limits of commands: they hold, the reason is named, and nothing of them is left, whatever ends muster."""
import os
import signal

import harness
from harness import as_root

# Takes so many MiB, one after the other, and keeps them while another takes more, or till the end.
EAT = """
import subprocess, sys, time
held = [bytearray(b'x') * (1 << 20) for _ in range(int(sys.argv[1]))]
if len(sys.argv) == 2:
    print("ate")
elif sys.argv[2] == "daemon":
    print(file=open(sys.argv[3], "w"))
    time.sleep(1000)
else:
    sys.exit(subprocess.run([sys.executable, sys.argv[0], sys.argv[2]]).returncode)
"""


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.eat = self.home / "eat.py"
        self.eat.write_text(EAT, encoding="ascii")

    def exec(self, *arguments, **options):
        return self.muster("exec", *arguments, **options)


class Groups(Case):
    """Where memory is limited by cgroups."""

    def setUp(self):
        super().setUp()
        line = self.exec("--memory", "64M", "cat", ":::", "/proc/self/cgroup").out
        self.path = next((path for path in line.splitlines() if "/muster-memory-" in path), None)
        if not self.path:
            self.skipTest("no cgroups that limit memory can be made here")

    @staticmethod
    def groups():
        """Those of this machine, by path; others may vanish meanwhile, which os.walk does not mind."""
        return {os.path.join(path, name) for path, names, _ in os.walk("/sys/fs/cgroup") for name in names
                if name.startswith("muster-memory-")}

    def group(self):
        """The name of the one that a job wrote down in the file `cgroup`."""
        path = self.home / "cgroup"
        text = self.until(lambda: path.exists() and path.read_text(encoding="ascii"), "a job runs")
        return text.partition("muster-memory-")[2].split()[0]

    def is_left(self, name):
        return any(path.endswith(f"muster-memory-{name}") for path in self.groups())

    def begin(self):
        """A muster whose job has written down its cgroup, and does not end; and its name."""
        run = self.start("exec", "--memory", "64M", f"grep muster-memory /proc/self/cgroup >{self.home}/new; "
                         f"mv {self.home}/new {self.home}/cgroup; exec sleep 1000 #", ":::", "x")
        name = self.group()
        self.assertTrue(self.is_left(name))
        return run, name

    def close(self, run):
        for stream in (run.process.stdin, run.process.stdout, run.process.stderr):
            stream.close()
        run.process.wait(harness.LIMIT_S)


class Memory(Groups):
    def test_job_over_its_limit_is_killed_with_the_reason_and_others_run(self):
        log = self.home / "log"
        result = self.exec("-k", "-j1", "--joblog", log, "--memory", "64M", "python3", self.eat, ":::", "100", "20", "100")
        self.assert_fails(result, 2, "killed: over its memory limit of 64 MiB (cgroup)", "2 of 3 jobs failed")
        self.assertEqual(result.out, "ate\n")
        self.assertEqual([line.split("\t")[6:8] for line in log.read_text().splitlines()[1:]], [["0", "9"], ["0", "0"], ["0", "9"]])

    def test_processes_of_a_job_count_together(self):
        self.assert_fails(self.exec("--memory", "96M", "python3", self.eat, "60", ":::", "60"), 1,
                          "over its memory limit of 96 MiB (cgroup)")

    def test_killed_child_is_no_success_whatever_the_shell_makes_of_it(self):
        result = self.exec("--memory", "64M", f"python3 {self.eat} 100; true #", ":::", "x")
        self.assert_fails(result, 1, "over its memory limit of 64 MiB (cgroup)")

    def test_nothing_of_it_is_left_when_the_run_is_over(self):
        self.assertFalse(self.is_left(self.path.partition("muster-memory-")[2]))

    def test_what_a_job_leaves_behind_does_not_count_for_the_next(self):
        daemon = f"setsid python3 {self.eat} 50 daemon {self.home}/ready &"
        result = self.exec("-j1", "-k", "--memory", "96M",
                           f"test {{}} = 1 && {{ {daemon} while ! [ -e {self.home}/ready ]; do sleep 0.01; done; exit; }}; "
                           f"python3 {self.eat} 60", ":::", "1", "2")
        self.assert_ok(result, "ate\n")
        before = self.groups()
        (left,) = self.marked()
        os.kill(left, signal.SIGKILL)
        self.assert_gone(left)
        self.assert_ok(self.exec("--memory", "64M", "true", ":::", "x"))
        self.assertLess(len(self.groups() & before), len(before))

    def test_worker_killed(self):
        run, name = self.begin()
        (worker,) = run.children()
        os.kill(worker, signal.SIGKILL)
        self.until(lambda: not self.is_left(name), "it is removed")
        run.interrupt()
        run.interrupt()
        self.close(run)

    def test_muster_interrupted(self):
        run, name = self.begin()
        run.interrupt()
        run.interrupt()
        self.close(run)
        self.until(lambda: not self.is_left(name), "it is removed")


class Killed(Groups):
    may_leave_files = True  # SIGKILL gives no chance to tidy up

    def test_muster_killed(self):
        run, name = self.begin()
        run.signal(signal.SIGKILL)
        self.close(run)
        self.until(lambda: not self.is_left(name), "it is removed")

    def test_muster_and_worker_killed_at_once(self):
        run, name = self.begin()
        (worker,) = run.children()
        os.kill(run.pid, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        run.signal(signal.SIGKILL)
        self.close(run)
        self.until(lambda: not list(self.marked()), "all are dead")
        self.assert_ok(self.exec("--memory", "64M", "true", ":::", "x"))
        self.assertFalse(self.is_left(name), "the next run removes it")


class WithoutCgroup(Case):
    def test_memory_limit_of_each_process_is_named_where_there_can_be_no_cgroup(self):
        command = as_root("mount -t tmpfs none /sys/fs/cgroup", harness.MUSTER, "exec", "--memory", "64M", "python3",
                          self.eat, ":::", "100", "20")
        if not command:
            self.skipTest("no mount namespaces here")
        result = self.muster(*command[1:], command=command[0])
        self.assert_fails(result, 1, "exit status 1, near its memory limit of 64 MiB (RLIMIT_DATA)", "MemoryError")
        self.assertEqual(result.out, "ate\n")


class Others(Case):
    def test_cpu_time(self):
        self.assert_fails(self.exec("--cpu-time", "1", "while :; do :; done #", ":::", "x"), 1,
                          "killed: over its CPU time limit of 1 s")

    def test_command_that_writes_without_end_is_ended_by_the_limit_of_files(self):
        for command in (["yes"], ["yes #"]):  # with and without a shell
            result = self.exec("--file-size", "100k", *command, ":::", "x")
            self.assert_fails(result, 1, "killed: a file of it over its limit of 100 KiB")
            self.assertEqual(len(result.out), 100 << 10)

    def test_open_files_and_privileges(self):
        line = "ulimit -n; grep -c 'NoNewPrivs:.1' /proc/self/status; true #"
        self.assert_ok(self.exec("--open-files", "17", line, ":::", "x"), "17\n1\n")
        self.assert_ok(self.exec("--open-files", "18", "--privileges", line, ":::", "x"), "18\n0\n")

    def test_limits_that_cannot_be_are_refused(self):
        for option, value in (("--memory", "1M"), ("--memory", "x"), ("--cpu-time", "0"), ("--open-files", "3"),
                              ("--file-size", "0"), ("--file-size", "-1")):
            result = self.exec(option, value, "true", ":::", "x")
            self.assert_fails(result, 255, f"{option} {value}: ", "expected")


if __name__ == "__main__":
    harness.main()
