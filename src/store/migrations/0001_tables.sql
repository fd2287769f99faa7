-- The first tables of the store. Earshot computes every change itself, under the lock of the
-- company's row in earshot.companies, so that nothing here depends on triggers or sequences, and all
-- but the access keys can be distributed by company.

CREATE TABLE earshot.companies (
  company_id bigint NOT NULL CHECK (company_id > 0),
  revision bigint NOT NULL CHECK (revision >= 0),
  directory_revision bigint NOT NULL CHECK (directory_revision BETWEEN 0 AND revision),
  changed_at timestamptz NOT NULL,
  hash bytea NOT NULL CHECK (length(hash) = 32),
  horizon bigint NOT NULL DEFAULT 0 CHECK (horizon BETWEEN 0 AND revision),
  name text,
  PRIMARY KEY (company_id)
) WITH (fillfactor = 40);
COMMENT ON TABLE earshot.companies IS
  'One row a company that was ever named. Whoever changes anything of a company locks its row first.';
COMMENT ON COLUMN earshot.companies.revision IS
  'Of the newest change: counted up by one for each request that changed something';
COMMENT ON COLUMN earshot.companies.directory_revision IS
  'Of the newest change to users, workspaces, profiles, keys or the company itself';
COMMENT ON COLUMN earshot.companies.changed_at IS 'Of the newest change; never goes back';
COMMENT ON COLUMN earshot.companies.hash IS 'SHA-256 of the newest record in earshot.changes';
COMMENT ON COLUMN earshot.companies.horizon IS
  'Up to which revision retention has taken records out of earshot.changes; 0: all are there';
COMMENT ON COLUMN earshot.companies.name IS 'NULL: the company has no record (any more)';

CREATE TABLE earshot.workspaces (
  company_id bigint NOT NULL,
  workspace_id bigint NOT NULL CHECK (workspace_id > 0),
  name text NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  PRIMARY KEY (company_id, workspace_id)
);
COMMENT ON TABLE earshot.workspaces IS 'Workspaces, each of one company';

CREATE TABLE earshot.profiles (
  company_id bigint NOT NULL,
  profile_id bigint NOT NULL CHECK (profile_id > 0),
  workspace_id bigint CHECK (workspace_id > 0),
  name text NOT NULL,
  permission_level text NOT NULL
    CHECK (permission_level IN ('none', 'own', 'report-to-them', 'managers-team', 'all')),
  team_lead_ids bigint[] NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  PRIMARY KEY (company_id, profile_id)
);
COMMENT ON TABLE earshot.profiles IS 'Permission profiles, as far as they decide about calls';

CREATE TABLE earshot.users (
  company_id bigint NOT NULL,
  user_id bigint NOT NULL CHECK (user_id > 0),
  email_address text NOT NULL,
  first_name text NOT NULL,
  last_name text NOT NULL,
  manager_id bigint CHECK (manager_id > 0),
  active boolean NOT NULL,
  profile_ids bigint[] NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  PRIMARY KEY (company_id, user_id)
);
COMMENT ON TABLE earshot.users IS
  'Users. Managers and profiles that are named need not be there: then they mean nothing';

CREATE TABLE earshot.calls (
  company_id bigint NOT NULL,
  call_id bigint NOT NULL CHECK (call_id > 0),
  workspace_id bigint CHECK (workspace_id > 0),
  title text NOT NULL,
  started text NOT NULL,
  primary_user_id bigint CHECK (primary_user_id > 0),
  party_user_ids bigint[] NOT NULL,
  is_private boolean NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  PRIMARY KEY (company_id, call_id)
);
COMMENT ON TABLE earshot.calls IS 'Calls, as far as they decide about access';
COMMENT ON COLUMN earshot.calls.started IS 'As it was given, RFC 3339';

CREATE TABLE earshot.shares (
  company_id bigint NOT NULL,
  call_id bigint NOT NULL,
  user_id bigint NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  PRIMARY KEY (company_id, call_id, user_id)
);
CREATE INDEX shares_by_user ON earshot.shares (company_id, user_id, call_id);
COMMENT ON TABLE earshot.shares IS 'With whom calls were shared; call and user are there';

