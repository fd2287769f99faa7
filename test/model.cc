#include "model.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "base/secret.h"

namespace earshot::test {
namespace {

bool is_live(const core::Grant& grant, Time now) {
  return !grant.expires_at || *grant.expires_at > now;
}

std::set<UserId> participants(const core::Call& call) {
  std::set<UserId> people(call.parties.begin(), call.parties.end());
  people.insert(call.primary_user);
  people.erase(UserId{});
  return people;
}

// Under one of whom somebody of a call has to stand, of the two levels that look at the tree.
std::set<UserId> has_to_stand_under(const core::Profile& profile, const core::User& user) {
  if (!profile.team_leads.empty()) return {profile.team_leads.begin(), profile.team_leads.end()};
  if (profile.level == core::PermissionLevel::managers_team) return {user.manager};
  return {user.id};
}

template <class Id, class Thing>
std::vector<Id> keys_of(const std::map<Id, Thing>& things) {
  std::vector<Id> ids;
  for (const auto& [id, thing] : things) ids.push_back(id);
  return ids;
}

}  // namespace

Model::Model() = default;
Model::Model(const Model&) = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(const Model&) = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

core::PairOutcome outcome_named(const std::string& result) {
  static const std::vector<std::string> names = {"given",        "changed",     "already",
                                                 "no effect",    "removed",     "not found",
                                                 "unknown call", "unknown user"};
  return static_cast<core::PairOutcome>(std::ranges::find(names, result) - names.begin());
}

Status Model::apply(const core::Record& record) {
  if (const auto* company = std::get_if<core::Company>(&record.thing)) {
    if (record.remove) {
      companies_.erase(record.company);
    } else {
      companies_[record.company].company = *company;
    }
    return {};
  }
  if (!companies_.contains(record.company)) {
    if (record.remove) return {};
    return invalid_argument("no company " + to_string(record.company));
  }
  Everything& all = companies_[record.company];
  if (record.remove) {
    std::visit([&all](const auto& thing) { remove(all, thing); }, record.thing);
    return {};
  }
  return std::visit([&](const auto& thing) { return put(record.company, all, thing); },
                    record.thing);
}

core::Decision Model::give(CompanyId company, const std::vector<core::CallUsers>& calls, Time now) {
  if (auto unknown = find_unknown_calls(company, calls)) return *unknown;
  std::set<UserId> unknown_users;
  std::vector<core::GrantChange> changes;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    for (const UserId user : calls[i].users) {
      if (!companies_[company].users.contains(user)) unknown_users.insert(user);
    }
  }
  if (!unknown_users.empty()) {
    return core::UnknownUsers{{unknown_users.begin(), unknown_users.end()}};
  }
  for (std::size_t i = 0; i < calls.size(); ++i) {
    for (const UserId user : calls[i].users) {
      if (ways_as_if_active(company, calls[i].call, user, now) != 0) continue;
      auto& grants = companies_[company].grants;
      const auto before = grants.find({calls[i].call, user});
      changes.push_back({i, user,
                         before == grants.end() ? std::nullopt : std::optional(before->second),
                         core::Grant{}});
      grants[{calls[i].call, user}] = {};
    }
  }
  return changes;
}

core::Decision Model::remove(CompanyId company, const std::vector<core::CallUsers>& calls,
                             Time now) {
  if (auto unknown = find_unknown_calls(company, calls)) return *unknown;
  std::vector<core::GrantChange> changes;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    for (const UserId user : calls[i].users) {
      auto& grants = companies_[company].grants;
      const auto grant = grants.find({calls[i].call, user});
      if (grant == grants.end() || !is_live(grant->second, now)) continue;
      changes.push_back({i, user, grant->second, std::nullopt});
      grants.erase(grant);
    }
  }
  return changes;
}

