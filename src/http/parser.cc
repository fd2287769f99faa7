#include "http/parser.h"

#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>

#include "base/text.h"

namespace earshot::http {
namespace {

// Both bounds are generous: nobody but attackers sends extensions, and trailers are rare and short.
constexpr std::uint32_t kExtensionBytesMax = 16 << 10;
constexpr std::uint32_t kTrailerBytesMax = 16 << 10;
constexpr std::uint8_t kSizeDigitsMax = 15;  // 60 bits, so that sums cannot overflow

enum CharClass : std::uint8_t { kToken = 1, kVisible = 2, kHostName = 4, kHexDigit = 8 };

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> classes{};
  const auto add = [&](std::string_view chars, std::uint8_t bits) {
    for (const char c : chars) classes[static_cast<unsigned char>(c)] |= bits;
  };
  for (int c = 0x21; c <= 0x7e; ++c) classes[static_cast<std::size_t>(c)] |= kVisible;
  add("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", kToken | kHostName);
  add("!#$%&'*+-.^_`|~", kToken);
  add("-._~!$&'()*+,;=", kHostName);  // RFC 3986 reg-name, without its percent encoding
  add("0123456789abcdefABCDEF", kHexDigit);
  return classes;
}
constexpr auto kClasses = make_classes();

bool is(char c, CharClass wanted) { return kClasses[static_cast<unsigned char>(c)] & wanted; }

bool all(std::string_view text, CharClass wanted) {
  for (const char c : text) {
    if (!is(c, wanted)) return false;
  }
  return true;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

unsigned hex_value(char c) {
  return static_cast<unsigned>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Whether the comma-separated list has this element.
bool has_element(std::string_view list, std::string_view element) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    if (equals_ignoring_case(trim(list.substr(0, comma)), element)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

bool is_port(std::string_view text) {
  for (const char c : text) {
    if (!is_digit(c)) return false;
  }
  return text.size() <= 5;
}

// The path of a target in one of the four forms of RFC 9112, section 3.2. False where it has none
// of them.
bool find_path(std::string_view method, std::string_view target, std::string_view& path) {
  if (target.front() == '/') {
    path = target.substr(0, target.find('?'));
    return true;
  }
  if (method == "OPTIONS" && target == "*") {
    path = target;
    return true;
  }
  if (method == "CONNECT") {
    path = target;
    return is_host(target);
  }
  const auto colon = target.find("://");
  if (colon == target.npos) return false;
  const auto scheme = target.substr(0, colon);
  if (!equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "https")) return false;
  const auto rest = target.substr(colon + 3);
  const auto authority_end = std::min(rest.find_first_of("/?"), rest.size());
  if (!is_host(rest.substr(0, authority_end))) return false;
  path = rest.substr(authority_end);
  path = path.substr(0, path.find('?'));
  if (path.empty()) path = "/";
  return true;
}

// "GET /path HTTP/1.1", with exactly one space between the parts.
bool parse_request_line(std::string_view line, ParsedHead& head) {
  const auto method_end = line.find(' ');
  if (method_end == line.npos || method_end == 0) return false;
  head.method = line.substr(0, method_end);
  line.remove_prefix(method_end + 1);
  const auto target_end = line.find(' ');
  if (target_end == line.npos || target_end == 0) return false;
  head.target = line.substr(0, target_end);
  const auto version = line.substr(target_end + 1);

  if (!all(head.method, kToken) || !all(head.target, kVisible)) return false;
  if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) ||
      version[6] != '.' || !is_digit(version[7])) {
    return false;
  }
  head.is_version_known = version == "HTTP/1.1" || version == "HTTP/1.0";
  head.version_minor = version[7] - '0';
  // Nobody knows what targets another version has.
  return !head.is_version_known || find_path(head.method, head.target, head.path);
}

// White space at the front is obsolete folding, and white space before the colon hides a field from
// a proxy; neither is a token character.
bool parse_field(std::string_view line, Field& field) {
  std::size_t name_end = 0;
  while (name_end < line.size() && is(line[name_end], kToken)) ++name_end;
  if (name_end == 0 || name_end == line.size() || line[name_end] != ':') return false;
  field.name = line.substr(0, name_end);
  field.value = trim(line.substr(name_end + 1));
  return true;
}

bool parse_length(std::string_view text, std::uint64_t& length) {
  if (text.empty() || !is_digit(text.front())) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  return error == std::errc() && end == text.data() + text.size() &&
         length <= std::uint64_t{std::numeric_limits<std::int64_t>::max()};
}

// What the fields say together; 0, or the status to refuse with. Malformed heads come before
// unknown features.
int judge(ParsedHead& head) {
  int hosts = 0, lengths = 0, codings = 0;
  bool is_coding_chunked = false, is_expect_known = true, close = false, keep = false;
  for (const Field& field : head.fields) {
    const auto named = [&](std::string_view name) {
      return equals_ignoring_case(field.name, name);
    };
    switch (field.name.size()) {
      case 4:
        if (named("host")) {
          if (++hosts > 1 || !is_host(field.value)) return 400;
        }
        break;
      case 6:
        if (named("expect")) {
          head.expects_continue = true;
          is_expect_known &= equals_ignoring_case(field.value, "100-continue");
        }
        break;
      case 10:
        if (named("connection")) {
          close |= has_element(field.value, "close");
          keep |= has_element(field.value, "keep-alive");
        }
        break;
      case 14:
        if (named("content-length")) {
          if (++lengths > 1 || !parse_length(field.value, head.content_length)) return 400;
          head.framing = Framing::length;
        }
        break;
      case 17:
        if (named("transfer-encoding")) {
          is_coding_chunked = ++codings == 1 && equals_ignoring_case(field.value, "chunked");
          head.framing = Framing::chunked;
        }
        break;
      default:
        break;
    }
  }
  const bool is_http10 = head.version_minor == 0;
  if (codings > 0 && (lengths > 0 || (is_http10 && head.is_version_known))) return 400;
  if (!head.is_version_known) return 505;
  if (hosts == 0 && !is_http10) return 400;
  if (codings > 0 && !is_coding_chunked) return 501;
  if (is_http10) head.expects_continue = false;
  if (head.expects_continue && !is_expect_known) return 417;
  head.keep_alive = !close && (keep || !is_http10);
  return 0;
}

}  // namespace

