// The statements of requests over PostgreSQL. Each but the look-up of a key and the look at what is
// new names one company, and so needs one shard where the tables are distributed; what they avoid,
// and why, is in docs/decisions/0009-postgresql.md.
#pragma once

#include <array>

#include "store/pg_changes.h"
#include "store/pg_wire.h"

namespace earshot::store {

inline constexpr PgStatement kBegin{"begin", "BEGIN"};
inline constexpr PgStatement kCommit{"commit", "COMMIT"};
inline constexpr PgStatement kRollback{"rollback", "ROLLBACK"};

// Reads all of one moment.
inline constexpr PgStatement kBeginSnapshot{"begin_snapshot",
                                            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"};

// milliseconds: how long each statement of the transaction that follows may take
inline constexpr PgStatement kLimitTime{"limit_time",
                                        "SELECT set_config('statement_timeout', $1::text, true)"};

// company, calls -> revision, directory_revision, changed_at, call (NULL: none of the calls is
// there), users (NULL: none), expiries of the users (NULL: none of them ends)
inline constexpr PgStatement kReadCalls{"read_calls", R"(
SELECT c.revision, c.directory_revision, c.changed_at, k.call_id, g.users, g.expiries
FROM earshot.companies c
LEFT JOIN earshot.calls k ON k.company_id = $1::bigint AND k.call_id = ANY ($2::bigint[])
LEFT JOIN LATERAL (
  SELECT array_agg(o.user_id) AS users,
    CASE WHEN count(o.expires_at) > 0 THEN array_agg(o.expires_at) END AS expiries
  FROM (SELECT user_id, expires_at FROM earshot.grants
    WHERE company_id = $1::bigint AND call_id = k.call_id ORDER BY user_id) o) g ON true
WHERE c.company_id = $1::bigint)"};

// What decides about access to a call, as columns that read_entry() of pg_reads.cc reads: call
// (NULL: there is none), workspace, host, parties, is_private; users with a grant, their expiries
// and notes (NULL: none of them); users with a share.
#define EARSHOT_ENTRY_COLUMNS                                                              \
  "k.call_id, k.workspace_id, k.primary_user_id, k.party_user_ids, k.is_private, g.users," \
  " g.expiries, g.notes, s.users"
// The grants and shares of the call k, of those users that the condition lets through.
#define EARSHOT_GRANTS_AND_SHARES(condition)                                         \
  " LEFT JOIN LATERAL (SELECT array_agg(o.user_id) AS users,"                        \
  " CASE WHEN count(o.expires_at) > 0 THEN array_agg(o.expires_at) END AS expiries," \
  " CASE WHEN count(o.note) > 0 THEN array_agg(coalesce(o.note, '')) END AS notes"   \
  " FROM (SELECT user_id, expires_at, note FROM earshot.grants"                      \
  " WHERE company_id = $1::bigint AND call_id = k.call_id" condition                 \
  " ORDER BY user_id) o) g ON true"                                                  \
  " LEFT JOIN LATERAL (SELECT array_agg(o.user_id) AS users"                         \
  " FROM (SELECT user_id FROM earshot.shares"                                        \
  " WHERE company_id = $1::bigint AND call_id = k.call_id" condition                 \
  " ORDER BY user_id) o) s ON true"

// company; calls, and the users to be asked about of each as the text of an array -> revision,
// directory_revision, changed_at, the columns of an entry
inline constexpr PgStatement kReadAccess{
    "read_access",
    "SELECT c.revision, c.directory_revision, c.changed_at, " EARSHOT_ENTRY_COLUMNS
    " FROM earshot.companies c"
    " LEFT JOIN unnest($2::bigint[], $3::text[]) AS x(call_id, users) ON true"
    " LEFT JOIN LATERAL (SELECT call_id, workspace_id, primary_user_id, party_user_ids, is_private"
    " FROM earshot.calls WHERE company_id = $1::bigint AND call_id = x.call_id LIMIT 1) k ON "
    "true" EARSHOT_GRANTS_AND_SHARES(
        " AND user_id = ANY (x.users::bigint[])") " WHERE c.company_id = $1::bigint"};
// company, calls -> the same, of all users
inline constexpr PgStatement kReadAccessOfAll{
    "read_access_of_all",
    "SELECT c.revision, c.directory_revision, c.changed_at, " EARSHOT_ENTRY_COLUMNS
    " FROM earshot.companies c"
    " LEFT JOIN earshot.calls k ON k.company_id = $1::bigint AND k.call_id = ANY "
    "($2::bigint[])" EARSHOT_GRANTS_AND_SHARES("") " WHERE c.company_id = $1::bigint"};
// company, user, last call, most calls -> the same of this user, for the calls behind the last one
inline constexpr PgStatement kPageAccessOfUser{
    "page_access_of_user",
    "SELECT c.revision, c.directory_revision, c.changed_at, " EARSHOT_ENTRY_COLUMNS
    " FROM earshot.companies c"
    " LEFT JOIN LATERAL (SELECT call_id, workspace_id, primary_user_id, party_user_ids, is_private"
    " FROM earshot.calls WHERE company_id = $1::bigint AND call_id > $3::bigint"
    " ORDER BY call_id LIMIT $4::bigint) k ON true" EARSHOT_GRANTS_AND_SHARES(
        " AND user_id = $2::bigint") " WHERE c.company_id = $1::bigint ORDER BY k.call_id"};
// company, user, last call, most calls, by grants, by shares -> the same, for calls that the user
// has a grant or share of
inline constexpr PgStatement kPageRowsOfUser{
    "page_rows_of_user",
    "SELECT c.revision, c.directory_revision, c.changed_at, " EARSHOT_ENTRY_COLUMNS
    " FROM earshot.companies c"
    " LEFT JOIN LATERAL (SELECT o.call_id FROM ("
    "(SELECT call_id FROM earshot.grants WHERE $5::boolean AND company_id = $1::bigint"
    " AND user_id = $2::bigint AND call_id > $3::bigint ORDER BY call_id LIMIT $4::bigint)"
    " UNION (SELECT call_id FROM earshot.shares WHERE $6::boolean AND company_id = $1::bigint"
    " AND user_id = $2::bigint AND call_id > $3::bigint ORDER BY call_id LIMIT $4::bigint)) o"
    " ORDER BY o.call_id LIMIT $4::bigint) x ON true"
    " LEFT JOIN LATERAL (SELECT call_id, workspace_id, primary_user_id, party_user_ids, is_private"
    " FROM earshot.calls WHERE company_id = $1::bigint AND call_id = x.call_id LIMIT 1) k ON "
    "true" EARSHOT_GRANTS_AND_SHARES(
        " AND user_id = $2::bigint") " WHERE c.company_id = $1::bigint ORDER BY k.call_id"};
#undef EARSHOT_ENTRY_COLUMNS
#undef EARSHOT_GRANTS_AND_SHARES

// company -> revision, directory_revision, horizon
inline constexpr PgStatement kReadHead{"read_head", R"(
SELECT revision, directory_revision, horizon FROM earshot.companies
WHERE company_id = $1::bigint)"};

// companies -> company, revision
inline constexpr PgStatement kFindRevisions{"find_revisions", R"(
SELECT company_id, revision FROM earshot.companies WHERE company_id = ANY ($1::bigint[]))"};

// company; revision, and a change of it; most parts, most bytes -> revision, directory_revision,
// changed_at, horizon, hash; and the columns of parts of the record (NULL: there is none) from the
// one with that change on, or else from the next one on. A part that the bytes do not reach any
// more is not given, but the first one is.
inline constexpr PgStatement kPageChanges{"page_changes", R"(
SELECT c.revision, c.directory_revision, c.changed_at, c.horizon, c.hash,
  r.revision, r.first_n, r.is_last, r.at, r.directory_revision, r.operation, r.request_id,
  r.access_key, r.call_ids, r.items_count, r.items, r.previous_hash
FROM earshot.companies c
LEFT JOIN (
  SELECT h.*, sum(length(h.items)) OVER (ORDER BY h.revision, h.first_n) AS bytes
  FROM (SELECT revision, first_n, is_last, at, directory_revision, operation, request_id,
      access_key, '{}'::bigint[] AS call_ids, items_count, items, previous_hash
    FROM earshot.changes
    WHERE company_id = $1::bigint AND (revision, first_n) >= ($2::bigint, coalesce(
      (SELECT max(b.first_n) FROM earshot.changes b WHERE b.company_id = $1::bigint
        AND b.revision = $2::bigint AND b.first_n <= $3::bigint), 0))
    ORDER BY revision, first_n LIMIT $4::bigint) h) r
ON r.bytes - length(r.items) < $5::bigint
WHERE c.company_id = $1::bigint
ORDER BY r.revision, r.first_n)"};

// company, call -> the columns of read_call()
inline constexpr PgStatement kReadCall{"read_call", R"(
SELECT call_id, workspace_id, title, started, primary_user_id, party_user_ids, is_private
FROM earshot.calls WHERE company_id = $1::bigint AND call_id = $2::bigint)"};
// company, user -> the columns of read_user()
inline constexpr PgStatement kReadUser{"read_user", R"(
SELECT user_id, email_address, first_name, last_name, manager_id, active, profile_ids
FROM earshot.users WHERE company_id = $1::bigint AND user_id = $2::bigint)"};

// --- what was: all that is read of it stays as it is, until retention takes it

// company, revision or NULL, time where there is none -> revision, directory_revision, changed_at;
// horizon, its time and directory_revision (NULL: not known); from which revision on the directory
// as it was is known; the revision that is meant, its time and directory_revision (NULL: its record
// is cut off); the time of the oldest revision behind the horizon that all is known of. Times never
// go back from one revision to the next, so that each step halves what is left.
inline constexpr PgStatement kFindMoment{"find_moment", R"(
WITH RECURSIVE h AS (
  SELECT revision, directory_revision, changed_at, horizon,
    CASE WHEN horizon_known = horizon THEN horizon_at END AS horizon_at,
    CASE WHEN horizon_known = horizon THEN horizon_directory_revision END AS horizon_directory,
    CASE WHEN versions_to = directory_revision THEN versions_from ELSE directory_revision END
      AS versions_from
  FROM earshot.companies WHERE company_id = $1::bigint),
b AS (
  SELECT coalesce($2::bigint, horizon) AS low, coalesce($2::bigint, revision) AS high FROM h
  UNION ALL
  SELECT CASE WHEN m.at <= $3::timestamptz THEN m.revision ELSE b.low END,
    CASE WHEN m.at <= $3::timestamptz THEN b.high ELSE m.revision - 1 END
  FROM b CROSS JOIN LATERAL (SELECT revision, at FROM earshot.changes
    WHERE company_id = $1::bigint AND revision = (b.low + b.high + 1) / 2
    ORDER BY first_n DESC LIMIT 1) m
  WHERE b.low < b.high)
SELECT h.revision, h.directory_revision, h.changed_at, h.horizon, h.horizon_at,
  h.horizon_directory, h.versions_from, n.low, r.at, r.directory_revision, o.at
FROM h
LEFT JOIN (SELECT low FROM b WHERE low = high) n ON true
LEFT JOIN LATERAL (SELECT at, directory_revision FROM earshot.changes
  WHERE company_id = $1::bigint AND revision = n.low ORDER BY first_n DESC LIMIT 1) r ON true
LEFT JOIN LATERAL (SELECT at FROM earshot.changes
  WHERE company_id = $1::bigint AND revision = greatest(h.horizon + 1, h.versions_from)
  ORDER BY first_n DESC LIMIT 1) o ON true)"};

// The next statement of the transaction is planned for the tables as they are now.
inline constexpr PgStatement kPlanAnew{
    "plan_anew", "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"};

// company, calls, revision, newest revision, revision and first_n to go on before, most parts,
// most bytes -> revision, first_n, bytes of items, items_count and items (NULL: together they would
// be too many) of the changes to these calls after the revision, newest first. What the calls are
// is asked three times over, and nothing else beside it: the planner does not know how seldom a
// call changes, and would read all of the company's record.
inline constexpr PgStatement kListChangesOfCalls{"list_changes_of_calls", R"(
SELECT o.revision, o.first_n, o.bytes, o.items_count,
  CASE WHEN sum(o.bytes) OVER (ORDER BY o.revision DESC, o.first_n DESC) <= $8::bigint
    THEN o.items END
FROM (SELECT h.revision, h.first_n, length(h.items)::bigint AS bytes, h.items_count, h.items
  FROM (SELECT revision, first_n, items_count, items FROM earshot.changes
    WHERE company_id = $1::bigint AND call_ids && $2::bigint[] AND call_ids && $2::bigint[]
      AND call_ids && $2::bigint[] OFFSET 0) h
  WHERE h.revision > $3::bigint AND h.revision <= $4::bigint
    AND (h.revision, h.first_n) < ($5::bigint, $6::bigint)
  ORDER BY h.revision DESC, h.first_n DESC LIMIT $7::bigint) o
ORDER BY o.revision DESC, o.first_n DESC)"};
// company; revisions and first_ns -> items_count, items; newest first
inline constexpr PgStatement kReadChanges{"read_changes", R"(
SELECT o.items_count, o.items
FROM unnest($2::bigint[], $3::bigint[]) AS x(revision, first_n)
CROSS JOIN LATERAL (SELECT items_count, items FROM earshot.changes
  WHERE company_id = $1::bigint AND revision = x.revision AND first_n = x.first_n LIMIT 1) o
ORDER BY x.revision DESC, x.first_n DESC)"};

// company, user, revision, last call, most calls, by grants, by shares -> calls behind the last one
// of which the user may have had a grant or share then: those that it has, and those of which
// something was taken away since
inline constexpr PgStatement kPagePastRowsOfUser{"page_past_rows_of_user", R"(
SELECT o.call_id FROM (
  (SELECT call_id FROM earshot.grants WHERE $6::boolean AND company_id = $1::bigint
    AND user_id = $2::bigint AND call_id > $4::bigint ORDER BY call_id LIMIT $5::bigint)
  UNION (SELECT call_id FROM earshot.shares WHERE $7::boolean AND company_id = $1::bigint
    AND user_id = $2::bigint AND call_id > $4::bigint ORDER BY call_id LIMIT $5::bigint)
  UNION (SELECT DISTINCT x.call_id FROM earshot.changes h
    CROSS JOIN LATERAL unnest(h.call_ids) AS x(call_id)
    WHERE h.company_id = $1::bigint AND h.revision > $3::bigint AND h.operation <> 'give'
      AND x.call_id > $4::bigint ORDER BY x.call_id LIMIT $5::bigint)) o
ORDER BY o.call_id LIMIT $5::bigint)"};
// company, revision, last call, most calls -> calls behind the last one that may have been there
// then: those that are, and those that records have changed since
inline constexpr PgStatement kPagePastCalls{"page_past_calls", R"(
SELECT o.call_id FROM (
  (SELECT call_id FROM earshot.calls WHERE company_id = $1::bigint
    AND call_id > $3::bigint ORDER BY call_id LIMIT $4::bigint)
  UNION (SELECT DISTINCT x.call_id FROM earshot.changes h
    CROSS JOIN LATERAL unnest(h.call_ids) AS x(call_id)
    WHERE h.company_id = $1::bigint AND h.revision > $2::bigint AND h.operation = 'records'
      AND x.call_id > $3::bigint ORDER BY x.call_id LIMIT $4::bigint)) o
ORDER BY o.call_id LIMIT $4::bigint)"};

// company, revision -> the columns of kLoadMembers, kLoadRules, kLoadWorkspaces as they were then
inline constexpr PgStatement kLoadPastMembers{"load_past_members", R"(
SELECT user_id, manager_id, active, profile_ids
FROM earshot.users WHERE company_id = $1::bigint AND revision <= $2::bigint
UNION ALL SELECT user_id, manager_id, active, profile_ids FROM earshot.user_versions
WHERE company_id = $1::bigint AND revision <= $2::bigint AND until_revision > $2::bigint)"};
inline constexpr PgStatement kLoadPastRules{"load_past_rules", R"(
SELECT profile_id, workspace_id, permission_level, team_lead_ids
FROM earshot.profiles WHERE company_id = $1::bigint AND revision <= $2::bigint
UNION ALL SELECT profile_id, workspace_id, permission_level, team_lead_ids
FROM earshot.profile_versions
WHERE company_id = $1::bigint AND revision <= $2::bigint AND until_revision > $2::bigint)"};
inline constexpr PgStatement kLoadPastWorkspaces{"load_past_workspaces", R"(
SELECT workspace_id FROM earshot.workspaces
WHERE company_id = $1::bigint AND revision <= $2::bigint
UNION ALL SELECT workspace_id FROM earshot.workspace_versions
WHERE company_id = $1::bigint AND revision <= $2::bigint AND until_revision > $2::bigint)"};
// company, revision, users -> the same of these users and of all above them
inline constexpr PgStatement kLoadPastMembersAbove{"load_past_members_above", R"(
WITH RECURSIVE m AS (
  SELECT v.user_id, v.manager_id, v.active, v.profile_ids
  FROM unnest($3::bigint[]) AS x(user_id) CROSS JOIN LATERAL (
    (SELECT user_id, manager_id, active, profile_ids FROM earshot.users
      WHERE company_id = $1::bigint AND user_id = x.user_id AND revision <= $2::bigint LIMIT 1)
    UNION ALL (SELECT user_id, manager_id, active, profile_ids FROM earshot.user_versions
      WHERE company_id = $1::bigint AND user_id = x.user_id AND revision <= $2::bigint
        AND until_revision > $2::bigint LIMIT 1)) v
  UNION
  SELECT v.user_id, v.manager_id, v.active, v.profile_ids
  FROM m CROSS JOIN LATERAL (
    (SELECT user_id, manager_id, active, profile_ids FROM earshot.users
      WHERE company_id = $1::bigint AND user_id = m.manager_id AND revision <= $2::bigint LIMIT 1)
    UNION ALL (SELECT user_id, manager_id, active, profile_ids FROM earshot.user_versions
      WHERE company_id = $1::bigint AND user_id = m.manager_id AND revision <= $2::bigint
        AND until_revision > $2::bigint LIMIT 1)) v)
SELECT user_id, manager_id, active, profile_ids FROM m)"};

// --- keys and writes

// access key -> company, salt, digest, scopes, expiry, revision. The one without a company: the
// table is on every server.
inline constexpr PgStatement kFindKey{"find_key", R"(
SELECT company_id, secret_salt, secret_digest, scopes, expires_at, revision
FROM earshot.keys WHERE access_key = $1::text)"};

// company -> revision, directory_revision, changed_at, hash, horizon; and the company is ours until
// the end of the transaction
inline constexpr PgStatement kLockHead{"lock_head", R"(
SELECT revision, directory_revision, changed_at, hash, horizon
FROM earshot.companies WHERE company_id = $1::bigint FOR UPDATE)"};

// company, revision -> request id: whose the revision is
inline constexpr PgStatement kFindRevision{"find_revision", R"(
SELECT request_id FROM earshot.changes
WHERE company_id = $1::bigint AND revision = $2::bigint LIMIT 1)"};

// company, calls -> call, workspace, host, parties, is_private
inline constexpr PgStatement kLoadCalls{"load_calls", R"(
SELECT call_id, workspace_id, primary_user_id, party_user_ids, is_private
FROM earshot.calls WHERE company_id = $1::bigint AND call_id = ANY ($2::bigint[]))"};

// company, calls, users (pairs) -> call, user. Each pair is looked up on its own: a plan that was
// made before the planner knew the size of the tables must not read all of the company.
inline constexpr PgStatement kLoadShares{"load_shares", R"(
SELECT s.call_id, s.user_id
FROM unnest($2::bigint[], $3::bigint[]) AS x(call_id, user_id)
CROSS JOIN LATERAL (SELECT call_id, user_id FROM earshot.shares
  WHERE company_id = $1::bigint AND call_id = x.call_id AND user_id = x.user_id LIMIT 1) s)"};

// company, calls, users (pairs) -> call, user, expiry, note
inline constexpr PgStatement kLoadGrants{"load_grants", R"(
SELECT g.call_id, g.user_id, g.expires_at, g.note
FROM unnest($2::bigint[], $3::bigint[]) AS x(call_id, user_id)
CROSS JOIN LATERAL (SELECT call_id, user_id, expires_at, note FROM earshot.grants
  WHERE company_id = $1::bigint AND call_id = x.call_id AND user_id = x.user_id LIMIT 1) g)"};

// company, call or user, now, most rows -> call, user, expiry, note, and how many there are of all
// live grants of it
inline constexpr PgStatement kLoadGrantsOfCall{"load_grants_of_call", R"(
SELECT call_id, user_id, expires_at, note, count(*) OVER ()
FROM earshot.grants WHERE company_id = $1::bigint AND call_id = $2::bigint
AND (expires_at IS NULL OR expires_at > $3::timestamptz) ORDER BY user_id LIMIT $4::bigint)"};
inline constexpr PgStatement kLoadGrantsOfUser{"load_grants_of_user", R"(
SELECT call_id, user_id, expires_at, note, count(*) OVER ()
FROM earshot.grants WHERE company_id = $1::bigint AND user_id = $2::bigint
AND (expires_at IS NULL OR expires_at > $3::timestamptz) ORDER BY call_id LIMIT $4::bigint)"};

// company, revision, calls -> those that changed after the revision, and when they did last. Each
// by its own changes, however many there are: comparing a list with lists costs the product of
// their lengths. The condition stands there three times as in kListChangesOfCalls.
inline constexpr PgStatement kFindChangedAfter{"find_changed_after", R"(
SELECT n.call_id, max(c.revision)
FROM unnest($3::bigint[]) AS n(call_id)
CROSS JOIN LATERAL (SELECT revision FROM earshot.changes
  WHERE company_id = $1::bigint AND call_ids @> ARRAY[n.call_id]
    AND call_ids @> ARRAY[n.call_id] AND call_ids @> ARRAY[n.call_id] OFFSET 0) c
WHERE c.revision > $2::bigint
GROUP BY n.call_id)"};

// company, keys -> key, request, at, request id, revision, results
inline constexpr PgStatement kFindAnswers{"find_answers", R"(
SELECT key, request, at, request_id, revision, results
FROM earshot.kept_answers WHERE company_id = $1::bigint AND key = ANY ($2::bytea[]))"};

// company; keys, requests, times, request ids, revisions, results
inline constexpr PgStatement kKeepAnswers{"keep_answers", R"(
INSERT INTO earshot.kept_answers (company_id, key, request, at, request_id, revision, results)
SELECT $1::bigint, x.key, x.request, x.at, x.request_id, x.revision, x.results
FROM unnest($2::bytea[], $3::bytea[], $4::timestamptz[], $5::text[], $6::bigint[], $7::bytea[])
  AS x(key, request, at, request_id, revision, results)
ON CONFLICT (company_id, key) DO UPDATE
SET request = excluded.request, at = excluded.at, request_id = excluded.request_id,
  revision = excluded.revision, results = excluded.results)"};

// company -> user, manager, active, profiles
inline constexpr PgStatement kLoadMembers{"load_members", R"(
SELECT user_id, manager_id, active, profile_ids
FROM earshot.users WHERE company_id = $1::bigint)"};

// company -> profile, workspace, level, leads
inline constexpr PgStatement kLoadRules{"load_rules", R"(
SELECT profile_id, workspace_id, permission_level, team_lead_ids
FROM earshot.profiles WHERE company_id = $1::bigint)"};

// company -> workspace
inline constexpr PgStatement kLoadWorkspaces{"load_workspaces", R"(
SELECT workspace_id FROM earshot.workspaces WHERE company_id = $1::bigint)"};

// company; calls, users, revisions, expiries, notes of the grants
inline constexpr PgStatement kPutGrants{"put_grants", R"(
INSERT INTO earshot.grants (company_id, call_id, user_id, revision, expires_at, note)
SELECT $1::bigint, x.call_id, x.user_id, x.revision, x.expires_at, x.note
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::text[])
  AS x(call_id, user_id, revision, expires_at, note)
ON CONFLICT (company_id, call_id, user_id) DO UPDATE
SET revision = excluded.revision, expires_at = excluded.expires_at, note = excluded.note)"};

// company, call; users whose grants go. One call, so that every plan goes by key: a join with pairs
// planned while the table was empty may read all of the company.
inline constexpr PgStatement kRemoveGrants{"remove_grants", R"(
DELETE FROM earshot.grants
WHERE company_id = $1::bigint AND call_id = $2::bigint AND user_id = ANY ($3::bigint[]))"};

// company, user; calls: the same the other way round
inline constexpr PgStatement kRemoveGrantsOfCalls{"remove_grants_of_calls", R"(
DELETE FROM earshot.grants
WHERE company_id = $1::bigint AND user_id = $2::bigint AND call_id = ANY ($3::bigint[]))"};

// company, revision, time, hash
inline constexpr PgStatement kMoveHead{"move_head", R"(
UPDATE earshot.companies SET revision = $2::bigint, changed_at = $3::timestamptz, hash = $4::bytea
WHERE company_id = $1::bigint)"};

// company: changes nothing, and makes a transaction one that the standby must confirm
inline constexpr PgStatement kTouchHead{"touch_head", R"(
UPDATE earshot.companies SET revision = revision WHERE company_id = $1::bigint)"};

// Something to commit that touches no table, where there is one server.
inline constexpr PgStatement kProve{"prove", R"(
SELECT pg_logical_emit_message(true, 'earshot', 'proof')::text)"};

// company, server, time: the same on the company's shard.
inline constexpr PgStatement kProveShard{"prove_shard", R"(
INSERT INTO earshot.proofs (company_id, server, proved_at)
VALUES ($1::bigint, $2::text, $3::timestamptz)
ON CONFLICT (company_id, server) DO UPDATE SET proved_at = excluded.proved_at)"};

inline constexpr std::array kRequestStatements = {
    &kBegin,
    &kBeginSnapshot,
    &kLimitTime,
    &kCommit,
    &kRollback,
    &kReadCalls,
    &kReadAccess,
    &kReadAccessOfAll,
    &kPageAccessOfUser,
    &kPageRowsOfUser,
    &kReadHead,
    &kFindRevisions,
    &kPageChanges,

    &kReadCall,
    &kReadUser,
    &kFindMoment,
    &kPlanAnew,
    &kListChangesOfCalls,
    &kReadChanges,
    &kPagePastRowsOfUser,
    &kPagePastCalls,
    &kLoadPastMembers,
    &kLoadPastRules,
    &kLoadPastWorkspaces,
    &kLoadPastMembersAbove,
    &kFindKey,
    &kLockHead,
    &kFindRevision,
    &kLoadCalls,
    &kLoadShares,
    &kLoadGrants,
    &kLoadGrantsOfCall,
    &kLoadGrantsOfUser,
    &kFindChangedAfter,
    &kFindAnswers,
    &kKeepAnswers,
    &kLoadMembers,
    &kLoadRules,
    &kLoadWorkspaces,
    &kPutGrants,
    &kRemoveGrants,
    &kRemoveGrantsOfCalls,
    &kInsertChanges,
    &kMoveHead,
    &kTouchHead,
    &kProve,
    &kProveShard,
};

}  // namespace earshot::store
