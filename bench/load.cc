// Sends reads and gives of one pair each and measures how long their answers take: as an open loop,
// by a schedule that was fixed before, or as a closed loop. In the open loop a latency begins when
// the request was due, not when it was sent, so that a stall counts for everything it delayed
// (what is called coordinated omission is not committed). Every answer is checked.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "histogram.h"
#include "population.h"
#include "schedule.h"

namespace {

using namespace earshot::bench;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kReadBytes = 64 << 10;
constexpr int kEventsMax = 256;
constexpr std::uint64_t kAnswerSecondsMax = 10;
constexpr std::string_view kUser = R"({"userId":")";

struct Options {
  std::vector<std::uint16_t> ports;  // connections are spread over them
  double rate = 0;
  double seconds = 1, warm_up_seconds = 0;
  std::size_t connections = 64;
  double gives_share = 0;
  std::uint64_t companies = 1, calls = 200'000;
  std::uint64_t hot_calls = 0;
  std::uint64_t first_give = 0;
  std::uint64_t seed = 1;
  std::uint64_t users_min = 0;
  std::size_t echo_read_bytes = 0, echo_give_bytes = 0;
  Arrivals arrivals = Arrivals::poisson;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench_load: %s\n", what.c_str());
  std::exit(1);
}
[[noreturn]] void fail_errno(const char* what) {
  fail(std::string(what) + ": " + std::strerror(errno));
}

