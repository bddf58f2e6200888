#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No process outlives muster, whatever ends it and whatever its jobs are doing; and what a killed
muster leaves in the temporary directory is swept by the next one.

The harness looks for every process that a test started, children of jobs included."""
import os
import pathlib
import signal
import subprocess
import unittest

import harness
from harness import plugin

FAULTY = ("--plugin", plugin("faulty"))


def state(pid):
    """The letter of /proc/PID/stat; None when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return None


def ignores(pid, number):
    """Whether the process ignores the signal."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return False
    return bool(int(status.partition("SigIgn:")[2].split()[0], 16) >> (number - 1) & 1)


def has_mapped(pid, name):
    """Whether the process has a file of this name in its memory."""
    try:
        return name in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    except OSError:
        return False


def threads(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


class Killed(harness.Case):
    may_leave_files = True  # SIGKILL gives no chance to tidy up

    def start_map(self, *words):
        return self.start("map", *words, *FAULTY, "-j", "2")

    def workers_at_work(self, run, count=2):
        """Waits until so many workers are past their start."""
        return self.until(lambda: (pids := [pid for pid in run.children() if threads(pid) >= 4])
                          and len(pids) >= count and pids, "workers at work")

    def kill(self, run):
        """SIGKILL, to muster alone."""
        left = list(self.marked())
        self.assertGreater(len(left), 1, "workers")
        run.signal(signal.SIGKILL)
        self.assertEqual(run.process.wait(harness.LIMIT_S), -signal.SIGKILL)
        for stream in (run.process.stdin, run.process.stdout, run.process.stderr):
            stream.close()
        self.assert_processes_gone()

    def test_muster_killed_while_jobs_compute(self):
        run = self.start_map("busy", ":::", "1", "2", "3")
        self.workers_at_work(run)
        self.kill(run)

    def test_muster_killed_while_jobs_ignore_all_signals(self):
        run = self.start_map("deaf", ":::", "1", "2", "3")
        workers = self.workers_at_work(run)
        self.until(lambda: all(ignores(pid, signal.SIGCONT) for pid in workers), "workers are deaf")
        self.kill(run)

    def test_muster_killed_while_jobs_hang(self):
        run = self.start_map("hang", ":::", "1", "2", "3")
        self.workers_at_work(run)
        self.kill(run)

    def test_muster_killed_while_jobs_wait(self):
        run = self.start_map("wait_file", ":::", self.home / "never", self.home / "never")
        self.workers_at_work(run)
        self.kill(run)

    def test_muster_killed_while_workers_are_stopped(self):
        run = self.start_map("stop_self", "--heartbeat", "1000", ":::", "1", "2", "3")
        workers = self.workers_at_work(run)
        self.until(lambda: all(state(pid) == "T" for pid in workers), "workers have stopped themselves")
        self.kill(run)

    def test_muster_killed_while_workers_are_idle(self):
        run = self.start_map("echo")
        run.write("1\n")
        self.assertEqual(run.line(), "1")
        self.kill(run)

    def test_muster_killed_while_children_of_jobs_live(self):
        first, second = self.home / "first", self.home / "second"
        run = self.start_map("fork_child")
        run.write(f"{first}\n{second}\n")
        children = [int(run.line()), int(run.line())]
        self.until(lambda: [state(pid) for pid in children] == ["S", "S"], "the children sleep")
        self.kill(run)
        self.until(lambda: all(state(pid) in (None, "Z") for pid in children), "the children are gone")

    def test_muster_killed_at_any_moment_of_its_start(self):
        for processes in list(range(1, 4)) * 5:
            run = self.start_map("hang", ":::", "1", "2")
            self.until(lambda: len(list(self.marked())) >= min(processes, 3), "processes")
            run.signal(signal.SIGKILL)
            run.end()
            self.assert_processes_gone()

    def test_muster_killed_while_a_plugin_hangs_as_it_loads(self):
        run = self.start("map", "noop", "--plugin", plugin("constructor_hang"), ":::", "1")
        self.until(lambda: any(has_mapped(pid, "constructor_hang.so") for pid in run.children()), "the plug-in loads")
        self.kill(run)

    def test_whole_group_killed(self):
        run = self.start_map("busy", ":::", "1", "2")
        self.workers_at_work(run)
        os.killpg(run.pid, signal.SIGKILL)
        self.assertEqual(run.end().status, 128 + signal.SIGKILL)
        self.assert_processes_gone()

    def test_muster_crashes_in_a_job_of_its_own(self):
        result = self.muster("map", "crash", *FAULTY, "--model", "threads", ":::", "1")
        self.assertEqual(result.status, 128 + signal.SIGSEGV, str(result))


class Leftovers(harness.Case):
    def files(self):
        """The sockets of coordinators, dead and alive, and their locks."""
        return sorted((self.temporary / f"muster-{os.getuid()}").iterdir())

    def begin(self):
        """A muster that has worked and now waits for arguments."""
        run = self.start("map", "echo")
        run.write("1\n")
        self.assertEqual(run.line(), "1")
        return run

    def test_socket_of_a_killed_muster_is_swept_by_the_next(self):
        run = self.begin()
        run.signal(signal.SIGKILL)
        run.end()
        self.assert_processes_gone()
        self.assertEqual(len(self.files()), 2)
        self.assert_ok(self.muster("map", "noop", ":::", "1"), "null\n")
        self.assertEqual(self.files(), [])

    def test_large_output_of_a_killed_exec_is_swept_by_the_next_muster(self):
        script = "head -c 3000000 /dev/zero; test {} = 1 || exec sleep 1000"
        run = self.start("exec", "-k", "-j2", script, ":::", "2", "1")  # the first waits for its turn
        self.until(lambda: list(self.temporary.glob("muster-exec-*/*")), "output in a file with a name")
        self.assert_ok(self.muster("map", "noop", ":::", "1"), "null\n")
        (folder,) = self.temporary.glob("muster-exec-*")
        self.assertEqual(len(list(folder.iterdir())), 1, "of one that runs")
        run.signal(signal.SIGKILL)
        run.end()
        self.assert_processes_gone()
        self.assert_ok(self.muster("map", "noop", ":::", "1"), "null\n")
        self.assertEqual(list(self.temporary.glob("muster-exec-*")), [])

    def test_socket_of_a_running_muster_is_left_alone(self):
        first, second = self.begin(), self.begin()
        self.assertEqual(len(self.files()), 4)
        self.assert_ok(self.muster("map", "noop", ":::", "1"), "null\n")
        for run in (first, second):
            run.write("2\n3\n")
            self.assert_ok(run.end(), "2\n3\n")

    def test_socket_is_in_a_folder_closed_to_others(self):
        run = self.begin()
        socket, lock = self.files()
        self.assertEqual([path.stat().st_mode & 0o777 for path in (socket.parent, lock)], [0o700, 0o600])
        self.assert_ok(run.end(), "")

    def test_many_at_once_do_not_disturb_each_other(self):
        runs = [self.start("map", "echo", "-j", "1", ":::", f"{number}", stdin=subprocess.DEVNULL)
                for number in range(12)]
        for number, run in enumerate(runs):
            self.assert_ok(run.end(), f"{number}\n")


class Ended(harness.Case):
    def test_children_of_jobs_end_with_an_interrupted_batch(self):
        path = self.home / "child"
        run = self.start("map", "fork_child", *FAULTY)
        run.write(f"{path}\n")
        child = int(run.line())
        run.interrupt()
        self.assertEqual(run.process.wait(harness.LIMIT_S), 130)
        self.assert_gone(child)
        run.end()

    def test_children_of_jobs_end_with_their_killed_worker(self):
        path = self.home / "child"
        run = self.start("map", "fork_child", *FAULTY, "-j", "1")
        run.write(f"{path}\n")
        child = int(run.line())
        (worker,) = run.children()
        os.kill(worker, signal.SIGKILL)
        self.assert_gone(child)
        self.assert_ok(run.end(), "")

    def test_stopped_workers_do_not_hold_back_an_interrupt(self):
        run = self.start("map", "stop_self", *FAULTY, "-j", "2", "--heartbeat", "1000", ":::", "1", "2")
        workers = self.until(lambda: len(run.children()) == 2 and run.children(), "workers")
        self.until(lambda: all(state(pid) == "T" for pid in workers), "workers have stopped themselves")
        run.interrupt()
        self.assert_fails(run.end(), 130, "interrupted: 0 of 2 jobs done")


class SecondSignal(harness.Case):
    may_leave_files = True  # muster ends at once

    def test_second_interrupt_ends_muster_that_is_stuck_in_a_write(self):
        run = self.start("map", "echo", ":::", "1..1000000000")
        self.until(lambda: stuck_in_write(run.pid), "nobody reads and the pipe is full")
        run.signal(signal.SIGINT)
        self.until(lambda: not pending(run.pid, signal.SIGINT), "the first was taken")
        run.signal(signal.SIGINT)
        self.assertEqual(run.process.wait(harness.LIMIT_S), 130)
        self.assert_processes_gone()
        run.end()

    def test_one_interrupt_ends_muster_that_is_stuck_in_a_write(self):
        run = self.start("map", "echo", ":::", "1..1000000000")
        self.until(lambda: stuck_in_write(run.pid), "nobody reads and the pipe is full")
        run.signal(signal.SIGINT)
        self.assertEqual(run.process.wait(harness.LIMIT_S), 130)
        self.assert_processes_gone()
        run.end()


def stuck_in_write(pid):
    """Whether the main thread sleeps while it writes to the pipe."""
    wchan = pathlib.Path(f"/proc/{pid}/wchan").read_text(encoding="ascii")
    return "pipe" in wchan


def pending(pid, number):
    """Whether the signal waits to be taken by some thread of the process."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    mask = next(line for line in text.splitlines() if line.startswith("ShdPnd:")).split()[1]
    return int(mask, 16) >> (number - 1) & 1


if __name__ == "__main__":
    harness.main()
