// Reads request heads and chunked bodies out of bytes that come in any pieces (RFC 9112). Strict
// wherever leniency has let requests be smuggled past a proxy. It knows no sockets and no
// application.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace earshot::http {

enum class Framing : std::uint8_t { none, length, chunked };

// What a head says. The views point into the bytes given to HeadParser::parse.
struct ParsedHead {
  std::string_view method;
  std::string_view target;
  std::string_view path;
  std::vector<Field> fields;
  int version_minor = 1;  // of HTTP/1.x
  bool is_version_known = true;
  bool keep_alive = true;
  bool expects_continue = false;
  Framing framing = Framing::none;
  std::uint64_t content_length = 0;

  void clear();
};

// Reads one head. The outcome depends on the bytes only, never on how they were split.
class HeadParser {
 public:
  struct Step {
    enum Outcome { incomplete, complete, refused } outcome;
    std::size_t size = 0;  // complete: how many bytes the head took
    int status = 0;        // refused: the status to answer with
  };

  // `bytes` is everything since the end of the request before; after `incomplete`, call again with
  // the same bytes and more behind them. They may have moved. After `complete` or `refused`, take a
  // new parser.
  Step parse(std::string_view bytes, std::size_t head_bytes_max, ParsedHead& head);

  // Whether a byte of the request itself has come; an empty line before it is none.
  bool begun() const { return has_request_line_ || pending_line_; }
  // Whether the method is HEAD; known once the request line has been read.
  bool is_head() const { return is_head_; }

 private:
  int take_line(std::string_view line, ParsedHead& head);

  std::uint32_t line_begin_ = 0;
  std::uint32_t scanned_ = 0;  // nothing before it needs to be looked at again
  bool resumed_ = false;
  bool pending_line_ = false;
  bool skipped_empty_line_ = false;
  bool has_request_line_ = false;
  bool is_head_ = false;
};

// Takes the chunked coding off a body. Extensions and trailers are checked and ignored.
class ChunkedDecoder {
 public:
  struct Step {
    enum Outcome { more, piece, done, refused } outcome;
    std::size_t used = 0;   // bytes of the input that were taken
    std::string_view data;  // piece: what it is
    int status = 0;         // refused: the status to answer with
  };

  // Takes bytes up to the end of the next piece of the data, of the body, or of the input (`more`).
  Step next(std::string_view input);

  // What is still to come of the chunk whose size was read last; 0 while none is known.
  std::uint64_t chunk_left() const { return at_ == At::data ? size_ : 0; }

 private:
  enum class At : std::uint8_t {
    size_begin,
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_begin,
    trailer_name,
    trailer_value,
    trailer_lf,
    last_lf,
  };

  int take(char c);

  std::uint64_t size_ = 0;  // of the chunk, what is left of it
  std::uint32_t extension_bytes_ = 0;
  std::uint32_t trailer_bytes_ = 0;
  std::uint8_t digits_ = 0;
  At at_ = At::size_begin;
};

// Whether `value` is a well-formed Host: a name or an address, with or without a port.
bool is_host(std::string_view value);

// The first control character (below 0x20 or 0x7f) at or after `from`, or text.size().
std::size_t find_control(std::string_view text, std::size_t from);

}  // namespace earshot::http
