-- The directory as it was, and what answers about access need beside it. Nothing is filled here, and
-- no table is rewritten, so that this takes its locks for moments only. Indexes over tables that
-- have many rows are not made here, since writers would wait for that: kLargeIndexes in pg_schema.cc.

CREATE TABLE earshot.workspace_versions (
  company_id bigint NOT NULL,
  workspace_id bigint NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  until_revision bigint NOT NULL,
  CHECK (revision < until_revision),
  PRIMARY KEY (company_id, workspace_id, revision)
);
CREATE INDEX workspace_versions_by_end
  ON earshot.workspace_versions (company_id, until_revision);
COMMENT ON TABLE earshot.workspace_versions IS
  'Workspaces as they were: since when, and until when they were replaced or removed';

CREATE TABLE earshot.profile_versions (
  company_id bigint NOT NULL,
  profile_id bigint NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  until_revision bigint NOT NULL,
  workspace_id bigint,
  permission_level text NOT NULL,
  team_lead_ids bigint[] NOT NULL,
  CHECK (revision < until_revision),
  PRIMARY KEY (company_id, profile_id, revision)
);
CREATE INDEX profile_versions_by_end
  ON earshot.profile_versions (company_id, until_revision);
COMMENT ON TABLE earshot.profile_versions IS
  'What profiles said of access before they were replaced or removed';

CREATE TABLE earshot.user_versions (
  company_id bigint NOT NULL,
  user_id bigint NOT NULL,
  revision bigint NOT NULL CHECK (revision > 0),
  until_revision bigint NOT NULL,
  manager_id bigint,
  active boolean NOT NULL,
  profile_ids bigint[] NOT NULL,
  CHECK (revision < until_revision),
  PRIMARY KEY (company_id, user_id, revision)
);
CREATE INDEX user_versions_by_end
  ON earshot.user_versions (company_id, until_revision);
COMMENT ON TABLE earshot.user_versions IS
  'What users said of access before they were replaced or removed';

-- Loads of the release before keep no versions. So each load says up to where it has, and where that
-- is not the newest change to the directory, one of theirs came in between.
ALTER TABLE earshot.companies ADD COLUMN versions_from bigint NOT NULL DEFAULT 0;
ALTER TABLE earshot.companies ADD COLUMN versions_to bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN earshot.companies.versions_from IS
  'From which revision on the directory as it was is known, where versions_to is directory_revision';
COMMENT ON COLUMN earshot.companies.versions_to IS
  'Up to which directory_revision versions were kept; where it is another, the directory as it was is known from directory_revision on';

-- What the record said of the horizon. Servers of the release before move that alone.
ALTER TABLE earshot.companies ADD COLUMN horizon_known bigint NOT NULL DEFAULT 0;
ALTER TABLE earshot.companies ADD COLUMN horizon_at timestamptz;
ALTER TABLE earshot.companies ADD COLUMN horizon_directory_revision bigint;
COMMENT ON COLUMN earshot.companies.horizon_known IS
  'Of which horizon the two columns behind this one are';
COMMENT ON COLUMN earshot.companies.horizon_at IS 'When the revision of the horizon was made';
COMMENT ON COLUMN earshot.companies.horizon_directory_revision IS
  'Of the newest change to the directory up to the horizon';

CREATE TABLE earshot.cursor_keys (
  only_row boolean NOT NULL DEFAULT true CHECK (only_row),
  secret bytea NOT NULL CHECK (length(secret) = 32),
  PRIMARY KEY (only_row)
);
-- The strong random numbers that need no extension; 244 of the 256 bits are random.
INSERT INTO earshot.cursor_keys (secret)
  SELECT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
COMMENT ON TABLE earshot.cursor_keys IS
  'The secret that the cursors of pages are signed with, the same for all servers';

CREATE TABLE earshot.kept_answers (
  company_id bigint NOT NULL,
  key bytea NOT NULL CHECK (length(key) = 32),
  request bytea NOT NULL CHECK (length(request) = 32),
  at timestamptz NOT NULL,
  request_id text NOT NULL,
  revision bigint NOT NULL CHECK (revision >= 0),
  results bytea NOT NULL,
  PRIMARY KEY (company_id, key)
);
CREATE INDEX kept_answers_by_time ON earshot.kept_answers (company_id, at);
COMMENT ON TABLE earshot.kept_answers IS
  'What requests with an idempotency key were answered, so that they are carried out once';
COMMENT ON COLUMN earshot.kept_answers.key IS 'SHA-256 of the idempotency key';
COMMENT ON COLUMN earshot.kept_answers.request IS 'SHA-256 of the operation and the body';
COMMENT ON COLUMN earshot.kept_answers.results IS
  'What each pair came to; docs/storage.md describes the bytes';
