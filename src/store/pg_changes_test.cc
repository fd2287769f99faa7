#include "store/pg_changes.h"

#include <gtest/gtest.h>

namespace earshot::store {
namespace {

ChangeHead some_head() {
  return {.previous_hash = sha256("before"),
          .last_part = false,
          .time = Time{1'700'000'000'123'456},
          .directory_revision = 6,
          .operation = Operation::remove,
          .origin = {make_request_id(), "KEY"}};
}

void add_some(ChangeWriter& writer) {
  writer.add(GrantChanged{{9}, {}, {1}, {}, core::Grant{}});
  writer.add(ThingChanged{ThingKind::user, 4, "body"});
  core::Call call;
  call.id = {3};
  writer.add(CallChanged{{3}, {}, {}, call});
  writer.add(ShareChanged{{9}, {}, {2}, false, true});
  writer.add(ShareChanged{{9}, {}, {3}, false, true});
}

TEST(PgChangeRow, IsThePartOfTheEmbeddedStore) {
  const ChangeKey key{{5}, 7, 2};
  const ChangeHead head = some_head();
  ChangeWriter writer;
  add_some(writer);
  const std::string value = writer.finish(head);
  add_some(writer);
  const PgChangeRow row = make_change_row(key, head, writer.take_items());
  EXPECT_EQ(row.value(), value);
  EXPECT_EQ(row.hash(), hash_change(encode_key(key), value));
  EXPECT_EQ(row.items_count, 5U);
  const auto part = decode_change(row.value());
  ASSERT_TRUE(part);
  EXPECT_EQ(part->changes.size(), 5U);
}

TEST(PgChangeRow, NamesTheCallsOnceAndInOrder) {
  ChangeWriter writer;
  add_some(writer);
  const PgChangeRow row = make_change_row({{5}, 7, 0}, some_head(), writer.take_items());
  EXPECT_EQ(row.call_ids, (std::vector<std::uint64_t>{3, 9}));
}

TEST(ChangeWriter, IsEmptyAfterItsItemsWereTaken) {
  ChangeWriter writer;
  add_some(writer);
  EXPECT_GT(writer.take_items().bytes.size(), 0U);
  EXPECT_EQ(writer.bytes(), 0U);
  const ChangeItems none = writer.take_items();
  EXPECT_EQ(none.count, 0U);
  EXPECT_TRUE(none.bytes.empty() && none.calls.empty());
}

TEST(OperationText, GoesThereAndBack) {
  for (const Operation operation :
       {Operation::give, Operation::remove, Operation::records, Operation::sweep}) {
    EXPECT_EQ(parse_operation(operation_text(operation)), operation);
  }
  EXPECT_FALSE(parse_operation("Give"));
}

}  // namespace
}  // namespace earshot::store
