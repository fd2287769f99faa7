// The store: what Earshot keeps, behind one interface for every kind of store. Asynchronous at its
// edge, so that memory answers at once and a disk or database does not hold a socket's thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/decide.h"
#include "core/entry.h"
#include "core/packed_entry.h"
#include "core/record.h"
#include "core/rules.h"
#include "core/types.h"
#include "store/changes.h"
#include "store/refusals.h"

namespace earshot::store {

// The second in which the use of a key was noted last: a memory of who notes uses, so that most
// requests need not. No part of the key: a copy begins anew. Any thread.
class UseMark {
 public:
  UseMark() = default;
  UseMark(const UseMark&) noexcept {}
  UseMark& operator=(const UseMark&) noexcept { return *this; }
  // Whether it is another second than the last time; at least one of many who ask is told so.
  bool is_news(std::int64_t second) const {
    if (second_.load(std::memory_order_relaxed) == second) return false;
    second_.store(second, std::memory_order_relaxed);
    return true;
  }

 private:
  mutable std::atomic<std::int64_t> second_{INT64_MIN};
};

// An access key and its company. Shared and immutable; a change makes another one.
struct KeyEntry {
  CompanyId company;
  core::Key key;
  // Up to which directory revision this is known to hold: after a later one it may have changed.
  core::Revision holds_until = kForever;

  // Where the store sees every change to keys in the moment when it is made.
  static constexpr core::Revision kForever = ~core::Revision{0};

  UseMark use_mark{};
};
using KeyPtr = std::shared_ptr<const KeyEntry>;

// Whose request a command is. A store that other servers write too asks again whether the key lets
// the request through, where it meets a later directory revision than the key is known to hold
// until. Any thread.
class Asker {
 public:
  virtual ~Asker() = default;
  virtual const KeyPtr& key() const = 0;  // as the request was let in with
  // Whether the key as it is now (null: there is none) lets the request through.
  virtual bool is_admitted_with(const KeyPtr& now) const = 0;
};
using AskerPtr = std::shared_ptr<const Asker>;  // null: nobody has to be asked again

// Which calls to read.
struct ReadCommand {
  CompanyId company;
  std::vector<CallId> calls;
  core::Revision at_least = 0;  // the answer is of this revision or a later one
  AskerPtr asker;
};

// The calls of a read, all as of one published revision.
struct CallsView {
  core::Revision revision = 0;
  Time time;  // of the revision: a clock that stands before it has been put back
  // In the order asked; never null; without rows that are awaiting a sweep.
  std::vector<core::PackedEntryPtr> entries;
};

// What an answer about access is to be as of: now, or what is given here. A revision alone is
// judged at its own time, a time alone by the newest revision that is not later; both together are
// the revision judged at that time, as further pages of an answer are.
struct Moment {
  std::optional<core::Revision> revision;
  std::optional<Time> at;

