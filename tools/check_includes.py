#!/usr/bin/env python3
"""Checks the source text: who may include whom, and a few rules that no compiler holds.

Prints one line a finding and "N passed, N failed" at the end, a count of files. `--self-test` makes
a tree that breaks each rule once and wants every breach reported, and nothing else.
"""

import re
import sys
import tempfile
from pathlib import Path

# Folder of src -> the folders it may include beside itself. Dependencies point one way.
MAY_INCLUDE = {
    "base": set(),
    "core": {"base"},
    "records": {"core", "base"},
    "store": {"core", "base"},
    "auth": {"store", "core", "base"},
    "service": {"auth", "records", "store", "core", "base"},
    "http": {"base"},
    "api": {"service", "auth", "records", "store", "core", "base", "http"},
    "client": {"http", "base"},
    "cli": {"client", "api", "service", "auth", "records", "store", "core", "base", "http"},
    "main.cc": {"cli"},
}

# Of these folders others see only some headers.
ONLY_HEADERS = {("api", "http"): {"http/message.h"}, ("client", "http"): {"http/client.h"}}

# Prefix of a third-party header -> the folders that may include it. The longest prefix counts.
THIRD_PARTY = {
    "boost/system/": {"base"},
    "boost/asio": set(),
    "boost/beast": set(),
    "boost/json": {"records", "api", "client"},
    "boost/smart_ptr": {"core"},
    "boost/unordered": {"store", "core"},
    "openssl/": {"base", "http"},
    "curl/": {"http"},
    "rocksdb/": {"store"},
    "prometheus/": {"api"},
    "CLI/": {"cli"},
}
# Third-party headers that stand in no folder of their own.
ONLY_FOLDER = {"libpq-fe.h": {"store"}}
OF_TESTS = {"gtest/", "benchmark/"}
OF_SYSTEM = {"sys/", "netinet/", "arpa/", "linux/", "net/"}

COLUMNS_MAX = 100
PYTHON_COLUMNS_MAX = 120  # tables of requests and answers read better on one line
LINES_MAX = 800
RECORD = '{"kind":'  # a record is one line, however long
LEFTOVER = re.compile(r"\b(?:FIX" + r"ME|TO" + r"DO|XX" + r"X)\b")
WALL_CLOCK = re.compile(
    r"\bsystem_clock\b|\bCLOCK_REALTIME\b|\bgettimeofday\b|(?<![\w.>])(?:std::|::)?time\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
# Of one name, not an alias.
USING = re.compile(r"^[ \t]*using (?:::)?(?:\w+::)+(\w+);", re.M)
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)


def is_test(path):
    return path.name.endswith(("_test.cc", "_fuzz.cc", "testing.h")) or path.parts[0] != "src"


def check_include(path, folder, bracket, header):
    """The breach that this include is, or None."""
    first = header.split("/")[0]
    if bracket == '"':
        if "/" not in header:
            return None if is_test(path) else f"includes {header} without its folder"
        if first not in MAY_INCLUDE or first == folder or folder is None:
            return None if first in MAY_INCLUDE or is_test(path) else f"includes unknown {header}"
        if first not in MAY_INCLUDE[folder]:
            return f"{folder} may not include {header}"
        allowed = ONLY_HEADERS.get((folder, first))
        if allowed and header not in allowed and not is_test(path):
            return f"of {first}, {folder} may include only {', '.join(sorted(allowed))}"
        return None
    if header in ONLY_FOLDER and folder not in ONLY_FOLDER[header] and not is_test(path):
        return f"{folder} may not include <{header}>"
    if "/" not in header or any(header.startswith(prefix) for prefix in OF_SYSTEM):
        return None
    if any(header.startswith(prefix) for prefix in OF_TESTS):
        return None if is_test(path) else f"only tests may include <{header}>"
    if folder is None:
        return None
    matching = [prefix for prefix in THIRD_PARTY if header.startswith(prefix)]
    if not matching:
        return f"<{header}> is of no library in the table"
    if folder not in THIRD_PARTY[max(matching, key=len)]:
        return f"{folder} may not include <{header}>"
    return None


def check_cpp(path, text, report):
    folder = path.parts[1] if path.parts[0] == "src" else None
    if folder is not None and folder not in MAY_INCLUDE:
        report("folder", f"src/{folder} is not in the table")
        return
    for bracket, header in INCLUDE.findall(text):
        breach = check_include(path, folder, bracket, header)
        if breach:
            report("include", breach)
    if path.suffix == ".h":
        if "#pragma once" not in text:
            report("pragma", "a header without #pragma once")
        if not text.startswith("//"):
            report("opening", "a header says first what it is")
    code = COMMENT_OR_STRING.sub(" ", text)
    if folder not in (None, "base") and WALL_CLOCK.search(code):
        report("clock", "reads the wall clock; only base/time does, others take a Clock")
    if folder is not None and re.search(r"\busing\s+namespace\s+std\s*;", code):
        report("using", "using namespace std")
    if path.suffix == ".cc":
        # clang-tidy sees it only in a file that it reads alone.
        others = USING.sub("", code)
        for name in USING.findall(code):
            if not re.search(rf"\b{name}\b", others):
                report("unused", f"does not use its using of {name}")


def check_text(path, text, report):
    lines = text.split("\n")
    columns_max = PYTHON_COLUMNS_MAX if path.suffix == ".py" else COLUMNS_MAX
    if len(lines) - 1 > LINES_MAX:
        report("long-file", f"{len(lines) - 1} lines, more than {LINES_MAX}")
    for number, line in enumerate(lines, 1):
        if len(line) > columns_max and RECORD not in line:
            report("long-line", f"line {number} has {len(line)} columns")
        if line != line.rstrip() or "\t" in line:
            report("space", f"line {number} has a tab or ends in white space")
        if LEFTOVER.search(line):
            report("leftover", f"line {number} is unfinished business")
    if not text.endswith("\n"):
        report("end", "no newline at the end")


