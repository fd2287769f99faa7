#include "service/directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "auth/credentials.h"
#include "auth/scopes.h"
#include "model_store.h"

namespace earshot::service {
namespace {

constexpr CompanyId kAcme{1};
constexpr Time kNow{1'780'000'000'000'000};

class Directory : public testing::Test {
 protected:
  Directory() {
    store_.apply({kAcme, false, core::Company{kAcme, "Acme"}});
    put_key({std::string(auth::kScopeDirectoryWrite)});
    asker_ = std::make_unique<auth::Admission>(store_.find_key("A"), auth::Credentials("A:s3", 1),
                                               auth::kScopeDirectoryWrite, [] { return kNow; });
  }

  void put_key(std::vector<std::string> scopes) {
    core::KeyLine line;
    line.key = {"A", hash_secret("s3"), std::move(scopes), std::nullopt};
    store_.apply({kAcme, false, line});
  }

  Result<DirectoryOutcome> load(const std::string& text) {
    auto file = SpoolFile::open();
    EXPECT_TRUE(file.has_value() && file->write(text).has_value());
    return load_directory(store_, *asker_, std::move(*file), {make_request_id(), "A"});
  }

  test::ModelStore store_;
  std::unique_ptr<auth::Admission> asker_;
};

TEST_F(Directory, IsLoadedWithTheScopesThatTheKeyHasThen) {
  const std::string lines = R"({"kind":"user","userId":"5"}
{"kind":"call","callId":"6"}
{"kind":"grant","callId":"6","userId":"5"})";
  auto outcome = load(lines);
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
  ASSERT_TRUE(std::holds_alternative<ScopeLacking>(*outcome));
  EXPECT_EQ(std::get<ScopeLacking>(*outcome).message,
            "line 3: a grant line needs the scope earshot:grants:write");
  put_key({std::string(auth::kScopeDirectoryWrite), std::string(auth::kScopeGrantsWrite)});
  outcome = load(lines);
  ASSERT_TRUE(outcome.has_value());
  const auto& report = std::get<DirectoryReport>(*outcome);
  EXPECT_EQ(report.records, 3U);
  EXPECT_EQ(report.revision, store_.revision());
  put_key({std::string(auth::kScopeGrantsWrite)});
  outcome = load(lines);
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, Code::denied);
  EXPECT_EQ(asker_->verdict(), auth::Verdict::scope_missing);
}

TEST_F(Directory, WarnsOfSecretsThatAreShortAndCountsTheRest) {
  put_key({std::string(auth::kScopeDirectoryWrite), std::string(auth::kScopeKeysWrite)});
  std::string lines;
  for (int i = 0; i < 7; ++i) {
    lines += R"({"kind":"key","accessKey":"K)" + std::to_string(i) +
             R"(","secret":"short","scopes":["earshot:keys:write"]})"
             "\n";
  }
  const auto outcome = load(lines);
  ASSERT_TRUE(outcome.has_value());
  const auto& warnings = std::get<DirectoryReport>(*outcome).warnings;
  ASSERT_EQ(warnings.size(), 6U);
  EXPECT_EQ(warnings[0], "line 1: secret: is shorter than 20 characters and can be guessed");
  EXPECT_EQ(warnings[5], "and 2 more like this");
}

constexpr CompanyId kOther{2};

TEST(RecordsUpload, TakesItsPlaceWithTheFirstPieceAndLeavesItWhenItGoes) {
  using Kind = WaitingRequests::Kind;
  WaitingRequests requests({.directory = 1, .keys = 1});
  {
    RecordsUpload upload(requests), other(requests);
    upload.admit(kAcme);
    other.admit(kOther);
    EXPECT_TRUE(requests.take_place(Kind::directory, kOther));
    upload.piece("abc");
    EXPECT_FALSE(requests.take_place(Kind::directory, kOther));
    other.piece("abc");
    const Status refused = other.submit([](SpoolFile) { ADD_FAILURE(); });
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::unavailable);
  }
  EXPECT_TRUE(requests.take_place(Kind::directory, kOther));
}

TEST(RecordsUpload, HoldsAPlaceOfStrangersUntilItIsKnownWhoseItIs) {
  using Kind = WaitingRequests::Kind;
  WaitingRequests requests({.directory = 1, .keys = 1, .strangers = 1});
  RecordsUpload upload(requests), another(requests), late(requests);
  upload.piece("abc");
  EXPECT_TRUE(requests.take_place(Kind::directory, kAcme));
  EXPECT_FALSE(requests.take_place(Kind::strangers, {}));
  another.piece("abc");  // is one too many, and stays it
  upload.admit(kAcme);
  EXPECT_FALSE(requests.take_place(Kind::directory, kOther));
  late.piece("abc");  // there is room again, but later none in the directory
  late.admit(kOther);
  EXPECT_TRUE(requests.take_place(Kind::strangers, {}));
  upload.piece("def");
  std::string lines(7, ' ');
  ASSERT_TRUE(upload
                  .submit([&](SpoolFile file) {
                    const auto fd = file.rewind();
                    lines.resize(static_cast<std::size_t>(::read(*fd, lines.data(), lines.size())));
                  })
                  .has_value());
  ASSERT_TRUE(requests.wait_until_idle(std::chrono::seconds(30)));
  EXPECT_EQ(lines, "abcdef") << "what came before is kept";
  another.admit(kOther);
  for (RecordsUpload* const refused : {&another, &late}) {
    const Status status = refused->submit([](SpoolFile) { ADD_FAILURE(); });
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, Code::unavailable);
  }
}

}  // namespace
}  // namespace earshot::service
