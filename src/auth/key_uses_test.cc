#include "auth/key_uses.h"

#include <gtest/gtest.h>

#include "model_store.h"

namespace earshot::auth {
namespace {

constexpr CompanyId kAcme{1};

store::KeyEntry key_of(CompanyId company, std::string access_key) {
  return {company, {std::move(access_key), {}, {}, {}}};
}
Time at(std::int64_t seconds, std::int64_t micros = 0) {
  return Time{seconds * 1'000'000 + micros};
}

TEST(KeyUses, AreNotedToTheSecondAndToldOnce) {
  test::ModelStore store;
  KeyUses uses;
  const store::KeyEntry acme = key_of(kAcme, "A");
  uses.note(acme, at(10, 5));
  uses.note(acme, at(10, 900'000));
  ASSERT_EQ(uses.list(kAcme).size(), 1U);
  EXPECT_EQ(uses.list(kAcme)[0].at, at(10));
  EXPECT_TRUE(uses.list({2}).empty());
  ASSERT_TRUE(uses.save(store));
  EXPECT_EQ(store.key_uses.at("A").at, at(10));
  EXPECT_TRUE(uses.list(kAcme).empty());
  store.key_uses.clear();
  ASSERT_TRUE(uses.save(store));
  EXPECT_TRUE(store.key_uses.empty()) << "nothing is told twice";
  uses.note(acme, at(11));
  ASSERT_TRUE(uses.save(store));
  EXPECT_EQ(store.key_uses.at("A").at, at(11));
}

TEST(KeyUses, StayWhereTheStoreDidNotTakeThem) {
  test::ModelStore store;
  KeyUses uses;
  const store::KeyEntry acme = key_of(kAcme, "A"), other = key_of({2}, "B");
  uses.note(acme, at(10));
  uses.note(other, at(10));
  store.failure = unavailable("not now");
  EXPECT_FALSE(uses.save(store));
  uses.note(acme, at(12));
  store.failure.reset();
  ASSERT_TRUE(uses.save(store));
  EXPECT_EQ(store.key_uses.at("A").at, at(12));
  EXPECT_EQ(store.key_uses.at("B").at, at(10));
}

// A store that is asked, while it notes them, what the server itself knows of.
class AskedStore final : public test::ModelStore {
 public:
  explicit AskedStore(KeyUses& uses) : uses_(uses) {}
  Status note_key_uses(std::span<const store::KeyUse> uses) override {
    known = uses_.list(kAcme);
    uses_.note(later_, at(20));
    known_later = uses_.list(kAcme);
    return test::ModelStore::note_key_uses(uses);
  }
  std::vector<store::KeyUse> known, known_later;

 private:
  KeyUses& uses_;
  const store::KeyEntry later_ = key_of(kAcme, "A");
};

TEST(KeyUses, OnTheirWayToTheStoreAreKnownStill) {
  KeyUses uses;
  AskedStore store(uses);
  uses.note(key_of(kAcme, "A"), at(10));
  uses.note(key_of(kAcme, "B"), at(11));
  ASSERT_TRUE(uses.save(store));
  ASSERT_EQ(store.known.size(), 2U);
  EXPECT_EQ(store.known[0].at, at(10));
  EXPECT_EQ(store.known[1].at, at(11));
  ASSERT_EQ(store.known_later.size(), 2U);
  EXPECT_EQ(store.known_later[0].at, at(20)) << "the later one";
  ASSERT_EQ(uses.list(kAcme).size(), 1U) << "what came meanwhile is told the next time";
  EXPECT_EQ(uses.list(kAcme)[0].at, at(20));
  ASSERT_TRUE(uses.save(store));
  EXPECT_EQ(store.key_uses.at("A").at, at(20));
  EXPECT_EQ(store.key_uses.at("B").at, at(11));
}

TEST(KeyUses, OfAKeyThatWasMadeAgainAreThoseOfTheNewOne) {
  KeyUses uses;
  uses.note(key_of(kAcme, "A"), at(10));
  uses.note(key_of({2}, "A"), at(10));
  EXPECT_TRUE(uses.list(kAcme).empty());
  EXPECT_EQ(uses.list({2}).size(), 1U);
}

}  // namespace
}  // namespace earshot::auth
