#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Results in files, the job log, and runs that go on where an earlier one ended."""
import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess

import harness


def tree(folder):
    """All files below a folder, with what they hold."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def log_lines(path):
    """The lines of a job log, but for the times."""
    lines = [line.split("\t") for line in path.read_bytes().decode().split("\n")]
    return [line[:2] + line[4:] for line in lines]


def jobs_of(path):
    """The numbers of the jobs in a log, as its lines have them."""
    return [line[0] for line in log_lines(path)[1:-1]]


class Case(harness.Case):
    def exec(self, *arguments, **options):
        return self.muster("exec", *arguments, cwd=self.home, **options)


class Results(Case):
    def test_value_that_names_another_folder_stays_in_the_tree(self):
        self.assert_ok(self.exec("--results", "d", "echo {1}{2} #", ":::", "..", ".", ":::", ".."), "")
        self.assertEqual(tree(self.home / "d"), {f"1/\\{one}/2/\\../{name}": text for one in ("..", ".") for name, text in
                                                 (("stdout", f"{one}..\n".encode()), ("stderr", b""),
                                                  ("seq", b"1" if one == ".." else b"2"))})

    def test_values_longer_than_names_may_be_do_not_overwrite_each_other(self):
        self.assert_ok(self.exec("--results", "d", "echo {#} #", ":::", "x" * 300 + "a", "x" * 300 + "b"), "")
        self.assertEqual(sorted(path.read_text() for path in (self.home / "d").rglob("stdout")), ["1\n", "2\n"])

    def test_jobs_without_arguments_do_not_overwrite_each_other(self):
        self.assert_ok(self.exec("-n0", "--results", "d", "echo {#} #", ":::", "a", "b"), "")
        self.assertEqual((self.home / "d/2/stdout").read_text(), "2\n")

    def test_large_output_is_whole_in_each_kind_of_results(self):
        line = 'é"\\\t,€ 😀x'
        text = f"{line}\n" * 150_000
        command = ["--results", None, "yes {} | head -n 150000; yes {} | head -n 150000 >&2", ":::", line]
        for name in ("d", "r{#}", "o.csv", "o.json"):
            command[1] = name
            self.assert_ok(self.exec(*command), "")
        for path in (*(self.home / "d").rglob("std*"), self.home / "r1", self.home / "r1.err"):
            self.assertEqual(path.read_text(), text, path)
        self.assertEqual({path.stat().st_mode for path in (self.home / "d").rglob("s*")}, {0o100666 & ~self.umask()})
        csv.field_size_limit(1 << 30)
        with open(self.home / "o.csv", encoding="utf-8", newline="") as file:
            self.assertEqual([row[-3:] for row in csv.reader(file)][1:], [[line, text, text]])
        record = json.loads((self.home / "o.json").read_text())
        self.assertEqual((record["Stdout"], record["Stderr"]), (text, text))
        self.assertEqual([path.name for path in (self.home / "d").iterdir()], ["1"])

    @staticmethod
    def umask():
        mask = os.umask(0)
        os.umask(mask)
        return mask

    def test_only_jobs_without_files_are_run_when_there_is_no_log(self):
        self.assert_ok(self.exec("--results", "d", "echo old #", ":::", "0"), "")
        self.assert_ok(self.exec("--resume", "--results", "d", "echo new #", ":::", "0", "1"), "")
        self.assertEqual([(self.home / "d/1" / value / "stdout").read_text() for value in "01"], ["old\n", "new\n"])

    def test_table_on_standard_output_is_all_there_is(self):
        result = self.exec("--results", "-.json", "echo", ":::", "a")
        self.assert_ok(result)
        self.assertEqual(json.loads(result.out)["Stdout"], "a\n")

    def test_large_output_is_in_its_record_and_in_its_files(self):
        for name in "d", "o.csv":
            result = self.exec("--results", name, "-o", "json", "yes {} | head -n 500000", ":::", "a")
            self.assert_ok(result)
            self.assertTrue(json.loads(result.out)["stdout"] == "a\n" * 500_000)
        self.assertTrue((self.home / "d/1/a/stdout").read_text() == "a\n" * 500_000)

    def test_table_and_records_do_not_share_standard_output(self):
        self.assert_one_line_error(self.exec("--results", "-.csv", "-o", "json", "echo", ":::", "a"), "-.csv", "-o json")

    def test_results_without_a_name_do_not_go_to_the_root(self):
        self.assert_one_line_error(self.exec("--results", "", "echo", ":::", "a"), "--results")

    def test_results_that_cannot_be_made_are_said_before_anything_runs(self):
        (self.home / "file").touch()
        for name in ("file", "file/x", "nowhere/o.csv", "/proc/x.json"):
            self.assert_one_line_error(self.exec("--results", name, "touch ran;", ":::", "a"), name)
        self.assertFalse((self.home / "ran").exists())

    def test_result_that_cannot_be_written_names_its_file(self):
        (self.home / "d/1").mkdir(parents=True)
        (self.home / "d/1/a").touch()
        result = self.exec("-j1", "--joblog", "log", "--results", "d", "echo", ":::", "a", "b")
        self.assert_fails(result, 255, "d/1/a/", "Not a directory", "--resume")
        self.assertEqual(jobs_of(self.home / "log"), [], "a job whose output is lost is not done")


class Log(Case):
    def test_log_of_another_run_is_refused_and_left_alone(self):
        log = self.home / "log"
        self.exec("-j1", "--joblog", "log", "echo", ":::", "a", "b", "c")
        before = log.read_bytes()
        for mode in ("--resume", "--resume-failed"):
            result = self.exec("-j1", mode, "--joblog", "log", "touch ran; echo", ":::", "a", "b", "c", "d")
            self.assert_one_line_error(result, "log", "line 2", "'echo a'", "'touch ran; echo a'")
            result = self.exec("-j1", mode, "--joblog", "log", "echo", ":::", "a", "x", "c", "d")
            self.assert_one_line_error(result, "line 3", "job 2", "'echo b'", "'echo x'")
        self.assertEqual(log.read_bytes(), before)
        self.assertFalse((self.home / "ran").exists())

    def test_log_with_lines_of_two_runs_is_refused(self):
        self.exec("-j1", "--joblog", "log", "echo", ":::", "a")
        self.exec("-j1", "--joblog", "+log", "echo", ":::", "b")
        self.assert_one_line_error(self.exec("--resume", "--joblog", "log", "echo", ":::", "a", "c"), "line 3", "'echo b'")

    def test_two_runs_at_once_do_not_cut_off_each_others_lines(self):
        for option, name, other, shared in (("--joblog", "log", "log", False), ("--results", "t.csv", "t.csv", False),
                                            ("--joblog", "+log", "log", False), ("--joblog", "log", "+log", False),
                                            ("--joblog", "+log", "+log", True)):
            file = self.home / name.lstrip("+")
            words = [option, name, "sh", "-c", "'echo 1 >>done' #"]
            (self.home / "done").unlink(missing_ok=True)
            first = self.start("exec", *words, cwd=self.home)
            first.process.stdin.write(b"1\n")
            first.process.stdin.flush()
            self.until((self.home / "done").exists, "the first run's job")
            second = self.muster("exec", option, other, *words[2:], ":::", "2", cwd=self.home)
            if shared:
                self.assert_ok(second)
            else:
                self.assert_one_line_error(second, file.name, "another run is writing it")
            self.assert_ok(first.end())
        self.assertEqual(len((self.home / "log").read_text().splitlines()), 4)  # columns, and three jobs

        bad = ["hello\nworld\n", "Seq\tHost\n", "0\t:\t1\t1\t0\t0\t0\t0\techo\n", "1\t:\t1\t1\t0\t0\tx\t0\techo\n",
               "1\t:\t1\t1\t0\t0\t0\n", "99999999999999999999999\t:\t1\t1\t0\t0\t0\t0\techo\n", "\n"]
        for text in bad:
            for arguments in (("--resume", "--joblog", "log"), ("--joblog", "+log")):
                (self.home / "log").write_text(text)
                self.assert_one_line_error(self.exec(*arguments, "touch ran;", ":::", "a"), "log: line 1 ")
                self.assertEqual((self.home / "log").read_text(), text)
        self.assertFalse((self.home / "ran").exists())

    def test_line_that_was_cut_short_is_dropped_and_its_job_run_again(self):
        log = self.home / "log"
        self.exec("-j1", "--joblog", "log", "echo", ":::", "a", "b", "c")
        whole = log.read_bytes()
        last = len(whole) - len(whole.splitlines(True)[-1])
        for size in (last + 1, last + 10, len(whole) - 4, len(whole) - 1):
            log.write_bytes(whole[:size])
            self.assert_ok(self.exec("-j1", "--resume", "--joblog", "log", "echo", ":::", "a", "b", "c"), "c\n")
            self.assertEqual(jobs_of(log), ["1", "2", "3"])

    def test_job_that_succeeded_once_is_not_run_again(self):
        line = "{}\t:\t1\t1\t0\t0\t{}\t{}\techo {}\n"
        (self.home / "log").write_text("".join(line.format(*each) for each in (
            (1, 1, 0, "a"), (2, 0, 9, "b"), (1, 0, 0, "a"), (3, -1, 15, "c"), (4, 0, 0, "d"), (4, 1, 0, "d"))))
        shutil.copy(self.home / "log", self.home / "copy")
        arguments = ["echo", ":::", *"abcde"]
        self.assert_ok(self.exec("-j1", "--retry-failed", "--joblog", "copy"), "b\nc\n")
        self.assert_ok(self.exec("-j1", "--resume-failed", "--dry-run", "--joblog", "log", *arguments),
                       "echo b\necho c\necho e\n")
        self.assert_ok(self.exec("-j1", "--resume-failed", "--joblog", "log", *arguments), "b\nc\ne\n")
        self.assert_ok(self.exec("-j1", "--resume-failed", "--joblog", "log", *arguments), "")

    def test_commands_with_the_number_of_a_worker_or_newlines_are_known_again(self):
        command = ["-j3", "-0", "--joblog", "log", "echo x{%}y{%}0 {}; exit 1"]
        self.exec(*command, text="a\nb\0" * 5)
        self.assert_ok(self.exec("--resume", *command, text="a\nb\0" * 5), "")
        (self.home / "log").write_text((self.home / "log").read_text().replace("exit 1", "exit 0"))
        result = self.exec("--retry-failed", "-j1", "--joblog", "log")
        self.assert_ok(result)
        self.assertEqual(len(re.findall(r"^x[123]y[123]0 a\nb$", result.out, re.M)), 5, str(result))

    def test_line_at_the_end_runs_again_just_what_failed(self):
        command = ["-j2", "--joblog", "the log", "test -e 'a file' -o {} = \"it's\"", ":::", "1", "it's", "b c"]
        result = self.exec(*command)
        self.assert_fails(result, 2, "2 of 3 jobs failed")
        line = result.err.splitlines()[-1].partition("to run just what failed: ")[2]
        self.assertTrue(line.startswith("muster exec --resume-failed -j2"), str(result))
        (self.home / "a file").touch()
        again = subprocess.run(line.replace("muster", harness.MUSTER, 1), shell=True, cwd=self.home, env=self.env,
                               capture_output=True, check=False, timeout=harness.LIMIT_S)
        self.assertEqual((again.returncode, again.stderr), (0, b""))
        self.assertEqual(sorted(jobs_of(self.home / "the log")), ["1", "1", "2", "3", "3"])

    def test_shuffled_jobs_are_not_taken_for_others_of_their_number(self):
        command = ["--shuf", "--joblog", "log", "test -e file -o {} = b", ":::", "a", "b"]
        self.assertIn("to run just what failed: muster exec --retry-failed --shuf", self.exec(*command).err)
        (self.home / "file").touch()
        for option in "--resume", "--resume-failed":
            self.assert_one_line_error(self.exec(option, *command), option, "--shuf", "--retry-failed")
        self.assert_ok(self.exec("--retry-failed", *command))
        self.assertEqual(len(jobs_of(self.home / "log")), 3)

    def test_without_a_log_the_end_says_what_one_would_do(self):
        self.assertIn("--joblog FILE", self.exec("exit", ":::", "1").err.splitlines()[-1])

    def test_what_has_not_run_is_not_said_when_all_has(self):
        for words, more in (([":::", "0", "1"], False), ([":::", "1", "0"], True)):
            result = self.exec("-j1", "--halt", "soon,fail=1", "exit", *words)
            self.assertEqual(result.status, 1, str(result))
            self.assertEqual("what has not run" in result.err, more, str(result))

    def test_options_that_need_a_log_say_so(self):
        for arguments in (("--resume",), ("--resume-failed", "--results", "d"), ("--retry-failed",),
                          ("--resume", "--results", "o.csv")):
            self.assert_one_line_error(self.exec(*arguments, "echo", ":::", "a"), arguments[0], "--joblog")
        self.assert_one_line_error(self.exec("--retry-failed", "--joblog", "nowhere"), "nowhere", "No such file")
        self.assertEqual(list(self.home.glob("[no]*")), [])

    def test_table_goes_on_behind_its_last_whole_record(self):
        command = ["-j1", "--joblog", "log", "--results", None, "printf 'a,\"\\nb'; exit", ":::", "0", "1"]
        for name, part in (("o.csv", '3,:,1.0,"a\nb\n'), ("o.json", '{ "Seq": 3, "Ho')):
            command[4] = name
            self.exec(*command)
            with open(self.home / name, "a", encoding="ascii") as file:
                file.write(part)
            self.exec("--resume", *command, "2")
            with open(self.home / name, encoding="ascii", newline="") as file:
                jobs = ([row[0] for row in csv.reader(file)] if name == "o.csv" else
                        [json.loads(line)["Seq"] for line in file])
            self.assertEqual(jobs, ["Seq", "1", "2", "3"] if name == "o.csv" else [1, 2, 3])


class Faults(Case):
    may_leave_files = True

    def test_full_disk_leaves_whole_lines_and_the_rest_is_run_later(self):
        words = [f"{number}{'x' * 100_000}" for number in range(30)]  # a line of 100 kB each
        command = ["-j1", "--joblog", "log", "true", "::::", "words"]
        (self.home / "words").write_text("".join(f"{word}\n" for word in words))
        result = self.exec(*command, limits={resource.RLIMIT_FSIZE: 1 << 20})
        self.assert_fails(result, 255, "cannot write the job log log", "File too large", "--resume")
        done = jobs_of(self.home / "log")
        self.assertEqual(done, [str(number + 1) for number in range(10)])
        self.assertEqual(log_lines(self.home / "log")[-1], [""], "no line is cut short")
        self.assert_ok(self.exec("--resume", *command), "")
        self.assertEqual(sorted(jobs_of(self.home / "log"), key=int), [str(number + 1) for number in range(30)])

    def test_full_disk_names_the_file_and_has_no_seq_for_what_is_not_whole(self):
        full = self.home / "full"
        full.mkdir()
        for name in ("d", "o.csv", "o.json"):
            command = harness.as_root(f"mount -t tmpfs -o size=256k none {full}", "sh", "-c",
                                      '"$@"; status=$?; cp -r full copy; exit $status', "sh", harness.MUSTER, "exec", "-j1",
                                      "--tmpdir", self.temporary, "--joblog", "log", "--results", full / name,
                                      "head -c 100000 /dev/zero | tr '\\0' x #", ":::", *"abcd")
            if not command:
                self.skipTest("tmpfs cannot be mounted here")
            result = self.start(*command[1:], command=command[0], cwd=self.home).end()
            self.assert_fails(result, 255, f"full/{name}", "No space left on device", "--resume")
            self.assertEqual(jobs_of(self.home / "log"), ["1", "2"], str(result))
            files = tree(self.home / "copy")
            if name == "d":
                self.assertEqual({len(files[path.replace("seq", "stdout")]) for path in files if path.endswith("seq")},
                                 {100_000})
                self.assertEqual(sum(path.endswith("seq") for path in files), 2)
            elif name == "o.csv":
                self.assertEqual([row[0] for row in csv.reader(files[name].decode().splitlines(True))], ["Seq", "1", "2"])
            else:
                self.assertEqual([json.loads(line)["Seq"] for line in files[name].splitlines()], [1, 2])
            shutil.rmtree(self.home / "copy")

    def test_run_that_was_killed_goes_on_with_each_job_once(self):
        gate = self.home / "gate"
        os.mkfifo(gate)
        command = ["exec", "-j2", "--joblog", "log", "--results", "d", "test {} = 30 -a ! -e on && cat gate; echo {}", ":::",
                   *map(str, range(60))]
        run = self.start(*command, cwd=self.home)
        self.until(lambda: len(jobs_of(self.home / "log")) >= 40 if (self.home / "log").exists() else False, "40 lines")
        run.signal(signal.SIGKILL)
        run.end()
        done = set(jobs_of(self.home / "log"))
        self.assertNotIn("31", done)
        (self.home / "on").touch()
        self.assert_ok(self.exec("--resume", *command[1:]), "")
        self.assertEqual(sorted(jobs_of(self.home / "log"), key=int), [str(number + 1) for number in range(60)])
        self.assertEqual({int(path.read_text()) for path in (self.home / "d").rglob("stdout")}, set(range(60)))


if __name__ == "__main__":
    harness.main()
