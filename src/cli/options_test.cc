#include "cli/options.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace earshot::cli {
namespace {

using std::chrono::milliseconds;
using Variables = std::map<std::string, std::string>;

Result<Task> parse(const std::string& line, const Variables& variables = {}) {
  std::istringstream words(line);
  std::vector<std::string> arguments;
  for (std::string word; words >> word;) arguments.push_back(word);
  return parse_command_line(arguments, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

ServeOptions serve(const std::string& line, const Variables& variables = {}) {
  const auto task = parse("serve " + line, variables);
  EXPECT_TRUE(task) << line << ": " << (task ? "" : task.error().message);
  return task ? std::get<ServeOptions>(*task) : ServeOptions();
}

StoreCommands commands(const std::string& line, const Variables& variables = {}) {
  const auto task = parse(line, variables);
  EXPECT_TRUE(task) << line << ": " << (task ? "" : task.error().message);
  return task ? std::get<StoreCommands>(*task) : StoreCommands();
}

class File {
 public:
  explicit File(const std::string& text) {
    std::string name = (std::filesystem::temp_directory_path() / "earshot-cli-XXXXXX").string();
    close(mkstemp(name.data()));
    path_ = name;
    std::ofstream(path_) << text;
  }
  ~File() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(ServeOptions, HaveAThreadForEachProcessorThatTheProcessMayUse) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(serve("").server.threads, static_cast<std::size_t>(CPU_COUNT(&before)));
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(serve("").server.threads, 1U);
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

constexpr const char* kPrivateKey = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7
-----END PRIVATE KEY-----
)";
constexpr const char* kPublicKey = R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=
-----END PUBLIC KEY-----
)";

TEST(ServeOptions, SayHowReadersOfChangesAreServed) {
  EXPECT_EQ(serve("").api.feed.streams_max, 2000U);
  EXPECT_EQ(serve("").api.feed.stall, std::chrono::seconds(20));
  EXPECT_FALSE(serve("").api.head_key);
  const File key(kPrivateKey), other(kPublicKey);
  const auto options = serve("--streams-max 7 --stream-stall 3s --head-key " + key.path());
  EXPECT_EQ(options.api.feed.streams_max, 7U);
  EXPECT_EQ(options.api.feed.stall, std::chrono::seconds(3));
  EXPECT_TRUE(options.api.head_key);
  // Who has stalled is told so before the connection is given up.
  EXPECT_EQ(serve("--write-time 3s --stream-stall 3s").api.feed.stall, std::chrono::seconds(3));
  EXPECT_EQ(serve("--write-time 3s").api.feed.stall, std::chrono::seconds(3));
  const auto stalls = parse("serve --write-time 3s --stream-stall 3001ms");
  ASSERT_FALSE(stalls);
  EXPECT_EQ(stalls.error().message, "--stream-stall: give at most --write-time");
  for (const std::string file : {"/nowhere", other.path().c_str()}) {
    const auto refused = parse("serve --head-key " + file);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("--head-key"), std::string::npos);
    EXPECT_NE(refused.error().message.find(file), std::string::npos);
  }
  std::filesystem::permissions(key.path(), std::filesystem::perms(0640));
  EXPECT_FALSE(parse("serve --head-key " + key.path()));
}

TEST(StoreCommandOptions, OfVerifyNameHeadsAndTheirKey) {
  const File key(kPublicKey), other(kPrivateKey);
  const auto command =
      commands("verify --head heads.json --head-public-key " + key.path()).commands.at(0);
  EXPECT_EQ(command.name, "heads.json");
  EXPECT_EQ(command.public_key, kPublicKey);
  EXPECT_EQ(commands("verify").commands.at(0).name, "");
  EXPECT_FALSE(parse("verify --head-public-key " + key.path()));
  EXPECT_FALSE(parse("verify --head heads.json --head-public-key " + other.path()));
  EXPECT_FALSE(parse("verify --head heads.json --head-public-key /nowhere"));
}

TEST(ServeOptions, HaveTheDocumentedDefaults) {
  const auto options = serve("");
  EXPECT_EQ(options.server.listen, "127.0.0.1:8080");
  EXPECT_FALSE(options.server.admin_listen);
  EXPECT_FALSE(options.server.tls);
  EXPECT_GE(options.server.threads, 1U);
  EXPECT_EQ(options.server.limits.body_bytes_max, 8U << 20);
  EXPECT_EQ(options.store.directory, "./earshot-data");
  EXPECT_EQ(options.store.free_bytes_min, 512ULL << 20);
  EXPECT_FALSE(options.store.retention);
  EXPECT_FALSE(options.store.retention_revisions);
  EXPECT_EQ(options.store.refusals.per_company, 10'000U);
  EXPECT_EQ(options.store.refusals.keep, std::chrono::hours(30 * 24));
  EXPECT_EQ(options.store.idempotency_keep, std::chrono::hours(24));
  EXPECT_EQ(options.api.limits.nesting_max, 64U);
  EXPECT_EQ(options.api.limits.ids_max, 100'000U);
  EXPECT_TRUE(options.api.admin_on_main);
  EXPECT_EQ(options.api.log_sample, 0);
  EXPECT_EQ(options.rates.per_second, 0U);
  EXPECT_EQ(options.rates.per_day, 0U);
  EXPECT_FALSE(options.demo);
  EXPECT_EQ(options.drain_delay, milliseconds(0));
}

TEST(ServeOptions, AreTakenFromTheCommandLine) {
  const auto options = serve(
      "--listen 127.0.0.1:0 --store /s --load a --load b --demo --admin-listen 127.0.0.1:1 "
      "--drain-delay 5s --rate-per-second 3 --rate-per-day=10000 --cache-bytes 1MiB "
      "--block-cache-bytes 2MiB --load-memory-bytes 3MiB --store-free-bytes-min 0 "
      "--store-retention 30d --idempotency-keep 2d --threads 7 --store-retention-revisions 12 "
      "--refusals-max 13 --refusals-keep 14h "
      "--head-bytes-max 4KiB --body-bytes-max 1KiB --nesting-max 8 --ids-max 9 --idle-time 1s "
      "--request-time 2s --write-time 3s --connections-max 10 --connections-per-address-max 11 "
      "--log-requests 0.25 --drain-time 4s");
  EXPECT_EQ(options.server.listen, "127.0.0.1:0");
  EXPECT_EQ(options.store.directory, "/s");
  EXPECT_EQ(options.load, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(options.demo);
  EXPECT_EQ(options.server.admin_listen, "127.0.0.1:1");
  EXPECT_FALSE(options.api.admin_on_main);
  EXPECT_EQ(options.drain_delay, milliseconds(5000));
  EXPECT_EQ(options.drain_time, milliseconds(4000));
  EXPECT_EQ(options.rates.per_second, 3U);
  EXPECT_EQ(options.rates.per_day, 10000U);
  EXPECT_EQ(options.store.cache_bytes, 1U << 20);
  EXPECT_EQ(options.store.block_cache_bytes, 2U << 20);
  EXPECT_EQ(options.store.load_memory_bytes, 3U << 20);
  EXPECT_EQ(options.store.free_bytes_min, 0U);
  EXPECT_EQ(options.store.retention, std::chrono::hours(30 * 24));
  EXPECT_EQ(options.store.retention_revisions, 12U);
  EXPECT_EQ(options.store.refusals.per_company, 13U);
  EXPECT_EQ(options.store.refusals.keep, std::chrono::hours(14));
  EXPECT_EQ(options.store.idempotency_keep, std::chrono::hours(2 * 24));
  EXPECT_EQ(options.server.threads, 7U);
  EXPECT_EQ(options.server.limits.head_bytes_max, 4096U);
  EXPECT_EQ(options.server.limits.body_bytes_max, 1024U);
  EXPECT_EQ(options.api.body_bytes_max, 1024U);
  EXPECT_EQ(options.api.limits.nesting_max, 8U);
  EXPECT_EQ(options.api.limits.ids_max, 9U);
  EXPECT_EQ(options.server.limits.idle_time, milliseconds(1000));
  EXPECT_EQ(options.server.limits.request_time, milliseconds(2000));
  EXPECT_EQ(options.server.limits.write_time, milliseconds(3000));
  EXPECT_EQ(options.server.limits.connections_max, 10U);
  EXPECT_EQ(options.server.limits.connections_per_address_max, 11U);
  EXPECT_EQ(options.api.log_sample, 0.25);
  EXPECT_EQ(serve("--log-requests all").api.log_sample, 1);
  EXPECT_EQ(serve("--log-requests refused-and-changed").api.log_sample, 0);
}

TEST(ServeOptions, NeedTlsOrSayingSoOnAnAddressThatOthersReach) {
  for (const std::string host : {"0.0.0.0", "[::]", "10.1.2.3", "example.com"}) {
    const auto refused = parse("serve --listen " + host + ":80");
    ASSERT_FALSE(refused) << host;
    EXPECT_NE(refused.error().message.find("--insecure-plaintext"), std::string::npos);
    EXPECT_FALSE(parse("serve --admin-listen " + host + ":80")) << host;
    EXPECT_TRUE(parse("serve --insecure-plaintext --listen " + host + ":80")) << host;
    EXPECT_TRUE(parse("serve --tls-cert c --tls-key k --listen " + host + ":80")) << host;
  }
  for (const std::string host : {"localhost", "127.0.0.1", "127.9.9.9", "[::1]"}) {
    EXPECT_TRUE(parse("serve --listen " + host + ":80")) << host;
  }
}

TEST(ServeOptions, KeepProbesAndFiguresFromAddressesThatOthersReach) {
  EXPECT_TRUE(serve("--listen 127.0.0.1:80").api.admin_on_main);
  EXPECT_FALSE(serve("--listen 0.0.0.0:80 --insecure-plaintext").api.admin_on_main);
  EXPECT_TRUE(serve("--listen 0.0.0.0:80 --insecure-plaintext --expose-admin").api.admin_on_main);
  EXPECT_FALSE(serve("--admin-listen 127.0.0.1:81").api.admin_on_main);
}

TEST(ServeOptions, TakeADatabaseInPlaceOfADirectory) {
  const ServeOptions options = serve(
      "--store postgresql://db/x --store-connections 3 --store-statement-time 1s "
      "--store-request-time 4s --primary-proof-ms 0 --store-replica postgres://r/x "
      "--store-retention 1d --idempotency-keep 100h --store-retention-revisions 5 "
      "--refusals-max 6 --refusals-keep 7h");
  EXPECT_EQ(options.postgres.retention_revisions, 5U);
  EXPECT_EQ(options.postgres.refusals.per_company, 6U);
  EXPECT_EQ(options.postgres.refusals.keep, std::chrono::hours(7));
  EXPECT_EQ(options.postgres.url, "postgresql://db/x");
  EXPECT_EQ(options.store.directory, "");
  EXPECT_EQ(options.postgres.connections, 3U);
  EXPECT_EQ(options.postgres.statement_time, milliseconds(1000));
  EXPECT_EQ(options.postgres.request_time, milliseconds(4000));
  EXPECT_EQ(options.postgres.primary_proof, milliseconds(0));
  EXPECT_EQ(options.postgres.replica_url, "postgres://r/x");
  EXPECT_EQ(options.postgres.retention, std::chrono::hours(24));
  EXPECT_EQ(options.postgres.idempotency_keep, std::chrono::hours(100));
  EXPECT_EQ(serve("").postgres.url, "");
}

TEST(StoreCommands, ShowNoPasswordOfAUrlInTheWrongPlace) {
  for (const char* const line : {"dump postgresql://u:s3@cret@h/db",
                                 "serve --store-statement-time postgresql://u:s3@cret@h/db"}) {
    const auto task = parse(line);
    ASSERT_FALSE(task) << line;
    EXPECT_EQ(task.error().message.find("cret"), std::string::npos) << task.error().message;
    EXPECT_NE(task.error().message.find("postgresql://...@h/db"), std::string::npos)
        << task.error().message;
  }
}

TEST(Migrate, NeedsADatabase) {
  const auto task = parse("migrate --store postgres://db/x --citus");
  ASSERT_TRUE(task);
  EXPECT_EQ(std::get<Migrate>(*task).url, "postgres://db/x");
  EXPECT_TRUE(std::get<Migrate>(*task).citus);
}

TEST(ServeOptions, RefuseWhatCannotBeHonouredAndNameTheOption) {
  const struct {
    std::string line;
    std::string mention;
  } table[] = {
      {"--nonsense", "--nonsense"},
      {"nonsense", "nonsense"},
      {"--load a nonsense", "nonsense"},
      {"--listen", "--listen"},
      {"--listen 8080", "--listen"},
      {"--listen 127.0.0.1:99999", "99999"},
      {"--admin-listen x", "--admin-listen"},
      {"--tls-cert c", "--tls-key"},
      {"--tls-key k", "--tls-cert"},
      {"--store mysql://db/x", "postgresql://"},
      {"--store postgresql:/db/x", "postgresql://"},
      {"--store postgresql://db/x --cache-bytes 1MiB", "--cache-bytes"},
      {"--store postgres://db/x --store-free-bytes-min 0", "--store-free-bytes-min"},
      {"--primary-proof-ms 0", "--primary-proof-ms"},
      {"--store-replica postgresql://db/x", "--store-replica"},
      {"--store postgresql://db/x --store-replica db2", "--store-replica"},
      {"--store postgresql://db/x --store-statement-time 1ms", "--store-statement-time"},
      {"--store postgresql://db/x --store-request-time 1s", "--store-request-time"},
      {"--store=", "--store"},
      {"--rate-per-second many", "--rate-per-second"},
      {"--rate-per-second -1", "--rate-per-second"},
      {"--rate-per-day 1.5", "--rate-per-day"},
      {"--cache-bytes 12Q", "--cache-bytes"},
      {"--drain-delay soon", "--drain-delay"},
      {"--store-retention -1d", "--store-retention"},
      {"--idempotency-keep soon", "--idempotency-keep"},
      {"--idempotency-keep 23h", "less than 24h"},
      {"--threads 0", "--threads"},
      {"--threads 9999", "--threads"},
      {"--nesting-max 1", "--nesting-max"},
      {"--ids-max 0", "--ids-max"},
      {"--connections-max 0", "--connections-max"},
      {"--log-requests some", "--log-requests"},
      {"--log-requests 1.1", "--log-requests"},
      {"--log-requests .", "--log-requests"},
      {"--log-requests=", "--log-requests"},
      {"--config /no/such/file", "/no/such/file"},
      {"--threads 1 --threads 2", "--threads"},
  };
  for (const auto& row : table) {
    const auto task = parse("serve " + row.line);
    ASSERT_FALSE(task) << row.line;
    EXPECT_EQ(task.error().code, Code::invalid_argument);
    EXPECT_NE(task.error().message.find(row.mention), std::string::npos)
        << row.line << ": " << task.error().message;
    EXPECT_EQ(task.error().message.find('\n'), std::string::npos) << task.error().message;
  }
}

TEST(Options, OnTheCommandLineOutweighVariablesWhichOutweighTheFile) {
  const File file("rate-per-second = 1\nrate-per-day=11\nload=[\"a\", \"b\"]\ndemo=true\n");
  const std::string with_file = "--config " + file.path();
  const Variables variables = {{"EARSHOT_RATE_PER_SECOND", "2"}};
  EXPECT_EQ(serve(with_file).rates.per_second, 1U);
  EXPECT_EQ(serve(with_file, variables).rates.per_second, 2U);
  EXPECT_EQ(serve(with_file + " --rate-per-second 3", variables).rates.per_second, 3U);
  EXPECT_EQ(serve(with_file + " --rate-per-second=3", variables).rates.per_second, 3U);
  EXPECT_EQ(serve(with_file, variables).rates.per_day, 11U);
  EXPECT_EQ(serve(with_file).load, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(serve(with_file).demo);
  EXPECT_EQ(serve("", {{"EARSHOT_CONFIG", file.path()}}).rates.per_day, 11U);
}

TEST(Options, AreAllVariablesToo) {
  const auto options = serve("", {{"EARSHOT_STORE", "/v"},
                                  {"EARSHOT_DEMO", "true"},
                                  {"EARSHOT_LOAD", "a b"},
                                  {"EARSHOT_INSECURE_PLAINTEXT", "1"},
                                  {"EARSHOT_LISTEN", "0.0.0.0:1"},
                                  {"EARSHOT_HELP", "true"},
                                  {"EARSHOT_NO_SUCH_OPTION", "x"}});
  EXPECT_EQ(options.store.directory, "/v");
  EXPECT_TRUE(options.demo);
  EXPECT_EQ(options.load, std::vector<std::string>{"a b"});
  EXPECT_EQ(options.server.listen, "0.0.0.0:1");
  EXPECT_FALSE(serve("", {{"EARSHOT_DEMO", "false"}}).demo);
  EXPECT_EQ(commands("dump", {{"EARSHOT_STORE", "/v"}}).store, "/v");
  EXPECT_EQ(commands("key create", {{"EARSHOT_COMPANY", "7"}, {"EARSHOT_SCOPE", "a:b"}})
                .commands.at(0)
                .company,
            CompanyId{7});
  const auto refused = parse("serve", {{"EARSHOT_RATE_PER_DAY", "many"}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("many"), std::string::npos);
}

TEST(Options, OfAFileMustBeOptionsOfServeButMayBeForOthersElsewhere) {
  const File file("store = \"/f\"\nrate-per-day = 5\n");
  EXPECT_EQ(commands("dump --config " + file.path()).store, "/f");
  const File typo("rate-per-dya = 5\n");
  const auto refused = parse("serve --config " + typo.path());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("rate-per-dya"), std::string::npos);
}

TEST(StoreCommands, CarryWhatTheyNeed) {
  auto task = commands("load a.ndjson - --store /s --load-memory-bytes 5MiB");
  EXPECT_EQ(task.load_memory_bytes, 5U << 20);
  EXPECT_EQ(task.store, "/s");
  ASSERT_EQ(task.commands.size(), 2U);
  EXPECT_EQ(task.commands[0].verb, Verb::load);
  EXPECT_EQ(task.commands[0].name, "a.ndjson");
  EXPECT_EQ(task.commands[1].name, "-");

  task = commands("key create --company 5 --scope a:b --scope c:d --expires 9000-01-01T00:00:00Z");
  EXPECT_EQ(task.store, "./earshot-data");
  ASSERT_EQ(task.commands.size(), 1U);
  EXPECT_EQ(task.commands[0].company, CompanyId{5});
  EXPECT_EQ(task.commands[0].scopes, (std::vector<std::string>{"a:b", "c:d"}));
  EXPECT_EQ(task.commands[0].expires_at, parse_time("9000-01-01T00:00:00Z"));

  EXPECT_EQ(commands("key revoke ACME --store /s").commands.at(0).access_key, "ACME");
  EXPECT_TRUE(commands("key list --json").commands.at(0).as_json);
  EXPECT_EQ(commands("verify").commands.at(0).verb, Verb::verify);
  EXPECT_EQ(commands("dump").commands.at(0).verb, Verb::dump);
  const auto directory = commands("backup some/../there").commands.at(0).directory;
  EXPECT_EQ(directory, (std::filesystem::current_path() / "there").string());
}

TEST(StoreCommands, AreRefusedWithOneLine) {
  const struct {
    std::string line;
    std::string mention;
  } table[] = {
      {"", "earshot --help"},
      {"fly", "fly"},
      {"key", "create"},
      {"key fly", "create"},
      {"load", "FILE"},
      {"dump extra", "extra"},
      {"dump --json", "--json"},
      {"dump --store mysql://x", "postgresql://"},
      {"backup b --store postgresql://x", "pg_basebackup"},
      {"migrate", "postgresql://"},
      {"migrate --store ./data", "postgresql://"},
      {"key create --scope a:b", "--company"},
      {"key create --company 1", "--scope"},
      {"key create --company x --scope a:b", "--company"},
      {"key create --company 0 --scope a:b", "--company"},
      {"key create --company 1 --scope A", "'A'"},
      {"key create --company 1 --scope a:", "'a:'"},
      {"key create --company 1 --scope a:b --expires tomorrow", "--expires"},
      {"key create --company 1 --scope a:b --expires 2020-01-01T00:00:00Z", "past"},
      {"key revoke", "ACCESSKEY"},
      {"key revoke a b", "b"},
      {"backup", "DIR"},
  };
  for (const auto& row : table) {
    const auto task = parse(row.line);
    ASSERT_FALSE(task) << row.line;
    EXPECT_NE(task.error().message.find(row.mention), std::string::npos)
        << row.line << ": " << task.error().message;
    EXPECT_EQ(task.error().message.find('\n'), std::string::npos) << task.error().message;
  }
}

TEST(Help, IsThereForEveryCommand) {
  std::vector<std::string> lines = {"help", "--help", "-h", "key --help"};
  for (const auto& command : describe_commands()) {
    if (!command.options.empty()) lines.push_back(command.name + " --help");
  }
  EXPECT_GE(lines.size(), 20U);
  for (const auto& line : lines) {
    const auto task = parse(line);
    ASSERT_TRUE(task) << line;
    const auto* text = std::get_if<Text>(&*task);
    ASSERT_NE(text, nullptr) << line;
    EXPECT_NE(text->text.find("--"), std::string::npos) << line;
  }
  EXPECT_NE(std::get<Text>(*parse("serve --help")).text.find("--drain-delay"), std::string::npos);
  for (const std::string name : {"serve", "key create", "why", "completion", "version"}) {
    EXPECT_NE(std::get<Text>(*parse("help")).text.find("  earshot " + name), std::string::npos);
  }
  EXPECT_EQ(std::get<Text>(*parse("version")).text, "earshot " EARSHOT_VERSION "\n");
  EXPECT_EQ(std::get<Text>(*parse("--version")).text, "earshot " EARSHOT_VERSION "\n");
}

}  // namespace
}  // namespace earshot::cli
