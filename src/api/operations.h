// The operations, each from what was decoded to its answer. Each is called once for a request that
// is let in and whose head and body are as they should be; it answers before it returns, or later.
#pragma once

namespace earshot::api {

class Exchange;

// PUT, POST and DELETE /v2/calls/users-access.
void list_users_access(Exchange& exchange);
void change_users_access(Exchange& exchange);

// POST /earshot/v1/access/check, GET /earshot/v1/calls/{callId}/access and
// GET /earshot/v1/users/{userId}/access.
void check_access(Exchange& exchange);
void list_call_access(Exchange& exchange);
void list_user_access(Exchange& exchange);

// PUT and DELETE /earshot/v1/grants.
void change_grants(Exchange& exchange);

// GET /earshot/v1/changes and GET /earshot/v1/changes/head.
void list_changes(Exchange& exchange);
void get_changes_head(Exchange& exchange);

// GET /earshot/v1/refusals.
void list_refusals(Exchange& exchange);

// POST /earshot/v1/directory, GET /earshot/v1/calls/{callId} and GET /earshot/v1/users/{userId}.
void put_records(Exchange& exchange);
void get_thing(Exchange& exchange);

// POST, GET and DELETE /earshot/v1/keys.
void create_key(Exchange& exchange);
void list_keys(Exchange& exchange);
void revoke_key(Exchange& exchange);

}  // namespace earshot::api
