// A file without a name, for what comes slowly or may be much, until it is read once.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace earshot::service {

// Gone with its descriptor, however the process ends. Move-only; one thread at a time.
class SpoolFile {
 public:
  // In the directory; empty: $TMPDIR or /tmp.
  static Result<SpoolFile> open(const std::string& directory = "");
  SpoolFile(SpoolFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  SpoolFile& operator=(SpoolFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~SpoolFile();

  // At its end.
  Status write(std::string_view bytes);
  // The descriptor, at the file's beginning; it stays this one's.
  Result<int> rewind();
  // The same, as the caller's.
  Result<int> release();

 private:
  explicit SpoolFile(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace earshot::service