std::variant<Model::Listing, core::UnknownCalls> Model::list(CompanyId company,
                                                             const std::vector<CallId>& calls,
                                                             Time now) const {
  Listing listing;
  core::UnknownCalls unknown;
  for (const CallId call : calls) {
    const Everything* const all = find(company);
    if (all == nullptr || !all->calls.contains(call)) {
      unknown.ids.push_back(call);
      continue;
    }
    std::vector<UserId> users;
    for (const auto& [pair, grant] : all->grants) {
      if (pair.first == call && is_live(grant, now)) users.push_back(pair.second);
    }
    listing.emplace_back(call, std::move(users));
  }
  if (!unknown.ids.empty()) return unknown;
  return listing;
}

std::vector<PairTold> Model::give_pairs(CompanyId company, const std::vector<PairAsked>& pairs,
                                        Time now) {
  const Model before = *this;
  std::vector<PairTold> told;
  for (const auto& [call, user, grant] : pairs) {
    PairTold one = before.judge_pair(company, call, user, now);
    if (one.result.empty()) {
      const core::Ways others = before.ways_as_if_active(company, call, user, now);
      if (one.grant) {
        one.result = *one.grant == grant ? "already" : "changed";
      } else {
        one.result = others != 0 ? "no effect" : "given";
      }
      if (one.result == "no effect") {
        one.ways = others;
      } else {
        one.grant = grant;
        companies_[company].grants[{call, user}] = grant;
      }
    }
    told.push_back(one);
  }
  return told;
}

std::vector<PairTold> Model::remove_pairs(CompanyId company,
                                          const std::vector<std::pair<CallId, UserId>>& pairs,
                                          Time now) {
  const Model before = *this;
  std::vector<PairTold> told;
  for (const auto& [call, user] : pairs) {
    PairTold one = before.judge_pair(company, call, user, now);
    if (one.result.empty()) {
      one.result = one.grant ? "removed" : "not found";
      if (one.grant) companies_[company].grants.erase({call, user});
      one.grant.reset();
    }
    told.push_back(one);
  }
  return told;
}

std::vector<std::pair<CallId, UserId>> Model::live_pairs(CompanyId company,
                                                         std::optional<CallId> call,
                                                         std::optional<UserId> user,
                                                         Time now) const {
  std::vector<std::pair<CallId, UserId>> found;
  const Everything* const all = find(company);
  if (all == nullptr) return found;
  for (const auto& [pair, grant] : all->grants) {
    const bool is_meant = (!call || pair.first == *call) && (!user || pair.second == *user);
    if (is_meant && is_live(grant, now)) found.push_back(pair);
  }
  return found;
}

Model Model::swept(Time now) const {
  Model left = *this;
  for (auto& [id, all] : left.companies_) {
    std::erase_if(all.grants, [&](const auto& row) { return !is_live(row.second, now); });
  }
  return left;
}

Told Model::tell(CompanyId company, CallId call_id, UserId user_id, Time now) const {
  Told told;
  told.ways_if_active = ways_as_if_active(company, call_id, user_id, now);
  const Everything* const all = find(company);
  if (all == nullptr || !all->calls.contains(call_id)) {
    told.reason = "unknown call";
    return told;
  }
  if (!all->users.contains(user_id)) {
    told.reason = "unknown user";
    return told;
  }
  const core::User& user = all->users.at(user_id);
  const core::Call& call = all->calls.at(call_id);
  const auto grant = all->grants.find({call_id, user_id});
  if (grant != all->grants.end() && !is_live(grant->second, now)) {
    told.expired_at = grant->second.expires_at;
  }
  if (!user.active) {
    told.reason = "user inactive";
    return told;
  }
  told.ways = told.ways_if_active;
  if (core::has(told.ways, core::Way::individual)) told.grant = grant->second;
  const core::Profile* const profile = profile_in(*all, call, user);
  if (core::has(told.ways, core::Way::profile)) {
    told.profile = profile->id;
    told.chain = way_up(*all, *profile, call, user);
  }
  if (told.ways != 0) return told;
  if (told.expired_at) {
    told.reason = "grant expired";
  } else if (call.is_private) {
    told.reason = "call is private";
  } else if (!all->workspaces.contains(call.workspace)) {
    told.reason = "unknown workspace";
  } else if (profile == nullptr) {
    told.reason = "no profile in this workspace";
  } else {
    told.profile = profile->id;
    told.reason = why_not_covered(*all, *profile, user);
  }
  return told;
}

