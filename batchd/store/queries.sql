-- Every statement has a name and a sentence. Those named after an event are run by it, with the
-- event's own fields, and :was and :state from the tables in core/states.py.

-- name: job_claimed
-- The file lies in its work folder.
INSERT INTO jobs (id, state, name, task, size, owner, claimed_at, state_at)
VALUES (:job, 'claimed', :name, :task, :size, :owner, :at, :at);

-- name: job_planned
-- Every line is good; round 1 carries everything.
UPDATE jobs SET state = :state, state_at = :at, sha256 = :sha256, requests = :requests,
       signature = :signature, repairs = :repairs, verbatim = :verbatim, round = 1,
       warnings = :warnings, estimate = :estimate, recipe = :recipe
 WHERE id = :job AND state = :was;

-- name: job_rejected
-- The sender must mend it.
UPDATE jobs SET state = :state, state_at = :at, reason = :reason, problems = :problems,
       sha256 = :sha256, requests = :requests
 WHERE id = :job AND state = :was;

-- name: job_held
-- Nothing more of it is sent. One that is being sent has shards, and these wait.
UPDATE jobs SET state = :state, state_at = :at, hold = :reason, hold_text = :text,
       estimate = coalesce(:estimate, estimate)
 WHERE id = :job AND state = :was;

-- name: job_released
-- By a person, who has seen the sum: no budget holds it again.
UPDATE jobs SET state = :state, state_at = :at, hold = NULL, hold_text = NULL, waived = 1
 WHERE id = :job AND state = :was;

-- name: hold_lapsed
-- Only what the budget holds: a person's word stands until a person takes it back.
UPDATE jobs SET state = :state, state_at = :at, hold = NULL, hold_text = NULL
 WHERE id = :job AND state = :was AND hold IN ('over-budget', 'cost-unknown');

-- name: job_cancelled
-- The first who said so is remembered. What is cancelled is not held any more: it goes on to its end.
UPDATE jobs SET state = :state, state_at = :at, cancelled_at = coalesce(cancelled_at, :at),
       cancel_why = coalesce(cancel_why, :why), cancel_text = coalesce(cancel_text, :text),
       hold = NULL, hold_text = NULL
 WHERE id = :job AND state = :was;

-- name: wake_shards
-- A cancelled job's shards are looked at now: those not sent end, those open are called off.
UPDATE shards SET due_at = min(due_at, :at) WHERE job = :job AND state IN ('planned', 'open');

-- name: leave_joined
-- It is cancelled alone: what it joined goes on, and it ends without answers.
UPDATE jobs SET state = :state, state_at = :at, joined = NULL
 WHERE id = :job AND state = :was AND joined IS NOT NULL;

-- name: job_concluded
-- What is left to try is not tried.
UPDATE jobs SET state = :state, state_at = :at WHERE id = :job AND state = :was;

-- name: round_planned
-- What is to be tried again has new shards.
UPDATE jobs SET state_at = :at, round = :round WHERE id = :job AND state = :was;

-- name: settle_job
-- The last verdict settles the job: no live shard, and nothing of this round to try again.
UPDATE jobs SET state = :state, state_at = :at
 WHERE id = :job AND state = :was
   AND NOT EXISTS (SELECT 1 FROM shards s WHERE s.job = jobs.id AND s.state <> 'collected')
   AND NOT EXISTS (SELECT 1 FROM shards s
                    WHERE s.job = jobs.id AND s.round = jobs.round AND s.again IS NOT NULL);

-- name: leader
-- The same bytes for the same task as it was, on their way, and not without any answer: what to
-- join.
SELECT id, state FROM jobs
 WHERE state IN ('active', 'settled', 'publishing') AND joined IS NULL
   AND sha256 = :sha256 AND task = :task AND recipe IS :recipe AND id <> :job
   AND cancelled_at IS NULL
   AND (state = 'active'
        OR EXISTS (SELECT 1 FROM shards s WHERE s.job = jobs.id AND s.kept > 0))
 ORDER BY id LIMIT 1;

