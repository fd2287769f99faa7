#include "auth/credentials.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "auth/scopes.h"
#include "base/secret.h"
#include "model_store.h"

namespace earshot::auth {
namespace {

constexpr Time kNow{1'780'000'000'000'000};

TEST(ParseBasic, TakesWhatIsWellFormed) {
  struct Case {
    std::string_view value;
    std::string_view access_key;
    std::string_view secret;
  };
  const std::vector<Case> cases = {
      {"Basic QUNNRTphY21lLXNlY3JldA==", "ACME", "acme-secret"},
      {"basic QUNNRTphY21lLXNlY3JldA==", "ACME", "acme-secret"},
      {"bASIC   QUNNRTphY21lLXNlY3JldA==", "ACME", "acme-secret"},
      {"Basic YTpiOmM=", "a", "b:c"},
      {"Basic Og==", "", ""},
      {"Basic YTo=", "a", ""},
  };
  for (const Case& item : cases) {
    const auto credentials = parse_basic(item.value);
    ASSERT_TRUE(credentials) << item.value;
    EXPECT_EQ(credentials->access_key(), item.access_key) << item.value;
    EXPECT_EQ(credentials->secret(), item.secret) << item.value;
  }
}

TEST(ParseBasic, RefusesAllElse) {
  const std::vector<std::string_view> cases = {
      "",
      "Basic",
      "Basic ",
      "BasicQUNNRTphY21lLXNlY3JldA==",
      "Basic\tQUNNRTphY21lLXNlY3JldA==",
      " Basic QUNNRTphY21lLXNlY3JldA==",
      "Basic QUNNRTphY21lLXNlY3JldA== ",
      "Basic QUNNRTph Y21lLXNlY3JldA==",
      "Basic QUNNRTphY21lLXNlY3JldA",
      "Basic QUNNRTphY21lLXNlY3JldA=",
      "Basic QUNNRTphY21lLXNlY3JldB==",
      "Basic QUNNRTphY21lLXNlY3JldA==,",
      "Basic QUNNRQ==",
      "Basic ACME:acme-secret",
      "Bearer QUNNRTphY21lLXNlY3JldA==",
      "Digest QUNNRTphY21lLXNlY3JldA==",
      "Basi QUNNRTphY21lLXNlY3JldA==",
      "Basics QUNNRTphY21lLXNlY3JldA==",
  };
  for (const std::string_view value : cases) EXPECT_FALSE(parse_basic(value)) << value;
}

core::KeyLine line_of(std::string name, std::optional<Time> expires_at = std::nullopt) {
  core::KeyLine line;
  line.key = {
      std::move(name), hash_secret("s3cret"), {std::string(kScopeCallAccessRead)}, expires_at};
  return line;
}

TEST(Judge, TellsKeysThatHoldFromAllOthers) {
  test::ModelStore store;
  store.apply({CompanyId{1}, false, core::Company{CompanyId{1}, "Acme"}});
  store.apply({CompanyId{1}, false, line_of("A")});
  store.apply({CompanyId{1}, false, line_of("B", kNow)});
  store.apply({CompanyId{1}, false, line_of("C", Time{kNow.micros + 1})});
  const auto verdict = [&](std::optional<std::string_view> value, std::string_view scope) {
    const Presented presented = read_credentials(value);
    return judge(store.find_key(presented.credentials.access_key()), presented.credentials, scope,
                 kNow);
  };

  struct Case {
    std::optional<std::string_view> value;
    bool is_taken;
    bool is_well_formed = true;
  };
  const std::vector<Case> cases = {
      {"Basic QTpzM2NyZXQ=", true},   // A:s3cret
      {"Basic QTpzM2NyZXU=", false},  // A:s3creu
      {"Basic QTo=", false},          // A:
      {"Basic QTpzM2NyZXR4", false},  // A:s3cretx
      {"Basic YTpzM2NyZXQ=", false},  // a:s3cret
      {"Basic RDpzM2NyZXQ=", false},  // D:s3cret
      {"Basic QjpzM2NyZXQ=", false},  // B:s3cret, expires this very moment
      {"Basic QzpzM2NyZXQ=", true},   // C:s3cret, expires in a microsecond
      {"Basic Og==", false},         {"Bearer QTpzM2NyZXQ=", false, false},
      {std::nullopt, false, false},
  };
  for (const Case& item : cases) {
    EXPECT_EQ(read_credentials(item.value).is_well_formed, item.is_well_formed);
    EXPECT_EQ(verdict(item.value, kScopeCallAccessRead),
              item.is_taken ? Verdict::admitted : Verdict::access_denied)
        << item.value.value_or("nothing");
    for (const std::string_view lacking : {kScopeCallAccessWrite, kScopeCallAccessRead.substr(1)}) {
      EXPECT_EQ(verdict(item.value, lacking),
                item.is_taken ? Verdict::scope_missing : Verdict::access_denied);
    }
  }
}

TEST(Admission, HoldsOnlyWhileTheKeyLetsTheRequestIn) {
  const auto entry_of = [](core::KeyLine line, CompanyId company = CompanyId{1}) {
    return std::make_shared<store::KeyEntry>(store::KeyEntry{company, line.key});
  };
  const auto key = entry_of(line_of("A"));
  Time now = kNow;
  const Admission admission(key, Credentials("A:s3cret", 1), kScopeCallAccessRead,
                            [&] { return now; });
  EXPECT_EQ(admission.key(), key);
  EXPECT_TRUE(admission.is_admitted_with(key));

  auto rotated = line_of("A");
  rotated.key.secret = hash_secret("another");
  auto narrowed = line_of("A");
  narrowed.key.scopes = {std::string(kScopeCallAccessWrite)};
  auto widened = line_of("A");
  widened.key.scopes.emplace_back(kScopeCallAccessWrite);
  auto hashed_again = line_of("A");
  const auto expires_soon = entry_of(line_of("A", Time{kNow.micros + 5}));
  const std::vector<std::pair<store::KeyPtr, Verdict>> cases = {
      {nullptr, Verdict::access_denied},
      {entry_of(rotated), Verdict::access_denied},
      {entry_of(narrowed), Verdict::scope_missing},
      {entry_of(widened), Verdict::admitted},
      {entry_of(line_of("A"), CompanyId{2}), Verdict::access_denied},
      {entry_of(hashed_again), Verdict::admitted},
      {expires_soon, Verdict::admitted},
  };
  for (const auto& [key_now, verdict] : cases) {
    EXPECT_EQ(admission.is_admitted_with(key_now), verdict == Verdict::admitted);
    EXPECT_EQ(admission.verdict(), verdict);
  }
  now.micros += 5;
  EXPECT_FALSE(admission.is_admitted_with(expires_soon));
}

TEST(Scopes, KnowThemselves) {
  for (const std::string_view scope : kKnownScopes) EXPECT_TRUE(is_known_scope(scope));
  EXPECT_FALSE(is_known_scope("api:call-user-access:admin"));
  EXPECT_FALSE(is_known_scope(""));
}

}  // namespace
}  // namespace earshot::auth
