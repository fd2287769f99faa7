#include "store/pg_load_set.h"

#include <algorithm>
#include <variant>

#include "store/pg_rows.h"
#include "store/pg_statements_sync.h"

namespace earshot::store {
namespace {

constexpr std::size_t kPresenceMax = 1 << 19;          // of users and of calls, about 16 MiB each
constexpr std::size_t kWritersBytesMax = 16 << 20;     // of parts under way, over all companies
constexpr std::size_t kPartsAtOnceBytesMax = 4 << 20;  // in one statement

// What changed of some rows: ascending, company by company.
template <class Thing>
std::vector<std::pair<LoadRowKey, std::optional<Thing>>> take_changed(LoadTable<Thing>& rows) {
  std::vector<std::pair<LoadRowKey, std::optional<Thing>>> changed;
  for (auto& [key, row] : rows) {
    if (row.is_changed) changed.emplace_back(key, std::move(row.now));
  }
  rows.clear();
  std::ranges::sort(changed, {}, [](const auto& one) { return one.first; });
  return changed;
}

// Calls `work` with the changes of each company.
template <class Changed, class Work>
void each_company(Changed& changed, Work work) {
  for (auto first = changed.begin(); first != changed.end();) {
    const CompanyId company = first->first.company;
    const auto last = std::find_if(first, changed.end(),
                                   [&](const auto& one) { return one.first.company != company; });
    work(company, std::span(first, last));
    first = last;
  }
}

std::string_view bytes_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

// --- what is needed

struct PgLoadSet::Want {
  PgLoadSet& set;
  Wanted& wanted;
  CompanyId company;
  bool remove;

  void operator()(const core::Company&) const {}
  void operator()(const core::KeyLine& line) const { set.keys_[line.key.access_key]; }
  void operator()(const core::Workspace& thing) const {
    row(set.workspaces_, thing.id.value, wanted.workspaces);
  }
  void operator()(const core::Profile& thing) const {
    row(set.profiles_, thing.id.value, wanted.profiles);
  }
  void operator()(const core::User& thing) const {
    row(set.users_, thing.id.value, wanted.users);
    set.users_there_.emplace(LoadRowKey{company, thing.id.value}, false);
  }
  void operator()(const core::Call& thing) const {
    row(set.calls_, thing.id.value, wanted.calls);
    set.calls_there_.emplace(LoadRowKey{company, thing.id.value}, false);
  }
  void operator()(const core::ShareLine& line) const {
    pair(line.call, line.user);
    if (!set.shares_
             .emplace(LoadRowKey{company, line.call.value, line.user.value}, LoadRow<Shared>{})
             .second) {
      return;
    }
    wanted.share_calls.push_back(line.call.value);
    wanted.share_users.push_back(line.user.value);
  }
  void operator()(const core::GrantLine& line) const {
    pair(line.call, line.user);
    if (!set.grants_
             .emplace(LoadRowKey{company, line.call.value, line.user.value}, LoadRow<core::Grant>{})
             .second) {
      return;
    }
    wanted.grant_calls.push_back(line.call.value);
    wanted.grant_users.push_back(line.user.value);
  }

