#include "api/exchange.h"
#include "api/operations.h"

namespace earshot::api {

void put_records(Exchange& exchange) { exchange.send_failure(internal("not yet")); }
void get_thing(Exchange& exchange) { exchange.send_failure(internal("not yet")); }

}  // namespace earshot::api
