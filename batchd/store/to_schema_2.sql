-- From schema 1 to 2: jobs that are held or cancelled, limits that were learned, money spent.
-- A new word in a CHECK needs the whole table anew.
CREATE TABLE new_jobs (
    id           TEXT PRIMARY KEY,
    state        TEXT NOT NULL CHECK (state IN
                   ('claimed', 'held', 'active', 'rejected', 'settled', 'publishing',
                    'delivered')),
    name         BLOB NOT NULL,
    task         TEXT NOT NULL,
    size         INTEGER NOT NULL,
    owner        INTEGER NOT NULL,
    round        INTEGER NOT NULL DEFAULT 0,
    claimed_at   REAL NOT NULL,
    state_at     REAL NOT NULL,
    sha256       TEXT,
    joined       TEXT REFERENCES jobs (id),
    requests     INTEGER NOT NULL DEFAULT 0,
    signature    TEXT,
    repairs      TEXT NOT NULL DEFAULT '{}',
    verbatim     INTEGER NOT NULL DEFAULT 0,
    reason       TEXT,
    problems     TEXT,
    folder       TEXT,
    outcome      TEXT,
    summary      TEXT NOT NULL DEFAULT '{}',
    delivered_at REAL,
    tidied_at    REAL,
    hold         TEXT,
    hold_text    TEXT,
    waived       INTEGER NOT NULL DEFAULT 0,
    cancelled_at REAL,
    cancel_why   TEXT CHECK (cancel_why IN ('asked', 'deadline', 'unusable-model')),
    cancel_text  TEXT,
    warnings     TEXT NOT NULL DEFAULT '{}',
    estimate     REAL,
    told_at      REAL,
    recipe       TEXT
) STRICT;
INSERT INTO new_jobs (
    id, state, name, task, size, owner, round, claimed_at, state_at, sha256, joined, requests,
    signature, repairs, verbatim, reason, problems, folder, outcome, summary, delivered_at,
    tidied_at, told_at
) SELECT
    id, state, name, task, size, owner, round, claimed_at, state_at, sha256, joined, requests,
    signature, repairs, verbatim, reason, problems, folder, outcome, summary, delivered_at,
    tidied_at, delivered_at
  FROM jobs;
DROP TABLE jobs;
ALTER TABLE new_jobs RENAME TO jobs;
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_to_tidy ON jobs (delivered_at) WHERE state = 'delivered' AND tidied_at IS NULL;
CREATE INDEX jobs_to_tell ON jobs (delivered_at) WHERE state = 'delivered' AND told_at IS NULL;
CREATE INDEX jobs_joined ON jobs (joined);

ALTER TABLE shards ADD COLUMN inputs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shards ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shards ADD COLUMN estimate REAL;
ALTER TABLE shards ADD COLUMN file_at REAL;
ALTER TABLE shards ADD COLUMN expires_at REAL;
ALTER TABLE shards ADD COLUMN cancel_asked_at REAL;
ALTER TABLE shards ADD COLUMN cleaned_at REAL;
CREATE INDEX shards_to_clean ON shards (job, number) WHERE cleaned_at IS NULL;
ALTER TABLE shards ADD COLUMN status_at REAL;
ALTER TABLE shards ADD COLUMN records INTEGER NOT NULL DEFAULT 0;
UPDATE shards SET records = requests;
CREATE INDEX shards_started ON shards (submit_started_at);

CREATE TABLE pauses (
    what TEXT PRIMARY KEY CHECK (what IN ('intake', 'submission')),
    at   REAL NOT NULL,
    "by" TEXT NOT NULL
) STRICT;

CREATE TABLE room_learned (
    model  TEXT PRIMARY KEY,
    tokens INTEGER NOT NULL,
    at     REAL NOT NULL
) STRICT;

CREATE TABLE spend (
    day              TEXT NOT NULL,
    task             TEXT NOT NULL,
    model            TEXT NOT NULL,
    requests         INTEGER NOT NULL,
    input_tokens     INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost             REAL NOT NULL,
    direct_cost      REAL NOT NULL,
    unpriced         INTEGER NOT NULL,
    PRIMARY KEY (day, task, model)
) STRICT;

-- What answers cost without a batch was not asked then: it is not known, which is not 0.
UPDATE shards
   SET usage = (SELECT json_group_object(key, json_set(value, '$.direct_cost', NULL))
                  FROM json_each(shards.usage))
 WHERE usage <> '{}';
INSERT INTO spend (day, task, model, requests, input_tokens, cached_tokens, output_tokens,
                   reasoning_tokens, cost, direct_cost, unpriced)
SELECT date(s.collected_at, 'unixepoch'), j.task, u.key,
       sum(json_extract(u.value, '$.requests')),
       sum(json_extract(u.value, '$.usage.input_tokens')),
       sum(json_extract(u.value, '$.usage.cached_tokens')),
       sum(json_extract(u.value, '$.usage.output_tokens')),
       sum(json_extract(u.value, '$.usage.reasoning_tokens')),
       sum(coalesce(json_extract(u.value, '$.cost'), 0.0)),
       sum(coalesce(json_extract(u.value, '$.cost'), 0.0)),
       sum(CASE WHEN json_extract(u.value, '$.cost') IS NULL
                THEN json_extract(u.value, '$.requests') ELSE 0 END)
  FROM shards s JOIN jobs j ON j.id = s.job, json_each(s.usage) u
 WHERE s.collected_at IS NOT NULL
 GROUP BY 1, 2, 3;
