#include "service/keys.h"

#include <gtest/gtest.h>

#include "auth/credentials.h"
#include "auth/scopes.h"
#include "model_store.h"

namespace earshot::service {
namespace {

constexpr Time kNow{1'780'000'000'000'000};
constexpr CompanyId kAcme{1};

class Keys : public testing::Test {
 protected:
  Keys() { store_.apply({kAcme, false, core::Company{kAcme, "Acme"}}); }

  KeyRequest request() { return {kAcme, {std::string(auth::kScopeCallAccessRead)}, std::nullopt}; }

  test::ModelStore store_;
};

TEST_F(Keys, OpenUntilTheyAreRevoked) {
  const auto made = create_key(store_, request(), {}, kNow);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->access_key.size(), 32u);
  EXPECT_EQ(made->secret.size(), 43u);
  const auto key = store_.find_key(made->access_key);
  ASSERT_TRUE(key);
  EXPECT_EQ(key->company, kAcme);
  EXPECT_TRUE(verify_secret(key->key.secret, made->secret));
  EXPECT_EQ(store_.list_keys(kAcme)->size(), 1u);

  EXPECT_TRUE(revoke_key(store_, made->access_key, {}));
  EXPECT_FALSE(store_.find_key(made->access_key));
  EXPECT_EQ(revoke_key(store_, made->access_key, {}).error().code, Code::not_found);
}

TEST_F(Keys, AreNeverTheSame) {
  const auto first = create_key(store_, request(), {}, kNow);
  const auto second = create_key(store_, request(), {}, kNow);
  EXPECT_NE(first->access_key, second->access_key);
  EXPECT_NE(first->secret, second->secret);
}

TEST_F(Keys, AreRefusedWhereTheyCouldNotWork) {
  auto no_scope = request();
  no_scope.scopes.clear();
  auto unknown_scope = request();
  unknown_scope.scopes.push_back("api:everything");
  auto expired = request();
  expired.expires_at = kNow;
  auto unknown_company = request();
  unknown_company.company = CompanyId{2};
  for (const KeyRequest& bad : {no_scope, unknown_scope, expired, unknown_company}) {
    const auto made = create_key(store_, bad, {}, kNow);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::invalid_argument) << made.error().message;
  }
  EXPECT_TRUE(store_.list_keys(std::nullopt)->empty());
}

}  // namespace
}  // namespace earshot::service