-- name: join_job
-- It has the leader's answers, no shards of its own, and costs nothing.
UPDATE jobs SET joined = :leader, estimate = 0 WHERE id = :job;

-- name: settle_joined
-- Those that joined settle with their first.
UPDATE jobs SET state = :state, state_at = :at WHERE joined = :job AND state = :was;

-- name: release_joined
-- Nothing came of the first: they plan for themselves.
UPDATE jobs SET state = :state, state_at = :at, joined = NULL WHERE joined = :job AND state = :was;

-- name: kept_of
-- How many answers a job has.
SELECT coalesce(sum(kept), 0) FROM shards WHERE job = :job;

-- name: publish_started
-- The folder is complete under its dot-name.
UPDATE jobs SET state = :state, state_at = :at, folder = :folder, outcome = :outcome,
       summary = :summary
 WHERE id = :job AND state = :was;

-- name: job_delivered
-- The folder is in the outbox.
UPDATE jobs SET state = :state, state_at = :at, delivered_at = :at WHERE id = :job AND state = :was;

-- name: job_tidied
-- Nothing of it is left in var/work.
UPDATE jobs SET tidied_at = :at WHERE id = :job AND state = :was;

-- name: job_told
-- The operator knows, or could not be reached.
UPDATE jobs SET told_at = :at WHERE id = :job AND state = :was;

-- name: tell_nobody
-- Nobody wants to know of those that ended so: they are no news later, either.
UPDATE jobs SET told_at = :at
 WHERE state = 'delivered' AND told_at IS NULL AND (outcome = 'rejected') = :rejected;

-- name: insert_shard
-- A shard begins as planned.
INSERT INTO shards (id, job, number, round, state, endpoint, model, rows, requests, size, tokens,
                    tries, file_id, file_at, planned_at, due_at, reason, text, inputs,
                    output_tokens, estimate, records)
VALUES (:id, :job, :number, :round, 'planned', :endpoint, :model, :rows, :requests, :size, :tokens,
        :tries, :file_id, :file_at, :planned_at, :due_at, :reason, :text, :inputs, :output_tokens,
        :estimate, :records);

-- name: next_shard_number
-- Shards of a job are numbered over all its rounds.
SELECT coalesce(max(number), 0) + 1 FROM shards WHERE job = :job;

-- name: file_uploaded
-- The provider has its requests; their real size is known.
UPDATE shards SET file_id = :file_id, file_at = :at, size = :size, due_at = :due_at
 WHERE id = :shard AND state = :was;

-- name: submit_started
-- Doubt begins; the time of the call bounds the search for its batch.
UPDATE shards SET state = :state, submit_started_at = :at, due_at = :due_at, reason = NULL,
       text = NULL
 WHERE id = :shard AND state = :was;

-- name: submit_doubted
-- The call broke: ask when due.
UPDATE shards SET due_at = :due_at, reason = :reason, text = :text
 WHERE id = :shard AND state = :was;

-- name: submit_deferred
-- Surely no batch; again when due.
UPDATE shards SET state = :state, due_at = :due_at, reason = :reason, text = :text,
       tries = tries + 1, file_id = CASE WHEN :upload_again THEN NULL ELSE file_id END
 WHERE id = :shard AND state = :was;

-- name: shard_waits
-- Only the time of the next look changes.
UPDATE shards SET due_at = :due_at, reason = :reason, text = :text
 WHERE id = :shard AND state = :was;

-- name: look_asked
-- Never later than it was due anyway.
UPDATE shards SET due_at = min(due_at, :due_at) WHERE id = :shard AND state = :was;

-- name: shard_cancelled
-- It has no batch, and gets none.
UPDATE shards SET state = :state, status = 'cancelled', errors = :errors, ended_at = :at,
       due_at = :due_at, reason = NULL, text = NULL
 WHERE id = :shard AND state = :was;

