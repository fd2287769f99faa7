#include "store/pg_errors.h"

#include <gtest/gtest.h>

namespace earshot::store {
namespace {

TEST(ClassifySqlstate, SaysWhatBecameOfTheTransaction) {
  const struct {
    const char* sqlstate;
    PgFault fault;
  } cases[] = {
      {"", PgFault::lost},
      {"40003", PgFault::lost},
      {"57P01", PgFault::not_committed},
      {"57P02", PgFault::not_committed},
      {"57P03", PgFault::not_committed},
      {"08006", PgFault::not_committed},
      {"25006", PgFault::not_committed},
      {"25P03", PgFault::not_committed},
      {"40001", PgFault::retry_at_once},
      {"40P01", PgFault::retry_at_once},
      {"55P03", PgFault::retry_at_once},
      {"XX000", PgFault::shard_moved},
      {"57014", PgFault::overloaded},
      {"53300", PgFault::overloaded},
      {"22001", PgFault::ours},
      {"23505", PgFault::ours},
      {"42P01", PgFault::ours},
      {"0A000", PgFault::ours},
  };
  for (const auto& c : cases) EXPECT_EQ(classify_sqlstate(c.sqlstate), c.fault) << c.sqlstate;
}

TEST(FromSqlstate, OnlyFaultsOfOursAreInternal) {
  EXPECT_EQ(from_sqlstate("23505", "duplicate key").code, Code::internal);
  EXPECT_EQ(from_sqlstate("23505", "duplicate key").message, "PostgreSQL (23505): duplicate key");
  EXPECT_EQ(from_sqlstate("53300", "too many").code, Code::unavailable);
  EXPECT_EQ(from_sqlstate("", "gone").message, "PostgreSQL: gone");
  EXPECT_EQ(from_sqlstate("", "gone").code, Code::unavailable);
}

}  // namespace
}  // namespace earshot::store