CREATE TABLE earshot.grants (
  company_id bigint NOT NULL,
  call_id bigint NOT NULL,
  user_id bigint NOT NULL,
  expires_at timestamptz,
  note text,
  revision bigint NOT NULL CHECK (revision > 0),
  PRIMARY KEY (company_id, call_id, user_id)
);
CREATE INDEX grants_by_user ON earshot.grants (company_id, user_id, call_id);
COMMENT ON TABLE earshot.grants IS 'Individual access of users to calls; call and user are there';
COMMENT ON COLUMN earshot.grants.expires_at IS
  'From this moment on the grant gives no access; NULL: it does not expire';

CREATE TABLE earshot.changes (
  company_id bigint NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  first_n bigint NOT NULL CHECK (first_n >= 0),
  is_last boolean NOT NULL,
  at timestamptz NOT NULL,
  directory_revision bigint NOT NULL,
  operation text NOT NULL CHECK (operation IN ('give', 'remove', 'records', 'sweep')),
  request_id text NOT NULL,
  access_key text NOT NULL,
  call_ids bigint[] NOT NULL,
  items_count bigint NOT NULL,
  items bytea NOT NULL,
  previous_hash bytea NOT NULL CHECK (length(previous_hash) = 32),
  PRIMARY KEY (company_id, revision, first_n)
);
COMMENT ON TABLE earshot.changes IS
  'The record of changes: one or more rows a revision, each with the hash of the one before it';
COMMENT ON COLUMN earshot.changes.first_n IS 'The number, within the revision, of the first change of this row';
COMMENT ON COLUMN earshot.changes.is_last IS 'Whether the revision ends with this row';
COMMENT ON COLUMN earshot.changes.request_id IS 'As in the answer (requestId) and in the log';
COMMENT ON COLUMN earshot.changes.access_key IS 'Whose request it was; empty: the operator';
COMMENT ON COLUMN earshot.changes.call_ids IS 'The calls of which something changed, ascending';
COMMENT ON COLUMN earshot.changes.items IS 'What changed, before and after; docs/storage.md describes the bytes';

CREATE TABLE earshot.usage (
  company_id bigint NOT NULL,
  day date NOT NULL,
  requests bigint NOT NULL CHECK (requests >= 0),
  PRIMARY KEY (company_id, day)
) WITH (fillfactor = 40);
COMMENT ON TABLE earshot.usage IS 'Requests of a day (UTC), where servers limit them';

CREATE TABLE earshot.proofs (
  company_id bigint NOT NULL,
  server text NOT NULL,
  proved_at timestamptz NOT NULL,
  PRIMARY KEY (company_id, server)
) WITH (fillfactor = 40);
COMMENT ON TABLE earshot.proofs IS
  'Written by servers to see that the database still commits; only where the tables are distributed';

CREATE TABLE earshot.keys (
  access_key text COLLATE "C" NOT NULL,
  company_id bigint NOT NULL,
  secret_salt bytea NOT NULL CHECK (length(secret_salt) = 16),
  secret_digest bytea NOT NULL CHECK (length(secret_digest) = 32),
  scopes text[] NOT NULL,
  expires_at timestamptz,
  revision bigint NOT NULL CHECK (revision > 0),
  PRIMARY KEY (access_key)
);
CREATE INDEX keys_by_company ON earshot.keys (company_id, access_key);
COMMENT ON TABLE earshot.keys IS
  'Access keys of all companies. Of a secret only a salted SHA-256 is kept';

CREATE TABLE earshot.load_lock (
  only_row boolean NOT NULL DEFAULT true CHECK (only_row),
  PRIMARY KEY (only_row)
);
INSERT INTO earshot.load_lock DEFAULT VALUES;
COMMENT ON TABLE earshot.load_lock IS
  'Its row is locked while records are applied: they may name many companies, and take turns';
