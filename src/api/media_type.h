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

// Whether a value of Accept names text/event-stream, in any case, and not with q=0. Ranges such as
// */* do not.
bool accepts_events(std::string_view accept);

}  // namespace earshot::api
