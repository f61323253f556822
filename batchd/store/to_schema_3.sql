-- From schema 2 to 3: what is asked for each of ten thousand files on their way reads one of them.
CREATE INDEX jobs_to_join ON jobs (sha256)
 WHERE state IN ('active', 'settled', 'publishing') AND joined IS NULL;
CREATE INDEX jobs_called_off ON jobs (state, cancelled_at) WHERE cancelled_at IS NOT NULL;
