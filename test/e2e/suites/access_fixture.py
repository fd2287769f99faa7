"""The company that the suites about access and grants ask about, and how they ask."""

import json
from urllib.parse import urlencode

from harness import check, check_equal
from http11 import PATH, Connection, access_list, basic
from server import Server
from suites.wire_fixture import check_answer

NAME = "x-earshot-revision"
SCOPES = json.dumps(
    [
        "api:call-user-access:read",
        "api:call-user-access:write",
        "earshot:access:read",
        "earshot:grants:write",
    ]
)
FULL = basic("FULL", "full-secret-of-twenty-characters")
GONG = basic("GONG", "gong-secret-of-twenty-characters")
OTHER = basic("OTHER", "other-secret-of-twenty-characters")

# Olga (30) leads Hugo (31), he leads Petra (32). Calls of workspace 10: 100 for all to hear who
# may, 101 private, 102 of nobody in particular; 103 is of a workspace that is not there.
RECORDS = f"""
{{"kind":"company","companyId":"1","name":"Acme"}}
{{"kind":"key","accessKey":"FULL","secret":"full-secret-of-twenty-characters","scopes":{SCOPES}}}
{{"kind":"key","accessKey":"GONG","secret":"gong-secret-of-twenty-characters","scopes":["api:call-user-access:read","api:call-user-access:write"]}}
{{"kind":"workspace","workspaceId":"10","name":"Sales"}}
{{"kind":"profile","profileId":"20","workspaceId":"10","callsAccess":{{"permissionLevel":"report-to-them"}}}}
{{"kind":"profile","profileId":"21","workspaceId":"10","callsAccess":{{"permissionLevel":"own"}}}}
{{"kind":"profile","profileId":"22","workspaceId":"10","callsAccess":{{"permissionLevel":"none"}}}}
{{"kind":"profile","profileId":"23","workspaceId":"10","callsAccess":{{"permissionLevel":"managers-team"}}}}
{{"kind":"profile","profileId":"24","workspaceId":"10","callsAccess":{{"permissionLevel":"all"}}}}
{{"kind":"profile","profileId":"25","workspaceId":"10","callsAccess":{{"permissionLevel":"report-to-them","teamLeadIds":["30"]}}}}
{{"kind":"profile","profileId":"26","workspaceId":"10","callsAccess":{{"permissionLevel":"managers-team","teamLeadIds":["41","49"]}}}}
{{"kind":"user","userId":"30","profileIds":["20"]}}
{{"kind":"user","userId":"31","managerId":"30","profileIds":["20"]}}
{{"kind":"user","userId":"32","managerId":"31","profileIds":["21"]}}
{{"kind":"user","userId":"33"}}
{{"kind":"user","userId":"34"}}
{{"kind":"user","userId":"35","profileIds":["21"]}}
{{"kind":"user","userId":"36","profileIds":["22"]}}
{{"kind":"user","userId":"37","profileIds":["23"]}}
{{"kind":"user","userId":"38","managerId":"34","profileIds":["23"]}}
{{"kind":"user","userId":"39","managerId":"30","profileIds":["23"]}}
{{"kind":"user","userId":"40","profileIds":["24"]}}
{{"kind":"user","userId":"41","profileIds":["25"]}}
{{"kind":"user","userId":"42","profileIds":["26"]}}
{{"kind":"user","userId":"43","profileIds":["24"],"active":false}}
{{"kind":"user","userId":"44","profileIds":["20"]}}
{{"kind":"user","userId":"45"}}
{{"kind":"call","callId":"100","workspaceId":"10","primaryUserId":"31","partyUserIds":["32"]}}
{{"kind":"call","callId":"101","workspaceId":"10","primaryUserId":"31","isPrivate":true}}
{{"kind":"call","callId":"102","workspaceId":"10"}}
{{"kind":"call","callId":"103","workspaceId":"99","primaryUserId":"31"}}
{{"kind":"share","callId":"100","userId":"33"}}
{{"kind":"share","callId":"101","userId":"33"}}
{{"kind":"grant","callId":"100","userId":"30","expiresAt":"2090-01-01T00:00:00Z","note":"for the \\"audit\\""}}
{{"kind":"grant","callId":"100","userId":"34","expiresAt":"2020-01-01T00:00:00Z"}}
{{"kind":"grant","callId":"101","userId":"40"}}
{{"kind":"company","companyId":"2","name":"Other"}}
{{"kind":"key","accessKey":"OTHER","secret":"other-secret-of-twenty-characters","scopes":{SCOPES}}}
{{"kind":"user","userId":"31"}}
{{"kind":"user","userId":"33"}}
{{"kind":"user","userId":"50"}}
{{"kind":"call","callId":"100","primaryUserId":"50","partyUserIds":["31","33"]}}
{{"kind":"call","callId":"500","primaryUserId":"50"}}
"""
CALLS = [100, 101, 102, 103]
USERS = list(range(30, 46))


