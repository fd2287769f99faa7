// Changes as server-sent events (WHATWG HTML, 9.2), from a position on and for as long as the
// reader stays and takes them.
#pragma once

#include <memory>

#include "api/exchange.h"

namespace earshot::api {

// The answer to a request for changes that the store had none for.
void refuse_changes(Exchange& exchange, const Error& error);

// Answers a request that was let in, from the position on. Where nothing can be read from there the
// answer is a refusal; once events have begun it is an event `end`.
void stream_changes(Exchange& exchange, store::ChangesPosition after);

}  // namespace earshot::api
