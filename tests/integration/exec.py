#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Commands over arguments: what they are made of, what becomes of them, what is said of it."""
import json
import os
import resource
import shutil
import signal
import subprocess
import unittest

import harness


class Commands(harness.Case):
    def exec(self, *arguments, **options):
        return self.muster("exec", *arguments, **options)

    def test_arguments_are_put_where_the_braces_are_or_at_the_end(self):
        self.assert_ok(self.exec("-k", "echo", "a{}b", ":::", "1", "2"), "a1b\na2b\n")
        self.assert_ok(self.exec("-k", "echo", "x", ":::", "1", "2"), "x 1\nx 2\n")

    def test_shell_lines_run_in_a_shell_and_arguments_are_quoted_for_it(self):
        words = ["a b", "$HOME", "it's", "*", ";exit 3", "\\", "~"]
        self.assert_ok(self.exec("-k", "printf '%s|' {} && echo", ":::", *words),
                       "".join(f"{word}|\n" for word in words))

    def test_arguments_are_what_they_are_in_shells_with_backslashes_in_apostrophes(self):
        words = ["\\", "\\'", "'\\''", "\\';touch file;'", "a!b", "!", "\\!", "\\\\!x", "a\nb", "\\\n", "$HOME", "it's", "*", "a=b", '"']
        for folder in ".config/fish", ".local/share/fish":  # several that start at once would make them at once
            (self.home / folder).mkdir(parents=True)
        found = [path for path in map(shutil.which, ("fish", "tcsh", "csh", "zsh", "dash", "bash")) if path]
        for shell in found:
            for options in ([], ["-q"], ["-X"]):
                result = self.exec("-k", "-0", *options, "printf", "%s.", "{}" if options else "{} && true",
                                   text="\0".join(words), env={"PARALLEL_SHELL": shell, "HOME": self.home}, cwd=self.home)
                self.assert_ok(result, "".join(f"{word}." for word in words))
        self.assertFalse((self.home / "file").exists())

    def test_plain_commands_get_odd_arguments_as_they_are(self):
        words = ["a b", "$HOME", "it's", "*", "", "-n"]
        self.assert_ok(self.exec("-k", "/usr/bin/printf", "[%s]", ":::", *words), "".join(f"[{word}]" for word in words))

    def test_lines_of_standard_input_are_arguments_or_commands(self):
        self.assert_ok(self.exec("-k", "echo", text="1\n2 3\n"), "1\n2 3\n")
        self.assert_ok(self.exec("-k", text="echo 1\necho 2 | tr 2 3\n"), "1\n3\n")

    def test_every_combination_of_two_sources_is_run(self):
        self.assert_ok(self.exec("-k", "echo", "{2}-{1}", ":::", "a", "b", ":::", "1", "2"), "1-a\n2-a\n1-b\n2-b\n")
        self.assert_ok(self.exec("-k", "--link", "echo", ":::", "a", "b", ":::", "1", "2"), "a 1\nb 2\n")

    def test_what_a_job_writes_stays_together_and_tags_stand_before_lines(self):
        self.assert_ok(self.exec("-k", "--tag", "printf 'x\\ny' #", ":::", "a b", "c"), "a b\tx\na b\tyc\tx\nc\ty")
        self.assert_ok(self.exec("-j1", "--tagstring", "{%}:{}", "-v", "echo {%}", ":::", "a b"), "1:a b\techo 1\n1:a b\t1\n")
        self.assert_ok(self.exec("--tag", "echo 1 #", ":::", ""), "\t1\n")
        result = self.exec("-j4", "for i in 1 2 3 4 5; do echo {}; done", ":::", *map(str, range(40)))
        self.assert_ok(result)
        lines = result.out.split()
        self.assertTrue(all(len(set(lines[at:at + 5])) == 1 for at in range(0, 200, 5)), lines)

    def test_standard_error_and_output_go_each_its_way(self):
        result = self.exec("echo out; echo err >&2 #", ":::", "1")
        self.assertEqual((result.status, result.out, result.err), (0, "out\n", "err\n"), str(result))

    def test_large_output_is_whole(self):
        result = self.exec("-k", "-j2", "head -c {} /dev/zero | tr '\\0' {#}", ":::", "5000000", "10")
        self.assert_ok(result)
        self.assertEqual(result.out, "1" * 5_000_000 + "2" * 10)

    def test_large_output_is_whole_in_a_file_that_is_appended_to_and_behind_tags(self):
        with open(self.home / "out", "ab") as file:
            for tag in ((), ("--tag",)):
                self.assert_ok(self.exec(*tag, "yes 12345678 | head -n 300000 #", ":::", "t", stdout=file), None)
        lines = (self.home / "out").read_text().splitlines()
        self.assertEqual((lines[:300000], lines[300000:]), (["12345678"] * 300000, ["t\t12345678"] * 300000))

    def test_dry_run_shows_commands_and_runs_nothing(self):
        self.assert_ok(self.exec("--dry-run", "touch", self.home / "file", ":::", "a", "b c"),
                       f"touch {self.home}/file a\ntouch {self.home}/file 'b c'\n")
        self.assertFalse((self.home / "file").exists())

    def test_rows_are_the_same_when_all_are_read_first(self):
        for words in (["{}"], ["{}", ":::", "a", ":::", "x", "y", "::::", "-"], ["--link", "{}", "::::", "-", ":::", "a", "b"],
                      ["-C", ",", "{2}"], ["--header", ":", "-C", ",", "{b}"], ["-n2", "{}"], ["-E", "3,4", "{}"], ["-L1", "{}"]):
            first, later = (self.exec("--dry-run", *options, *words, text="a,b\n1,2 \n3,4\n\n")
                            for options in (["--bar", "--no-progress"], []))
            self.assert_ok(first)
            self.assert_ok(later, first.out)

    @unittest.skipIf(harness.SANITIZE, "a sanitizer's shadow memory counts")
    def test_many_arguments_do_not_fill_memory(self):
        """100 MB of them within 64 MB of addresses, alone and crossed with fewer words."""
        for words in ([], ["::::", "-", ":::", "a"]):
            run = self.start("exec", "--dry-run", "true", *words, limits={resource.RLIMIT_AS: 64 << 20}, stdout=subprocess.DEVNULL)
            for _ in range(1000):
                run.process.stdin.write((b"x" * 9999 + b"\n") * 10)
            self.assert_ok(run.end())

    def test_no_arguments_are_no_jobs(self):
        self.assert_ok(self.exec("echo", ":::"), "")
        self.assert_ok(self.exec("echo", text=""), "")

    def test_a_line_is_answered_while_the_input_is_idle(self):
        run = self.start("exec", "echo")
        for number in range(3):
            run.write(f"{number}\n")
            self.assertEqual(run.line(), str(number))
        self.assert_ok(run.end(), "")

    @unittest.skipIf(harness.SANITIZE, "a sanitizer's own memory counts")
    def test_arguments_on_standard_input_do_not_fill_memory(self):
        """77 MB of them, within 64 MiB."""
        arguments = "".join(f"{number:0511}\n" for number in range(150_000))
        self.assert_ok(self.exec("-j2", "-N250", "/bin/true", text=arguments,
                                 limits={resource.RLIMIT_DATA: 64 << 20}), "")

    def test_slots_are_numbers_of_workers(self):
        result = self.exec("-j3", "echo {%} $PARALLEL_JOBSLOT", ":::", *map(str, range(30)))
        self.assert_ok(result)
        for line in result.out.splitlines():
            given, seen = line.split()[:2]
            self.assertEqual(given, seen)
            self.assertIn(int(given), range(1, 4))

    def test_working_directory_is_the_one_asked_for(self):
        self.assert_ok(self.exec("--wd", self.home, "-n0", "pwd", ":::", "x"), f"{self.home}\n")


