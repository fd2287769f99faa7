// Reads and look-ups of keys on one loop. What waits is asked for together: reads of one kind and
// company in one statement. Belongs to the loop's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "store/pg_pool.h"
#include "store/pg_reads.h"
#include "store/pg_site.h"

namespace earshot::store {

class PgReader {
 public:
  PgReader(Loop& loop, PgSite& site);
  // What still waits fails.
  ~PgReader();
  PgReader(const PgReader&) = delete;
  PgReader& operator=(const PgReader&) = delete;

  void read(PgReadPtr read);
  // As it is when this is called or later.
  void look_up(std::string access_key, Store::KeyDone done);
  // The newest revisions of these companies, of those that were ever named; of none where the
  // database does not answer now.
  using Newest = std::pair<CompanyId, core::Revision>;
  void find_revisions(std::span<const CompanyId> companies,
                      std::function<void(std::span<const Newest>)> done);
  // Commits something, on any server: whether the database does, for the health of the store.
  void prove(CompanyId company, std::function<void(Status)> done);

  const std::string& trouble() const { return pool_.trouble(); }

 private:
  struct LookUp {
    std::string access_key;
    CompanyId company;             // whose key it was, where
    core::Revision directory = 0;  // this revision of the directory may have changed it
    Store::KeyDone done;
    SteadyTime deadline;
  };
  // What an answer is as of.
  struct Heads {
    core::Revision revision = 0, directory = 0;
    friend bool operator==(const Heads&, const Heads&) = default;
  };
  // Reads of one company that went out together.
  struct Shot {
    CompanyId company;
    std::vector<PgReadPtr> reads;
    std::shared_ptr<PgConnection> connection;
    PgPool* pool = nullptr;  // whose connection it is
    PgReply reply;
    bool is_alone = false;           // has the connection to itself, in one snapshot
    std::size_t own_statements = 0;  // of the reads
    // What came back, without what stands around it.
    std::span<const PgResult> own_results() const;
  };

  void wait(PgReadPtr read);
  void dispatch();
  void dispatch_later();
  void dispatch_reads(std::deque<PgReadPtr>& waiting, PgPool& pool);
  std::optional<CompanyId> choose_changes_company(const std::deque<PgReadPtr>& waiting) const;
  bool can_go_alone(const PgPool& pool) const;
  void fire(Shot shot);
  void on_shot(Shot shot);
  void retry(std::vector<PgReadPtr> reads, const PgFailure& failure);
  void retry_for_revision(PgReadPtr read, bool of_replica, core::Revision revision);
  void prove_on(const std::shared_ptr<PgConnection>& connection, CompanyId company);
  void send_proof(const std::shared_ptr<PgConnection>& connection, CompanyId company,
                  std::function<void(bool)> done);
  bool is_proved_primary(const PgConnection& connection, CompanyId company, SteadyTime now) const;
  bool is_proved(const Shot& shot, SteadyTime now) const;
  void look_at_parked(SteadyTime now);
  void deliver(Shot shot);
  void deliver_some(const Shot& shot, std::vector<PgReadPtr> some);
  void deliver_next_later();
  void deliver_next();
  PgDirectories& directories_of(const PgRead::DirectoryWish& wish);
  void go_on(PgReadPtr read, bool of_replica, const Heads& heads);
  void await_directory(PgReadPtr read, bool of_replica);
  void look_at_awaiting();
  void check_head(PgReadPtr read, core::Revision revision);
  void check_asker(PgReadPtr read, core::Revision directory);
  void send_look_ups();
  void take_look_up(LookUp look_up);
  void on_look_ups(PgConnection& connection, std::vector<LookUp> look_ups, PgReply reply);
  void expire(SteadyTime now);
  bool tick(SteadyTime now);
  void answer(PgReadPtr read, Status status);

  Loop& loop_;
  PgSite& site_;
  bool is_closing_ = false;
  bool is_dispatch_posted_ = false;
  // Pages of the record are large: one batch of them is asked for at a time, and told before the
  // next, one reader in each round of the loop. Other reads go between.
  bool are_changes_under_way_ = false;
  CompanyId last_of_changes_;
  std::size_t reads_count_ = 0;                // taken and not answered
  std::deque<PgReadPtr> waiting_;              // for the primary
  std::deque<PgReadPtr> waiting_replica_;      // for a replica
  std::vector<PgReadPtr> resting_;             // tried in vain, and tried again with the next tick
  std::vector<PgReadPtr> awaiting_directory_;  // that another loads
  std::vector<LookUp> look_ups_;
  std::vector<LookUp> resting_look_ups_;
  std::deque<Shot> parked_;   // answered by a server that is to be proved the primary
  std::deque<Shot> arrived_;  // pages of changes, told one by one
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what was posted
  std::unique_ptr<PgPool> replicas_;
  PgPool pool_;  // last: its connections' ends still reach the rest
};

}  // namespace earshot::store
