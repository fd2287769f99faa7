#include "random_records.h"

#include <cstdlib>
#include <variant>

namespace earshot::test {

std::uint64_t test_seed() {
  if (const char* const text = std::getenv("EARSHOT_SEED")) {
    return std::strtoull(text, nullptr, 10);
  }
  return std::random_device{}() % 1'000'000'000;
}

RandomRecords::RandomRecords(std::uint64_t seed) : RandomRecords(seed, Spaces{}) {}

RandomRecords::RandomRecords(std::uint64_t seed, const Spaces& spaces)
    : random_(seed), spaces_(spaces) {}

core::Record RandomRecords::next() {
  core::Record record;
  record.company = id<CompanyId>(spaces_.companies);
  record.remove = percent(spaces_.remove_percent);
  record.thing = thing(record.company);
  // A company goes rarely, since everything goes with it.
  if (std::holds_alternative<core::Company>(record.thing)) record.remove &= percent(20);
  return record;
}

std::uint64_t RandomRecords::below(std::uint64_t count) { return random_() % count; }

std::string RandomRecords::text() {
  static const std::vector<std::string> pieces = {"a",
                                                  "Zo\xC3\xAB",
                                                  " ",
                                                  "\"",
                                                  "\\",
                                                  "\n",
                                                  "\x01",
                                                  "/",
                                                  "{",
                                                  "\xF0\x9F\x91\x82",
                                                  "\xE2\x80\xA8",
                                                  "\x7F",
                                                  "0",
                                                  "null"};
  std::string made;
  for (std::uint64_t n = below(3) * below(4); n > 0; --n) made += pieces[below(pieces.size())];
  return made;
}

template <class IdType>
std::vector<IdType> RandomRecords::ids(std::uint64_t space, std::uint64_t count_max) {
  std::vector<IdType> made(below(count_max + 1));
  for (auto& one : made) one = id<IdType>(space);
  return made;
}

decltype(core::Record::thing) RandomRecords::thing(CompanyId company) {
  switch (below(20)) {
    case 0:
      return core::Company{company, text()};
    case 1:
      return key_line();
    case 2:
      return core::Workspace{id<WorkspaceId>(spaces_.workspaces), text()};
    case 3:
    case 4:
      return profile();
    case 5:
    case 6:
    case 7:
    case 8:
      return user();
    case 9:
    case 10:
    case 11:
      return call();
    case 12:
    case 13:
    case 14:
      return core::ShareLine{call_id(), user_id()};
    default:
      return core::GrantLine{call_id(), user_id(), grant()};
  }
}

core::KeyLine RandomRecords::key_line() {
  core::KeyLine line;
  line.key.access_key = "KEY" + std::to_string(below(spaces_.keys));
  static const char* const scopes[] = {"api:call-user-access:read", "api:call-user-access:write",
                                       "earshot:audit:read"};
  for (const char* scope : scopes) {
    if (percent(50)) line.key.scopes.emplace_back(scope);
  }
  if (percent(30)) line.key.expires_at = moment();
  if (percent(70)) {
    line.secret_text = "secret-" + std::to_string(below(3));
    line.key.secret = hash_secret(*line.secret_text);
  } else {
    line.key.secret.salt[0] = static_cast<std::uint8_t>(below(256));
    line.key.secret.digest[31] = static_cast<std::uint8_t>(below(256));
  }
  return line;
}

core::Profile RandomRecords::profile() {
  core::Profile made;
  made.id = id<ProfileId>(spaces_.profiles);
  made.workspace = id<WorkspaceId>(spaces_.workspaces);
  made.name = text();
  made.level = static_cast<core::PermissionLevel>(below(5));
  if (percent(40)) made.team_leads = ids<UserId>(spaces_.users, 3);
  return made;
}

core::User RandomRecords::user() {
  core::User made;
  made.id = user_id();
  made.email_address = text();
  made.first_name = text();
  made.last_name = text();
  if (percent(80)) made.manager = user_id();
  made.active = !percent(20);
  made.profiles = ids<ProfileId>(spaces_.profiles, 3);
  return made;
}

core::Call RandomRecords::call() {
  core::Call made;
  made.id = call_id();
  if (percent(90)) made.workspace = id<WorkspaceId>(spaces_.workspaces);
  made.title = text();
  if (percent(50)) made.started = "2026-03-01T10:00:00Z";
  if (percent(70)) made.primary_user = user_id();
  made.parties = ids<UserId>(spaces_.users, 2);
  made.is_private = percent(20);
  return made;
}

core::Grant RandomRecords::grant() {
  core::Grant made;
  if (percent(40)) made.expires_at = moment();
  if (percent(40)) made.note = text();
  return made;
}

Time RandomRecords::moment() {
  return Time{1'772'359'200'000'000 + static_cast<std::int64_t>(below(2000)) - 1000};
}

}  // namespace earshot::test
