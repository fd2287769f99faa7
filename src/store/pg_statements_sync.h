// The statements of those who wait: commands, loads, retention, usage. Each names its company, and
// so reaches one shard, but for those of the whole store.
//
// Statements keep to what PostgreSQL and Citus both do: no ctid, MERGE, triggers, sequences,
// advisory locks or LISTEN, and no statement changes rows of two companies.
#pragma once

#include <array>

#include "store/pg_statements.h"
#include "store/pg_wire.h"

namespace earshot::store {

// --- of the whole store

inline constexpr PgStatement kIsUtf8 = {"is_utf8",
                                        "SELECT current_setting('server_encoding') = 'UTF8'"};
inline constexpr PgStatement kHasVersions = {
    "has_versions", "SELECT to_regclass('earshot.schema_versions') IS NOT NULL"};
inline constexpr PgStatement kFindVersion = {
    "find_version", "SELECT coalesce(max(version), 0)::bigint FROM earshot.schema_versions"};
inline constexpr PgStatement kAddVersion = {
    "add_version",
    "INSERT INTO earshot.schema_versions (version, name, applied_at, release)"
    " VALUES ($1::bigint, $2::text, now(), $3::text)"};
inline constexpr PgStatement kHasCitus = {
    "has_citus", "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"};
inline constexpr PgStatement kHasCitusTables = {
    "has_citus_tables", "SELECT to_regclass('pg_dist_partition') IS NOT NULL"};
inline constexpr PgStatement kIsDistributed = {
    "is_distributed",
    "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass($1::text))"};

// index -> whether it is there and was made to the end
inline constexpr PgStatement kHasIndex = {
    "has_index",
    "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1::text) AND indisvalid)"};
// -> secret. Of a table that is on every server.
inline constexpr PgStatement kFindCursorKey = {"find_cursor_key",
                                               "SELECT secret FROM earshot.cursor_keys"};

// oldest, how many revisions stay -> the companies whose record holds something older, or more
inline constexpr PgStatement kListOldCompanies = {
    "list_old_companies",
    "SELECT company_id FROM earshot.companies c WHERE horizon + 1 < revision"
    " AND (revision - horizon > $2::bigint OR EXISTS"
    " (SELECT FROM earshot.changes o WHERE o.company_id = c.company_id"
    " AND o.revision = c.horizon + 1 AND o.at < $1::timestamptz)) ORDER BY company_id"};
// -> company, in order
inline constexpr PgStatement kListCompanies = {
    "list_companies", "SELECT company_id FROM earshot.companies ORDER BY company_id"};
// day -> company, requests
inline constexpr PgStatement kListUsage = {
    "list_usage",
    "SELECT company_id, requests FROM earshot.usage WHERE day = $1::date ORDER BY company_id"};
// -> company, the columns of read_key, revision. Of a table that is on every server.
inline constexpr PgStatement kListKeys = {
    "list_keys",
    "SELECT company_id, access_key, secret_salt, secret_digest, scopes, expires_at, revision"
    " FROM earshot.keys ORDER BY company_id, access_key"};
inline constexpr PgStatement kListKeysOfCompany = {
    "list_keys_of_company",
    "SELECT company_id, access_key, secret_salt, secret_digest, scopes, expires_at, revision"
    " FROM earshot.keys WHERE company_id = $1::bigint ORDER BY company_id, access_key"};

// --- usage

// company, day, requests -> what it has come to
inline constexpr PgStatement kAddUsage = {
    "add_usage",
    "INSERT INTO earshot.usage (company_id, day, requests)"
    " VALUES ($1::bigint, $2::date, $3::bigint) ON CONFLICT (company_id, day)"
    " DO UPDATE SET requests = usage.requests + excluded.requests RETURNING requests"};

// company, access keys, times: the latest of each counts. Who writes has them in order, so that
// servers do not wait crosswise. Of a key that is gone nothing is kept.
inline constexpr PgStatement kNoteKeyUses = {
    "note_key_uses",
    "INSERT INTO earshot.key_uses (company_id, access_key, used_at)"
    " SELECT $1::bigint, x.access_key, x.used_at"
    " FROM unnest($2::text[], $3::timestamptz[]) AS x(access_key, used_at)"
    " ON CONFLICT (company_id, access_key) DO UPDATE SET used_at = excluded.used_at"
    " WHERE key_uses.used_at < excluded.used_at"};
// company
inline constexpr PgStatement kForgetKeyUses = {
    "forget_key_uses",
    "DELETE FROM earshot.key_uses u WHERE u.company_id = $1::bigint AND NOT EXISTS"
    " (SELECT 1 FROM earshot.keys k WHERE k.access_key = u.access_key"
    " AND k.company_id = u.company_id)"};
inline constexpr PgStatement kForgetKeyUsesOfCompany = {
    "forget_key_uses_of_company", "DELETE FROM earshot.key_uses WHERE company_id = $1::bigint"};
// company -> access key, time
inline constexpr PgStatement kListKeyUses = {
    "list_key_uses",
    "SELECT u.access_key, u.used_at FROM earshot.key_uses u WHERE u.company_id = $1::bigint"
    " AND EXISTS (SELECT 1 FROM earshot.keys k WHERE k.access_key = u.access_key"
    " AND k.company_id = u.company_id) ORDER BY u.access_key"};

// --- retention

// company -> revision, horizon; and its row is locked
inline constexpr PgStatement kLockHorizon = {
    "lock_horizon",
    "SELECT revision, horizon FROM earshot.companies WHERE company_id = $1::bigint FOR UPDATE"};
// company, oldest, newest revision, horizon, most revisions, up to which revision the count cuts ->
// the last that goes, or NULL. Times never go back with revisions, so that what is old stands in
// front.
inline constexpr PgStatement kFindHorizon = {
    "find_horizon",
    "SELECT max(revision) FROM earshot.changes WHERE company_id = $1::bigint"
    " AND revision > $4::bigint AND revision <= $4::bigint + $5::bigint"
    " AND revision < $3::bigint AND (at < $2::timestamptz OR revision <= $6::bigint)"};
// company, the last revision that goes
inline constexpr PgStatement kCutChanges = {
    "cut_changes",
    "DELETE FROM earshot.changes WHERE company_id = $1::bigint AND revision <= $2::bigint"};
// company, the horizon: versions that were in force up to there at most
inline constexpr PgStatement kCutWorkspaceVersions = {
    "cut_workspace_versions",
    "DELETE FROM earshot.workspace_versions WHERE company_id = $1::bigint"
    " AND until_revision <= $2::bigint"};
inline constexpr PgStatement kCutProfileVersions = {
    "cut_profile_versions",
    "DELETE FROM earshot.profile_versions WHERE company_id = $1::bigint"
    " AND until_revision <= $2::bigint"};
inline constexpr PgStatement kCutUserVersions = {
    "cut_user_versions",
    "DELETE FROM earshot.user_versions WHERE company_id = $1::bigint"
    " AND until_revision <= $2::bigint"};
// company, the last revision that goes; before it does
inline constexpr PgStatement kMoveHorizon = {
    "move_horizon",
    "UPDATE earshot.companies SET horizon = $2::bigint, horizon_known = $2::bigint,"
    " horizon_at = (SELECT at FROM earshot.changes WHERE company_id = $1::bigint"
    " AND revision = $2::bigint ORDER BY first_n DESC LIMIT 1),"
    " horizon_directory_revision = (SELECT directory_revision FROM earshot.changes"
    " WHERE company_id = $1::bigint AND revision = $2::bigint ORDER BY first_n DESC LIMIT 1)"
    " WHERE company_id = $1::bigint"};

// --- refusals that are kept: see the table

// company -> the last number; no row where there is none
inline constexpr PgStatement kFindLastRefusal = {
    "find_last_refusal",
    "SELECT number FROM earshot.refusals WHERE company_id = $1::bigint"
    " ORDER BY number DESC LIMIT 1"};
// company, and all columns. Servers that take the same numbers meet in the primary key.
inline constexpr PgStatement kPutRefusals = {
    "put_refusals",
    "INSERT INTO earshot.refusals (company_id, number, at, reason, operation, access_key,"
    " remote_address, request_id, detail, requests) SELECT $1::bigint, n.* FROM"
    " unnest($2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],"
    " $8::text[], $9::text[], $10::bigint[]) AS n"};
// company, how many stay. What another server deletes at the same time is left to it: none waits.
inline constexpr PgStatement kTrimRefusals = {
    "trim_refusals",
    "DELETE FROM earshot.refusals WHERE company_id = $1::bigint AND number = ANY (ARRAY"
    " (SELECT number FROM earshot.refusals WHERE company_id = $1::bigint AND number <="
    " (SELECT number FROM earshot.refusals WHERE company_id = $1::bigint"
    " ORDER BY number DESC OFFSET $2::bigint LIMIT 1) FOR UPDATE SKIP LOCKED))"};
// company, how many stay of those that anybody may cause (refusal_bounds.h)
inline constexpr PgStatement kTrimRefusalsOfAnybody = {
    "trim_refusals_of_anybody",
    "DELETE FROM earshot.refusals WHERE company_id = $1::bigint AND number = ANY (ARRAY"
    " (SELECT number FROM earshot.refusals WHERE company_id = $1::bigint"
    " AND reason IN ('credentials', 'not_kept') AND number <="
    " (SELECT number FROM earshot.refusals WHERE company_id = $1::bigint"
    " AND reason IN ('credentials', 'not_kept')"
    " ORDER BY number DESC OFFSET $2::bigint LIMIT 1) FOR UPDATE SKIP LOCKED))"};
// company, only before this number, oldest, how many at most -> number, columns
inline constexpr PgStatement kListRefusals = {
    "list_refusals",
    "SELECT number, at, reason, operation, access_key, remote_address, request_id, detail, requests"
    " FROM earshot.refusals WHERE company_id = $1::bigint AND number < $2::bigint"
    " AND at >= $3::timestamptz ORDER BY number DESC LIMIT $4::bigint"};
// -> the companies with refusals
inline constexpr PgStatement kListRefusedCompanies = {
    "list_refused_companies",
    "SELECT DISTINCT company_id FROM earshot.refusals ORDER BY company_id"};
// oldest -> the companies with refusals that were kept long enough
inline constexpr PgStatement kListOldRefusals = {
    "list_old_refusals",
    "SELECT DISTINCT company_id FROM earshot.refusals WHERE at < $1::timestamptz"
    " ORDER BY company_id"};
// -> the companies that are gone and have refusals: such came while they went
inline constexpr PgStatement kListRefusalsOfNobody = {
    "list_refusals_of_nobody",
    "SELECT company_id FROM earshot.companies c WHERE name IS NULL AND EXISTS"
    " (SELECT FROM earshot.refusals r WHERE r.company_id = c.company_id) ORDER BY company_id"};
// company, oldest
inline constexpr PgStatement kForgetOldRefusals = {
    "forget_old_refusals",
    "DELETE FROM earshot.refusals WHERE company_id = $1::bigint AND at < $2::timestamptz"};
// company
inline constexpr PgStatement kForgetRefusalsOfCompany = {
    "forget_refusals_of_company", "DELETE FROM earshot.refusals WHERE company_id = $1::bigint"};

// --- what is over

// now -> the companies with grants that have expired, as far as this clock says
inline constexpr PgStatement kListExpired = {
    "list_expired",
    "SELECT company_id FROM earshot.companies c WHERE EXISTS"
    " (SELECT FROM earshot.grants g WHERE g.company_id = c.company_id"
    " AND g.expires_at <= $1::timestamptz) ORDER BY company_id"};
// oldest -> the companies with answers that were kept long enough
inline constexpr PgStatement kListForgotten = {
    "list_forgotten",
    "SELECT company_id FROM earshot.companies c WHERE EXISTS"
    " (SELECT FROM earshot.kept_answers a WHERE a.company_id = c.company_id"
    " AND a.at < $1::timestamptz) ORDER BY company_id"};
// company, now, most rows -> call, user, expiry, note of grants that have expired, by pair
inline constexpr PgStatement kLoadExpired = {
    "load_expired",
    "SELECT call_id, user_id, expires_at, note FROM"
    " (SELECT call_id, user_id, expires_at, note FROM earshot.grants"
    " WHERE company_id = $1::bigint AND expires_at <= $2::timestamptz"
    " ORDER BY expires_at LIMIT $3::bigint) o ORDER BY call_id, user_id"};
// company, oldest, rows to pass over -> a row for each that went: about as many, the oldest first
inline constexpr PgStatement kForgetAnswers = {
    "forget_answers",
    "DELETE FROM earshot.kept_answers WHERE company_id = $1::bigint AND at < $2::timestamptz"
    " AND at <= coalesce((SELECT at FROM earshot.kept_answers WHERE company_id = $1::bigint"
    " AND at < $2::timestamptz ORDER BY at OFFSET $3::bigint LIMIT 1), $2::timestamptz)"
    " RETURNING true"};

// --- loads

// Loads take turns. Where the tables are distributed, this one is on every server.
inline constexpr PgStatement kLockLoads = {"lock_loads",
                                           "SELECT true FROM earshot.load_lock FOR UPDATE"};
// company, hash of nothing -> a row where there was none
inline constexpr PgStatement kMakeHead = {
    "make_head",
    "INSERT INTO earshot.companies (company_id, revision, directory_revision, changed_at, hash)"
    " VALUES ($1::bigint, 0, 0, TIMESTAMPTZ 'epoch', $2::bytea)"
    " ON CONFLICT (company_id) DO NOTHING RETURNING true"};
// company -> revision, directory_revision, changed_at, hash, name; and its row is locked
inline constexpr PgStatement kLockCompany = {
    "lock_company",
    "SELECT revision, directory_revision, changed_at, hash, name FROM earshot.companies"
    " WHERE company_id = $1::bigint FOR UPDATE"};
// company, revision, directory_revision, changed_at, hash, name. A load that kept no versions came
// before this one, where they do not go up to what the directory was.
inline constexpr PgStatement kPutHead = {
    "put_head",
    "UPDATE earshot.companies SET revision = $2::bigint, directory_revision = $3::bigint,"
    " changed_at = $4::timestamptz, hash = $5::bytea, name = $6::text,"
    " versions_from = CASE WHEN versions_to = directory_revision THEN versions_from"
    " ELSE directory_revision END, versions_to = $3::bigint"
    " WHERE company_id = $1::bigint"};
inline constexpr PgStatement kForgetHead = {
    "forget_head", "DELETE FROM earshot.companies WHERE company_id = $1::bigint AND revision = 0"};

// company, ids -> the columns of the readers in pg_rows.h
inline constexpr PgStatement kFindWorkspaces = {
    "find_workspaces",
    "SELECT workspace_id, name FROM earshot.workspaces"
    " WHERE company_id = $1::bigint AND workspace_id = ANY ($2::bigint[])"};
inline constexpr PgStatement kFindProfiles = {
    "find_profiles",
    "SELECT profile_id, workspace_id, name, permission_level, team_lead_ids FROM earshot.profiles"
    " WHERE company_id = $1::bigint AND profile_id = ANY ($2::bigint[])"};
inline constexpr PgStatement kFindUsers = {
    "find_users",
    "SELECT user_id, email_address, first_name, last_name, manager_id, active, profile_ids"
    " FROM earshot.users WHERE company_id = $1::bigint AND user_id = ANY ($2::bigint[])"};
inline constexpr PgStatement kFindCalls = {
    "find_calls",
    "SELECT call_id, workspace_id, title, started, primary_user_id, party_user_ids, is_private"
    " FROM earshot.calls WHERE company_id = $1::bigint AND call_id = ANY ($2::bigint[])"};
// company, ids -> those that are there
inline constexpr PgStatement kFindUsersThere = {
    "find_users_there",
    "SELECT user_id FROM earshot.users"
    " WHERE company_id = $1::bigint AND user_id = ANY ($2::bigint[])"};
inline constexpr PgStatement kFindCallsThere = {
    "find_calls_there",
    "SELECT call_id FROM earshot.calls"
    " WHERE company_id = $1::bigint AND call_id = ANY ($2::bigint[])"};
// access keys -> company, the columns of read_key. Of a table that is on every server.
inline constexpr PgStatement kFindKeys = {
    "find_keys",
    "SELECT company_id, access_key, secret_salt, secret_digest, scopes, expires_at"
    " FROM earshot.keys WHERE access_key = ANY ($1::text[])"};

// company, ids, revision: before things are replaced or removed, what they were up to then. What
// this very revision has put in place was never seen.
inline constexpr PgStatement kKeepWorkspaces = {
    "keep_workspaces",
    "INSERT INTO earshot.workspace_versions (company_id, workspace_id, revision, until_revision)"
    " SELECT company_id, workspace_id, revision, $3::bigint FROM earshot.workspaces"
    " WHERE company_id = $1::bigint AND workspace_id = ANY ($2::bigint[])"
    " AND revision < $3::bigint"};
inline constexpr PgStatement kKeepProfiles = {
    "keep_profiles",
    "INSERT INTO earshot.profile_versions (company_id, profile_id, revision, until_revision,"
    " workspace_id, permission_level, team_lead_ids)"
    " SELECT company_id, profile_id, revision, $3::bigint, workspace_id, permission_level,"
    " team_lead_ids FROM earshot.profiles"
    " WHERE company_id = $1::bigint AND profile_id = ANY ($2::bigint[])"
    " AND revision < $3::bigint"};
inline constexpr PgStatement kKeepUsers = {
    "keep_users",
    "INSERT INTO earshot.user_versions (company_id, user_id, revision, until_revision,"
    " manager_id, active, profile_ids)"
    " SELECT company_id, user_id, revision, $3::bigint, manager_id, active, profile_ids"
    " FROM earshot.users WHERE company_id = $1::bigint AND user_id = ANY ($2::bigint[])"
    " AND revision < $3::bigint"};
// company, revision: the same before all of a company goes
inline constexpr PgStatement kKeepWorkspacesOfCompany = {
    "keep_workspaces_of_company",
    "INSERT INTO earshot.workspace_versions (company_id, workspace_id, revision, until_revision)"
    " SELECT company_id, workspace_id, revision, $2::bigint FROM earshot.workspaces"
    " WHERE company_id = $1::bigint AND revision < $2::bigint"};
inline constexpr PgStatement kKeepProfilesOfCompany = {
    "keep_profiles_of_company",
    "INSERT INTO earshot.profile_versions (company_id, profile_id, revision, until_revision,"
    " workspace_id, permission_level, team_lead_ids)"
    " SELECT company_id, profile_id, revision, $2::bigint, workspace_id, permission_level,"
    " team_lead_ids FROM earshot.profiles"
    " WHERE company_id = $1::bigint AND revision < $2::bigint"};
inline constexpr PgStatement kKeepUsersOfCompany = {
    "keep_users_of_company",
    "INSERT INTO earshot.user_versions (company_id, user_id, revision, until_revision,"
    " manager_id, active, profile_ids)"
    " SELECT company_id, user_id, revision, $2::bigint, manager_id, active, profile_ids"
    " FROM earshot.users WHERE company_id = $1::bigint AND revision < $2::bigint"};

// The parameters of these are those of params_of() in pg_rows.h.
inline constexpr PgStatement kPutWorkspaces = {
    "put_workspaces",
    "INSERT INTO earshot.workspaces (company_id, workspace_id, name, revision)"
    " SELECT $1::bigint, x.id, x.name, $2::bigint"
    " FROM unnest($3::bigint[], $4::text[]) AS x(id, name)"
    " ON CONFLICT (company_id, workspace_id) DO UPDATE"
    " SET name = excluded.name, revision = excluded.revision"};
inline constexpr PgStatement kPutProfiles = {
    "put_profiles",
    "INSERT INTO earshot.profiles (company_id, profile_id, workspace_id, name, permission_level,"
    " team_lead_ids, revision)"
    " SELECT $1::bigint, x.id, x.workspace, x.name, x.level, x.leads::bigint[], $2::bigint"
    " FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[])"
    " AS x(id, workspace, name, level, leads)"
    " ON CONFLICT (company_id, profile_id) DO UPDATE"
    " SET workspace_id = excluded.workspace_id, name = excluded.name,"
    " permission_level = excluded.permission_level, team_lead_ids = excluded.team_lead_ids,"
    " revision = excluded.revision"};
inline constexpr PgStatement kPutUsers = {
    "put_users",
    "INSERT INTO earshot.users (company_id, user_id, email_address, first_name, last_name,"
    " manager_id, active, profile_ids, revision)"
    " SELECT $1::bigint, x.id, x.email, x.first, x.last, x.manager, x.active,"
    " x.profiles::bigint[], $2::bigint"
    " FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::boolean[],"
    " $9::text[]) AS x(id, email, first, last, manager, active, profiles)"
    " ON CONFLICT (company_id, user_id) DO UPDATE"
    " SET email_address = excluded.email_address, first_name = excluded.first_name,"
    " last_name = excluded.last_name, manager_id = excluded.manager_id, active = excluded.active,"
    " profile_ids = excluded.profile_ids, revision = excluded.revision"};
inline constexpr PgStatement kPutCalls = {
    "put_calls",
    "INSERT INTO earshot.calls (company_id, call_id, workspace_id, title, started,"
    " primary_user_id, party_user_ids, is_private, revision)"
    " SELECT $1::bigint, x.id, x.workspace, x.title, x.started, x.host, x.parties::bigint[],"
    " x.private, $2::bigint"
    " FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::text[],"
    " $9::boolean[]) AS x(id, workspace, title, started, host, parties, private)"
    " ON CONFLICT (company_id, call_id) DO UPDATE"
    " SET workspace_id = excluded.workspace_id, title = excluded.title,"
    " started = excluded.started, primary_user_id = excluded.primary_user_id,"
    " party_user_ids = excluded.party_user_ids, is_private = excluded.is_private,"
    " revision = excluded.revision"};
inline constexpr PgStatement kPutKeys = {
    "put_keys",
    "INSERT INTO earshot.keys (access_key, company_id, secret_salt, secret_digest, scopes,"
    " expires_at, revision)"
    " SELECT x.access_key, $1::bigint, x.salt, x.digest, x.scopes::text[], x.expires_at,"
    " $2::bigint"
    " FROM unnest($3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::timestamptz[])"
    " AS x(access_key, salt, digest, scopes, expires_at)"
    " ON CONFLICT (access_key) DO UPDATE"
    " SET company_id = excluded.company_id, secret_salt = excluded.secret_salt,"
    " secret_digest = excluded.secret_digest, scopes = excluded.scopes,"
    " expires_at = excluded.expires_at, revision = excluded.revision"};
// company, revision, calls, users
inline constexpr PgStatement kPutShares = {
    "put_shares",
    "INSERT INTO earshot.shares (company_id, call_id, user_id, revision)"
    " SELECT $1::bigint, x.call_id, x.user_id, $2::bigint"
    " FROM unnest($3::bigint[], $4::bigint[]) AS x(call_id, user_id)"
    " ON CONFLICT (company_id, call_id, user_id) DO UPDATE SET revision = excluded.revision"};

// company, ids
inline constexpr PgStatement kRemoveWorkspaces = {
    "remove_workspaces",
    "DELETE FROM earshot.workspaces"
    " WHERE company_id = $1::bigint AND workspace_id = ANY ($2::bigint[])"};
inline constexpr PgStatement kRemoveProfiles = {
    "remove_profiles",
    "DELETE FROM earshot.profiles"
    " WHERE company_id = $1::bigint AND profile_id = ANY ($2::bigint[])"};
inline constexpr PgStatement kRemoveUsers = {
    "remove_users",
    "DELETE FROM earshot.users WHERE company_id = $1::bigint AND user_id = ANY ($2::bigint[])"};
inline constexpr PgStatement kRemoveCalls = {
    "remove_calls",
    "DELETE FROM earshot.calls WHERE company_id = $1::bigint AND call_id = ANY ($2::bigint[])"};
// access keys
inline constexpr PgStatement kRemoveKeys = {
    "remove_keys", "DELETE FROM earshot.keys WHERE access_key = ANY ($1::text[])"};
// company, call, users. Of one call: joined with a list of pairs, whole companies would be read
// where the planner knows nothing of the tables yet.
inline constexpr PgStatement kRemoveSharesOfUsers = {
    "remove_shares_of_users",
    "DELETE FROM earshot.shares WHERE company_id = $1::bigint AND call_id = $2::bigint"
    " AND user_id = ANY ($3::bigint[])"};

// --- what removals take along: in ranges of keys, of about as many rows each. The first statement
// of each two finds where a range ends, the second removes what is behind the last one and up to
// there.

// company, user, last call, rows to pass over -> call
inline constexpr PgStatement kFindEndOfSharesOfUser = {
    "find_end_of_shares_of_user",
    "SELECT call_id FROM earshot.shares WHERE company_id = $1::bigint AND user_id = $2::bigint"
    " AND call_id > $3::bigint ORDER BY call_id OFFSET $4::bigint LIMIT 1"};
inline constexpr PgStatement kRemoveSharesOfUser = {
    "remove_shares_of_user",
    "DELETE FROM earshot.shares WHERE company_id = $1::bigint AND user_id = $2::bigint"
    " AND call_id > $3::bigint AND call_id <= $4::bigint"
    " RETURNING call_id, user_id"};
// company, user, last call, rows to pass over -> call
inline constexpr PgStatement kFindEndOfGrantsOfUser = {
    "find_end_of_grants_of_user",
    "SELECT call_id FROM earshot.grants WHERE company_id = $1::bigint AND user_id = $2::bigint"
    " AND call_id > $3::bigint ORDER BY call_id OFFSET $4::bigint LIMIT 1"};
inline constexpr PgStatement kRemoveGrantsOfUser = {
    "remove_grants_of_user",
    "DELETE FROM earshot.grants WHERE company_id = $1::bigint AND user_id = $2::bigint"
    " AND call_id > $3::bigint AND call_id <= $4::bigint"
    " RETURNING call_id, user_id, expires_at, note"};
// company, call, last user, rows to pass over -> user
inline constexpr PgStatement kFindEndOfSharesOfCall = {
    "find_end_of_shares_of_call",
    "SELECT user_id FROM earshot.shares WHERE company_id = $1::bigint AND call_id = $2::bigint"
    " AND user_id > $3::bigint ORDER BY user_id OFFSET $4::bigint LIMIT 1"};
inline constexpr PgStatement kRemoveSharesOfCall = {
    "remove_shares_of_call",
    "DELETE FROM earshot.shares WHERE company_id = $1::bigint AND call_id = $2::bigint"
    " AND user_id > $3::bigint AND user_id <= $4::bigint"
    " RETURNING call_id, user_id"};
// company, call, last user, rows to pass over -> user
inline constexpr PgStatement kFindEndOfGrantsOfCall = {
    "find_end_of_grants_of_call",
    "SELECT user_id FROM earshot.grants WHERE company_id = $1::bigint AND call_id = $2::bigint"
    " AND user_id > $3::bigint ORDER BY user_id OFFSET $4::bigint LIMIT 1"};
inline constexpr PgStatement kRemoveGrantsOfCall = {
    "remove_grants_of_call",
    "DELETE FROM earshot.grants WHERE company_id = $1::bigint AND call_id = $2::bigint"
    " AND user_id > $3::bigint AND user_id <= $4::bigint"
    " RETURNING call_id, user_id, expires_at, note"};
// company, last call and user, rows to pass over -> call and user
inline constexpr PgStatement kFindEndOfSharesOfCompany = {
    "find_end_of_shares_of_company",
    "SELECT call_id, user_id FROM earshot.shares WHERE company_id = $1::bigint"
    " AND (call_id, user_id) > ($2::bigint, $3::bigint) ORDER BY call_id, user_id OFFSET "
    "$4::bigint LIMIT 1"};
inline constexpr PgStatement kRemoveSharesOfCompany = {
    "remove_shares_of_company",
    "DELETE FROM earshot.shares WHERE company_id = $1::bigint"
    " AND (call_id, user_id) > ($2::bigint, $3::bigint) AND (call_id, user_id) <= ($4::bigint, "
    "$5::bigint)"
    " RETURNING call_id, user_id"};
// company, last call and user, rows to pass over -> call and user
inline constexpr PgStatement kFindEndOfGrantsOfCompany = {
    "find_end_of_grants_of_company",
    "SELECT call_id, user_id FROM earshot.grants WHERE company_id = $1::bigint"
    " AND (call_id, user_id) > ($2::bigint, $3::bigint) ORDER BY call_id, user_id OFFSET "
    "$4::bigint LIMIT 1"};
inline constexpr PgStatement kRemoveGrantsOfCompany = {
    "remove_grants_of_company",
    "DELETE FROM earshot.grants WHERE company_id = $1::bigint"
    " AND (call_id, user_id) > ($2::bigint, $3::bigint) AND (call_id, user_id) <= ($4::bigint, "
    "$5::bigint)"
    " RETURNING call_id, user_id, expires_at, note"};
// company, last call, rows to pass over -> call
inline constexpr PgStatement kFindEndOfCallsOfCompany = {
    "find_end_of_calls_of_company",
    "SELECT call_id FROM earshot.calls WHERE company_id = $1::bigint"
    " AND call_id > $2::bigint ORDER BY call_id OFFSET $3::bigint LIMIT 1"};
inline constexpr PgStatement kRemoveCallsOfCompany = {
    "remove_calls_of_company",
    "DELETE FROM earshot.calls WHERE company_id = $1::bigint"
    " AND call_id > $2::bigint AND call_id <= $3::bigint"
    " RETURNING call_id, workspace_id, title, started, primary_user_id, party_user_ids, "
    "is_private"};
// company, last user, rows to pass over -> user
inline constexpr PgStatement kFindEndOfUsersOfCompany = {
    "find_end_of_users_of_company",
    "SELECT user_id FROM earshot.users WHERE company_id = $1::bigint"
    " AND user_id > $2::bigint ORDER BY user_id OFFSET $3::bigint LIMIT 1"};
inline constexpr PgStatement kRemoveUsersOfCompany = {
    "remove_users_of_company",
    "DELETE FROM earshot.users WHERE company_id = $1::bigint"
    " AND user_id > $2::bigint AND user_id <= $3::bigint"
    " RETURNING user_id"};
// company, last profile, rows to pass over -> profile
inline constexpr PgStatement kFindEndOfProfilesOfCompany = {
    "find_end_of_profiles_of_company",
    "SELECT profile_id FROM earshot.profiles WHERE company_id = $1::bigint"
    " AND profile_id > $2::bigint ORDER BY profile_id OFFSET $3::bigint LIMIT 1"};
inline constexpr PgStatement kRemoveProfilesOfCompany = {
    "remove_profiles_of_company",
    "DELETE FROM earshot.profiles WHERE company_id = $1::bigint"
    " AND profile_id > $2::bigint AND profile_id <= $3::bigint"
    " RETURNING profile_id"};
// company, last workspace, rows to pass over -> workspace
inline constexpr PgStatement kFindEndOfWorkspacesOfCompany = {
    "find_end_of_workspaces_of_company",
    "SELECT workspace_id FROM earshot.workspaces WHERE company_id = $1::bigint"
    " AND workspace_id > $2::bigint ORDER BY workspace_id OFFSET $3::bigint LIMIT 1"};
inline constexpr PgStatement kRemoveWorkspacesOfCompany = {
    "remove_workspaces_of_company",
    "DELETE FROM earshot.workspaces WHERE company_id = $1::bigint"
    " AND workspace_id > $2::bigint AND workspace_id <= $3::bigint"
    " RETURNING workspace_id"};
// company: what one that was removed was told is not told to one that comes back
inline constexpr PgStatement kForgetAnswersOfCompany = {
    "forget_answers_of_company", "DELETE FROM earshot.kept_answers WHERE company_id = $1::bigint"};
// company -> access key. Of a table that is on every server.
inline constexpr PgStatement kRemoveKeysOfCompany = {
    "remove_keys_of_company",
    "DELETE FROM earshot.keys WHERE company_id = $1::bigint RETURNING access_key"};

// --- dump and verify: pages of a company, behind a key

// company -> name, revision, directory_revision, changed_at, hash, horizon, from which revision on
// the directory as it was is known
inline constexpr PgStatement kFindCompany = {
    "find_company",
    "SELECT name, revision, directory_revision, changed_at, hash, horizon,"
    " CASE WHEN versions_to = directory_revision THEN versions_from ELSE directory_revision END"
    " FROM earshot.companies WHERE company_id = $1::bigint"};
// company, last id, most rows -> the columns of the readers in pg_rows.h, and the revision
inline constexpr PgStatement kPageWorkspaces = {
    "page_workspaces",
    "SELECT workspace_id, name, revision FROM earshot.workspaces"
    " WHERE company_id = $1::bigint AND workspace_id > $2::bigint"
    " ORDER BY workspace_id LIMIT $3::bigint"};
inline constexpr PgStatement kPageProfiles = {
    "page_profiles",
    "SELECT profile_id, workspace_id, name, permission_level, team_lead_ids, revision"
    " FROM earshot.profiles WHERE company_id = $1::bigint AND profile_id > $2::bigint"
    " ORDER BY profile_id LIMIT $3::bigint"};
inline constexpr PgStatement kPageUsers = {
    "page_users",
    "SELECT user_id, email_address, first_name, last_name, manager_id, active, profile_ids,"
    " revision FROM earshot.users WHERE company_id = $1::bigint AND user_id > $2::bigint"
    " ORDER BY user_id LIMIT $3::bigint"};
inline constexpr PgStatement kPageCalls = {
    "page_calls",
    "SELECT call_id, workspace_id, title, started, primary_user_id, party_user_ids, is_private,"
    " revision FROM earshot.calls WHERE company_id = $1::bigint AND call_id > $2::bigint"
    " ORDER BY call_id LIMIT $3::bigint"};
// company, last call, last user, call to end with, most rows -> call, user, …, revision
inline constexpr PgStatement kPageShares = {
    "page_shares",
    "SELECT call_id, user_id, revision FROM earshot.shares WHERE company_id = $1::bigint"
    " AND (call_id, user_id) > ($2::bigint, $3::bigint) AND call_id <= $4::bigint"
    " ORDER BY call_id, user_id LIMIT $5::bigint"};
inline constexpr PgStatement kPageGrants = {
    "page_grants",
    "SELECT call_id, user_id, expires_at, note, revision FROM earshot.grants"
    " WHERE company_id = $1::bigint AND (call_id, user_id) > ($2::bigint, $3::bigint)"
    " AND call_id <= $4::bigint ORDER BY call_id, user_id LIMIT $5::bigint"};

// company -> id, revision, until_revision, revision of what is there now (NULL: nothing is), the
// columns of a version; by id, and then by revision
inline constexpr PgStatement kListWorkspaceVersions = {
    "list_workspace_versions",
    "SELECT v.workspace_id, v.revision, v.until_revision, t.revision"
    " FROM earshot.workspace_versions v LEFT JOIN earshot.workspaces t"
    " ON t.company_id = $1::bigint AND t.workspace_id = v.workspace_id"
    " WHERE v.company_id = $1::bigint ORDER BY v.workspace_id, v.revision"};
inline constexpr PgStatement kListProfileVersions = {
    "list_profile_versions",
    "SELECT v.profile_id, v.revision, v.until_revision, t.revision, v.workspace_id,"
    " v.permission_level, v.team_lead_ids"
    " FROM earshot.profile_versions v LEFT JOIN earshot.profiles t"
    " ON t.company_id = $1::bigint AND t.profile_id = v.profile_id"
    " WHERE v.company_id = $1::bigint ORDER BY v.profile_id, v.revision"};
inline constexpr PgStatement kListUserVersions = {
    "list_user_versions",
    "SELECT v.user_id, v.revision, v.until_revision, t.revision, v.manager_id, v.active,"
    " v.profile_ids FROM earshot.user_versions v LEFT JOIN earshot.users t"
    " ON t.company_id = $1::bigint AND t.user_id = v.user_id"
    " WHERE v.company_id = $1::bigint ORDER BY v.user_id, v.revision"};

// company -> the columns of read_change_row
inline constexpr PgStatement kListChanges = {
    "list_changes",
    "SELECT revision, first_n, is_last, at, directory_revision, operation, request_id, access_key,"
    " call_ids, items_count, items, previous_hash FROM earshot.changes"
    " WHERE company_id = $1::bigint ORDER BY revision, first_n"};

// company -> the columns of read_kept_answer
inline constexpr PgStatement kListAnswers = {
    "list_answers",
    "SELECT key, request, at, request_id, revision, results FROM earshot.kept_answers"
    " WHERE company_id = $1::bigint ORDER BY key"};

// Each reaches one shard.
inline constexpr std::array kCompanyStatements = {
    &kAddUsage,
    &kNoteKeyUses,
    &kForgetKeyUses,
    &kForgetKeyUsesOfCompany,
    &kListKeyUses,
    &kLockHorizon,
    &kFindHorizon,
    &kCutChanges,
    &kMoveHorizon,
    &kCutWorkspaceVersions,
    &kCutProfileVersions,
    &kCutUserVersions,
    &kLoadExpired,
    &kForgetAnswers,
    &kForgetAnswersOfCompany,
    &kFindLastRefusal,
    &kPutRefusals,
    &kTrimRefusals,
    &kTrimRefusalsOfAnybody,
    &kListRefusals,
    &kForgetOldRefusals,
    &kForgetRefusalsOfCompany,
    &kListAnswers,
    &kMakeHead,
    &kLockCompany,
    &kPutHead,
    &kForgetHead,
    &kFindWorkspaces,
    &kFindProfiles,
    &kFindUsers,
    &kFindCalls,
    &kFindUsersThere,
    &kFindCallsThere,

    &kKeepWorkspaces,
    &kKeepProfiles,
    &kKeepUsers,
    &kKeepWorkspacesOfCompany,
    &kKeepProfilesOfCompany,
    &kKeepUsersOfCompany,
    &kPutWorkspaces,
    &kPutProfiles,
    &kPutUsers,
    &kPutCalls,
    &kPutShares,
    &kRemoveWorkspaces,
    &kRemoveProfiles,
    &kRemoveUsers,
    &kRemoveCalls,
    &kRemoveSharesOfUsers,
    &kFindEndOfSharesOfUser,
    &kRemoveSharesOfUser,
    &kFindEndOfGrantsOfUser,
    &kRemoveGrantsOfUser,
    &kFindEndOfSharesOfCall,
    &kRemoveSharesOfCall,
    &kFindEndOfGrantsOfCall,
    &kRemoveGrantsOfCall,
    &kFindEndOfSharesOfCompany,
    &kRemoveSharesOfCompany,
    &kFindEndOfGrantsOfCompany,
    &kRemoveGrantsOfCompany,
    &kFindEndOfCallsOfCompany,
    &kRemoveCallsOfCompany,
    &kFindEndOfUsersOfCompany,
    &kRemoveUsersOfCompany,
    &kFindEndOfProfilesOfCompany,
    &kRemoveProfilesOfCompany,
    &kFindEndOfWorkspacesOfCompany,
    &kRemoveWorkspacesOfCompany,
    &kFindCompany,
    &kPageWorkspaces,
    &kPageProfiles,
    &kPageUsers,
    &kPageCalls,
    &kPageShares,
    &kPageGrants,
    &kListWorkspaceVersions,
    &kListProfileVersions,
    &kListUserVersions,
    &kListChanges,
};
// Of tables that are on every server.
inline constexpr std::array kReferenceStatements = {
    &kListKeys,   &kListKeysOfCompany,   &kLockLoads,   &kFindKeys,   &kPutKeys,
    &kRemoveKeys, &kRemoveKeysOfCompany, &kFindVersion, &kAddVersion, &kFindCursorKey,
};
// Of operators, over all companies; or of the catalogue.
inline constexpr std::array kWholeStoreStatements = {
    &kIsUtf8,          &kHasVersions,
    &kHasCitus,        &kHasCitusTables,
    &kIsDistributed,   &kListOldCompanies,
    &kListExpired,     &kListForgotten,
    &kListCompanies,   &kListUsage,
    &kHasIndex,        &kListRefusedCompanies,
    &kListOldRefusals, &kListRefusalsOfNobody,
};

}  // namespace earshot::store