class Ends(harness.Case):
    def exec(self, *arguments, **options):
        return self.muster("exec", *arguments, **options)

    def test_working_directory_that_is_a_file_is_one_error(self):
        self.assert_fails(self.exec("--wd", "/dev/null", "pwd #", ":::", "1", "2"), 255, "--wd /dev/null: Not a directory")

    def test_failures_are_counted_and_named(self):
        result = self.exec("-k", "exit", ":::", "0", "3", "0", "1")
        self.assert_fails(result, 2, "job 1.2 (exit 3): exit status 3", "job 1.4 (exit 1): exit status 1",
                          "2 of 4 jobs failed")
        self.assert_fails(self.exec("kill -9 $$ #", ":::", "x"), 1, "killed by signal 9 (Killed)")
        self.assertEqual(self.exec("exit 1 #", ":::", *map(str, range(150))).status, 101)

    def test_commands_that_cannot_run_say_so_as_a_shell_does(self):
        self.assert_fails(self.exec("nonexistent-program", ":::", "x"), 1, "nonexistent-program", "exit status 127")
        self.assert_fails(self.exec("/etc/passwd", ":::", "x"), 1, "/etc/passwd", "exit status 126")

    def test_job_log_has_the_columns_of_gnu_parallel(self):
        log = self.home / "log"
        self.exec("-k", "--joblog", log, "echo {}; exit {}", ":::", "0", "3")
        self.exec("--joblog", self.home / "killed", "kill -9 $$ #", ":::", "x")
        lines = [line.split("\t") for line in log.read_text().splitlines()]
        self.assertEqual(lines[0], "Seq Host Starttime JobRuntime Send Receive Exitval Signal Command".split())
        self.assertEqual([line[:2] + line[4:] for line in sorted(lines[1:])],
                         [["1", ":", "0", "2", "0", "0", "echo 0; exit 0"], ["2", ":", "0", "2", "3", "0", "echo 3; exit 3"]])
        self.assertEqual((self.home / "killed").read_text().splitlines()[1].split("\t")[6:8], ["0", "9"])

    def test_halt_now_ends_what_runs_with_the_status_of_the_job(self):
        result = self.exec("-j2", "--halt", "now,fail=1", "test {} = a && exit 7; sleep 1000", ":::", "a", "b", "c")
        self.assert_fails(result, 7, "halted: 1 of 3 jobs done")

    def test_share_of_halt_is_of_jobs_whose_arguments_are_read_from_a_file_too(self):
        numbers = self.home / "numbers"
        numbers.write_text("".join(f"{number}\n" for number in range(300)))
        for words, text in ((["false"], numbers.read_text()), (["false", "::::", numbers], ""), (["-a", numbers, "false"], "")):
            with self.subTest(words=words):
                self.assert_fails(self.exec("-j1", "--halt", "soon,fail=1%", *words, text=text), 1, "halted: 3 of 300 jobs done")

    def test_halt_soon_lets_run_what_runs(self):
        gate, release = self.home / "gate", self.home / "release"
        os.mkfifo(gate)
        os.mkfifo(release)
        run = self.start("exec", "-j2", "--halt", "soon,fail=1",
                         f"case {{}} in 1) read x <{gate}; exit 1;; 2) echo >{gate}; read x <{release}; echo {{}};; "
                         "*) sleep 0.1;; esac", ":::", *map(str, range(1, 500)))
        self.assertIn(b"job 1.1 ", run.process.stderr.readline())  # the first has failed, the second runs
        with open(release, "w", encoding="ascii"):
            pass
        result = run.end()
        self.assert_fails(result, 1, "halted: ")
        self.assertEqual(result.out, "2\n")

    def test_nothing_begins_after_the_job_that_halts(self):
        for halt in "now,success=1", "soon,success=1":
            for _ in range(10):
                result = self.exec("-j1", "--halt", halt, "echo {}; exit {}", ":::", "1", "0", *["2"] * 20)
                self.assertEqual((result.status, result.out), (0, "1\n0\n"))

    def test_time_limit_ends_all_that_a_job_started(self):
        result = self.exec("--timeout", "0.2", "setsid sleep 1000 & sleep 1000; echo {}", ":::", "1")
        self.assert_fails(result, 1, "ended after its time limit")

    def test_interrupt_ends_commands_and_leaves_nothing(self):
        run = self.start("exec", "-j2", "echo {}; exec sleep 1000", ":::", "1", "2", "3")
        self.until(lambda: sum(harness.name(pid) == "sleep" for pid in self.marked()) == 2, "both commands run")
        run.interrupt()
        result = run.end()
        self.assertEqual(result.status, 128 + signal.SIGINT, str(result))

    def test_interrupt_while_the_names_of_the_values_are_awaited(self):
        run = self.start("exec", "--header", ":", "echo {a}")
        self.until(lambda: (run.pid, "S") in {(pid, state) for pid, _, state in harness.processes()},
                   "muster waits for the first line")
        run.signal(signal.SIGINT)
        run.process.wait(harness.LIMIT_S)  # with its input still open
        result = run.end()
        self.assertEqual((result.status, result.out), (128 + signal.SIGINT, ""), str(result))

    def test_a_worker_that_is_killed_costs_no_job(self):
        killed = self.home / "killed"
        script = f"test -e {killed} || {{ touch {killed}; kill -9 $PPID; }}; echo {{}}"
        self.assert_ok(self.exec("-k", "-j2", script, ":::", "1", "2", "3"), "1\n2\n3\n")

    def test_stats_count_commands_as_they_ended(self):
        result = self.exec("--stats", self.home / "stats", "exit", ":::", "0", "1", "0")
        self.assertEqual(result.status, 1)
        stats = json.loads((self.home / "stats").read_text())
        self.assertEqual((stats["jobs"], stats["ok"], stats["failed"]), (3, 2, 1))

    def test_mistakes_are_one_line_and_run_nothing(self):
        for words, said in ((["-j", "x", "echo"], "-j x: "), (["--halt", "later", "echo"], "--halt later: "),
                            (["--timeout", "0", "echo"], "--timeout 0: "), (["--nonesuch"], "--nonesuch"),
                            (["--keep-oder"], "did you mean --keep-order?"), (["--joblg=x"], "did you mean --joblog?"),
                            (["--rpl", "{x} 1", "echo"], "Perl"), (["-S", "host", "echo"], "muster coordinator"),
                            (["--sqlworker=x", "echo"], "database"), (["--joblog", "/nonexistent/log", "echo"], "/nonexistent/log"),
                            (["--tmpdir", "/nonexistent", "echo"], "/nonexistent"), (["echo", "::::", "/nonexistent/file"], "/nonexistent/file")):
            self.assert_one_line_error(self.exec(*words, ":::", "1"), said)

    def test_reader_that_leaves_ends_the_run(self):
        reader, writer = os.pipe()
        os.close(reader)
        for words in (["echo"], ["--dry-run", "echo"], ["--line-buffer", "echo"], ["-ojson", "echo"],
                      ["--joblog", self.home / "log", "echo"]):
            result = self.exec(*words, ":::", "1", stdout=writer)
            self.assertEqual((result.status, result.err), (128 + signal.SIGPIPE, ""), words)
        os.close(writer)

    def test_large_output_that_nobody_takes_leaves_no_file(self):
        reader, writer = os.pipe()
        os.close(reader)
        result = self.exec("-j2", "head -c 5000000 /dev/zero #", ":::", "1", "2", "3", "4", stdout=writer)
        os.close(writer)
        self.assertEqual((result.status, result.err), (128 + signal.SIGPIPE, ""))  # tearDown looks for what is left

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            self.assert_fails(self.exec("echo", ":::", "1", stdout=full), 255, "standard output: No space left")

    def test_a_full_disk_is_an_error_after_a_halt_too(self):
        gate, release = self.home / "gate", self.home / "release"
        os.mkfifo(gate)
        os.mkfifo(release)
        with open("/dev/full", "w", encoding="ascii") as full:
            run = self.start("exec", "-j2", "--halt", "soon,fail=1",
                             f"case {{}} in 1) read x <{gate}; exit 1;; 2) echo >{gate}; read x <{release}; echo {{}};; esac",
                             ":::", "1", "2", stdout=full)
            self.assertIn(b"job 1.1 ", run.process.stderr.readline())  # the first has failed, the second runs
            with open(release, "w", encoding="ascii"):
                pass
            self.assert_fails(run.end(), 255, "standard output: No space left")


class ReadOnly(harness.Case):
    def test_folder_that_cannot_be_made_is_said_with_the_reason(self):
        place = self.home / "place"
        place.mkdir()
        for words in (["--results", place / "x"], ["--wd", place / "x" / "y"]):
            command = harness.as_root(f"mount -t tmpfs -o ro none {place}", harness.MUSTER, "exec", *words, "true", ":::", "1")
            if not command:
                self.skipTest("mounts are not allowed here")
            result = self.start(*command[1:], command=command[0]).end()
            self.assert_one_line_error(result, str(place / "x"), "Read-only file system")


if __name__ == "__main__":
    harness.main()