def serve(env, *options, **more):
    """A server with the company above, loaded at its start."""
    return Server(env, "--load", env.write("access.ndjson", RECORDS), *options, **more)


class Asker:
    """One key over one connection."""

    def __init__(self, server, authorization=FULL):
        self.connection = Connection(server.address, timeout=60)
        self.authorization = authorization

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, method, target, body=None, fields=()):
        return self.connection.request(method, target, body, self.authorization, fields)

    def check(self, pairs, fields=(), **query):
        """The results of the pairs, in their order."""
        body = {"checks": [{"callId": str(call), "userId": str(user)} for call, user in pairs]}
        answer = self.ask("POST", with_query("/earshot/v1/access/check", query), body, fields)
        return check_read(answer)["results"]

    def allows(self, call, user, **query):
        """The names of the ways by which the user may hear the call."""
        return ways_of(self.check([(call, user)], **query)[0])

    def page(self, kind, number, fields=(), **query):
        """One page of `calls` or `users`."""
        target = with_query(f"/earshot/v1/{kind}/{number}/access", query)
        return check_read(self.ask("GET", target, None, fields))

    def pages(self, kind, number, **query):
        """All pages: their bodies."""
        found = [self.page(kind, number, **query)]
        while cursor := found[-1]["records"].get("cursor"):
            found.append(self.page(kind, number, cursor=cursor, **query))
        return found

    def everybody(self, call, **query):
        """{user: ways} of a call, from all pages."""
        return listed(self.pages("calls", call, **query), "users", "userId")

    def everything(self, user, **query):
        """{call: ways} of a user, from all pages."""
        return listed(self.pages("users", user, **query), "calls", "callId")

    def grants(self, method, pairs, fields=(), status=200, first_error=None, **members):
        """The whole body of the answer. A pair may have a third item: members of its own."""
        body = {"grants": [grant_of(*pair) for pair in pairs], **members}
        answer = self.ask(method, "/earshot/v1/grants", body, fields)
        return check_answer(answer, status, first_error)

    def results(self, method, pairs, fields=(), **members):
        """What each pair came to."""
        body = self.grants(method, pairs, fields, **members)
        return [result["result"] for result in body["results"]]

    def gong(self, method, pairs):
        """The operations of /v2; {call: users} from POST."""
        if method != "POST":
            check_answer(self.ask(method, PATH, access_list(pairs)), 200)
            return None
        answer = self.ask(method, PATH, {"filter": {"callIds": [str(call) for call in pairs]}})
        entries = check_answer(answer, 200)["callAccessList"]
        return {
            int(entry["callId"]): [int(user["userId"]) for user in entry["users"]]
            for entry in entries
        }


def with_query(path, query):
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def grant_of(call, user, terms=None):
    return {"callId": str(call), "userId": str(user), **(terms or {})}


def ways_of(result):
    return [way["way"] for way in result["ways"]]


def check_read(answer):
    """The body of a read that was answered, which says what it is as of."""
    body = check_answer(answer, 200)
    check_equal(list(body)[:3], ["requestId", "revision", "at"], "members")
    check_equal(answer.field(NAME), str(body["revision"]), NAME)
    return body


def listed(pages, member, name):
    """{id: ways} of pages, which must be in order, whole, and of one moment."""
    found = {}
    for page in pages:
        check_equal((page["revision"], page["at"]), (pages[0]["revision"], pages[0]["at"]), "moment")
        check_equal(page["records"]["currentPageSize"], len(page[member]), "size")
        for item in page[member]:
            number = int(item[name])
            check(number > max(found, default=0), member, "not in order:", number)
            check(item["ways"], "listed without a way:", item)
            found[number] = item["ways"]
    return found
