#include "api/decode.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <utility>

#include "api/body_places.h"
#include "api/quick_scan.h"
#include "base/assert.h"
#include "base/time.h"
#include "core/access_key.h"
#include "records/limits.h"

namespace earshot::api {
namespace {

namespace json = boost::json;

constexpr std::string_view kNotJson = "is not valid JSON from here on";
// Digits of a fraction may be many; beyond these they are nobody's.
constexpr std::size_t kTimeCharsMax = 64;
constexpr std::string_view kBytesAfterEnd = "body: bytes after the end of the JSON value";

// Collects a text that may come in parts, as far as it can matter: of one longer than any text of
// ours the rest is only counted.
class PartedText {
 public:
  static constexpr std::size_t kSizeMax = records::kNoteBytesMax + 1;

  void clear() { bytes_.clear(); }
  void append(std::string_view part) {
    bytes_.append(part, 0, std::min(kSizeMax - bytes_.size(), part.size()));
  }
  bool empty() const { return bytes_.empty(); }
  std::string_view view() const { return bytes_; }

 private:
  std::string bytes_;
};

// Receives the events of the JSON parser. It returns false at the first fault, which ends the
// parse: nothing that follows could weigh more.
class Handler {
 public:
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);

  // Keeps the memory of short requests for the next one, and gives back that of long ones.
  void reset(Shape shape, DecodeLimits limits) {
    constexpr std::size_t kept_max = 4096;
    if (users_.capacity() > kept_max) users_ = {};
    users_.clear();
    drop();
    shape_ = shape;
    limits_ = limits;
    place_ = inside_ = Place::root;
    ignored_depth_ = 0;
    seen_ = 0;
    text_.clear();
    ids_ = 0;
    too_many_.clear();
    fault_.clear();
  }

  // Whether the text is a whole body as nearly all are. Where it is not, nothing of it is kept.
  bool scan(std::string_view text) {
    constexpr std::size_t nesting = 4;  // of the deepest shape
    if (limits_.nesting_max < nesting) return false;
    const auto take = [&] {
      switch (shape_) {
        case Shape::filter:
          return scan_filter(text, limits_.ids_max, call_ids_);
        case Shape::call_access_list:
          return scan_call_access_list(text, limits_.ids_max, items_);
        case Shape::checks:
          return scan_checks(text, std::min(limits_.checks_max, limits_.ids_max / 2), checks_);
        default:
          return false;  // they have members that come and go, and texts
      }
    };
    const bool is_taken = take();
    if (!is_taken) drop();
    return is_taken;
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code& ec) {
    if (place_ == Place::ignored) {
      ++ignored_depth_;
      return true;
    }
    if (rule_of(place_).type != Type::object) return wrong_type(ec);
    inside_ = place_;
    seen_ &= ~members_of(inside_);
    if (inside_ == Place::item) users_.clear();
    call_ = {};
    user_ = {};
    grant_ = {};
    return true;
  }

  bool on_object_end(std::size_t, json::error_code& ec) {
    if (ignored_depth_ > 0) {
      --ignored_depth_;
      return true;
    }
    place_ = inside_;
    for (std::size_t i = 0; i < kPlaces; ++i) {
      const Rule& rule = kRules[i];
      if (rule.parent != inside_ || !rule.is_required || !is_of(rule, shape_)) continue;
      if (!has_seen(static_cast<Place>(i))) return missing(rule.name, ec);
    }
    if (!end_object(ec)) return false;
    if (inside_ != Place::root) inside_ = object_around(inside_);
    if (is_element(place_)) ++index_of(place_);
    return true;
  }

  bool on_array_begin(json::error_code& ec) {
    if (place_ == Place::ignored) {
      ++ignored_depth_;
      return true;
    }
    if (rule_of(place_).type != Type::array) return wrong_type(ec);
    place_ = element_of(place_);
    index_of(place_) = 0;
    return true;
  }

  bool on_array_end(std::size_t size, json::error_code& ec) {
    if (ignored_depth_ > 0) {
      --ignored_depth_;
      return true;
    }
    const Place array = rule_of(place_).parent;
    if (size == 0 && array == Place::scopes) {
      place_ = array;
      return fail("must name at least one scope", ec);
    }
    if (size == 0 && (array == Place::filter_call_ids || array == Place::checks)) {
      place_ = array;
      return fail(
          array == Place::checks ? "must name at least one pair" : "must name at least one call",
          ec);
    }
    place_ = Place::ignored;  // until the next key
    return true;
  }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    if (ignored_depth_ == 0) text_.append({part.data(), part.size()});
    return true;
  }

