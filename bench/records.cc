// Writes the data of the benches as records for `earshot load`, to standard output: company after
// company its directory, then call after call with its grants. Calls come by their number, so in no
// order of their ids.

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "population.h"

namespace {

using namespace earshot::bench;

constexpr std::size_t kPieceBytes = 1 << 20;

class Records {
 public:
  ~Records() { flush(); }

  void directory(std::uint64_t company) {
    add(R"({"kind":"company","companyId":")", company, R"(","name":"Bench"})");
    add(R"({"kind":"key","accessKey":")", access_key(company), R"(","secret":")", kSecret,
        R"(","scopes":["api:call-user-access:read","api:call-user-access:write",)"
        R"("earshot:access:read","earshot:audit:read","earshot:grants:write"]})");
    add(R"({"kind":"workspace","workspaceId":"10","name":"Sales"})");
    add(R"({"kind":"profile","profileId":"20","workspaceId":"10","name":"Managers",)"
        R"("callsAccess":{"permissionLevel":"report-to-them","teamLeadIds":[]}})");
    tree(company, 0, kSellers);
    tree(company, kSellers, kListeners);
  }

  void calls(std::uint64_t company, std::uint64_t first, std::uint64_t count,
             std::uint64_t grants_per_call) {
    for (std::uint64_t call = first; call < first + count; ++call) {
      const std::uint64_t drawn = scatter(scatter(company) + call);
      const std::uint64_t host = drawn % kSellers;
      const std::uint64_t party = (host + 1 + (drawn >> 32) % (kSellers - 1)) % kSellers;
      const std::uint64_t id = call_id(company, call);
      add(R"({"kind":"call","callId":")", id, R"(","workspaceId":"10","title":"Call )", call,
          R"(","started":"2026-03-01T10:00:00Z","primaryUserId":")", user_id(company, host),
          R"(","partyUserIds":[")", user_id(company, party), R"("]})");
      for (std::uint64_t n = 0; n < grants_per_call; ++n) {
        add(R"({"kind":"grant","callId":")", id, R"(","userId":")",
            listener_id(company, listener_of_grant(company, call, n)), R"("})");
      }
    }
  }

  // What a load into a store that has the directory already begins with.
  void into(std::uint64_t company) {
    add(R"({"kind":"company","companyId":")", company, R"(","name":"Bench"})");
  }

 private:
  // Every user holds the profile, which covers the calls of those below, so that a give costs the
  // whole rule. No seller stands below a listener, so that every new pair is a change.
  void tree(std::uint64_t company, std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t id = user_id(company, first + i);
      if (i == 0) {
        add(R"({"kind":"user","userId":")", id, R"(","emailAddress":")", id,
            R"(@bench.test","profileIds":["20"]})");
      } else {
        add(R"({"kind":"user","userId":")", id, R"(","emailAddress":")", id,
            R"(@bench.test","managerId":")", user_id(company, first + (i - 1) / kReports),
            R"(","profileIds":["20"]})");
      }
    }
  }

  template <typename... Parts>
  void add(const Parts&... parts) {
    (append(parts), ...);
    piece_ += '\n';
    if (piece_.size() >= kPieceBytes) flush();
  }
  void append(std::string_view text) { piece_ += text; }
  void append(std::uint64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    piece_.append(digits, static_cast<std::size_t>(end - digits));
  }

  void flush() {
    if (std::fwrite(piece_.data(), 1, piece_.size(), stdout) != piece_.size()) std::exit(1);
    piece_.clear();
  }

  std::string piece_;
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::uint64_t> numbers;
  for (int i = 1; i < argc; ++i) numbers.push_back(std::strtoull(argv[i], nullptr, 10));
  if (numbers.size() != 3 && numbers.size() != 4) {
    std::fprintf(stderr,
                 "usage: bench_records COMPANIES CALLS GRANTS [FIRST]\n"
                 "records of so many companies with so many calls of so many grants each;\n"
                 "with FIRST only calls, from that number on, for stores that have the rest\n");
    return 2;
  }
  Records records;
  const bool whole = numbers.size() == 3;
  for (std::uint64_t company = 1; company <= numbers[0]; ++company) {
    if (whole) {
      records.directory(company);
    } else {
      records.into(company);
    }
    records.calls(company, whole ? 0 : numbers[3], numbers[1], numbers[2]);
  }
  return 0;
}
