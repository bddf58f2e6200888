#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Commands that cannot be run, or of which the worker is taken away: what is said of each, and the others run."""
import base64
import ctypes
import fcntl
import json
import os
import pathlib
import resource
import shlex
import struct
import sys

import harness

# Of seccomp(2), for x86-64 and what else has these numbers: openat with O_TMPFILE has EOPNOTSUPP, as on a file
# system without such files.
OPENAT = {"x86_64": 257, "aarch64": 56}.get(os.uname().machine)
NO_FILES_WITHOUT_NAMES = b"".join(struct.pack("HBBI", *line) for line in (
    (0x20, 0, 0, 0),  # the number of the call
    (0x15, 0, 3, OPENAT or 0),
    (0x20, 0, 0, 32),  # its third argument
    (0x45, 0, 1, 0o20000000),  # __O_TMPFILE
    (0x06, 0, 0, 0x00050000 | 95),
    (0x06, 0, 0, 0x7FFF0000),
))


class Case(harness.Case):
    def exec(self, *arguments, **options):
        return self.muster("exec", *arguments, **options)

    def make(self, name, content, mode=0o755):
        path = self.home / name
        path.write_bytes(content)
        path.chmod(mode)
        return path


class Programs(Case):
    def test_what_is_no_program_is_126_and_what_is_not_there_127(self):
        program = bytearray(pathlib.Path("/bin/true").read_bytes())
        program[18:20] = b"\xff\xfe"  # the machine it is for
        (self.home / "folder").mkdir()
        for path, status, words in (
                (self.home / "none", 127, "No such file or directory"),
                ("no-such-program", 127, "command not found"),
                (self.make("plain", b"echo\n", 0o644), 126, "Permission denied"),
                (self.home / "folder", 126, "Permission denied"),
                (self.make("foreign", bytes(program)), 126, "Exec format error"),
                (self.make("lost", b"#!/nonexistent/interpreter\n"), 127, "No such file or directory")):
            result = self.exec("-k", "{}", ":::", f"{path}", "echo next")  # without a shell
            self.assert_fails(result, 1, f"muster: {path}: {words}", f"exit status {status}: it could not be started")
            self.assertEqual(result.out, "next\n")
            result = self.exec(f"{path} | cat; exit ${{PIPESTATUS[0]}} #", ":::", "x", env={"SHELL": "/bin/bash"})
            self.assert_fails(result, 1, f"exit status {status}")

    def test_text_without_an_interpreter_is_a_script(self):
        self.assert_ok(self.exec(self.make("script", b"echo $1\n"), ":::", "x"), "x\n")
        self.assert_ok(self.exec(self.make("empty", b""), ":::", "x"), "")

    def test_argument_longer_than_the_kernel_takes_is_named_with_the_limit(self):
        result = self.muster("map", "command", "-o", "json", text=json.dumps({"argv": ["/bin/echo", "x" * 140000]}) + "\n")
        (code, *_, error, _sandbox) = json.loads(result.out)["result"]
        self.assertEqual(code, 126)
        self.assertRegex(base64.b64decode(error).decode(), "^muster: /bin/echo: 1400.. bytes of arguments and .* of environment: "
                         "the kernel takes .* together, and [0-9]+ in one\n$")

    def test_odd_bytes_in_arguments_arrive(self):
        with open(self.home / "input", "wb") as file:
            file.write(b"\xff\xfe\0a\nb\0")
        for command in (["/usr/bin/printf", "[%s]"], ["printf '[%s]' {}; true"]):
            with open(self.home / "input", "rb") as file:
                result = self.exec("-k", "-0", *command, stdin=file)
            self.assertEqual((result.status, result.out.encode(errors="surrogateescape")), (0, b"[\xff\xfe][a\nb]"))

    def test_closed_output_is_the_problem_of_the_command(self):
        result = self.exec("-k", "test {} = 1 && exec >&- 2>&-; echo {}", ":::", "1", "2")
        self.assert_fails(result, 1, "job 1.1", "exit status 1")
        self.assertEqual(result.out, "2\n")