std::string base64(std::string_view text) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < text.size() ? static_cast<unsigned char>(text[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j <= text.size() ? kLetters[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

// A request of which only the ids change, which are all equally long.
struct Template {
  std::string text;
  std::size_t call_at = 0, user_at = 0;
};

Template make_template(std::uint64_t company, std::string_view method, std::string_view before,
                       std::string_view between, std::string_view after) {
  const std::string zeros(kIdDigits, '0');
  std::string body = std::string(before) + zeros;
  if (!between.empty()) body += std::string(between) + zeros;
  body += after;
  Template made;
  made.text =
      std::string(method) +
      " /v2/calls/users-access HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic " +
      base64(access_key(company) + ":" + kSecret) +
      "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n";
  made.call_at = made.text.size() + before.size();
  made.user_at = made.call_at + kIdDigits + between.size();
  made.text += body;
  return made;
}

void put_id(std::string& text, std::size_t at, std::uint64_t id) {
  std::to_chars(text.data() + at, text.data() + at + kIdDigits, id);
}

struct Connection {
  int fd = -1;
  bool give = false;
  bool counted = false;  // after the warm-up
  std::uint64_t due_ns = 0;
  std::uint64_t call = 0;  // id
  std::string rest;        // of an answer that has not arrived whole
};

// The length of the whole answer that `text` begins with and where its body is, or nothing where
// its end is not there yet.
struct Extent {
  std::size_t body_at = 0, end = 0;
};
std::optional<Extent> extent_of(std::string_view text) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  constexpr std::string_view kLength = "ontent-";  // of either case, and ...
  const std::size_t head = text.find(kEnd);
  if (head == std::string_view::npos) return std::nullopt;
  for (std::size_t at = text.find(kLength); at < head; at = text.find(kLength, at + 1)) {
    const std::string_view name = text.substr(at + kLength.size(), 8);  // ... "length: "
    if (name != "length: " && name != "Length: ") continue;
    std::size_t bytes = 0;
    std::from_chars(text.data() + at + kLength.size() + name.size(), text.data() + head, bytes);
    const Extent extent{head + kEnd.size(), head + kEnd.size() + bytes};
    if (text.size() < extent.end) return std::nullopt;
    return extent;
  }
  fail("an answer without a length: " + std::string(text.substr(0, head)));
}

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options), draws_(options.seed), pairs_(options.calls), give_(options.first_give) {
    for (std::uint64_t company = 1; company <= options.companies; ++company) {
      reads_.push_back(make_template(company, "POST", R"({"filter":{"callIds":[")", "", R"("]}})"));
      gives_.push_back(make_template(company, "PUT", R"({"callAccessList":[{"callId":")",
                                     R"(","userIds":[")", R"("]}]})"));
    }
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) fail_errno("epoll_create1");
    connections_.resize(options.connections);
    for (std::size_t i = 0; i < connections_.size(); ++i) connect(i);
  }

  void run() {
    begin_ = Clock::now();
    const auto warm = static_cast<std::uint64_t>(options_.warm_up_seconds * 1e9);
    const auto end = warm + static_cast<std::uint64_t>(options_.seconds * 1e9);
    if (options_.rate > 0) {
      open_loop(warm, end);
    } else {
      closed_loop(warm, end);
    }
    const std::uint64_t last = now_ns() + kAnswerSecondsMax * 1'000'000'000;
    while (in_flight() > 0) {
      if (now_ns() > last) fail(std::to_string(in_flight()) + " requests without an answer");
      receive(100);
    }
  }

  void print() const {
    const auto line = [](const Histogram& h) {
      std::string out = "{\"count\":" + std::to_string(h.count());
      const auto add = [&out](const char* name, double ns) {
        char text[64];
        std::snprintf(text, sizeof text, ",\"%s\":%.1f", name, ns / 1000);
        out += text;
      };
      add("mean_us", h.mean());
      add("p50_us", static_cast<double>(h.percentile(50)));
      add("p90_us", static_cast<double>(h.percentile(90)));
      add("p99_us", static_cast<double>(h.percentile(99)));
      add("p999_us", static_cast<double>(h.percentile(99.9)));
      add("max_us", static_cast<double>(h.max()));
      return out + "}";
    };
    std::printf(
        R"(result {"answered":%llu,"counted":%llu,"gives":%llu,"waited":%llu,"seconds":%.6f,)"
        R"("reads":%s,"writes":%s,"lag":%s})"
        "\n",
        static_cast<unsigned long long>(answered_),
        static_cast<unsigned long long>(read_ns_.count() + give_ns_.count()),
        static_cast<unsigned long long>(give_ - options_.first_give),
        static_cast<unsigned long long>(waited_), options_.seconds, line(read_ns_).c_str(),
        line(give_ns_).c_str(), line(lag_ns_).c_str());
  }

 private:
  std::uint64_t now_ns() const {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin_).count());
  }
  std::size_t in_flight() const { return connections_.size() - idle_.size(); }

  void connect(std::size_t place) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail_errno("socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(options_.ports[place % options_.ports.size()]);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      fail_errno("connect");
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = place;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail_errno("epoll_ctl");
    connections_[place].fd = fd;
    idle_.push_back(place);
  }

  // Never sleeps: a timer would wake it late, and it has its core to itself.
  void open_loop(std::uint64_t warm, std::uint64_t end) {
    Schedule schedule(options_.rate, options_.arrivals, options_.seed);
    std::uint64_t due = schedule.next();
    std::uint64_t starved_until = 0;
    while (due < end) {
      std::uint64_t now = now_ns();
      while (due <= now && due < end && !idle_.empty()) {
        // What no connection was free for is the server's delay; the rest is this program's own.
        if (due < starved_until) {
          ++waited_;
        } else if (due >= warm) {
          lag_ns_.add(now - due);
        }
        send(due, due >= warm);
        due = schedule.next();
        now = now_ns();
      }
      const bool starved = idle_.empty();
      receive(0);
      if (starved) starved_until = now_ns();
    }
  }

  void closed_loop(std::uint64_t warm, std::uint64_t end) {
    for (std::uint64_t now = now_ns(); now < end; now = now_ns()) {
      while (!idle_.empty()) send(now_ns(), now >= warm);
      receive(100);
    }
  }

  void send(std::uint64_t due, bool counted) {
    Connection& connection = connections_[idle_.front()];
    idle_.pop_front();
    connection.due_ns = due;
    connection.counted = counted;
    connection.give = options_.gives_share > 0 && draws_.share() <= options_.gives_share;
    const std::uint64_t company = 1 + draws_.below(options_.companies);
    std::uint64_t call = 0, listener = 0;
    if (connection.give) {
      std::tie(call, listener) = pairs_.at(give_++);
    } else {
      call = draws_.below(options_.hot_calls > 0 ? options_.hot_calls : options_.calls);
    }
    connection.call = call_id(company, call);
    Template& request = (connection.give ? gives_ : reads_)[company - 1];
    put_id(request.text, request.call_at, connection.call);
    if (connection.give) put_id(request.text, request.user_at, listener_id(company, listener));
    const ssize_t sent = ::send(connection.fd, request.text.data(), request.text.size(),
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) fail_errno("send");
    if (static_cast<std::size_t>(sent) != request.text.size()) fail("a request did not fit");
  }

  void receive(int timeout_ms) {
    std::array<epoll_event, kEventsMax> events;
    const int count = epoll_wait(epoll_, events.data(), kEventsMax, timeout_ms);
    if (count < 0 && errno != EINTR) fail_errno("epoll_wait");
    for (int i = 0; i < count; ++i) take(events[static_cast<std::size_t>(i)].data.u64);
  }

  void take(std::size_t place) {
    Connection& connection = connections_[place];
    const ssize_t got = recv(connection.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0) fail_errno("recv");
    if (got == 0) fail("the server closed a connection");
    std::string_view text(buffer_.data(), static_cast<std::size_t>(got));
    if (!connection.rest.empty()) {
      connection.rest += text;
      text = connection.rest;
    }
    const auto extent = extent_of(text);
    if (!extent) {
      if (connection.rest.empty()) connection.rest = text;
      return;
    }
    const std::uint64_t taken = now_ns() - connection.due_ns;
    if (text.size() != extent->end) fail("more than an answer: " + std::string(text));
    check(connection, text, *extent);
    ++answered_;
    if (connection.counted) (connection.give ? give_ns_ : read_ns_).add(taken);
    connection.rest.clear();
    idle_.push_back(place);
  }

  void check(const Connection& connection, std::string_view text, Extent extent) const {
    if (!text.starts_with("HTTP/1.1 200 ")) fail("answered with " + std::string(text));
    const std::size_t fixed = connection.give ? options_.echo_give_bytes : options_.echo_read_bytes;
    if (fixed > 0) {
      if (text.size() != fixed) fail("an echo of " + std::to_string(text.size()) + " bytes");
      return;
    }
    const std::string_view body = text.substr(extent.body_at);
    if (!body.starts_with(R"({"requestId":")")) fail("not an answer: " + std::string(text));
    if (connection.give) return;
    std::array<char, kIdDigits> id;
    std::to_chars(id.data(), id.data() + id.size(), connection.call);
    std::size_t at = body.find(R"("callId":")");
    if (at == std::string_view::npos ||
        body.substr(at + 10, kIdDigits) != std::string_view(id.data(), id.size())) {
      fail("answered with another call: " + std::string(text));
    }
    std::uint64_t users = 0;
    while ((at = body.find(kUser, at)) != std::string_view::npos) {
      ++users;
      at += kUser.size() + kIdDigits;
    }
    if (users < options_.users_min) fail("answered with too few users: " + std::string(text));
  }

  Options options_;
  Draws draws_;
  NewPairs pairs_;
  std::vector<Template> reads_, gives_;  // by company
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::deque<std::size_t> idle_;
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
  Clock::time_point begin_;
  std::uint64_t give_;  // the number of the next one
  std::uint64_t answered_ = 0, waited_ = 0;
  Histogram read_ns_, give_ns_, lag_ns_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Reads and gives of one pair each; the last line of its output is what it measured"};
  app.add_option("--port", options.ports, "of 127.0.0.1; several share the load")->required();
  app.add_option("--rate", options.rate, "requests a second; without, as fast as answers come");
  app.add_option("--arrivals", options.arrivals)
      ->transform(CLI::CheckedTransformer(std::map<std::string, Arrivals>{
          {"constant", Arrivals::constant}, {"poisson", Arrivals::poisson}}));
  app.add_option("--seconds", options.seconds, "measured");
  app.add_option("--warm-up", options.warm_up_seconds, "seconds before, not measured");
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 10'000));
  app.add_option("--gives", options.gives_share, "share of the requests")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--companies", options.companies);
  app.add_option("--calls", options.calls, "of each company");
  app.add_option("--hot-calls", options.hot_calls, "only the first so many are read");
  app.add_option("--first-give", options.first_give, "number of the first pair given");
  app.add_option("--users-min", options.users_min, "that every answer to a read must hold");
  app.add_option("--seed", options.seed);
  app.add_option("--echo-read-bytes", options.echo_read_bytes, "answers are fixed, so long");
  app.add_option("--echo-give-bytes", options.echo_give_bytes);
  CLI11_PARSE(app, argc, argv);
  Load load(options);
  load.run();
  load.print();
  return 0;
}
