#include "service/records.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "records/writer.h"
#include "service/spool.h"

namespace earshot::service {
namespace {

constexpr std::size_t kCopyBytes = 256 << 10;
constexpr std::size_t kDumpPieceBytes = 256 << 10;
constexpr std::uint64_t kProgressRecords = 1 << 16;
constexpr int kStopCheckMs = 100;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Error system_error(const std::string& what) { return internal(what + ": " + std::strerror(errno)); }

Status write_all(int fd, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("cannot write " + name);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// Reads from a descriptor. Of one that may let it wait, until it is told to stop.
records::Reader::ReadBytes read_from_fd(int fd, bool may_wait, const std::atomic<bool>& stops) {
  return [fd, may_wait, &stops](std::span<char> buffer) -> Result<std::size_t> {
    for (;;) {
      if (may_wait) {
        pollfd readable{fd, POLLIN, 0};
        const int ready = ::poll(&readable, 1, kStopCheckMs);
        if (stops) return unavailable("stopped");
        if (ready == 0) continue;
      }
      const ssize_t got = ::read(fd, buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error("cannot be read");
      return static_cast<std::size_t>(got);
    }
  };
}

// Reads records on a thread of its own, a little ahead of the store that takes them.
class RecordsAhead final : public store::RecordSource {
 public:
  // Whatever the descriptor gives from where it stands.
  RecordsAhead(std::string name, int fd, const struct stat& about, const LoadProgress& progress)
      : bytes_total_(S_ISREG(about.st_mode) ? static_cast<std::uint64_t>(about.st_size) : 0),
        progress_(progress),
        reader_(std::move(name), counted(read_from_fd(fd, !S_ISREG(about.st_mode), stops_))),
        thread_([this] { read(); }) {}

  ~RecordsAhead() override {
    {
      // Under the lock: else the reading thread may look before and sleep after.
      const std::lock_guard lock(mutex_);
      stops_ = true;
    }
    room_.notify_all();
    thread_.join();
  }
  RecordsAhead(const RecordsAhead&) = delete;
  RecordsAhead& operator=(const RecordsAhead&) = delete;

  Result<const core::Record*> next() override {
    if (progress_ && given_ % kProgressRecords == 0) TRY(progress_(given_, part()));
    if (taken_ == batch_.used) TRY(take_batch());
    if (taken_ == batch_.used) return nullptr;
    ++given_;
    return &batch_.records[taken_++];
  }

  // Of the record just given; a line that cannot be read says its own.
  std::string position() const override { return reader_.position(batch_.lines[taken_ - 1]); }

  // REQUIRES: next() gave null.
  const records::Warnings& warnings() const { return reader_.warnings(); }

 private:
  static constexpr std::size_t kBatchRecords = 512;
  static constexpr std::size_t kBatches = 8;

  // Records and what comes after the last: the end or an error, or neither. Used again, with what
  // its records have allocated.
  struct Batch {
    std::vector<core::Record> records;
    std::vector<std::uint64_t> lines;
    std::size_t used = 0;
    bool is_last = false;
    std::optional<Error> error;
  };

  records::Reader::ReadBytes counted(records::Reader::ReadBytes read) {
    return [this, read = std::move(read)](std::span<char> buffer) -> Result<std::size_t> {
      const std::size_t got = TRY(read(buffer));
      bytes_read_.fetch_add(got, std::memory_order_relaxed);
      return got;
    };
  }

  double part() const {
    const auto read = static_cast<double>(bytes_read_.load(std::memory_order_relaxed));
    return bytes_total_ == 0 ? 0 : std::min(1.0, read / static_cast<double>(bytes_total_));
  }

  // --- the reading thread

  void read() {
    Batch batch;
    while (!stops_ && !batch.is_last) {
      fill(batch);
      const bool was_last = batch.is_last;
      std::unique_lock lock(mutex_);
      room_.wait(lock, [this] { return stops_ || full_.size() < kBatches; });
      full_.push_back(std::move(batch));
      batch = Batch{};
      if (!empty_.empty()) {
        batch = std::move(empty_.back());
        empty_.pop_back();
      }
      batch.is_last = was_last;
      more_.notify_one();
    }
  }

  void fill(Batch& batch) {
    batch.records.resize(kBatchRecords);
    batch.lines.resize(kBatchRecords);
    for (batch.used = 0; batch.used < kBatchRecords; ++batch.used) {
      auto record = reader_.next();
      if (!record) batch.error = record.error();
      batch.is_last = !record || !*record;
      if (batch.is_last) return;
      batch.records[batch.used] = std::move(**record);
      batch.lines[batch.used] = reader_.line();
    }
  }

  // --- the store's thread

  Status take_batch() {
    if (batch_.error) return *batch_.error;
    if (batch_.is_last) return {};
    std::unique_lock lock(mutex_);
    if (!batch_.records.empty()) empty_.push_back(std::move(batch_));
    more_.wait(lock, [this] { return !full_.empty(); });
    batch_ = std::move(full_.front());
    full_.pop_front();
    room_.notify_one();
    taken_ = 0;
    if (batch_.used == 0 && batch_.error) return *batch_.error;
    return {};
  }

  const std::uint64_t bytes_total_;  // 0: not known
  std::atomic<std::uint64_t> bytes_read_{0};
  std::atomic<bool> stops_{false};
  const LoadProgress& progress_;
  records::Reader reader_;  // the reading thread's, until its last batch is taken

  std::mutex mutex_;
  std::condition_variable room_, more_;
  std::deque<Batch> full_;
  std::vector<Batch> empty_;

  // The store's thread's.
  Batch batch_;
  std::size_t taken_ = 0;
  std::uint64_t given_ = 0;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

Result<int> spool(int fd, const std::string& name, const std::string& directory) {
  SpoolFile file = TRY(SpoolFile::open(directory));
  std::vector<char> buffer(kCopyBytes);
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read " + name);
    if (got == 0) break;
    TRY(file.write({buffer.data(), static_cast<std::size_t>(got)}));
  }
  return file.release();
}

Result<LoadResult> load_records(store::Store& store, int fd, const std::string& name,
                                const LoadOptions& options, const store::Origin& origin) {
  struct stat about {};
  if (::fstat(fd, &about) != 0) return system_error("cannot read " + name);
  if (S_ISDIR(about.st_mode)) return invalid_argument(name + " is a directory");
  RecordsAhead source(name, fd, about, options.progress);
  LoadResult result;
  result.report = TRY(store.load(source, origin));
  result.warnings = source.warnings();
  if (options.progress) (void)options.progress(result.report.records, 1);
  return result;
}

Result<LoadResult> load_file(store::Store& store, const std::string& path,
                             const LoadOptions& options, const store::Origin& origin) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 && errno == ENOENT) return not_found("no such file: " + path);
  if (file.get() < 0) {
    return invalid_argument("cannot open " + path + ": " + std::strerror(errno));
  }
  return load_records(store, file.get(), path, options, origin);
}

Status dump_records(store::Store& store, const std::function<Status(std::string_view)>& write) {
  std::string lines;
  std::optional<CompanyId> company;
  TRY(store.dump([&](const core::Record& record) -> Status {
    records::append_record(lines, record, company);
    if (std::holds_alternative<core::Company>(record.thing)) company = record.company;
    if (lines.size() < kDumpPieceBytes) return {};
    TRY(write(lines));
    lines.clear();
    return {};
  }));
  return lines.empty() ? Status() : write(lines);
}

Status dump_to_fd(store::Store& store, int fd) {
  return dump_records(store,
                      [fd](std::string_view lines) { return write_all(fd, lines, "the dump"); });
}

}  // namespace earshot::service
