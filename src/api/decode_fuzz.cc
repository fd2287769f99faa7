// The decoder against a naive reading of the whole text as a tree, and against itself with the text
// cut elsewhere.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "api/decode.h"
#include "base/assert.h"
#include "base/time.h"

namespace {

using namespace earshot;
using namespace earshot::api;
namespace json = boost::json;

constexpr DecodeLimits kLimits{.nesting_max = 8, .ids_max = 6, .checks_max = 2};

// What a body comes to, as text: the ids, "# …" for too many of them, "! …" for anything else
// wrong.
std::string decode(Shape shape, std::string_view body, std::uint32_t cuts) {
  Decoder decoder(shape, kLimits);
  while (!body.empty()) {
    // 0 means no cuts.
    std::size_t size = body.size();
    if (cuts != 0) {
      cuts = cuts * 1664525 + 1013904223;
      size =
          std::min<std::size_t>(size, cuts >> 30 == 0 ? (cuts >> 16) % 64 : (cuts >> 16) % 3 + 1);
    }
    decoder.piece(std::string(body.substr(0, size)));
    body.remove_prefix(size);
  }
  if (const auto error = decoder.finish()) {
    return (error->kind == DecodeError::Kind::json ? "! " : "# ") + error->detail;
  }
  std::string text;
  for (const auto& item : decoder.take_call_access_list()) {
    text += to_string(item.call) + ':';
    for (const UserId user : item.users) text += to_string(user) + ',';
    text += ';';
  }
  for (const CallId call : decoder.take_call_ids()) text += to_string(call) + ',';
  for (const auto& [call, user] : decoder.take_checks()) {
    text += to_string(call) + ':' + to_string(user) + ';';
  }
  const GrantsBody grants = decoder.take_grants();
  for (const auto& [call, user, grant] : grants.pairs) {
    text += to_string(call) + ':' + to_string(user);
    if (grant.expires_at) text += '@' + format_time(*grant.expires_at);
    text += grant.note + ';';
  }
  if (const auto* call = std::get_if<CallId>(&grants.all_of)) text += "c" + to_string(*call);
  if (const auto* user = std::get_if<UserId>(&grants.all_of)) text += "u" + to_string(*user);
  if (grants.is_dry_run) text += " dry";
  if (grants.if_revision) text += " if " + std::to_string(*grants.if_revision);
  return text;
}

// The same from a tree; nothing where it is wrong. Does not see members that are given twice.
class Naive {
 public:
  static std::optional<std::string> decode(Shape shape, std::string_view body) {
    json::error_code ec;
    json::parse_options options;
    options.max_depth = kLimits.nesting_max;
    const json::value tree = json::parse({body.data(), body.size()}, ec, {}, options);
    if (ec) return std::nullopt;
    Naive naive;
    if (!naive.read(shape, tree)) return std::nullopt;
    return naive.ids_ > kLimits.ids_max || naive.checks_ > kLimits.checks_max ? "#" : naive.text_;
  }

 private:
  bool read(Shape shape, const json::value& tree) {
    switch (shape) {
      case Shape::filter:
        return read_filter(tree);
      case Shape::call_access_list:
        return read_list(tree);
      case Shape::checks:
        return read_checks(tree);
      default:
        return read_grants(tree, shape == Shape::grants_to_give);
    }
  }

  static const json::value* member(const json::value& value, std::string_view name) {
    const json::object* const object = value.if_object();
    return object == nullptr ? nullptr : object->if_contains({name.data(), name.size()});
  }

  bool read_id(const json::value& value) {
    const json::string* const text = value.if_string();
    if (text == nullptr || text->empty() || text->size() > 19) return false;
    for (const char c : *text) {
      if (c < '0' || c > '9') return false;
    }
    const std::string digits(*text);
    if (digits[0] == '0') return false;
    if (digits.size() == 19 && digits > "9223372036854775807") return false;
    ++ids_;
    text_ += digits;
    return true;
  }

  bool read_ids(const json::value* value) {
    if (value == nullptr || !value->is_array()) return false;
    for (const json::value& id : value->get_array()) {
      if (!read_id(id)) return false;
      text_ += ',';
    }
    return true;
  }

  bool read_filter(const json::value& tree) {
    const json::value* const filter = member(tree, "filter");
    return filter != nullptr && read_ids(member(*filter, "callIds")) && ids_ > 0;
  }

