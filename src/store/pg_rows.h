// Things as rows of their tables, and back. Statements name the columns in the order given here;
// where a row can be of any company, the readers are told in which column it begins.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/types.h"
#include "store/kept_answer.h"
#include "store/pg_wire.h"

namespace earshot::store {

// workspace_id, name
core::Workspace read_workspace(const PgResult& result, int row);
// profile_id, workspace_id, name, permission_level, team_lead_ids
Result<core::Profile> read_profile(const PgResult& result, int row);
// user_id, email_address, first_name, last_name, manager_id, active, profile_ids
core::User read_user(const PgResult& result, int row);
// call_id, workspace_id, title, started, primary_user_id, party_user_ids, is_private
core::Call read_call(const PgResult& result, int row);
// What decides about access alone. Of a user user_id, and manager_id, active, profile_ids from
// `column` on; of a profile profile_id, and workspace_id, permission_level, team_lead_ids.
core::User read_member(const PgResult& result, int row, int column = 1);
core::Profile read_rule(const PgResult& result, int row, int column = 1);
// expires_at, note, from `column` on
core::Grant read_grant(const PgResult& result, int row, int column);
// access_key, secret_salt, secret_digest, scopes, expires_at, from `column` on
Result<core::Key> read_key(const PgResult& result, int row, int column);
// key, request, at, request_id, revision, results; the key is left aside. Nothing where a column
// holds what no release wrote, the results excepted.
std::optional<KeptAnswer> read_kept_answer(const PgResult& result, int row);

// The parameters of a statement that puts many of one company: $1 the company, $2 the revision,
// then the columns, each as an array. Lists of ids are texts there, to be cast to bigint[].
PgParams params_of(CompanyId company, std::uint64_t revision,
                   std::span<const core::Workspace> workspaces);
PgParams params_of(CompanyId company, std::uint64_t revision,
                   std::span<const core::Profile> profiles);
PgParams params_of(CompanyId company, std::uint64_t revision, std::span<const core::User> users);
PgParams params_of(CompanyId company, std::uint64_t revision, std::span<const core::Call> calls);
// Scopes are the texts of arrays, to be cast to text[].
PgParams params_of(CompanyId company, std::uint64_t revision, std::span<const core::Key> keys);

}  // namespace earshot::store
