#!/usr/bin/env python3
"""Prints the sizes of the source of a checkout as a table, for docs/performance.md.

    tests/sizes.py [CHECKOUT ...]    one column a checkout; this one unless given

Source is src/ and crates/*/src/ without the fake API server. Files named tests.rs or below tests/, modules under
#[cfg(test)], and all other Rust are tests. The script reads text, not syntax trees, and relies on rustfmt's layout.
"""
import collections
import os
import re
import sys

ITEM = re.compile(r"^\s*(?:pub(?:\([a-z:_ ]+\))?\s+)?(?:unsafe\s+)?(?:struct|enum|trait|type|union)\s+([A-Z]\w*)")
FUNCTION = re.compile(
    r"^(\s*)(?:pub(?:\([a-z:_ ]+\))?\s+)?(?:const\s+)?(?:async\s+)?(?:unsafe\s+)?(?:extern\s+\"C\"\s+)?fn\s+\w+"
)
BARE = re.compile(r"(What|Who|Whose|Whom|Whether|How|That|The same|Its|Which|When|Where|Why)\b")


def rust_files(top):
    for folder, below, files in os.walk(top):
        below[:] = [name for name in below if name not in ("target", ".git")]
        for name in files:
            if name.endswith(".rs"):
                yield os.path.join(folder, name)


def is_source(path):
    parts = path.split(os.sep)
    if parts[0] == "crates":
        return len(parts) > 2 and parts[2] == "src" and parts[1] != "fake-apiserver"
    return parts[0] == "src"


def is_test_file(path):
    parts = path.split(os.sep)
    return parts[-1] == "tests.rs" or "tests" in parts[1:-1]


class Sizes:
    """The counts of one checkout."""

    def __init__(self, root):
        self.lines = collections.Counter()
        self.files = []
        self.functions = []
        self.first_words = collections.Counter()
        self.types = collections.Counter()
        for path in rust_files(root):
            relative = os.path.relpath(path, root)
            with open(path, encoding="utf-8") as file:
                self.read(relative, file.read().split("\n"))

    def read(self, path, lines):
        source, test = is_source(path), is_test_file(path)
        if source and not test:
            self.files.append(len(lines) - 1)
        documented, start, test_module = False, None, None
        for number, line in enumerate(lines):
            text = line.strip()
            if re.match(r"#\[cfg\(test\)\]", text) and re.match(r"\s*mod \w+ \{", lines[number + 1]):
                test_module = len(line) - len(line.lstrip())
            tested = test or not source or test_module is not None
            kind = "blank" if not text else "docs" if re.match(r"//[/!]", text) else "comments" if text.startswith("//") else "code"
            self.lines["tests" if tested else "source", kind] += 1
            if kind == "docs":
                if not documented:
                    words = text[3:].strip().split()
                    self.first_words["bare" if BARE.match(text[3:].strip()) else words[0] if words else ""] += 1
                documented = True
            else:
                documented = False
            if not tested:
                if found := ITEM.match(line):
                    self.types[found[1]] += 1
                if found := FUNCTION.match(line):
                    start = (number, found[1]) if not text.endswith(";") else None
                    if text.endswith("}"):
                        self.functions.append(1)
                        start = None
                if start and line == start[1] + "}":
                    self.functions.append(number - start[0] + 1)
                    start = None
            if test_module is not None and line == " " * test_module + "}":
                test_module = None

    def rows(self):
        def quantile(values, share):
            values = sorted(values)
            return values[min(len(values) - 1, int(share * len(values)))]

        docs = sum(self.first_words.values())
        twice = sum(count for count in self.types.values() if count > 1)
        return [
            ("source: lines of code", self.lines["source", "code"]),
            ("source: lines of docs and comments", self.lines["source", "docs"] + self.lines["source", "comments"]),
            ("tests and benches: lines of code", self.lines["tests", "code"]),
            ("source files", len(self.files)),
            ("lines a file: median, p90, greatest", "%d, %d, %d" % (quantile(self.files, 0.5), quantile(self.files, 0.9), max(self.files))),
            ("functions", len(self.functions)),
            ("lines a function: p50, p90, p99", "%d, %d, %d" % tuple(quantile(self.functions, share) for share in (0.5, 0.9, 0.99))),
            ("doc comments", docs),
            ("… that begin with What, Who, Whether, …", "%.1f %%" % (100 * self.first_words["bare"] / docs)),
            ("… that begin with Returns", self.first_words["Returns"]),
            ("type names", sum(self.types.values())),
            ("… that are defined more than once", "%.0f %%" % (100 * twice / sum(self.types.values()))),
        ]


def main():
    roots = sys.argv[1:] or [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")]
    columns = [Sizes(root).rows() for root in roots]
    for row in zip(*columns):
        print("| " + " | ".join([row[0][0]] + [str(cell[1]) for cell in row]) + " |")


main()
