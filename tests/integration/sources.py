#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The input sources of `muster exec` beside GNU parallel's: the same rows of arguments for the
same options, words, files and standard input. What differs on purpose has tests of its own."""
import concurrent.futures
import os
import re
import resource
import shlex
import shutil
import subprocess
import unittest

import harness

ROWS = os.environ.get("MUSTER_TEST_ROWS", "")
PARALLEL = shutil.which("parallel")
MARK = "ROW"  # the referee's command: what is between two of them is a row

FILES = {
    "abc": "a\nb\nc\n",
    "12": "1\n2\n",
    "open": "x\ny",
    "empty": "",
    "blank": "\n",
    "blanks": "a\n\n \t\nb\n  \n",
    "spaces": "  a \nb\t\n c\n",
    "tsv": "h1\th2\n1\t2\n3\t4\n",
    "csv": "a,b,c\n1,2,3\n,,\n4\n",
    "crlf": "h1\th2\r\n1\t2\r\n",
    "end": "a\nb\nEND\nc\n",
    "continued": "a \nb\nc\t\nd\ne \n",
    "joined": "a \n\n  \nb\n",
    "nul": "a\0b\nc\0\0d",
    "comma": "1,2,,3\n",
    "long": "aXYbXXYcXY",
    "wide": "a1b22c333\n1x\nx1\n11\n",
    "quotes": "it's\n\"q\"\n$HOME `x` \\n\n*?\n{}\n-n\n",
    "many": "".join(f"{number}\n" for number in range(1000)),
    "binary": "\x80\xff\n\x01\n",
}

# Options and sources as for a shell.
TABLE = r"""
::: a b c
:::
::: ::: a
::: '' a ''
::: a b ::: 1 2 3
::: a b ::: 1 2 ::: x y
::: a b :::+ 1 2
::: a b c :::+ 1 2
::: a b :::+ 1 2 3
::: a b ::: 1 2 :::+ x y
::: a b :::+ 1 2 ::: x y z :::+ p q r
:::+ a b ::: 1 2
::: a b :::+
::: a b :::
--link ::: a b c ::: 1 2
--link ::: a b ::: 1 2 3 4 5
--link ::: a b c d e f g ::: 1 2 3 ::: x y
--link :::: abc 12 open
--link ::: a b c :::+ 1 2
:::: abc open
:::: empty
:::: empty abc
:::: abc empty
:::: blank
:::: blanks
:::: abc :::+ 1 2 3
:::: abc ::::+ 12
:::: abc ::::+ 12 open
::: a b ::::+ 12
:::: abc ::: x y
:::: abc ::: x
::: x :::: abc
-a abc -a 12
-a abc ::: x y
-a abc :::: 12
-a abc < 12
:::: - < abc
:::: - 12 < abc
:::: 12 - < abc
:::: - - < many
--link :::: - - < many
< abc
< quotes
< open
< empty
< blanks
< many
< spaces
< binary
-0 < nul
-0 < abc
-0 ::: a b
-d '\0' < nul
-d , < comma
-d , ::: a,b c,
-d '\t' < tsv
-d XY < long
-d '\n1' < many
-r < blanks
-r ::: a '' ' ' b
-r < blank
-r < empty
-r :::: blanks 12
-E END < end
-E END :::: end abc
-E END :::: abc end
-E b ::: a b c
-E '' < end
-E END -a end ::: x y
-n 2 < abc
-n 0 < abc
-N 0 < abc
-N 2 < abc
-N 2 ::: a b c ::: 1 2
-N 3 < many
-n 5 < empty
-L 1 < continued
-L 2 < continued
-L 1 -r < joined
-L 1 < joined
-L 1 -E END < end
-L 1 -n 2 < continued
-L 1 ::: 'a ' b c
--trim l < spaces
--trim r < spaces
--trim lr < spaces
--trim lr ::: ' a b ' $'\tc\n'
-C , < csv
-C '\t' < tsv
-C ' ' < spaces
-C '\s+' < spaces
-C ' +' --trim n < spaces
-C '\d+' < wide
-C '(\d)' < wide
-C '\|' ::: 'a|b|c'
-C '' ::: abc ''
-C , -N 2 < csv
-C , ::: a,b c,d ::: 1,2
-C , --link ::: a,b c,d ::: 1,2
-C , -r < csv
-C , -E 1,2,3 < csv
-C , --trim n ::: ' a , b '
--header : < tsv
--header : < crlf
--header : :::: tsv abc
--header : -C , < csv
--header : ::: x 1 2 ::: y a b
--header 0 :::: abc
--header : -N 2 < tsv
--header : < abc
--skip-first-line < abc
--skip-first-line :::: abc 12
--skip-first-line --header : < tsv
--skip-first-line ::: a b
--skip-first-line -0 < nul
::: $'a\nb' c
-0 ::: $'a\nb' c
::: "it's" '$x' '`y`' 'a  b' $'\t'
"""




@unittest.skipUnless(PARALLEL, "GNU parallel is not installed")
class BesideParallel(harness.Case):
    def setUp(self):
        super().setUp()
        self.files = self.home / "files"
        self.files.mkdir()
        for name, text in FILES.items():
            (self.files / name).write_bytes(text.encode("latin-1"))
        (self.home / "parallel").mkdir()
        self.env |= {"SHELL": "/bin/bash", "PARALLEL_HOME": str(self.home / "parallel"), "LC_ALL": "C"}

    def run_line(self, words):
        return subprocess.run(["bash", "-c", words], cwd=self.files, env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=harness.LIMIT_S, check=False)

    def referee(self, line):
        """The rows as GNU parallel makes them: its command lines, taken apart as a shell would."""
        place = re.search(r"(^| )(:::|<)", line)
        at = place.start() if place else len(line)
        result = self.run_line(f"parallel --will-cite --dry-run -k -j1 {line[:at]} {MARK} {{}} {line[at:]}")
        rows = []
        for word in shlex.split(result.stdout.decode("latin-1")):
            if word == MARK:
                rows.append([])
            else:
                rows[-1].append(word)
        return result.returncode, rows

    def rows(self, line):
        result = self.run_line(f"{shlex.quote(ROWS)} {line}")
        rest, rows = result.stdout.decode("latin-1"), []
        while rest:
            sizes, rest = rest.split("\n", 1)
            rows.append([])
            for size in map(int, sizes.split()[1:]):
                rows[-1].append(rest[:size])
                rest = rest[size:]
        return result.returncode, rows

    def test_rows_are_those_of_gnu_parallel(self):
        lines = list(filter(None, TABLE.splitlines()))
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for line, expected, rows, read_first in zip(lines, pool.map(self.referee, lines),
                                                        pool.map(self.rows, lines),
                                                        pool.map(lambda line: self.rows(f"--read-all {line}"), lines)):
                with self.subTest(line):
                    self.assertEqual(rows, expected)
                    self.assertEqual(read_first, expected, "with --read-all")


class Rows(harness.Case):
    @unittest.skipIf(harness.SANITIZE, "a sanitizer's shadow memory counts")
    def test_million_arguments_do_not_fill_memory(self):
        """100 MB of arguments within 64 MB of addresses: alone, crossed and linked with fewer words."""
        for words in ([], [":::", "a", "::::", "-"], ["::::", "-", ":::", "a"], ["--link", "::::", "-", ":::", "a", "b"]):
            run = self.start(*words, command=ROWS, limits={resource.RLIMIT_AS: 64 << 20}, stdout=subprocess.DEVNULL)
            for _ in range(1000):
                run.process.stdin.write((b"x" * 99 + b"\n") * 1000)
            self.assert_ok(run.end())


if __name__ == "__main__":
    harness.main()
