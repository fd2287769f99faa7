#include "client/key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace earshot::client {
namespace {

constexpr std::size_t kKeyFileBytesMax = 4096;

std::string octal(mode_t mode) {
  std::array<char, 8> digits{};
  std::snprintf(digits.data(), digits.size(), "%04o", static_cast<unsigned>(mode & 07777));
  return digits.data();
}

Result<std::string> read_open(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    return invalid_argument("cannot read " + path + ": " + std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) return invalid_argument(path + " is no regular file");
  if ((info.st_mode & 077) != 0) {
    return invalid_argument(path + " has mode " + octal(info.st_mode) +
                            ", so others may read the key: run chmod 600 " + path);
  }
  std::string text(kKeyFileBytesMax + 1, '\0');
  const auto size = ::read(fd, text.data(), text.size());
  if (size < 0) return invalid_argument("cannot read " + path + ": " + std::strerror(errno));
  text.resize(static_cast<std::size_t>(size));
  if (text.size() > kKeyFileBytesMax) return invalid_argument(path + " is too long for a key");
  return text;
}

}  // namespace

Result<Key> parse_key(std::string_view text) {
  const auto colon = text.find(':');
  const bool is_plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size() || !is_plain) {
    return invalid_argument("a key is written accessKey:secret");
  }
  return Key{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

Result<Key> read_key_file(const std::string& path) {
  // Without waiting for whoever would write into a pipe of this name.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return invalid_argument("cannot open " + path + ": " + std::strerror(errno));
  const auto text = read_open(fd, path);
  ::close(fd);
  if (!text) return text.error();
  std::string_view line(*text);
  line = line.substr(0, line.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  const auto key = parse_key(line);
  if (!key) return invalid_argument(path + ": " + key.error().message);
  return *key;
}

}  // namespace earshot::client
