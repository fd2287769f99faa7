#include "service/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace earshot::service {
namespace {

Error file_error(const std::string& what) { return internal(what + ": " + std::strerror(errno)); }

std::string temporary_directory() {
  const char* const directory = std::getenv("TMPDIR");
  return directory != nullptr && *directory != '\0' ? directory : "/tmp";
}

}  // namespace

Result<SpoolFile> SpoolFile::open(const std::string& directory) {
  const std::string place = directory.empty() ? temporary_directory() : directory;
  SpoolFile file(::open(place.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.fd_ >= 0) return file;
  // Some file systems have no files without names: make one, and take its name away.
  std::string path = place + "/earshot-load-XXXXXX";
  SpoolFile named(::mkostemp(path.data(), O_CLOEXEC));
  if (named.fd_ < 0) return file_error("cannot make a temporary file in " + place);
  ::unlink(path.c_str());
  return named;
}

SpoolFile::~SpoolFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status SpoolFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error("cannot write a temporary file");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<int> SpoolFile::rewind() {
  if (::lseek(fd_, 0, SEEK_SET) != 0) return file_error("cannot read a temporary file");
  return fd_;
}

Result<int> SpoolFile::release() {
  TRY(rewind());
  return std::exchange(fd_, -1);
}

}  // namespace earshot::service
