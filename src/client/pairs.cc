#include "client/pairs.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "client/answers.h"

namespace earshot::client {
namespace {

class PairLines {
 public:
  PairLines(const std::string& name, std::size_t pairs_max) : name_(name), pairs_max_(pairs_max) {}

  Status take(std::string_view line) {
    ++number_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos || line[begin] == '#') return {};
    line = line.substr(begin, line.find_last_not_of(" \t") + 1 - begin);
    const auto pair = parse_pair(line);
    if (!pair) return at_this_line(pair.error().message);
    if (pairs_.size() == pairs_max_) {
      return at_this_line("there are more than " + std::to_string(pairs_max_) +
                          " pairs; divide the file");
    }
    pairs_.push_back(*pair);
    return {};
  }

  Error too_long() {
    ++number_;
    return at_this_line("the line is longer than " + std::to_string(kPairLineBytesMax) + " bytes");
  }

  std::vector<Pair> pairs() { return std::move(pairs_); }

 private:
  Error at_this_line(const std::string& what) const {
    return invalid_argument(name_ + ":" + std::to_string(number_) + ": " + what);
  }

  const std::string& name_;
  const std::size_t pairs_max_;
  std::size_t number_ = 0;
  std::vector<Pair> pairs_;
};

}  // namespace

Result<std::vector<Pair>> read_pairs(int fd, const std::string& name, std::size_t pairs_max) {
  PairLines lines(name, pairs_max);
  std::string rest;  // of a line that is not whole yet
  std::string piece(kPairLineBytesMax, '\0');
  for (;;) {
    const auto size = ::read(fd, piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return invalid_argument("cannot read " + name + ": " + std::strerror(errno));
    if (size == 0) break;
    std::string_view bytes(piece.data(), static_cast<std::size_t>(size));
    for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
      rest += bytes.substr(0, end);
      if (rest.size() > kPairLineBytesMax) return lines.too_long();
      TRY(lines.take(rest));
      rest.clear();
      bytes.remove_prefix(end + 1);
    }
    rest += bytes;
    if (rest.size() > kPairLineBytesMax) return lines.too_long();
  }
  if (!rest.empty()) TRY(lines.take(rest));
  return lines.pairs();
}

Result<std::vector<Pair>> read_pairs(const std::string& file) {
  if (file == "-") return read_pairs(STDIN_FILENO, "standard input");
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return invalid_argument("cannot open " + file + ": " + std::strerror(errno));
  auto pairs = read_pairs(fd, file);
  ::close(fd);
  return pairs;
}

}  // namespace earshot::client
