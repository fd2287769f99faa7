#include "store/pg_changes_read.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "store/changes_page.h"
#include "store/pg_statements.h"

namespace earshot::store {
namespace {

// Each page of its own is up to kPageBytesMax, and a part; those of a shot come back together.
constexpr std::size_t kPagesTogetherMax = 4;

enum Column { kRevision, kDirectory, kChangedAt, kHorizon, kHash, kFirstOfPart };

RecordHead read_record_head(const PgResult& result) {
  RecordHead head;
  if (result.rows() == 0) return head;  // never named
  head.revision = result.number(0, kRevision);
  head.time = result.timestamp(0, kChangedAt);
  head.horizon = result.number(0, kHorizon);
  const std::string_view hash = result.text(0, kHash);
  ASSERT(hash.size() == head.hash.size());  // the table holds no other
  std::ranges::copy(hash, head.hash.begin());
  return head;
}

// Of the rows that came back those that the command has a use for.
Result<ChangesView> make_page(const ChangesCommand& command, const PgResult& result) {
  const RecordHead head = read_record_head(result);
  ChangesPage page(command, head);
  if (needs_no_parts(command, head)) return page.finish();
  TRY(check_position(command.after, head));
  for (int row = 0; row < result.rows() && !result.is_null(row, kFirstOfPart); ++row) {
    const auto part = read_change_row(command.company, result, row, kFirstOfPart);
    if (!part) return internal("a part of the record of changes cannot be read");
    if (!TRY(page.take(part->key, encode_key(part->key), part->value()))) break;
  }
  return page.finish();
}

class ChangesRead final : public PgRead {
 public:
  ChangesRead(ChangesCommand command, Store::ChangesDone done)
      : PgRead(Kind::changes, command.company, 0, command.asker),
        command_(std::move(command)),
        done_(std::move(done)) {
    from_primary = true;  // a replica would not know what it lacks
  }

  std::size_t calls() const override { return kCallsTogetherMax / kPagesTogetherMax; }
  bool asks_the_same(const PgRead& other) const override {
    const auto& one = static_cast<const ChangesRead&>(other);
    return command_.after == one.command_.after && parts_max() == one.parts_max();
  }
  // One for all who have come as far: mostly that is everybody who watches.
  std::vector<PgQuery> queries(std::span<const PgReadPtr> all) const override {
    std::vector<PgQuery> queries;
    std::vector<const ChangesRead*> asked;
    for (const PgReadPtr& read : all) {
      const auto same = std::ranges::find_if(
          asked, [&](const ChangesRead* one) { return one->asks_the_same(*read); });
      of(read).query_ = static_cast<std::size_t>(same - asked.begin());
      if (same != asked.end()) continue;
      asked.push_back(&of(read));
      const ChangeKey first = ChangesPage(of(read).command_, {}).first();
      queries.emplace_back(PgQuery{&kPageChanges})
          .params.add(company)
          .add(first.revision)
          .add(std::uint64_t{first.first_n})
          .add(std::uint64_t{of(read).parts_max()})
          .add(std::uint64_t{kPageBytesMax});
    }
    return queries;
  }

  void take(std::span<const PgReadPtr> all, std::span<const PgResult> results) override {
    for (const PgReadPtr& read : all) {
      of(read).page_ = make_page(of(read).command_, results[of(read).query_]);
    }
  }

  void answer(Status status) override {
    if (!status) return done_(status.error());
    done_(std::move(*page_));
  }

 private:
  static ChangesRead& of(const PgReadPtr& read) { return static_cast<ChangesRead&>(*read); }

  // Each part but the last of a revision has a change; the first may have been seen to its end.
  std::size_t parts_max() const {
    const bool takes_all = !command_.call && !command_.user;
    return takes_all ? std::min(command_.changes_max, kPagePartsMax - 1) + 1 : kPagePartsMax;
  }

  const ChangesCommand command_;
  const Store::ChangesDone done_;
  std::size_t query_ = 0;  // whose result is this one's, too
  std::optional<Result<ChangesView>> page_;
};

}  // namespace

PgReadPtr make_changes_read(ChangesCommand command, Store::ChangesDone done) {
  return std::make_unique<ChangesRead>(std::move(command), std::move(done));
}

}  // namespace earshot::store
