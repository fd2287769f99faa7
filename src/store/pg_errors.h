// What PostgreSQL's error codes mean to us, decided in one place.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace earshot::store {

// What became of a transaction whose statement failed, and what helps. It holds for every statement
// but COMMIT: after a COMMIT that was not answered, or failed with 08xxx or XX000, nobody knows.
enum class PgFault {
  lost,           // the connection is gone, without a word: connect again, to the next host
  not_committed,  // the server goes, is none that takes writes, or lost one behind it: connect
                  // again
  retry_at_once,  // in the way of another transaction, rolled back: the same connection is good
  shard_moved,    // Citus lost a link or met a moved shard: worth a few more tries
  overloaded,     // a limit of the server's: later
  ours,           // the statement itself is wrong; trying again does not help
};

// By the five characters of an SQLSTATE; empty means that the connection was lost.
PgFault classify_sqlstate(std::string_view sqlstate);

// As an error of ours: internal for a fault of ours, unavailable for any other. `message` is the
// server's primary message.
Error from_sqlstate(std::string_view sqlstate, const std::string& message);

}  // namespace earshot::store
