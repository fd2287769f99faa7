// The bytes of answers' heads.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"

namespace earshot::http {

enum class Persistence : std::uint8_t { implied, keep_alive, close };

// Appends a whole answer; `with_body` is false in answer to HEAD.
void append_answer(std::string& out, const Response& response, Persistence persistence,
                   bool with_body);

// Appends the head of a streamed answer.
void append_stream_head(std::string& out, const Response& head, Persistence persistence,
                        bool is_chunked);

// Appends one chunk. `piece` must not be empty.
void append_chunk(std::string& out, std::string_view piece);

}  // namespace earshot::http
