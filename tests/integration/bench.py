#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""muster bench as its users run it: figures that are there, and what is said where one is not.

No figure is compared with a number: how long things take is the machine's affair.
"""
import json
import math
import os
import resource
import unittest

import harness

FIGURES = ["register", "L1 cache", "L2 cache", "L3 cache", "RAM", "RAM, 4 KiB pages", "context switch",
           "mutex hand-over", "pipe round trip", "ZeroMQ hop, inproc", "ZeroMQ hop, ipc", "disk read, 4 KiB", "fsync",
           "process creation"]
EVERYWHERE = set(FIGURES) - {"L1 cache", "L2 cache", "L3 cache", "disk read, 4 KiB"}


class Memory(harness.Case):
    def figures(self, *words, **options):
        result = self.muster("bench", "memory", "-o", "json", *words, **options)
        self.assert_ok(result)
        document = json.loads(result.out)
        self.assertEqual((list(document), document["name"]), (["name", "cycle_ns", "figures", "sentence"], "memory"))
        self.assertGreater(document["cycle_ns"], 0)
        self.assertEqual([figure["figure"] for figure in document["figures"]], FIGURES)
        return document["cycle_ns"], {figure["figure"]: figure for figure in document["figures"]}

    def test_every_figure_is_a_time_and_what_it_is_in_cycles(self):
        cycle_ns, figures = self.figures()
        for name, figure in figures.items():
            self.assertTrue(figure["note"], name)
            self.assertEqual(figure["unit"], "ns")
            if figure["value"] is None:
                self.assertNotIn(name, EVERYWHERE, figure["note"])
                continue
            self.assertTrue(math.isfinite(figure["value"]) and figure["value"] > 0, name)
            self.assertLessEqual(figure["low"], figure["value"])
            self.assertLessEqual(figure["value"], figure["high"])
            self.assertAlmostEqual(figure["scaled_s"] * cycle_ns / figure["value"], 1, places=5)
            self.assertRegex(figure["scaled"], r"\A\d[\d.]* (s|minutes?|hours?|days?|months?|(thousand )?years?)\Z")
        self.assertEqual(figures["register"]["scaled"], "1 s")

    def test_table_and_sentence(self):
        result = self.muster("bench", "memory", "--dir", self.home)
        self.assert_ok(result)
        lines = result.out.splitlines()
        self.assertRegex(lines[0], r"\Afigure +median +from +to +a cycle = 1 s +of\Z")
        self.assertEqual([line.split("  ")[0] for line in lines[1:1 + len(FIGURES)]], FIGURES)
        self.assertRegex(lines[-1], r"\AA cycle lasts [\d.]+ ns .*\.\Z")
        self.assertEqual([entry.name for entry in self.home.iterdir()], ["tmp"], "files left")

    def test_folder_that_cannot_be_written_costs_its_figures_alone(self):
        _, figures = self.figures("--dir", "/nonexistent")
        for name in ("disk read, 4 KiB", "fsync"):
            self.assertIsNone(figures[name]["value"])
            self.assertIn("/nonexistent (--dir): No such file or directory", figures[name]["note"])
        self.assertIsNotNone(figures["process creation"]["value"])
        self.assertIn("(--dir): No such file or directory\n", self.muster("bench", "memory", "--dir", "/nonexistent").out)

    @unittest.skipIf(harness.SANITIZE, "sanitizers need descriptors of their own")
    def test_few_descriptors_cost_the_figures_of_zeromq_and_no_abort(self):
        _, figures = self.figures(limits={resource.RLIMIT_NOFILE: 12})
        for name in ("ZeroMQ hop, inproc", "ZeroMQ hop, ipc"):
            self.assertIsNone(figures[name]["value"])
            self.assertIn("(ulimit -n)", figures[name]["note"])
        self.assertIsNotNone(figures["pipe round trip"]["value"])

    def test_interrupt_leaves_nothing(self):
        reader, terminal = os.openpty()
        run = self.start("bench", "memory", stderr=terminal)
        os.close(terminal)
        self.assertIn(b"measuring: ", os.read(reader, 4096))
        run.interrupt()
        result = run.end()
        self.assertEqual((result.status, result.out), (130, ""), str(result))
        os.close(reader)


class Mistakes(harness.Case):
    def test_each_is_one_line_that_helps(self):
        for words, said in (([], "there are: memory"), (["memroy"], "did you mean memory?"), (["x"], "there are: memory"),
                            (["memory", "x"], "unexpected word 'x'"), (["memory", "--dir"], "--dir needs a value"),
                            (["memory", "-o", "none"], "text or json"), (["memory", ":::"], "takes no arguments")):
            self.assert_one_line_error(self.muster("bench", *words), said, "see 'muster bench --help'")


if __name__ == "__main__":
    harness.main()