-- name: cancel_asked
-- The provider was told that nobody wants it any more.
UPDATE shards SET cancel_asked_at = :at, due_at = :due_at WHERE id = :shard AND state = :was;

-- name: submit_refused
-- A definite no is an end like any other.
UPDATE shards SET state = :state, errors = :errors, status = 'failed', ended_at = :at,
       due_at = :due_at, reason = NULL, text = NULL
 WHERE id = :shard AND state = :was;

-- name: batch_opened
-- The one batch of this shard, for ever.
UPDATE shards SET state = :state, batch = :batch, opened_at = :at, due_at = :due_at, tries = 0,
       expires_at = :expires_at, reason = NULL, text = NULL
 WHERE id = :shard AND state = :was;

-- name: batch_seen
-- A look at an open batch.
UPDATE shards SET status = :status, counts = :counts, due_at = :due_at,
       status_at = CASE WHEN status IS :status THEN status_at ELSE :at END,
       expires_at = coalesce(:expires_at, expires_at), reason = NULL, text = NULL
 WHERE id = :shard AND state = :was;

-- name: batch_ended
-- The provider's last word.
UPDATE shards SET state = :state, status = :status, counts = :counts, output_file = :output_file,
       error_file = :error_file, errors = :errors, ended_at = :at, completed_at = :completed_at,
       due_at = :due_at, reason = NULL, text = NULL
 WHERE id = :shard AND state = :was;

-- name: shard_collected
-- Every request of it has a verdict.
UPDATE shards SET state = :state, collected_at = :at, again = :again, uncounted = :uncounted,
       kept = :kept, failed = :failed, usage = :usage, oddities = :oddities, reason = NULL,
       text = NULL
 WHERE id = :shard AND state = :was;

-- name: shard_replaced
-- Refused before it began: its members travel in another shard, and this attempt doesn't count.
UPDATE shards SET state = :state, collected_at = :at, uncounted = rows, reason = :reason,
       text = :text
 WHERE id = :shard AND state = :was;

-- name: files_deleted
-- The provider keeps nothing of it.
UPDATE shards SET cleaned_at = :at WHERE id = :shard AND state = :was;

-- name: paused
-- What rests.
INSERT OR REPLACE INTO pauses (what, at, "by") VALUES (:what, :at, :by);

-- name: resumed
-- It goes on.
DELETE FROM pauses WHERE what = :what;

-- name: room_learned
-- The provider's last word on a model's queue.
INSERT OR REPLACE INTO room_learned (model, tokens, at) VALUES (:model, :tokens, :at);

-- name: add_spend
-- What answers took, by day, task and model.
INSERT INTO spend (day, task, model, requests, input_tokens, cached_tokens, output_tokens,
                   reasoning_tokens, cost, direct_cost, unpriced)
VALUES (date(:at, 'unixepoch'), :task, :model, :requests, :input_tokens, :cached_tokens,
        :output_tokens, :reasoning_tokens, :cost, :direct_cost, :unpriced)
ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,
       input_tokens = input_tokens + excluded.input_tokens,
       cached_tokens = cached_tokens + excluded.cached_tokens,
       output_tokens = output_tokens + excluded.output_tokens,
       reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
       cost = cost + excluded.cost, direct_cost = direct_cost + excluded.direct_cost,
       unpriced = unpriced + excluded.unpriced;

-- name: spent
-- Today and this month, by the days of UTC.
SELECT coalesce(sum(cost) FILTER (WHERE day = date(:at, 'unixepoch')), 0.0) AS today,
       coalesce(sum(cost), 0.0) AS month
  FROM spend
 WHERE day BETWEEN date(:at, 'unixepoch', 'start of month') AND date(:at, 'unixepoch');

