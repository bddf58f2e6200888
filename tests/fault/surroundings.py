#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Machines that are short of something, and parents that hand on strange habits: muster works, or
says in one line what is missing, and leaves nothing behind."""
import os
import pathlib
import resource
import signal
import subprocess
import unittest

import harness
from harness import as_root, plugin

FAULTY = ("--plugin", plugin("faulty"))


def runs(pid, program):
    """Whether the process runs this program."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8") == f"{program}\n"
    except OSError:
        return False


class Descriptors(harness.Case):
    @unittest.skipIf(harness.SANITIZE, "sanitizers need descriptors of their own")
    def test_any_limit_of_descriptors_is_survived_or_refused(self):
        refused = worked = 0
        for limit in (*range(4, 64), 100, 200):
            result = self.muster("map", "echo", "-j", "2", "--stats", "-", *FAULTY, ":::", "1..100",
                                 limits={resource.RLIMIT_NOFILE: limit})
            if result.status == 0:
                worked += 1
                self.assertEqual(result.out, "".join(f"{number}\n" for number in range(1, 101)))
                continue
            refused += 1
            self.assertEqual((result.status, result.out), (255, ""), f"limit {limit}: {result}")
            self.assertRegex(result.err, r"\Amuster: [^\n]+\n\Z", f"limit {limit}")
        self.assertGreater(refused, 0)
        self.assertGreater(worked, 0)

    def test_more_workers_than_descriptors_allow_are_refused_with_the_way_out(self):
        result = self.muster("map", "noop", "-j", "1000", ":::", "1", limits={resource.RLIMIT_NOFILE: 256})
        self.assert_one_line_error(result, "1000 workers need", "file descriptors", "-j", "ulimit -n")

    def test_limit_is_no_matter_in_process(self):
        result = self.muster("map", "echo", "--model", "threads", ":::", "1", limits={resource.RLIMIT_NOFILE: 12})
        self.assert_ok(result, "1\n")


class Folders(harness.Case):
    def check_refused(self, folder, *words, variable="TMPDIR"):
        result = self.muster("map", "noop", ":::", "1", env={variable: str(folder)})
        self.assert_one_line_error(result, variable if variable in words else "", *words)

    def test_folder_that_does_not_exist(self):
        self.check_refused("/nonexistent", "/nonexistent", "TMPDIR", "No such file")
        self.check_refused("/nonexistent", "/nonexistent", "XDG_RUNTIME_DIR", variable="XDG_RUNTIME_DIR")

    def test_folder_that_is_a_file(self):
        file = self.home / "file"
        file.touch()
        self.check_refused(file, str(file), "Not a directory")

    def test_folder_that_cannot_be_written(self):
        self.check_refused("/proc", "/proc/muster-", "TMPDIR")

    def test_folder_whose_name_is_too_long_for_a_socket(self):
        folder = self.home / ("x" * 100)
        folder.mkdir()
        self.check_refused(folder, "TMPDIR", "too long for sockets")

    def test_folder_that_is_open_to_others_is_not_trusted(self):
        own = self.temporary / f"muster-{os.getuid()}"
        own.mkdir()
        own.chmod(0o755)
        self.check_refused(self.temporary, str(own), "0700")

    def test_folder_that_is_a_link_is_not_followed(self):
        elsewhere = self.home / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        (self.home / "links").mkdir()
        (self.home / "links" / f"muster-{os.getuid()}").symlink_to(elsewhere)
        self.check_refused(self.home / "links", f"muster-{os.getuid()}")
        self.assertEqual(list(elsewhere.iterdir()), [])

    def test_full_folder(self):
        full = self.home / "full"
        full.mkdir()
        for inodes in (1, 2, 3):  # the folder itself; the user's; the lock
            command = as_root(f"mount -t tmpfs -o nr_inodes={inodes} none {full}", harness.MUSTER, "map", "noop", ":::",
                              "1")
            if not command:
                self.skipTest("tmpfs cannot be mounted here")
            result = self.start(*command[1:], command=command[0], env={"TMPDIR": str(full)}).end()
            self.assert_one_line_error(result, str(full), "No space left on device")

    @unittest.skipIf("thread" in harness.SANITIZE, "the thread sanitizer's own files may not grow either")
    @unittest.skipIf(harness.COVERAGE, "what is counted may not grow either")
    def test_output_beyond_the_limit_of_file_sizes_is_an_error(self):
        for limit, words in ((0, ()), (1 << 20, ("standard output", "File too large"))):
            with open(self.home / "out", "wb") as out:
                result = self.muster("map", "echo", "-j", "1", ":::", "1..300000", stdout=out,
                                     limits={resource.RLIMIT_FSIZE: limit})
            self.assert_fails(result, 255, *words)
            self.assertRegex(result.err, r"\Amuster: [^\n]+\n\Z", f"limit {limit}")

    def test_output_on_a_full_file_system_is_an_error(self):
        full = self.home / "full"
        full.mkdir()
        mount = f"mount -t tmpfs -o size=64k none {full} && exec >{full}/out 2>{self.home}/err"
        command = as_root(mount, harness.MUSTER, "map", "echo", ":::", "1..1000000")
        if not command:
            self.skipTest("tmpfs cannot be mounted here")
        result = self.start(*command[1:], command=command[0]).end()
        self.assertEqual((result.status, (self.home / "err").read_text()),
                         (255, "muster: standard output: No space left on device\n"))


