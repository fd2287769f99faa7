// One line of records as the members it has, before their kind says what they mean. Not for users
// of records.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace earshot::records {

// Every member that some kind of record reads. Those of callsAccess come last.
enum class Member : std::uint8_t {
  kind,
  company_id,
  remove,
  name,
  access_key,
  secret,
  secret_hash,
  scopes,
  expires_at,
  workspace_id,
  profile_id,
  calls_access,
  user_id,
  email_address,
  first_name,
  last_name,
  manager_id,
  active,
  profile_ids,
  call_id,
  title,
  started,
  primary_user_id,
  party_user_ids,
  is_private,
  note,
  permission_level,
  team_lead_ids,
};
inline constexpr std::size_t kMemberCount = static_cast<std::size_t>(Member::team_lead_ids) + 1;

// The name in JSON; of a member of callsAccess too, without the path.
std::string_view name_of(Member member);

// The name as messages give it, with the path.
std::string path_of(Member member);

enum class Shape : std::uint8_t { absent, null, no, yes, string, list, object, number };

// A list's elements, as texts one after the other: kept from line to line without allocating anew.
// An element that is not a string stands as an empty text, which no list of records takes.
class TextList {
 public:
  void clear() {
    bytes_.clear();
    ends_.clear();
  }
  void push_back(std::string_view text) {
    bytes_ += text;
    ends_.push_back(bytes_.size());
  }
  std::size_t size() const { return ends_.size(); }
  std::string_view operator[](std::size_t index) const {
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(bytes_).substr(begin, ends_[index] - begin);
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

struct Slot {
  Shape shape = Shape::absent;
  bool is_twice = false;
  std::string text;  // of a string
  TextList list;     // of a list
};

class Members {
 public:
  Slot& operator[](Member member) { return slots_[static_cast<std::size_t>(member)]; }
  const Slot& operator[](Member member) const { return slots_[static_cast<std::size_t>(member)]; }
  void clear() {
    for (Slot& slot : slots_) {
      slot.shape = Shape::absent;
      slot.is_twice = false;
    }
  }

 private:
  std::array<Slot, kMemberCount> slots_;
};

}  // namespace earshot::records