-- name: under_way
-- What all that was let through, and is not collected, is expected to cost: shards that are or will
-- be sent; what of this round is to be tried again and not yet planned; jobs that may go on and are
-- being read. Not one job, which is about to be counted.
SELECT coalesce(sum(cost), 0.0) AS cost,
       coalesce(sum(requests) FILTER (WHERE cost IS NULL), 0) AS unknown
  FROM (
    SELECT s.estimate AS cost, s.requests FROM shards s JOIN jobs j ON j.id = s.job
     WHERE s.state IN ('planned', 'submitting', 'open', 'ended') AND s.job <> :job
       AND NOT (s.state = 'planned' AND (j.hold IS NOT NULL OR j.cancelled_at IS NOT NULL))
    UNION ALL
    SELECT s.estimate * (s.records - s.kept - s.failed) / s.records, s.requests
      FROM jobs j JOIN shards s ON s.job = j.id
     WHERE j.state = 'active' AND j.cancelled_at IS NULL AND s.state = 'collected'
       AND s.round = j.round AND s.again IS NOT NULL AND j.id <> :job
    UNION ALL
    SELECT estimate, 0 FROM jobs WHERE state = 'claimed' AND cancelled_at IS NULL AND id <> :job
);

-- name: held_by_budget
-- What waits for money, the oldest first.
SELECT id, estimate, claimed_at FROM jobs
 WHERE state = 'held' AND hold IN ('over-budget', 'cost-unknown') ORDER BY id;

-- name: pauses
-- What rests, and since when.
SELECT what, at, "by" FROM pauses ORDER BY what;

-- name: rooms
-- What was learned since a time.
SELECT model, tokens FROM room_learned WHERE at >= :since;

-- name: insert_history
-- For people.
INSERT INTO history (at, job, shard, event, facts) VALUES (:at, :job, :shard, :event, :facts);

-- name: job
-- One job.
SELECT * FROM jobs WHERE id = :job;

-- name: shard
-- One shard.
SELECT * FROM shards WHERE id = :shard;

-- name: jobs_in
-- Jobs in one state, oldest first.
SELECT * FROM jobs WHERE state = :state ORDER BY id LIMIT :most;

-- name: jobs_to_deliver
-- Those whose folder is about to appear, then the rejected, who wait for a person, then the rest.
SELECT * FROM jobs WHERE state IN ('publishing', 'rejected', 'settled')
 ORDER BY state = 'settled', state = 'rejected', id LIMIT :most;

-- name: jobs_between_rounds
-- Jobs whose shards have all come in, with something left to try again.
SELECT * FROM jobs
 WHERE state = 'active' AND joined IS NULL
   AND NOT EXISTS (SELECT 1 FROM shards s WHERE s.job = jobs.id AND s.state <> 'collected')
 ORDER BY id LIMIT :most;

-- name: jobs_claimed_by
-- Old jobs that still want answers. One that joined ends with its first, or is released by it.
SELECT * FROM jobs
 WHERE state IN ('claimed', 'held', 'active') AND joined IS NULL AND cancelled_at IS NULL
   AND claimed_at <= :time
 ORDER BY id LIMIT :most;

-- name: oldest_claim
-- When the first of such jobs was claimed.
SELECT min(claimed_at) FROM jobs
 WHERE state IN ('claimed', 'held', 'active') AND joined IS NULL AND cancelled_at IS NULL;

-- name: jobs_to_tidy
-- Delivered long enough ago, with a work folder still there that nobody who joined still needs.
SELECT * FROM jobs
 WHERE state = 'delivered' AND tidied_at IS NULL AND delivered_at <= :before
   AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.joined = jobs.id AND j.state <> 'delivered')
 ORDER BY delivered_at LIMIT :most;

-- name: jobs_to_tell
-- Delivered, and the notice of it not yet given; oldest first.
SELECT * FROM jobs WHERE state = 'delivered' AND told_at IS NULL ORDER BY delivered_at LIMIT :most;

-- name: shards_to_clean
-- Delivered, with files at the provider, and nobody who joined still needs the answers.
SELECT s.* FROM shards s JOIN jobs d ON d.id = s.job
 WHERE s.cleaned_at IS NULL AND d.state = 'delivered'
   AND coalesce(s.file_id, s.output_file, s.error_file) IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.joined = d.id AND j.state <> 'delivered')
 ORDER BY s.job, s.number LIMIT :most;

