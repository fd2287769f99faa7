#include "service/directory.h"

#include <unistd.h>

#include <cerrno>
#include <memory>
#include <span>
#include <utility>

#include "auth/scopes.h"
#include "records/reader.h"

namespace earshot::service {
namespace {

records::Reader::ReadBytes read_from_file(int fd) {
  return [fd](std::span<char> buffer) -> Result<std::size_t> {
    for (;;) {
      const ssize_t got = ::read(fd, buffer.data(), buffer.size());
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) return internal("the lines cannot be read again");
    }
  };
}

class DirectoryRecords final : public AskedRecords {
 public:
  DirectoryRecords(store::Store& store, const store::Asker& asker, int fd)
      : AskedRecords(store, asker),
        company_(asker.key()->company),
        reader_("", read_from_file(fd), {.company = company_}) {}

  std::string position() const override { return reader_.position(); }
  const records::Warnings& warnings() const { return reader_.warnings(); }

 protected:
  Result<const core::Record*> next_of(const store::KeyEntry& caller) override {
    record_ = TRY(reader_.next());
    if (!record_) return nullptr;
    if (std::holds_alternative<core::Company>(record_->thing)) {
      return invalid_argument(position() + ": kind: only an operator puts a company in place");
    }
    if (record_->company != company_) {
      return invalid_argument(position() +
                              ": companyId: must be that of the access key, or absent");
    }
    TRY(check_scopes_of(caller.key));
    return &*record_;
  }

 private:
  Status check_scopes_of(const core::Key& caller) {
    if (std::holds_alternative<core::GrantLine>(record_->thing)) {
      return check(caller, "a grant line", auth::kScopeGrantsWrite);
    }
    const auto* const line = std::get_if<core::KeyLine>(&record_->thing);
    if (line == nullptr) return {};
    TRY(check(caller, "a key line", auth::kScopeKeysWrite));
    if (record_->remove) return {};
    const std::string lacking = list_lacking(caller, line->key.scopes);
    if (lacking.empty()) return {};
    return lack(position() + ": scopes: the key that asks does not have " + lacking);
  }

  Status check(const core::Key& caller, const std::string& what, std::string_view scope) {
    if (has_scope(caller, scope)) return {};
    return lack(position() + ": " + what + " needs the scope " + std::string(scope));
  }

  const CompanyId company_;
  records::Reader reader_;
  std::optional<core::Record> record_;
};

std::vector<std::string> describe_warnings(const records::Warnings& warnings) {
  std::vector<std::string> texts;
  for (const std::string& position : warnings.short_secret_positions) {
    texts.push_back(position + ": secret: is shorter than " +
                    std::to_string(records::kSecretCharsAdvised) +
                    " characters and can be guessed");
  }
  if (const auto more = warnings.short_secrets - texts.size(); more > 0) {
    texts.push_back("and " + std::to_string(more) + " more like this");
  }
  return texts;
}

}  // namespace

void RecordsUpload::give_up(Error error) {
  status_ = std::move(error);
  lines_.reset();
  place_.reset();
}

void RecordsUpload::take_place() {
  using Kind = WaitingRequests::Kind;
  place_ = company_ ? requests_.take_place(Kind::directory, *company_)
                    : requests_.take_place(Kind::strangers, CompanyId{});
  if (!place_) give_up(unavailable("too many requests change the directory"));
}

void RecordsUpload::begin() {
  has_begun_ = true;
  take_place();
  if (!status_) return;
  auto file = SpoolFile::open();
  if (!file) return give_up(unavailable(file.error().message));
  lines_ = std::move(*file);
}

void RecordsUpload::admit(CompanyId company) {
  const std::lock_guard lock(mutex_);
  company_ = company;
  if (has_begun_ && status_) take_place();
}

void RecordsUpload::piece(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (!has_begun_) begin();
  if (!status_) return;
  if (Status written = lines_->write(bytes); !written) {
    give_up(unavailable(written.error().message));
  }
}

Status RecordsUpload::submit(std::function<void(SpoolFile lines)> load) {
  const std::lock_guard lock(mutex_);
  if (!has_begun_) begin();
  TRY(Status(status_));
  // A function can be copied, a file cannot.
  auto lines = std::make_shared<SpoolFile>(*std::exchange(lines_, std::nullopt));
  requests_.submit(*std::exchange(place_, std::nullopt),
                   [lines, load = std::move(load)] { load(std::move(*lines)); });
  return {};
}

Result<DirectoryOutcome> load_directory(store::Store& store, const store::Asker& asker,
                                        SpoolFile lines, const store::Origin& origin) {
  DirectoryRecords records(store, asker, TRY(lines.rewind()));
  const AskedLoad loaded = TRY(load_asked(store, records, origin));
  if (const auto* const lacking = std::get_if<ScopeLacking>(&loaded)) {
    return DirectoryOutcome(*lacking);
  }
  const auto& report = std::get<store::LoadReport>(loaded);
  DirectoryReport answer{TRY(revision_of(store, asker.key()->company, report)), report.records,
                         report.changes, describe_warnings(records.warnings())};
  return DirectoryOutcome(std::move(answer));
}

}  // namespace earshot::service
