#include "store/pg_dump.h"

#include <vector>

#include "store/pg_rows.h"
#include "store/pg_statements_sync.h"

namespace earshot::store {
namespace {

using TakeRecord = std::function<Status(const core::Record&)>;

constexpr std::uint64_t kCallsAPage = 500;
constexpr std::uint64_t kPairsAPage = 20'000;

// Calls `take` with the rows of a statement, page after page: it is given the company, what `after`
// was at the end of the page before, and how many rows make a page.
Status each_page(PgSession& session, const PgStatement& statement, CompanyId company,
                 std::vector<std::uint64_t> after, std::uint64_t rows_max,
                 const std::function<Status(const PgResult&, int)>& take,
                 const std::function<std::vector<std::uint64_t>(const PgResult&, int)>& key) {
  for (;;) {
    PgParams params;
    params.add(company);
    for (const std::uint64_t member : after) params.add(member);
    params.add(rows_max);
    const PgResult page = TRY(session.run(statement, params));
    for (int row = 0; row < page.rows(); ++row) TRY(take(page, row));
    if (static_cast<std::uint64_t>(page.rows()) < rows_max) return {};
    after = key(page, page.rows() - 1);
  }
}

Status dump_things(PgSession& session, CompanyId company, const TakeRecord& take) {
  const auto by_id = [](const PgResult& rows, int row) {
    return std::vector<std::uint64_t>{rows.number(row, 0)};
  };
  TRY(each_page(
      session, kPageWorkspaces, company, {0}, kPairsAPage,
      [&](const PgResult& rows, int row) {
        return take({company, false, read_workspace(rows, row)});
      },
      by_id));
  TRY(each_page(
      session, kPageProfiles, company, {0}, kPairsAPage,
      [&](const PgResult& rows, int row) -> Status {
        return take({company, false, TRY(read_profile(rows, row))});
      },
      by_id));
  return each_page(
      session, kPageUsers, company, {0}, kPairsAPage,
      [&](const PgResult& rows, int row) {
        return take({company, false, read_user(rows, row)});
      },
      by_id);
}

// Pairs of the calls of a page, in the order of call and user, asked for as they are needed.
class Pairs {
 public:
  Pairs(PgSession& session, const PgStatement& statement, CompanyId company, CallId last)
      : session_(session), statement_(statement), company_(company), last_(last) {}

  void begin_with(CallId call) {
    call_ = call.value - 1;
    user_ = kIdMax;
  }

  // Calls `take` with each row of this call; calls come ascending.
  Status each_of(CallId call, const std::function<Status(const PgResult&, int)>& take) {
    for (;;) {
      for (; row_ < page_rows(); ++row_) {
        if (page_.number(row_, 0) > call.value) return {};
        if (page_.number(row_, 0) == call.value) TRY(take(page_, row_));
      }
      if (is_over_) return {};
      TRY(read_page());
    }
  }

 private:
  int page_rows() const { return page_ ? page_.rows() : 0; }
  Status read_page() {
    PgParams params;
    params.add(company_).add(call_).add(user_).add(last_).add(kPairsAPage);
    page_ = TRY(session_.run(statement_, params));
    row_ = 0;
    is_over_ = static_cast<std::uint64_t>(page_.rows()) < kPairsAPage;
    if (page_.rows() == 0) return {};
    call_ = page_.number(page_.rows() - 1, 0);
    user_ = page_.number(page_.rows() - 1, 1);
    return {};
  }

  PgSession& session_;
  const PgStatement& statement_;
  const CompanyId company_;
  const CallId last_;
  std::uint64_t call_ = 0, user_ = 0;
  PgResult page_;
  int row_ = 0;
  bool is_over_ = false;
};

Status dump_calls(PgSession& session, CompanyId company, const TakeRecord& take) {
  CallId after;
  for (;;) {
    PgParams params;
    params.add(company).add(after).add(kCallsAPage);
    const PgResult calls = TRY(session.run(kPageCalls, params));
    if (calls.rows() == 0) return {};
    const CallId last{calls.number(calls.rows() - 1, 0)};
    Pairs shares(session, kPageShares, company, last), grants(session, kPageGrants, company, last);
    const CallId first{calls.number(0, 0)};
    shares.begin_with(first);
    grants.begin_with(first);
    for (int row = 0; row < calls.rows(); ++row) {
      core::Call call = read_call(calls, row);
      const CallId id = call.id;
      TRY(take({company, false, std::move(call)}));
      TRY(shares.each_of(id, [&](const PgResult& rows, int i) {
        return take({company, false, core::ShareLine{id, {rows.number(i, 1)}}});
      }));
      TRY(grants.each_of(id, [&](const PgResult& rows, int i) {
        return take(
            {company, false, core::GrantLine{id, {rows.number(i, 1)}, read_grant(rows, i, 2)}});
      }));
    }
    if (static_cast<std::uint64_t>(calls.rows()) < kCallsAPage) return {};
    after = last;
  }
}

Status dump_company(PgSession& session, CompanyId company, const TakeRecord& take) {
  const PgResult head = TRY(session.run(kFindCompany, PgParams().add(company)));
  if (head.rows() == 0 || head.is_null(0, 0)) return {};
  TRY(take({company, false, core::Company{company, std::string(head.text(0, 0))}}));
  const PgResult keys = TRY(session.run(kListKeysOfCompany, PgParams().add(company)));
  for (int row = 0; row < keys.rows(); ++row) {
    TRY(take({company, false, core::KeyLine{TRY(read_key(keys, row, 1)), std::nullopt}}));
  }
  TRY(dump_things(session, company, take));
  return dump_calls(session, company, take);
}

Status dump_all(PgSession& session, const TakeRecord& take) {
  std::vector<CompanyId> companies;
  TRY(session.begin_snapshot());
  TRY(session.stream(kListCompanies, {}, [&](const PgResult& row) -> Status {
    companies.push_back({row.number(0, 0)});
    return {};
  }));
  for (const CompanyId company : companies) TRY(dump_company(session, company, take));
  return {};
}

}  // namespace

Status dump_over_postgres(PgSession& session, const TakeRecord& take) {
  Status dumped = dump_all(session, take);
  session.roll_back();  // it only read
  return dumped;
}

}  // namespace earshot::store
