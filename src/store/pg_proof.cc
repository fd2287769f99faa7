#include "store/pg_proof.h"

#include <algorithm>

namespace earshot::store {
namespace {

constexpr std::size_t kCompaniesMax = 100'000;  // forgotten beyond: they are proved again

}  // namespace

void PgProof::proved(CompanyId company, Moment sent) {
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kCompaniesMax) known_.clear();
  Known& known = known_[key_of(company)];
  known.since = std::max(known.since, sent);
}

PgProof::Moment PgProof::proved_since(CompanyId company) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(key_of(company));
  return found == known_.end() ? Moment::min() : found->second.since;
}

bool PgProof::begin(CompanyId company, Moment now, Moment since) {
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kCompaniesMax) known_.clear();
  Known& known = known_[key_of(company)];
  if (known.begun >= since) return false;
  known.begun = now;
  return true;
}

std::shared_ptr<PgProof> PgProofs::of(const std::string& server) {
  const std::lock_guard lock(mutex_);
  std::erase_if(servers_, [](const auto& known) { return known.second.expired(); });
  if (auto known = servers_[server].lock()) return known;
  auto made = std::make_shared<PgProof>(server, is_by_company_);
  servers_[server] = made;
  return made;
}

}  // namespace earshot::store
