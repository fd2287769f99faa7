// Writes over PostgreSQL: for each company one transaction at a time, for all commands that wait.
// Two round trips each: lock the company's head and load; apply and commit. Belongs to the loop's
// thread.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/loop.h"
#include "store/pg_batch.h"
#include "store/pg_pool.h"
#include "store/pg_site.h"

namespace earshot::store {

class PgWriter;

// The commands of one company.
class PgCommitter {
 public:
  PgCommitter(PgWriter& writer, PgSite& site, CompanyId company)
      : writer_(writer), site_(site), company_(company) {}

  struct Job {
    GrantCommand command;
    Store::WriteDone done;  // null once it was answered
    SteadyTime deadline;
    std::optional<Result<Outcome>> outcome;
  };

  void push(Job job);
  // There is a connection for it, which it asked for.
  void go(std::shared_ptr<PgConnection> connection);
  void tick(SteadyTime now);
  // Everything that waits fails, and what is under way ends in silence.
  void close();

  bool is_idle() const { return stage_ == Stage::idle; }

 private:
  enum class Stage { idle, wants_connection, loading, completing, committing, resting };

  // A transaction whose COMMIT had no answer: if the company's revision is its request's, it holds.
  struct Unknown {
    core::Revision revision = 0;
    std::string request_id;
  };

  void begin();
  void load();
  void on_loaded(PgReply reply);
  void note_end(PgReply& reply) const;
  void take_loaded();
  void complete();
  void on_completed(PgReply reply);
  void find_changed_of_all();
  PgQuery find_changed_after(core::Revision revision, std::span<const std::uint64_t> calls) const;
  void decide();
  void commit(std::vector<PgQuery> queries);
  void on_committed(PgReply reply, std::size_t commit_query);
  void fail(const PgFailure& failure);
  void rest(const PgFailure& failure);
  enum class Transaction { open, ended };
  // Gives the connection back, out of its transaction.
  void let_go(Transaction state);
  void answer_all();
  void answer(Job& job, Result<Outcome> outcome);
  bool needs_directory() const;
  // Of the batch, where it is one command about all grants of a call or user.
  const WithResults* of_all() const;

  PgWriter& writer_;
  PgSite& site_;
  const CompanyId company_;
  Stage stage_ = Stage::idle;
  std::deque<Job> waiting_;
  std::vector<Job> batch_;
  std::size_t one_by_one_ = 0;  // so many more: one of them cannot be carried out
  std::shared_ptr<PgConnection> connection_;
  std::vector<PgResult> loaded_;
  std::optional<std::size_t> changed_query_, answers_query_;  // in what was loaded
  PgHead head_;
  std::optional<PgBatch> changes_;
  std::vector<std::string> keys_asked_;
  bool is_settled_ = false;  // the outcomes are known, and only to be confirmed
  std::optional<Unknown> unknown_;
  std::size_t tries_ = 0;
  std::string trouble_;  // why it was tried again
  SteadyTime rest_until_;
  SteadyTime sent_at_;

  DirectoryPtr directory_;         // of this transaction
  bool is_directory_new_ = false;  // loaded by it
};

class PgWriter {
 public:
  PgWriter(Loop& loop, PgSite& site);
  ~PgWriter();
  PgWriter(const PgWriter&) = delete;
  PgWriter& operator=(const PgWriter&) = delete;

  void write(GrantCommand command, Store::WriteDone done);
  void observe_commits(Store::CommitObserver observer) { observer_ = std::move(observer); }

  bool is_ready() const { return pool_.is_ready(); }
  const std::string& trouble() const { return pool_.trouble(); }

 private:
  friend class PgCommitter;

  void want_connection(PgCommitter& committer);
  void forget_wish(PgCommitter& committer);
  void give_back(const std::shared_ptr<PgConnection>& connection);
  void serve();
  bool tick(SteadyTime now);
  void forget_some();

  PgSite& site_;
  Store::CommitObserver observer_;
  std::unordered_map<CompanyId, std::unique_ptr<PgCommitter>> committers_;
  std::deque<PgCommitter*> wanting_;  // a connection each
  std::size_t jobs_count_ = 0;        // taken and not answered
  bool is_closing_ = false;
  PgPool pool_;  // last: its connections' ends still reach the rest
};

}  // namespace earshot::store
