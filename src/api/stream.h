// Answers too long to be sent whole: piece by piece, each when there is room for it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "http/message.h"

namespace earshot::api {

// Appends what comes next, at least until `piece` holds `size` bytes. Returns whether this was the
// end. Called by one thread at a time, though not always by the same.
using NextPiece = std::function<bool(std::string& piece, std::size_t size)>;

// Answers with the head, the first piece, and what `next` gives. Returns at once; `next` is let go
// of when all is sent or the client has left.
void stream_answer(http::Reply& reply, http::Response head, std::string first, NextPiece next);

}  // namespace earshot::api
