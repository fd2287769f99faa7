"""Client libraries that are made from the OpenAPI document, driven against the program, directly
and through a proxy that validates every request and answer against that document. The libraries are
pinned in test/clients/package-lock.json and installed below build/, again only when that file has
changed."""

import hashlib
import json
import os
import shutil
import subprocess
import time

from harness import ROOT, Failure, check, check_equal, suite, wait_until
from http11 import Closed, Connection
from server import Server, free_port
from suites.wire_fixture import RECORDS

tests, test = suite()

SOURCES = os.path.join(ROOT, "test", "clients")
INSTALLED = os.path.join(ROOT, "build", "clients")
LIBRARIES = ["openapi_client_axios", "swagger_client", "openapi_fetch"]
FIXTURE = {
    "callId": "101",
    "otherCallId": "9223372036854775806",
    "userIds": ["9223372036854775807", "3"],
    "unknownId": "8000000000000000001",
    "key": {"access_key": "FULL", "secret": "full-secret-of-twenty-characters"},
    "accessKey": {"access_key": "ACCESS", "secret": "access-secret-of-twenty-characters"},
    "adminKey": {"access_key": "ADMIN", "secret": "admin-secret-of-twenty-characters"},
    "readerKey": {"access_key": "READER", "secret": "reader-secret-of-twenty-characters"},
}


def key_line(name, *scopes):
    key = {"kind": "key", "accessKey": FIXTURE[name]["access_key"], "scopes": scopes}
    return json.dumps({**key, "secret": FIXTURE[name]["secret"]}) + "\n"


def serve(env):
    """The company of the wire suites, with keys for what is of Earshot alone."""
    lines = (
        RECORDS
        + '{"kind":"company","companyId":"1"}\n'
        + key_line("accessKey", "earshot:access:read", "earshot:grants:write")
        + key_line(
            "adminKey",
            "earshot:access:read",
            "earshot:directory:write",
            "earshot:audit:read",
            "earshot:keys:write",
        )
    )
    return Server(env, "--load", env.write("clients.ndjson", lines))


def install():
    """The libraries in build/clients, with the scripts of test/clients beside them."""
    os.makedirs(INSTALLED, exist_ok=True)
    for name in sorted(os.listdir(SOURCES)):
        if name.endswith((".js", ".json", ".npmrc")):
            shutil.copy(os.path.join(SOURCES, name), INSTALLED)
    with open(os.path.join(SOURCES, "package-lock.json"), "rb") as file:
        wanted = hashlib.sha256(file.read()).hexdigest()
    stamp = os.path.join(INSTALLED, "installed")
    if os.path.exists(stamp) and open(stamp).read() == wanted:
        return
    for attempt in range(3):
        done = subprocess.run(
            ["npm", "ci", "--no-progress"],
            cwd=INSTALLED,
            capture_output=True,
            text=True,
            timeout=400,
        )
        if done.returncode == 0:
            break
        time.sleep(2 * attempt)
    check(done.returncode == 0, "npm ci:", done.stderr[-2000:])
    with open(stamp, "w") as file:
        file.write(wanted)


def fetch_document(env, server):
    with server.connect() as connection:
        answer = connection.request("GET", "/openapi.json")
    check_equal(answer.status, 200)
    return env.write("openapi.json", answer.body)


def node_environment():
    # Nothing of the environment may come between these programs and 127.0.0.1.
    return {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}


def play(library, base_url, document, *options, seconds=60):
    done = subprocess.run(
        ["node", "scenario.js", library, base_url, document, json.dumps(FIXTURE), *options],
        cwd=INSTALLED,
        capture_output=True,
        text=True,
        timeout=seconds,
        env=node_environment(),
    )
    check(done.returncode == 0, library, *options, done.stdout[-1500:], done.stderr[-3000:])


@test("the libraries are pinned without naming where they come from, and installed", seconds=900)
def installs(_env):
    with open(os.path.join(SOURCES, "package-lock.json")) as file:
        lock = json.load(file)
    places = [name for name, package in lock["packages"].items() if "resolved" in package]
    check_equal(places, [], "packages that name their place")
    loose = [
        name for name, package in lock["packages"].items() if name and "integrity" not in package
    ]
    check_equal(loose, [], "packages without a hash")
    install()


@test(
    "each client library does all operations from the document, and sees the refusals",
    seconds=180,
)
def libraries_work(env):
    install()
    server = serve(env)
    document = fetch_document(env, server)
    for library in LIBRARIES:
        play(library, server.url, document)


class Proxy:
    """prism between a client and the server: what breaks the document is answered by it with an
    error."""

    def __init__(self, env, document, upstream):
        self.port = free_port()
        self.log_path = env.path("prism.log")
        self.log = open(self.log_path, "wb")
        self.process = env.spawn(
            "node",
            os.path.join(INSTALLED, "node_modules/@stoplight/prism-cli/dist/index.js"),
            "proxy",
            "--errors",
            "--port",
            self.port,
            "--host",
            "127.0.0.1",
            document,
            upstream,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            cwd=INSTALLED,
            env=node_environment(),
        )
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until(self.is_there, 60, "the proxy")

    def is_there(self):
        check(self.process.poll() is None, "the proxy ended:", open(self.log_path).read()[-2000:])
        try:
            with Connection(f"127.0.0.1:{self.port}") as connection:
                return connection.request("GET", "/").status
        except (OSError, Closed):
            return False


@test(
    "a proxy that validates against the document finds no fault in requests and answers",
    seconds=240,
)
def no_violations(env):
    install()
    server = serve(env)
    document = fetch_document(env, server)
    proxy = Proxy(env, document, server.url)
    for library in LIBRARIES:
        play(library, proxy.url, document, "--proxied")


@test(
    "the proxy does find faults: an answer that the document does not describe is reported",
    seconds=120,
)
def proxy_notices(env):
    install()
    server = serve(env)
    with open(fetch_document(env, server)) as file:
        document = json.load(file)
    for schema in document["components"]["schemas"].values():
        if "callAccessList" in schema.get("properties", {}) and "requestId" in schema["properties"]:
            schema["properties"]["requestId"] = {"type": "integer"}
    doctored = env.write("doctored.json", json.dumps(document))
    proxy = Proxy(env, doctored, server.url)
    try:
        play("openapi_fetch", proxy.url, doctored, "--proxied")
    except Failure as failure:
        check("500" in str(failure) or "violation" in str(failure).lower(), failure)
    else:
        check(False, "a document with another type of requestId went unnoticed")