class Parents(harness.Case):
    def test_parent_that_ignores_its_children(self):
        def start(*words):
            return self.start("--ignore-signal=CHLD", harness.MUSTER, *words, command="env")

        good = start("map", "echo", ":::", "1..1000")
        bad = start("map", "crash", *FAULTY, ":::", "false", "1")
        refused = start("map", "noop", "--plugin", plugin("constructor_crash"), ":::", "1")
        self.assert_ok(good.end(), "".join(f"{number}\n" for number in range(1, 1001)))
        result = bad.end()
        self.assert_fails(result, 1, "job 1.2 (argument 1): crashed its worker 3 times", "killed by SIGSEGV")
        self.assertEqual(result.out, "false\n")
        self.assert_one_line_error(refused.end(), "crashed as it loaded")

    def test_parent_that_blocks_all_signals(self):
        old = signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
        try:
            run = self.start("map", "busy", *FAULTY, "--timeout", "0.2", ":::", "1", "false")
            stuck = self.start("map", "busy", *FAULTY, ":::", "1")
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
        result = run.end()
        self.assert_fails(result, 1, "timed out after 0.2 s")
        self.until(stuck.children, "a worker")
        stuck.signal(signal.SIGTERM)
        self.assertEqual(stuck.end().status, 143)

    def test_workers_do_not_hold_the_pipes_of_muster(self):
        """Who waits for the end of the output waits for muster alone."""
        with open(self.home / "err", "wb") as err:
            run = self.start("map", "echo", "-j", "1", stderr=err)
        run.write("1\n")
        self.assertEqual(run.line(), "1")
        (worker,) = run.children()
        open_files = [os.readlink(path) for path in pathlib.Path(f"/proc/{worker}/fd").iterdir()]
        self.assertEqual([name for name in open_files if name.startswith("pipe:")], [])
        self.assertEqual(run.end().status, 0)

    def test_thread_of_a_plugin_keeps_no_worker_from_starting(self):
        self.assert_ok(self.muster("map", "threaded", "--plugin", plugin("constructor_thread"), ":::", "1"), "1\n")

    @unittest.skipIf(harness.SANITIZE, "a sanitizer's library has to be the first")
    def test_thread_of_a_preloaded_library_keeps_no_worker_from_starting(self):
        result = self.muster("exec", "echo", ":::", "1", env={"LD_PRELOAD": plugin("constructor_thread")})
        self.assert_ok(result, "1\n")

    def test_program_that_a_job_becomes_has_no_descriptor_of_its_worker(self):
        run = self.start("map", "exec", *FAULTY, "-j", "1", ":::", "true")
        program = self.until(lambda: next((pid for pid in run.children() if runs(pid, "sleep")), None), "the program")
        self.assertEqual(sorted(os.listdir(f"/proc/{program}/fd")), ["0", "1", "2"])
        run.interrupt()
        self.assertEqual(run.end().status, 130)

    def test_environment_that_is_empty(self):
        result = subprocess.run([harness.MUSTER, "map", "echo", ":::", "1"], env={"TMPDIR": str(self.temporary)} | harness.SANITIZER_OPTIONS,
                                capture_output=True, timeout=harness.LIMIT_S, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"1\n", b""))

    def test_folder_of_work_that_was_removed(self):
        gone = self.home / "gone"
        gone.mkdir()
        command = f'cd {gone} && rmdir {gone} && exec "$0" map echo ::: 1'
        self.assert_ok(self.start("-c", command, harness.MUSTER, command="/bin/sh").end(), "1\n")

    def test_program_that_was_replaced_while_it_runs(self):
        """Workers that start later are of the same program, or the batch says why there are none."""
        copy = self.home / "muster"
        copy.write_bytes(pathlib.Path(harness.MUSTER).read_bytes())
        copy.chmod(0o755)
        run = self.start("map", "echo", "-j", "1", command=str(copy))
        copy.unlink()
        run.write("1\n")
        result = run.end()
        if result.status == 0:
            self.assertEqual(result.out, "1\n")
        else:
            self.assert_one_line_error(result, str(copy), "No such file")


if __name__ == "__main__":
    harness.main()
