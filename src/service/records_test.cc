#include "service/records.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "model_store.h"

namespace earshot::service {
namespace {

const std::string kAcme = R"({"kind":"company","companyId":"1","name":"Acme"})"
                          "\n"
                          R"({"kind":"user","userId":"33"})"
                          "\n"
                          R"({"kind":"call","callId":"7"})"
                          "\n"
                          R"({"kind":"grant","callId":"7","userId":"33"})"
                          "\n";

// A directory that goes with the test.
class LoadRecords : public testing::Test {
 protected:
  LoadRecords() {
    std::string pattern = testing::TempDir() + "earshot-records-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~LoadRecords() override { std::filesystem::remove_all(directory_); }

  std::string write_file(const std::string& text) {
    const std::string path = directory_ + "/records.ndjson";
    std::ofstream(path) << text;
    return path;
  }

  std::string dump() {
    std::string text;
    const Status dumped = dump_records(store_, [&](std::string_view piece) {
      text += piece;
      return Status();
    });
    EXPECT_TRUE(dumped);
    return text;
  }

  std::string directory_;
  test::ModelStore store_;
};

TEST_F(LoadRecords, AppliesAFile) {
  std::vector<std::pair<std::uint64_t, double>> told;
  LoadOptions options;
  options.progress = [&](std::uint64_t records, double part) {
    told.emplace_back(records, part);
    return Status();
  };
  const auto loaded = load_file(store_, write_file(kAcme), options, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->report.records, 4u);
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back(), (std::pair<std::uint64_t, double>(4, 1)));
  EXPECT_NE(dump().find(R"("kind":"grant")"), std::string::npos);
}

TEST_F(LoadRecords, EndsWhereItsProgressIsAnError) {
  LoadOptions options;
  options.progress = [](std::uint64_t, double) -> Status { return unavailable("enough"); };
  const auto loaded = load_file(store_, write_file(kAcme), options, {});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message, "enough");
  EXPECT_EQ(dump(), "");
}

TEST_F(LoadRecords, OfADumpIsTheIdentity) {
  ASSERT_TRUE(load_file(store_, write_file(kAcme), {}, {}));
  const std::string first = dump();
  test::ModelStore other;
  std::swap(store_, other);
  ASSERT_TRUE(load_file(store_, write_file(first), {}, {}));
  EXPECT_EQ(dump(), first);
}

TEST_F(LoadRecords, ReadsAPipeAsItComes) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  std::thread writer([&] {
    for (std::size_t at = 0; at < kAcme.size(); ++at) {
      EXPECT_EQ(::write(ends[1], kAcme.data() + at, 1), 1);
    }
    ::close(ends[1]);
  });
  const auto loaded = load_records(store_, ends[0], "stdin", {}, {});
  writer.join();
  ::close(ends[0]);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->report.records, 4u);
}

TEST_F(LoadRecords, EndsAtABadLineOfAPipeThatStaysOpen) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const std::string text = kAcme + R"({"kind":"share","callId":"8","userId":"33"})" + "\n";
  std::string lines;
  while (lines.size() < 60'000) lines += text;  // more than a batch
  ASSERT_EQ(::write(ends[1], lines.data(), lines.size()), static_cast<ssize_t>(lines.size()));
  const auto loaded = load_records(store_, ends[0], "stdin", {}, {});
  ::close(ends[0]);
  ::close(ends[1]);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message.find("stdin:5: "), 0u) << loaded.error().message;
}

TEST_F(LoadRecords, SpoolsAPipeIntoAFileWithoutAName) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  ASSERT_EQ(::write(ends[1], kAcme.data(), kAcme.size()), static_cast<ssize_t>(kAcme.size()));
  ::close(ends[1]);
  const auto copy = spool(ends[0], "stdin", directory_);
  ::close(ends[0]);
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
  const auto loaded = load_records(store_, *copy, "stdin", {}, {});
  ::close(*copy);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->report.records, 4u);
}

TEST_F(LoadRecords, AppliesNothingOfABadFile) {
  struct Case {
    std::string line;
    std::string position;
  };
  for (const Case& item : std::vector<Case>{
           {"{", ":5: "},
           {R"({"kind":"user"})", ":5: "},
           {R"({"kind":"share","callId":"8","userId":"33"})", ":5: "},
       }) {
    const std::string path = write_file(kAcme + item.line + "\n");
    const auto loaded = load_file(store_, path, {}, {});
    ASSERT_FALSE(loaded) << item.line;
    EXPECT_EQ(loaded.error().code, Code::invalid_argument) << item.line;
    EXPECT_EQ(loaded.error().message.find(path + item.position), 0u) << loaded.error().message;
    EXPECT_EQ(dump(), "") << item.line;
  }
}

TEST_F(LoadRecords, SaysWhatItCannotOpen) {
  EXPECT_EQ(load_file(store_, directory_ + "/none", {}, {}).error().code, Code::not_found);
  EXPECT_EQ(load_file(store_, directory_, {}, {}).error().code, Code::invalid_argument);
}

TEST_F(LoadRecords, WarnsOfShortSecrets) {
  const auto loaded = load_file(
      store_,
      write_file(kAcme + R"({"kind":"key","accessKey":"A","secret":"short","scopes":["x"]})"
                         "\n"),
      {}, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->warnings.short_secrets, 1u);
}

TEST_F(LoadRecords, DumpsAsMuchAsThereIsInPieces) {
  std::string text = kAcme;
  for (int i = 100; i < 6'100; ++i) {
    text += R"({"kind":"user","userId":")" + std::to_string(i) + R"(","firstName":")" +
            std::string(80, 'x') + R"("})";
    text += '\n';
  }
  ASSERT_TRUE(load_file(store_, write_file(text), {}, {}));
  std::size_t pieces = 0;
  std::string all;
  ASSERT_TRUE(dump_records(store_, [&](std::string_view piece) {
    ++pieces;
    all += piece;
    EXPECT_LT(piece.size(), std::size_t{300} << 10);
    return Status();
  }));
  EXPECT_GT(pieces, 1u);
  EXPECT_EQ(std::ranges::count(all, '\n'), 6'004);

  const std::string path = directory_ + "/dump";
  std::FILE* const file = std::fopen(path.c_str(), "w");
  ASSERT_TRUE(dump_to_fd(store_, ::fileno(file)));
  std::fclose(file);
  EXPECT_EQ(std::filesystem::file_size(path), all.size());

  const Status stopped =
      dump_records(store_, [](std::string_view) -> Status { return internal("full"); });
  EXPECT_EQ(stopped.error().message, "full");
}

}  // namespace
}  // namespace earshot::service
