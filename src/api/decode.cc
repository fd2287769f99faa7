#include "api/decode.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <cstring>
#include <utility>

#include "api/quick_scan.h"

namespace earshot::api {
namespace {

namespace json = boost::json;

// What a value means by the place where it stands. The names of members come from `member_name`.
enum class Slot : std::uint8_t {
  root,
  call_access_list,
  item,
  item_call_id,
  item_user_ids,
  item_user_id,
  filter,
  filter_call_ids,
  filter_call_id,
  ignored,
};

// Collects a text that may come in parts, as far as it can matter: whatever is longer than any text
// of ours is only known to be too long.
class ShortText {
 public:
  static constexpr std::size_t kSizeMax = 24;

  void clear() { size_ = 0; }
  void append(std::string_view part) {
    const std::size_t room = kSizeMax - std::min(size_, kSizeMax);
    std::memcpy(bytes_.data() + std::min(size_, kSizeMax), part.data(),
                std::min(room, part.size()));
    size_ += part.size();
  }
  bool empty() const { return size_ == 0; }
  std::string_view view() const { return {bytes_.data(), std::min(size_, kSizeMax)}; }

 private:
  std::array<char, kSizeMax> bytes_{};
  std::size_t size_ = 0;
};

constexpr std::string_view kNotJson = "is not valid JSON from here on";
constexpr std::string_view kBytesAfterEnd = "body: bytes after the end of the JSON value";

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
    items_ = {};
    call_ids_ = {};
    shape_ = shape;
    limits_ = limits;
    slot_ = inside_ = Slot::root;
    ignored_depth_ = 0;
    seen_ = {};
    text_.clear();
    ids_ = 0;
    item_index_ = id_index_ = 0;
    too_many_ = false;
    fault_.clear();
  }

  // Whether the text is a whole body as nearly all are. Where it is not, nothing of it is kept.
  bool scan(std::string_view text) {
    constexpr std::size_t nesting = 4;  // of the deeper of the two shapes
    if (limits_.nesting_max < nesting) return false;
    const bool is_taken = shape_ == Shape::filter
                              ? scan_filter(text, limits_.ids_max, call_ids_)
                              : scan_call_access_list(text, limits_.ids_max, items_);
    if (!is_taken) {
      call_ids_.clear();
      items_.clear();
    }
    return is_taken;
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code& ec) {
    switch (slot_) {
      case Slot::ignored:
        ++ignored_depth_;
        return true;
      case Slot::root:
      case Slot::filter:
        inside_ = slot_;
        return true;
      case Slot::item:
        inside_ = Slot::item;
        seen_.call_id = seen_.user_ids = false;
        users_.clear();
        call_ = {};
        return true;
      default:
        return wrong_type(ec);
    }
  }

  bool on_object_end(std::size_t, json::error_code& ec) {
    if (ignored_depth_ > 0) {
      --ignored_depth_;
      return true;
    }
    switch (inside_) {
      case Slot::item:
        return end_item(ec);
      case Slot::filter:
        slot_ = Slot::filter;  // for the place of what is missing
        if (!seen_.call_ids) return missing("callIds", ec);
        inside_ = Slot::root;
        return true;
      default:
        slot_ = Slot::root;
        if (shape_ == Shape::filter) return seen_.filter || missing("filter", ec);
        return seen_.call_access_list || missing("callAccessList", ec);
    }
  }

  bool on_array_begin(json::error_code& ec) {
    switch (slot_) {
      case Slot::ignored:
        ++ignored_depth_;
        return true;
      case Slot::call_access_list:
        slot_ = Slot::item;
        item_index_ = 0;
        return true;
      case Slot::item_user_ids:
        slot_ = Slot::item_user_id;
        id_index_ = 0;
        return true;
      case Slot::filter_call_ids:
        slot_ = Slot::filter_call_id;
        id_index_ = 0;
        return true;
      default:
        return wrong_type(ec);
    }
  }

  bool on_array_end(std::size_t size, json::error_code& ec) {
    if (ignored_depth_ > 0) {
      --ignored_depth_;
      return true;
    }
    if (slot_ == Slot::filter_call_id && size == 0) {
      slot_ = Slot::filter_call_ids;
      return fail("must name at least one call", ec);
    }
    slot_ = Slot::ignored;  // until the next key
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
    if (slot_ != Slot::ignored) text_.append({part.data(), part.size()});
    return true;
  }

