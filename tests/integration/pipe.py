#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The input as standard input of commands: blocks of whole records, of a stream or of parts of a file."""
import os

import harness

NUMBERS = "".join(f"{number}\n" for number in range(1, 11))


class Pipe(harness.Case):
    def exec(self, *arguments, **options):
        return self.muster("exec", "-k", *arguments, **options)

    def test_blocks_are_standard_input_and_no_argument_is_appended(self):
        self.assert_ok(self.exec("--pipe", "--block", "7", "echo [{#}] {}; cat", text=NUMBERS),
                       "[1] \n1\n2\n3\n[2] \n4\n5\n6\n[3] \n7\n8\n9\n[4] \n10\n")
        self.assert_ok(self.exec("--pipe", "-N4", "wc", "-l", text=NUMBERS), "4\n4\n2\n")

    def test_no_input_is_no_job(self):
        self.assert_ok(self.exec("--pipe", "echo x", text=""), "")

    def test_large_blocks_reach_commands_whole(self):
        text = "".join(f"{number:07}\n" for number in range(500_000))
        with open(self.home / "text", "w", encoding="ascii") as file:
            file.write(text)
        self.assert_ok(self.exec("--pipe", "cat", text=text), text)
        self.assert_ok(self.exec("--pipe", "--block", "1M", "-a", self.home / "text", "wc", "-c"),
                       "1048576\n" * 3 + "854272\n")

    def test_a_record_larger_than_a_block_is_whole(self):
        result = self.exec("--pipe", "--block", "10", "wc -c", text="x" * 3_000_000 + "\ny\n")
        self.assert_ok(result, "3000003\n")

    def test_commands_that_do_not_read_their_input_are_no_error(self):
        self.assert_ok(self.exec("--pipe", "--block", "1M", "head -n 1", text="a\n" * 2_000_000), "a\n" * 4)
        self.assert_ok(self.exec("--pipe", "true", text=NUMBERS), "")

    def test_blocks_are_given_out_while_the_input_goes_on(self):
        run = self.start("exec", "--pipe", "-N2", "cat")
        for number in range(3):
            run.write(f"{number}\nx\n")
            self.assertEqual((run.line(), run.line()), (str(number), "x"))
        self.assert_ok(run.end(), "")

    def test_job_log_counts_what_was_sent(self):
        self.exec("--pipe", "--block", "7", "--joblog", self.home / "log", "wc -l", text=NUMBERS)
        self.assertEqual([line.split("\t")[4] for line in (self.home / "log").read_text().splitlines()[1:]],
                         ["6", "6", "6", "3"])

    def test_a_block_is_given_again_to_a_job_whose_worker_was_killed(self):
        killed = self.home / "killed"
        script = f"test -e {killed} || {{ touch {killed}; kill -9 $PPID; }}; cat"
        self.assert_ok(self.exec("-j2", "--pipe", "-N5", script, text=NUMBERS), NUMBERS)

    def test_mistakes_are_one_line_and_run_nothing(self):
        for words, said in ((["--pipe", "--block", "0", "echo"], "--block 0: "), (["--pipe", "--block", "1x", "echo"], "--block 1x: "),
                            (["--pipe", "--block", "3G", "echo"], "--block"), (["--pipe"], "command"),
                            (["--pipe", "--halt", "soon,fail=1%", "cat"], "--halt: N% is for"),
                            (["--pipe", "cat", ":::", "a"], "standard input"), (["--pipe", "-a", "/nonexistent", "cat"], "/nonexistent"),
                            (["--pipe", "--regexp", "--recend", "(", "cat"], "--recend"), (["--pipe", "--header", "(", "cat"], "--header")):
            self.assert_one_line_error(self.exec(*words, text=""), said)


class Parts(harness.Case):
    def setUp(self):
        super().setUp()
        self.file = self.home / "a file"
        self.file.write_text("h\n" + NUMBERS)

    def exec(self, *arguments, **options):
        return self.muster("exec", "-k", "-j2", *arguments, **options)

    def test_parts_are_whole_records_behind_the_header(self):
        self.assert_ok(self.exec("--pipepart", "--header", ":", "--block", "6", "-a", self.file, "echo [{#}]; cat"),
                       "[1]\nh\n1\n2\n3\n4\n[2]\nh\n5\n6\n7\n8\n[3]\nh\n9\n10\n")
        self.assert_ok(self.exec("--pipepart", "--block", "-1", "wc", "-l", "::::", self.file, self.file), "7\n4\n7\n4\n")

    def test_parts_are_read_where_the_command_runs_and_whole(self):
        large = self.home / "large"
        large.write_text("".join(f"{number:07}\n" for number in range(500_000)))
        with open(large, encoding="ascii") as file:
            self.assert_ok(self.exec("--wd", self.temporary, "--pipepart", "--block", "300k", "-a", "large", "cat", cwd=self.home), file.read())
        self.assert_ok(self.exec("--pipepart", "--block", "-2", "-a", large, "head -n 1"), "0000000\n0125001\n0250002\n0375003\n")

    def test_a_block_is_a_file_where_commands_want_one(self):
        self.assert_ok(self.exec("--pipe", "-N5", "--cat", "cat; cat {} | paste -s - {}", text=NUMBERS),
                       "1\t2\t3\t4\t5\n1\t2\t3\t4\t5\n6\t7\t8\t9\t10\n6\t7\t8\t9\t10\n")
        self.assert_ok(self.exec("--pipe", "-N5", "--fifo", "wc", "-l", "<", text=NUMBERS), "5\n5\n")
        self.assert_ok(self.exec("--pipepart", "--cat", "-a", self.file, "-I", "@", "echo {}; tail -n 1 @"), "{}\n10\n")

    def test_what_cannot_be_cut_into_parts_is_refused(self):
        os.mkfifo(self.home / "fifo")
        for words, said in ((["--pipepart", "cat"], "file"), (["--pipepart", "-a", "-", "cat"], "standard input"),
                            (["--pipepart", "-a", self.home / "fifo", "cat"], "no file to seek in"),
                            (["--pipepart", "-a", "/dev/null", "cat"], "no file to seek in"),
                            (["--pipepart", "-a", self.home, "cat"], "no file to seek in"),
                            (["--pipepart", "-a", self.home / "none", "cat"], "No such file"),
                            (["--pipepart", "-N2", "-a", self.file, "cat"], "-N"), (["--pipepart", "--rrs", "-a", self.file, "cat"], "--rrs"),
                            (["--pipe", "--block", "-2", "cat"], "--block"), (["--pipe", "--tee", "cat"], "one command"),
                            (["--pipe", "--round-robin", "cat"], "one block")):
            self.assert_one_line_error(self.exec(*words, text=""), said)


if __name__ == "__main__":
    harness.main()
