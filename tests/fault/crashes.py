#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is told of a job that crashed: the signal, the address, the stack, and how to run it again."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import unittest

import harness
from harness import plugin

FAULTY = ("--plugin", plugin("faulty"))
CRASHING = ("--plugin", plugin("crashing"))


def memory_group():
    """A cgroup below that of this process; None where there is no memory controller of version 1."""
    for line in pathlib.Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            group = pathlib.Path("/sys/fs/cgroup/memory", path.lstrip("/"), f"muster-test-{os.getpid()}")
            try:
                group.mkdir()
                return group
            except OSError:
                return None
    return None


def alone(said):
    """The command line that is said to run the job again."""
    return re.search(r"^muster: that job alone: (.*)$", said, re.M).group(1)


class Case(harness.Case):
    def run_line(self, line, **options):
        return subprocess.run(["/bin/sh", "-c", line], env=self.env, capture_output=True, check=False, text=True, **options)

    def in_debugger(self, said):
        """What a debugger says that is started as it is said."""
        if not shutil.which("gdb"):
            self.skipTest("there is no gdb here")
        if harness.SANITIZE:
            self.skipTest("sanitizers do not run in a debugger")
        line = re.search(r"^muster: in a debugger: gdb (.*)$", said, re.M).group(1)
        shown = self.run_line(f"gdb -nx -batch -ex 'set debuginfod enabled off' {line}", stdin=subprocess.DEVNULL)
        if "ptrace" in shown.stderr and "not permitted" in shown.stderr:
            self.skipTest("processes cannot be traced here")
        self.assertIn("received signal SIGSEGV", shown.stdout, shown)
        return shown.stdout


