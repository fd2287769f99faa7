// The suite about the record of changes, over the embedded store; and what is its own.
#include <gtest/gtest.h>
#include <rocksdb/write_batch.h>

#include <iostream>
#include <span>
#include <thread>

#include "conformance/changes_suite.h"
#include "conformance/places.h"
#include "store/change_record.h"
#include "store/rocks.h"

namespace earshot::test {
namespace {

INSTANTIATE_TEST_SUITE_P(
    Embedded, ChangesSuite,
    testing::Values(embedded(
                        "AsShipped", [](auto&) {}, 300),
                    embedded(
                        "WithSpills", [](auto& options) { options.load_memory_bytes = 1; }, 100)),
    [](const auto& kind) { return kind.param.name; });

struct EmbeddedChanges : testing::Test {
  EmbeddedChanges() { place.options.free_bytes_min = 0; }
  std::unique_ptr<store::Store> open() {
    return place.open([] { return Time{1'772'359'200'000'000}; });
  }

  // One of the parts of a record, and another byte in its key or value.
  struct Damage {
    core::Revision revision = 0;
    std::size_t byte = 0;
    bool is_of_key = false;
  };
  // Many companies with the same small record: a revision with things, a call and a share, one
  // with a grant, one without it again. Gives their heads.
  static constexpr std::uint64_t kCompanies = 10, kRevisions = 3;
  std::vector<store::HeadClaim> load_companies() {
    const auto store = open();
    std::vector<core::Record> things, grants, removals;
    for (std::uint64_t id = 1; id <= kCompanies; ++id) {
      const CompanyId company{id};
      core::User user;
      user.id = {2};
      user.email_address = "a@b";
      core::Call call;
      call.id = {7};
      call.title = "T";
      core::KeyLine key;
      key.key.access_key = "K" + std::to_string(100 + id);
      things.insert(things.end(), {{company, false, core::Company{company, "C"}},
                                   {company, false, key},
                                   {company, false, user},
                                   {company, false, call},
                                   {company, false, core::ShareLine{{7}, {2}}}});
      grants.push_back({company, false, core::GrantLine{{7}, {2}, {Time{5}, "n"}}});
      removals.push_back({company, true, core::GrantLine{{7}, {2}, {}}});
    }
    for (const auto& records : {things, grants, removals}) {
      EXPECT_TRUE(load_now(*store, records).has_value());
    }
    std::vector<store::HeadClaim> heads;
    for (std::uint64_t id = 1; id <= kCompanies; ++id) {
      const store::RecordHead head = head_of(*store, {id});
      EXPECT_EQ(head.revision, kRevisions);
      heads.push_back({{id}, head.revision, head.hash});
    }
    return heads;
  }

  // Does each to the record of a company of its own, and undoes it where asked to.
  using Rows = std::vector<std::pair<std::string, std::string>>;
  Rows damage(std::span<const Damage> all, std::uint8_t mask) {
    const auto rocks = open_rocks();
    rocksdb::WriteBatch batch;
    Rows whole;
    for (std::size_t i = 0; i < all.size(); ++i) {
      std::string key = encode_key(store::ChangeKey{{1 + i}, all[i].revision, 0});
      std::string value = **rocks->get(store::Family::changes, key);
      whole.emplace_back(key, value);
      batch.Delete(rocks->family(store::Family::changes), key);
      std::string& damaged = all[i].is_of_key ? key : value;
      damaged[all[i].byte] = static_cast<char>(damaged[all[i].byte] ^ mask);
      batch.Put(rocks->family(store::Family::changes), key, value);
      damaged_.push_back(key);
    }
    EXPECT_TRUE(rocks->write(batch, true).ok());
    return whole;
  }
  void restore(const Rows& whole) {
    const auto rocks = open_rocks();
    rocksdb::WriteBatch batch;
    for (const std::string& key : damaged_) {
      batch.Delete(rocks->family(store::Family::changes), key);
    }
    for (const auto& [key, value] : whole) {
      batch.Put(rocks->family(store::Family::changes), key, value);
    }
    EXPECT_TRUE(rocks->write(batch, true).ok());
    damaged_.clear();
  }
  std::unique_ptr<store::Rocks> open_rocks() {
    auto rocks = store::Rocks::open(
        {.directory = place.directory.path() + "/store/rows", .block_cache_bytes = 1 << 20});
    EXPECT_TRUE(rocks.has_value());
    return std::move(*rocks);
  }

  EmbeddedPlace place;
  std::vector<std::string> damaged_;
};

TEST_F(EmbeddedChanges, WhoHasSeenAllIsAnsweredFromMemory) {
  const auto store = open();
  ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}}).has_value());
  for (const store::ChangesCommand& command :
       {changes_behind({1}, {1, std::nullopt}), changes_behind({1}, {}, 0)}) {
    bool is_answered = false;
    store->read_changes(command,
                        [&, asker = std::this_thread::get_id()](Result<store::ChangesView> view) {
                          is_answered = std::this_thread::get_id() == asker;
                          ASSERT_TRUE(view.has_value());
                          EXPECT_EQ(view->head.revision, 1U);
                          EXPECT_TRUE(view->revisions.empty());
                        });
    EXPECT_TRUE(is_answered) << "before read_changes() returns";
  }
}

TEST_F(EmbeddedChanges, APageLooksAtSoMuchAndNoMore) {
  const auto store = open();
  std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}}};
  for (std::uint64_t i = 1; i <= 2; ++i) {
    core::User user;
    user.id = {i};
    records.push_back({{1}, false, user});
  }
  for (std::uint64_t i = 1; i <= 60; ++i) {
    core::Call call;
    call.id = {i};
    call.title = std::string(50'000, 'x');
    records.push_back({{1}, false, call});
  }
  ASSERT_TRUE(load_now(*store, records).has_value());
  auto command = changes_behind({1}, {}, 1000);
  command.call = CallId{60};
  const auto first = read_changes_now(*store, command);
  ASSERT_TRUE(first.has_value());
  EXPECT_TRUE(first->revisions.empty()) << "three million bytes are more than a page looks at";
  EXPECT_FALSE(first->is_end);
  EXPECT_EQ(first->last.revision, 1U);
  EXPECT_GT(first->last.changes, 10U);
  EXPECT_LT(first->last.changes, 40U);
}

