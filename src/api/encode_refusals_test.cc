// How a refusal reads.
#include "api/encode_refusals.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace earshot::api {
namespace {

std::string text_of(const store::Refusal& refusal, bool with_company) {
  std::string text = "[";
  append_refusal(text, refusal, with_company);
  return text.substr(1);
}

TEST(EncodeRefusal, SaysAllThatIsKnown) {
  store::Refusal refusal;
  refusal.company = CompanyId{7};
  refusal.time = Time{1'780'000'000'000'000};
  refusal.reason = "scope";
  refusal.operation = "listKeys";
  refusal.access_key = "A\"B";
  refusal.remote_address = "10.0.0.1";
  refusal.request_id.bytes[0] = 1;
  refusal.detail = "a\nb";
  refusal.requests = 12;
  const std::string id(format_request_id(refusal.request_id).view());
  const std::string rest =
      R"("time":"2026-05-28T20:26:40Z","reason":"scope","operation":"listKeys",)"
      R"("accessKey":"A\"B","remoteAddress":"10.0.0.1","requestId":")" +
      id + R"(","detail":"a\nb","requests":12})";
  EXPECT_EQ(text_of(refusal, false), "{" + rest) << "a company sees no company";
  EXPECT_EQ(text_of(refusal, true), R"({"companyId":"7",)" + rest);
}

TEST(EncodeRefusal, LeavesOutWhatNobodyKnows) {
  store::Refusal refusal;
  refusal.time = Time{1'780'000'000'000'000};
  refusal.reason = "not_kept";
  refusal.detail = "more";
  refusal.requests = 3;
  EXPECT_EQ(text_of(refusal, false),
            R"({"time":"2026-05-28T20:26:40Z","reason":"not_kept","detail":"more","requests":3})");
}

}  // namespace
}  // namespace earshot::api
