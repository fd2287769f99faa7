#include "cli/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

#include "base/log.h"

namespace earshot::cli {
namespace {

constexpr std::size_t kMessageBytesMax = 64 << 10;
constexpr std::size_t kDescriptors = 3;  // in, out, err
constexpr std::string_view kSocketName = "control.sock";
constexpr std::chrono::seconds kRequestTime{5};
constexpr char kBusy[] = "busy";

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

Error system_error(const std::string& what) { return internal(what + ": " + std::strerror(errno)); }

// The socket's address through the directory's descriptor, because a path in sun_path has 107 bytes
// and a data directory may have more.
struct Address {
  Descriptor directory;
  sockaddr_un name{};
};

Result<Address> address_in(const std::string& directory) {
  Address address;
  address.directory = Descriptor(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!address.directory.is_open()) return system_error("cannot open " + directory);
  const std::string path =
      "/proc/self/fd/" + std::to_string(address.directory.get()) + "/" + std::string(kSocketName);
  address.name.sun_family = AF_UNIX;
  std::memcpy(address.name.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& name) {
  return reinterpret_cast<const sockaddr*>(&name);
}

// One message with the descriptors.
Status send_command(int socket, const std::string& text, const std::array<int, kDescriptors>& fds) {
  iovec piece{const_cast<char*>(text.data()), text.size()};
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
  if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) return system_error("control socket");
  return {};
}

struct Received {
  std::string text;
  std::array<Descriptor, kDescriptors> fds;
};

Result<Received> receive_command(int socket) {
  Received received;
  received.text.resize(kMessageBytesMax);
  iovec piece{received.text.data(), received.text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptors)] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const auto bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (bytes <= 0) return system_error("control socket");
  received.text.resize(static_cast<std::size_t>(bytes));
  std::size_t count = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; CMSG_LEN((at + 1) * sizeof(int)) <= header->cmsg_len; ++at) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + at * sizeof fd, sizeof fd);
      Descriptor owner(fd);
      if (count < kDescriptors) received.fds[count++] = std::move(owner);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || count != kDescriptors) {
    return invalid_argument("control socket: not a command");
  }
  return received;
}

void answer(int socket, std::string_view text) {
  // A client that has gone misses its answer, which is its own affair.
  (void)send(socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool is_gone(int socket) {
  char byte = 0;
  const auto bytes = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EINTR);
}

// The mode of the socket file keeps others out already; this holds where a file system ignores
// modes.
bool may_command(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

class UnixControlServer final : public ControlServer {
 public:
  UnixControlServer(Descriptor listener, Descriptor wake, Run run)
      : listener_(std::move(listener)), wake_(std::move(wake)), run_(std::move(run)) {
    acceptor_ = std::thread([this] { accept_loop(); });
  }

  ~UnixControlServer() override {
    begin_stop();
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return sessions_ == 0; });
  }

  bool stop(std::chrono::milliseconds grace) override {
    begin_stop();
    std::unique_lock lock(mutex_);
    return idle_.wait_for(lock, grace, [this] { return sessions_ == 0; });
  }

 private:
  void begin_stop() {
    stopping_ = true;
    const std::uint64_t one = 1;
    (void)write(wake_.get(), &one, sizeof one);
    if (acceptor_.joinable()) acceptor_.join();
    listener_ = Descriptor();  // later clients find nobody, and no longer wait
  }

  void accept_loop() {
    while (!stopping_) {
      pollfd waiting[] = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
      if (poll(waiting, 2, -1) < 0 || (waiting[0].revents & POLLIN) == 0) continue;
      Descriptor client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client.is_open()) {
        // Out of descriptors: the connection stays in the queue, and asking at once again would
        // spin.
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        continue;
      }
      if (may_command(client.get())) begin_session(std::move(client));
    }
  }

  void begin_session(Descriptor client) {
    {
      const std::lock_guard lock(mutex_);
      if (sessions_ == kControlCommandsMax) return answer(client.get(), kBusy);
      ++sessions_;
    }
    std::thread([this, client = std::move(client)] {
      hold_session(client.get());
      const std::lock_guard lock(mutex_);
      --sessions_;
      idle_.notify_all();  // under the lock: afterwards this object may be gone
    }).detach();
  }

  void hold_session(int socket) {
    const timeval patience{kRequestTime.count(), 0};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const auto received = receive_command(socket);
    if (!received) return;
    const Cancelled cancelled = [this, socket] { return stopping_ || is_gone(socket); };
    Output out(received->fds[1].get(), cancelled);
    Output err(received->fds[2].get(), cancelled);
    int code = 1;
    if (const auto command = decode_command(received->text)) {
      log(Level::info, "command", {{"command", name_of(command->verb)}});
      CommandIo io{received->fds[0].get(), &out, &err, cancelled};
      code = run_(*command, io);
    } else {
      (void)err.write("earshot: " + command.error().message + "\n");
    }
    if (!out.flush() || !err.flush()) code = code == 0 ? 1 : code;
    answer(socket, std::to_string(code));
  }

  Descriptor listener_;
  const Descriptor wake_;
  const Run run_;
  std::atomic<bool> stopping_{false};
  std::thread acceptor_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t sessions_ = 0;  // guarded by mutex_
};

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::open(const std::string& directory, Run run) {
  const Address address = TRY(address_in(directory));
  Descriptor listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  Descriptor wake(eventfd(0, EFD_CLOEXEC));
  if (!listener.is_open() || !wake.is_open()) return system_error("control socket");
  // The mode given before bind() is the mode the file is made with: no moment in which others get
  // in, and no change of the umask, which belongs to the whole process.
  if (fchmod(listener.get(), 0600) != 0) return system_error("control socket");
  // Whatever is there was left by a server that has ended: the directory's lock is ours.
  unlink(address.name.sun_path);
  if (bind(listener.get(), generic(address.name), sizeof address.name) != 0 ||
      listen(listener.get(), 16) != 0) {
    return system_error("cannot listen on " + directory + "/" + std::string(kSocketName));
  }
  return std::unique_ptr<ControlServer>(
      new UnixControlServer(std::move(listener), std::move(wake), std::move(run)));
}

Result<std::optional<int>> run_in_server(const std::string& directory, const Command& command,
                                         int in, int out, int err) {
  const auto address = address_in(directory);
  if (!address) return std::optional<int>();
  const Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return system_error("control socket");
  if (connect(socket.get(), generic(address->name), sizeof address->name) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::optional<int>();
    return system_error("cannot reach the server that has " + directory + " open");
  }
  const std::string message = encode_command(command);
  if (message.size() > kMessageBytesMax) return invalid_argument("the command is too long");
  const Status sent = send_command(socket.get(), message, {in, out, err});
  std::array<char, 16> text{};
  auto bytes = recv(socket.get(), text.data(), text.size(), 0);
  // A server that answers "busy" does not read the command, so that the end of the connection is
  // told first, and the answer second.
  if (bytes < 0 && errno == ECONNRESET) bytes = recv(socket.get(), text.data(), text.size(), 0);
  if (bytes <= 0 && !sent) return sent.error();
  if (bytes <= 0) return unavailable("the server ended before the command did");
  const std::string_view reply(text.data(), static_cast<std::size_t>(bytes));
  if (reply == kBusy) return unavailable("the server is busy with other commands; try again");
  return std::optional<int>(std::atoi(std::string(reply).c_str()));
}

}  // namespace earshot::cli