void ParsedHead::clear() {
  fields.clear();
  expects_continue = false;
  framing = Framing::none;
  content_length = 0;
}

// 0, or the status to refuse with.
int HeadParser::take_line(std::string_view line, ParsedHead& head) {
  if (has_request_line_) {
    Field field;
    if (!parse_field(line, field)) return 400;
    head.fields.push_back(field);
    return 0;
  }
  if (line.empty()) {
    // Some old clients send one line end too much after a body.
    if (skipped_empty_line_) return 400;
    skipped_empty_line_ = true;
    return 0;
  }
  if (!parse_request_line(line, head)) return 400;
  has_request_line_ = true;
  is_head_ = head.method == "HEAD";
  return 0;
}

HeadParser::Step HeadParser::parse(std::string_view bytes, std::size_t head_bytes_max,
                                   ParsedHead& head) {
  const auto window = bytes.substr(0, head_bytes_max);
  if (!resumed_) head.clear();
  for (;;) {
    std::size_t at = find_control(window, scanned_);
    while (at < window.size() && window[at] == '\t') at = find_control(window, at + 1);
    pending_line_ = at > line_begin_;
    scanned_ = static_cast<std::uint32_t>(at);
    if (at == window.size()) break;
    if (window[at] != '\r') return {Step::refused, 0, 400};
    if (at + 1 == window.size()) break;
    if (window[at + 1] != '\n') return {Step::refused, 0, 400};

    const auto line = window.substr(line_begin_, at - line_begin_);
    scanned_ = line_begin_ = static_cast<std::uint32_t>(at + 2);
    if (line.empty() && has_request_line_) {
      if (resumed_) {
        // The views of the calls before may dangle: read the whole head once more, now that all of
        // it is here.
        *this = {};
        return parse(bytes, head_bytes_max, head);
      }
      const int status = judge(head);
      if (status != 0) return {Step::refused, 0, status};
      return {Step::complete, scanned_, 0};
    }
    const int status = take_line(line, head);
    if (status != 0) return {Step::refused, 0, status};
  }
  resumed_ = true;
  if (bytes.size() >= head_bytes_max) return {Step::refused, 0, 431};
  return {Step::incomplete, 0, 0};
}

