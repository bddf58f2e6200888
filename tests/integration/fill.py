#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Several rows in a command, and the grammar around them: older spellings, separators, what commands are told."""
import os
import select

import harness


def lines(*numbers):
    return "".join(f"{number}\n" for number in numbers)


def up_to(last):
    return lines(*range(1, last + 1))


class Fill(harness.Case):
    def exec(self, *arguments, **options):
        return self.muster("exec", *arguments, **options)

    def test_no_line_is_longer_than_the_kernel_takes_and_no_argument_is_lost(self):
        count = 20_000
        longest = int(self.exec("--max-line-length-allowed").out)
        self.assertLessEqual(longest, 131071)
        for options, command in ((("--xargs",), "echo"), (("-X",), "echo"), (("-m",), ":; echo"), (("-n", "1000000"), "echo")):
            result = self.exec("-k", "-j2", *options, command, text=up_to(count))
            self.assert_ok(result)
            self.assertEqual(result.out.split(), up_to(count).split(), options)
        result = self.exec("--dry-run", "--xargs", "echo", text=up_to(2 * count))
        self.assert_ok(result)
        sizes = [len(line) for line in result.out.splitlines()]
        self.assertTrue(longest - 6 <= sizes[0] <= longest, sizes)

    def test_the_longest_line_runs_and_one_byte_more_names_its_job(self):
        longest = int(self.exec("--max-line-length-allowed").out)
        for command in ("/bin/echo", ": ; echo"):
            argument = "a" * (longest - len(command) - 1)
            self.assert_ok(self.exec(command, text=argument), argument + "\n")
            for option in ((), ("-X",), ("--dry-run",)):
                result = self.exec("-k", *option, command, text=f"{argument}a\nb\n")
                self.assert_one_line_error(result, "job 1.1 (", f"its command of {longest + 1} bytes")

    def test_jobs_before_one_that_is_too_long_are_done(self):
        result = self.exec("-k", "-s", "7", "echo", text=lines(1, 2, 33))
        self.assert_fails(result, 255, "job 1.3 (echo 33...)")
        self.assertEqual(result.out, "1\n2\n")

    def test_only_columns_that_a_command_uses_make_it_long(self):
        self.assert_ok(self.exec("--colsep", ",", "echo {1}", text=f"1,{'x' * 200_000}\n"), "1\n")

    def test_a_large_environment_leaves_less_room_for_arguments(self):
        large = {f"LARGE{i}": "x" * 100_000 for i in range(16)}
        result = self.exec("-k", "--xargs", "/bin/echo", text=up_to(30_000), env=large)
        self.assert_ok(result)
        self.assertEqual(result.out.split(), up_to(30_000).split())

    def test_too_few_arguments_are_an_error_where_so_many_are_wanted(self):
        self.assert_ok(self.exec("-k", "-n3", "-s", "9", "echo", text=up_to(3)), "1 2\n3\n")
        self.assert_one_line_error(self.exec("-n3", "-s", "9", "-x", "echo", text=up_to(3)), "job 1.1", "-x")

    def test_a_full_command_runs_while_the_input_is_idle(self):
        run = self.start("exec", "-n2", "echo")
        run.write("a\nb\nc\n")
        self.assertEqual(run.line(), "a b")
        self.assert_ok(run.end(), "c\n")

    def test_dealt_rows_need_as_many_workers_as_there_are_slots(self):
        self.assert_ok(self.exec("-k", "-j4", "-X", "echo $PARALLEL_SEQ", text=up_to(6)), "1 1 2\n2 3 4\n3 5 6\n")

    def test_shares_of_halt_and_counts_of_failures_are_those_of_commands(self):
        result = self.exec("-k", "-j2", "-n2", "false", text=up_to(5))
        self.assert_fails(result, 3, "3 of 3 jobs failed")
        result = self.exec("-j1", "-X", "false", text=up_to(5))
        self.assert_fails(result, 1, "1 of 1 job failed")


