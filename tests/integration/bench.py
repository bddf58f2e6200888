#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""muster bench as its users run it: figures that are there, and what is said where one is not.

No figure is compared with a number: how long things take is the machine's affair.
"""
import json
import math
import os
import re
import resource
import subprocess
import unittest

import harness
from page_reader import NASTY, PageReader, draw

LIMIT_S = 3 * harness.LIMIT_S  # what takes seconds on an idle machine

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


class Reports(harness.Case):
    """What all measurements have in common."""

    FIELDS = ["figure", "value", "unit", "low", "high", "baseline", "baseline_value", "ratio", "noisy", "note"]

    def check_report(self, report, name):
        self.assertEqual((list(report), report["name"]), (["name", "figures", "curves", "sentence"], name))
        self.assertRegex(report["sentence"], r"\A[A-Z].+\.\Z")
        self.assertTrue(report["figures"])
        for figure in report["figures"]:
            self.assertEqual(list(figure), self.FIELDS)
            if figure["value"] is None:
                self.assertTrue(figure["note"], figure)
                continue
            least = -math.inf if figure["unit"] == "%" else 0  # what is fitted may be less than nothing
            self.assertTrue(least < figure["low"] <= figure["value"] <= figure["high"] < math.inf, figure)
            if figure["ratio"] is not None:
                self.assertAlmostEqual(figure["ratio"] * figure["baseline_value"] / figure["value"], 1, places=6)
        for curve in report["curves"]:
            self.assertTrue(curve["points"] and all(len(point) == 2 for point in curve["points"]), curve)

    def report(self, name, *words, **options):
        result = self.muster("bench", name, "--rounds", "1", "-o", "json", *words, limit=LIMIT_S, **options)
        self.assert_ok(result)
        report = json.loads(result.out)
        self.check_report(report, name)
        return {figure["figure"]: figure for figure in report["figures"]}

    def on_one_core(self):
        """From now on this test, and what it starts, has one core."""
        all_cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(all_cores)})
        self.addCleanup(os.sched_setaffinity, 0, all_cores)


class Throughput(Reports):
    def test_interrupt_leaves_nothing(self):
        reader, terminal = os.openpty()
        run = self.start("bench", "throughput", stderr=terminal)
        os.close(terminal)
        self.assertIn(b"measuring: throughput", os.read(reader, 4096))
        run.interrupt()
        result = run.end()
        self.assertEqual((result.status, result.out), (130, ""), str(result))
        os.close(reader)


class Latency(Reports):
    def test_phases_of_the_median_job_are_part_of_it(self):
        figures = self.report("latency", "-j", "1")
        for name in ("p50", "p90", "p99", "p99.9", "p50, tcp", "p50, threads"):
            self.assertGreater(figures[name]["ratio"] or 0, 0, figures[name]["note"])
        self.assertLessEqual(figures["p50"]["value"], figures["p99.9"]["value"])
        phases = {name.strip(): figure for name, figure in figures.items() if name.startswith("  ")}
        self.assertTrue({"send", "execute", "return"} <= set(phases), phases)
        shares = [int(re.match(r"(\d+)% of the median job", phase["note"]).group(1)) for phase in phases.values()]
        self.assertTrue(90 <= sum(shares) <= 110, shares)


class Payload(Reports):
    def test_every_size_passes_both_ways(self):
        figures = self.report("payload")
        for size in ("64 B", "1 KiB", "64 KiB", "1 MiB", "16 MiB"):
            for way in ("shared memory", "inline"):
                figure = figures[f"{size}, {way}"]
                self.assertGreater(figure["ratio"] or 0, 0, figure["note"])
            self.assertRegex(figures[f"{size}, shared memory"]["note"], r"\A\w+ \d+%")


def point_curve(plot, name, points, **axes):
    return {"plot": plot, "name": name, "x_axis": "bytes", "y_axis": "GB/s", "x_log": True, "y_log": True, "computed": False,
            "points": points, **axes}


class Page(Reports):
    def setUp(self):
        super().setUp()
        self.path = self.home / "page.html"

    def page(self):
        return PageReader(self.path.read_text(encoding="utf-8"))

    def test_page_holds_the_report_of_the_table_and_refers_to_nothing_outside(self):
        self.on_one_core()  # one worker there is enough
        result = self.muster("bench", "throughput", "--rounds", "1", "-j1", "--html", self.path, limit=LIMIT_S)
        self.assert_ok(result)
        lines = result.out.splitlines()
        self.assertRegex(lines[0], r"\Athroughput +median +from +to +ratio +against +of\Z")
        self.assertRegex(lines[1], r"\Aa range, processes +[\d.]+ [GMk] jobs/s +")
        self.assertRegex(lines[-1], r"\A[A-Z].+\.\Z")
        page = self.page()
        report = json.loads(page.report)
        self.assertIn("muster bench throughput --rounds 1 -j1 --html", report.pop("run")["command"])
        self.check_report(report, "throughput")
        self.assertEqual([figure["figure"] for figure in report["figures"]],
                         [line.split("  ")[0] for line in lines[1:-2]])
        for figure in report["figures"]:
            self.assertGreater(figure["ratio"] or 0, 0, figure["note"])
        page.assert_alone(self)

    def test_words_that_are_markup_stay_text_and_the_document_is_printed_too(self):
        result = self.muster("bench", "memory", "-o", "json", "--dir", NASTY, "--html", self.path)
        self.assert_ok(result)
        page = self.page()
        report = json.loads(page.report)
        self.assertEqual((page.tags.count("script"), page.tags.count("img")), (2, 0))
        self.assertIn("</script><script>alert(1)</script>", report["run"]["command"])
        del report["run"]
        self.assertEqual([figure["note"] for figure in report["figures"]],
                         [figure["note"] for figure in json.loads(result.out)["figures"]])
        drawn = draw(self, self.path)
        self.assertEqual((drawn.tags.count("tr"), drawn.tags.count("img")), (len(FIGURES) + 1, 0), drawn.text[-2000:])

    def test_plots_of_any_curves_are_drawn(self):
        self.assert_ok(self.muster("bench", "memory", "--html", self.path))
        page = self.page()
        curves = [point_curve("one", NASTY, [[64, 0.1], [2**28, 5]]), point_curve("one", "to nothing", [[64, 0], [128, 1]]),
                  point_curve("two", "a point", [[1, 1]], x_log=False, y_log=False), point_curve("three", "nothing", [])]
        report = {"name": "all", "run": json.loads(page.report)["run"],
                  "reports": [{"name": NASTY, "figures": [], "curves": curves, "sentence": "None."}]}
        text = json.dumps(report).replace("<", "\\u003c")
        self.path.write_text(page.text.replace(page.report, text), encoding="utf-8")
        drawn = draw(self, self.path)
        self.assertEqual((drawn.tags.count("canvas"), drawn.tags.count("img")), (2, 0), drawn.text[-2000:])
        widths = [value for name, value in drawn.attributes if name == "width"]
        self.assertTrue(len(widths) == 2 and all(int(width) > 300 for width in widths), widths)

    def test_place_that_cannot_be_written_is_refused_before_anything_runs(self):
        self.assert_one_line_error(self.muster("bench", "all", "--html", self.home), "cannot write", "Is a directory")


class Granularity(Reports):
    FIGURES = [f"METG({share}), {way}" for share in ("50%", "95%", "95% of the cores together")
               for way in ("threads", "processes", "OpenMP tasks")]

    def test_figures_and_curves_are_there_or_say_why_not(self):
        result = self.muster("bench", "granularity", "--rounds", "1", "-j2", "-o", "json", limit=LIMIT_S)
        self.assert_ok(result)
        report = json.loads(result.out)
        self.check_report(report, "granularity")
        self.assertEqual([figure["figure"] for figure in report["figures"]], self.FIGURES)
        curves = {curve["name"]: curve["points"] for curve in report["curves"]}
        for way in ("threads", "processes"):
            self.assertEqual(len(curves[way]), 15)
            # However busy the machine, long jobs lose less of their time than the shortest.
            self.assertGreater(curves[way][-1][1], curves[way][0][1])
            self.assertGreater(curves[way][-1][0], curves[way][0][0])

    def test_interrupt_leaves_nothing(self):
        run = self.start("bench", "granularity", stderr=subprocess.PIPE)
        self.until(run.children, "workers")
        run.interrupt()
        result = run.end()
        self.assertEqual((result.status, result.out), (130, ""), str(result))


class Scaling(Reports):
    def test_two_numbers_of_workers_fit_one_law_and_say_what_they_cannot_tell(self):
        result = self.muster("bench", "scaling", "--rounds", "2", "-j2", "-o", "json", limit=LIMIT_S)
        self.assert_ok(result)
        report = json.loads(result.out)
        self.check_report(report, "scaling")
        figures = {figure["figure"]: figure for figure in report["figures"]}
        for model in ("threads", "processes"):
            for workers in ("1 worker", "2 workers"):
                self.assertGreater(figures[f"speedup, {model}, {workers}"]["value"], 0)
            serial = figures[f"serial fraction (Amdahl), {model}"]
            self.assertEqual(serial["value"] is None, len(os.sched_getaffinity(0)) < 2, serial)
            self.assertIsNone(figures[f"coherence (scalability), {model}"]["value"])
            self.assertIn("needs 3 numbers of workers", figures[f"coherence (scalability), {model}"]["note"])
        self.assertLessEqual({"ideal", "threads", "processes"}, {curve["name"] for curve in report["curves"]})

    def test_more_workers_than_the_one_core_are_no_scaling(self):
        self.on_one_core()
        figures = self.report("scaling", "-j2")
        self.assertEqual(figures["speedup, processes, 2 workers"]["baseline_value"], 1)
        self.assertIn("more workers than cores", figures["speedup, processes, 2 workers"]["note"])
        self.assertIn("needs 2 numbers of workers", figures["serial fraction (Amdahl), processes"]["note"])

    def test_one_worker_is_enough(self):
        figures = self.report("scaling", "-j1")
        self.assertGreater(figures["speedup, processes, 1 worker"]["ratio"], 0)
        self.assertIsNone(figures["serial fraction (Amdahl), threads"]["value"])


class Peers(Reports):
    """tests/unit/lab/test_peers.c has all that they may do wrong; this is one of them, through the command."""

    def test_peers_that_are_missing_or_fail_cost_their_figures_alone(self):
        folder = self.home / "bin"
        folder.mkdir()
        for name, script in (("python3", "echo I am no snake >&2; exit 7"), ("xargs", "kill -9 $$")):
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o700)
        figures = self.report("throughput", "-j2", "--peers", env={"PATH": str(folder)})
        for name, said in (("Pool.map", "python3 ended with status 7: I am no snake"),
                           ("xargs", "xargs was ended by signal 9"),
                           ("GNU parallel", "parallel is not installed"), ("Gearman", "I am no snake")):
            self.assertIsNone(figures[name]["value"], name)
            self.assertIn(said, figures[name]["note"])
        own = [figure for name, figure in figures.items() if "processes" in name or "threads" in name]
        self.assertEqual(len(own), 10)
        for figure in own:
            self.assertGreater(figure["ratio"] or 0, 0, figure["note"])
            self.assertEqual("tcp" in figure["figure"], "tcp" in figure["baseline"], figure)


class Mistakes(harness.Case):
    def test_each_is_one_line_that_helps(self):
        for words, said in (([], "there are: throughput"), (["memroy"], "did you mean memory?"), (["x"], "there are: throughput"),
                            (["memory", "x"], "unexpected word 'x'"), (["memory", "--dir"], "--dir needs a value"),
                            (["memory", "-o", "none"], "text or json"), (["memory", ":::"], "takes no arguments")):
            self.assert_one_line_error(self.muster("bench", *words), said, "see 'muster bench --help'")


if __name__ == "__main__":
    harness.main()