ChunkedDecoder::Step ChunkedDecoder::next(std::string_view input) {
  std::size_t used = 0;
  while (used < input.size()) {
    if (at_ == At::data) {
      const auto data = input.substr(used, size_);
      size_ -= data.size();
      if (size_ == 0) at_ = At::data_cr;
      return {Step::piece, used + data.size(), data, 0};
    }
    const bool is_last = at_ == At::last_lf;
    const int status = take(input[used++]);
    if (status != 0) return {Step::refused, used, {}, status};
    if (is_last) return {Step::done, used, {}, 0};
  }
  return {Step::more, used, {}, 0};
}

// One byte of what stands around the data. 0, or the status to refuse with.
int ChunkedDecoder::take(char c) {
  const bool is_text = c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  switch (at_) {
    case At::size_begin:
      size_ = 0;
      digits_ = 0;
      at_ = At::size;
      [[fallthrough]];
    case At::size:
      if (is(c, kHexDigit)) {
        size_ = size_ * 16 + hex_value(c);
        return ++digits_ > kSizeDigitsMax ? 400 : 0;
      }
      if (digits_ == 0) return 400;
      if (c == '\r') return at_ = At::size_lf, 0;
      if (c == ';') return at_ = At::extension, 0;
      return 400;
    case At::extension:
      if (++extension_bytes_ > kExtensionBytesMax) return 400;
      if (c == '\r') return at_ = At::size_lf, 0;
      return is_text ? 0 : 400;
    case At::size_lf:
      at_ = size_ == 0 ? At::trailer_begin : At::data;
      return c == '\n' ? 0 : 400;
    case At::data_cr:
      at_ = At::data_lf;
      return c == '\r' ? 0 : 400;
    case At::data_lf:
      at_ = At::size_begin;
      return c == '\n' ? 0 : 400;
    case At::trailer_begin:
      if (c == '\r') return at_ = At::last_lf, 0;
      at_ = At::trailer_name;
      ++trailer_bytes_;
      return is(c, kToken) ? 0 : 400;
    case At::trailer_name:
      if (++trailer_bytes_ > kTrailerBytesMax) return 431;
      if (c == ':') return at_ = At::trailer_value, 0;
      return is(c, kToken) ? 0 : 400;
    case At::trailer_value:
      if (++trailer_bytes_ > kTrailerBytesMax) return 431;
      if (c == '\r') return at_ = At::trailer_lf, 0;
      return is_text ? 0 : 400;
    case At::trailer_lf:
      at_ = At::trailer_begin;
      return c == '\n' ? 0 : 400;
    case At::last_lf:
      return c == '\n' ? 0 : 400;
    case At::data:
      break;  // taken whole by next()
  }
  return 400;
}

bool is_host(std::string_view value) {
  if (value.starts_with('[')) {
    const auto end = value.find(']');
    if (end == value.npos || end < 3) return false;
    for (const char c : value.substr(1, end - 1)) {
      if (!is(c, kHostName) && c != ':') return false;
    }
    const auto port = value.substr(end + 1);
    return port.empty() || (port.front() == ':' && is_port(port.substr(1)));
  }
  const auto colon = std::min(value.find(':'), value.size());
  if (colon == 0) return false;
  for (std::size_t i = 0; i < colon; ++i) {
    if (is(value[i], kHostName)) continue;
    if (value[i] != '%' || i + 2 >= colon) return false;
    if (!is(value[i + 1], kHexDigit) || !is(value[i + 2], kHexDigit)) return false;
    i += 2;
  }
  return colon == value.size() || is_port(value.substr(colon + 1));
}

std::size_t find_control(std::string_view text, std::size_t from) {
  // Eight bytes at a time. A borrow can only spoil bytes above a true hit, so the lowest hit is
  // exact.
  constexpr std::uint64_t ones = 0x0101010101010101;
  constexpr std::uint64_t highs = ones * 0x80;
  static_assert(std::endian::native == std::endian::little);
  std::size_t at = from;
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    const std::uint64_t below_space = (word - ones * 0x20) & ~word & highs;
    const std::uint64_t flipped = word ^ (ones * 0x7f);
    const std::uint64_t is_delete = (flipped - ones) & ~flipped & highs;
    const std::uint64_t hits = below_space | is_delete;
    if (hits != 0) return at + static_cast<std::size_t>(std::countr_zero(hits)) / 8;
  }
  for (; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x20 || c == 0x7f) break;
  }
  return at;
}

}  // namespace earshot::http
