#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command template against GNU parallel's --dry-run, byte by byte, and against the shells.

A template that muster runs without a shell must be, word by word, what dash and bash make of its line.
"""
import itertools
import os
import shutil
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
ROW = [b"a b.x", b"c", b"d/e.y"]

ONE_BY_ONE = [  # (options, words): each of VALUES and PATHS alone
    ([], ["echo"]), ([], ["echo", "[{}]x{}"]), ([], ["echo {} {/} {//} {.} {/.}"]), ([], []), ([], ["{}"]),
    ([], ["{} x"]), ([], ["x{} {}"]), ([], [" {} x"]), ([], ["x;{} {}"]), ([], ["x\t{}"]), ([], ["", "x"]),
    ([], ["echo  a   b "]), ([], ["echo '{}' \"{}\" \\{}"]), ([], ["echo {{}} {}} {x} { } {1"]), ([], ["{#} {}"]),
    (["-q"], []), (["-q"], ["echo"]), (["-q"], ["echo", "x{}y", "", "*", "a b", "{} {.}", "it's", "$X"]),
    (["-q"], ["{}", "x;y"]), (["-q"], ["{} y"]), (["-q"], ["echo", "{2}", "x{2}", "{#} {}"]),
    (["--plus"], ["echo {+/} {+.} {+..} {+...} {..} {...} {/..} {/...}"]), ([], ["echo {+/} {+.} {..} {/..}"]),
    (["-I", ","], ["echo , {} {.} {1} ,."]), (["-I", "@@"], ["echo @@ @ {/}"]), (["-I", "{Q}"], ["echo {Q} {1Q} {1}"]),
    (["--er", "Q"], ["echo Q {.} {}"]), (["--er", "{Q}"], ["echo {Q} {1Q} {1.}"]),
    (["--bnr", "{Q}", "--dnr", "{R}", "--bner", "{S}", "--seqreplace", "{T}"], ["echo {Q}{1R}{-1S}{T}{/}{#}"]),
]
TOGETHER = [  # with several arguments, in all the ways of giving them
    ["echo"], ["{} x"], ["x{} {}"], [],
    ["echo", "", "{}", "x{}", "x{}y {} z", "{.} {}", "{1}", "{1} {2}", "{2}", "x{1}y{2}z", "{}{}", "{-1} {-2} {0} {00}",
     "{-0}", "{-3} {-4} {-5} {-7}", "{#}x{}", "{1 .} {01/} {-01.} {1//} {2/.} {4}", '"a {}"x {}', "{};echo x{}y",
     "a{}\rb{}", "x{1}{}", "x{-1}{.}", "{--1} {+1}"],
]
WAYS = [  # options of parallel, of the driver
    (["-n2"], ["--rows", "2"]), (["-N2"], ["--rows", "2", "-X"]), (["-X"], ["--rows", "0", "-X"]),
    (["-m"], ["--rows", "0"]), (["-q", "-X"], ["--rows", "0", "-X", "-q"]),
]
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


def driver(options, words, arguments, **environment):
    result = run([DRIVER, *options, "--", *words], b"".join(a + b"\0" for a in arguments), **environment)
    return result.stdout, result.stderr, result.returncode


def parallel(options, words, arguments):
    """The lines of a dry run, each ended by NUL as the driver's are."""
    result = run(["parallel", "--will-cite", "--dry-run", "-k", "-j1", "-0", *options, *words],
                 b"".join(a + b"\0" for a in arguments))
    return result.stdout, result.stderr


@unittest.skipUnless(shutil.which("parallel"), "GNU parallel is not installed")
class Parallel(unittest.TestCase):
    def compare(self, options, ours, words, arguments):
        expected, error = parallel(options, words, arguments)
        lines, complaint, status = driver(ours, words, arguments)
        with self.subTest(options=options, words=words):
            self.assertEqual((status, complaint, error), (0, b"", b""))
            self.assertEqual(lines.replace(b"\0", b"\n"), expected)

    def test_one_argument_a_command(self):
        for options, words in ONE_BY_ONE:
            self.compare(options, options, words, VALUES + PATHS)

    def test_newlines_are_quoted(self):
        self.compare([], [], ["echo {} {.}"], [b"\n", b"a\n", b"a\nb", b"\n\n", b"a.b\n", b"a\nb.c\nd.e"])

    def test_several_arguments_a_command(self):
        for words, (options, ours) in itertools.product(TOGETHER, WAYS):
            self.compare(options, ours, words, ROW)

    def test_every_byte_alone(self):
        self.compare([], [], ["echo"], [bytes([byte]) for byte in range(1, 256)])

    def test_names_of_columns(self):
        words = ["echo {x} {x.} {y/} {x//} {y/.} {z} {1} {} {xx} {2x}"]
        expected = run(["parallel", "--will-cite", "--dry-run", "--header", ":", *words, ":::", "x", "a/b.c", ":::",
                        "y", "d e/f.g"]).stdout
        lines, error, _ = driver(["--name", "x", "--name", "y", "--rows", "2"], words, [b"a/b.c", b"d e/f.g"])
        self.assertEqual((lines.replace(b"\0", b"\n"), error), (expected, b""))


class Shell(unittest.TestCase):
    """Without a shell as in one."""

    def words_of(self, line, shell):
        result = run([shell, "-c", b"set -- " + line + b"\nprintf '%s\\0' \"$@\""])
        self.assertEqual(result.stderr, b"", line)
        return result.stdout

    def test_plain_lines_are_split_as_shells_split_them(self):
        for line, needs_shell in PLAIN:
            words, error, status = driver(["--argv"], [], [line], **{"BASH_FUNC_known%%": "() { :; }"})
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
            words, error, status = driver(["--argv"], ["x", "{}", "a{}b"], [value])
            with self.subTest(value=value):
                self.assertEqual((status, error), (0, b""))
                if words != b"shell\0\0":
                    self.assertEqual(words, b"x\0" + value + b"\0a" + value + b"b\0\0")

    def test_surroundings_that_change_the_shell_keep_it(self):
        for environment in ({"PARALLEL_SHELL": "/bin/cat"}, {"PARALLEL_SHELL": "bash"}, {"BASH_ENV": "/x"},
                            {"SHELLOPTS": "xtrace"}, {"PATH": ""}, {"PARALLEL_SHELL": "/nonexistent"},
                            {"BASH_FUNC_command_not_found_handle%%": "() { :; }"}):
            with self.subTest(environment=environment):
                self.assertEqual(driver(["--argv"], ["x"], [b"a"], **environment)[0], b"shell\0\0")
        self.assertEqual(driver(["--argv"], ["x"], [b"a"])[0], b"x\0a\0\0")


if __name__ == "__main__":
    unittest.main()
