"""Every curl line in README.md and docs/*.md is run, and every `earshot` command that asks a server;
what it prints is compared with what the page says it prints.

How to write them:
- In a fenced block marked `console`, a command begins with `$ curl`; the lines after it, up to the
  next `$` or the end of the block, are what it prints. Nothing there means that it must succeed,
  whatever it prints.
- So does one in which `earshot` asks a server, as in `$ earshot why 30 5 | head -1`. It is run on a
  terminal, with EARSHOT_SERVER set, and may exit with 1, which says no; what it writes on standard
  error is part of what it prints. The directory is one for all commands of all pages.
- In a fenced block marked `sh`, a command begins with `curl`; what it prints may follow in lines
  that begin with `# `.
- A command goes on where a line ends in a backslash or inside open single quotes.
- Lines that only set variables (`KEY=ACME:acme-secret`, with or without `export`) hold for the
  commands after them on the page.
- Only curl commands that name 127.0.0.1:8080 or localhost:8080 are run. Each page has a server of its
  own, begun afresh with `serve --demo`; the commands run in the order of the page.
- Answers in JSON are compared as values, so they may be printed over several lines; other answers
  as text. The values of requestId, x-traceid and date are not compared, in JSON neither those of
  `at` and `cursor`, and `…` stands for anything.
- A block whose mark goes on with `not-run`, as in `sh not-run`, is left alone."""

import glob
import json
import os
import re
import subprocess

from harness import ROOT, check, check_equal, suite
from server import Server

tests, test = suite()

NEW = ("requestId", "at", "cursor")
ASKS = re.compile(r"\bearshot (why|check|who|list|give|remove|changes|refusals|keys)\b")
HERE = re.compile(r"\b(127\.0\.0\.1|localhost):8080\b")
ASSIGNMENT = re.compile(r"(export )?[A-Za-z_][A-Za-z0-9_]*=\S*( [A-Za-z_][A-Za-z0-9_]*=\S*)*$")


class Command:
    def __init__(self, line, text, setup):
        self.line = line  # where it stands on the page
        self.text = text
        self.setup = list(setup)
        self.printed = []


def blocks(page):
    """(language, first line's number, lines) of each fenced block that is to be run."""
    inside = None
    for number, line in enumerate(page.splitlines(), 1):
        if line.lstrip().startswith("```"):
            if inside:
                yield inside
                inside = None
            else:
                words = line.strip().strip("`").split()
                runs = (
                    words
                    and words[0] in ("sh", "bash", "shell", "console")
                    and "not-run" not in words
                )
                inside = (words[0] if runs else None, number + 1, [])
        elif inside:
            inside[2].append(line)


def commands(page):
    setup, found = [], []
    for language, first, lines in blocks(page):
        if not language:
            continue
        console = language == "console"
        current = None  # the command whose answer is being read
        at = 0
        while at < len(lines):
            line, number = lines[at].strip(), first + at
            at += 1
            prompted = line.startswith("$ ")
            text = line[2:] if prompted else line
            if prompted or (not console and text.startswith("curl ")):
                while at < len(lines) and (text.endswith("\\") or text.count("'") % 2):
                    text = text + "\n" + lines[at]
                    at += 1
            is_run = text.startswith("curl ") or (console and ASKS.search(text))
            if (prompted if console else True) and is_run:
                current = Command(number, text, setup)
                found.append(current)
            elif console and not prompted:
                if current and lines[at - 1].strip():
                    current.printed.append(lines[at - 1])
            elif not console and line.startswith("# ") and current:
                current.printed.append(line[2:])
            else:
                current = None
                if ASSIGNMENT.match(text):
                    setup.append(text)
    return [
        command
        for command in found
        if ASKS.search(command.text) or HERE.search(" ".join([*command.setup, command.text]))
    ]


def run_on_terminal(env, command, port):
    """What a person sees, with the port that the page names."""
    programs = env.path("bin")
    os.makedirs(programs, exist_ok=True)
    if not os.path.exists(os.path.join(programs, "earshot")):
        os.symlink(env.binary, os.path.join(programs, "earshot"))
    variables = {
        "EARSHOT_SERVER": f"http://127.0.0.1:{port}",
        "PATH": programs + os.pathsep + os.environ["PATH"],
    }
    code, got = env.run_on_terminal(
        "bash", "-c", "\n".join([*command.setup, command.text]), environment=variables
    )
    check(code in (0, 1), f"line {command.line}: {command.text}\n", got)
    return got.replace(f"127.0.0.1:{port}", "127.0.0.1:8080")


