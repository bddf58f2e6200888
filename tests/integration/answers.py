#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Answers that are known from elsewhere, under every model and however the jobs are cut."""
import json
import os
import pathlib
import subprocess

import harness
from harness import plugin

MODELS = ("inline", "threads", "gil", "loop", "processes")
PRIMES_TO_1E8 = 5761455


def ranges(last, count):
    """The numbers 0..last as `count` ranges, each the argument of a job of `primes`."""
    bounds = [last * number // count for number in range(count + 1)]
    return [f"[{low + 1 if low else 0},{high}]" for low, high in zip(bounds, bounds[1:])]


class Primes(harness.Case):
    def test_primes_below_a_hundred_million_add_up(self):
        for count in (3, 250):
            result = self.muster("map", "primes", ":::", *ranges(10**8, count))
            self.assert_ok(result)
            self.assertEqual(sum(map(int, result.out.split())), PRIMES_TO_1E8)

    def test_every_model_and_chunk_finds_the_same(self):
        arguments = ranges(10**6, 2000)
        first = self.muster("map", "primes", "--model", "inline", ":::", *arguments)
        self.assert_ok(first)
        self.assertEqual(sum(map(int, first.out.split())), 78498)
        for model in MODELS:
            for chunk in ("1", "7", "65536"):
                self.assert_ok(self.muster("map", "primes", "--model", model, "--chunk", chunk, ":::", *arguments),
                               first.out)

    def test_function_that_tests_and_function_that_sieves_agree(self):
        result = self.muster("map", "is_prime", ":::", "1..100000")
        self.assert_ok(result)
        self.assertEqual(result.out.count("true\n"), 9592)
        self.assertEqual(result.out.count("\n"), 100000)


class Files(harness.Case):
    def test_sums_of_files_are_those_of_sha256sum(self):
        paths = [str(path) for path in sorted(pathlib.Path("/usr/bin").iterdir())
                 if path.is_file() and os.access(path, os.R_OK) and path.stat().st_size < 1 << 20][:300]
        done = subprocess.run(["sha256sum", "--", *paths], capture_output=True, text=True, check=True)
        expected = "".join(f'"{line[:64]}"\n' for line in done.stdout.splitlines())
        for model in MODELS:
            self.assert_ok(self.muster("map", "sha256", "--model", model, ":::", *paths), expected)
        self.assert_ok(self.muster("map", "sha256", text="\n".join(paths)), expected)

    def test_counts_of_files_are_those_of_wc(self):
        paths = [str(path) for path in sorted(pathlib.Path("/usr/include").glob("*.h"))][:300]
        done = subprocess.run(["wc", "-lc", "--", *paths], capture_output=True, text=True, check=True)
        counts = [line.split()[:2] for line in done.stdout.splitlines()[:-1]]
        expected = "".join(f'{{"bytes":{size},"lines":{lines}}}\n' for lines, size in counts)
        for model in MODELS:
            self.assert_ok(self.muster("map", "read", "--model", model, ":::", *paths), expected)

    def test_file_that_is_missing_fails_alone(self):
        good = self.home / "good"
        good.write_bytes(b"abc")
        result = self.muster("map", "sha256", ":::", good, self.home / "missing", good)
        self.assert_fails(result, 1, "job 1.2 ", "missing", "No such file", "1 of 3 jobs failed")
        self.assertEqual(result.out,
                         '"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"\n' * 2)


class Values(harness.Case):
    """What goes through a worker comes back as it was."""

    def test_values_of_every_kind(self):
        lines = ["null", "true", "false", "0", "-1", "127", "128", "255", "256", "65535", "65536", "4294967295",
                 "4294967296", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "-129", "-32769",
                 "-2147483649", "1.5", "-0.001", "1e+300", '""', '"x"', '"\\u0000\\n\\""', '"\u00e9\u4e2d\U0001f600"',
                 "[]", "{}", "[[[]]]", '{"a":{"b":[1,{"c":null}]}}', '"' + "y" * 70000 + '"',
                 "[" * 28 + "]" * 28, json.dumps(list(range(70000)), separators=(",", ":"))]
        text = "".join(f"{line}\n" for line in lines)
        for model in MODELS:
            self.assert_ok(self.muster("map", "echo", "--model", model, text=text), text)

    def test_line_of_a_mebibyte_and_one_of_many(self):
        text = "".join(f'"{"z" * size}"\n' for size in (1 << 20, 1, 5 << 20, 0, 1 << 20))
        self.assert_ok(self.muster("map", "echo", text=text), text)

    def test_bytes_that_are_no_text_are_replaced_and_harm_nobody(self):
        path = self.home / "lines"
        path.write_bytes(b"good\n\xff\xfe\n\xc3\n[\"\xed\xa0\x80\"]\n\0\nlast\n")
        result = self.muster("map", "echo", "::::", path)
        self.assertEqual(result.status, 0, str(result))
        lines = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual((lines[0], lines[1], lines[4], lines[5]), ("good", "\ufffd\ufffd", "\0", "last"))

    def test_a_hundred_thousand_words(self):
        words = [str(number) for number in range(100_000)]
        self.assert_ok(self.muster("map", "echo", ":::", *words), "".join(f"{word}\n" for word in words))

    def test_ranges_at_the_ends_of_64_bits(self):
        low, high = -(1 << 63), (1 << 63) - 1
        for first in (low, -2, high - 3):
            numbers = range(first, first + 4)
            self.assert_ok(self.muster("map", "echo", ":::", f"{first}..{first + 3}"),
                           "".join(f"{number}\n" for number in numbers))
        result = self.muster("map", "noop", "-o", "none", ":::", f"{low}..{high}")
        self.assert_one_line_error(result, "too long")


class Plugins(harness.Case):
    def test_plugin_is_found_in_the_folders_of_its_path(self):
        env = {"MUSTER_PLUGIN_PATH": f"/nonexistent::{harness.PLUGINS}"}
        for model in MODELS:
            for name in ("collatz", "collatz.so"):
                self.assert_ok(self.muster("map", "collatz", "--plugin", name, "--model", model, ":::", "27", env=env),
                               "111\n")
        result = self.muster("map", "collatz", "--plugin", "no_such", ":::", "27", env=env)
        self.assert_one_line_error(result, "no_such", "MUSTER_PLUGIN_PATH")

    def test_plugin_of_this_folder_needs_its_folder_named(self):
        result = self.muster("map", "collatz", "--plugin", "collatz.so", ":::", "27", cwd=harness.PLUGINS)
        self.assert_one_line_error(result, "./collatz.so")
        self.assert_ok(self.muster("map", "collatz", "--plugin", "./collatz.so", ":::", "27", cwd=harness.PLUGINS),
                       "111\n")

    def test_many_plugins_serve_one_batch(self):
        self.assert_ok(self.muster("map", "collatz", "--plugin", plugin("faulty"), "--plugin", plugin("collatz"), ":::",
                                   "27"), "111\n")

    def test_plugin_given_twice_is_refused(self):
        twice = ["--plugin", plugin("collatz")] * 2
        result = self.muster("map", "collatz", *twice, ":::", "27")
        self.assert_one_line_error(result, "collatz is taken")


class Compare(harness.Case):
    def test_models_that_disagree_are_not_compared(self):
        result = self.muster("compare", "pid", "--plugin", plugin("faulty"), "--rounds", "1", ":::", "1", "2")
        self.assertEqual((result.status, result.out), (255, ""), str(result))
        self.assertRegex(result.err, r"\Amuster: [^\n]*inline[^\n]*\n\Z")
        self.assertIn("processes", result.err)

    def test_models_of_one_process_agree_on_its_number(self):
        result = self.muster("compare", "pid", "--plugin", plugin("faulty"), "--rounds", "1", "--models",
                             "inline,threads", "-o", "json", ":::", "1..50")
        self.assert_ok(result)
        self.assertEqual([row["model"] for row in json.loads(result.out)["rows"]], ["inline", "threads"])

    def test_job_that_fails_under_one_model_only_is_a_disagreement(self):
        counter = self.home / "counter"
        result = self.muster("compare", "fail_times", "--plugin", plugin("faulty"), "--rounds", "1", "--models",
                             "inline,threads", ":::", json.dumps([str(counter), 1]))
        self.assertEqual((result.status, result.out), (255, ""), str(result))


if __name__ == "__main__":
    harness.main()