  bool is_now() const { return !revision && !at; }
};

// What an answer about access is as of.
struct AsOf {
  core::Revision revision = 0;
  Time time;  // whether grants have expired is judged by it
};

// What decides about access to some calls.
struct AccessCommand {
  CompanyId company;
  // Distinct calls; of each, the users that will be asked about.
  std::vector<core::CallUsers> calls;
  // All users will be asked about: `users` of the calls need not say them.
  bool everybody = false;
  Moment moment;
  core::Revision at_least = 0;  // of an answer as of now: this revision or a later one
  AskerPtr asker;
};

// All of it as of one moment, and good for the users that the command named: of others, rows and
// directory may lack something.
struct AccessView {
  AsOf as_of;
  std::shared_ptr<const core::Directory> directory;  // never null
  std::vector<core::PackedEntryPtr> entries;  // in the order asked; never null; without dead rows
};

// Calls that a user may have, in the order of their ids.
struct UserCallsCommand {
  CompanyId company;
  UserId user;
  core::Ways ways = core::kAllWays;  // by one of these at least
  CallId after;                      // only those behind it; 0: from the first on
  std::size_t calls_max = 0;         // how many to look at, at most
  Moment moment;
  core::Revision at_least = 0;
  AskerPtr asker;
};

// Good for this user. No call that one of the ways holds for is left out between `after` and
// `last`; others may be among them.
struct UserCallsView {
  AsOf as_of;
  std::shared_ptr<const core::Directory> directory;  // never null
  std::vector<CallId> calls;                         // ascending
  std::vector<core::PackedEntryPtr> entries;         // of the calls
  std::optional<CallId> last;  // looked at up to here, and more may follow; absent: to the end
};

// What a write came to: the outcome of its decision, and the company's revision that holds it
// (where nothing was changed, the one it was decided on).
struct Outcome {
  core::Revision revision = 0;
  core::Decision decision;
  // Of a command with results: of each pair, in the command's order; of all grants of a user or
  // call, the pairs removed, by call and user.
  std::vector<core::PairResult> results{};
  // Of a command with an idempotency key that was carried out before: by which request. Revision
  // and results are those of then, and nothing was changed now.
  std::optional<RequestId> repeated{};
};

// Makes a command that comes again the same command: it is carried out once, and then answered as
// it was. Of the company, whichever of its access keys asks.
struct IdempotencyKey {
  Digest key{};      // of its text
  Digest request{};  // of the operation and the body: with one key they must stay the same
};

// What the operations with results say beyond what every command does.
struct WithResults {
  std::vector<core::Grant> terms;  // of a give, one for each pair; none: no expiry, no note
  // To remove all live grants that the call or user has at the commit, in place of `calls`.
  std::variant<std::monostate, CallId, UserId> all_of;
  std::size_t all_of_max = 0;  // more are refused (core::TooManyGrants)
  bool is_dry_run = false;     // decides, and changes and keeps nothing
  // Refused (core::ChangedCalls) where a call that it names changed after this revision: its
  // record, shares or grants. Then also gone (retention has cut the record behind the revision) and
  // not_found (the company has not come to it).
  std::optional<core::Revision> if_revision;
  // Errors: conflict (a command with this key is still under way on this server), invalid_argument
  // (the key was used for another request).
  std::optional<IdempotencyKey> idempotency_key;
};

// A command to give or to remove grants.
struct GrantCommand {
  Operation operation = Operation::give;  // give or remove
  CompanyId company;
  std::vector<core::CallUsers> calls;  // distinct calls
  Origin origin;
  AskerPtr asker{};
  std::shared_ptr<const WithResults>
      with_results{};  // null: all or nothing, as on the Gong surface
};

// Where a load's records come from. Called on the store's own thread.
class RecordSource {
 public:
  virtual ~RecordSource() = default;
  // The next record, valid until the next call, or null at the end. An error ends the load and
  // leaves nothing of it applied.
  virtual Result<const core::Record*> next() = 0;
  // Where the record just given stands ("fixtures.ndjson:12"), for the message of a bad one.
  virtual std::string position() const = 0;
};

struct LoadReport {
  std::uint64_t records = 0;  // lines applied, those that changed nothing included
  std::uint64_t changes = 0;
  // The revision that holds them, of each company that they changed; ascending by company.
  std::vector<std::pair<CompanyId, core::Revision>> revisions{};
};

// A call or user of the directory, as the record that puts it in place.
struct ThingCommand {
  CompanyId company;
  std::variant<CallId, UserId> thing;
  core::Revision at_least = 0;  // the answer is of this revision or a later one
  AskerPtr asker;
};
struct ThingView {
  core::Revision revision = 0;
  std::optional<core::Record> record;  // absent: there is none
};

// When a key last let a request in.
struct KeyUse {
  CompanyId company;
  std::string access_key;
  Time at;
};

struct VerifyReport {
  std::vector<std::string> faults;  // empty: sound. Bounded: the first kVerifyFaultsMax
  std::uint64_t companies = 0;
  std::uint64_t calls = 0;
  std::uint64_t shares = 0;
  std::uint64_t grants = 0;
  std::uint64_t changes = 0;
  std::vector<HeadVerdict> heads;  // of each claim, in their order
};
inline constexpr std::size_t kVerifyFaultsMax = 100;

// How many requests a company made on a day: kept so that a day's limit survives a restart, and
// holds over all servers of a store.
struct DayUsage {
  CompanyId company;
  std::uint32_t day = 0;  // days since 1970-01-01 UTC
  std::uint64_t requests = 0;
};

// Whether the store takes reads and writes; the text says why not and what to do.
struct Health {
  bool readable = true;
  bool writable = true;
  bool failed_for_good = false;  // a failed write or sync of the log: only a restart helps
  std::string reason;
};

class Store {
 public:
  virtual ~Store() = default;