-- name: files_of_shards
-- What is known of uploaded files (a JSON array), and of the shards that their names tell (another).
SELECT id, state, file_id FROM shards
 WHERE file_id IN (SELECT value FROM json_each(:files))
    OR id IN (SELECT value FROM json_each(:shards));

-- name: jobs_to_forget
-- Long delivered and tidied away; one that others joined goes after them.
SELECT id FROM jobs
 WHERE state = 'delivered' AND tidied_at IS NOT NULL AND delivered_at <= :before
   AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.joined = jobs.id)
 ORDER BY delivered_at LIMIT :most;

-- name: forget_history
-- Of what nobody asks about any more; what was spent stays.
DELETE FROM history WHERE job = :job;

-- name: forget_shards
-- As above.
DELETE FROM shards WHERE job = :job;

-- name: forget_job
-- As above; its folder in the outbox has the receipt.
DELETE FROM jobs WHERE id = :job;

-- name: job_ids
-- Which of these folders are jobs' (a JSON array).
SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(:ids));

-- name: on_their_way
-- Jobs on their way, oldest first, and how many shards of each are.
SELECT id, (SELECT count(*) FROM shards s
             WHERE s.job = jobs.id AND s.state IN ('planned', 'submitting', 'open', 'ended')) AS live
  FROM jobs
 WHERE state IN ('claimed', 'held', 'active', 'rejected', 'settled', 'publishing') ORDER BY id;

-- name: unfinished_jobs
-- Those of these jobs (a JSON array) that are on their way, oldest first.
SELECT * FROM jobs
 WHERE id IN (SELECT value FROM json_each(:jobs))
   AND state IN ('claimed', 'held', 'active', 'rejected', 'settled', 'publishing') ORDER BY id;

-- name: live_shards
-- Shards of these jobs (a JSON array) on their way, in the order they were planned.
SELECT * FROM shards
 WHERE job IN (SELECT value FROM json_each(:jobs))
   AND state IN ('planned', 'submitting', 'open', 'ended') ORDER BY job, number;

-- name: marked_jobs
-- Jobs whose shards wait for a person's word, or for nothing any more.
SELECT * FROM jobs
 WHERE state = 'active' AND (hold IS NOT NULL OR cancelled_at IS NOT NULL) ORDER BY id;

-- name: turns_taken
-- How many batches each job has at the provider, or may have, by model.
SELECT job, model, count(*) AS shards
  FROM shards WHERE state IN ('submitting', 'open') GROUP BY job, model;

-- name: intake
-- Claimed, and not yet delivered (`<>` would read every job there ever was); and who wants no more.
SELECT count(*) AS on_their_way, (SELECT "by" FROM pauses WHERE what = 'intake') AS paused_by
  FROM jobs
 WHERE state IN ('claimed', 'held', 'active', 'rejected', 'settled', 'publishing');

-- name: glance
-- What is open, since when, and looked at when; and the jobs on their way with nothing open.
SELECT count(*) AS open, min(opened_at) AS oldest, min(due_at) AS next_look,
       (SELECT count(*) FROM jobs
         WHERE state IN ('claimed', 'active', 'rejected', 'settled', 'publishing')
           AND NOT EXISTS (SELECT 1 FROM shards s WHERE s.job = jobs.id AND s.state = 'open'))
       AS waiting
  FROM shards WHERE state = 'open';

-- name: last_job
-- The youngest id.
SELECT max(id) FROM jobs;

-- name: shards_of
-- A job's shards, in the order they were planned.
SELECT * FROM shards WHERE job = :job ORDER BY number;

