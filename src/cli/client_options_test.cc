// The command lines that ask a server: what they mean, and what is refused.
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "cli/options.h"

namespace earshot::cli {
namespace {

using Variables = std::map<std::string, std::string>;

const std::string kKey = "ACME:s3cret-of-a-key";

Result<Task> parse(const std::string& line, Variables variables = {{"EARSHOT_KEY", kKey}}) {
  std::istringstream words(line);
  std::vector<std::string> arguments;
  for (std::string word; words >> word;) arguments.push_back(word);
  return parse_command_line(arguments, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

client::Command command(const std::string& line, Variables variables = {{"EARSHOT_KEY", kKey}}) {
  const auto task = parse(line, std::move(variables));
  EXPECT_TRUE(task) << line << ": " << (task ? "" : task.error().message);
  return task ? std::get<client::Command>(*task) : client::Command();
}

template <class Question>
Question question(const std::string& line) {
  return std::get<Question>(command(line).question);
}

const client::Pair kPair{UserId{34}, CallId{7782342274025937895}};
const std::string kWords = " 34 7782342274025937895";

TEST(ClientOptions, HaveTheDocumentedDefaults) {
  const auto why = command("why" + kWords);
  EXPECT_EQ(why.server.url, "http://127.0.0.1:8080");
  EXPECT_EQ(why.server.key.access_key, "ACME");
  EXPECT_EQ(why.server.key.secret, "s3cret-of-a-key");
  EXPECT_EQ(why.server.key_file, "");
  EXPECT_EQ(why.server.ca_file, "");
  EXPECT_EQ(why.server.timeout, std::chrono::seconds(60));
  EXPECT_EQ(why.server.retries, 3U);
  EXPECT_FALSE(why.as_json);
  const auto& asked = std::get<client::Why>(why.question);
  EXPECT_EQ(asked.pair, kPair);
  EXPECT_FALSE(asked.moment.at || asked.moment.revision);
  EXPECT_EQ(question<client::Check>("check" + kWords).pairs.batch, 10'000U);
}

TEST(ClientOptions, AreTakenFromTheCommandLineAndVariables) {
  const auto who = command(
      "who 5 --server https://earshot.example --ca-file /ca.pem --timeout 5s --retries 0 --json "
      "--revision 12");
  EXPECT_EQ(who.server.url, "https://earshot.example");
  EXPECT_EQ(who.server.ca_file, "/ca.pem");
  EXPECT_EQ(who.server.timeout, std::chrono::seconds(5));
  EXPECT_EQ(who.server.retries, 0U);
  EXPECT_TRUE(who.as_json);
  EXPECT_EQ(std::get<client::Who>(who.question).call, CallId{5});
  EXPECT_EQ(std::get<client::Who>(who.question).moment.revision, 12U);
  const auto by_variables =
      command("who 5", {{"EARSHOT_KEY_FILE", "/key"}, {"EARSHOT_SERVER", "http://localhost:1"}});
  EXPECT_EQ(by_variables.server.url, "http://localhost:1");
  EXPECT_EQ(by_variables.server.key_file, "/key");
  EXPECT_EQ(command("who 5 --server http://[::1]:1",
                    {{"EARSHOT_KEY", kKey}, {"EARSHOT_SERVER", "http://localhost:1"}})
                .server.url,
            "http://[::1]:1");
}

TEST(ClientOptions, SayWhichPairs) {
  const auto check = question<client::Check>("check 34 5 6 --at 2026-03-01");
  EXPECT_EQ(check.pairs.named,
            (std::vector<client::Pair>{{UserId{34}, CallId{5}}, {UserId{34}, CallId{6}}}));
  EXPECT_EQ(check.moment.at, parse_time("2026-03-01T00:00:00Z"));
  const auto file = question<client::Check>("check --from - --batch 3");
  EXPECT_EQ(file.pairs.file, "-");
  EXPECT_EQ(file.pairs.batch, 3U);
  EXPECT_TRUE(file.pairs.named.empty());

  const auto give = question<client::ChangeGrants>(
      "give 34 5 --expires 9000-01-01T00:00:00Z --note why --dry-run --if-revision 7 "
      "--idempotency-key k");
  EXPECT_TRUE(give.gives);
  EXPECT_EQ(give.expires_at, parse_time("9000-01-01T00:00:00Z"));
  EXPECT_EQ(give.note, "why");
  EXPECT_TRUE(give.dry_run);
  EXPECT_EQ(give.if_revision, 7U);
  EXPECT_EQ(give.idempotency_key, "k");
  const auto remove = question<client::ChangeGrants>("remove --all-of-user 34");
  EXPECT_FALSE(remove.gives);
  EXPECT_EQ(remove.all_of_user, UserId{34});
  EXPECT_EQ(question<client::ChangeGrants>("remove --all-of-call 5").all_of_call, CallId{5});
}

TEST(ClientOptions, CountADurationFromNow) {
  const auto before = wall_now();
  const auto give = question<client::ChangeGrants>("give 34 5 --expires 30d");
  const auto after = wall_now();
  const std::int64_t month = 30LL * 86'400 * 1'000'000;
  EXPECT_GE(give.expires_at->micros, before.micros + month);
  EXPECT_LE(give.expires_at->micros, after.micros + month);
}

TEST(ClientOptions, OfListSayWhichOfTwoListsIsMeant) {
  const auto calls = question<client::ListCalls>("list 34 --way individual --way profile");
  EXPECT_EQ(calls.user, UserId{34});
  EXPECT_EQ(calls.ways, (std::vector<std::string>{"individual", "profile"}));
  const auto grants = question<client::ListGrants>("list --call 5 --call 6");
  EXPECT_EQ(grants.calls, (std::vector{CallId{5}, CallId{6}}));
}

TEST(ClientOptions, OfChangesSayWhereToBegin) {
  const auto all = question<client::ListChanges>("changes");
  EXPECT_FALSE(all.after || all.last || all.call || all.user || all.follows);
  const auto after = question<client::ListChanges>("changes --after 7.1000 --call 5 --user 34 -f");
  EXPECT_EQ(after.after, (client::Position{7, 1000}));
  EXPECT_EQ(after.call, CallId{5});
  EXPECT_EQ(after.user, UserId{34});
  EXPECT_TRUE(after.follows);
  for (const std::string line : {"changes -n 3", "changes -n3", "changes --last 3"}) {
    // The command line outweighs the variable, by letter too.
    const auto last = command(line, {{"EARSHOT_KEY", kKey}, {"EARSHOT_LAST", "4"}});
    EXPECT_EQ(std::get<client::ListChanges>(last.question).last, 3U) << line;
  }
  const auto by_variable = command("changes", {{"EARSHOT_KEY", kKey}, {"EARSHOT_LAST", "4"}});
  EXPECT_EQ(std::get<client::ListChanges>(by_variable.question).last, 4U);
}

TEST(ClientOptions, OfKeysAndRefusals) {
  EXPECT_TRUE(std::holds_alternative<client::ListKeys>(command("keys").question));
  EXPECT_TRUE(command("keys --json").as_json);
  EXPECT_TRUE(std::holds_alternative<client::ListKeys>(command("keys list").question));
  const auto create =
      question<client::CreateKey>("keys create --scope a:b --scope c:d --expires 9000-01-01");
  EXPECT_EQ(create.scopes, (std::vector<std::string>{"a:b", "c:d"}));
  EXPECT_EQ(create.replaces, "");
  EXPECT_EQ(create.expires_at, parse_time("9000-01-01T00:00:00Z"));
  const auto rotate = question<client::CreateKey>("keys rotate OLD --overlap 12h");
  EXPECT_EQ(rotate.replaces, "OLD");
  EXPECT_EQ(rotate.overlap, std::chrono::hours(12));
  EXPECT_FALSE(question<client::CreateKey>("keys rotate OLD").overlap);
  EXPECT_EQ(question<client::CreateKey>("keys rotate OLD --overlap 0s").overlap,
            std::chrono::seconds(0));
  EXPECT_EQ(question<client::RevokeKey>("keys revoke OLD").access_key, "OLD");
  EXPECT_FALSE(question<client::ListRefusals>("refusals").limit);
  EXPECT_EQ(question<client::ListRefusals>("refusals --limit 3").limit, 3U);
  const auto help = parse("keys --help");
  ASSERT_TRUE(help);
  EXPECT_NE(std::get<Text>(*help).text.find("earshot keys rotate ACCESSKEY"), std::string::npos);
  const struct {
    std::string line, error;
  } rows[] = {
      {"changes --after 7.0", "--after: '7.0' is no position"},
      {"changes --after 3 --last 3", "--after and --last: give one of them"},
      {"changes -n x", "--last: 'x' is no number"},
      {"keys create", "usage: earshot keys create --scope SCOPE..."},
      {"keys create --scope A:b", "'A:b' is no scope"},
      {"keys rotate", "usage: earshot keys rotate ACCESSKEY"},
      {"keys rotate OLD --overlap 3600", "--overlap: '3600' is no duration"},
      {"keys rotate OLD --overlap 250ms", "--overlap: '250ms' is no duration"},
      {"keys delete OLD", "keys: say list, create, rotate or revoke"},
      {"refusals --limit 0", "--limit: '0' is no number"},
  };
  for (const auto& row : rows) {
    const auto task = parse(row.line);
    ASSERT_FALSE(task) << row.line;
    EXPECT_NE(task.error().message.find(row.error), std::string::npos) << task.error().message;
  }
}

TEST(ClientOptions, KeepSecretsOffTheCommandLineAndTheWire) {
  const struct {
    std::string line;
    Variables variables;
    std::string mention;
  } table[] = {
      {"who 5", {}, "EARSHOT_KEY"},
      {"who 5 --key " + kKey, {}, "--key-file"},
      {"who 5 --key=" + kKey, {}, "--key-file"},
      {"who 5", {{"EARSHOT_KEY", "s3cret-of-a-key"}}, "EARSHOT_KEY: "},
      {"who 5 --key-file f", {{"EARSHOT_KEY", kKey}}, "--key-file"},
      {"who 5 --server http://" + kKey + "@127.0.0.1:8080", {{"EARSHOT_KEY", kKey}}, "--server"},
      {"who 5 --server https://" + kKey + "@host", {{"EARSHOT_KEY", kKey}}, "--server"},
      {"who 5 --server http://10.1.2.3:8080", {{"EARSHOT_KEY", kKey}}, "--insecure-plaintext"},
      {"who 5 --server http://earshot.example", {{"EARSHOT_KEY", kKey}}, "--insecure-plaintext"},
      {"who 5 --server 127.0.0.1:8080", {{"EARSHOT_KEY", kKey}}, "--server"},
      {"who 5 --server ftp://127.0.0.1", {{"EARSHOT_KEY", kKey}}, "--server"},
      {"who 5 --server=", {{"EARSHOT_KEY", kKey}}, "--server"},
  };
  for (const auto& row : table) {
    const auto task = parse(row.line, row.variables);
    ASSERT_FALSE(task) << row.line;
    EXPECT_EQ(task.error().code, Code::invalid_argument);
    EXPECT_NE(task.error().message.find(row.mention), std::string::npos) << task.error().message;
    EXPECT_EQ(task.error().message.find("s3cret"), std::string::npos) << task.error().message;
  }
  EXPECT_TRUE(parse("who 5 --server http://10.1.2.3:8080 --insecure-plaintext"));
  EXPECT_TRUE(parse("who 5 --server https://10.1.2.3:8080"));
}

TEST(ClientOptions, AreRefusedWithOneLine) {
  const struct {
    std::string line;
    std::string mention;
  } table[] = {
      {"why", "usage: earshot why USER CALL"},
      {"why 34", "CALL"},
      {"why 34 5 6", "6; see earshot why --help"},
      {"why x 5", "USER"},
      {"why 034 5", "'034'"},
      {"why 34 9223372036854775808", "CALL"},
      {"why 34 5 --at yesterday", "--at"},
      {"why 34 5 --at 2026-02-30", "--at"},
      {"why 34 5 --revision -1", "--revision"},
      {"why 34 5 --at 2026-03-01 --revision 3", "--at and --revision"},
      {"check", "USER"},
      {"check 34", "CALL"},
      {"check 34 5 --from f", "--from"},
      {"check 34 5x", "5x"},
      {"check 34 5 --batch 0", "--batch"},
      {"check 34 5 --batch 10001", "--batch"},
      {"who", "CALL"},
      {"who 5 --at 2026-03-01 --revision 3", "--at and --revision"},
      {"list", "--call"},
      {"list 34 --call 5", "--call"},
      {"list --call x", "--call"},
      {"list --call 5 --way shared", "who CALL"},
      {"list --call 5 --at 2026-03-01", "who CALL"},
      {"list 34 --way owner", "--way"},
      {"list 34 --at 2026-03-01 --revision 3", "--at and --revision"},
      {"give 34 5 --expires soon", "--expires"},
      {"give 34 5 --expires 30", "'30' is neither"},
      {"give 34 5 --expires 30d --idempotency-key k", "--expires"},
      {"give 34 5 --idempotency-key é", "--idempotency-key"},
      {"give 34 5 --idempotency-key=", "--idempotency-key"},
      {"give 34 5 --idempotency-key " + std::string(241, 'k'), "--idempotency-key"},
      {"give 34 5 --note " + std::string(1025, 'n'), "--note"},
      {"give 34 5 --all-of-user 34", "--all-of-user"},
      {"remove", "--all-of-user"},
      {"remove 34 5 --expires 30d", "--expires"},
      {"remove 34 5 --all-of-user 34", "--all-of-user"},
      {"remove --all-of-user 34 --all-of-call 5", "--all-of-call"},
      {"remove --all-of-call 5 --from f", "--all-of-call"},
      {"who 5 --retries 101", "--retries"},
      {"who 5 --timeout soon", "--timeout"},
      {"completion", "SHELL"},
      {"completion tcsh", "tcsh"},
      {"completion bash zsh", "SHELL"},
  };
  for (const auto& row : table) {
    const auto task = parse(row.line);
    ASSERT_FALSE(task) << row.line;
    EXPECT_EQ(task.error().code, Code::invalid_argument);
    EXPECT_NE(task.error().message.find(row.mention), std::string::npos)
        << row.line << ": " << task.error().message;
    EXPECT_EQ(task.error().message.find('\n'), std::string::npos) << task.error().message;
  }
  EXPECT_TRUE(parse("give 34 5 --idempotency-key " + std::string(240, 'k')));
  EXPECT_TRUE(parse("give 34 5 --note " + std::string(1024, 'n')));
}

}  // namespace
}  // namespace earshot::cli
