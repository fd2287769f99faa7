// Feeds a stream of requests to the parsers whole and in random pieces: the outcome must be the
// same, and what is accepted must hold what the parsers promise.
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/text.h"
#include "http/parser.h"

namespace earshot::http {
namespace {

constexpr std::size_t kHeadBytesMax = 512;  // small, so that inputs reach it

bool is_free_of(std::string_view text, std::string_view bad) {
  return text.find_first_of(bad) == text.npos;
}

// What no later reader of an accepted head should have to fear.
void check(const ParsedHead& head) {
  using namespace std::string_view_literals;
  ASSERT(!head.method.empty() && is_free_of(head.method, " \t\r\n\0:"sv));
  ASSERT(!head.target.empty() && is_free_of(head.target, " \t\r\n\0"sv));
  ASSERT(!head.path.empty() && is_free_of(head.path, "?"));
  ASSERT(head.target.find(head.path) != head.target.npos || head.path == "/");
  int hosts = 0, lengths = 0, codings = 0;
  for (const Field& field : head.fields) {
    ASSERT(!field.name.empty() && is_free_of(field.name, " \t\r\n\0:"sv));
    ASSERT(is_free_of(field.value, "\r\n\0"sv));
    ASSERT(field.value.empty() || is_free_of({&field.value.front(), 1}, " \t"));
    ASSERT(field.value.empty() || is_free_of({&field.value.back(), 1}, " \t"));
    hosts += equals_ignoring_case(field.name, "host");
    lengths += equals_ignoring_case(field.name, "content-length");
    codings += equals_ignoring_case(field.name, "transfer-encoding");
  }
  ASSERT(hosts <= 1 && (hosts == 1 || head.version_minor == 0));
  ASSERT(lengths + codings <= 1);
  ASSERT((head.framing == Framing::length) == (lengths == 1));
  ASSERT((head.framing == Framing::chunked) == (codings == 1));
}

// Reads as a connection does, and writes down all that comes out.
class Reader {
 public:
  void feed(std::string_view piece) {
    if (is_refused_) return;
    rest_ += piece;
    std::size_t used = 0;
    while (!is_refused_ && used < rest_.size()) {
      const auto left = std::string_view(rest_).substr(used);
      const std::size_t step = is_in_body_ ? take_body(left) : take_head(left);
      if (step == 0) break;
      used += step;
    }
    // A new string, so that views into the old one dangle.
    rest_ = std::string(rest_.substr(used));
  }

  const std::string& outcome() const { return outcome_; }

 private:
  std::size_t take_head(std::string_view input) {
    const auto step = parser_.parse(input, kHeadBytesMax, head_);
    if (step.outcome == HeadParser::Step::incomplete) return 0;
    if (step.outcome == HeadParser::Step::refused) {
      refuse(step.status);
      return 0;
    }
    ASSERT(step.size > 0 && step.size <= kHeadBytesMax && step.size <= input.size());
    check(head_);
    outcome_ += "head " + std::string(head_.method) + ' ' + std::string(head_.target) + ' ' +
                std::string(head_.path) + (head_.keep_alive ? " keep" : " close") +
                (head_.expects_continue ? " expect" : "") + (parser_.is_head() ? " HEAD" : "");
    for (const Field& field : head_.fields) {
      outcome_ += '\n' + std::string(field.name) + ": " + std::string(field.value);
    }
    outcome_ += "\nbody ";
    parser_ = {};
    decoder_ = {};
    left_ = head_.framing == Framing::length ? head_.content_length : 0;
    is_chunked_ = head_.framing == Framing::chunked;
    is_in_body_ = is_chunked_ || left_ > 0;
    return step.size;
  }

  std::size_t take_body(std::string_view input) {
    if (!is_chunked_) {
      const auto piece = input.substr(0, left_);
      outcome_ += piece;
      left_ -= piece.size();
      is_in_body_ = left_ > 0;
      return piece.size();
    }
    const auto step = decoder_.next(input);
    ASSERT(step.used > 0 && step.used <= input.size() && step.data.size() <= step.used);
    outcome_ += step.data;
    if (step.outcome == ChunkedDecoder::Step::refused) refuse(step.status);
    if (step.outcome == ChunkedDecoder::Step::done) is_in_body_ = false;
    return step.used;
  }

  void refuse(int status) {
    ASSERT(status >= 400 && status <= 505);
    is_refused_ = true;
    outcome_ += "\nrefused " + std::to_string(status);
  }

  std::string rest_;
  std::string outcome_;
  HeadParser parser_;
  ChunkedDecoder decoder_;
  ParsedHead head_;
  std::uint64_t left_ = 0;
  bool is_in_body_ = false;
  bool is_chunked_ = false;
  bool is_refused_ = false;
};

}  // namespace
}  // namespace earshot::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using earshot::http::Reader;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Reader whole, single, split;
  whole.feed(bytes);
  for (const char& c : bytes) single.feed({&c, 1});
  // The pieces depend on the input alone, so that a finding repeats.
  std::minstd_rand random(static_cast<unsigned>(std::hash<std::string_view>{}(bytes)));
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t piece = 1 + random() % 40;
    split.feed(bytes.substr(at, piece));
    at += piece;
  }
  ASSERT(whole.outcome() == single.outcome());
  ASSERT(whole.outcome() == split.outcome());
  return 0;
}