  bool read_list(const json::value& tree) {
    const json::value* const list = member(tree, "callAccessList");
    if (list == nullptr || !list->is_array()) return false;
    for (const json::value& item : list->get_array()) {
      const json::value* const call = member(item, "callId");
      if (call == nullptr || !read_id(*call)) return false;
      text_ += ':';
      if (!read_ids(member(item, "userIds"))) return false;
      text_ += ';';
    }
    return true;
  }

  bool read_pair(const json::value& pair) {
    const json::value* const call = member(pair, "callId");
    const json::value* const user = member(pair, "userId");
    if (call == nullptr || user == nullptr || !read_id(*call)) return false;
    text_ += ':';
    return read_id(*user);
  }

  bool read_checks(const json::value& tree) {
    const json::value* const list = member(tree, "checks");
    if (list == nullptr || !list->is_array() || list->get_array().empty()) return false;
    for (const json::value& pair : list->get_array()) {
      if (!read_pair(pair)) return false;
      text_ += ';';
      ++checks_;
    }
    return true;
  }

  bool read_terms(const json::value& pair) {
    if (const json::value* const expires = member(pair, "expiresAt")) {
      if (!expires->is_string() || expires->get_string().size() > 64) return false;
      const auto time = parse_time(std::string_view(expires->get_string()));
      if (!time) return false;
      text_ += '@' + format_time(*time);
    }
    if (const json::value* const note = member(pair, "note")) {
      if (!note->is_string() || note->get_string().size() > 1024) return false;
      if (note->get_string().find('\0') != json::string::npos) return false;
      text_ += std::string(note->get_string());
    }
    return true;
  }

  bool read_grants(const json::value& tree, bool gives) {
    if (!tree.is_object()) return false;
    const json::value* const list = member(tree, "grants");
    const json::value* const all_of = gives ? nullptr : member(tree, "allOf");
    if ((list == nullptr) == (all_of == nullptr)) return false;
    if (list != nullptr) {
      if (!list->is_array()) return false;
      for (const json::value& pair : list->get_array()) {
        if (!read_pair(pair) || (gives && !read_terms(pair))) return false;
        text_ += ';';
      }
    } else {
      const json::value* const call = member(*all_of, "callId");
      const json::value* const user = member(*all_of, "userId");
      if ((call == nullptr) == (user == nullptr)) return false;
      text_ += call != nullptr ? "c" : "u";
      if (!read_id(call != nullptr ? *call : *user)) return false;
    }
    if (const json::value* const dry_run = member(tree, "dryRun")) {
      if (!dry_run->is_bool()) return false;
      if (dry_run->get_bool()) text_ += " dry";
    }
    if (const json::value* const revision = member(tree, "ifRevision")) {
      if (!revision->is_int64() || revision->get_int64() < 0) return false;
      text_ += " if " + std::to_string(revision->get_int64());
    }
    return true;
  }

  std::string text_;
  std::size_t ids_ = 0;
  std::size_t checks_ = 0;
};

std::size_t count_members(const json::value& tree) {
  std::size_t count = 0;
  if (const json::object* const object = tree.if_object()) {
    for (const auto& member : *object) count += 1 + count_members(member.value());
  } else if (const json::array* const array = tree.if_array()) {
    for (const json::value& item : *array) count += count_members(item);
  }
  return count;
}

// Whether an object of it has two members of one name, of which a tree keeps one. REQUIRES: JSON.
bool has_member_twice(std::string_view body) {
  std::size_t colons = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (in_string && body[i] == '\\') {
      ++i;
    } else if (body[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && body[i] == ':') {
      ++colons;
    }
  }
  return colons != count_members(json::parse({body.data(), body.size()}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const auto shape = static_cast<Shape>(data[0] % 8 % 5);
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = decode(shape, body, 0);
  for (std::uint32_t cuts = 1; cuts <= 3; ++cuts) {
    ASSERT(decode(shape, body, cuts * 7919 + data[0]) == whole);
  }
  const auto naive = Naive::decode(shape, body);
  if (whole.starts_with("! ")) {
    // What is wrong may also be the one of two that the tree did not keep.
    ASSERT(!naive || has_member_twice(body));
  } else if (whole.starts_with("# ")) {
    ASSERT(naive == "#");
  } else {
    ASSERT(naive == whole);
  }
  return 0;
}
