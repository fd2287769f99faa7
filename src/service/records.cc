#include "service/records.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "records/writer.h"

namespace earshot::service {
namespace {

constexpr std::size_t kCopyBytes = 256 << 10;
constexpr std::size_t kDumpPieceBytes = 256 << 10;
constexpr std::uint64_t kProgressRecords = 1 << 16;

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

Result<Descriptor> open_unnamed(const std::string& directory) {
  Descriptor file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.get() >= 0) return file;
  // Some file systems have no files without names: make one, and take its name away.
  std::string path = directory + "/earshot-load-XXXXXX";
  Descriptor named(::mkostemp(path.data(), O_CLOEXEC));
  if (named.get() < 0) return system_error("cannot make a temporary file in " + directory);
  ::unlink(path.c_str());
  return named;
}

std::string temporary_directory() {
  const char* const directory = std::getenv("TMPDIR");
  return directory != nullptr && *directory != '\0' ? directory : "/tmp";
}

// Reads a file from a place on without moving its offset, so that it can be read twice.
records::Reader::ReadBytes read_from_file(int fd, std::string name, off_t offset) {
  return
      [fd, name = std::move(name), offset](std::span<char> buffer) mutable -> Result<std::size_t> {
        for (;;) {
          const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), offset);
          if (got < 0 && errno == EINTR) continue;
          if (got < 0) return system_error("cannot read " + name);
          offset += got;
          return static_cast<std::size_t>(got);
        }
      };
}

// Hands a reader's records to the store.
class ReaderSource final : public store::RecordSource {
 public:
  ReaderSource(records::Reader& reader, std::uint64_t total, const LoadProgress& progress)
      : reader_(reader), total_(total), progress_(progress) {}

  Result<std::optional<core::Record>> next() override {
    auto record = TRY(reader_.next());
    if (record) {
      if (given_ > 0 && given_ % kProgressRecords == 0 && progress_) TRY(progress_(given_, total_));
      ++given_;
    }
    return record;
  }

  std::string position() const override { return reader_.position(); }

 private:
  records::Reader& reader_;
  const std::uint64_t total_;
  const LoadProgress& progress_;
  std::uint64_t given_ = 0;
};

Result<std::uint64_t> count_records(records::Reader reader, const LoadProgress& progress) {
  for (std::uint64_t count = 0;; ++count) {
    if (progress && count % kProgressRecords == 0) TRY(progress(0, count));
    if (!TRY(reader.next())) return count;
  }
}

}  // namespace

Result<int> spool(int fd, const std::string& name, const std::string& directory) {
  Descriptor file = TRY(open_unnamed(directory.empty() ? temporary_directory() : directory));
  std::vector<char> buffer(kCopyBytes);
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read " + name);
    if (got == 0) break;
    TRY(write_all(file.get(), {buffer.data(), static_cast<std::size_t>(got)},
                  "the temporary copy of " + name));
  }
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return system_error("cannot read " + name);
  return file.release();
}

Result<LoadResult> load_records(store::Store& store, int fd, const std::string& name,
                                const LoadOptions& options, const store::Origin& origin) {
  struct stat about {};
  if (::fstat(fd, &about) != 0) return system_error("cannot read " + name);
  if (S_ISDIR(about.st_mode)) return invalid_argument(name + " is a directory");
  Descriptor copy;
  off_t offset = 0;
  if (S_ISREG(about.st_mode)) {
    offset = ::lseek(fd, 0, SEEK_CUR);
    if (offset < 0) return system_error("cannot read " + name);
  } else {
    copy = Descriptor(TRY(spool(fd, name, options.spool_directory)));
    fd = copy.get();
  }
  const std::uint64_t total =
      TRY(count_records(records::Reader(name, read_from_file(fd, name, offset)), options.progress));
  records::Reader reader(name, read_from_file(fd, name, offset));
  ReaderSource source(reader, total, options.progress);
  LoadResult result;
  result.report = TRY(store.load(source, origin));
  result.warnings = reader.warnings();
  if (options.progress) (void)options.progress(result.report.records, total);
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