  bool on_string(json::string_view part, std::size_t, json::error_code& ec) {
    if (slot_ == Slot::ignored) return true;
    if (text_.empty()) return take_string({part.data(), part.size()}, ec);
    text_.append({part.data(), part.size()});
    const bool ok = take_string(text_.view(), ec);
    text_.clear();
    return ok;
  }

  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, json::error_code& ec) { return take_other(ec); }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code& ec) { return take_other(ec); }
  bool on_double(double, json::string_view, json::error_code& ec) { return take_other(ec); }
  bool on_bool(bool, json::error_code& ec) { return take_other(ec); }
  bool on_null(json::error_code& ec) { return take_other(ec); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  // The first fault, or empty.
  const std::string& fault() const { return fault_; }
  bool too_many() const { return too_many_; }
  const DecodeLimits& limits() const { return limits_; }

  std::vector<core::CallUsers> take_items() { return std::exchange(items_, {}); }
  std::vector<CallId> take_call_ids() { return std::exchange(call_ids_, {}); }

  // The place where the parse stands: "body", "filter.callIds[2]", "callAccessList[3].userIds".
  std::string place() const {
    std::string item = "callAccessList[" + std::to_string(item_index_) + "]";
    const std::string id = "[" + std::to_string(id_index_) + "]";
    switch (slot_) {
      case Slot::call_access_list:
        return "callAccessList";
      case Slot::item:
        return item;
      case Slot::item_call_id:
        return item + ".callId";
      case Slot::item_user_ids:
        return item + ".userIds";
      case Slot::item_user_id:
        return item + ".userIds" + id;
      case Slot::filter:
        return "filter";
      case Slot::filter_call_ids:
        return "filter.callIds";
      case Slot::filter_call_id:
        return "filter.callIds" + id;
      case Slot::root:
        return "body";
      case Slot::ignored:
        break;
    }
    // Within or after a member that is ignored: the object that it belongs to.
    return inside_ == Slot::item ? item : inside_ == Slot::filter ? "filter" : "body";
  }

 private:
  // Which members were there already, of the root, of the filter and of the item being read.
  struct Seen {
    bool call_access_list = false;
    bool filter = false;
    bool call_ids = false;
    bool call_id = false;
    bool user_ids = false;
  };

  bool fail(std::string_view what, json::error_code& ec) {
    fault_ = place();
    fault_ += ": ";
    fault_ += what;
    ec = json::error::syntax;  // any error will do: it only stops the parser
    return false;
  }

  bool missing(std::string_view member, json::error_code& ec) {
    const std::string where = place();
    fault_ = where == "body" ? std::string(member) : where + "." + std::string(member);
    fault_ += ": is required";
    ec = json::error::syntax;
    return false;
  }

  bool wrong_type(json::error_code& ec) {
    switch (slot_) {
      case Slot::call_access_list:
      case Slot::item_user_ids:
      case Slot::filter_call_ids:
        return fail("must be an array", ec);
      case Slot::item_call_id:
      case Slot::item_user_id:
      case Slot::filter_call_id:
        return fail("must be a string of 1–19 digits", ec);
      default:
        return fail("must be an object", ec);
    }
  }

  bool take_other(json::error_code& ec) { return slot_ == Slot::ignored || wrong_type(ec); }

  bool begin_member(std::string_view name, json::error_code& ec) {
    slot_ = Slot::ignored;
    bool* seen = nullptr;
    switch (inside_) {
      case Slot::item:
        if (name == "callId") {
          slot_ = Slot::item_call_id;
          seen = &seen_.call_id;
        } else if (name == "userIds") {
          slot_ = Slot::item_user_ids;
          seen = &seen_.user_ids;
        }
        break;
      case Slot::filter:
        if (name == "callIds") {
          slot_ = Slot::filter_call_ids;
          seen = &seen_.call_ids;
        }
        break;
      default:
        if (shape_ == Shape::filter && name == "filter") {
          slot_ = Slot::filter;
          seen = &seen_.filter;
        } else if (shape_ == Shape::call_access_list && name == "callAccessList") {
          slot_ = Slot::call_access_list;
          seen = &seen_.call_access_list;
        }
    }
    if (seen == nullptr) return true;
    if (std::exchange(*seen, true)) return fail("is given twice", ec);
    return true;
  }

  bool take_string(std::string_view text, json::error_code& ec) {
    switch (slot_) {
      case Slot::item_call_id:
      case Slot::item_user_id:
      case Slot::filter_call_id:
        break;
      default:
        return wrong_type(ec);
    }
    const auto number = parse_id_number(text);
    if (!number) return bad_id(text, ec);
    ++id_index_;
    if (++ids_ > limits_.ids_max) return drop_ids();
    if (slot_ == Slot::item_call_id) {
      call_ = CallId{*number};
    } else if (slot_ == Slot::item_user_id) {
      users_.push_back(UserId{*number});
    } else {
      call_ids_.push_back(CallId{*number});
    }
    return true;
  }

  bool bad_id(std::string_view text, json::error_code& ec) {
    const bool digits = !text.empty() && text.size() <= kIdDigitsMax &&
                        text.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits) return wrong_type(ec);
    return fail("must be a number from 1 to 9223372036854775807 without leading zeros", ec);
  }

  bool drop_ids() {
    too_many_ = true;
    items_ = {};
    call_ids_ = {};
    users_.clear();
    return true;
  }

  bool end_item(json::error_code& ec) {
    slot_ = Slot::item;
    if (!seen_.call_id) return missing("callId", ec);
    if (!seen_.user_ids) return missing("userIds", ec);
    // Exactly as large as it must be: it may live long in the queue of the store.
    if (!too_many_) items_.push_back({call_, {users_.begin(), users_.end()}});
    ++item_index_;
    inside_ = Slot::root;
    return true;
  }

  Shape shape_ = Shape::filter;
  DecodeLimits limits_;
  Slot slot_ = Slot::root;    // of the value that comes next
  Slot inside_ = Slot::root;  // the object of ours that is open: root, item or filter
  std::size_t ignored_depth_ = 0;
  Seen seen_;
  ShortText text_;
  CallId call_;                // of the open item
  std::vector<UserId> users_;  // of the open item
  std::vector<core::CallUsers> items_;
  std::vector<CallId> call_ids_;
  std::size_t ids_ = 0;
  std::size_t item_index_ = 0;
  std::size_t id_index_ = 0;
  bool too_many_ = false;
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
    if (handler.too_many()) {
      return DecodeError{
          DecodeError::Kind::too_many_ids,
          "at most " + std::to_string(handler.limits().ids_max) + " ids in one request"};
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
    const std::string place = parser_.handler().place();
    if (ec == json::error::too_deep) {
      return place + ": nests deeper than " + std::to_string(nesting_max()) + " levels";
    }
    if (ec == json::error::incomplete) return place + ": the JSON text ends too early";
    return place + ": " + std::string(kNotJson);
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

}  // namespace earshot::api
