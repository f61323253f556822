-- What recovery alone does: it reads a ledger from end to end, and writes whole rows.

-- name: salvage_jobs
-- What can be read of a damaged ledger, up to the first page that can't.
SELECT * FROM jobs ORDER BY rowid;

-- name: salvage_jobs_backwards
-- And from the other end.
SELECT * FROM jobs ORDER BY rowid DESC;

-- name: salvage_shards
-- As above.
SELECT * FROM shards ORDER BY rowid;

-- name: salvage_shards_backwards
-- As above.
SELECT * FROM shards ORDER BY rowid DESC;

-- name: salvage_history
-- As above; what is missing of it is missed by nobody but people.
SELECT at, job, shard, event, facts FROM history ORDER BY id;

-- name: salvage_spend
-- What was spent, as far as it can be read.
SELECT * FROM spend;

-- name: restore_spend
-- A sum as it was, or as the answers tell.
INSERT INTO spend (
    day, task, model, requests, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
    cost, direct_cost, unpriced
) VALUES (
    :day, :task, :model, :requests, :input_tokens, :cached_tokens, :output_tokens,
    :reasoning_tokens, :cost, :direct_cost, :unpriced
);

-- name: restore_job
-- A job as it was, or as it was found; recovery only.
INSERT INTO jobs (
    id, state, name, task, size, owner, round, claimed_at, state_at, sha256, joined,
    requests, signature, repairs, verbatim, reason, problems, folder, outcome, summary,
    delivered_at, tidied_at, hold, hold_text, waived, cancelled_at, cancel_why, cancel_text,
    warnings, estimate, told_at, recipe
) VALUES (
    :id, :state, :name, :task, :size, :owner, :round, :claimed_at, :state_at, :sha256,
    :joined, :requests, :signature, :repairs, :verbatim, :reason, :problems, :folder,
    :outcome, :summary, :delivered_at, :tidied_at, :hold, :hold_text, :waived, :cancelled_at,
    :cancel_why, :cancel_text, :warnings, :estimate, :told_at, :recipe
);

-- name: restore_shard
-- A shard as it was, or as its batch tells; recovery only.
INSERT INTO shards (
    id, job, number, round, state, endpoint, model, rows, requests, size, tokens, tries,
    due_at, file_id, batch, status, counts, output_file, error_file, errors, planned_at,
    submit_started_at, opened_at, ended_at, completed_at, collected_at, again, uncounted,
    kept, failed, usage, oddities, reason, inputs, output_tokens, estimate, file_at, expires_at,
    cancel_asked_at, cleaned_at, status_at, records
) VALUES (
    :id, :job, :number, :round, :state, :endpoint, :model, :rows, :requests, :size, :tokens,
    :tries, :due_at, :file_id, :batch, :status, :counts, :output_file, :error_file, :errors,
    :planned_at, :submit_started_at, :opened_at, :ended_at, :completed_at, :collected_at,
    :again, :uncounted, :kept, :failed, :usage, :oddities, :reason, :inputs, :output_tokens,
    :estimate, :file_at, :expires_at, :cancel_asked_at, :cleaned_at, :status_at, :records
);