std::vector<UserId> Model::users(CompanyId company) const {
  const Everything* const all = find(company);
  return all == nullptr ? std::vector<UserId>{} : keys_of(all->users);
}

std::vector<CallId> Model::calls(CompanyId company) const {
  const Everything* const all = find(company);
  return all == nullptr ? std::vector<CallId>{} : keys_of(all->calls);
}

bool Model::is_active(CompanyId company, UserId user) const {
  return companies_.at(company).users.at(user).active;
}

bool Model::is_same(CompanyId company, const Model& other) const {
  const Everything* const a = find(company);
  const Everything* const b = other.find(company);
  if (a == nullptr || b == nullptr) return a == b;
  return a->company == b->company && a->keys == b->keys && a->workspaces == b->workspaces &&
         a->profiles == b->profiles && a->users == b->users && a->calls == b->calls &&
         a->shares == b->shares && a->grants == b->grants;
}

std::set<CallId> Model::calls_that_differ(CompanyId company, const Model& other) const {
  static const Everything nothing;
  const Everything& a = find(company) != nullptr ? *find(company) : nothing;
  const Everything& b = other.find(company) != nullptr ? *other.find(company) : nothing;
  std::set<CallId> calls;
  std::vector<std::pair<CallId, UserId>> shares;
  std::ranges::set_symmetric_difference(a.shares, b.shares, std::back_inserter(shares));
  for (const auto& [call, user] : shares) calls.insert(call);
  for (const auto& [one, another] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    for (const auto& [call, thing] : one->calls) {
      const auto found = another->calls.find(call);
      if (found == another->calls.end() || found->second != thing) calls.insert(call);
    }
    for (const auto& [pair, grant] : one->grants) {
      const auto found = another->grants.find(pair);
      if (found == another->grants.end() || found->second != grant) calls.insert(pair.first);
    }
  }
  return calls;
}

std::vector<core::Record> Model::dump() const {
  std::vector<core::Record> records;
  for (const auto& [id, all] : companies_) {
    const auto add = [&records, company = id](auto thing) {
      records.push_back({company, false, std::move(thing)});
    };
    add(all.company);
    for (const auto& [name, key] : all.keys) add(core::KeyLine{key, std::nullopt});
    for (const auto& [workspace, thing] : all.workspaces) add(thing);
    for (const auto& [profile, thing] : all.profiles) add(thing);
    for (const auto& [user, thing] : all.users) add(thing);
    for (const auto& [call, thing] : all.calls) {
      add(thing);
      for (const auto& pair : all.shares) {
        if (pair.first == call) add(core::ShareLine{call, pair.second});
      }
      for (const auto& [pair, grant] : all.grants) {
        if (pair.first == call) add(core::GrantLine{call, pair.second, grant});
      }
    }
  }
  return records;
}

Model::Loaded Model::load(CompanyId company) const {
  Loaded loaded;
  const Everything* const all = find(company);
  if (all == nullptr) return loaded;
  for (const auto& [id, thing] : all->workspaces) loaded.directory.put(thing);
  for (const auto& [id, thing] : all->profiles) loaded.directory.put(thing);
  for (const auto& [id, thing] : all->users) loaded.directory.put(thing);
  for (const auto& [id, thing] : all->calls) loaded.entries[id].call = core::facts_of(thing);
  for (const auto& [call, user] : all->shares) loaded.entries[call].put_share(user, {});
  for (const auto& [pair, grant] : all->grants) {
    loaded.entries[pair.first].put_grant(pair.second, grant, {});
  }
  return loaded;
}

core::Ways Model::ways(CompanyId company, CallId call, UserId user, Time now) const {
  const Everything* const all = find(company);
  if (all == nullptr || !all->users.contains(user) || !all->users.at(user).active) return {};
  return ways_as_if_active(company, call, user, now);
}