  bool on_key(json::string_view part, std::size_t, json::error_code& ec) {
    if (ignored_depth_ > 0) return true;
    if (text_.empty()) return begin_member({part.data(), part.size()}, ec);
    text_.append({part.data(), part.size()});
    const bool ok = begin_member(text_.view(), ec);
    text_.clear();
    return ok;
  }

  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    if (place_ != Place::ignored) text_.append({part.data(), part.size()});
    return true;
  }

  bool on_string(json::string_view part, std::size_t, json::error_code& ec) {
    if (place_ == Place::ignored) return true;
    if (text_.empty()) return take_string({part.data(), part.size()}, ec);
    text_.append({part.data(), part.size()});
    const bool ok = take_string(text_.view(), ec);
    text_.clear();
    return ok;
  }

  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t number, json::string_view, json::error_code& ec) {
    if (place_ == Place::overlap_seconds && number >= 0 &&
        number <= service::kKeyOverlapMax.count()) {
      key_.to_make.overlap = std::chrono::seconds(number);
      return true;
    }
    if (place_ != Place::if_revision || number < 0) return take_other(ec);
    if_revision_ = static_cast<core::Revision>(number);
    return true;
  }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code& ec) { return take_other(ec); }
  bool on_double(double, json::string_view, json::error_code& ec) { return take_other(ec); }
  bool on_bool(bool yes, json::error_code& ec) {
    if (place_ != Place::dry_run) return take_other(ec);
    is_dry_run_ = yes;
    return true;
  }
  bool on_null(json::error_code& ec) { return take_other(ec); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  // The first fault, or empty.
  const std::string& fault() const { return fault_; }
  // Which limit was passed, or empty.
  const std::string& too_many() const { return too_many_; }

  std::vector<core::CallUsers> take_items() { return std::exchange(items_, {}); }
  std::vector<CallId> take_call_ids() { return std::exchange(call_ids_, {}); }
  std::vector<service::Pair> take_checks() { return std::exchange(checks_, {}); }
  GrantsBody take_grants() {
    return {std::exchange(grants_, {}), all_of_, is_dry_run_, if_revision_};
  }
  KeyBody take_key() { return std::exchange(key_, {}); }

  // Where the parse stands: "body", "filter.callIds[2]", "callAccessList[3].userIds".
  std::string position() const {
    // Within or after a member that is ignored: the object that it belongs to.
    return position_of(place_ == Place::ignored ? inside_ : place_);
  }

 private:
  std::size_t& index_of(Place element) { return indices_[static_cast<std::size_t>(element)]; }
  bool has_seen(Place place) const { return (seen_ & bit_of(place)) != 0; }

  std::string position_of(Place place) const {
    if (place == Place::root) return "body";
    const Rule& rule = rule_of(place);
    if (is_element(place)) {
      return position_of(rule.parent) + "[" +
             std::to_string(indices_[static_cast<std::size_t>(place)]) + "]";
    }
    const std::string name(rule.name);
    return rule.parent == Place::root ? name : position_of(rule.parent) + "." + name;
  }

  bool fail(std::string_view what, json::error_code& ec) {
    fault_ = position();
    fault_ += ": ";
    fault_ += what;
    ec = json::error::syntax;  // any error will do: it only stops the parser
    return false;
  }

  bool missing(std::string_view member, json::error_code& ec) {
    fault_ = place_ == Place::root ? "" : position() + ".";
    fault_ += member;
    fault_ += ": is required";
    ec = json::error::syntax;
    return false;
  }

  bool wrong_type(json::error_code& ec) {
    if (place_ == Place::overlap_seconds) {
      return fail("must be a number from 0 to " + std::to_string(service::kKeyOverlapMax.count()),
                  ec);
    }
    return fail(demand_of(rule_of(place_).type), ec);
  }
  bool take_other(json::error_code& ec) { return place_ == Place::ignored || wrong_type(ec); }

  bool begin_member(std::string_view name, json::error_code& ec) {
    place_ = find_member(inside_, name, shape_);
    if (place_ == Place::ignored) return true;
    if (has_seen(place_)) return fail("is given twice", ec);
    seen_ |= bit_of(place_);
    return true;
  }

  bool take_string(std::string_view text, json::error_code& ec) {
    switch (rule_of(place_).type) {
      case Type::id:
        return take_id(text, ec);
      case Type::time:
        return take_time(text, ec);
      case Type::text:
        return place_ == Place::grant_note ? take_note(text, ec) : take_of_key(text, ec);
      default:
        return wrong_type(ec);
    }
  }

  bool take_time(std::string_view text, json::error_code& ec) {
    const auto time = text.size() > kTimeCharsMax ? std::nullopt : parse_time(text);
    (place_ == Place::key_expires_at ? key_.to_make.expires_at : grant_.expires_at) = time;
    return time.has_value() || wrong_type(ec);
  }

  bool take_of_key(std::string_view text, json::error_code& ec) {
    const bool is_scope = place_ == Place::scope;
    const std::size_t chars_max = is_scope ? records::kScopeCharsMax : core::kAccessKeyCharsMax;
    if (text.empty() || text.size() > chars_max) {
      return fail("must have 1 to " + std::to_string(chars_max) + " characters", ec);
    }
    if (!is_scope) {
      (place_ == Place::replaces ? key_.to_make.replaces : key_.to_revoke) = text;
      return true;
    }
    std::vector<std::string>& scopes = key_.to_make.scopes;
    if (std::ranges::find(scopes, text) != scopes.end()) return fail("is given twice", ec);
    if (scopes.size() == records::kScopesMax) {
      return fail("is one more than the " + std::to_string(records::kScopesMax) + " that may be",
                  ec);
    }
    scopes.emplace_back(text);
    ++index_of(place_);
    return true;
  }

  bool take_note(std::string_view text, json::error_code& ec) {
    if (text.size() > records::kNoteBytesMax) {
      return fail("must be at most " + std::to_string(records::kNoteBytesMax) + " bytes long", ec);
    }
    if (text.find('\0') != std::string_view::npos) return fail("must not contain NUL", ec);
    grant_.note = text;
    return true;
  }

  bool take_id(std::string_view text, json::error_code& ec) {
    const auto number = parse_id_number(text);
    if (!number) return bad_id(text, ec);
    if (++ids_ > limits_.ids_max) pass_limit(limits_.ids_max, "ids");
    switch (place_) {
      case Place::item_user_id:
        if (too_many_.empty()) users_.push_back(UserId{*number});
        break;
      case Place::filter_call_id:
        if (too_many_.empty()) call_ids_.push_back(CallId{*number});
        break;
      case Place::item_call_id:
      case Place::check_call_id:
      case Place::grant_call_id:
      case Place::all_of_call_id:
        call_ = CallId{*number};
        break;
      default:
        user_ = UserId{*number};
    }
    if (is_element(place_)) ++index_of(place_);
    return true;
  }

  bool bad_id(std::string_view text, json::error_code& ec) {
    const bool digits = !text.empty() && text.size() <= kIdDigitsMax &&
                        text.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits) return wrong_type(ec);
    return fail("must be a number from 1 to 9223372036854775807 without leading zeros", ec);
  }

  // What was read is of no use any more.
  void drop() {
    items_ = {};
    call_ids_ = {};
    checks_ = {};
    grants_ = {};
    all_of_ = {};
    is_dry_run_ = false;
    if_revision_.reset();
    key_ = {};
  }

  void pass_limit(std::size_t limit, std::string_view what) {
    if (!too_many_.empty()) return;
    too_many_ = "at most " + std::to_string(limit) + " " + std::string(what) + " in one request";
    drop();
    users_.clear();
  }

  // The object at place_ is complete: keeps what it says.
  bool end_object(json::error_code& ec) {
    switch (place_) {
      case Place::item:
        // Exactly as large as it must be: it may live long in the queue of the store.
        if (too_many_.empty()) items_.push_back({call_, {users_.begin(), users_.end()}});
        return true;
      case Place::check:
        if (index_of(place_) >= limits_.checks_max) pass_limit(limits_.checks_max, "checks");
        if (too_many_.empty()) checks_.push_back({call_, user_});
        return true;
      case Place::grant:
        if (too_many_.empty()) grants_.push_back({call_, user_, std::move(grant_)});
        return true;
      case Place::all_of:
        if (has_seen(Place::all_of_call_id) == has_seen(Place::all_of_user_id)) {
          return fail("must have either a callId or a userId", ec);
        }
        if (has_seen(Place::all_of_call_id)) {
          all_of_ = call_;
        } else {
          all_of_ = user_;
        }
        return true;
      case Place::root:
        return end_root(ec);
      default:
        return true;
    }
  }

  bool end_root(json::error_code& ec) {
    const bool has_grants = has_seen(Place::grants);
    if (shape_ == Shape::grants_to_give && !has_grants) return missing("grants", ec);
    if (shape_ == Shape::grants_to_remove && has_grants == has_seen(Place::all_of)) {
      return fail("must have either grants or allOf", ec);
    }
    if (shape_ == Shape::key_to_make) {
      const bool is_replacing = has_seen(Place::replaces);
      if (has_seen(Place::scopes) == is_replacing) {
        return fail("must have either scopes or replaces", ec);
      }
      if (has_seen(Place::overlap_seconds) && !is_replacing) {
        return fail("has overlapSeconds without replaces", ec);
      }
    }
    return true;
  }

  Shape shape_ = Shape::filter;
  DecodeLimits limits_;
  Place place_ = Place::root;   // of the value that comes next
  Place inside_ = Place::root;  // the object of ours that is open
  std::size_t ignored_depth_ = 0;
  PlaceSet seen_ = 0;                           // members of the open objects
  std::array<std::size_t, kPlaces> indices_{};  // of elements, each in the array that is open
  PartedText text_;
  // Of the open object.
  CallId call_;
  UserId user_;
  core::Grant grant_;
  std::vector<UserId> users_;

  std::vector<core::CallUsers> items_;
  std::vector<CallId> call_ids_;
  std::vector<service::Pair> checks_;
  std::vector<service::PairTerms> grants_;
  std::variant<std::monostate, CallId, UserId> all_of_;
  bool is_dry_run_ = false;
  std::optional<core::Revision> if_revision_;
  KeyBody key_;
  std::size_t ids_ = 0;
  std::string too_many_;
  std::string fault_;
};

