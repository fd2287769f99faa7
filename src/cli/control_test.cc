#include "cli/control.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace earshot::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "earshot-cli-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A pipe whose end to be read gives all that was written.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(fds_.data(), O_CLOEXEC), 0); }
  ~Pipe() {
    close_writer();
    close(fds_[0]);
  }
  int writer() const { return fds_[1]; }
  int reader() const { return fds_[0]; }
  void close_writer() {
    if (fds_[1] >= 0) close(std::exchange(fds_[1], -1));
  }
  std::string read_all() {
    close_writer();
    std::string all;
    char piece[4096];
    for (ssize_t n; (n = read(fds_[0], piece, sizeof piece)) > 0;) {
      all.append(piece, static_cast<std::size_t>(n));
    }
    return all;
  }

 private:
  std::array<int, 2> fds_{-1, -1};
};

int open_null() { return open("/dev/null", O_RDWR | O_CLOEXEC); }

bool wait_for(const std::atomic<bool>& flag) {
  for (int i = 0; i < 500 && !flag; ++i) std::this_thread::sleep_for(milliseconds(10));
  return flag;
}

Command key_create() {
  Command command;
  command.verb = Verb::key_create;
  command.company = CompanyId{7};
  command.scopes = {"a:b", "c d"};
  command.expires_at = Time{-5};
  command.as_json = true;
  command.public_key = "a key\n";
  return command;
}

TEST(CommandText, ComesBackAsItWas) {
  std::vector<Command> commands(7);
  for (std::size_t i = 0; i < commands.size(); ++i) commands[i].verb = static_cast<Verb>(i);
  commands[0].name = "x=y.ndjson";
  commands[4].access_key = "ACME=";
  commands[5].directory = "/tmp/a b";
  commands.push_back(key_create());
  for (const auto& command : commands) {
    const auto decoded = decode_command(encode_command(command));
    ASSERT_TRUE(decoded) << name_of(command.verb);
    EXPECT_EQ(*decoded, command) << name_of(command.verb);
  }
}

TEST(CommandText, RefusesWhatIsNone) {
  using namespace std::string_literals;
  for (const auto& text : {""s, "dump"s, "fly\0"s, "dump\0x"s, "dump\0x\0"s, "dump\0x=\0"s,
                           "dump\0company=0\0"s, "dump\0expires=1x\0"s, "dump\0expires=\0"s}) {
    EXPECT_FALSE(decode_command(text)) << text;
  }
}

TEST(Control, RunsTheCommandWithTheClientsDescriptors) {
  TemporaryDirectory directory;
  Command seen;
  const auto server =
      ControlServer::open(directory.path(), [&](const Command& command, CommandIo& io) {
        seen = command;
        char text[16] = {};
        EXPECT_EQ(read(io.in, text, sizeof text), 5);
        EXPECT_TRUE(io.out->write("out of " + std::string(text)));
        EXPECT_TRUE(io.err->write("a warning"));
        return 42;
      });
  ASSERT_TRUE(server);
  const std::string name = directory.path() + "/input";
  const int in = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(write(in, "input", 5), 5);
  lseek(in, 0, SEEK_SET);
  Pipe out, err;
  const auto code = run_in_server(directory.path(), key_create(), in, out.writer(), err.writer());
  close(in);
  ASSERT_TRUE(code) << code.error().message;
  EXPECT_EQ(*code, 42);
  EXPECT_EQ(seen, key_create());
  EXPECT_EQ(out.read_all(), "out of input");
  EXPECT_EQ(err.read_all(), "a warning");
}

TEST(Control, FindsNobodyWhereNoServerListens) {
  TemporaryDirectory directory;
  const int null = open_null();
  auto code = run_in_server(directory.path(), {}, null, null, null);
  ASSERT_TRUE(code);
  EXPECT_FALSE(*code);
  code = run_in_server(directory.path() + "/absent", {}, null, null, null);
  ASSERT_TRUE(code);
  EXPECT_FALSE(*code);
  {
    ASSERT_TRUE(ControlServer::open(directory.path(), [](auto&, auto&) { return 0; }));
  }
  code =
      run_in_server(directory.path(), {}, null, null, null);  // the file of a server that has ended
  ASSERT_TRUE(code);
  EXPECT_FALSE(*code);
  close(null);
}

TEST(Control, ReplacesTheSocketThatAnotherServerLeft) {
  TemporaryDirectory directory;
  const int null = open_null();
  for (int round = 0; round < 3; ++round) {
    const auto server = ControlServer::open(directory.path(), [=](auto&, auto&) { return round; });
    ASSERT_TRUE(server) << server.error().message;
    EXPECT_EQ(*run_in_server(directory.path(), {}, null, null, null), round);
  }
  close(null);
}

