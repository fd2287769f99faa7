#include "api/exchange.h"
#include "api/operations.h"

namespace earshot::api {

void list_refusals(Exchange& exchange) { exchange.send_failure(internal("not yet")); }

}  // namespace earshot::api
