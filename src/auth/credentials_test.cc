#include "auth/credentials.h"

#include <gtest/gtest.h>

#include <string>
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

TEST(Authenticate, TellsKeysThatHoldFromAllOthers) {
  test::ModelStore store;
  store.apply({CompanyId{1}, false, core::Company{CompanyId{1}, "Acme"}});
  const auto put = [&](std::string name, std::optional<Time> expires_at) {
    core::KeyLine line;
    line.key = {
        std::move(name), hash_secret("s3cret"), {std::string(kScopeCallAccessRead)}, expires_at};
    store.apply({CompanyId{1}, false, line});
  };
  put("A", std::nullopt);
  put("B", kNow);
  put("C", Time{kNow.micros + 1});

  struct Case {
    std::optional<std::string_view> value;
    bool is_taken;
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
      {"Bearer QTpzM2NyZXQ=", false}, {"Basic Og==", false}, {std::nullopt, false},
  };
  for (const Case& item : cases) {
    const auto principal = authenticate(store, item.value, kNow);
    EXPECT_EQ(principal.has_value(), item.is_taken) << item.value.value_or("nothing");
  }
  const auto principal = authenticate(store, "Basic QTpzM2NyZXQ=", kNow);
  EXPECT_EQ(principal->company(), CompanyId{1});
  EXPECT_TRUE(principal->has_scope(kScopeCallAccessRead));
  EXPECT_FALSE(principal->has_scope(kScopeCallAccessWrite));
  EXPECT_FALSE(principal->has_scope("api:call-user-access"));

  core::KeyLine revoked;
  revoked.key.access_key = "A";
  store.apply({CompanyId{1}, true, revoked});
  EXPECT_FALSE(authenticate(store, "Basic QTpzM2NyZXQ=", kNow));
}

TEST(Scopes, KnowThemselves) {
  for (const std::string_view scope : kKnownScopes) EXPECT_TRUE(is_known_scope(scope));
  EXPECT_FALSE(is_known_scope("api:call-user-access:admin"));
  EXPECT_FALSE(is_known_scope(""));
}

}  // namespace
}  // namespace earshot::auth