class Told(harness.Case):
    """What commands, and users, are told."""

    def exec(self, *arguments, **options):
        return self.muster("exec", *arguments, **options)

    def test_commands_know_their_number_and_the_process_that_runs_them(self):
        run = self.start("exec", "-k", "-n0", "echo $PARALLEL_SEQ $PARALLEL_PID", ":::", "a", "b")
        pid = run.pid
        self.assert_ok(run.end(), f"1 {pid}\n2 {pid}\n")

    def test_the_environment_is_inherited_also_functions(self):
        env = {"SHELL": "/bin/bash", "BASH_FUNC_say%%": "() { echo said $1; }", "PLAIN": "x y"}
        self.assert_ok(self.exec("-k", "--env", "say", "--env", "PLAIN", 'say {}; echo "$PLAIN"', ":::", "1", env=env),
                       "said 1\nx y\n")

    def test_jobs_may_stand_in_a_file(self):
        number = self.home / "jobs"
        for text in ("1\n", "+0", "50%\n"):
            number.write_text(text)
            self.assert_ok(self.exec("-j", number, "echo", ":::", "a"), "a\n")
        for text in ("", "x\n", "1\n2\n", "1" * 100):
            number.write_text(text)
            self.assert_one_line_error(self.exec("-j", number, "echo", ":::", "a"), f"-j {number}: ")

    def test_options_come_from_the_command_line_alone(self):
        env = {"PARALLEL": "--nonesuch", "HOME": str(self.home)}
        (self.home / ".parallel").mkdir()
        (self.home / ".parallel/config").write_text("--nonesuch\n")
        self.assert_ok(self.exec("echo", ":::", "1", env=env), "1\n")
        self.assert_ok(self.exec("--plain", "echo", ":::", "1", env=env), "1\n")
        self.assert_one_line_error(self.exec("-J", "config", "echo", ":::", "1"), "not in a profile")

    def test_mistakes_are_one_line(self):
        for words, said in ((["-s", "0"], "-s 0: "), (["-s", "x"], "-s x: "), (["--arg-sep", ""], "a word"),
                            (["-n", "3q"], "-n 3q: "), (["--max-lines=x"], "x: ")):
            self.assertEqual(self.exec(*words, ":::", "1").status, 255, words)
            self.assertIn(said, self.exec(*words, ":::", "1").err)


class Typed(harness.Case):
    def test_arguments_are_awaited_from_a_terminal_without_a_word(self):
        terminal, other = os.openpty()
        run = self.start("exec", "echo", stdin=other)
        os.close(other)
        os.write(terminal, b"a\n\4")
        result = run.end()
        self.assertEqual((result.status, result.out), (0, "a\n"), str(result))
        self.assertIn("input is read from the terminal", result.err)
        os.close(terminal)


class Asked(harness.Case):
    """-p, at a terminal."""

    def at_terminal(self, *words):
        terminal, other = os.openpty()
        run = self.start("--ctty", "--wait", harness.MUSTER, "exec", "-p", *words, command="setsid", stdin=other)
        os.close(other)
        return terminal, run

    def shown(self, terminal, text):
        seen = b""
        while text.encode() not in seen:
            ready, _, _ = select.select([terminal], [], [], harness.LIMIT_S)
            self.assertTrue(ready, f"{text} was not shown, but {seen}")
            seen += os.read(terminal, 4096)

    def test_commands_run_when_the_answer_begins_with_y(self):
        terminal, run = self.at_terminal("echo {#}", ":::", "a", "b", "c", "d")
        for number, answer in enumerate(("y", "n", "Yes", ""), 1):
            self.shown(terminal, f"echo {number} ?...")
            os.write(terminal, f"{answer}\n".encode())
            if answer in ("y", "Yes"):
                self.assertEqual(run.line(), str(number))  # before the next answer
        self.assert_ok(run.end(), "")
        os.close(terminal)

    def test_nobody_at_the_terminal_any_more_means_no(self):
        terminal, run = self.at_terminal("echo", ":::", "a", "b")
        self.shown(terminal, "echo a ?...")
        os.write(terminal, b"\4")  # end of input
        self.assert_ok(run.end(), "")
        os.close(terminal)

    def test_commands_cannot_draw_on_the_question(self):
        terminal, run = self.at_terminal(":;", ":::", "\r\x1b[2Kecho harmless")
        self.shown(terminal, ":; '??[2Kecho harmless' ?...")
        os.write(terminal, b"n\n")
        self.assert_ok(run.end(), "")
        os.close(terminal)

    def test_input_and_answers_are_waited_for_on_one_descriptor(self):
        source = self.home / "source"
        os.mkfifo(source)
        terminal, run = self.at_terminal("-a", source, "echo")
        writer = os.open(source, os.O_WRONLY)
        for argument in ("a", "b"):
            os.write(writer, f"{argument}\n".encode())
            self.shown(terminal, f"echo {argument} ?...")
            os.write(terminal, b"y\n")
            self.assertEqual(run.line(), argument)
        os.close(writer)
        self.assert_ok(run.end(), "")
        os.close(terminal)

    def test_without_a_terminal_nothing_runs(self):
        self.assert_one_line_error(self.muster("exec", "-p", "echo", ":::", "a"), "cannot ask on the terminal")


if __name__ == "__main__":
    harness.main()