// A commit is in the rows a moment before anybody is shown it.
TEST_F(EmbeddedChanges, APageEndsWithTheRevisionThatIsShown) {
  const auto store = open();
  core::User user;
  user.id = {2};
  core::Call call;
  call.id = {7};
  ASSERT_TRUE(load_now(
      *store, {{{1}, false, core::Company{{1}, "One"}}, {{1}, false, user}, {{1}, false, call}}));
  constexpr core::Revision kWrites = 600;
  std::thread writer([&] {
    for (core::Revision i = 0; i < kWrites; ++i) {
      const auto operation = i % 2 == 0 ? store::Operation::give : store::Operation::remove;
      EXPECT_TRUE(write_now(*store, command_of(operation, {1}, {{{7}, {{2}}}})).has_value());
    }
  });
  store::ChangesPosition seen;
  while (seen.revision < kWrites + 1) {
    const auto view = read_changes_now(*store, changes_behind({1}, seen));
    EXPECT_TRUE(view.has_value()) << (view ? "" : view.error().message);
    if (!view) break;
    EXPECT_LE(view->last.revision, view->head.revision);
    EXPECT_EQ(view->is_end, view->last.revision == view->head.revision);
    seen = view->last;
  }
  writer.join();
}

// Of every part, the newest too, every byte of key and value.
TEST_F(EmbeddedChanges, VerifyFindsEveryByteThatIsAnother) {
  const std::vector<store::HeadClaim> heads = load_companies();
  std::vector<Damage> all;
  {
    const auto rocks = open_rocks();
    for (core::Revision revision = 1; revision <= kRevisions; ++revision) {
      const std::string key = encode_key(store::ChangeKey{{1}, revision, 0});
      const std::size_t size = (*rocks->get(store::Family::changes, key))->size();
      for (std::size_t i = 0; i < size; ++i) all.push_back({revision, i, false});
      for (std::size_t i = 0; i < key.size(); ++i) all.push_back({revision, i, true});
    }
  }
  std::size_t found_without = 0, of_newest = 0;
  for (const std::uint8_t mask : {std::uint8_t{0x80}, std::uint8_t{0x41}}) {
    for (std::size_t first = 0; first < all.size(); first += kCompanies) {
      const auto some =
          std::span(all).subspan(first, std::min<std::size_t>(kCompanies, all.size() - first));
      const Rows whole = damage(some, mask);
      const auto report = open()->verify(heads);
      const auto without = open()->verify();
      ASSERT_TRUE(report.has_value() && without.has_value());
      const auto is_told = [&](const store::VerifyReport& said, std::size_t i) {
        const std::string name = "company " + std::to_string(1 + i) + ":";
        return std::ranges::any_of(said.faults, [&](const std::string& fault) {
          return fault.find(name) != std::string::npos;
        });
      };
      for (std::size_t i = 0; i < some.size(); ++i) {
        const std::string where = "revision " + std::to_string(some[i].revision) +
                                  (some[i].is_of_key ? ", key byte " : ", byte ") +
                                  std::to_string(some[i].byte);
        EXPECT_TRUE(is_told(*report, i)) << where;
        if (some[i].revision == kRevisions) {
          EXPECT_NE(report->heads[i], store::HeadVerdict::extended) << where;
          ++of_newest;
          found_without += is_told(*without, i) ? 1 : 0;
        } else {
          EXPECT_TRUE(is_told(*without, i)) << where;
        }
      }
      restore(whole);
    }
  }
  std::cout << "without a head, of the newest part: " << found_without << " of " << of_newest
            << "\n";
  EXPECT_TRUE(open()->verify(heads)->faults.empty());
}