  // The key of this name as far as memory knows it, expired or not; null where it knows none. Any
  // thread; never waits for I/O.
  virtual KeyPtr find_key(std::string_view access_key) = 0;

  // Whether find_key() has the last word. Otherwise keys may have been made, changed or revoked
  // through another server: who is refused by find_key() is let in or not by look_up_key().
  virtual bool knows_all_keys() const = 0;

  // The key of this name as it is when this is called, or later; null where there is none. `done`
  // is called exactly once: before this returns where memory has the last word, else later, on the
  // calling thread where that runs a Loop, or on a thread of the store. Errors: unavailable,
  // internal.
  using KeyDone = std::function<void(Result<KeyPtr>)>;
  virtual void look_up_key(std::string access_key, KeyDone done) = 0;

  // Every key of a company, or of all companies, expired ones too: ascending by company, then
  // access key. Any thread; may wait.
  virtual Result<std::vector<KeyPtr>> list_keys(std::optional<CompanyId> company) = 0;

  // Reads calls of one company. `done` is called exactly once: before read() returns where memory
  // can answer, else later, on the calling thread where that runs a Loop, or on a thread of the
  // store. Errors: denied (the asker's key does not let it through any more), unavailable (also:
  // the revision asked for is not there), internal.
  using ReadDone = std::function<void(Result<CallsView>)>;
  virtual void read(ReadCommand command, ReadDone done) = 0;

  // Reads what decides about access to calls: the answer is core::CallRules' or core::explain's to
  // give. `done` and errors as of read(), and of a moment that is not there: gone (retention has
  // cut it off; the message says which is the oldest revision), invalid_argument (it is later than
  // the newest revision, or than now).
  using AccessDone = std::function<void(Result<AccessView>)>;
  virtual void read_access(AccessCommand command, AccessDone done) = 0;
  using UserCallsDone = std::function<void(Result<UserCallsView>)>;
  virtual void read_user_calls(UserCallsCommand command, UserCallsDone done) = 0;

  // The secret that cursors are signed with: the same for every server of the store, and after a
  // restart. Any thread; never waits.
  virtual const Digest& cursor_secret() const = 0;

  // Decides and applies a command as one atomic, durable revision. Whether grants have expired is
  // judged by the clock, or by the time of the company's newest revision where that is later.
  // `done` is called exactly once, on a thread of the store, or before this returns where the
  // command is refused at once; after the change is on disk and visible to every read that starts
  // from then on. Errors: denied (as for a read), unavailable (the command is not in the record and
  // never will be, unless its outcome is unknown: after a failed sync, or when a database did not
  // say in time whether it committed), internal; of a command with results also those that it says.
  using WriteDone = std::function<void(Result<Outcome>)>;
  virtual void write(GrantCommand command, WriteDone done) = 0;

  // Applies records as one atomic, durable unit, one revision for each company named. Waits; other
  // writes wait meanwhile, reads do not. invalid_argument names the bad record; nothing stays
  // applied after an error.
  virtual Result<LoadReport> load(RecordSource& source, const Origin& origin) = 0;