def sources(root):
    for folder in ("src", "bench", "test", "tools"):
        for path in sorted((root / folder).rglob("*")):
            skipped = {"node_modules", "__pycache__"} & set(path.parts)
            if path.suffix in (".cc", ".h", ".py", ".sh") and path.is_file() and not skipped:
                yield path
    for name in ("dev", "CMakeLists.txt"):
        if (root / name).exists():
            yield root / name


def check_tree(root):
    """[(path, [(rule, text)])] of every source file."""
    result = []
    for file in sources(root):
        path = file.relative_to(root)
        text = file.read_text(encoding="utf-8")
        findings = []
        report = lambda rule, what, findings=findings: findings.append((rule, what))
        check_text(path, text, report)
        if path.suffix in (".cc", ".h"):
            check_cpp(path, text, report)
        result.append((path, findings))
    return result


BREACHES = {
    "src/base/up.cc": ("include", '#include "core/types.h"\n'),
    "src/core/sideways.cc": ("include", '#include "records/decode.h"\n'),
    "src/store/above.cc": ("include", '#include "auth/auth.h"\n'),
    "src/http/knows.cc": ("include", '#include "core/types.h"\n'),
    "src/api/server.cc": ("include", '#include "http/server.h"\n'),
    "src/client/near.cc": ("include", '#include "store/store.h"\n'),
    "src/client/server.cc": ("include", '#include "http/server.h"\n'),
    "src/main.cc": ("include", '#include "store/store.h"\n'),
    "src/api/asio.cc": ("include", "#include <boost/asio.hpp>\n"),
    "src/cli/beast.cc": ("include", "#include <boost/beast/http.hpp>\n"),
    "src/service/rocks.cc": ("include", "#include <rocksdb/db.h>\n"),
    "src/cli/libpq.cc": ("include", "#include <libpq-fe.h>\n"),
    "src/api/ssl.cc": ("include", "#include <openssl/ssl.h>\n"),
    "src/cli/curl.cc": ("include", "#include <curl/curl.h>\n"),
    "src/core/json.cc": ("include", "#include <boost/json.hpp>\n"),
    "src/store/metrics.cc": ("include", "#include <prometheus/counter.h>\n"),
    "src/auth/options.cc": ("include", "#include <CLI/CLI.hpp>\n"),
    "src/auth/other.cc": ("include", "#include <fmt/format.h>\n"),
    "src/core/tested.cc": ("include", "#include <gtest/gtest.h>\n"),
    "src/core/bare.cc": ("include", '#include "types.h"\n'),
    "src/extra/new.cc": ("folder", "int x;\n"),
    "src/core/twice.h": ("pragma", "// A header.\nint x;\n"),
    "src/core/mute.h": ("opening", "#pragma once\n"),
    "src/core/clock.cc": ("clock", "auto t = std::chrono::system_clock::now();\n"),
    "src/core/clock_c.cc": ("clock", "auto t = std::time(nullptr);\n"),
    "src/core/all.cc": ("using", "using namespace std;\n"),
    "src/core/idle.cc": ("unused", "using std::map;\nint x;  // not a map\n"),
    "src/core/left.cc": ("leftover", "// TO" + "DO: later\n"),
    "src/core/wide.cc": ("long-line", "// " + "x" * COLUMNS_MAX + "\n"),
    "test/wide.py": ("long-line", "# " + "x" * PYTHON_COLUMNS_MAX + "\n"),
    "src/core/long.cc": ("long-file", "\n" * (LINES_MAX + 1)),
    "src/core/tab.cc": ("space", "\tint x;\n"),
    "src/core/end.cc": ("end", "int x;"),
}
SOUND = {
    "src/core/types.h": "// Types.\n#pragma once\n#include <vector>\n\n#include \"base/ids.h\"\n",
    "src/core/types_test.cc": '#include "core/types.h"\n\n#include <gtest/gtest.h>\n',
    "src/http/server.cc": "#include <openssl/ssl.h>\n#include <sys/socket.h>\n",
    "src/base/time.cc": "auto t = std::chrono::system_clock::now();\n",
    "src/core/no_clock.cc": 'auto t = parse_time(x); // system_clock\nauto s = "time(";\n',
    "src/cli/demo.cc": 'R"(\n' + '{"kind":"call","title":"' + "x" * COLUMNS_MAX + '"}\n)"\n',
    "src/core/uses.cc": "using std::map;\n\nmap<int, int> ids;\n",
    "src/http/testing.h": "// For tests.\n#pragma once\n#include <gtest/gtest.h>\n",
    "src/cli/serve.cc": '#include "http/server.h"\n#include "store/embedded.h"\n',
}


def self_test():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in {**SOUND, **{n: t for n, (_, t) in BREACHES.items()}}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        found = {str(path): {rule for rule, _ in findings} for path, findings in check_tree(root)}
    expected = {**{name: set() for name in SOUND}, **{n: {r} for n, (r, _) in BREACHES.items()}}
    for name, rules in expected.items():
        if found.get(name) != rules:
            print(f"FAIL {name}: expected {sorted(rules)}, reported {sorted(found.get(name, []))}")
            failed += 1
    return len(expected) - failed, failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        passed, failed = self_test()
    else:
        result = check_tree(Path(__file__).resolve().parent.parent)
        for path, findings in result:
            for _, what in findings:
                print(f"FAIL {path}: {what}")
        failed = sum(1 for _, findings in result if findings)
        passed = len(result) - failed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
