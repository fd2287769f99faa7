#include "store/pg_rows.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace earshot::store {
namespace {

constexpr std::array<std::string_view, 5> kLevels = {"none", "own", "report-to-them",
                                                     "managers-team", "all"};
static_assert(kLevels.size() == static_cast<std::size_t>(core::PermissionLevel::all) + 1);

std::optional<core::PermissionLevel> parse_level(std::string_view text) {
  const auto level = std::ranges::find(kLevels, text);
  if (level == kLevels.end()) return std::nullopt;
  return static_cast<core::PermissionLevel>(level - kLevels.begin());
}

template <class IdType>
std::vector<IdType> ids_of(const std::vector<std::uint64_t>& numbers) {
  std::vector<IdType> ids(numbers.size());
  std::ranges::transform(numbers, ids.begin(), [](std::uint64_t number) { return IdType{number}; });
  return ids;
}

template <class Tag>
std::string ids_text(const std::vector<Id<Tag>>& ids) {
  std::vector<std::uint64_t> numbers(ids.size());
  std::ranges::transform(ids, numbers.begin(), &Id<Tag>::value);
  return array_text(numbers);
}

// "{"a","b"}", as PostgreSQL reads it.
std::string texts_text(const std::vector<std::string>& texts) {
  std::string out = "{";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + '}';
}

// A column of many rows, as PgParams takes it.
template <class Thing, class Take>
auto column(std::span<const Thing> things, Take take) {
  std::vector<decltype(take(things[0]))> values;
  values.reserve(things.size());
  for (const Thing& thing : things) values.push_back(take(thing));
  return values;
}
template <class Thing, class Take>
std::vector<std::string> texts(std::span<const Thing> things, Take take) {
  return column(things, [&](const Thing& thing) { return std::string(take(thing)); });
}

using Texts = std::span<const std::string>;

PgParams start(CompanyId company, std::uint64_t revision) {
  PgParams params;
  params.add(company).add(revision);
  return params;
}

}  // namespace

core::Workspace read_workspace(const PgResult& result, int row) {
  return {.id = {result.number(row, 0)}, .name = std::string(result.text(row, 1))};
}

Result<core::Profile> read_profile(const PgResult& result, int row) {
  core::Profile profile;
  profile.id = {result.number(row, 0)};
  profile.workspace = {result.id(row, 1)};
  profile.name = result.text(row, 2);
  const auto level = parse_level(result.text(row, 3));
  if (!level) {
    return internal("profile " + to_string(profile.id) + " has a level that nobody knows");
  }
  profile.level = *level;
  profile.team_leads = ids_of<UserId>(result.numbers(row, 4));
  return profile;
}

core::User read_user(const PgResult& result, int row) {
  core::User user;
  user.id = {result.number(row, 0)};
  user.email_address = result.text(row, 1);
  user.first_name = result.text(row, 2);
  user.last_name = result.text(row, 3);
  user.manager = {result.id(row, 4)};
  user.active = result.boolean(row, 5);
  user.profiles = ids_of<ProfileId>(result.numbers(row, 6));
  return user;
}

core::Call read_call(const PgResult& result, int row) {
  core::Call call;
  call.id = {result.number(row, 0)};
  call.workspace = {result.id(row, 1)};
  call.title = result.text(row, 2);
  call.started = result.text(row, 3);
  call.primary_user = {result.id(row, 4)};
  call.parties = ids_of<UserId>(result.numbers(row, 5));
  call.is_private = result.boolean(row, 6);
  return call;
}

core::User read_member(const PgResult& result, int row, int column) {
  core::User user;
  user.id = {result.number(row, 0)};
  user.manager = {result.id(row, column)};
  user.active = result.boolean(row, column + 1);
  user.profiles = ids_of<ProfileId>(result.numbers(row, column + 2));
  return user;
}

core::Profile read_rule(const PgResult& result, int row, int column) {
  core::Profile profile;
  profile.id = {result.number(row, 0)};
  profile.workspace = {result.id(row, column)};
  // One that nobody knows gives nothing.
  profile.level = parse_level(result.text(row, column + 1)).value_or(core::PermissionLevel::none);
  profile.team_leads = ids_of<UserId>(result.numbers(row, column + 2));
  return profile;
}

core::Grant read_grant(const PgResult& result, int row, int column) {
  core::Grant grant;
  if (!result.is_null(row, column)) grant.expires_at = result.timestamp(row, column);
  if (!result.is_null(row, column + 1)) grant.note = result.text(row, column + 1);
  return grant;
}

