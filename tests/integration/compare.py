#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""muster compare: models agree on every function that ships, jobs that wait overlap, and the page
is whole, safe and by itself."""
import hashlib
import http.server
import json
import re
import threading
import unittest

import harness
from harness import as_root
from page_reader import NASTY, PageReader, draw


class Server(http.server.BaseHTTPRequestHandler):
    """Answers with some bytes."""

    def do_GET(self):
        body = self.path.encode() * 1000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


class Models(harness.Case):
    def test_all_models_agree_on_every_function_that_ships(self):
        (self.home / "file").write_bytes(b"bytes\n" * 10000)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        own = {"fetch": [f"http://127.0.0.1:{server.server_port}/{name}" for name in "abcd"],
               "fib": ["10", "20", "21"], "nbody": ["100", "1000"], "matmul": ["10", "64"],
               "request": ['{"number":7,"seconds":0.01}', '{"number":8,"seconds":0}'],
               "sha256": [str(self.home / "file"), str(self.home / "missing")],
               "read": [str(self.home / "file"), str(self.home / "missing")]}
        try:
            functions = json.loads(self.muster("functions", "-o", "json").out)
            self.assertGreater(len(functions), 10)
            for function in functions:
                name = function["name"]
                arguments = own.get(name, [function["example"]] * 3)
                result = self.muster("compare", name, "-j", "2", "--rounds", "2", "--concurrency", "3", "-o", "json",
                                     ":::", *arguments, "null")
                self.assertLess(result.status, 100, str(result))
                document = json.loads(result.out)
                self.assertGreaterEqual(len(document["rows"]), 3)
                for row in document["rows"]:
                    self.assertEqual((row["jobs"], row["failed"]), (len(arguments) + 1, result.status), str(result))
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    @unittest.skipIf(harness.SANITIZE, "a sanitizer takes its time")
    def test_requests_overlap_in_every_model_but_inline(self):
        result = self.muster("compare", "request", "-j", "3", "--rounds", "1", "-o", "json", ":::", "1", "2", "3")
        self.assert_ok(result)
        document = json.loads(result.out)
        self.assertLess(document["computing"], 0.5)
        walls = {row["name"]: row["wall_s"] for row in document["rows"]}
        self.assertGreaterEqual(walls.pop("inline"), 3)
        for name, wall in walls.items():
            self.assertGreaterEqual(wall, 1, name)
            self.assertLess(wall, 3, f"{name} waits for one after another")
        for row in document["rows"]:
            self.assertLess(row["efficiency"], 2, row["name"])

    def test_concurrency_is_that_of_processes(self):
        result = self.muster("compare", "noop", "--rounds", "1", "--concurrency", "7", "-o", "json", ":::", "1..50")
        self.assert_ok(result)
        rows = {row["model"]: row for row in json.loads(result.out)["rows"]}
        self.assertEqual((rows["processes"]["name"], rows["processes"]["concurrency"]), ("processes x7", 7))
        self.assertEqual((rows["threads"]["name"], rows["threads"]["concurrency"]), ("threads", 1))


class Page(harness.Case):
    def setUp(self):
        super().setUp()
        self.path = self.home / "page.html"

    def compare(self, *words, **options):
        return self.muster("compare", "spin", "--rounds", "1", "--models", "threads", "--html", self.path, *words, ":::",
                           "0.001", "0.001", **options)

    def left(self):
        return sorted(path.name for path in self.home.iterdir())

    def test_page_holds_the_report_and_refers_to_nothing_outside(self):
        self.assert_ok(self.compare())
        text = self.path.read_text(encoding="utf-8")
        page = PageReader(text)
        report = json.loads(page.report)
        self.assertEqual([row["name"] for row in report["rows"]], ["inline", "threads"])
        self.assertTrue(all(row["timeline"]["lanes"] for row in report["rows"]))
        self.assertIn("--models threads --html", report["run"]["command"])
        self.assertEqual(set(report["run"]), {"command", "date", "version", "machine", "cores", "memory_bytes", "kernel"})
        page.assert_alone(self)

    def test_arguments_that_are_markup_stay_text(self):
        result = self.muster("compare", "is_prime", "--rounds", "1", "--models", "inline", "--html", self.path, ":::", "7",
                             NASTY, "\udcff\udcfe", "line\nline")
        self.assert_fails(result, 3)
        page = PageReader(self.path.read_text(encoding="utf-8"))
        self.assertEqual(page.tags.count("script"), 2)
        self.assertNotIn("img", page.tags)
        report = json.loads(page.report)
        self.assertIn("</script><script>alert(1)</script>", report["run"]["command"])
        self.assertIn("</script>", report["failures"][0]["error"])

    def test_page_is_drawn_by_a_browser(self):
        result = self.muster("compare", "is_prime", "--rounds", "1", "--html", self.path, ":::", "7", NASTY)
        self.assert_fails(result, 1)
        drawn = draw(self, self.path)
        rows = json.loads(drawn.report)["rows"]
        self.assertEqual(drawn.tags.count("tr"), len(rows) + 1, drawn.text)
        self.assertEqual(drawn.tags.count("svg"), sum(len(row["timeline"]["lanes"]) for row in rows))
        self.assertEqual(drawn.tags.count("path"), 2 * drawn.tags.count("svg"))
        self.assertNotIn("img", drawn.tags)
        self.assertIn("<li>job 2: ", drawn.text)

    def test_page_that_is_there_is_replaced_as_a_whole(self):
        self.path.write_text("an old page")
        self.path.chmod(0o600)
        link = self.home / "link"
        link.symlink_to(self.path)
        result = self.muster("compare", "noop", "--rounds", "1", "--html", link, ":::", "1..3")
        self.assert_ok(result)
        self.assertTrue(link.is_symlink())
        self.assertIn("noop", self.path.read_text(encoding="utf-8"))
        self.assertEqual(self.left(), ["link", "page.html", "tmp"])

    def test_places_that_cannot_be_written_are_refused_before_anything_runs(self):
        for path, reason in ((self.home, "Is a directory"), (self.home / "no" / "page.html", "No such file"),
                             (self.home / ("x" * 300), "File name too long"), ("", "No such file")):
            result = self.muster("compare", "request", "--html", path, ":::", '{"number":1,"seconds":3600}')
            self.assert_one_line_error(result, "cannot write", reason)
        self.assertEqual(self.left(), ["tmp"])

    def test_full_file_system_keeps_the_old_page_and_nothing_else(self):
        full = self.home / "full"
        full.mkdir()
        mount = f"mount -t tmpfs -o size=8k none {full} && echo old >{full}/page.html"
        check = f'"$0" "$@"; echo "status $?"; ls -A {full}; cat {full}/page.html'
        command = as_root(mount, "sh", "-c", check, harness.MUSTER, "compare", "spin", "--rounds", "1", "--html",
                          full / "page.html", ":::", "0.001")
        if not command:
            self.skipTest("tmpfs cannot be mounted here")
        result = self.start(*command[1:], command=command[0]).end()
        self.assertRegex(result.err, r"\Amuster: cannot write [^\n]*page.html: No space left on device\n\Z", str(result))
        self.assertTrue(result.out.endswith("status 255\npage.html\nold\n"), str(result))

    def test_device_is_written_to_and_stays_one(self):
        result = self.muster("compare", "noop", "--rounds", "1", "--html", "/dev/full", ":::", "1")
        self.assert_fails(result, 255, "cannot write /dev/full: No space left on device")

    def test_same_run_gives_the_same_bytes_but_for_the_report(self):
        def frame():
            self.assert_ok(self.compare())
            text = self.path.read_text(encoding="utf-8")
            return hashlib.sha256(re.sub(r"(?<=id=\"report\">)[^<]*", "", text).encode()).hexdigest()

        self.assertEqual(frame(), frame())


if __name__ == "__main__":
    harness.main()
