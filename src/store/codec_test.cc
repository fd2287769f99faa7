#include "store/codec.h"

#include <gtest/gtest.h>

#include <fstream>

#include "store/change_record.h"
#include "store/kept_answer.h"

namespace earshot::store {
namespace {

const core::Call kCall{.id = {77},
                       .workspace = {10},
                       .title = "Intro",
                       .started = "2026-03-01T10:00:00Z",
                       .primary_user = {31},
                       .parties = {{32}, {kIdMax}},
                       .is_private = true};
const core::Grant kLongGrant{.expires_at = Time{-5}, .note = "until the audit"};

TEST(Codec, KeysSortAsTheirNumbersDo) {
  const std::vector<std::string> keys = {
      encode_key(CallRowKey{{1}, {2}, RowKind::call, {}}),
      encode_key(CallRowKey{{1}, {2}, RowKind::share, {255}}),
      encode_key(CallRowKey{{1}, {2}, RowKind::share, {256}}),
      encode_key(CallRowKey{{1}, {2}, RowKind::grant, {1}}),
      encode_key(CallRowKey{{1}, {3}, RowKind::call, {}}),
      encode_key(CallRowKey{{1}, {kIdMax}, RowKind::call, {}}),
      encode_key(CallRowKey{{2}, {1}, RowKind::call, {}}),
  };
  for (std::size_t i = 1; i < keys.size(); ++i) EXPECT_LT(keys[i - 1], keys[i]) << i;
  EXPECT_LT(encode_key(DirectoryKey{{1}, ThingKind::user, 5, 9}),
            encode_key(DirectoryKey{{1}, ThingKind::user, 5, 8}))
      << "the newest version comes first";
}

TEST(Codec, WhatIsWrittenIsReadBack) {
  Digest secret;
  secret.fill(200);
  EXPECT_EQ(decode_cursor_secret(encode_cursor_secret(secret)), secret);
  EXPECT_FALSE(decode_cursor_secret(encode_cursor_secret(secret) + "x"));

  const auto key = decode_call_row_key(encode_key(CallRowKey{{1}, {2}, RowKind::grant, {3}}));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->user, UserId{3});

  const auto call = decode_call_row(encode_value(CallRow{{7, 300}, kCall}));
  ASSERT_TRUE(call && call->call);
  core::Call read = *call->call;
  read.id = kCall.id;
  EXPECT_EQ(read, kCall);
  EXPECT_EQ(call->stamp, (core::Stamp{7, 300}));
  EXPECT_FALSE(decode_call_row(encode_value(CallRow{{7, 0}, std::nullopt}))->call);