Result<core::Key> read_key(const PgResult& result, int row, int column) {
  core::Key key;
  key.access_key = result.text(row, column);
  const std::string_view salt = result.text(row, column + 1);
  const std::string_view digest = result.text(row, column + 2);
  if (salt.size() != key.secret.salt.size() || digest.size() != key.secret.digest.size()) {
    return internal("the secret of an access key has another size than it must");
  }
  std::copy(salt.begin(), salt.end(), key.secret.salt.begin());
  std::copy(digest.begin(), digest.end(), key.secret.digest.begin());
  key.scopes = result.texts(row, column + 3);
  if (!result.is_null(row, column + 4)) key.expires_at = result.timestamp(row, column + 4);
  return key;
}

std::optional<KeptAnswer> read_kept_answer(const PgResult& result, int row) {
  KeptAnswer answer;
  const std::string_view request = result.text(row, 1);
  const auto request_id = parse_request_id(result.text(row, 3));
  if (request.size() != answer.request.size() || !request_id) return std::nullopt;
  std::copy(request.begin(), request.end(), answer.request.begin());
  answer.at = result.timestamp(row, 2);
  answer.request_id = *request_id;
  answer.revision = result.number(row, 4);
  answer.results = result.text(row, 5);
  return answer;
}

PgParams params_of(CompanyId company, std::uint64_t revision,
                   std::span<const core::Workspace> workspaces) {
  PgParams params = start(company, revision);
  params.add_numbers(column(workspaces, [](const auto& w) { return w.id.value; }))
      .add_texts(Texts(texts(workspaces, [](const auto& w) { return w.name; })));
  return params;
}

PgParams params_of(CompanyId company, std::uint64_t revision,
                   std::span<const core::Profile> profiles) {
  PgParams params = start(company, revision);
  params.add_numbers(column(profiles, [](const auto& p) { return p.id.value; }))
      .add_ids(column(profiles, [](const auto& p) { return p.workspace.value; }))
      .add_texts(Texts(texts(profiles, [](const auto& p) { return p.name; })))
      .add_texts(Texts(texts(
          profiles, [](const auto& p) { return kLevels[static_cast<std::size_t>(p.level)]; })))
      .add_texts(Texts(texts(profiles, [](const auto& p) { return ids_text(p.team_leads); })));
  return params;
}

PgParams params_of(CompanyId company, std::uint64_t revision, std::span<const core::User> users) {
  PgParams params = start(company, revision);
  params.add_numbers(column(users, [](const auto& u) { return u.id.value; }))
      .add_texts(Texts(texts(users, [](const auto& u) { return u.email_address; })))
      .add_texts(Texts(texts(users, [](const auto& u) { return u.first_name; })))
      .add_texts(Texts(texts(users, [](const auto& u) { return u.last_name; })))
      .add_ids(column(users, [](const auto& u) { return u.manager.value; }))
      .add_bools(column(users, [](const auto& u) { return bool{u.active}; }))
      .add_texts(Texts(texts(users, [](const auto& u) { return ids_text(u.profiles); })));
  return params;
}

PgParams params_of(CompanyId company, std::uint64_t revision, std::span<const core::Call> calls) {
  PgParams params = start(company, revision);
  params.add_numbers(column(calls, [](const auto& c) { return c.id.value; }))
      .add_ids(column(calls, [](const auto& c) { return c.workspace.value; }))
      .add_texts(Texts(texts(calls, [](const auto& c) { return c.title; })))
      .add_texts(Texts(texts(calls, [](const auto& c) { return c.started; })))
      .add_ids(column(calls, [](const auto& c) { return c.primary_user.value; }))
      .add_texts(Texts(texts(calls, [](const auto& c) { return ids_text(c.parties); })))
      .add_bools(column(calls, [](const auto& c) { return bool{c.is_private}; }));
  return params;
}

PgParams params_of(CompanyId company, std::uint64_t revision, std::span<const core::Key> keys) {
  PgParams params = start(company, revision);
  const auto bytes = [](const auto& array) { return std::string(array.begin(), array.end()); };
  params.add_texts(Texts(texts(keys, [](const auto& k) { return k.access_key; })))
      .add_byte_strings(texts(keys, [&](const auto& k) { return bytes(k.secret.salt); }))
      .add_byte_strings(texts(keys, [&](const auto& k) { return bytes(k.secret.digest); }))
      .add_texts(Texts(texts(keys, [](const auto& k) { return texts_text(k.scopes); })))
      .add_times(column(keys, [](const auto& k) { return k.expires_at; }));
  return params;
}

}  // namespace earshot::store
