#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command template beside the shells: a template that muster runs without a shell must be, word by word,
what dash and bash make of its line."""
import os
import subprocess
import tempfile
import unittest

DRIVER = os.environ["MUSTER_TEST_TEMPLATE"]
LIMIT_S = 60

VALUES = [b"plain", b"a b", b"", b"it's", b"''", b"~", b"-x", b"=a", b"a=b", b"#a", b"a\tb", b"$HOME", b"`id`",
          b"*?[x]", b"\\", b"\\n", b"{}", b"{1}", b"caf\xc3\xa9", b"\xff\xfe", b"\xc3", b"!x", b"a;b|c&d<e>f", b'"',
          b"%", b"\x01\x02\x7f", b"a/b.c/d.e.f.g"]
PATHS = [b".", b"..", b"...", b"/", b"//", b"///", b"a/", b"a//", b"/a", b"//a", b"a//b", b"a/b/", b"a/b//", b".a",
         b"a/.b", b"a.", b"a..", b"a.b/", b"a.b/c", b"./a.b", b"/.x", b"a/b.c.d", b"a.b.c.d.e", b"a/.b.c", b".b.c.d",
         b"/a.b/", b"a/b.c/.d.e", b"////a////", b".../x", b"a b/c d.e f"]
PLAIN = [  # lines, and whether they need a shell
    (b"gzip -9 a.b", False), (b"gzip  'a b' \"c d\" e\\ f ''", False), (b"a/b\tc", False), (b"x a'b'\"c\"\\;", False),
    (b"x =a b=c %d @e f:g h,i", False), (b"x 'a\nb' '\xff$`\"'", False), (b"echo a b", False), (b"/bin/echo -n", False),
    (b"true", False), (b"false", False), (b"echo -n a", True), (b"echo 'a\\tb'", True), (b"true --help", True),
    (b"", True), (b"  ", True), (b"a=b c", True), (b"'a=b' c", True), (b"'' c", True), (b"if true", True),
    (b"cd /", True), (b"printf a", True), (b"time x", True), (b". x", True), (b"x;y", True), (b"x|y", True),
    (b"x>y", True), (b"x&", True), (b"x $y", True), (b"x \"$y\"", True), (b"x `y`", True), (b"x #y", True),
    (b"x *", True), (b"x ?", True), (b"x [a]", True), (b"x {a,b}", True), (b"x ~", True), (b"x a=~", True),
    (b"x\ny", True), (b"x 'y", True), (b"x \"y", True), (b"x \\", True), (b"x \\\ny", True), (b"x (y)", True),
    (b"x !", True), (b"x ^y", True), (b"x \xc3\xa9", True), (b"%1", True), (b"kill 1", True), (b"known", True),
    (b"x '\x01' y", True), (b"x \x01", True),
]


def run(command, data=b"", **environment):
    with tempfile.TemporaryDirectory() as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home, "PARALLEL_SHELL": "/bin/sh", **environment}
        return subprocess.run(command, input=data, env=environment, capture_output=True, timeout=LIMIT_S, check=False)


def driver(words, arguments, **environment):
    result = run([DRIVER, *words], b"".join(a + b"\0" for a in arguments), **environment)
    return result.stdout, result.stderr, result.returncode


class Shell(unittest.TestCase):
    """Without a shell as in one."""

    def words_of(self, line, shell):
        result = run([shell, "-c", b"set -- " + line + b"\nprintf '%s\\0' \"$@\""])
        self.assertEqual(result.stderr, b"", line)
        return result.stdout

    def test_plain_lines_are_split_as_shells_split_them(self):
        for line, needs_shell in PLAIN:
            words, error, status = driver([], [line], **{"BASH_FUNC_known%%": "() { :; }"})
            with self.subTest(line=line):
                self.assertEqual((status, error), (0, b""))
                self.assertEqual(words == b"shell\0\0", needs_shell)
                for shell in () if needs_shell else ("/bin/sh", "/bin/bash"):
                    first, rest = words[:-1].split(b"\0", 1)
                    if first in (b"/bin/echo", b"/bin/true", b"/bin/false") and not line.startswith(b"/"):
                        first = first[len(b"/bin/"):]
                    self.assertEqual(first + b"\0" + rest, self.words_of(line, shell))

    def test_arguments_arrive_as_they_are(self):
        for value in VALUES + PATHS:
            words, error, status = driver(["x", "{}", "a{}b"], [value])
            with self.subTest(value=value):
                self.assertEqual((status, error), (0, b""))
                if words != b"shell\0\0":
                    self.assertEqual(words, b"x\0" + value + b"\0a" + value + b"b\0\0")

    def test_surroundings_that_change_the_shell_keep_it(self):
        for environment in ({"PARALLEL_SHELL": "/bin/cat"}, {"PARALLEL_SHELL": "bash"}, {"BASH_ENV": "/x"},
                            {"SHELLOPTS": "xtrace"}, {"PATH": ""}, {"PARALLEL_SHELL": "/nonexistent"},
                            {"BASH_FUNC_command_not_found_handle%%": "() { :; }"}):
            with self.subTest(environment=environment):
                self.assertEqual(driver(["x"], [b"a"], **environment)[0], b"shell\0\0")
        self.assertEqual(driver(["x"], [b"a"])[0], b"x\0a\0\0")


if __name__ == "__main__":
    unittest.main()