class Told(Case):
    def crash(self, function, *arguments, words=("1",), **options):
        """Standard error of a run whose one job crashes."""
        result = self.muster("map", function, "--crash-limit", "1", "-j1", *arguments, ":::", *words, **options)
        self.assertEqual(result.status, 1, result)
        self.assertEqual(result.err.count("muster: job 1.1 "), 1, result)
        return result.err

    def confined(self):
        """Where a sandbox can be: jobs must not be able to write to the coordinator's sockets."""
        for name in ("run", "work"):
            (self.home / name).mkdir()
        self.env["XDG_RUNTIME_DIR"] = str(self.home / "run")
        return {"cwd": self.home / "work"}

    def test_fault_has_address_stack_and_lines(self):
        said = self.crash("crash", *FAULTY)
        self.assertRegex(said, r"killed by SIGSEGV \(Segmentation fault\), peak memory \d+ MiB, at address 0x0, "
                               r"in faulty_segfault \(faulty_ends\.c:\d+\) < faulty_crash \(faulty_ends\.c:\d+\) < ")

    def test_abort_names_who_called_it(self):
        self.assertRegex(self.crash("abort", *FAULTY), r"SIGABRT [^\n]* in [^\n]* < faulty_abort \(faulty_ends\.c:\d+\)")

    def test_overflow_of_the_stack_is_no_other_fault(self):
        said = self.crash("overflow", *FAULTY)
        self.assertRegex(said, r"SIGSEGV [^\n]*, its stack overflowed, in recurse \(faulty_ends\.c:\d+\)")
        self.assertNotIn("at address", said)

    def test_sigkill_from_outside_has_no_fault(self):
        self.assertRegex(self.crash("kill_self", *FAULTY), r"killed by SIGKILL \(Killed\), peak memory \d+ MiB\n")

    def test_kill_for_lack_of_memory_is_told(self):
        group = memory_group()
        if not group:
            self.skipTest("no cgroups of version 1 that limit memory can be made here")
        try:
            (group / "memory.limit_in_bytes").write_text(str(96 << 20), encoding="ascii")
            line = (f'echo $$ >{group}/tasks && exec {harness.MUSTER} map leak --crash-limit 1 -j1 --plugin '
                    f'{plugin("faulty")} ::: 400000000')
            result = self.muster("-c", line, command="/bin/sh")
            self.assert_fails(result, 1, "killed by SIGKILL", "the kernel killed for lack of memory")
        finally:
            self.assert_processes_gone()
            group.rmdir()

    def test_in_a_sandbox_it_is_told_all_the_same(self):
        said = self.crash("crash", "--sandbox", *FAULTY, **self.confined())
        self.assertIn("in faulty_segfault (faulty_ends.c", said)

    @unittest.skipIf(os.uname().machine != "x86_64", "other machines leave less")
    def test_call_to_nowhere_names_the_caller(self):
        said = self.crash("crashing", *CRASHING, words=("nowhere",))
        self.assertRegex(said, r"at address 0x0, in 0x0 < call_nowhere \(crashing\.c:\d+\)")

    @unittest.skipIf(os.uname().machine != "x86_64", "the stack is lost in its assembler")
    def test_handler_that_crashes_leaves_what_it_had_written(self):
        said = self.crash("crashing", *CRASHING, words=("stack",))
        self.assertIn("killed by SIGSEGV", said)
        self.assertIn("in lose_stack (crashing.c", said)

    def test_illegal_instruction(self):
        self.assertRegex(self.crash("crashing", *CRASHING, words=("trap",)), r"SIGILL [^\n]*in crashing \(crashing\.c:")

    def test_breakpoint_ends_the_job(self):
        """The instruction is over when its signal comes: it does not come again by itself."""
        said = self.crash("crashing", *CRASHING, words=("breakpoint",))
        self.assertRegex(said, r"killed by SIGTRAP [^\n]*MiB, in [^\n]*breakpoint \(crashing\.c:")

    def test_trapped_system_call_ends_the_job(self):
        said = self.crash("crashing", *CRASHING, words=("call",))
        self.assertRegex(said, r"killed by SIGSYS [^\n]*MiB, in [^\n]*trapped_call \(crashing\.c:")

    @unittest.skipIf(os.uname().machine != "x86_64", "other machines have that address")
    def test_general_protection_fault_has_no_address(self):
        said = self.crash("crashing", *CRASHING, words=("protection",))
        self.assertRegex(said, r"killed by SIGSEGV [^\n]*MiB, in protection \(crashing\.c:")

    def test_overrun_at_the_upper_end_of_the_stack_is_no_overflow(self):
        said = self.crash("crashing", *CRASHING, words=("overrun",))
        self.assertRegex(said, r"killed by SIGSEGV [^\n]*MiB, at address 0x[0-9a-f]+, in overrun \(crashing\.c:")

    def test_overflow_in_a_sandbox_is_told_as_one(self):
        self.assertIn(", its stack overflowed, in recurse", self.crash("overflow", "--sandbox", *FAULTY, **self.confined()))

    def test_handler_of_a_plugin_stays(self):
        said = self.crash("crashing", *CRASHING, words=("nowhere",), env={"MUSTER_TEST_HANDLER": "1"})
        self.assertIn("ended with exit status 33", said)

    def test_plugin_with_a_long_path_is_told_with_names(self):
        folder = self.home.joinpath(*["d" * 100] * 5)
        folder.mkdir(parents=True)
        shutil.copy(plugin("faulty"), folder / "mine.so")
        self.assertIn("in faulty_segfault (faulty_ends.c", self.crash("crash", "--plugin", folder / "mine.so"))

    def crash_of_a_plugin_that_becomes(self, become):
        """What is told of a crash behind become(the plug-in's file)."""
        mine, out, err = self.home / "mine.so", self.home / "out", self.home / "err"
        shutil.copy(plugin("faulty"), mine)
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            run = self.start("map", "crash", "--plugin", mine, "-j1", "--crash-limit", "1", stdout=stdout, stderr=stderr)
        run.write("false\n")
        self.until(lambda: out.read_bytes() == b"false\n", "the plug-in is loaded")
        become(mine)
        run.write("1\n")
        self.assertEqual(run.end().status, 1)
        return err.read_text(encoding="utf-8")

    def test_plugin_that_became_a_pipe_holds_nobody_up(self):
        def pipe(mine):
            mine.unlink()
            os.mkfifo(mine)

        self.assertRegex(self.crash_of_a_plugin_that_becomes(pipe), r"SIGSEGV [^\n]* in [^\n]*mine\.so\+0x")

    def test_plugin_that_lacks_its_second_half_costs_no_other_file_its_names(self):
        def half(mine):
            whole = mine.read_bytes()
            mine.unlink()
            mine.write_bytes(whole[:len(whole) // 2])

        self.assertRegex(self.crash_of_a_plugin_that_becomes(half), r"SIGSEGV [^\n]* < call_run \(call\.c:")

    def test_command_line_runs_that_job_again(self):
        said = self.crash("crashing", *CRASHING, words=("nowhere",))
        line = alone(said)
        again = subprocess.run(["/bin/sh", "-c", line], env=self.env, capture_output=True, check=False, text=True)
        self.assertIn(again.returncode, (-11, 139), again)
        self.assertIn(f"muster: in a debugger: gdb -ex run --args {line}\n", said)

    def test_command_line_of_a_job_that_was_confined_confines_it_again(self):
        where = self.confined()
        said = self.crash("crash", "--sandbox=net", *FAULTY, **where)
        line = alone(said)
        self.assertIn("--sandbox=net", line)
        self.assertNotIn("gdb", said)
        again = self.run_line(f"{line} --stats -", **where)
        self.assertEqual(again.returncode, 1, again)
        self.assertIn("in faulty_segfault (faulty_ends.c", again.stderr)
        self.assertIn('"sandbox":', again.stderr)

    def test_command_line_of_a_confined_job_asks_no_coordinator(self):
        where = self.confined()
        said = self.crash("crash", "--sandbox", *FAULTY, **where)
        self.env["MUSTER_COORDINATOR"] = f"ipc://{self.home}/nobody"
        again = self.run_line(alone(said), **where)
        self.assertEqual(again.returncode, 1, again)
        self.assertIn("in faulty_segfault (faulty_ends.c", again.stderr)

    def test_command_line_has_the_limits_that_the_job_had(self):
        limits = ("--concurrency", "2") if harness.SANITIZE else ("--memory", "268435456", "--concurrency", "2")
        said = self.crash("crash", *limits, *FAULTY)
        self.assertIn(" ".join(limits), alone(said))
        self.assertNotIn("gdb", said)
        again = self.run_line(alone(said))
        self.assertEqual(again.returncode, 1, again)
        self.assertIn("SIGSEGV", again.stderr)

    def test_debugger_stops_where_it_crashed(self):
        self.assertIn("faulty_segfault", self.in_debugger(self.crash("crash", *FAULTY)))

    def test_record_of_a_crash_has_the_command_line(self):
        result = self.muster("map", "crash", "--crash-limit", "1", "-j1", "-o", "json", *FAULTY, ":::", "1", "false")
        crashed, fine = map(json.loads, result.out.splitlines())
        self.assertNotIn("again", fine)
        self.assertIn(self.run_line(crashed["again"]).returncode, (-11, 139))

    def test_command_line_quotes_its_argument(self):
        said = self.crash("crash", *FAULTY, words=("it's $HOME",))
        self.assertRegex(said, r"--model inline ':::' '\"it'\"'\"'s \$HOME\"'\n")

    def test_many_crashes_tell_one_command_line(self):
        result = self.muster("map", "crash", "--crash-limit", "1", *FAULTY, ":::", "1..5")
        self.assertEqual(result.err.count("that job alone"), 1, result)


class Commands(Case):
    """Commands that a signal of their own doing ended."""

    COMMAND = "echo {}; kill -SEGV $$"
    WORD = "it's {} $HOME"

    def again(self, line, where=None):
        done = subprocess.run(["/bin/sh", "-c", line], env=self.env, capture_output=True, check=False, text=True,
                              cwd=where)
        self.assertEqual((done.returncode, done.stdout), (1, f"{self.WORD}\n"), done)
        return done.stderr

    def test_command_line_runs_that_command_again(self):
        result = self.muster("exec", self.COMMAND, ":::", self.WORD)
        line = alone(result.err)
        self.assertIn("killed by signal 11", self.again(line))
        self.assertIn("muster: in a debugger: gdb ", result.err)

    def test_command_that_was_confined_is_confined_again(self):
        for name in ("run", "work"):
            (self.home / name).mkdir()
        self.env["XDG_RUNTIME_DIR"] = str(self.home / "run")
        result = self.muster("exec", "--sandbox", "--workdir", self.home / "work", self.COMMAND, ":::", self.WORD)
        line = alone(result.err)
        self.assertRegex(line, r" exec --coordinator none --sandbox --workdir [^ ]*/work ")
        self.again(line)
        self.assertNotIn("gdb", result.err)

    def test_record_of_a_crash_has_the_command_line(self):
        result = self.muster("exec", "-o", "json", self.COMMAND, ":::", self.WORD)
        self.again(json.loads(result.out)["again"])
        for line in ("exit 3 #", "kill -TERM $$ #"):
            self.assertNotIn("again", json.loads(self.muster("exec", "-o", "json", line, ":::", "1").out))

    def test_command_line_has_the_limits_that_the_command_had(self):
        limits = "--cpu-time 100 --open-files 50 --file-size 4096"
        result = self.muster("exec", *limits.split(), "ulimit -n; kill -SEGV $$ #", ":::", "x")
        self.assertIn(limits, alone(result.err))
        self.assertNotIn("gdb", result.err)
        self.assertEqual(self.run_line(alone(result.err)).stdout, "50\n")

    def test_debugger_stops_in_the_command(self):
        self.in_debugger(self.muster("exec", "kill -SEGV $$ #", ":::", "x").err)

    def test_command_of_another_folder_has_no_line_for_a_debugger(self):
        """It would run in the folder of whoever types it."""
        said = self.muster("exec", "--workdir", self.home, "kill -SEGV $$ #", ":::", "x").err
        self.assertIn(" --workdir ", alone(said))
        self.assertNotIn("gdb", said)

    def test_command_of_several_lines_is_not_told_as_another(self):
        """What it is with '?' for the ends of its lines would do something else."""
        command = "echo {} >>log\nkill -SEGV $$ #"
        result = self.muster("exec", "-j1", command, ":::", "x", cwd=self.home)
        self.assertIn("killed by signal 11", result.err)
        self.assertNotIn("alone", result.err)
        record = json.loads(self.muster("exec", "-o", "json", command, ":::", "y", cwd=self.home).out)
        self.run_line(record["again"], cwd=self.home)
        self.assertEqual((self.home / "log").read_text(encoding="ascii"), "x\ny\ny\n")


class AtACoordinator(Case):
    """Its workers may be confined, and a client does not know of what files its functions are: they run there again."""

    def setUp(self):
        super().setUp()
        folder = self.home / "socket"
        folder.mkdir(mode=0o700)
        self.endpoint = f"ipc://{folder}/s"
        log = self.home / "log-of-it"
        with open(log, "wb") as stderr:
            self.daemon = self.start("coordinator", "-j1", "--listen", self.endpoint, *FAULTY, stderr=stderr)
        self.until(lambda: b"1 worker; " in log.read_bytes(), "the coordinator says that it is ready")

    def tearDown(self):
        self.daemon.signal(signal.SIGTERM)
        self.daemon.process.wait(harness.LIMIT_S)
        super().tearDown()

    def crashes_there(self, line):
        """The command line has its job crash a worker of the coordinator, and does not crash itself."""
        again = self.run_line(line)
        self.assertEqual((again.returncode, again.stdout), (1, ""), again)
        self.assertIn("in faulty_segfault (faulty_ends.c", again.stderr)

    def test_command_line_of_a_function_has_it_run_there_again(self):
        words = ("map", "crash", "--crash-limit", "1", "--coordinator", self.endpoint)
        result = self.muster(*words, ":::", "1")
        self.assert_fails(result, 1, "in faulty_segfault (faulty_ends.c")
        self.assertNotIn("gdb", result.err)
        self.env["MUSTER_COORDINATOR"] = f"ipc://{self.home}/nobody"
        self.crashes_there(alone(result.err))
        self.crashes_there(json.loads(self.muster(*words, "-o", "json", ":::", "1").out)["again"])

    def test_results_of_a_batch_have_the_command_line_of_a_job_that_crashed(self):
        there = ("--coordinator", self.endpoint)
        detached = self.muster("map", "crash", "--crash-limit", "1", "--detach", *there, ":::", "false", "it's $HOME", "1")
        number = detached.out.strip()
        self.assertEqual(self.muster("wait", number, *there).status, 2)
        result = self.muster("results", number, *there)
        self.assertEqual((result.status, result.out), (2, "false\n"), result)
        self.assertEqual(result.err.count("that job alone"), 1, result)
        self.assertNotIn("gdb", result.err)
        line = alone(result.err)
        self.assertIn(""" ':::' '"it'"'"'s $HOME"'""", line)
        self.crashes_there(line)
        fine, first, second = map(json.loads, self.muster("results", number, "-o", "json", *there).out.splitlines())
        self.assertNotIn("again", fine)
        self.assertEqual(first["again"], line)
        self.crashes_there(second["again"])

    def test_command_line_of_a_command_asks_no_coordinator(self):
        self.env["MUSTER_COORDINATOR"] = self.endpoint
        said = self.muster("exec", "echo here; kill -SEGV $$ #", ":::", "x").err
        self.env["MUSTER_COORDINATOR"] = f"ipc://{self.home}/nobody"
        again = self.run_line(alone(said))
        self.assertEqual((again.returncode, again.stdout), (1, "here\n"), again)


if __name__ == "__main__":
    harness.main()