class Folders(Case):
    def test_missing_folder_is_made(self):
        self.assert_ok(self.exec("--wd", self.home / "a/b", "-n0", "pwd", ":::", "x"), f"{self.home}/a/b\n")

    def test_folder_that_cannot_be_is_refused(self):
        self.make("file", b"")
        self.assert_one_line_error(self.exec("--wd", self.home / "file/a", "true", ":::", "x"), "--wd", "Not a directory")
        self.assert_one_line_error(self.exec("--wd", "...", "true", ":::", "x"), "--wd ...", "one folder for all")

    def test_folder_for_output_that_cannot_be_is_refused(self):
        for folder in ("/nonexistent", self.make("file", b"")):
            self.assert_one_line_error(self.exec("--tmpdir", folder, "true", ":::", "x"), f"output in {folder}")

    def test_output_is_whole_where_files_must_have_names(self):
        if not OPENAT:
            self.skipTest("the number of openat is not known here")
        library = ctypes.CDLL(None, use_errno=True)
        code = ctypes.create_string_buffer(NO_FILES_WITHOUT_NAMES)
        program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(NO_FILES_WITHOUT_NAMES) // 8,
                                                          ctypes.addressof(code)))
        if os.fork() == 0:  # the filter is for ever
            try:
                library.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
                if library.prctl(22, 2, program) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
                    os._exit(77)
                result = self.exec("-k", "echo {}; head -c {} /dev/zero; echo e >&2", ":::", "3000000", "10")
                right = result.out == "".join(f"{n}\n" + "\0" * n for n in (3000000, 10)) and result.err == "e\ne\n"
                os._exit(0 if right and result.status == 0 else 1)
            finally:
                os._exit(2)
        status = os.waitstatus_to_exitcode(os.wait()[1])
        if status == 77:
            self.skipTest("no filters of system calls here")
        self.assertEqual(status, 0)


class Descriptors(Case):
    def test_program_that_stops_appending_to_its_output_leaves_no_gap_to_the_next(self):
        program = shlex.join([sys.executable, "-c", "import fcntl; fcntl.fcntl(1, fcntl.F_SETFL, 0); print('x')"])
        self.assert_ok(self.exec("-k", "-j1", f"{program}; echo {{}}", ":::", "1", "2", "3"), "x\n1\nx\n2\nx\n3\n")
        line = f"test -e {self.home}/once && exec echo {{}}; touch {self.home}/once; {program}; exit 1"
        self.assert_ok(self.exec("-j1", "--retries", "2", line, ":::", "1"), "1\n")

    def test_output_that_a_program_made_non_blocking_is_waited_for(self):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)  # less than a line
        running = self.start("exec", "-v", "-u", "-j1", ": {}", ":::", "x" * 100000, "y" * 100000, stdout=writer)
        os.close(writer)
        with open(reader, "rb") as file:
            shown = file.read()
        self.assert_ok(running.end())
        self.assertEqual(shown.decode(), f": {'x' * 100000}\n: {'y' * 100000}\n")

    def test_descriptor_that_a_worker_made_is_for_no_job(self):
        jobs = "".join(json.dumps({"argv": ["/bin/true"], "stdout": fd}) + "\n" for fd in range(3, 23))
        result = self.muster("map", "command", text=jobs)
        self.assert_fails(result, 20, *(f" {fd} is no descriptor that this worker has inherited" for fd in range(3, 23)))


class Nested(Case):
    may_leave_files = True

    def test_what_a_run_in_a_run_started_ends_with_the_worker_of_the_outer_one(self):
        inner = f"{harness.MUSTER} exec -j1 'setsid sleep 1000 & kill -KILL $OUTER; wait #' ::: x"
        self.assert_ok(self.exec("-j1", f"test -e {self.home}/once && exec echo {{}}; touch {self.home}/once; "
                                 f"OUTER=$PPID {inner} #", ":::", "1", "2"), "1\n2\n")


class Workers(Case):
    def test_command_that_kills_its_worker_each_time_is_named_and_others_run(self):
        result = self.exec("-k", "-j1", f"echo >>{self.home}/runs; test {{}} = 2 && kill -KILL $PPID && sleep 1000; echo {{}}",
                           ":::", "1", "2", "3")
        self.assert_fails(result, 1, "job 1.2 ", "killed by SIGKILL", "1 of 3 jobs failed")
        self.assertEqual(result.out, "1\n3\n")
        self.assertEqual((self.home / "runs").read_text(), "\n" * 5, "it ran three times")

    def test_stopped_worker_is_replaced_with_its_command(self):
        line = f"test -e {self.home}/once || {{ touch {self.home}/once; kill -STOP $PPID; sleep 1000; }}; echo {{}}"
        self.assert_ok(self.exec("-k", "-j1", line, ":::", "1", "2"), "1\n2\n")

    def test_more_jobs_than_descriptors_is_refused(self):
        self.assert_one_line_error(self.exec("-j", "1000", "true", ":::", *map(str, range(1000)),
                                             limits={resource.RLIMIT_NOFILE: 64}), "1000 workers need", "ulimit -n")


if __name__ == "__main__":
    harness.main()