-- name: submission
-- What else decides about sending a shard: whether submission rests; whether a shard of this job and
-- model came back with nothing but the word that there is no such model (core/unusable.py); and how
-- many shards the job has had so far, for they are numbered from 1.
SELECT EXISTS (SELECT 1 FROM pauses WHERE what = 'submission') AS is_paused,
       EXISTS (SELECT 1 FROM shards WHERE job = :job AND model = :model
                  AND oddities LIKE '%"unusable_model"%') AS found_no_model,
       (SELECT max(number) FROM shards WHERE job = :job) AS shards;

-- name: may_begin
-- Whether nobody has held or cancelled its job, or paused submission.
SELECT j.hold IS NULL AND j.cancelled_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM pauses WHERE what = 'submission') AS may_begin
  FROM shards s JOIN jobs j ON j.id = s.job WHERE s.id = :shard;

-- name: shards_due
-- Shards of a state that are to be looked at, the longest due first.
SELECT * FROM shards WHERE state = :state AND due_at <= :now ORDER BY due_at, id LIMIT :most;

-- name: shards_to_submit
-- Planned shards that are due, in turn: one of each job and model before a second of any (see
-- core/admission.py, in_turn). One that the provider had no room for keeps its place in line. Those
-- of jobs that are held or cancelled are not sent. `first` (a JSON array) are on their way already,
-- and have to be counted, due or not: an upload that has just ended is due a moment later than the
-- time of the look. (Whole rows come last: sorting ten thousand of
-- them took three times as long.)
WITH planned AS (
    SELECT id, job, model, number, due_at <= :now OR reason = 'no-room' AS is_due FROM shards
     WHERE state = 'planned'
       AND job IN (SELECT id FROM jobs
                    WHERE state = 'active' AND hold IS NULL AND cancelled_at IS NULL)
), turns AS (
    SELECT id, job, number, is_due,
           row_number() OVER (PARTITION BY job, model ORDER BY number)
           + (SELECT count(*) FROM shards there
               WHERE there.job = planned.job AND there.model = planned.model
                 AND there.state IN ('submitting', 'open')) AS turn
      FROM planned
)
SELECT shards.* FROM turns JOIN shards USING (id)
 WHERE is_due OR id IN (SELECT value FROM json_each(:first))
 ORDER BY id NOT IN (SELECT value FROM json_each(:first)), turn, turns.job, turns.number
 LIMIT :most;

-- name: shards_called_off
-- Planned shards of cancelled jobs. By these, of which there are few: ten thousand may be planned.
SELECT s.* FROM jobs j CROSS JOIN shards s ON s.job = j.id
 WHERE j.state = 'active' AND j.cancelled_at IS NOT NULL AND s.state = 'planned'
 ORDER BY s.job, s.number LIMIT :most;

-- name: shards_to_cancel
-- Open shards of cancelled jobs, before the provider knows; its answer makes them wait.
SELECT * FROM shards
 WHERE state = 'open' AND cancel_asked_at IS NULL AND due_at <= :now
   AND job IN (SELECT id FROM jobs WHERE state = 'active' AND cancelled_at IS NOT NULL)
 ORDER BY due_at, id LIMIT :most;

-- name: next_submission
-- When a doubt may be settled and a deferred shard is due.
SELECT (SELECT min(due_at) FROM shards WHERE state = 'submitting' AND due_at > :now) AS doubt,
       (SELECT min(due_at) FROM shards WHERE state = 'planned' AND due_at > :now) AS deferred,
       EXISTS (SELECT 1 FROM shards WHERE state = 'planned') AS some_planned;

-- name: created_since
-- Batches whose creation began after a time.
SELECT count(*) AS number, min(submit_started_at) AS oldest FROM shards
 WHERE submit_started_at > :since;

-- name: open_shards
-- What a sweep is about; no more of each than it needs (core/subjects.py, OpenShard).
SELECT id, job, batch, status, counts, due_at, opened_at, expires_at, cancel_asked_at, status_at
  FROM shards WHERE state = 'open' ORDER BY due_at;

-- name: shards_in
-- All shards of a state.
SELECT * FROM shards WHERE state = :state ORDER BY opened_at, id;

