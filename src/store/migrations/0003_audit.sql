-- What is kept beside the record of changes: refused requests, and when keys were used last. Both
-- are written now and then, of many requests at once, and of no worth to those that are under way.

CREATE TABLE earshot.refusals (
  company_id bigint NOT NULL CHECK (company_id >= 0),
  number bigint NOT NULL CHECK (number > 0),
  at timestamptz NOT NULL,
  reason text NOT NULL,
  operation text NOT NULL,
  access_key text NOT NULL,
  remote_address text NOT NULL,
  request_id text NOT NULL,
  detail text NOT NULL,
  requests bigint NOT NULL CHECK (requests > 0),
  PRIMARY KEY (company_id, number)
);
CREATE INDEX refusals_by_time ON earshot.refusals (at);
CREATE INDEX refusals_of_anybody ON earshot.refusals (company_id, number)
  WHERE reason IN ('credentials', 'not_kept');
COMMENT ON TABLE earshot.refusals IS
  'Requests that were refused, the newest of each company; alike ones of a moment stand as one';
COMMENT ON COLUMN earshot.refusals.company_id IS '0: of none, since the access key is unknown';
COMMENT ON COLUMN earshot.refusals.number IS 'Later ones of the company have greater ones';
COMMENT ON COLUMN earshot.refusals.requests IS 'How many were refused alike';

CREATE TABLE earshot.key_uses (
  company_id bigint NOT NULL,
  access_key text COLLATE "C" NOT NULL,
  used_at timestamptz NOT NULL,
  PRIMARY KEY (company_id, access_key)
) WITH (fillfactor = 40);
COMMENT ON TABLE earshot.key_uses IS 'When a key last let a request in, up to a minute ago';
