// What the embedded store tells about access in the past, on the threads that read.
#include <cstdint>
#include <utility>

#include "base/wake.h"
#include "store/embedded_store.h"

namespace earshot::store {

namespace {

constexpr unsigned kOwnWays =
    static_cast<unsigned>(core::Way::individual) | static_cast<unsigned>(core::Way::shared);

}  // namespace

void EmbeddedStore::read_past_access(AccessCommand command, const AccessDone& done) {
  auto job = [this, command = std::move(command), done] { done(find_past_access(command)); };
  submit_long(std::move(job), done);
}

void EmbeddedStore::read_past_user_calls(UserCallsCommand command, const UserCallsDone& done) {
  auto job = [this, command = std::move(command), done] { done(find_past_user_calls(command)); };
  submit_long(std::move(job), done);
}

Result<AccessView> EmbeddedStore::find_past_access(const AccessCommand& command) {
  const CompanyState& state = *TRY(companies_.meet(command.company));
  const auto past = TRY(Past::open(*rocks_, state, command.moment, options_.clock()));
  std::vector<CallId> calls;
  std::vector<UserId> users;
  calls.reserve(command.calls.size());
  for (const core::CallUsers& asked : command.calls) {
    calls.push_back(asked.call);
    users.insert(users.end(), asked.users.begin(), asked.users.end());
  }
  AccessView view;
  view.as_of = past->as_of();
  view.entries = TRY(command.everybody ? find_entries_for_pages(state, *past, calls)
                                       : past->entries_of(command.calls, UINT64_MAX));
  view.directory = find_known_directory(state, *past);
  if (!view.directory && command.everybody) {
    view.directory = TRY(past->whole_directory());
    past_directories_.keep({state.id, past->directory_revision()}, view.directory);
  } else if (!view.directory) {
    view.directory = TRY(past->directory_of(users, view.entries));
  }
  TRY(past->confirm());
  return view;
}

Result<std::vector<core::PackedEntryPtr>> EmbeddedStore::find_entries_for_pages(
    const CompanyState& state, Past& past, std::span<const CallId> calls) {
  std::vector<core::PackedEntryPtr> entries;
  entries.reserve(calls.size());
  for (const CallId& call : calls) {
    core::PackedEntryPtr entry = past_entries_.find({state.id, call, past.as_of().revision});
    if (!entry) {
      entry = std::move(TRY(past.entries({&call, 1})).front());
      past_entries_.keep({state.id, call, past.as_of().revision}, entry);
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<UserCallsView> EmbeddedStore::find_past_user_calls(const UserCallsCommand& command) {
  const CompanyState& state = *TRY(companies_.meet(command.company));
  const auto past = TRY(Past::open(*rocks_, state, command.moment, options_.clock()));
  UserCallsView view;
  view.as_of = past->as_of();
  const bool by_own_rows = (command.ways & ~kOwnWays) == 0;
  const Past::Found found =
      by_own_rows ? TRY(past->find_calls_of(command.user, command.after, command.calls_max))
                  : TRY(past->find_calls(command.after, command.calls_max));
  view.last = found.last;
  std::vector<core::CallUsers> asked;
  asked.reserve(found.calls.size());
  for (const CallId call : found.calls) asked.push_back({call, {command.user}});
  std::vector<core::PackedEntryPtr> entries =
      TRY(past->entries_of(asked, options_.past_page_reads_max));
  if (entries.size() < asked.size()) view.last = asked[entries.size() - 1].call;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i]->has_call()) continue;
    view.calls.push_back(found.calls[i]);
    view.entries.push_back(std::move(entries[i]));
  }
  view.directory = find_known_directory(state, *past);
  if (!view.directory) {
    view.directory = TRY(past->directory_of({&command.user, 1}, view.entries));
  }
  TRY(past->confirm());
  return view;
}

DirectoryPtr EmbeddedStore::find_known_directory(const CompanyState& state, const Past& past) {
  // The people of now have been the same since their directory revision.
  const PeoplePtr people = state.people();
  if (people && people->directory_revision <= past.as_of().revision) {
    return {people, &people->directory};
  }
  return past_directories_.find({state.id, past.directory_revision()});
}

}  // namespace earshot::store
