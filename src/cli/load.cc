#include "cli/load.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/random.h"

namespace earshot::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kDrawEvery{100};
constexpr std::size_t kBarColumns = 30;

// How far a load is, redrawn on one line of a terminal.
class Progress {
 public:
  Progress(std::string name, std::uint64_t bytes_total, Output& out)
      : name_(std::move(name)), bytes_total_(bytes_total), out_(out), draws_(out.is_terminal()) {}
  ~Progress() {
    if (has_drawn_) out_.write_if_ready("\r\x1b[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::uint64_t bytes, std::uint64_t records) {
    if (!draws_) return;
    const auto now = steady_clock::now();
    if (now - drawn_at_ < kDrawEvery) return;
    drawn_at_ = now;
    has_drawn_ = true;
    std::string line = "\r\x1b[K" + name_ + "  ";
    if (bytes_total_ > 0) {
      const auto share =
          std::min(1.0, static_cast<double>(bytes) / static_cast<double>(bytes_total_));
      const auto filled = static_cast<std::size_t>(share * kBarColumns);
      line += "[" + std::string(filled, '#') + std::string(kBarColumns - filled, ' ') + "] " +
              std::to_string(static_cast<int>(share * 100)) + "%  ";
    }
    out_.write_if_ready(line + std::to_string(records) + " records");
  }

 private:
  const std::string name_;
  const std::uint64_t bytes_total_;
  Output& out_;
  const bool draws_;
  bool has_drawn_ = false;
  steady_clock::time_point drawn_at_ = steady_clock::now();
};

std::uint64_t file_size(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return 0;
  return static_cast<std::uint64_t>(info.st_size);
}

class FileSource final : public store::RecordSource {
 public:
  FileSource(const std::string& name, int fd, Output& out, const Cancelled& cancelled)
      : reader_(name, [this](std::span<char> buffer) { return read_bytes(buffer); }),
        name_(name),
        fd_(fd),
        cancelled_(cancelled),
        progress_(name, file_size(fd), out) {}

  Result<std::optional<core::Record>> next() override {
    constexpr std::uint64_t kLookEvery = 256;  // a look at the clock and at who asked costs a call
    if (++records_ % kLookEvery == 0) {
      if (cancelled_()) return unavailable(name_ + ": the load was cancelled; nothing was applied");
      progress_.show(bytes_, records_);
    }
    return reader_.next();
  }
  std::string position() const override { return reader_.position(); }
  const records::Warnings& warnings() const { return reader_.warnings(); }

 private:
  Result<std::size_t> read_bytes(std::span<char> buffer) {
    for (;;) {
      const auto bytes = read(fd_, buffer.data(), buffer.size());
      if (bytes >= 0) {
        bytes_ += static_cast<std::uint64_t>(bytes);
        return static_cast<std::size_t>(bytes);
      }
      if (errno != EINTR) {
        return invalid_argument("cannot read " + name_ + ": " + std::strerror(errno));
      }
    }
  }

  records::Reader reader_;
  const std::string name_;
  const int fd_;
  const Cancelled& cancelled_;
  Progress progress_;
  std::uint64_t bytes_ = 0;
  std::uint64_t records_ = 0;
};

std::string counted(std::uint64_t number, const std::string& thing) {
  return std::to_string(number) + " " + thing + (number == 1 ? "" : "s");
}

}  // namespace

Result<Loaded> load_records(store::Store& store, const std::string& name, int fd, Output& progress,
                            const Cancelled& cancelled) {
  FileSource source(name, fd, progress, cancelled);
  const auto report = TRY(store.load(source, store::Origin{make_request_id(), ""}));
  return Loaded{report, source.warnings()};
}

std::string describe(const std::string& name, const Loaded& loaded) {
  return name + ": " + counted(loaded.report.records, "record") + ", " +
         counted(loaded.report.changes, "change") + "\n";
}

std::string describe_warnings(const records::Warnings& warnings) {
  if (warnings.short_secrets == 0) return "";
  std::string text = counted(warnings.short_secrets, "secret") + " shorter than " +
                     std::to_string(records::kSecretCharsAdvised) +
                     " characters, which can be guessed:";
  for (const auto& position : warnings.short_secret_positions) text += " " + position;
  if (warnings.short_secrets > warnings.short_secret_positions.size()) text += " and others";
  return text;
}

}  // namespace earshot::cli