  for (const std::optional<core::Grant>& grant :
       {std::optional<core::Grant>(), std::optional(core::Grant{}), std::optional(kLongGrant)}) {
    const auto row = decode_grant_row(encode_value(GrantRowValue{{1, 0}, grant}));
    ASSERT_TRUE(row);
    EXPECT_EQ(row->grant, grant);
  }
  core::Key access;
  access.access_key = "ACME";
  access.secret = hash_secret("secret");
  access.scopes = {"a", "b"};
  access.expires_at = Time{1};
  EXPECT_EQ(decode_key_row("ACME", encode_value(KeyRow{{1}, {2, 3}, access}))->key, access);
}

TEST(Codec, AGrantOfTheUsualKindTakesFewBytes) {
  EXPECT_LE(encode_value(GrantRowValue{{1'000'000, 0}, core::Grant{}}).size(), 6U);
}

// Every prefix of a value, and every value with bytes behind it, is refused.
TEST(Codec, TornValuesAreRefused) {
  const std::string values[] = {
      encode_value(CallRow{{7, 300}, kCall}), encode_value(GrantRowValue{{1, 0}, kLongGrant}),
      encode_value(ShareRowValue{{1, 0}, true}),
      encode_value(UserCallValue{.grant = false, .share = false, .removed = {9, 9}})};
  const auto accepted = [](std::size_t which, std::string_view bytes) {
    switch (which) {
      case 0:
        return decode_call_row(bytes).has_value();
      case 1:
        return decode_grant_row(bytes).has_value();
      case 2:
        return decode_share_row(bytes).has_value();
      default:
        return decode_user_call_value(bytes).has_value();
    }
  };
  for (std::size_t which = 0; which < std::size(values); ++which) {
    EXPECT_TRUE(accepted(which, values[which]));
    EXPECT_FALSE(accepted(which, values[which] + "x"));
    for (std::size_t size = 0; size < values[which].size(); ++size) {
      EXPECT_FALSE(accepted(which, std::string_view(values[which]).substr(0, size)))
          << which << " cut at " << size;
    }
  }
}

ChangeHead head_of(Operation operation) {
  ChangeHead head;
  head.previous_hash[0] = 1;
  head.time = Time{1'772'359'200'000'000};
  head.directory_revision = 4;
  head.operation = operation;
  head.origin = {make_request_id(), "ACME"};
  return head;
}

TEST(Codec, RemovalsThatAwaitTheirSweepAscend) {
  const std::vector<core::Stamp> removals = {{3, 7}, {300, 0}};
  EXPECT_EQ(decode_sweep_value(encode_sweep_value(removals)), removals);
  EXPECT_FALSE(decode_sweep_value(encode_sweep_value({}))) << "there is one at least";
  const std::vector<core::Stamp> twice = {{3, 7}, {3, 7}};
  EXPECT_FALSE(decode_sweep_value(encode_sweep_value(twice)));
}

TEST(Codec, AHorizonOfAReleaseWithoutHistoryIsRead) {
  const auto horizon = decode_horizon(encode_value(Horizon{12, Horizon::Head{Time{-5}, 9}}));
  ASSERT_TRUE(horizon && horizon->head);
  EXPECT_EQ(horizon->revision, 12U);
  EXPECT_EQ(horizon->head->time, Time{-5});
  EXPECT_EQ(horizon->head->directory_revision, 9U);
  const auto old = decode_horizon(std::string("\x01\x0c\x00", 3));
  ASSERT_TRUE(old);
  EXPECT_EQ(old->revision, 12U);
  EXPECT_FALSE(old->head);
}

TEST(Codec, ACompanyRemembersItsRemovalByTheSameRevision) {
  const auto value = decode_directory_value(encode_value(DirectoryValue{7, "body", 3}));
  ASSERT_TRUE(value);
  EXPECT_EQ(value->n, 7U);
  EXPECT_EQ(value->removed_n, 3U);
  EXPECT_EQ(value->body, "body");
  EXPECT_FALSE(decode_directory_value(encode_value(DirectoryValue{7, "body", 8})));
}

TEST(ChangeRecord, EveryKindOfChangeIsReadBack) {
  ChangeWriter writer;
  writer.add(GrantChanged{{7}, {3, 1}, {1}, std::nullopt, core::Grant{}});
  writer.add(GrantChanged{{7}, {9, 9}, {2}, kLongGrant, std::nullopt});
  writer.add(ShareChanged{{7}, {3, 1}, {3}, false, true});
  writer.add(GrantChanged{{8}, {2, 0}, {1}, core::Grant{}, kLongGrant});
  writer.add(CallChanged{{9}, {}, std::nullopt, kCall});
  writer.add(ThingChanged{ThingKind::user, 5, "body"});
  writer.add(ThingChanged{ThingKind::profile, 6, std::nullopt});
  core::Key key;
  key.access_key = "OTHER";
  writer.add(KeyChanged{"OTHER", key});
  writer.add(KeyChanged{"GONE", std::nullopt});
  EXPECT_EQ(writer.count(), 9U);
  const ChangeHead head = head_of(Operation::records);
  const auto part = decode_change(writer.finish(head));
  ASSERT_TRUE(part);
  EXPECT_EQ(part->head.previous_hash, head.previous_hash);
  EXPECT_EQ(part->head.time, head.time);
  EXPECT_EQ(part->head.origin.access_key, "ACME");
  EXPECT_EQ(part->head.origin.request_id, head.origin.request_id);
  ASSERT_EQ(part->changes.size(), 9U);
  const auto& second = std::get<GrantChanged>(part->changes[1]);
  EXPECT_EQ(second.previous, (core::Stamp{3, 1}))
      << "one link for the pairs of a call in one record";
  EXPECT_EQ(second.before, kLongGrant);
  EXPECT_FALSE(second.after);
  EXPECT_TRUE(std::get<ShareChanged>(part->changes[2]).after);
  EXPECT_EQ(std::get<GrantChanged>(part->changes[3]).after, kLongGrant);
  EXPECT_EQ(std::get<CallChanged>(part->changes[4]).after->title, "Intro");
  EXPECT_EQ(std::get<ThingChanged>(part->changes[5]).after, "body");
  EXPECT_FALSE(std::get<ThingChanged>(part->changes[6]).after);
  EXPECT_EQ(std::get<KeyChanged>(part->changes[7]).after->access_key, "OTHER");
  EXPECT_FALSE(std::get<KeyChanged>(part->changes[8]).after);
}

TEST(ChangeRecord, SaysSinceWhenWhatWasTakenAwayWasDead) {
  ChangeWriter writer;
  writer.add(GrantChanged{{7}, {3, 1}, {1}, kLongGrant, std::nullopt, 300});
  writer.add(ShareChanged{{7}, {3, 1}, {3}, true, false, 2});
  writer.add(ShareChanged{{7}, {3, 1}, {4}, true, false});
  writer.add(CallChanged{{9}, {}, kCall, std::nullopt, 5});
  const auto part = decode_change(writer.finish(head_of(Operation::sweep)));
  ASSERT_TRUE(part);
  ASSERT_EQ(part->changes.size(), 4U);
  EXPECT_EQ(std::get<GrantChanged>(part->changes[0]).dead_since, 300U);
  EXPECT_EQ(std::get<GrantChanged>(part->changes[0]).before, kLongGrant);
  EXPECT_EQ(std::get<ShareChanged>(part->changes[1]).dead_since, 2U);
  EXPECT_EQ(std::get<ShareChanged>(part->changes[2]).dead_since, 0U);
  EXPECT_EQ(std::get<CallChanged>(part->changes[3]).dead_since, 5U);
  EXPECT_EQ(std::get<CallChanged>(part->changes[3]).before->title, kCall.title);
}

TEST(ChangeRecord, ASingleGiveIsSmall) {
  ChangeWriter writer;
  writer.add(GrantChanged{{7}, {100'000, 0}, {1}, std::nullopt, core::Grant{}});
  EXPECT_LE(writer.finish(head_of(Operation::give)).size(), 95U);
}

TEST(ChangeRecord, TornRecordsAreRefused) {
  ChangeWriter writer;
  writer.add(GrantChanged{{7}, {3, 1}, {1}, std::nullopt, core::Grant{}});
  writer.add(CallChanged{{9}, {}, std::nullopt, kCall});
  const std::string value = writer.finish(head_of(Operation::records));
  EXPECT_TRUE(decode_change(value));
  EXPECT_FALSE(decode_change(value + std::string(1, '\0')));
  for (std::size_t size = 0; size < value.size(); ++size) {
    EXPECT_FALSE(decode_change(std::string_view(value).substr(0, size))) << size;
  }
}

TEST(Codec, ExpiriesSortByTime) {
  std::string last;
  for (const std::int64_t micros : {INT64_MIN, std::int64_t{-1}, std::int64_t{0}, INT64_MAX - 1}) {
    const std::string key = encode_key(ExpiryKey{Time{micros}, {7}, {8}, {9}});
    EXPECT_LT(last, key) << micros;
    last = key;
    const auto decoded = decode_expiry_key(key);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->at.micros, micros);
    EXPECT_EQ(decoded->company, CompanyId{7});
    EXPECT_EQ(decoded->call, CallId{8});
    EXPECT_EQ(decoded->user, UserId{9});
    EXPECT_FALSE(decode_expiry_key(key + "x"));
    EXPECT_FALSE(decode_expiry_key(key.substr(1)));
    const AnswerTimeKey of_answer{Time{micros}, {{7}, sha256("k")}};
    const auto time_key = decode_answer_time_key(encode_key(of_answer));
    ASSERT_TRUE(time_key);
    EXPECT_EQ(time_key->at.micros, micros);
    EXPECT_EQ(time_key->of.key, of_answer.of.key);
  }
}

TEST(Codec, AKeptAnswerSaysAgainWhatWasSaid) {
  using enum core::PairOutcome;
  const core::Grant trial{Time{5}, "trial"};
  auto with_results = std::make_shared<WithResults>();
  with_results->terms = {trial, {}, trial, {}};
  with_results->idempotency_key = IdempotencyKey{sha256("k"), sha256("body")};
  GrantCommand command;
  command.calls = {{{1}, {{1}, {2}}}, {{3}, {{1}, {9}}}};
  command.origin.request_id = make_request_id();
  command.with_results = with_results;
  Outcome outcome;
  outcome.revision = 12345;
  outcome.results = {{{1}, {1}, given, 0, trial},
                     {{1}, {2}, no_effect, static_cast<core::Ways>(core::kAllWays & 7), {}},
                     {{3}, {1}, changed, 0, trial},
                     {{3}, {9}, unknown_user, 0, {}}};
  const KeptAnswer kept = make_kept_answer(command, outcome, Time{-77});
  const auto decoded = decode_kept_answer(encode_value(kept));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, kept);
  EXPECT_EQ(decoded->at, Time{-77});
  const auto again = answer_again(*decoded, command);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->results, outcome.results);
  EXPECT_EQ(again->revision, 12345U);
  EXPECT_EQ(again->repeated, command.origin.request_id);

  // Of all grants, the pairs are kept too.
  auto of_all = std::make_shared<WithResults>(*with_results);
  of_all->all_of = UserId{1};
  command.with_results = of_all;
  command.calls.clear();
  outcome.results = {{{1}, {1}, removed, 0, {}}, {{3}, {1}, removed, 0, {}}};
  EXPECT_EQ(answer_again(make_kept_answer(command, outcome, {}), command)->results,
            outcome.results);

  // Another request, and bytes that are none of ours.
  of_all->idempotency_key->request = sha256("other");
  EXPECT_EQ(answer_again(kept, command).error().code, Code::invalid_argument);
  const std::string value = encode_value(kept);
  for (std::size_t size = 0; size < value.size() - 4; ++size) {
    EXPECT_FALSE(decode_kept_answer(value.substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_kept_answer(value + '\x09')) << "there is no such outcome";
  KeptAnswer shorter = kept;
  shorter.results.pop_back();
  command.with_results = with_results;
  command.calls = {{{1}, {{1}, {2}}}, {{3}, {{1}, {9}}}};
  EXPECT_EQ(answer_again(shorter, command).error().code, Code::internal);
}

}  // namespace
}  // namespace earshot::store
