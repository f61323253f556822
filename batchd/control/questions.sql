-- What people ask of the ledger. Reading only; the daemon's own statements are in store/queries.sql.

-- name: jobs_by_prefix
-- Jobs whose id begins like this: an upper bound instead of LIKE, which would not use the index.
SELECT * FROM jobs WHERE id >= :prefix AND id < :prefix || '~' ORDER BY id LIMIT :most;

-- name: jobs_named
-- Jobs whose file was dropped under this name, the youngest first.
SELECT * FROM jobs WHERE name = :name ORDER BY id DESC LIMIT :most;

-- name: later_jobs_with
-- Jobs after one whose file had this content.
SELECT * FROM jobs WHERE id > :job AND sha256 = :sha256 ORDER BY id LIMIT :most;

-- name: unfinished_jobs
-- Jobs on their way, oldest first: every state but the last, for "not delivered" would read all jobs
-- that there ever were.
SELECT * FROM jobs
 WHERE state IN ('claimed', 'held', 'active', 'rejected', 'settled', 'publishing') ORDER BY id;

-- name: live_shards
-- Shards on their way, in the order they were planned.
SELECT * FROM shards WHERE state IN ('planned', 'submitting', 'open', 'ended') ORDER BY job, number;

-- name: shards_with_text_of
-- A job's shards, in the order they were planned.
SELECT * FROM shards WHERE job = :job ORDER BY number;

-- name: shards_by_batch
-- Shards whose batch has an id that begins like this.
SELECT * FROM shards WHERE batch >= :prefix AND batch < :prefix || '~' ORDER BY batch LIMIT :most;

-- name: count_jobs
-- How many jobs there are, by state and outcome.
SELECT state, outcome, count(*) AS jobs FROM jobs GROUP BY state, outcome;

-- name: jobs_listed
-- Jobs, the youngest first. What is held or cancelled has another state besides.
SELECT * FROM jobs
 WHERE claimed_at >= :since AND (:owner IS NULL OR owner = :owner)
   AND (:state IS NULL OR state = :state OR outcome = :state
        OR (:state = 'held' AND hold IS NOT NULL AND state <> 'delivered')
        OR (:state = 'cancelled' AND cancelled_at IS NOT NULL))
 ORDER BY id DESC LIMIT :most;

-- name: history_of
-- What happened to a job, in order.
SELECT at, shard, event, facts FROM history WHERE job = :job ORDER BY id;

-- name: pauses
-- What rests, and who said so.
SELECT what, "by", at FROM pauses;

-- name: rooms
-- The account's queue limits that were learned since a time.
SELECT model, tokens FROM room_learned WHERE at >= :since;

-- name: created_since
-- Batches whose creation began after a time.
SELECT count(*) AS number, min(submit_started_at) AS oldest FROM shards
 WHERE submit_started_at > :since;

-- name: spend
-- What was spent since a day, added up.
SELECT CASE :by WHEN 'day' THEN day WHEN 'month' THEN substr(day, 1, 7) WHEN 'model' THEN model
                ELSE task END AS "key",
       sum(requests) AS requests, sum(input_tokens) AS input_tokens,
       sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens,
       sum(reasoning_tokens) AS reasoning_tokens, sum(cost) AS cost,
       sum(direct_cost - cost) AS saving, sum(unpriced) AS unpriced
  FROM spend WHERE day >= :since GROUP BY 1 ORDER BY 1;

-- name: keeps_sums
-- Whether the ledger's schema is one with sums.
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'spend';

-- name: tables
-- How the ledger is made.
SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name;

-- name: count_shards
-- How many shards there are, by state, the provider's status, and what they wait for.
SELECT state, status, reason, count(*) AS shards FROM shards GROUP BY state, status, reason;

-- name: count_events
-- How often what happened is remembered.
SELECT event, count(*) AS times FROM history GROUP BY event;