-- name: live_at_provider
-- What counts against the account's limits: shards that are, or may be, batches there.
SELECT model, count(*) AS shards, sum(tokens) AS tokens,
       sum(CASE WHEN endpoint LIKE '%/embeddings' THEN requests ELSE 0 END) AS embeddings
  FROM shards WHERE state IN ('submitting', 'open') GROUP BY model;

-- name: next_due
-- When the next shard of a state is to be looked at.
SELECT min(due_at) FROM shards WHERE state = :state AND due_at > :after;

-- name: open_batches_among
-- Which shards have these batches (a JSON array), and wait for their end. One whose end was seen
-- waits for its files, and must not be believed to have none any sooner.
SELECT id FROM shards
 WHERE batch IN (SELECT value FROM json_each(:batches)) AND state = 'open'
   AND coalesce(status, '') NOT IN ('completed', 'failed', 'expired', 'cancelled');

-- name: batch_holder
-- Which shard has this batch.
SELECT id FROM shards WHERE batch = :batch;

-- name: history_of
-- What happened to a job, in order.
SELECT at, shard, event, facts FROM history WHERE job = :job ORDER BY id;

-- name: clamp_due
-- After a start: no stored time is further away than the longest wait of its state, whatever
-- the clock did in between.
UPDATE shards SET due_at = min(due_at, :latest) WHERE state = :state;

-- name: clock
-- By which clock the stored times were written.
SELECT boot, ahead FROM clock WHERE one = 1;

-- name: set_clock
-- By which they are written from now on.
INSERT OR REPLACE INTO clock (one, boot, ahead) VALUES (1, :boot, :ahead);

-- name: shift_shards
-- The wall clock was set by so much since: what was due in a minute still is.
UPDATE shards SET due_at = due_at + :jump, planned_at = planned_at + :jump,
       submit_started_at = submit_started_at + :jump, opened_at = opened_at + :jump,
       ended_at = ended_at + :jump, collected_at = collected_at + :jump,
       file_at = file_at + :jump, cancel_asked_at = cancel_asked_at + :jump,
       status_at = status_at + :jump
 WHERE job IN (SELECT id FROM jobs
                WHERE state IN ('claimed', 'held', 'active', 'rejected', 'settled', 'publishing'));

-- name: shift_jobs
-- As above; of those delivered, only those with something left to tidy away.
UPDATE jobs SET claimed_at = claimed_at + :jump, state_at = state_at + :jump,
       delivered_at = delivered_at + :jump
 WHERE state IN ('claimed', 'held', 'active', 'rejected', 'settled', 'publishing')
    OR (state = 'delivered' AND tidied_at IS NULL);

-- name: wait_anew
-- How long has been waited for a state is not known.
UPDATE shards SET due_at = max(due_at, :earliest) WHERE state = :state;

-- name: no_later_shards
-- Nothing has happened that is still to come.
UPDATE shards SET planned_at = min(planned_at, :now),
       submit_started_at = min(submit_started_at, :now), opened_at = min(opened_at, :now),
       ended_at = min(ended_at, :now), collected_at = min(collected_at, :now),
       file_at = min(file_at, :now), cancel_asked_at = min(cancel_asked_at, :now),
       status_at = min(status_at, :now)
 WHERE job IN (SELECT id FROM jobs
                WHERE state IN ('claimed', 'held', 'active', 'rejected', 'settled', 'publishing'));

-- name: no_later_jobs
-- As above.
UPDATE jobs SET claimed_at = min(claimed_at, :now), state_at = min(state_at, :now),
       delivered_at = min(delivered_at, :now)
 WHERE state IN ('claimed', 'held', 'active', 'rejected', 'settled', 'publishing')
    OR (state = 'delivered' AND tidied_at IS NULL);

-- name: root
-- Who we are to the provider.
SELECT id FROM root WHERE one = 1;

-- name: create_root
-- Once in a ledger's life.
INSERT OR IGNORE INTO root (one, id, created_at) VALUES (1, :id, :at);