// What is left would tell its hash to anybody who cuts the record.
TEST_F(EmbeddedChanges, AHeadBeforeALossIsContradictedWhereNothingWasCut) {
  (void)load_companies();
  std::vector<store::HeadClaim> heads = {{{1}, 0, {}}};
  {
    const auto store = open();
    const auto view = read_changes_now(*store, changes_behind({1}, {}));
    for (const auto& one : view->revisions) {
      heads.push_back({{1}, one.revision, one.hash});
    }
  }
  ASSERT_EQ(heads.size(), 4U);
  std::ranges::reverse(heads);  // in any order
  {
    const auto rocks = open_rocks();
    rocksdb::WriteBatch batch;
    for (core::Revision revision = 1; revision <= 2; ++revision) {
      const std::string key = encode_key(store::ChangeKey{{1}, revision, 0});
      batch.Delete(rocks->family(store::Family::changes), key);
    }
    ASSERT_TRUE(rocks->write(batch, true).ok());
  }
  using enum store::HeadVerdict;
  EXPECT_EQ(open()->verify(heads)->heads,
            (std::vector{extended, contradicted, contradicted, contradicted}));
}

// Whoever has an earlier head sees that something after it was changed, whoever has only a later
// one does not; and what was cut from the end is missed by whoever has the head of it.
TEST_F(EmbeddedChanges, AHeadIsExtendedWhereAllBehindItIsAsItWas) {
  (void)load_companies();
  std::vector<store::HeadClaim> heads = {{{1}, 0, {}}};
  Digest of_other;
  {
    const auto store = open();
    const auto view = read_changes_now(*store, changes_behind({1}, {}));
    ASSERT_TRUE(view.has_value());
    for (const auto& one : view->revisions) {
      heads.push_back({{1}, one.revision, one.hash});
    }
    of_other = head_of(*store, {2}).hash;
  }
  ASSERT_EQ(heads.size(), 4U);
  using enum store::HeadVerdict;
  EXPECT_EQ(open()->verify(heads)->heads, (std::vector{extended, extended, extended, extended}));
  EXPECT_EQ(open()->verify(std::vector<store::HeadClaim>{{{1}, 3, of_other}})->heads,
            std::vector{contradicted})
      << "of the same changes of another company";
  constexpr std::size_t kInRequestId = 50;
  const Damage in_the_middle{2, kInRequestId, false};
  const Rows whole = damage(std::span(&in_the_middle, 1), 1);
  EXPECT_EQ(open()->verify(heads)->heads,
            (std::vector{contradicted, contradicted, contradicted, extended}));
  restore(whole);
  {
    const auto rocks = open_rocks();
    const std::string last = encode_key(store::ChangeKey{{1}, 3, 0});
    rocksdb::WriteBatch batch;
    batch.Delete(rocks->family(store::Family::changes), last);
    ASSERT_TRUE(rocks->write(batch, true).ok());
  }
  EXPECT_EQ(open()->verify(heads)->heads, (std::vector{extended, extended, extended, ahead}));
}

}  // namespace
}  // namespace earshot::test
