#include "api/exchange.h"
#include "api/operations.h"

namespace earshot::api {

void create_key(Exchange& exchange) { exchange.send_failure(internal("not yet")); }
void list_keys(Exchange& exchange) { exchange.send_failure(internal("not yet")); }
void revoke_key(Exchange& exchange) { exchange.send_failure(internal("not yet")); }

}  // namespace earshot::api
