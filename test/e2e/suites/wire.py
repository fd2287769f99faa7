"""The contract on the wire, asked of the built program over raw sockets."""

from suites import wire_answers, wire_http, wire_process

tests = [*wire_answers.tests, *wire_http.tests, *wire_process.tests]
