#include "service/spool.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "service/directory.h"

namespace earshot::service {
namespace {

namespace fs = std::filesystem;

struct Spool : testing::Test {
  Spool() {
    std::string name = (fs::temp_directory_path() / "earshot-spool-XXXXXX").string();
    directory = ::mkdtemp(name.data());
  }
  ~Spool() override { fs::remove_all(directory); }
  static std::string read_all(int fd) {
    std::string text(100, '\0');
    text.resize(static_cast<std::size_t>(::read(fd, text.data(), text.size())));
    return text;
  }

  std::string directory;
};

TEST_F(Spool, HasNoNameAndIsReadFromItsBeginning) {
  auto file = SpoolFile::open(directory);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  ASSERT_TRUE(file->write("abc").has_value() && file->write("def").has_value());
  EXPECT_TRUE(fs::is_empty(directory));
  for (int round = 0; round < 2; ++round) {
    const auto fd = file->rewind();
    ASSERT_TRUE(fd.has_value());
    EXPECT_EQ(read_all(*fd), "abcdef");
  }
  SpoolFile other = std::move(*file);
  const auto fd = other.release();
  ASSERT_TRUE(fd.has_value());
  EXPECT_EQ(read_all(*fd), "abcdef");
  ::close(*fd);
}

TEST_F(Spool, IsClosedWithItsFile) {
  int descriptor = -1;
  {
    auto file = SpoolFile::open(directory);
    ASSERT_TRUE(file.has_value());
    descriptor = *file->rewind();
  }
  EXPECT_EQ(::lseek(descriptor, 0, SEEK_SET), -1);
}

TEST_F(Spool, SaysWhereItCannotBeMade) {
  const auto file = SpoolFile::open(directory + "/not-there");
  ASSERT_FALSE(file.has_value());
  EXPECT_NE(file.error().message.find(directory + "/not-there"), std::string::npos)
      << file.error().message;
}

// A disk that takes no more than so much of a file.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

// What was written in part is not taken for the whole; and the place of the request is free again.
TEST_F(Spool, LinesThatFindNoRoomAreRefusedAndLeaveTheirPlace) {
  using Kind = WaitingRequests::Kind;
  WaitingRequests requests({.directory = 1, .keys = 1});
  RecordsUpload upload(requests);
  upload.admit({1});
  {
    const FullDisk disk(1000);
    upload.piece(std::string(900, 'x'));
    EXPECT_FALSE(requests.take_place(Kind::directory, {2}));
    upload.piece(std::string(900, 'x'));
  }
  EXPECT_TRUE(requests.take_place(Kind::directory, {2}));
  upload.piece("more");
  const Status refused = upload.submit([](SpoolFile) { ADD_FAILURE(); });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_NE(refused.error().message.find("cannot write a temporary file"), std::string::npos);
}

TEST_F(Spool, WithoutADirectoryNoLinesAreTaken) {
  using Kind = WaitingRequests::Kind;
  WaitingRequests requests({.directory = 1, .keys = 1});
  const char* const before = ::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("TMPDIR", (directory + "/not-there").c_str(), 1);
  RecordsUpload upload(requests);
  upload.admit({1});
  upload.piece("abc");
  if (before == nullptr) {
    ::unsetenv("TMPDIR");
  } else {
    ::setenv("TMPDIR", kept.c_str(), 1);
  }
  EXPECT_TRUE(requests.take_place(Kind::directory, {2}));
  const Status refused = upload.submit([](SpoolFile) { ADD_FAILURE(); });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::unavailable);
}

}  // namespace
}  // namespace earshot::service
