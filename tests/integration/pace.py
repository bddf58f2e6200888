#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""When commands of muster exec start, run again and are ended, and how a run is watched."""
import harness


class Paced(harness.Case):
    def exec(self, *arguments, **options):
        return self.muster("exec", *arguments, **options)

    def log(self):
        """The fields of a job log, by sequence number."""
        lines = [line.split("\t") for line in (self.home / "log").read_text().splitlines()[1:]]
        return sorted(lines, key=lambda fields: int(fields[0]))


class Retries(Paced):
    def test_a_failed_command_runs_again_and_only_its_last_run_is_told_of(self):
        runs = self.home / "runs"
        result = self.exec("-k", "-j1", "--retries", "3", "--joblog", self.home / "log",
                           f"echo {{}} >>{runs}; echo out{{}}; echo err{{}} >&2; exit {{}}", ":::", "1", "2", "0")
        self.assert_fails(result, 2, "err1\n", "err2\n", "err0\n", "2 of 3 jobs failed")
        self.assertEqual((result.out, result.err.count("err1\n")), ("out1\nout2\nout0\n", 1))
        self.assertEqual(runs.read_text().split(), ["1"] * 3 + ["2"] * 3 + ["0"])
        self.assertEqual([(fields[0], fields[5], fields[6]) for fields in self.log()],
                         [("1", "5", "1"), ("2", "5", "2"), ("3", "5", "0")])

    def test_a_command_that_succeeds_at_last_is_no_failure(self):
        runs = self.home / "runs"
        for retries in ("4", "0"):
            runs.unlink(missing_ok=True)
            self.assert_ok(self.exec("--retries", retries, f"echo >>{runs}; test $(wc -l <{runs}) = 4 #", ":::", "x"), "")
            self.assertEqual(len(runs.read_text()), 4)

    def test_a_command_that_is_ended_by_its_time_limit_runs_again(self):
        runs = self.home / "runs"
        result = self.exec("--retries", "2", "--timeout", "0.2", f"echo >>{runs}; sleep 1000 #", ":::", "x")
        self.assert_fails(result, 1, "ended after its time limit")
        self.assertEqual(len(runs.read_text()), 2)

    def test_what_a_failed_run_left_behind_does_not_write_into_the_next(self):
        runs, go = self.home / "runs", self.home / "go"
        script = (f"echo >>{runs}; if test $(wc -l <{runs}) = 1; then (until test -e {go}; do sleep 0.01; done; echo late; "
                  f"touch {go}.done) & exit 1; fi; touch {go}; until test -e {go}.done; do sleep 0.01; done; echo second #")
        self.assert_ok(self.exec("--retries", "2", script, ":::", "x"), "second\n")


class Ended(Paced):
    ASKED = "trap 'echo int' INT; trap 'echo term' TERM; while :; do sleep 0.01; done #"

    def test_signals_come_in_the_order_asked_for(self):
        for sequence, said in (("TERM,100,INT,100,KILL,25", "term\nint\n"), ("INT,100,KILL", "int\n"), ("KILL,25", "")):
            result = self.exec("--timeout", "0.3", "--termseq", sequence, self.ASKED, ":::", "x")
            self.assert_fails(result, 1, "ended after its time limit")
            self.assertEqual(result.out, said, sequence)

    def test_signals_are_gnu_parallels_where_none_are_asked_for(self):
        result = self.exec("--timeout", "0.3", "trap 'echo cont' CONT; " + self.ASKED, ":::", "x")
        self.assert_fails(result, 1, "ended after its time limit")
        self.assertEqual(result.out, "term\n" * 3)


class Mistakes(Paced):
    def test_mistakes_are_one_line_and_run_nothing(self):
        for option, value in (("--retries", "-1"), ("--retries", "x"), ("--termseq", "TERM,x"), ("--termseq", "FOO,1")):
            self.assert_one_line_error(self.exec(option, value, "echo", ":::", "1"), value)


if __name__ == "__main__":
    harness.main()
