// What whoever puts the program together may choose of the application.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "api/decode.h"
#include "api/feed.h"
#include "base/signature.h"
#include "base/time.h"

namespace earshot::api {

struct Options {
  DecodeLimits limits{};
  std::size_t body_bytes_max = 8 << 20;  // for the text of 413; the HTTP server holds the limit
  std::size_t directory_bytes_max = 16 << 20;  // of a request's records, which are one unit
  std::size_t directory_requests_max = 32;     // that bring or wait to load records; more are 503
  std::size_t answer_bytes_whole = 1 << 20;    // longer answers leave in pieces
  bool admin_on_main = false;  // the neighbours of the operations on the main address too
  double log_sample = 0;       // share of the requests to log that nothing calls for, 0 to 1
  FeedOptions feed{};
  std::optional<SigningKey> head_key{};               // absent: heads are not signed
  std::chrono::milliseconds refusals_interval{1000};  // alike ones of it are kept as one
  Clock clock = wall_now;
};

}  // namespace earshot::api
