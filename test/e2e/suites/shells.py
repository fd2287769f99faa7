"""Completion in its shells, the manual page in the program that sets it, and that an installation
puts them where they are looked for."""

import os
import pty
import re
import shutil
import subprocess

from harness import Failure, check, check_equal, clean_environment, suite, wait_until

tests, test = suite()

ONE = ("embedded",)  # no store is touched



def program(name):
    found = shutil.which(name)
    check(found, name, "is not installed; tools/packages.txt names it")
    return found


# A word that is begun: what may stand there, and what may not.
WORDS = [
    (("wh",), {"who", "why"}),
    (("key", ""), {"create", "list", "revoke"}),
    (("key", "re"), {"revoke"}),
    (("keys", ""), {"create", "list", "revoke", "rotate"}),
    (("changes", "--la"), {"--last"}),
    (("completion", ""), {"bash", "zsh", "fish"}),
    (("list", "31", "--way", "p"), {"participant", "profile"}),
    (("remove", "--all-of-"), {"--all-of-call", "--all-of-user"}),
    (("why", "30", "100", "--re"), {"--retries", "--revision"}),
    (("serve", "--sto"), None),
]


@test("bash completes commands, options and words, also in a session", seconds=60, stores=ONE)
def bash(env):
    script = env.write("earshot.bash", env.command("completion", "bash"))
    for words, wanted in WORDS:
        quoted = " ".join(f"'{word}'" for word in ("earshot", *words))
        shell = f"""
            source {script}
            COMP_WORDS=({quoted}); COMP_CWORD={len(words)}
            _earshot earshot
            printf '%s\\n' "${{COMPREPLY[@]}}" """
        done = subprocess.run([program("bash"), "-c", shell], capture_output=True, text=True)
        check_equal(done.stderr, "", words)
        check_offered(words, set(done.stdout.split()), wanted)
    env.write("a_pairs_file", "")
    for line, wanted in (
        ("earshot wh\t\t", ["who", "why"]),
        ("earshot remove --from a_pa\t", ["a_pairs_file"]),
    ):
        shell = ["bash", "--norc", "--noprofile", "-i"]
        check_session(env, shell, f"source {script}\n", line, wanted)


@test("zsh completes commands, options and words", seconds=120, stores=ONE)
def zsh(env):
    os.makedirs(env.path("functions"))
    env.write("functions/_earshot", env.command("completion", "zsh"))
    begin = "fpath=($PWD/functions $fpath); autoload -U compinit; compinit -u -D\n"
    env.write("a_pairs_file", "")
    for line, wanted in (
        ("earshot wh\t\t", ["explain why a user may hear a call", "list everyone who may hear"]),
        ("earshot list 31 --way p\t\t", ["participant", "profile"]),
        ("earshot key re\t", ["revoke"]),
        ("earshot remove --all-of-\t\t", ["--all-of-call", "--all-of-user"]),
        ("earshot remove --from a_pa\t", ["a_pairs_file"]),
    ):
        check_session(env, ["zsh", "-f", "-i"], begin, line, wanted)
    sourced = "autoload -U compinit; compinit -u -D; source functions/_earshot\n"
    check_session(env, ["zsh", "-f", "-i"], sourced, "earshot key re\t", ["revoke"])


@test("fish completes commands, options and words", seconds=60, stores=ONE)
def fish(env):
    script = env.write("earshot.fish", env.command("completion", "fish"))
    env.write("a_pairs_file", "")
    for words, wanted in [*WORDS, (("remove", "--from", "a_pa"), {"a_pairs_file"})]:
        line = " ".join(["earshot", *words])
        done = subprocess.run(
            [program("fish"), "--no-config", "-c", f"source {script}; complete -C '{line}'"],
            capture_output=True,
            text=True,
            cwd=env.directory,
            env={**os.environ, "HOME": env.directory},
        )
        check_equal(done.stderr, "", words)
        check_offered(words, {line.split("\t")[0] for line in done.stdout.splitlines()}, wanted)


def check_offered(words, offered, wanted):
    if wanted is None:
        wanted = {name for name in ("--store",)} | {o for o in offered if o.startswith("--store-")}
        check(len(wanted) > 1, words, offered)
    check_equal(offered, wanted, words)


def check_session(env, shell, begin, line, wanted):
    """Types into an interactive shell; what is wanted must be shown."""
    own, terminal = pty.openpty()
    process = env.spawn(
        program(shell[0]),
        *shell[1:],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=env.directory,
        start_new_session=True,
        env={**clean_environment(), "TERM": "dumb", "HOME": env.directory, "PS1": "> "},
    )
    os.close(terminal)
    os.set_blocking(own, False)
    shown = ""

    def shows(*texts):
        nonlocal shown
        try:
            shown += os.read(own, 65536).decode(errors="replace")
        except BlockingIOError:
            pass
        return all(text in shown for text in texts)

    try:
        os.write(own, (begin + "echo is''ready\n").encode())
        wait_until(lambda: shows("isready"), 20, f"{shell[0]} to begin")
        shown = ""
        os.write(own, line.encode())
        try:
            wait_until(lambda: shows(*wanted), 10, "")
        except Failure:
            check(False, shell[0], repr(line), "shows", shown, "and not", wanted)
    finally:
        process.kill()
        process.wait()
        os.close(own)


@test("the manual page has no faults, and tells every command", stores=ONE)
def manual(env):
    page = env.command("man")
    done = subprocess.run(
        [program("groff"), "-man", "-Tutf8", "-ww", "-b", "-P-c"],
        input=page,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    check_equal((done.returncode, done.stderr), (0, ""), "warnings")
    text = re.sub(".\b", "", done.stdout)
    for heading in ("NAME", "SYNOPSIS", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES"):
        check(f"\n{heading}\n" in text, "no", heading)
    for command in ("why USER CALL", "check USER CALL...", "who CALL", "serve", "key create"):
        check(f"earshot {command}" in text, "no", command)
    widest = max(text.splitlines(), key=len)
    check(len(widest) <= 80, widest)
    if shutil.which("mandoc"):
        linted = subprocess.run(
            ["mandoc", "-Tlint", "-Wwarning"], input=page, capture_output=True, text=True
        )
        check_equal(linted.stdout, "", "mandoc")


@test(
    "cmake --install puts the program, its manual page and its completions in their places",
    stores=ONE,
)
def installs(env):
    build = os.path.dirname(env.binary)
    rules = os.path.join(build, "cmake_install.cmake")
    check(os.path.exists(rules), build, "is no build directory")
    place = env.path("usr")
    done = subprocess.run(
        ["cmake", "--install", build, "--prefix", place], capture_output=True, text=True
    )
    check_equal(done.returncode, 0, done.stdout, done.stderr)
    files = {
        os.path.relpath(os.path.join(folder, name), place)
        for folder, _, names in os.walk(place)
        for name in names
    }
    printed = {
        "share/man/man1/earshot.1": ["man"],
        "share/bash-completion/completions/earshot.bash": ["completion", "bash"],
        "share/zsh/site-functions/_earshot": ["completion", "zsh"],
        "share/fish/vendor_completions.d/earshot.fish": ["completion", "fish"],
    }
    check_equal(files, {"bin/earshot", *printed})
    for name, words in printed.items():
        with open(os.path.join(place, name)) as file:
            check_equal(file.read(), env.command(*words), name)
    installed = os.path.join(place, "bin/earshot")
    said = subprocess.run([installed, "version"], check=True, capture_output=True, text=True)
    check_equal(said.stdout, env.command("version"))
