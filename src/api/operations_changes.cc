#include "api/exchange.h"
#include "api/operations.h"

namespace earshot::api {

void list_changes(Exchange& exchange) { exchange.send_failure(internal("not yet")); }
void get_changes_head(Exchange& exchange) { exchange.send_failure(internal("not yet")); }

}  // namespace earshot::api
