// A whole store as plain maps: what every store must come to, written from the contract alone and
// by brute force, so that it shares no thought with the code it is compared to. Not fast, not
// thread-safe, for tests only.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/decide.h"
#include "core/record.h"
#include "core/rules.h"
#include "core/types.h"

namespace earshot::test {

class Model {
 public:
  // Applies one record, or says why it is bad (invalid_argument) and leaves everything as it was.
  Status apply(const core::Record& record) {
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

  // PUT: gives each pair a grant where the user has no access, and says what changed.
  core::Decision give(CompanyId company, const std::vector<core::CallUsers>& calls, Time now) {
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

  // DELETE: takes the live grants of the pairs, and says what changed.
  core::Decision remove(CompanyId company, const std::vector<core::CallUsers>& calls, Time now) {
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

  // POST: who has a live grant, for each call in the order asked, users ascending; or the calls
  // that are unknown.
  using Listing = std::vector<std::pair<CallId, std::vector<UserId>>>;
  std::variant<Listing, core::UnknownCalls> list(CompanyId company,
                                                 const std::vector<CallId>& calls, Time now) const {
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

  // Every record that makes this state out of nothing, in the order of a store's dump.
  std::vector<core::Record> dump() const {
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

  // Every way by which the user hears the call, by the letter of the rules.
  core::Ways ways(CompanyId company, CallId call, UserId user, Time now) const {
    const Everything* const all = find(company);
    if (all == nullptr || !all->users.contains(user) || !all->users.at(user).active) return {};
    return ways_as_if_active(company, call, user, now);
  }

  core::Ways ways_as_if_active(CompanyId company, CallId call_id, UserId user, Time now) const {
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

  // Whether x stands under m: the smallest relation in which every user stands under itself, and
  // under whomever the manager of somebody it stands under is; of users that exist.
  bool stands_under(CompanyId company, UserId x, UserId m) const {
    const Everything* const all = find(company);
    return all != nullptr && standing(*all).contains({x, m});
  }

 private:
  struct Everything {
    core::Company company;
    std::map<std::string, core::Key> keys;
    std::map<WorkspaceId, core::Workspace> workspaces;
    std::map<ProfileId, core::Profile> profiles;
    std::map<UserId, core::User> users;
    std::map<CallId, core::Call> calls;
    std::set<std::pair<CallId, UserId>> shares;
    std::map<std::pair<CallId, UserId>, core::Grant> grants;
    // Found when asked for; forgotten when a user changes.
    mutable std::optional<std::set<std::pair<UserId, UserId>>> standing;
  };

  static bool is_live(const core::Grant& grant, Time now) {
    return !grant.expires_at || *grant.expires_at > now;
  }

  static std::set<UserId> participants(const core::Call& call) {
    std::set<UserId> people(call.parties.begin(), call.parties.end());
    people.insert(call.primary_user);
    people.erase(UserId{});
    return people;
  }

  static const std::set<std::pair<UserId, UserId>>& standing(const Everything& all) {
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

  static bool profile_covers(const Everything& all, const core::Call& call,
                             const core::User& user) {
    if (!all.workspaces.contains(call.workspace)) return false;
    std::vector<core::Profile> of_workspace;
    for (const ProfileId id : user.profiles) {
      if (all.profiles.contains(id) && all.profiles.at(id).workspace == call.workspace) {
        of_workspace.push_back(all.profiles.at(id));
      }
    }
    if (of_workspace.empty()) return false;
    const core::Profile& profile = of_workspace.front();
    const std::set<UserId> people = participants(call);
    const auto somebody_under_one_of = [&](const std::vector<UserId>& superiors) {
      for (const UserId p : people) {
        for (const UserId m : superiors) {
          if (standing(all).contains({p, m})) return true;
        }
      }
      return false;
    };
    switch (profile.level) {
      case core::PermissionLevel::all:
        return true;
      case core::PermissionLevel::managers_team:
        if (!profile.team_leads.empty()) return somebody_under_one_of(profile.team_leads);
        return somebody_under_one_of({user.manager});
      case core::PermissionLevel::report_to_them:
        if (!profile.team_leads.empty()) return somebody_under_one_of(profile.team_leads);
        return somebody_under_one_of({user.id});
      case core::PermissionLevel::own:
        return people.contains(user.id);
      case core::PermissionLevel::none:
        return false;
    }
    return false;
  }

  const Everything* find(CompanyId company) const {
    const auto found = companies_.find(company);
    return found == companies_.end() ? nullptr : &found->second;
  }

  std::optional<core::UnknownCalls> find_unknown_calls(
      CompanyId company, const std::vector<core::CallUsers>& calls) const {
    core::UnknownCalls unknown;
    const Everything* const all = find(company);
    for (const auto& named : calls) {
      if (all == nullptr || !all->calls.contains(named.call)) unknown.ids.push_back(named.call);
    }
    if (unknown.ids.empty()) return std::nullopt;
    return unknown;
  }

  Status put(CompanyId company, Everything& all, const core::KeyLine& line) {
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
  Status put(CompanyId, Everything& all, const core::Workspace& thing) {
    all.workspaces[thing.id] = thing;
    return {};
  }
  Status put(CompanyId, Everything& all, const core::Profile& thing) {
    all.profiles[thing.id] = thing;
    return {};
  }
  Status put(CompanyId, Everything& all, const core::User& thing) {
    all.users[thing.id] = thing;
    all.standing.reset();
    return {};
  }
  Status put(CompanyId, Everything& all, const core::Call& thing) {
    all.calls[thing.id] = thing;
    return {};
  }
  Status put(CompanyId, Everything& all, const core::ShareLine& line) {
    if (!all.calls.contains(line.call)) return invalid_argument("no call");
    if (!all.users.contains(line.user)) return invalid_argument("no user");
    all.shares.insert({line.call, line.user});
    return {};
  }
  Status put(CompanyId, Everything& all, const core::GrantLine& line) {
    if (!all.calls.contains(line.call)) return invalid_argument("no call");
    if (!all.users.contains(line.user)) return invalid_argument("no user");
    all.grants[{line.call, line.user}] = line.grant;
    return {};
  }
  Status put(CompanyId, Everything&, const core::Company&) { return {}; }  // done by apply

  static void remove(Everything& all, const core::KeyLine& line) {
    all.keys.erase(line.key.access_key);
  }
  static void remove(Everything& all, const core::Workspace& thing) {
    all.workspaces.erase(thing.id);
  }
  static void remove(Everything& all, const core::Profile& thing) { all.profiles.erase(thing.id); }
  static void remove(Everything& all, const core::User& thing) {
    all.users.erase(thing.id);
    all.standing.reset();
    std::erase_if(all.shares, [&](const auto& pair) { return pair.second == thing.id; });
    std::erase_if(all.grants, [&](const auto& row) { return row.first.second == thing.id; });
  }
  static void remove(Everything& all, const core::Call& thing) {
    all.calls.erase(thing.id);
    std::erase_if(all.shares, [&](const auto& pair) { return pair.first == thing.id; });
    std::erase_if(all.grants, [&](const auto& row) { return row.first.first == thing.id; });
  }
  static void remove(Everything& all, const core::ShareLine& line) {
    all.shares.erase({line.call, line.user});
  }
  static void remove(Everything& all, const core::GrantLine& line) {
    all.grants.erase({line.call, line.user});
  }
  static void remove(Everything&, const core::Company&) {}  // done by apply

  std::map<CompanyId, Everything> companies_;
};

}  // namespace earshot::test
