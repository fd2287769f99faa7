#include "records/line_parser.h"

#include <boost/json/basic_parser_impl.hpp>
#include <optional>
#include <string>

#include "base/text.h"

namespace earshot::records {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, kMemberCount> kNames = {
    "kind",       "companyId",    "remove",          "name",        "accessKey",     "secret",
    "secretHash", "scopes",       "expiresAt",       "workspaceId", "profileId",     "callsAccess",
    "userId",     "emailAddress", "firstName",       "lastName",    "managerId",     "active",
    "profileIds", "callId",       "title",           "started",     "primaryUserId", "partyUserIds",
    "isPrivate",  "note",         "permissionLevel", "teamLeadIds",
};

bool is_of_calls_access(Member member) { return member >= Member::permission_level; }

std::optional<Member> find_member(std::string_view name, bool of_calls_access) {
  constexpr auto kFirstOfCallsAccess = static_cast<std::size_t>(Member::permission_level);
  const std::size_t first = of_calls_access ? kFirstOfCallsAccess : 0;
  const std::size_t end = of_calls_access ? kMemberCount : kFirstOfCallsAccess;
  for (std::size_t i = first; i < end; ++i) {
    if (kNames[i] == name) return static_cast<Member>(i);
  }
  return std::nullopt;
}

// Takes the parser's events and keeps what is known. What is not known is passed over, however
// deep.
class Handler {
 public:
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);

  const Members& members() const { return members_; }
  bool is_object() const { return is_object_; }

  void start() {
    members_.clear();
    place_ = Place::document;
    slot_ = nullptr;
    ignored_depth_ = 0;
    is_object_ = false;
    in_list_ = false;
    scratch_.clear();
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code&) {
    if (ignored_depth_ > 0) {
      ++ignored_depth_;
    } else if (place_ == Place::document) {
      place_ = Place::root;
      is_object_ = true;
    } else if (is_at_calls_access()) {
      slot_->shape = Shape::object;
      // Of a callsAccess given twice nothing is used, but both must be read.
      members_[Member::permission_level] = {};
      members_[Member::team_lead_ids] = {};
      place_ = Place::calls_access;
    } else {
      take(Shape::object);
      ++ignored_depth_;
    }
    return true;
  }
  bool on_object_end(std::size_t, json::error_code&) {
    if (ignored_depth_ > 0) {
      --ignored_depth_;
    } else if (place_ == Place::calls_access) {
      place_ = Place::root;
    }
    return true;
  }
  bool on_array_begin(json::error_code&) {
    if (ignored_depth_ == 0 && slot_ != nullptr && !in_list_) {
      take(Shape::list);
      slot_->list.clear();
      in_list_ = true;
    } else {
      if (ignored_depth_ == 0) take(Shape::list);
      ++ignored_depth_;
    }
    return true;
  }
  bool on_array_end(std::size_t, json::error_code&) {
    if (ignored_depth_ > 0) {
      --ignored_depth_;
    } else {
      in_list_ = false;
    }
    return true;
  }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    scratch_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view rest, std::size_t, json::error_code&) {
    const std::string_view name = whole(rest);
    if (ignored_depth_ == 0) find_slot(name);
    scratch_.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    scratch_.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view rest, std::size_t, json::error_code&) {
    const std::string_view text = whole(rest);
    if (ignored_depth_ == 0 && slot_ != nullptr) {
      if (in_list_) {
        slot_->list.push_back(text);
      } else {
        slot_->shape = Shape::string;
        slot_->text.assign(text);
      }
    }
    scratch_.clear();
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, json::error_code&) { return take(Shape::number); }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code&) {
    return take(Shape::number);
  }
  bool on_double(double, json::string_view, json::error_code&) { return take(Shape::number); }
  bool on_bool(bool yes, json::error_code&) { return take(yes ? Shape::yes : Shape::no); }
  bool on_null(json::error_code&) { return take(Shape::null); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  enum class Place : std::uint8_t { document, root, calls_access };

  bool is_at_calls_access() const {
    return place_ == Place::root && !in_list_ && slot_ == &members_[Member::calls_access];
  }

  // The whole text of which the last part just came.
  std::string_view whole(json::string_view rest) {
    if (scratch_.empty()) return {rest.data(), rest.size()};
    scratch_.append(rest.data(), rest.size());
    return scratch_;
  }

  void find_slot(std::string_view name) {
    const auto member = find_member(name, place_ == Place::calls_access);
    slot_ = member ? &members_[*member] : nullptr;
    if (slot_ == nullptr) return;
    // The name alone counts: a null and a value are two as well.
    if (slot_->shape != Shape::absent) slot_->is_twice = true;
  }

  // A value that is not a string: of the member just named, or one of its list.
  bool take(Shape shape) {
    if (ignored_depth_ > 0 || slot_ == nullptr) return true;
    if (in_list_) {
      slot_->list.push_back({});
    } else {
      slot_->shape = shape;
    }
    return true;
  }

  Members members_;
  Place place_ = Place::document;
  bool in_list_ = false;           // in the list of slot_
  bool is_object_ = false;         // the line is
  Slot* slot_ = nullptr;           // of the member just named; null where it is not known
  std::size_t ignored_depth_ = 0;  // of what is passed over
  std::string scratch_;            // parts of a text that came before its end
};

std::string describe(const json::error_code& error, std::size_t offset) {
  return "not JSON: " + error.message() + " at byte " + std::to_string(offset + 1);
}

}  // namespace

std::string_view name_of(Member member) { return kNames[static_cast<std::size_t>(member)]; }

std::string path_of(Member member) {
  const std::string name(name_of(member));
  return is_of_calls_access(member) ? "callsAccess." + name : name;
}

struct LineParser::State {
  json::basic_parser<Handler> parser;

  static json::parse_options options() {
    json::parse_options made;
    made.max_depth = kNestingMax;
    return made;
  }
  State() : parser(options()) {}
};

LineParser::LineParser() : state_(std::make_unique<State>()) {}
LineParser::~LineParser() = default;

Result<const Members*> LineParser::parse(std::string_view line) {
  auto& parser = state_->parser;
  parser.reset();
  parser.handler().start();
  json::error_code error;
  const std::size_t used = parser.write_some(false, line.data(), line.size(), error);
  // The library calls these bytes a syntax error, which helps nobody to find them.
  if (error && !is_valid_utf8(line)) return invalid_argument("not UTF-8");
  if (error) return invalid_argument(describe(error, used));
  if (used < line.size()) {
    return invalid_argument("not JSON: more after the object at byte " + std::to_string(used + 1));
  }
  if (!parser.handler().is_object()) return invalid_argument("not a JSON object");
  return &parser.handler().members();
}

}  // namespace earshot::records
