// A whole store as plain maps: what every store must come to, written from the contract alone and
// by brute force, so that it shares no thought with the code it is compared to. Not fast, not
// thread-safe, for tests only.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/decide.h"
#include "core/directory.h"
#include "core/entry.h"
#include "core/record.h"
#include "core/rules.h"
#include "core/types.h"

namespace earshot::test {

// What is to be told of one pair of call and user.
struct Told {
  core::Ways ways = 0;               // by which the user hears the call; none while inactive
  core::Ways ways_if_active = 0;     // by which an active user would
  std::optional<core::Grant> grant;  // the live one
  std::string reason;                // the nearest one, where there is no way
  // The one that counts, where it is a way or is why there is none.
  std::optional<ProfileId> profile;
  std::vector<UserId> chain;       // what makes it cover the call, from the participant upwards
  std::optional<Time> expired_at;  // when the grant ended that there is, where it has
  friend bool operator==(const Told&, const Told&) = default;
};

// What is asked for one pair, and what came of it.
struct PairAsked {
  CallId call;
  UserId user;
  core::Grant grant{};
};
struct PairTold {
  CallId call;
  UserId user;
  std::string result;
  core::Ways ways = 0;               // that hold already, of "no effect"
  std::optional<core::Grant> grant;  // that the pair has afterwards
  friend bool operator==(const PairTold&, const PairTold&) = default;
};

// The outcome that a result names.
core::PairOutcome outcome_named(const std::string& result);

class Model {
 public:
  Model();
  Model(const Model&);
  Model(Model&&) noexcept;
  Model& operator=(const Model&);
  Model& operator=(Model&&) noexcept;
  ~Model();

  // Applies one record, or says why it is bad (invalid_argument) and leaves everything as it was.
  Status apply(const core::Record& record);

  // PUT: gives each pair a grant where the user has no access, and says what changed.
  core::Decision give(CompanyId company, const std::vector<core::CallUsers>& calls, Time now);

  // DELETE: takes the live grants of the pairs, and says what changed.
  core::Decision remove(CompanyId company, const std::vector<core::CallUsers>& calls, Time now);

  // POST: who has a live grant, for each call in the order asked, users ascending; or the calls
  // that are unknown.
  using Listing = std::vector<std::pair<CallId, std::vector<UserId>>>;
  std::variant<Listing, core::UnknownCalls> list(CompanyId company,
                                                 const std::vector<CallId>& calls, Time now) const;

  // PUT of grants: each pair is judged on the state as it was, and gets exactly the terms given.
  std::vector<PairTold> give_pairs(CompanyId company, const std::vector<PairAsked>& pairs,
                                   Time now);

  // DELETE of grants.
  std::vector<PairTold> remove_pairs(CompanyId company,
                                     const std::vector<std::pair<CallId, UserId>>& pairs, Time now);

  // Who has a live grant of the call, and which calls the user has one of; ascending.
  std::vector<std::pair<CallId, UserId>> live_pairs(CompanyId company, std::optional<CallId> call,
                                                    std::optional<UserId> user, Time now) const;

  // The same when everything that has expired is swept.
  Model swept(Time now) const;

  // What a check tells: the ways, or the reason that lies nearest.
  Told tell(CompanyId company, CallId call_id, UserId user_id, Time now) const;

  std::vector<UserId> users(CompanyId company) const;
  std::vector<CallId> calls(CompanyId company) const;
  bool is_active(CompanyId company, UserId user) const;
  // Whether everything of the company is the same in the other.
  bool is_same(CompanyId company, const Model& other) const;

  // Of which calls the record, the shares or the grants are not the same in the other.
  std::set<CallId> calls_that_differ(CompanyId company, const Model& other) const;

  // Every record that makes this state out of nothing, in the order of a store's dump.
  std::vector<core::Record> dump() const;

  // What a store loads of a company, without stamps.
  struct Loaded {
    core::Directory directory;
    std::map<CallId, core::CallEntry> entries;  // of calls that are there
  };
  Loaded load(CompanyId company) const;

  // Every way by which the user hears the call, by the letter of the rules.
  core::Ways ways(CompanyId company, CallId call, UserId user, Time now) const;

  core::Ways ways_as_if_active(CompanyId company, CallId call_id, UserId user, Time now) const;

  // Whether x stands under m: the smallest relation in which every user stands under itself, and
  // under whomever the manager of somebody it stands under is; of users that exist.
  bool stands_under(CompanyId company, UserId x, UserId m) const;

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

  static const std::set<std::pair<UserId, UserId>>& standing(const Everything& all);

  // The profile that counts for the user in the call's workspace; null where there is none.
  static const core::Profile* profile_in(const Everything& all, const core::Call& call,
                                         const core::User& user);
  static bool profile_covers(const Everything& all, const core::Call& call, const core::User& user);

  // From the participant with the lowest id who stands under one of those that the profile wants,
  // upwards to the first of them. REQUIRES: the profile covers the call.
  static std::vector<UserId> way_up(const Everything& all, const core::Profile& profile,
                                    const core::Call& call, const core::User& user);
  // REQUIRES: it does not cover the call.
  static std::string why_not_covered(const Everything& all, const core::Profile& profile,
                                     const core::User& user);

  // What a pair is told where it is unknown; else only its live grant.
  PairTold judge_pair(CompanyId company, CallId call, UserId user, Time now) const;

  const Everything* find(CompanyId company) const;
  std::optional<core::UnknownCalls> find_unknown_calls(
      CompanyId company, const std::vector<core::CallUsers>& calls) const;

  Status put(CompanyId company, Everything& all, const core::KeyLine& line);
  Status put(CompanyId, Everything& all, const core::Workspace& thing);
  Status put(CompanyId, Everything& all, const core::Profile& thing);
  Status put(CompanyId, Everything& all, const core::User& thing);
  Status put(CompanyId, Everything& all, const core::Call& thing);
  Status put(CompanyId, Everything& all, const core::ShareLine& line);
  Status put(CompanyId, Everything& all, const core::GrantLine& line);
  Status put(CompanyId, Everything&, const core::Company&) { return {}; }  // done by apply

  static void remove(Everything& all, const core::KeyLine& line);
  static void remove(Everything& all, const core::Workspace& thing);
  static void remove(Everything& all, const core::Profile& thing);
  static void remove(Everything& all, const core::User& thing);
  static void remove(Everything& all, const core::Call& thing);
  static void remove(Everything& all, const core::ShareLine& line);
  static void remove(Everything& all, const core::GrantLine& line);
  static void remove(Everything&, const core::Company&) {}  // done by apply

  std::map<CompanyId, Everything> companies_;
};

}  // namespace earshot::test