  // Gives every record, sorted, from one snapshot: for each company its company, key, workspace,
  // profile and user records, then each call with its shares and grants, ids ascending. Waits. An
  // error of `take` ends it.
  virtual Status dump(const std::function<Status(const core::Record&)>& take) = 0;

  // Checks every invariant across the store and the chain of changes, on one snapshot, and whether
  // the record holds these heads. A head that it contradicts, or does not come to, is a fault too.
  // Waits.
  virtual Result<VerifyReport> verify(std::span<const HeadClaim> heads) = 0;
  Result<VerifyReport> verify() { return verify({}); }

  // Reads the record of changes of a company. `done` is called exactly once: before this returns,
  // or later, on the calling thread where that runs a Loop, or on a thread of the store. Errors:
  // denied (as for a read), gone (retention has cut off what is behind the position; the message
  // says which is the oldest that can be asked for), invalid_argument (the record does not come to
  // the position), unavailable, internal.
  using ChangesDone = std::function<void(Result<ChangesView>)>;
  virtual void read_changes(ChangesCommand command, ChangesDone done) = 0;

  // From now on calls `on_news` soon after the company has come to a new revision, through
  // whichever server; perhaps once for several, perhaps without need. Of a store that servers
  // share, within a second of the commit. On a thread of the store: it must not wait, and not call
  // the store. Any thread; never null.
  virtual std::unique_ptr<ChangesWatch> watch_changes(CompanyId company,
                                                      std::function<void()> on_news) = 0;

  // Reads one call or user. `done` as of read(), and the same errors.
  using ThingDone = std::function<void(Result<ThingView>)>;
  virtual void read_thing(ThingCommand command, ThingDone done) = 0;

  // Keeps the latest of what is known and what is given, of each key. Not synced: what a crash
  // undoes is not written again. Waits.
  virtual Status note_key_uses(std::span<const KeyUse> uses) = 0;
  // Of the keys of a company that were ever used, by access key. Waits.
  virtual Result<std::vector<KeyUse>> list_key_uses(CompanyId company) = 0;

  // Keeps them, within the limits that the store was opened with. Not synced. Waits.
  virtual Status keep_refusals(std::span<const Refusal> refusals) = 0;
  // Waits.
  virtual Result<RefusalsView> list_refusals(const RefusalsCommand& command) = 0;
  // Of whom any are kept, ascending; 0 stands for those of no company. Waits.
  virtual Result<std::vector<CompanyId>> list_refused_companies() = 0;

  // Makes a consistent copy in `directory`, which must not exist yet. Waits; reads and writes go
  // on. invalid_argument where the store is none that can be copied this way.
  virtual Status backup(const std::string& directory) = 0;

  // What is known of the day's usage of all companies. Waits.
  virtual Result<std::vector<DayUsage>> load_usage(std::uint32_t day) = 0;
  // Adds to the usage of companies, and gives what it has come to for each, in the same order:
  // requests that other servers added are in it. Waits.
  virtual Result<std::vector<DayUsage>> add_usage(std::span<const DayUsage> more) = 0;
  // How often servers are to do that, so that a company's limits hold over all of them.
  virtual std::chrono::milliseconds usage_interval() const = 0;

  virtual Health health() = 0;

  // Figures for metrics: a name (without prefix), labels rendered as in the exposition format or
  // "", and a value; and whether the figure only ever grows.
  struct Figure {
    std::string name;
    std::string help;
    bool is_counter = false;
    double value = 0;
    std::string labels{};
  };
  virtual std::vector<Figure> figures() = 0;

  // Called with the size of each batch committed and the seconds its sync took. Set before the
  // first write.
  using CommitObserver = std::function<void(std::size_t commands, double sync_seconds)>;
  virtual void observe_commits(CommitObserver observer) = 0;
};

}  // namespace earshot::store