  template <class Rows>
  void row(Rows& rows, std::uint64_t id, std::vector<std::uint64_t>& ids) const {
    if (rows.try_emplace(LoadRowKey{company, id}).second) ids.push_back(id);
  }
  void pair(CallId call, UserId user) const {
    if (remove) return;
    if (set.calls_there_.emplace(LoadRowKey{company, call.value}, false).second) {
      wanted.calls_there.push_back(call.value);
    }
    if (set.users_there_.emplace(LoadRowKey{company, user.value}, false).second) {
      wanted.users_there.push_back(user.value);
    }
  }
};

Status PgLoadSet::load(std::span<const core::Record> records) {
  if (users_there_.size() > kPresenceMax) users_there_.clear();
  if (calls_there_.size() > kPresenceMax) calls_there_.clear();
  std::map<CompanyId, Wanted> wanted;
  for (const core::Record& record : records) {
    std::visit(Want{*this, wanted[record.company], record.company, record.remove}, record.thing);
  }
  Batch batch;
  // Heads first: what is read under their locks stays as it is.
  for (const auto& [id, of_company] : wanted) {
    if (!companies_.contains(id)) load_company(batch, id);
  }
  for (const auto& [id, of_company] : wanted) load_rows(batch, id, of_company);
  load_keys(batch);
  return run(batch);
}

void PgLoadSet::load_company(Batch& batch, CompanyId id) {
  companies_[id].id = id;
  batch.add(kMakeHead, std::move(PgParams().add(id).add_bytes(bytes_of(Digest{}))),
            [this, id](const PgResult& made) -> Status {
              companies_.at(id).is_new = made.rows() > 0;
              return {};
            });
  batch.add(kLockCompany, std::move(PgParams().add(id)), [this, id](const PgResult& row) -> Status {
    if (row.rows() != 1) return internal("a company's row went away under its lock");
    LoadCompany& company = companies_.at(id);
    company.head.revision = row.number(0, 0);
    company.head.directory_revision = row.number(0, 1);
    company.head.time = row.timestamp(0, 2);
    const std::string_view hash = row.text(0, 3);
    ASSERT(hash.size() == company.head.hash.size());  // the table holds no other
    std::copy(hash.begin(), hash.end(), company.head.hash.begin());
    if (!row.is_null(0, 4)) company.name = row.text(0, 4);
    return {};
  });
}

template <class Thing, class Read>
void PgLoadSet::load_things(Batch& batch, const PgStatement& statement, CompanyId id,
                            std::span<const std::uint64_t> ids, LoadTable<Thing>& rows, Read read) {
  if (ids.empty()) return;
  batch.add(statement, std::move(PgParams().add(id).add_numbers(ids)),
            [&, id, read](const PgResult& found) -> Status {
              for (int i = 0; i < found.rows(); ++i) {
                Thing thing = TRY(Result<Thing>(read(found, i)));
                const LoadRowKey key{id, thing.id.value};
                if constexpr (std::is_same_v<Thing, core::User>) users_there_[key] = true;
                if constexpr (std::is_same_v<Thing, core::Call>) calls_there_[key] = true;
                rows.at(key).now = std::move(thing);
              }
              return {};
            });
}

void PgLoadSet::load_presence(Batch& batch, const PgStatement& statement, CompanyId id,
                              std::span<const std::uint64_t> ids, Presence& presence) {
  if (ids.empty()) return;
  batch.add(statement, std::move(PgParams().add(id).add_numbers(ids)),
            [id, &presence](const PgResult& found) -> Status {
              for (int i = 0; i < found.rows(); ++i) presence[{id, found.number(i, 0)}] = true;
              return {};
            });
}

void PgLoadSet::load_rows(Batch& batch, CompanyId id, const Wanted& wanted) {
  load_things(batch, kFindWorkspaces, id, wanted.workspaces, workspaces_, read_workspace);
  load_things(batch, kFindProfiles, id, wanted.profiles, profiles_, read_profile);
  load_things(batch, kFindUsers, id, wanted.users, users_, read_user);
  load_things(batch, kFindCalls, id, wanted.calls, calls_, read_call);
  load_presence(batch, kFindUsersThere, id, wanted.users_there, users_there_);
  load_presence(batch, kFindCallsThere, id, wanted.calls_there, calls_there_);
  if (!wanted.share_calls.empty()) {
    PgParams params;
    params.add(id).add_numbers(wanted.share_calls).add_numbers(wanted.share_users);
    batch.add(kLoadShares, std::move(params), [this, id](const PgResult& found) -> Status {
      for (int i = 0; i < found.rows(); ++i) {
        shares_.at({id, found.number(i, 0), found.number(i, 1)}).now.emplace();
      }
      return {};
    });
  }
  if (!wanted.grant_calls.empty()) {
    PgParams params;
    params.add(id).add_numbers(wanted.grant_calls).add_numbers(wanted.grant_users);
    batch.add(kLoadGrants, std::move(params), [this, id](const PgResult& found) -> Status {
      for (int i = 0; i < found.rows(); ++i) {
        grants_.at({id, found.number(i, 0), found.number(i, 1)}).now = read_grant(found, i, 2);
      }
      return {};
    });
  }
}

void PgLoadSet::load_keys(Batch& batch) {
  if (keys_.empty()) return;
  std::vector<std::string> names;
  for (const auto& [name, row] : keys_) names.push_back(name);
  PgParams params;
  params.add_texts(std::span<const std::string>(names));
  batch.add(kFindKeys, std::move(params), [this](const PgResult& found) -> Status {
    for (int i = 0; i < found.rows(); ++i) {
      core::Key key = TRY(read_key(found, i, 1));
      LoadRow<KeyOf>& row = keys_.at(key.access_key);
      row.now.emplace(CompanyId{found.number(i, 0)}, std::move(key));
    }
    return {};
  });
}

Status PgLoadSet::run(const Batch& batch) {
  if (batch.calls.empty()) return {};
  return session_.run_all(batch.calls, [&](std::size_t call, const PgResult& result) -> Status {
    return batch.takers[call] ? batch.takers[call](result) : Status();
  });
}

// --- what is there

LoadCompany& PgLoadSet::company(CompanyId id) { return companies_.at(id); }
LoadRow<core::Workspace>& PgLoadSet::row(CompanyId company, WorkspaceId id) {
  return workspaces_.at({company, id.value});
}
LoadRow<core::Profile>& PgLoadSet::row(CompanyId company, ProfileId id) {
  return profiles_.at({company, id.value});
}
LoadRow<core::User>& PgLoadSet::row(CompanyId company, UserId id) {
  return users_.at({company, id.value});
}
LoadRow<core::Call>& PgLoadSet::row(CompanyId company, CallId id) {
  return calls_.at({company, id.value});
}
LoadRow<PgLoadSet::Shared>& PgLoadSet::share(CompanyId company, CallId call, UserId user) {
  return shares_.at({company, call.value, user.value});
}
LoadRow<core::Grant>& PgLoadSet::grant(CompanyId company, CallId call, UserId user) {
  return grants_.at({company, call.value, user.value});
}
LoadRow<PgLoadSet::KeyOf>& PgLoadSet::key(const std::string& access_key) {
  return keys_.at(access_key);
}
bool PgLoadSet::has_user(CompanyId company, UserId user) const {
  return users_there_.at({company, user.value});
}
bool PgLoadSet::has_call(CompanyId company, CallId call) const {
  return calls_there_.at({company, call.value});
}
void PgLoadSet::set_has_user(CompanyId company, UserId user, bool is_there) {
  users_there_[{company, user.value}] = is_there;
}
void PgLoadSet::set_has_call(CompanyId company, CallId call, bool is_there) {
  calls_there_[{company, call.value}] = is_there;
}
void PgLoadSet::forget_who_is_there() {
  users_there_.clear();
  calls_there_.clear();
}

// --- what changed

template <class Thing>
void PgLoadSet::write_things(Batch& batch, LoadTable<Thing>& rows, const PgStatement* keep,
                             const PgStatement& put, const PgStatement& remove) {
  auto changed = take_changed(rows);
  each_company(changed, [&](CompanyId id, auto of_company) {
    std::vector<Thing> things;
    std::vector<std::uint64_t> ids, gone;
    for (auto& [key, now] : of_company) {
      ids.push_back(key.first);
      if (now) {
        things.push_back(std::move(*now));
      } else {
        gone.push_back(key.first);
      }
    }
    if (keep) {
      PgParams params;
      params.add(id).add_numbers(ids).add(companies_.at(id).revision());
      batch.add(*keep, std::move(params));
    }
    if (!things.empty()) {
      batch.add(put, params_of(id, companies_.at(id).revision(), std::span<const Thing>(things)));
    }
    if (!gone.empty()) batch.add(remove, std::move(PgParams().add(id).add_numbers(gone)));
  });
}

void PgLoadSet::remove_pairs(Batch& batch, const PgStatement& statement, CompanyId id,
                             std::span<const std::uint64_t> calls,
                             std::span<const std::uint64_t> users) {
  for (std::size_t first = 0; first < calls.size();) {
    std::size_t last = first;
    while (last < calls.size() && calls[last] == calls[first]) ++last;
    PgParams params;
    params.add(id).add(calls[first]).add_numbers(users.subspan(first, last - first));
    batch.add(statement, std::move(params));
    first = last;
  }
}

void PgLoadSet::write_shares(Batch& batch) {
  auto changed = take_changed(shares_);
  each_company(changed, [&](CompanyId id, auto of_company) {
    std::vector<std::uint64_t> calls, users, gone_calls, gone_users;
    for (const auto& [key, now] : of_company) {
      (now ? calls : gone_calls).push_back(key.first);
      (now ? users : gone_users).push_back(key.second);
    }
    if (!calls.empty()) {
      PgParams params;
      params.add(id).add(companies_.at(id).revision()).add_numbers(calls).add_numbers(users);
      batch.add(kPutShares, std::move(params));
    }
    remove_pairs(batch, kRemoveSharesOfUsers, id, gone_calls, gone_users);
  });
}

void PgLoadSet::write_grants(Batch& batch) {
  auto changed = take_changed(grants_);
  each_company(changed, [&](CompanyId id, auto of_company) {
    std::vector<std::uint64_t> calls, users, gone_calls, gone_users;
    std::vector<std::optional<Time>> expiries;
    std::vector<std::optional<std::string>> notes;
    for (const auto& [key, now] : of_company) {
      (now ? calls : gone_calls).push_back(key.first);
      (now ? users : gone_users).push_back(key.second);
      if (!now) continue;
      expiries.push_back(now->expires_at);
      notes.push_back(now->note.empty() ? std::nullopt : std::optional(now->note));
    }
    if (!calls.empty()) {
      const std::vector<std::uint64_t> revisions(calls.size(), companies_.at(id).revision());
      PgParams params;
      params.add(id).add_numbers(calls).add_numbers(users).add_numbers(revisions);
      params.add_times(expiries).add_texts(std::span<const std::optional<std::string>>(notes));
      batch.add(kPutGrants, std::move(params));
    }
    remove_pairs(batch, kRemoveGrants, id, gone_calls, gone_users);
  });
}

void PgLoadSet::write_keys(Batch& batch) {
  std::map<CompanyId, std::vector<core::Key>> put;
  std::vector<std::string> gone;
  for (auto& [name, row] : keys_) {
    if (!row.is_changed) continue;
    if (row.now) {
      put[row.now->first].push_back(std::move(row.now->second));
    } else {
      gone.push_back(name);
    }
  }
  keys_.clear();
  if (!gone.empty()) {
    PgParams params;
    params.add_texts(std::span<const std::string>(gone));
    batch.add(kRemoveKeys, std::move(params));
    for (const auto& [id, company] : companies_) {
      batch.add(kForgetKeyUses, std::move(PgParams().add(id)));
    }
  }
  for (const auto& [id, keys] : put) {
    batch.add(kPutKeys,
              params_of(id, companies_.at(id).revision(), std::span<const core::Key>(keys)));
  }
}

void PgLoadSet::end_part(LoadCompany& company, bool is_last) {
  company.head.time = std::max(company.head.time, now_);
  writers_bytes_ -= std::min(writers_bytes_, company.writer.bytes());
  company.parts.push_back(make_change_row({company.id, company.revision(), company.part_first_n},
                                          {.previous_hash = company.head.hash,
                                           .last_part = is_last,
                                           .time = company.head.time,
                                           .directory_revision = company.head.directory_revision,
                                           .operation = Operation::records,
                                           .origin = origin_},
                                          company.writer.take_items()));
  company.head.hash = company.parts.back().hash();
  company.part_first_n = company.next_n;
}

void PgLoadSet::write_parts(Batch& batch, LoadCompany& company) {
  const std::span<const PgChangeRow> parts = company.parts;
  for (std::size_t first = 0; first < parts.size();) {
    std::size_t last = first, bytes = 0;
    while (last < parts.size() && (last == first || bytes < kPartsAtOnceBytesMax)) {
      bytes += parts[last++].items.size();
    }
    batch.add(kInsertChanges, params_of(parts.subspan(first, last - first)));
    first = last;
  }
  company.parts.clear();
}

Status PgLoadSet::write_parts(LoadCompany& company) {
  Batch batch;
  write_parts(batch, company);
  return run(batch);
}

Status PgLoadSet::write() {
  if (writers_bytes_ > kWritersBytesMax) {
    for (auto& [id, company] : companies_) {
      if (company.writer.bytes() > 0) end_part(company, false);
    }
  }
  Batch batch;
  write_things(batch, workspaces_, &kKeepWorkspaces, kPutWorkspaces, kRemoveWorkspaces);
  write_things(batch, profiles_, &kKeepProfiles, kPutProfiles, kRemoveProfiles);
  write_things(batch, users_, &kKeepUsers, kPutUsers, kRemoveUsers);
  write_things(batch, calls_, nullptr, kPutCalls, kRemoveCalls);
  write_shares(batch);
  write_grants(batch);
  write_keys(batch);
  for (auto& [id, company] : companies_) write_parts(batch, company);
  return run(batch);
}

Status PgLoadSet::finish(Time now) {
  now_ = now;
  Batch batch;
  for (auto& [id, company] : companies_) {
    if (company.next_n == 0) {
      // Only asked for: nothing of it stays.
      if (company.is_new) batch.add(kForgetHead, std::move(PgParams().add(id)));
      continue;
    }
    end_part(company, true);
    write_parts(batch, company);
    revisions_.emplace_back(id, company.revision());
    PgParams params;
    params.add(id).add(company.revision()).add(company.head.directory_revision);
    params.add(company.head.time).add_bytes(bytes_of(company.head.hash));
    if (company.name) {
      params.add_text(*company.name);
    } else {
      params.add_null();
    }
    batch.add(kPutHead, std::move(params));
  }
  return run(batch);
}

}  // namespace earshot::store