json::parse_options strict(std::size_t nesting_max) {
  json::parse_options options;
  options.max_depth = nesting_max;
  options.allow_comments = false;
  options.allow_trailing_commas = false;
  options.allow_invalid_utf8 = false;
  return options;
}

}  // namespace

class Decoder::Parser {
 public:
  explicit Parser(std::size_t nesting_max)
      : parser_(strict(nesting_max)), nesting_max_(nesting_max) {}

  void reset(Shape shape, DecodeLimits limits) {
    parser_.reset();
    parser_.handler().reset(shape, limits);
    empty_ = true;
    is_scanned_ = failed_ = false;
  }

  std::size_t nesting_max() const { return nesting_max_; }
  Handler& handler() { return parser_.handler(); }

  void take(std::string_view bytes) {
    if (empty_ && handler().scan(bytes)) {
      is_scanned_ = true;
    } else if (!is_scanned_) {
      write(true, bytes);
    } else if (bytes.find_first_not_of(" \t\r\n") != std::string_view::npos) {
      failed_ = true;
      detail_ = kBytesAfterEnd;
    }
    empty_ = false;
  }

  std::optional<DecodeError> finish() {
    if (empty_) return DecodeError{DecodeError::Kind::json, "body: is empty"};
    if (!is_scanned_) write(false, "");
    Handler& handler = parser_.handler();
    if (failed_) {
      return DecodeError{DecodeError::Kind::json,
                         handler.fault().empty() ? detail_ : handler.fault()};
    }
    if (!handler.too_many().empty()) {
      return DecodeError{DecodeError::Kind::too_many_ids, handler.too_many()};
    }
    return std::nullopt;
  }