TEST(Control, KeepsOthersOutOfTheSocket) {
  TemporaryDirectory directory;
  const mode_t before = umask(0);
  const auto server = ControlServer::open(directory.path(), [](auto&, auto&) { return 0; });
  umask(before);
  ASSERT_TRUE(server);
  struct stat info {};
  ASSERT_EQ(stat((directory.path() + "/control.sock").c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(Control, WorksInADirectoryWithALongName) {
  TemporaryDirectory directory;
  const std::string deep = directory.path() + "/" + std::string(200, 'd');
  ASSERT_TRUE(std::filesystem::create_directory(deep));
  const auto server = ControlServer::open(deep, [](auto&, auto&) { return 3; });
  ASSERT_TRUE(server) << server.error().message;
  const int null = open_null();
  EXPECT_EQ(*run_in_server(deep, {}, null, null, null), 3);
  close(null);
}

TEST(Control, TakesOnlySoManyCommandsAtOnce) {
  TemporaryDirectory directory;
  std::atomic<std::size_t> running{0};
  std::atomic<bool> release{false};
  const auto server = ControlServer::open(directory.path(), [&](auto&, auto&) {
    ++running;
    wait_for(release);
    return 0;
  });
  ASSERT_TRUE(server);
  const int null = open_null();
  std::vector<std::thread> clients;
  for (std::size_t i = 0; i < kControlCommandsMax; ++i) {
    clients.emplace_back(
        [&] { EXPECT_EQ(*run_in_server(directory.path(), {}, null, null, null), 0); });
  }
  for (int i = 0; i < 500 && running < kControlCommandsMax; ++i) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  const auto refused = run_in_server(directory.path(), {}, null, null, null);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  release = true;
  for (auto& client : clients) client.join();
  // A place is free again.
  for (int i = 0; i < 500; ++i) {
    if (run_in_server(directory.path(), {}, null, null, null)) break;
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_TRUE(run_in_server(directory.path(), {}, null, null, null));
  close(null);
}

// A client of its own, so that the test can let it go in the middle.
int connect_raw(const std::string& directory) {
  const int socket = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string path = directory + "/control.sock";
  EXPECT_LT(path.size(), sizeof name.sun_path);
  path.copy(name.sun_path, path.size());
  EXPECT_EQ(connect(socket, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  return socket;
}

void send_raw(int socket, std::string text, int fd) {
  std::array<int, 3> fds{fd, fd, fd};
  iovec piece{text.data(), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fds);
  std::memcpy(CMSG_DATA(header), fds.data(), sizeof fds);
  EXPECT_EQ(sendmsg(socket, &message, MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

TEST(Control, CancelsTheCommandOfAClientThatLeft) {
  TemporaryDirectory directory;
  std::atomic<bool> begun{false}, cancelled{false};
  const auto server = ControlServer::open(directory.path(), [&](auto&, CommandIo& io) {
    EXPECT_FALSE(io.cancelled());
    begun = true;
    for (int i = 0; i < 500 && !io.cancelled(); ++i) std::this_thread::sleep_for(milliseconds(10));
    cancelled = io.cancelled();
    return 0;
  });
  ASSERT_TRUE(server);
  const int null = open_null();
  const int client = connect_raw(directory.path());
  send_raw(client, encode_command({}), null);
  EXPECT_TRUE(wait_for(begun));
  close(client);
  EXPECT_TRUE(wait_for(cancelled));
  close(null);
}

TEST(Control, GivesUpOnAnOutputThatNobodyReadsWhenItStops) {
  TemporaryDirectory directory;
  std::atomic<bool> begun{false};
  const auto server = ControlServer::open(directory.path(), [&](auto&, CommandIo& io) {
    begun = true;
    const std::string piece(1 << 20, 'x');
    Status status;
    for (int i = 0; i < 64 && status; ++i) status = io.out->write(piece);
    EXPECT_FALSE(status);
    return 1;
  });
  ASSERT_TRUE(server);
  Pipe never_read;
  std::thread client([&] {
    (void)run_in_server(directory.path(), {}, never_read.writer(), never_read.writer(),
                        never_read.writer());
  });
  EXPECT_TRUE(wait_for(begun));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_TRUE((*server)->stop(seconds(5)));
  client.join();
}

TEST(Control, StopSaysThatACommandStillRuns) {
  TemporaryDirectory directory;
  std::atomic<bool> begun{false}, release{false};
  const auto server = ControlServer::open(directory.path(), [&](auto&, auto&) {
    begun = true;
    wait_for(release);
    return 0;
  });
  ASSERT_TRUE(server);
  const int null = open_null();
  std::thread client([&] { (void)run_in_server(directory.path(), {}, null, null, null); });
  EXPECT_TRUE(wait_for(begun));
  EXPECT_FALSE((*server)->stop(milliseconds(50)));
  release = true;
  EXPECT_TRUE((*server)->stop(seconds(5)));
  client.join();
  close(null);
}

TEST(Control, SurvivesClientsThatSendNonsense) {
  TemporaryDirectory directory;
  const auto server = ControlServer::open(directory.path(), [](auto&, auto&) { return 9; });
  ASSERT_TRUE(server);
  const int null = open_null();
  close(connect_raw(directory.path()));
  int client = connect_raw(directory.path());
  EXPECT_EQ(send(client, "hello", 5, MSG_NOSIGNAL), 5);  // no descriptors
  char byte = 0;
  EXPECT_EQ(recv(client, &byte, 1, 0), 0);
  close(client);
  client = connect_raw(directory.path());
  send_raw(client, "no such command", null);
  EXPECT_EQ(recv(client, &byte, 1, 0), 1);
  EXPECT_EQ(byte, '1');
  close(client);
  EXPECT_EQ(*run_in_server(directory.path(), {}, null, null, null), 9);
  close(null);
}

TEST(Output, TellsThatItsReaderHasGone) {
  std::signal(SIGPIPE, SIG_IGN);
  std::array<int, 2> fds{};
  ASSERT_EQ(pipe(fds.data()), 0);
  Output out(fds[1]);
  EXPECT_TRUE(out.write("kept until there is enough"));
  close(fds[0]);
  EXPECT_FALSE(out.flush());
  EXPECT_FALSE(out.write("more") && out.flush());
  close(fds[1]);
}

TEST(Output, DropsWhatWouldHaveToWait) {
  Pipe pipe;
  const int size = fcntl(pipe.writer(), F_GETPIPE_SZ);
  const std::string filling(static_cast<std::size_t>(size), 'x');
  ASSERT_EQ(write(pipe.writer(), filling.data(), filling.size()), size);
  Output out(pipe.writer());
  out.write_if_ready("dropped");
  EXPECT_EQ(pipe.read_all(), filling);
}

}  // namespace
}  // namespace earshot::cli
