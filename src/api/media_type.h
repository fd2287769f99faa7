// Which bodies are taken for JSON, or lines of it, and whether events are asked for, by the head
// alone.
#pragma once

#include <string_view>

namespace earshot::api {

// Whether this is application/json, in any case, with any well-formed parameters; a charset among
// them must be utf-8, in any case, quoted or not.
bool is_json_media_type(std::string_view content_type);

// The same for application/x-ndjson: lines of JSON.
bool is_ndjson_media_type(std::string_view content_type);

// What values of Accept name, in any case, in thousandths of the highest weight: 0 what they do not
// name, or refuse. Ranges such as */* name nothing.
struct AcceptedTypes {
  int json = 0;
  int events = 0;  // text/event-stream

  // Another value of the field.
  void add(std::string_view accept);

  // A client that takes both alike, as those made from a document do, gets JSON.
  bool prefer_events() const { return events > json; }
};

}  // namespace earshot::api
