# SPDX-License-Identifier: MIT
"""Pages that --html writes, as a browser would read them."""
import html.parser
import re
import shutil
import subprocess

NASTY = "</script><script>alert(1)</script><!-- & ' \" --><img src=x onerror=alert(2)>"

# What is named in a page and not asked for: the name of SVG, and where a script that it carries is from.
NAMES = {"http://www.w3.org/2000/svg", "https://www.chartjs.org", "https://github.com/kurkle/color#readme"}


class PageReader(html.parser.HTMLParser):
    """What a browser would find in the page: elements, attributes, and the report."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.report, self.inside = [], [], "", False
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.inside = ("id", "report") in attrs

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.report += data

    def assert_alone(self, case):
        """The page refers to nothing outside, and forbids itself every request."""
        names = {name for name, _ in self.attributes}
        case.assertFalse(names & {"src", "href", "srcset", "data", "action", "onload", "onerror"}, names)
        case.assertFalse(set(self.tags) & {"link", "img", "iframe", "object", "embed", "base"}, self.tags)
        case.assertLessEqual(set(re.findall(r"[a-z]+://[^\"'\s]+", self.text)), NAMES)
        case.assertNotRegex(self.text, r"@import|url\(|\bfetch\(|XMLHttpRequest|@REPORT@")
        case.assertIn("default-src 'none'", self.text)


def draw(case, path):
    """The page as a browser has it once its scripts have run; skips the test where there is none."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        case.skipTest("there is no browser to draw it")
    profile = case.home / "profile"
    done = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
                           "--dump-dom", f"file://{path}"], capture_output=True, text=True, timeout=120,
                          check=False, env={**case.env, "HOME": str(case.home)})
    return PageReader(done.stdout)
