#include "api/head.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "api/testing.h"
#include "base/text.h"

namespace earshot::api {
namespace {

namespace json = boost::json;

constexpr std::string_view kPrivate = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7
-----END PRIVATE KEY-----
)";
constexpr std::string_view kPublic = R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=
-----END PUBLIC KEY-----
)";

SigningKey make_key() {
  std::string path = (std::filesystem::temp_directory_path() / "earshot-head-XXXXXX").string();
  close(mkstemp(path.data()));
  std::ofstream(path) << kPrivate;
  auto key = SigningKey::load(path);
  std::filesystem::remove(path);
  return *key;
}

class HeadTest : public ApplicationTest {
 protected:
  HeadTest() {
    put_key(CompanyId{1}, "AUDIT", {"earshot:audit:read"});
    store::RecordedRevision revision;
    revision.revision = 7;
    revision.time = Time{kNow.micros - 60'000'000};  // a minute before it is signed
    revision.hash.fill(0xAB);
    store_.recorded.push_back(revision);
    store_.horizon = 3;
  }
  std::shared_ptr<Got> get_head() {
    return ask({.method = "GET",
                .path = "/earshot/v1/changes/head",
                .fields = {{"Authorization", "Basic QVVESVQ6czNjcmV0"}}});
  }
};

const std::string kHash = [] {
  std::string text;
  for (int i = 0; i < 32; ++i) text += "ab";
  return text;
}();

TEST_F(HeadTest, IsGivenAlsoUnsigned) {
  const auto got = get_head();
  expect_envelope(*got);
  EXPECT_EQ(got->field("x-earshot-revision"), "7");
  EXPECT_EQ(got->body(),
            R"({"requestId":"ID","revision":7,"time":"2026-05-28T20:25:40Z","hash":")" + kHash +
                R"(","companyId":"1","statement":"earshot head 1\ncompany 1\n)"
                R"(revision 7\ntime 2026-05-28T20:25:40Z\nhash )" +
                kHash + R"(\nsigned 2026-05-28T20:26:40Z\n","keyId":null,"signature":null})");
  const auto kept = decode_heads(got->response->body, "heads");
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_TRUE(kept->at(0).signature.empty());
}

TEST_F(HeadTest, NamesItsCompanyInWhatIsSigned) {
  const std::string text = encode_head("ID", CompanyId{42}, {7, kNow, {}, 0}, kNow, std::nullopt);
  EXPECT_NE(text.find(R"("companyId":"42","statement":"earshot head 1\ncompany 42\nrevision 7\n)"),
            std::string::npos)
      << text;
  const auto kept = decode_heads(text, "heads");
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(kept->at(0).claim.company, CompanyId{42});
}

TEST_F(HeadTest, OnlySoManyAreReadAtOnce) {
  const std::string line =
      encode_head("ID", CompanyId{1}, {7, kNow, {}, 0}, kNow, std::nullopt) + "\n";
  std::string lines;
  for (std::size_t i = 0; i < kKeptHeadsMax; ++i) lines += line;
  EXPECT_TRUE(decode_heads(lines, "heads"));
  const auto more = decode_heads(lines + line, "heads");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().message, "heads:10001: at most 10000 heads can be checked at once");
}

TEST_F(HeadTest, IsSignedAndReadAgain) {
  Options options;
  options.head_key = make_key();
  make(std::move(options));
  const std::string body = get_head()->response->body;
  const auto kept = decode_heads(body + "\n\n" + body, "heads");
  ASSERT_TRUE(kept) << kept.error().message;
  ASSERT_EQ(kept->size(), 2U);
  const KeptHead& head = kept->at(1);
  EXPECT_EQ(head.claim.company, CompanyId{1});
  EXPECT_EQ(head.claim.revision, 7U);
  EXPECT_EQ(to_hex(head.claim.hash), kHash);
  const auto key = VerifyingKey::parse(kPublic, "pub.pem");
  ASSERT_TRUE(key);
  EXPECT_EQ(head.key_id, key->id());
  EXPECT_TRUE(key->is_signed(head.statement, head.signature));
  // Whatever is changed in it, it is refused or its signature is false.
  for (std::size_t i = 0; i < body.size(); ++i) {
    std::string changed = body;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    const auto other = decode_heads(changed, "heads");
    if (!other) continue;
    const KeptHead& found = other->at(0);
    const bool is_same =
        found.claim.revision == head.claim.revision && found.claim.hash == head.claim.hash &&
        found.claim.company == head.claim.company && found.statement == head.statement;
    EXPECT_TRUE(is_same || !key->is_signed(found.statement, found.signature)) << i;
  }
}

TEST_F(HeadTest, TellsWhatIsNoHead) {
  const std::string good = get_head()->response->body;
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "heads: has no head"},
      {"\n \n", "heads: has no head"},
      {"x", "heads:1: is no answer of GET /earshot/v1/changes/head"},
      {good + "\n[]", "heads:2: is no answer of GET /earshot/v1/changes/head"},
      {"{}", "heads:1: statement: is missing"},
      {with("earshot head 1", "earshot head 2"),
       "heads:1: statement: is none of a head that this version knows"},
      {with("signed 2026", "signed x026"),
       "heads:1: statement: is none of a head that this version knows"},
      {with("hash abab", "hash ab"),
       "heads:1: statement: is none of a head that this version knows"},
      {with("\"revision\":7", "\"revision\":8"), "heads:1: says something else than its statement"},
      {with("\"companyId\":\"1\"", "\"companyId\":\"2\""),
       "heads:1: says something else than its statement"},
      {with("\"hash\":\"ab", "\"hash\":\"bb"), "heads:1: says something else than its statement"},
      {with("\"time\":\"20", "\"time\":\"19"), "heads:1: says something else than its statement"},
      {with("\"signature\":null", "\"signature\":7"), "heads:1: signature: must be a string"},
      {with("\"signature\":null", "\"signature\":\"a\""), "heads:1: signature: is no base64"},
  };
  for (const auto& [text, error] : cases) {
    const auto heads = decode_heads(text, "heads");
    ASSERT_FALSE(heads) << text;
    EXPECT_EQ(heads.error().message, error);
  }
}

}  // namespace
}  // namespace earshot::api
