#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fetch against a real server: what it answers, and every way in which it does not."""
import hashlib
import json
import os
import resource
import subprocess
import unittest

import harness
import http_server

MODELS = ("inline", "threads", "gil", "loop", "processes")
TRICKLE_S = (0.2, 2, 20)


def answer(status, body):
    return {"status": status, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        for name in list(self.env):
            if name.lower().endswith("_proxy"):
                del self.env[name]
        self.env["RES_OPTIONS"] = "timeout:1 attempts:1"  # where a name server does not answer
        self.server = self.enterContext(http_server.Server())
        self.closed_port = self.enterContext(http_server.closed_port())

    def fetch(self, *arguments, model="inline", workers=None, **options):
        """Maps fetch; returns the Result."""
        workers = [] if workers is None else ["--workers", workers]
        return self.muster("map", "fetch", "--model", model, *workers, "-o", "json", ":::", *arguments, **options)

    def errors(self, result):
        return [json.loads(line).get("error", "") for line in result.out.splitlines()]


class Answers(Case):
    def test_every_model_gets_the_same_documents(self):
        text, block = http_server.TEXT, http_server.BLOCK
        expected = {
            "/text": answer(200, text),
            "/text?and=a#fragment": answer(200, text),
            "/status?code=404": answer(404, text),
            "/status?code=500": answer(500, text),
            "/status?code=204": {"status": 204, "bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()},
            "/no/such/page": answer(404, b"no such page\n"),
            "/large?blocks=100": answer(200, block * 100),
            "/large?blocks=0": answer(200, b""),
            "/chunked?blocks=3": answer(200, block * 3),
            "/redirect?times=10": answer(200, text),
        }
        for model in MODELS:
            result = self.fetch(*map(self.server.url, expected), model=model)
            self.assert_ok(result)
            self.assertEqual([json.loads(line)["result"] for line in result.out.splitlines()],
                             list(expected.values()), model)

    @unittest.skipIf(harness.SANITIZE, "a sanitizer's shadow memory counts")
    def test_large_document_is_not_held_in_memory(self):
        for model in ("inline", "loop"):
            result = self.fetch(self.server.url("/large?blocks=1600"), model=model,
                                limits={resource.RLIMIT_DATA: 32 << 20})
            self.assert_ok(result)
            self.assertEqual(json.loads(result.out)["result"]["bytes"], 100 << 20)

    def test_connection_is_kept_for_the_next_fetch(self):
        for model, workers in (("inline", 1), ("threads", 2), ("processes", 2)):
            before = dict(self.server.counts)
            self.assert_ok(self.fetch(*[self.server.url("/text")] * 2000, model=model, workers=workers))
            self.assertEqual(self.server.counts["requests"] - before.get("requests", 0), 2000)
            self.assertLessEqual(self.server.counts["connections"] - before.get("connections", 0), workers, model)

    def test_fetches_of_several_workers_wait_at_once(self):
        for model in ("threads", "gil", "processes"):
            self.server.counts.clear()
            self.assert_ok(self.fetch(*[self.server.url("/gather?count=4")] * 4, model=model, workers=4))

    def test_fetches_of_a_loop_wait_at_once(self):
        self.assert_ok(self.fetch(*[self.server.url("/gather?count=100")] * 100, model="loop"))

    def test_fetches_of_workers_with_concurrency_wait_at_once(self):
        self.assert_ok(self.muster("map", "fetch", "--workers", 2, "--concurrency", 25, "-o", "none", ":::",
                                   *[self.server.url("/gather?count=50")] * 50))

    def test_workers_with_concurrency_get_the_same_documents(self):
        urls = [self.server.url(f"/large?blocks={number % 7}") for number in range(300)]
        result = self.muster("map", "fetch", "--workers", 2, "--concurrency", 10, ":::", *urls)
        self.assert_ok(result)
        self.assertEqual([json.loads(line)["bytes"] for line in result.out.splitlines()],
                         [len(http_server.BLOCK) * (number % 7) for number in range(300)])
        self.assertLessEqual(self.server.counts["connections"], 20)

    def test_loop_fetches_more_documents_than_it_may_have_connections(self):
        limits = {resource.RLIMIT_NOFILE: 64}
        self.assert_ok(self.fetch(*[self.server.url("/text")] * 1000, model="loop", limits=limits))
        self.assertLessEqual(self.server.counts["connections"], 32)

    def test_few_fetches_at_once_need_few_connections(self):
        self.assert_ok(self.muster("map", "fetch", "--model", "loop", "--concurrency", 3, "-o", "none", ":::",
                                   *[self.server.url("/text")] * 2000))
        self.assertLessEqual(self.server.counts["connections"], 3)

    def test_password_reaches_the_server_and_no_error(self):
        self.assert_ok(self.fetch(self.server.url("/text", user="me:pass@")))
        url = f"http://me:pa55@127.0.0.1:{self.closed_port}/path?token=t0ken#part"
        (error,) = self.errors(self.fetch(url))
        self.assertIn("/path", error)
        for secret in ("pa55", "t0ken", "me:"):
            self.assertNotIn(secret, error)

    def test_proxy_of_the_environment_is_used(self):
        result = self.fetch("http://nohost.invalid/text", env={"http_proxy": self.server.url("/")})
        self.assert_ok(result)
        self.assertEqual(self.server.counts["proxied"], 1)


class Failures(Case):
    def test_every_failure_says_what_happened(self):
        port = self.closed_port
        expected = {
            f"http://127.0.0.1:{port}/": ("cannot connect: Connection refused", str(port)),
            "http://nohost.invalid/page": ("http://nohost.invalid/page", "its host does not resolve"),
            self.server.url("/broken"): ("broke off after 400 bytes",),
            self.server.url("/brokenchunk"): ("broke off after 100 bytes",),
            self.server.url("/reset"): ("broke off after 400 bytes",),
            self.server.url("/garbage"): ("the answer is not HTTP",),
            self.server.url("/empty"): ("closed the connection without an answer",),
            self.server.url("/redirect?times=11"): ("more than 10 redirections",),
            self.server.url("/elsewhere?to=file:///etc/passwd"): ("redirected to file:///etc/passwd",
                                                                   "only http and https are fetched"),
            self.server.url("/elsewhere?to=http://nohost.invalid/"): ("redirected to http://nohost.invalid/",
                                                                       "its host does not resolve"),
            json.dumps({"url": self.server.url("/hang"), "seconds": 0.2}): ("/hang", "no answer within 0.2 s"),
            "file:///etc/passwd": ("http or https", '"file"'),
            "ftp://localhost/": ("http or https", '"ftp"'),
            "gopher://localhost/": ("http or https", '"gopher"'),
            "foo://localhost/": ("http or https", '"foo"'),
            "localhost/page": ("http://host/path",),
            "http://": ("http://host/path",),
            "http://two words/": ("http://host/path",),
            "http://[::1/": ("http://host/path",),
            "http://localhost:99999/": ("http://host/path", "Port"),
            "http://localhost/" + "x" * 70000: ("65536 bytes",),
        }
        for model in MODELS:
            result = self.fetch(*expected, model=model)
            self.assertEqual(result.status, len(expected), str(result))
            for error, (url, words) in zip(self.errors(result), expected.items()):
                for word in words:
                    self.assertIn(word, error, f"{url[:99]} under {model}")

    def test_document_that_takes_too_long_says_how_much_came(self):
        for model in MODELS:
            for seconds in TRICKLE_S:
                url = json.dumps({"url": self.server.url("/trickle"), "seconds": seconds})
                (error,) = self.errors(self.fetch(url, model=model))
                if "no answer" not in error:
                    break  # the first bytes came in time, which a busy machine may need long for
            self.assertRegex(error, rf"not complete within {seconds:g} s: [1-9]\d* bytes came", model)

    def test_argument_of_another_kind_is_refused(self):
        arguments = ["7", "null", '""', '"http://localhost/\\u0000"', '{"url":7}', '{"seconds":1}',
                     '{"url":"http://localhost/","seconds":0}', '{"url":"http://localhost/","seconds":-1}',
                     '{"url":"http://localhost/","seconds":86401}', '{"url":"http://localhost/","more":1}']
        result = self.fetch(*arguments)
        self.assertEqual(result.status, len(arguments), str(result))
        for error in self.errors(result):
            self.assertIn("fetch takes the URL, or ", error)

    def test_failed_fetches_leave_no_descriptor_behind(self):
        urls = [self.server.url("/broken"), self.server.url("/empty"), self.server.url("/garbage"),
                f"http://127.0.0.1:{self.closed_port}/"] * 50
        result = self.fetch(*urls, self.server.url("/text"), limits={resource.RLIMIT_NOFILE: 64})
        self.assertEqual(result.status, 101, str(result))
        self.assertEqual(json.loads(result.out.splitlines()[-1])["result"], answer(200, http_server.TEXT))

    def test_interrupt_ends_fetches_that_hang(self):
        for model in MODELS:
            self.server.counts.clear()
            running = self.start("map", "fetch", "--model", model, "--workers", 2, ":::",
                                 *[self.server.url("/hang")] * 2)
            self.assertTrue(self.server.await_count("hanging", 1 if model == "inline" else 2))
            running.interrupt()
            self.assert_fails(running.end(), 130)

    def test_interrupt_ends_many_fetches_of_one_worker_that_hang(self):
        running = self.start("map", "fetch", "--workers", 2, "--concurrency", 10, ":::",
                             *[self.server.url("/hang")] * 20)
        self.assertTrue(self.server.await_count("hanging", 20))
        running.interrupt()
        self.assert_fails(running.end(), 130)

    def test_time_limit_of_a_job_ends_its_fetch(self):
        result = self.muster("map", "fetch", "--timeout", "0.3", ":::", self.server.url("/hang"))
        self.assert_fails(result, 1, "timed out")

    @unittest.skipIf(harness.SANITIZE, "a sanitizer wants to be the first library")
    def test_name_that_is_never_resolved_holds_nobody_up(self):
        source, library = self.home / "resolver.c", self.home / "resolver.so"
        source.write_text("#include <unistd.h>\nint getaddrinfo(void) { for (;;) pause(); }\n", encoding="utf-8")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", source, "-o", library], check=True)
        env = {"LD_PRELOAD": str(library)}
        limited = json.dumps({"url": "http://slow.invalid/", "seconds": 0.3})
        for model in MODELS:
            result = self.fetch(limited, self.server.url("/text"), model=model, env=env)
            self.assertEqual(result.status, 1, str(result))
            self.assertIn("no answer within 0.3 s", self.errors(result)[0])
            self.server.counts.clear()
            running = self.start("map", "fetch", "--model", model, "--workers", 2, ":::", "http://slow.invalid/",
                                 self.server.url("/hang"), env=env)
            if model != "inline":
                self.assertTrue(self.server.await_count("hanging", 1))
            running.interrupt()
            self.assert_fails(running.end(), 130)


class Library(Case):
    """libcurl that is not what it should be."""

    def with_libcurl(self, content):
        source, library = self.home / "libcurl.c", self.home / "libcurl.so.4"
        if content is None:
            library.write_text("no library\n", encoding="utf-8")
        else:
            source.write_text(content, encoding="utf-8")
            subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", source, "-o", library], check=True)
        return self.fetch(self.server.url("/text"), env={"LD_LIBRARY_PATH": str(self.home)})

    def test_libcurl_that_cannot_be_loaded_is_named(self):
        (error,) = self.errors(self.with_libcurl(None))
        self.assertIn("fetch needs libcurl 4", error)
        self.assertIn("libcurl.so.4", error)

    def test_libcurl_that_is_too_old_is_refused(self):
        (error,) = self.errors(self.with_libcurl("int curl_global_init(long flags) { return (int)flags; }\n"))
        self.assertIn("fetch needs libcurl 7.87 or later", error)

    def test_functions_that_do_not_fetch_need_no_libcurl(self):
        (self.home / "libcurl.so.4").write_text("no library\n", encoding="utf-8")
        self.assert_ok(self.muster("map", "noop", ":::", 1, env={"LD_LIBRARY_PATH": str(self.home)}))


if __name__ == "__main__":
    harness.main()
