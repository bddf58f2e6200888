#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The programs of docs/examples: each under every model, with the output that it promises."""
import os
import pathlib
import re

import harness

EXAMPLES = pathlib.Path(os.environ["MUSTER_TEST_EXAMPLES"])
MODELS = ("inline", "threads", "gil", "loop", "processes")
BESIDE = ("threads", "gil", "processes")  # the caller goes on while jobs compute


class Examples(harness.Case):
    def setUp(self):
        super().setUp()
        self.env["PATH"] = f"{pathlib.Path(harness.MUSTER).parent}:{self.env['PATH']}"

    def lines(self, name, *arguments):
        """The lines of an example that succeeds."""
        result = self.start(*arguments, command=str(EXAMPLES / name)).end()
        self.assert_ok(result)
        return result.out.splitlines()

    def test_callbacks_say_what_was_loaded_and_what_was_not(self):
        good = self.home / "three-lines"
        good.write_text("one\ntwo\nthree\n", encoding="utf-8")
        for model in MODELS:
            first, *others = self.lines("callbacks", model, good, "/no/such")
            self.assertEqual(first, "2 files are being loaded")
            failed, loaded = sorted(others, key=lambda line: line.startswith(str(good)))
            self.assertEqual(loaded, f"{good}: 14 bytes, 3 lines")
            self.assertRegex(failed, "^/no/such: could not be loaded: .*No such file or directory$")

    def test_awaits_and_chains_give_the_same_answer(self):
        for model in MODELS:
            self.assertEqual(self.lines("awaits", model, "3"),
                             ["chained: 6561", "awaited: 9", "awaited: 81", "awaited: 6561"])

    def test_error_skips_the_rest_of_a_chain(self):
        for model in MODELS:
            result = self.start(model, "2000000", command=str(EXAMPLES / "awaits")).end()
            self.assertRegex(result.out, r"\Achained: .*request.*\nawaited: 4000000000000\n\Z")
            self.assert_fails(result, 1, "awaits: ", "request")

    def test_timers_come_in_their_order(self):
        for model in MODELS:
            lines = self.lines("timer", model)
            self.assertEqual(lines[0], "the timer of an hour was cancelled: yes")
            self.assertEqual(sorted(lines[1:-1]), ["150 ms are over", "the job after 300 ms: 6765",
                                                   "the job after an hour: cancelled", "tick 1", "tick 2", "tick 3"])
            self.assertEqual([line for line in lines if "tick" in line], ["tick 1", "tick 2", "tick 3"])
            self.assertLess(lines.index("150 ms are over"), lines.index("the job after 300 ms: 6765"))
            self.assertEqual(lines[-1], "0 are pending")

    def test_libuv_goes_on_while_jobs_compute(self):
        for model in MODELS:
            self.assertEqual(self.lines("libuv", model), ["539777 primes below 8 million",
                                                          "the loop's own timer was called meanwhile: yes"])

    def test_animation_draws_every_frame_and_says_how_late(self):
        for model in BESIDE:
            (line,) = self.lines("animation", model, "90")
            found = re.fullmatch(r"90 frames in ([0-9.]+) s, [0-9]+ late, the latest by [0-9.]+ ms; "
                                 r"([0-9]+) jobs of 50 ms meanwhile", line)
            self.assertTrue(found, line)
            self.assertGreaterEqual(float(found.group(1)), 1.49)
            self.assertGreater(int(found.group(2)), 0, "the workers computed")

    def test_unknown_model_is_one_line(self):
        for name, *arguments in (("callbacks", "/"), ("awaits", "1"), ("timer",), ("libuv",), ("animation", "1")):
            result = self.start("no_model", *arguments, command=str(EXAMPLES / name)).end()
            self.assert_fails(result, 1, f"{name}: no model 'no_model'")
            self.assertEqual(result.out, "")


if __name__ == "__main__":
    harness.main()
