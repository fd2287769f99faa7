// Text to a descriptor that may belong to another process, so that a slow reader can be given up
// on.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace earshot {

// Whether whoever asked is gone or the process is ending. Any thread.
using Cancelled = std::function<bool()>;

// One thread at a time. REQUIRES: SIGPIPE is ignored.
class Output {
 public:
  // Writes to the descriptor, which stays the caller's.
  explicit Output(
      int fd, Cancelled cancelled = [] { return false; });

  // Takes text, to be written when there is enough of it. Errors: the reader is gone or was given
  // up on; then nothing more is written.
  Status write(std::string_view text);
  Status flush();

  // Writes text now if that needs no waiting for the reader, else drops it: for what is out of date
  // soon.
  void write_if_ready(std::string_view text);

  bool is_terminal() const;

  // Whether somebody may read what is written: no longer where the other end of a pipe or socket is
  // closed. A file or terminal always has a reader.
  bool has_reader() const;

 private:
  const int fd_;
  const Cancelled cancelled_;
  std::string buffer_;
  bool failed_ = false;
};

}  // namespace earshot
