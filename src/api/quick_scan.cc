#include "api/quick_scan.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace earshot::api {
namespace {

// Walks over a text, from token to token; white space before each is passed over.
class Scanner {
 public:
  Scanner(std::string_view text, std::size_t ids_max)
      : at_(text.data()), end_(text.data() + text.size()), ids_left_(ids_max) {}

  bool take(char token) {
    skip_space();
    if (at_ == end_ || *at_ != token) return false;
    ++at_;
    return true;
  }

  // A member's name with its quotes, and the colon behind it.
  bool take_name(std::string_view quoted) {
    skip_space();
    if (!std::string_view(at_, end_).starts_with(quoted)) return false;
    at_ += quoted.size();
    return take(':');
  }

  template <class IdType>
  bool take_id(IdType& id) {
    if (ids_left_ == 0 || !take('"')) return false;
    const std::size_t room = std::min<std::size_t>(end_ - at_, kIdDigitsMax + 1);
    const void* const quote = std::memchr(at_, '"', room);
    if (quote == nullptr) return false;
    const auto size = static_cast<std::size_t>(static_cast<const char*>(quote) - at_);
    const auto number = parse_id_number({at_, size});
    if (!number) return false;
    at_ += size + 1;
    --ids_left_;
    id = IdType{*number};
    return true;
  }

  bool take_end() {
    skip_space();
    return at_ == end_;
  }

 private:
  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\r' || *at_ == '\n')) ++at_;
  }

  const char* at_;
  const char* const end_;
  std::size_t ids_left_;
};

bool take_item(Scanner& scanner, core::CallUsers& item, std::vector<UserId>& users) {
  if (!scanner.take('{') || !scanner.take_name(R"("callId")") || !scanner.take_id(item.call)) {
    return false;
  }
  if (!scanner.take(',') || !scanner.take_name(R"("userIds")") || !scanner.take('[')) return false;
  users.clear();
  if (!scanner.take(']')) {
    do {
      UserId user;
      if (!scanner.take_id(user)) return false;
      users.push_back(user);
    } while (scanner.take(','));
    if (!scanner.take(']')) return false;
  }
  item.users.assign(users.begin(), users.end());
  return scanner.take('}');
}

}  // namespace

bool scan_filter(std::string_view text, std::size_t ids_max, std::vector<CallId>& ids) {
  Scanner scanner(text, ids_max);
  if (!scanner.take('{') || !scanner.take_name(R"("filter")")) return false;
  if (!scanner.take('{') || !scanner.take_name(R"("callIds")") || !scanner.take('[')) return false;
  do {
    CallId id;
    if (!scanner.take_id(id)) return false;
    ids.push_back(id);
  } while (scanner.take(','));
  return scanner.take(']') && scanner.take('}') && scanner.take('}') && scanner.take_end();
}

bool scan_call_access_list(std::string_view text, std::size_t ids_max,
                           std::vector<core::CallUsers>& items) {
  Scanner scanner(text, ids_max);
  if (!scanner.take('{') || !scanner.take_name(R"("callAccessList")") || !scanner.take('[')) {
    return false;
  }
  std::vector<UserId> users;  // of one item; each item's own are exactly as large as they must be
  if (!scanner.take(']')) {
    do {
      core::CallUsers item;
      if (!take_item(scanner, item, users)) return false;
      items.push_back(std::move(item));
    } while (scanner.take(','));
    if (!scanner.take(']')) return false;
  }
  return scanner.take('}') && scanner.take_end();
}

bool scan_checks(std::string_view text, std::size_t checks_max,
                 std::vector<service::Pair>& checks) {
  Scanner scanner(text, 2 * checks_max);
  if (!scanner.take('{') || !scanner.take_name(R"("checks")") || !scanner.take('[')) return false;
  do {
    service::Pair pair;
    if (!scanner.take('{') || !scanner.take_name(R"("callId")") || !scanner.take_id(pair.call)) {
      return false;
    }
    if (!scanner.take(',') || !scanner.take_name(R"("userId")") || !scanner.take_id(pair.user)) {
      return false;
    }
    if (!scanner.take('}')) return false;
    checks.push_back(pair);
  } while (scanner.take(','));
  return scanner.take(']') && scanner.take('}') && scanner.take_end();
}

}  // namespace earshot::api
