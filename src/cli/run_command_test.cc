#include "cli/run_command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/secret.h"
#include "base/text.h"
#include "cli/demo.h"
#include "model_store.h"

namespace earshot::cli {
namespace {

constexpr std::string_view kAcme = R"({"kind":"company","companyId":"1","name":"Acme"}
{"kind":"key","accessKey":"ACME","secret":"a-secret-of-twenty-characters","scopes":["a:b"]}
{"kind":"key","accessKey":"PAST","secret":"short","scopes":["c:d"],"expiresAt":"2020-01-01T00:00:00Z"}
{"kind":"user","userId":"5"}
)";

// A file without a name that remembers what is written to it.
class File {
 public:
  explicit File(std::string_view text = "") : file_(std::tmpfile()) {
    EXPECT_EQ(write(fd(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    lseek(fd(), 0, SEEK_SET);
  }
  ~File() { std::fclose(file_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int fd() const { return fileno(file_); }
  std::string text() const {
    std::string all(static_cast<std::size_t>(lseek(fd(), 0, SEEK_END)), '\0');
    EXPECT_EQ(pread(fd(), all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
    return all;
  }

 private:
  std::FILE* file_;
};

struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

class RunCommand : public testing::Test {
 protected:
  Ran run(Command command, std::string_view input = "", bool is_cancelled = false) {
    const File in(input), out_file, err_file;
    Output out(out_file.fd()), err(err_file.fd());
    CommandIo io{in.fd(), &out, &err, [is_cancelled] { return is_cancelled; }};
    const int code = run_command(store_, command, io);
    return {code, out_file.text(), err_file.text()};
  }

  Ran run(Verb verb) {
    Command command;
    command.verb = verb;
    return run(std::move(command));
  }

  Ran load(std::string_view text, bool is_cancelled = false) {
    Command command;
    command.verb = Verb::load;
    command.name = "acme.ndjson";
    return run(std::move(command), text, is_cancelled);
  }

  Ran create_key(CompanyId company, std::vector<std::string> scopes, bool as_json = false) {
    Command command;
    command.verb = Verb::key_create;
    command.company = company;
    command.scopes = std::move(scopes);
    command.as_json = as_json;
    return run(std::move(command));
  }

  test::ModelStore store_;
};

// The text between two others.
std::string between(const std::string& text, const std::string& before, const std::string& after) {
  const auto begin = text.find(before);
  EXPECT_NE(begin, std::string::npos) << text;
  if (begin == std::string::npos) return "";
  const auto from = begin + before.size();
  return text.substr(from, text.find(after, from) - from);
}

TEST_F(RunCommand, LoadTellsWhatWasAppliedAndWarnsOfShortSecrets) {
  const auto ran = load(kAcme);
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.out.find("acme.ndjson: 4 records"), std::string::npos) << ran.out;
  EXPECT_NE(ran.err.find("warning"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("acme.ndjson:3"), std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find("short\""), std::string::npos) << ran.err;
  EXPECT_NE(store_.find_key("ACME"), nullptr);
}

TEST_F(RunCommand, LoadNamesTheBadLineAndAppliesNothing) {
  const auto ran = load(std::string(kAcme) + "{\"kind\":\"user\"}\n");
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_TRUE(ran.err.starts_with("earshot: acme.ndjson:5: ")) << ran.err;
  EXPECT_EQ(store_.find_key("ACME"), nullptr);
}

TEST_F(RunCommand, LoadAppliesNothingOnceItIsCancelled) {
  const auto ran = load(kAcme, true);
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(store_.find_key("ACME"), nullptr);
}

TEST_F(RunCommand, DumpIsWhatWasLoaded) {
  ASSERT_EQ(load(kAcme).code, 0);
  const auto first = run(Verb::dump);
  EXPECT_EQ(first.code, 0);
  EXPECT_NE(first.out.find("\"secretHash\""), std::string::npos);
  EXPECT_EQ(first.out.find("a-secret"), std::string::npos);
  test::ModelStore other;
  std::swap(store_, other);
  ASSERT_EQ(load(first.out).code, 0);
  EXPECT_EQ(run(Verb::dump).out, first.out);
}

TEST_F(RunCommand, KeyCreateShowsASecretThatLetsItsHolderIn) {
  ASSERT_EQ(load(kAcme).code, 0);
  const auto ran = create_key(CompanyId{1}, {"api:call-user-access:read"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto access_key = between(ran.out, "access key:     ", "\n");
  const auto secret = between(ran.out, "secret:         ", "\n");
  const auto authorization = between(ran.out, "authorization:  Basic ", "\n");
  EXPECT_EQ(decode_base64(authorization), access_key + ":" + secret);
  const auto key = store_.find_key(access_key);
  ASSERT_NE(key, nullptr);
  EXPECT_TRUE(verify_secret(key->key.secret, secret));
  EXPECT_EQ(key->company, CompanyId{1});
  EXPECT_EQ(key->key.scopes, std::vector<std::string>{"api:call-user-access:read"});
}

TEST_F(RunCommand, KeyCreateAsJsonSaysTheSame) {
  ASSERT_EQ(load(kAcme).code, 0);
  const auto ran = create_key(CompanyId{1}, {"api:call-user-access:read"}, true);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto key = store_.find_key(between(ran.out, "{\"accessKey\":\"", "\""));
  ASSERT_NE(key, nullptr) << ran.out;
  EXPECT_TRUE(verify_secret(key->key.secret, between(ran.out, "\"secret\":\"", "\"")));
  EXPECT_NE(ran.out.find(R"("companyId":"1","scopes":["api:call-user-access:read"]})"),
            std::string::npos)
      << ran.out;
}

TEST_F(RunCommand, KeyCreateRefusesUnknownCompaniesAndScopes) {
  ASSERT_EQ(load(kAcme).code, 0);
  EXPECT_EQ(create_key(CompanyId{2}, {"api:call-user-access:read"}).code, 1);
  const auto ran = create_key(CompanyId{1}, {"api:no-such"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("api:no-such"), std::string::npos) << ran.err;
  EXPECT_EQ(store_.list_keys(std::nullopt)->size(), 2U);
}

TEST_F(RunCommand, KeyListShowsEveryKeyAndNoSecret) {
  ASSERT_EQ(load(kAcme).code, 0);
  const auto ran = run(Verb::key_list);
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.out.find("1        ACME        never"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("PAST        2020-01-01T00:00:00Z (past)  c:d"), std::string::npos);
  EXPECT_EQ(ran.out.find("sha256"), std::string::npos);
  Command command;
  command.verb = Verb::key_list;
  command.as_json = true;
  EXPECT_EQ(run(command).out,
            "{\"accessKey\":\"ACME\",\"companyId\":\"1\",\"scopes\":[\"a:b\"]}\n"
            "{\"accessKey\":\"PAST\",\"companyId\":\"1\",\"scopes\":[\"c:d\"],"
            "\"expiresAt\":\"2020-01-01T00:00:00Z\"}\n");
}

TEST_F(RunCommand, KeyRevokeEndsAKeyAndKnowsWhichThereAre) {
  ASSERT_EQ(load(kAcme).code, 0);
  Command command;
  command.verb = Verb::key_revoke;
  command.access_key = "ACME";
  EXPECT_EQ(run(command).code, 0);
  EXPECT_EQ(store_.find_key("ACME"), nullptr);
  const auto again = run(command);
  EXPECT_EQ(again.code, 1);
  EXPECT_NE(again.err.find("ACME"), std::string::npos) << again.err;
}

TEST_F(RunCommand, RefusalListShowsThoseOfAllAndOfNone) {
  ASSERT_EQ(load(kAcme).code, 0);
  store::Refusal refusal;
  refusal.time = Time{1'772'359'200'000'000};
  refusal.reason = "credentials";
  refusal.operation = "listKeys";
  refusal.remote_address = "192.0.2.7";
  refusal.detail = "Access denied";
  refusal.requests = 81;
  store_.refusals.push_back({1, refusal});
  refusal.company = {1};
  refusal.access_key = "ACME";
  for (std::uint64_t number = 2; number <= 1502; ++number) {
    store_.refusals.push_back({number, refusal});
  }
  refusal.company = {2};  // of which there are no keys
  store_.refusals.push_back({1503, refusal});
  Command command;
  command.verb = Verb::refusal_list;
  command.company = CompanyId{};
  EXPECT_EQ(
      run(command).out,
      "2026-03-01T10:00:00Z  company 0  -  credentials  listKeys  192.0.2.7  81 times  Access "
      "denied\n");
  command.as_json = true;
  EXPECT_EQ(
      run(command).out,
      "{\"companyId\":\"0\",\"time\":\"2026-03-01T10:00:00Z\",\"reason\":\"credentials\","
      "\"operation\":\"listKeys\",\"remoteAddress\":\"192.0.2.7\",\"detail\":\"Access denied\","
      "\"requests\":81}\n");
  command.company.reset();
  const std::string all = run(command).out;
  EXPECT_EQ(std::ranges::count(all, '\n'), 1503);  // more than a page
}

TEST_F(RunCommand, VerifyFailsOnAFault) {
  EXPECT_EQ(run(Verb::verify).code, 0);
  store_.verified.faults = {"company 1: a grant \"lost\""};
  store_.verified.grants = 7;
  const auto ran = run(Verb::verify);
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("fault: company 1: a grant"), std::string::npos) << ran.err;
  EXPECT_NE(ran.out.find("NOT sound"), std::string::npos) << ran.out;
  Command command;
  command.verb = Verb::verify;
  command.as_json = true;
  const auto as_json = run(command);
  EXPECT_EQ(as_json.code, 1);
  EXPECT_EQ(as_json.out,
            "{\"sound\":false,\"companies\":0,\"calls\":0,\"shares\":0,\"grants\":7,\"changes\":0,"
            "\"faults\":[\"company 1: a grant \\\"lost\\\"\"]}\n");
}

constexpr std::string_view kHead =
    R"({"statement":"earshot head 1\ncompany 1\nrevision 7\ntime 2026-01-01T00:00:00Z\nhash )"
    R"(abababababababababababababababababababababababababababababababab\n)"
    R"(signed 2026-01-01T00:00:00Z\n","keyId":null,"signature":null})";
constexpr std::string_view kPublicKey = R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=
-----END PUBLIC KEY-----
)";

TEST_F(RunCommand, VerifyTellsWhatTheRecordSaysOfAHead) {
  using enum store::HeadVerdict;
  struct Case {
    store::HeadVerdict verdict;
    int code;
    std::string text;
    std::string word;
  };
  Command command;
  command.verb = Verb::verify;
  command.name = "heads.json";
  for (const Case& item : {Case{extended, 0, "goes on from it", "extended"},
                           Case{cut_off, kHeadCutOff, "nobody can tell", "cut-off"},
                           Case{contradicted, 1, "ANOTHER revision", "contradicted"},
                           Case{ahead, 1, "ENDS before this head", "ahead"}}) {
    store_.verified.heads = {item.verdict};
    command.as_json = false;
    const auto ran = run(command, kHead);
    EXPECT_EQ(ran.code, item.code) << ran.err;
    EXPECT_NE(ran.out.find("head:      company 1, revision 7: "), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find(item.text), std::string::npos) << ran.out;
    command.as_json = true;
    EXPECT_NE(
        run(command, kHead)
            .out.find(R"("heads":[{"companyId":"1","revision":7,"verdict":")" + item.word + "\"}]"),
        std::string::npos);
  }
  store_.verified.heads = {cut_off};
  store_.verified.faults = {"a fault"};
  EXPECT_EQ(run(command, kHead).code, 1) << "what is known outweighs what is not";
}

TEST_F(RunCommand, VerifyRefusesHeadsThatAreNoneOrNotSigned) {
  store_.verified.heads = {store::HeadVerdict::extended};
  Command command;
  command.verb = Verb::verify;
  command.name = "heads.json";
  const auto none = run(command, "{}");
  EXPECT_EQ(none.code, 1);
  EXPECT_EQ(none.err, "earshot: heads.json:1: statement: is missing\n");
  command.public_key = kPublicKey;
  const auto is_refused = [&](const std::string& heads, const std::string& why) {
    const auto ran = run(command, heads);
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.out, "");
    EXPECT_NE(ran.err.find(why), std::string::npos) << ran.err;
  };
  const std::string head(kHead);
  const std::string unsigned_end = R"("keyId":null,"signature":null})";
  const std::string body = head.substr(0, head.size() - unsigned_end.size());
  const std::string false_signature = std::string(86, 'A') + "==";
  is_refused(head, "heads.json: the head of company 1 at revision 7 is not signed");
  is_refused(body + R"("signature":")" + false_signature + "\"}", "FALSE signature");
  is_refused(body + R"("keyId":"0011223344556677","signature":")" + false_signature + "\"}",
             "is signed with key 0011223344556677, and this is key ");
}

TEST_F(RunCommand, FailsWhereItsOutputCannotBeWritten) {
  ASSERT_EQ(load(kAcme).code, 0);
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  const File err_file;
  Output out(full), err(err_file.fd());
  CommandIo io{-1, &out, &err, [] { return false; }};
  Command command;
  command.verb = Verb::dump;
  EXPECT_EQ(run_command(store_, command, io), 1);
  EXPECT_NE(err_file.text().find("cannot write"), std::string::npos);
  close(full);
}

TEST(Demo, MayBePutInPlaceAgain) {
  test::ModelStore store;
  ASSERT_TRUE(load_demo(store));
  ASSERT_TRUE(load_demo(store));
  ASSERT_NE(store.find_key("ACME"), nullptr);
  EXPECT_TRUE(verify_secret(store.find_key("ACME")->key.secret, "acme-secret"));
}

}  // namespace
}  // namespace earshot::cli