core::Ways Model::ways_as_if_active(CompanyId company, CallId call_id, UserId user,
                                    Time now) const {
  const Everything* const all = find(company);
  if (all == nullptr || !all->calls.contains(call_id) || !all->users.contains(user)) return {};
  const core::Call& call = all->calls.at(call_id);
  const std::pair pair(call_id, user);
  const auto grant = all->grants.find(pair);
  int ways = 0;
  if (participants(call).contains(user)) ways += static_cast<int>(core::Way::participant);
  if (all->shares.contains(pair)) ways += static_cast<int>(core::Way::shared);
  if (grant != all->grants.end() && is_live(grant->second, now)) {
    ways += static_cast<int>(core::Way::individual);
  }
  if (!call.is_private && profile_covers(*all, call, all->users.at(user))) {
    ways += static_cast<int>(core::Way::profile);
  }
  return static_cast<core::Ways>(ways);
}

bool Model::stands_under(CompanyId company, UserId x, UserId m) const {
  const Everything* const all = find(company);
  return all != nullptr && standing(*all).contains({x, m});
}

const std::set<std::pair<UserId, UserId>>& Model::standing(const Everything& all) {
  if (all.standing) return *all.standing;
  std::set<std::pair<UserId, UserId>> pairs;
  for (const auto& [id, user] : all.users) pairs.insert({id, id});
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& [x, m] : std::set(pairs)) {
      const UserId above = all.users.at(m).manager;
      if (all.users.contains(above)) grew |= pairs.insert({x, above}).second;
    }
  }
  all.standing = std::move(pairs);
  return *all.standing;
}

const core::Profile* Model::profile_in(const Everything& all, const core::Call& call,
                                       const core::User& user) {
  if (!all.workspaces.contains(call.workspace)) return nullptr;
  for (const ProfileId id : user.profiles) {
    if (all.profiles.contains(id) && all.profiles.at(id).workspace == call.workspace) {
      return &all.profiles.at(id);
    }
  }
  return nullptr;
}

bool Model::profile_covers(const Everything& all, const core::Call& call, const core::User& user) {
  const core::Profile* const profile = profile_in(all, call, user);
  if (profile == nullptr) return false;
  const std::set<UserId> people = participants(call);
  switch (profile->level) {
    case core::PermissionLevel::all:
      return true;
    case core::PermissionLevel::managers_team:
    case core::PermissionLevel::report_to_them:
      for (const UserId p : people) {
        for (const UserId m : has_to_stand_under(*profile, user)) {
          if (standing(all).contains({p, m})) return true;
        }
      }
      return false;
    case core::PermissionLevel::own:
      return people.contains(user.id);
    case core::PermissionLevel::none:
      return false;
  }
  return false;
}

std::vector<UserId> Model::way_up(const Everything& all, const core::Profile& profile,
                                  const core::Call& call, const core::User& user) {
  if (profile.level == core::PermissionLevel::all) return {};
  if (profile.level == core::PermissionLevel::own) return {user.id};
  const std::set<UserId> wanted = has_to_stand_under(profile, user);
  for (const UserId participant : participants(call)) {
    std::vector<UserId> chain;
    for (UserId above = participant;
         all.users.contains(above) && std::ranges::find(chain, above) == chain.end();
         above = all.users.at(above).manager) {
      chain.push_back(above);
      if (wanted.contains(above)) return chain;
    }
  }
  return {};
}

std::string Model::why_not_covered(const Everything& all, const core::Profile& profile,
                                   const core::User& user) {
  if (profile.level == core::PermissionLevel::none) return "profile gives no calls";
  if (profile.level == core::PermissionLevel::own) return "not a participant";
  if (!profile.team_leads.empty()) return "no participant reports to a team lead";
  if (profile.level == core::PermissionLevel::report_to_them) {
    return "no participant reports to the user";
  }
  if (!all.users.contains(user.manager)) return "user has no manager";
  return "no participant reports to the user's manager";
}

