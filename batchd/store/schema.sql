-- The ledger. It grows with shards and exceptions, not with requests: rows are sets in one blob.
-- The words in the CHECKs are those of core/model.py; a test fails until both agree.

CREATE TABLE root (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    id         TEXT NOT NULL,          -- random: several roots may share one account
    created_at REAL NOT NULL
) STRICT;

CREATE TABLE jobs (
    id           TEXT PRIMARY KEY,
    state        TEXT NOT NULL CHECK (state IN
                   ('claimed', 'held', 'active', 'rejected', 'settled', 'publishing',
                    'delivered')),
    name         BLOB NOT NULL,        -- as dropped; names are bytes
    task         TEXT NOT NULL,
    size         INTEGER NOT NULL,
    owner        INTEGER NOT NULL,     -- uid of the dropped file
    round        INTEGER NOT NULL DEFAULT 0,
    claimed_at   REAL NOT NULL,
    state_at     REAL NOT NULL,
    sha256       TEXT,
    joined       TEXT REFERENCES jobs (id),   -- whose answers it has: the same file, on its way
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
    hold         TEXT,                 -- a reason code: nothing more of it is sent
    hold_text    TEXT,
    waived       INTEGER NOT NULL DEFAULT 0,  -- released by somebody: no budget holds it again
    cancelled_at REAL,
    cancel_why   TEXT CHECK (cancel_why IN ('asked', 'deadline', 'unusable-model')),
    cancel_text  TEXT,
    warnings     TEXT NOT NULL DEFAULT '{}',
    estimate     REAL,                 -- US dollars, before anything was sent
    told_at      REAL,                 -- when the notice of its end was given, or given up
    recipe       TEXT                  -- sha256 of its task as it was when it was planned
) STRICT;

-- Whole, not only of what is live: SQLite can't use a partial index for `state = :state`.
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_to_tidy ON jobs (delivered_at) WHERE state = 'delivered' AND tidied_at IS NULL;

CREATE INDEX jobs_to_tell ON jobs (delivered_at) WHERE state = 'delivered' AND told_at IS NULL;

CREATE INDEX jobs_joined ON jobs (joined);

-- As `leader` and `shards_called_off` in queries.sql ask, word for word: else they read all there are.
CREATE INDEX jobs_to_join ON jobs (sha256)
 WHERE state IN ('active', 'settled', 'publishing') AND joined IS NULL;
CREATE INDEX jobs_called_off ON jobs (state, cancelled_at) WHERE cancelled_at IS NOT NULL;

CREATE TABLE shards (
    id                TEXT PRIMARY KEY,
    job               TEXT NOT NULL REFERENCES jobs (id),
    number            INTEGER NOT NULL,
    round             INTEGER NOT NULL,
    state             TEXT NOT NULL CHECK (state IN
                        ('planned', 'submitting', 'open', 'ended', 'collected')),
    endpoint          TEXT NOT NULL,
    model             TEXT NOT NULL,
    rows              BLOB NOT NULL,
    requests          INTEGER NOT NULL,
    size              INTEGER NOT NULL,
    tokens            INTEGER NOT NULL,
    tries             INTEGER NOT NULL DEFAULT 0,
    due_at            REAL NOT NULL,
    file_id           TEXT,
    batch             TEXT UNIQUE,     -- a batch that another shard holds never matches
    status            TEXT,
    counts            TEXT NOT NULL DEFAULT '{}',
    output_file       TEXT,
    error_file        TEXT,
    errors            TEXT NOT NULL DEFAULT '[]',
    planned_at        REAL NOT NULL,
    submit_started_at REAL,
    opened_at         REAL,
    ended_at          REAL,
    completed_at      REAL,            -- the provider's word
    collected_at      REAL,
    again             BLOB,
    uncounted         BLOB,
    kept              INTEGER NOT NULL DEFAULT 0,
    failed            INTEGER NOT NULL DEFAULT 0,
    usage             TEXT NOT NULL DEFAULT '{}',
    oddities          TEXT NOT NULL DEFAULT '{}',
    reason            TEXT,
    text              TEXT,
    inputs            INTEGER NOT NULL DEFAULT 0,
    output_tokens     INTEGER NOT NULL DEFAULT 0,
    estimate          REAL,
    file_at           REAL,            -- when its file was uploaded
    expires_at        REAL,            -- the provider's word
    cancel_asked_at   REAL,
    cleaned_at        REAL,            -- when its files were deleted at the provider
    status_at         REAL,            -- when its status was first seen
    records           INTEGER NOT NULL DEFAULT 0,  -- how many rows: a request may carry several
    UNIQUE (job, number)
) STRICT;

CREATE INDEX shards_due ON shards (state, due_at);
CREATE INDEX shards_to_clean ON shards (job, number) WHERE cleaned_at IS NULL;
CREATE INDEX shards_started ON shards (submit_started_at);

-- For people: what the daemon did. States are in the columns above, never derived from here.
CREATE TABLE history (
    id    INTEGER PRIMARY KEY,
    at    REAL NOT NULL,
    job   TEXT NOT NULL,
    shard TEXT,
    event TEXT NOT NULL,
    facts TEXT NOT NULL
) STRICT;

CREATE INDEX history_of_job ON history (job, id);

-- How the stored times are to be read after the wall clock was set: see store/ledger.py.
CREATE TABLE clock (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    boot  TEXT NOT NULL,               -- what the machine's steady clock counts from
    ahead REAL NOT NULL                -- the wall clock, less that one
) STRICT;

-- What rests on an operator's word.
CREATE TABLE pauses (
    what TEXT PRIMARY KEY CHECK (what IN ('intake', 'submission')),
    at   REAL NOT NULL,
    "by" TEXT NOT NULL
) STRICT;

-- The account's queue limits as the provider named them.
CREATE TABLE room_learned (
    model  TEXT PRIMARY KEY,
    tokens INTEGER NOT NULL,
    at     REAL NOT NULL
) STRICT;

-- What was spent: kept when the jobs are long forgotten. A day is one of UTC, as on the bill.
CREATE TABLE spend (
    day              TEXT NOT NULL,    -- 2026-11-21
    task             TEXT NOT NULL,
    model            TEXT NOT NULL,
    requests         INTEGER NOT NULL,
    input_tokens     INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost             REAL NOT NULL,    -- US dollars, of what has a price
    direct_cost      REAL NOT NULL,    -- the same without a batch; `cost` where that is not known
    unpriced         INTEGER NOT NULL, -- requests of which the price is not known
    PRIMARY KEY (day, task, model)
) STRICT;