def run(env, command, port):
    if ASKS.search(command.text):
        return run_on_terminal(env, command, port)
    script = "\n".join([*command.setup, command.text])
    script = HERE.sub(lambda match: f"{match.group(1)}:{port}", script)
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=30, cwd=env.directory
    )
    check_equal(done.returncode, 0, f"line {command.line}: {command.text}\n", done.stderr)
    return done.stdout


def as_json(text):
    try:
        return forget(json.loads(text))
    except ValueError:
        return None


def forget(value):
    """The value without what is new each time."""
    if isinstance(value, dict):
        return {name: None if name in NEW else forget(one) for name, one in value.items()}
    return [forget(one) for one in value] if isinstance(value, list) else value


def as_lines(text):
    text = re.sub(r'"requestId":\s*"[^"]*"', '"requestId":"…"', text.replace("\r", ""))
    text = re.sub(r"(?im)^(x-traceid|date):.*$", r"\1: …", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines() if line.strip())


def same(printed, got):
    value = as_json(printed)
    if value is not None:
        return matches(value, as_json(got))
    return is_like(as_lines(printed), as_lines(got))


def matches(printed, got):
    if isinstance(printed, str) and isinstance(got, str):
        return is_like(printed, got)
    if isinstance(printed, dict) and isinstance(got, dict):
        return printed.keys() == got.keys() and all(
            matches(value, got[name]) for name, value in printed.items()
        )
    if isinstance(printed, list) and isinstance(got, list):
        return len(printed) == len(got) and all(map(matches, printed, got))
    return type(printed) is type(got) and printed == got


def is_like(printed, got):
    pattern = ".*?".join(re.escape(part) for part in printed.split("…"))
    return re.fullmatch(pattern, got, re.DOTALL) is not None


@test("every command of the documentation prints what the page says", seconds=180)
def curl_lines(env):
    count = compared = 0
    pages = [
        os.path.join(ROOT, "README.md"),
        *sorted(glob.glob(os.path.join(ROOT, "docs", "**", "*.md"), recursive=True)),
    ]
    faults = []
    for number, path in enumerate(pages):
        if not os.path.exists(path):
            continue
        with open(path) as file:
            found = commands(file.read())
        if not found:
            continue
        server = Server(env, "--demo", store=env.store(f"store{number}"))
        for command in found:
            printed = "\n".join(command.printed)
            got = run(env, command, server.address.rsplit(":", 1)[1])
            count += 1
            compared += bool(printed)
            if printed and not same(printed, got):
                faults.append(
                    f"{os.path.relpath(path, ROOT)}:{command.line}: {command.text}\nprints\n{got}\nand not\n{printed}"
                )
        server.stop()
    check(not faults, "\n\n".join(faults))
    check(count > 0, "no command on any page")
    env.note(f"{count} commands, {compared} answers compared")


PAGE = """
```console
$ KEY=a:b
$ curl -u $KEY http://127.0.0.1:8080/x \\
    -d '{"a":
1}'
{"requestId":"abc",
 "a":1}
$ earshot dump
{"kind":"company"}
$ export EARSHOT_KEY=a:b
$ echo x > key; earshot who 5 | cut -f 1
30
```
```sh
earshot why 30 5
curl localhost:8080/y
# {"requestId":"…","b":[]}
curl https://elsewhere.test/
```
```sh not-run
curl localhost:8080/z
```
"""


@test("the reader of pages finds commands and answers, and tells answers apart")
def reads_pages(_env):
    found = commands(PAGE)
    check_equal([command.line for command in found], [4, 12, 17])
    check_equal(found[0].setup, ["KEY=a:b"])
    check_equal(found[1].setup, ["KEY=a:b", "export EARSHOT_KEY=a:b"])
    check_equal(found[1].printed, ["30"])
    check(found[0].text.endswith("1}'"), found[0].text)
    check_equal("\n".join(found[0].printed), '{"requestId":"abc",\n "a":1}')
    check_equal(found[2].printed, ['{"requestId":"…","b":[]}'])
    check(same('{"requestId":"x","a":1}', '{"requestId":"y","a":1}'), "requestId compared")
    check(not same('{"requestId":"x","a":1}', '{"requestId":"y","a":2}'), "values not compared")
    check(same('{"a":\n["…b"]}', '{"a":["xb"]}'), "a part left out in JSON over lines")
    for other in ('{"a":["xc"]}', '{"a":["xb","b"]}', '{"a":["xb"],"b":1}', '{"a":[1]}', "xb"):
        check(not same('{"a":\n["…b"]}', other), "taken for the same:", other)
    check(
        same("HTTP/1.1 200 OK\nx-traceid: 1\n\n{…}", "HTTP/1.1 200 OK\r\nx-traceid: 2\r\n\r\n{}\n"),
        "text",
    )
    check(not same("HTTP/1.1 200 OK", "HTTP/1.1 201 Created"), "text not compared")