PairTold Model::judge_pair(CompanyId company, CallId call, UserId user, Time now) const {
  PairTold told{call, user, "", 0, std::nullopt};
  const Everything* const all = find(company);
  if (all == nullptr || !all->calls.contains(call)) {
    told.result = "unknown call";
  } else if (!all->users.contains(user)) {
    told.result = "unknown user";
  } else {
    const auto grant = all->grants.find({call, user});
    if (grant != all->grants.end() && is_live(grant->second, now)) told.grant = grant->second;
  }
  return told;
}

const Model::Everything* Model::find(CompanyId company) const {
  const auto found = companies_.find(company);
  return found == companies_.end() ? nullptr : &found->second;
}

std::optional<core::UnknownCalls> Model::find_unknown_calls(
    CompanyId company, const std::vector<core::CallUsers>& calls) const {
  core::UnknownCalls unknown;
  const Everything* const all = find(company);
  for (const auto& named : calls) {
    if (all == nullptr || !all->calls.contains(named.call)) unknown.ids.push_back(named.call);
  }
  if (unknown.ids.empty()) return std::nullopt;
  return unknown;
}

Status Model::put(CompanyId company, Everything& all, const core::KeyLine& line) {
  const std::string& name = line.key.access_key;
  for (const auto& [id, other] : companies_) {
    if (id != company && other.keys.contains(name)) return invalid_argument("taken");
  }
  core::Key key = line.key;
  if (line.secret_text && all.keys.contains(name) &&
      verify_secret(all.keys.at(name).secret, *line.secret_text)) {
    key.secret = all.keys.at(name).secret;
  }
  all.keys[name] = key;
  return {};
}

Status Model::put(CompanyId, Everything& all, const core::Workspace& thing) {
  all.workspaces[thing.id] = thing;
  return {};
}

Status Model::put(CompanyId, Everything& all, const core::Profile& thing) {
  all.profiles[thing.id] = thing;
  return {};
}

Status Model::put(CompanyId, Everything& all, const core::User& thing) {
  all.users[thing.id] = thing;
  all.standing.reset();
  return {};
}

Status Model::put(CompanyId, Everything& all, const core::Call& thing) {
  all.calls[thing.id] = thing;
  return {};
}

Status Model::put(CompanyId, Everything& all, const core::ShareLine& line) {
  if (!all.calls.contains(line.call)) return invalid_argument("no call");
  if (!all.users.contains(line.user)) return invalid_argument("no user");
  all.shares.insert({line.call, line.user});
  return {};
}

Status Model::put(CompanyId, Everything& all, const core::GrantLine& line) {
  if (!all.calls.contains(line.call)) return invalid_argument("no call");
  if (!all.users.contains(line.user)) return invalid_argument("no user");
  all.grants[{line.call, line.user}] = line.grant;
  return {};
}

void Model::remove(Everything& all, const core::KeyLine& line) {
  all.keys.erase(line.key.access_key);
}

void Model::remove(Everything& all, const core::Workspace& thing) {
  all.workspaces.erase(thing.id);
}

void Model::remove(Everything& all, const core::Profile& thing) { all.profiles.erase(thing.id); }

void Model::remove(Everything& all, const core::User& thing) {
  all.users.erase(thing.id);
  all.standing.reset();
  std::erase_if(all.shares, [&](const auto& pair) { return pair.second == thing.id; });
  std::erase_if(all.grants, [&](const auto& row) { return row.first.second == thing.id; });
}

void Model::remove(Everything& all, const core::Call& thing) {
  all.calls.erase(thing.id);
  std::erase_if(all.shares, [&](const auto& pair) { return pair.first == thing.id; });
  std::erase_if(all.grants, [&](const auto& row) { return row.first.first == thing.id; });
}

void Model::remove(Everything& all, const core::ShareLine& line) {
  all.shares.erase({line.call, line.user});
}

void Model::remove(Everything& all, const core::GrantLine& line) {
  all.grants.erase({line.call, line.user});
}

}  // namespace earshot::test