 private:
  void write(bool more, std::string_view bytes) {
    if (failed_) return;
    json::error_code ec;
    const std::size_t used = parser_.write_some(more, bytes.data(), bytes.size(), ec);
    if (ec) {
      failed_ = true;
      if (parser_.handler().fault().empty()) detail_ = describe(ec);
    } else if (used < bytes.size()) {
      failed_ = true;
      detail_ = kBytesAfterEnd;
    }
  }

  std::string describe(const json::error_code& ec) const {
    const std::string position = parser_.handler().position();
    if (ec == json::error::too_deep) {
      return position + ": nests deeper than " + std::to_string(nesting_max()) + " levels";
    }
    if (ec == json::error::incomplete) return position + ": the JSON text ends too early";
    return position + ": " + std::string(kNotJson);
  }

  json::basic_parser<Handler> parser_;
  std::size_t nesting_max_;
  bool empty_ = true;        // no byte came
  bool is_scanned_ = false;  // the first piece was the whole body, and as usual
  bool failed_ = false;
  std::string detail_;  // of a failure that the parser found, not the handler
};

// One spare parser a thread: a request uses the memory that the last one left.
std::unique_ptr<Decoder::Parser>& Decoder::spare() {
  static thread_local std::unique_ptr<Parser> parser;
  return parser;
}

Decoder::Decoder(Shape shape, DecodeLimits limits) : parser_(std::move(spare())) {
  if (!parser_ || parser_->nesting_max() != limits.nesting_max) {
    parser_ = std::make_unique<Parser>(limits.nesting_max);
  }
  parser_->reset(shape, limits);
}

Decoder::~Decoder() { spare() = std::move(parser_); }

void Decoder::piece(std::string_view bytes) {
  if (!bytes.empty()) parser_->take(bytes);
}

std::optional<DecodeError> Decoder::finish() { return parser_->finish(); }

std::vector<core::CallUsers> Decoder::take_call_access_list() {
  return parser_->handler().take_items();
}

std::vector<CallId> Decoder::take_call_ids() { return parser_->handler().take_call_ids(); }

std::vector<service::Pair> Decoder::take_checks() { return parser_->handler().take_checks(); }

GrantsBody Decoder::take_grants() { return parser_->handler().take_grants(); }

KeyBody Decoder::take_key() { return parser_->handler().take_key(); }

}  // namespace earshot::api
