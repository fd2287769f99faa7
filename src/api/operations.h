// The operations, each from what was decoded to its answer. Each is called once for a request that
// is let in and whose head and body are as they should be; it answers before it returns, or later.
#pragma once

namespace earshot::api {

class Exchange;

// PUT, POST and DELETE /v2/calls/users-access.
void list_users_access(Exchange& exchange);
void change_users_access(Exchange& exchange);

}  // namespace earshot::api
