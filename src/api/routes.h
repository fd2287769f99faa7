// Which path and method mean which operation. A constant table: nothing of a path is decoded,
// merged or resolved.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/decode.h"
#include "api/metrics.h"
#include "api/query.h"

namespace earshot::api {

class Exchange;

// Whose manners a path has.
enum class Surface : std::uint8_t {
  gong,       // the query is ignored; what is wrong with a field is told as bad JSON
  earshot,    // the query is read
  neighbour,  // served where operators look, and without credentials
};

struct Route {
  std::string_view path;  // "{callId}" stands for one segment
  std::string_view method;
  Operation operation = Operation::none;
  Surface surface = Surface::gong;
  std::string_view scope{};
  std::optional<Shape> body{};  // of JSON; nothing: none is looked at
  bool takes_records = false;   // the body is lines of records
  bool waits = false;           // for the store, on a thread that may; its key is looked up there
  bool takes_revision = false;  // x-earshot-revision says which is the oldest to answer from
  bool takes_idempotency_key = false;
  Parameters parameters = 0;            // of the query
  bool takes_readers = false;           // who may stay: as a stream of events, or waiting
  void (*answer)(Exchange&) = nullptr;  // null for neighbours

  bool takes_body() const { return body.has_value() || takes_records; }
};

// Which tables an address serves.
struct Served {
  bool operations = true;
  bool neighbours = false;
};

struct RouteMatch {
  const Route* route = nullptr;   // null where path or method is unknown
  std::string allow;              // where the method is: the methods of the path
  std::string_view segment;       // what stands in the path for "{…}"
  std::string_view segment_name;  // and its name there
};

// The views are good as long as the path.
RouteMatch find_route(std::string_view path, std::string_view method, Served served);

}  // namespace earshot::api
