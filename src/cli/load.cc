#include "cli/load.h"

#include <algorithm>
#include <chrono>
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
  Progress(std::string name, Output& out)
      : name_(std::move(name)), out_(out), draws_(out.is_terminal()) {}
  ~Progress() {
    if (has_drawn_) out_.write_if_ready("\r\x1b[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::uint64_t records, double part) {
    if (!draws_) return;
    const auto now = steady_clock::now();
    if (now - drawn_at_ < kDrawEvery) return;
    drawn_at_ = now;
    has_drawn_ = true;
    std::string line = "\r\x1b[K" + name_ + "  ";
    if (part > 0) {
      const auto filled = static_cast<std::size_t>(part * kBarColumns);
      line += "[" + std::string(filled, '#') + std::string(kBarColumns - filled, ' ') + "] " +
              std::to_string(static_cast<int>(part * 100)) + "%, ";
    }
    out_.write_if_ready(line + std::to_string(records) + " records");
  }

 private:
  const std::string name_;
  Output& out_;
  const bool draws_;
  bool has_drawn_ = false;
  steady_clock::time_point drawn_at_ = steady_clock::now();
};

std::string counted(std::uint64_t number, const std::string& thing) {
  return std::to_string(number) + " " + thing + (number == 1 ? "" : "s");
}

}  // namespace

Result<service::LoadResult> load_with_progress(store::Store& store, const std::string& name, int fd,
                                               Output& progress, const Cancelled& cancelled) {
  Progress bar(name, progress);
  service::LoadOptions options;
  options.progress = [&](std::uint64_t records, double part) -> Status {
    if (cancelled()) return unavailable(name + ": the load was cancelled; nothing was applied");
    bar.show(records, part);
    return {};
  };
  return service::load_records(store, fd, name, options, store::Origin{make_request_id(), ""});
}

std::string describe(const std::string& name, const service::LoadResult& loaded) {
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
