#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""muster lab as its users run it: what it shows, in which shape, and how it ends."""
import json
import os
import pathlib
import re
import resource
import subprocess
import unittest

import harness


class Race(harness.Case):
    def test_protected_accounts_are_never_overdrawn(self):
        result = self.muster("lab", "race", "--rounds", "3000", "-o", "json")
        self.assert_ok(result)
        shown = json.loads(result.out)
        self.assertEqual((list(shown), shown["name"]), (["name", "variants", "sentence"], "race"))
        rows = {row["variant"]: row for row in shown["variants"]}
        self.assertEqual(list(rows), ["unprotected", "mutex", "atomic", "processes"])
        for name, row in rows.items():
            self.assertEqual(row["rounds"], 3 if name == "processes" else 3000)
            self.assertAlmostEqual(row["share"], row["overdrawn"] / row["rounds"])
            self.assertGreater(row["wall_s"], 0)
            if name != "unprotected":
                self.assertEqual((row["overdrawn"], row["wrong_balance"], row["lowest_balance"]), (0, 0, 20))
        self.assertLessEqual(rows["unprotected"]["wrong_balance"], rows["unprotected"]["overdrawn"])
        # Both decide on 100; the second decision that arrives is stale, and made again.
        self.assertEqual(rows["processes"]["stale"], 3)
        self.assertLessEqual(rows["processes"]["by_two_workers"], 3)

    def test_table_and_sentence(self):
        result = self.muster("lab", "race", "--rounds", "1000")
        self.assert_ok(result)
        self.assertRegex(result.out, r"\Avariant +rounds +overdrawn +share +lowest +time/round +wrong balance\n"
                                     r"unprotected +1000 .*\nmutex .*\natomic .*\nprocesses +1 .*\n\n\w[^\n]+\.\n\Z")

    def test_function_of_the_race_is_no_function_of_muster(self):
        result = self.muster("functions")
        self.assert_ok(result)
        self.assertNotIn("withdraw", result.out)

    @unittest.skipIf(harness.SANITIZE, "sanitizers need descriptors of their own")
    def test_few_descriptors_are_refused_with_the_way_out(self):
        for limit in (6, 8, 20):
            result = self.muster("lab", "race", "--rounds", "1000", limits={resource.RLIMIT_NOFILE: limit})
            self.assert_one_line_error(result, "file descriptors", "ulimit -n")

    def test_interrupt_ends_it_at_once(self):
        reader, terminal = os.openpty()
        run = self.start("lab", "race", "--rounds", "1000000000", stderr=terminal)
        os.close(terminal)
        shown = os.read(reader, 4096)  # waits: the variant that runs is said on a terminal
        self.assertIn(b"race: unprotected", shown)
        run.interrupt()
        result = run.end()
        self.assertEqual((result.status, result.out), (130, ""), str(result))
        self.assertIn(b"interrupted: nothing was shown", harness.shown_on(reader))


class Deadlock(harness.Case):
    def test_cycle_names_both_threads_and_both_locks_and_is_broken(self):
        result = self.muster("lab", "deadlock", "-o", "json")
        self.assert_ok(result)
        shown = json.loads(result.out)
        self.assertEqual((list(shown), shown["name"]), (["name", "cycle", "refused", "in_order"], "deadlock"))
        first, second = shown["cycle"]
        self.assertEqual({first["thread"], second["thread"]}, {"A to B", "B to A"})
        self.assertEqual({first["holds"], second["holds"]}, {"account A", "account B"})
        self.assertEqual((first["waits_for"], second["waits_for"]), (second["holds"], first["holds"]))
        self.assertEqual(shown["refused"], first["thread"])
        for link in shown["cycle"]:
            self.assertEqual(link["held_at"]["function"], "transfer")
            self.assertLess(link["held_at"]["line"], link["waits_at"]["line"])
        self.assertEqual(shown["in_order"]["transfers"], 20000)

    def test_it_says_where_both_stand(self):
        result = self.muster("lab", "deadlock", "--rounds", "10")
        self.assert_ok(result)
        for thread in ("A to B", "B to A"):
            self.assertRegex(result.out, rf"thread '{thread}' holds 'account .' \(transfer of lab/deadlock.c, line \d+\)")
        self.assertIn("20 transfers ran through", result.out)


class Mistakes(harness.Case):
    def test_each_is_one_line_that_helps(self):
        for words, said in (([], "there are: race, deadlock"), (["rase"], "did you mean race?"),
                            (["dedlock"], "did you mean deadlock?"), (["x"], "there are: race, deadlock"),
                            (["race", "deadlock"], "unexpected word 'deadlock'"), (["race", "--rounds", "0"], "--rounds 0"),
                            (["race", "-o", "none"], "text or json"), (["race", ":::", "1"], "takes no arguments")):
            self.assert_one_line_error(self.muster("lab", *words), said, "see 'muster lab --help'")

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = self.muster("lab", "deadlock", stdout=full)
        self.assert_fails(result, 255, "standard output: No space left on device")


class Keys(harness.Case):
    def test_what_they_cost_is_measured_of_all_ways(self):
        keyed = pathlib.Path(__file__).resolve().parents[2] / "lab" / "keyed"
        result = subprocess.run([keyed, harness.MUSTER, "--rounds", "1", "--chunks", "8", "--values", "4", "--bytes", "4096"],
                                env=self.env, capture_output=True, text=True, check=True)
        self.assertEqual(re.findall(r"^(\w.*?) +\d+ MiB/s +\d+\.\d\d of plain tcp ", result.stdout, re.M),
                         ["socket", "tcp", "tcp, keys"], result.stdout)


if __name__ == "__main__":
    harness.main()
