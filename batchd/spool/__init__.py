"""The folders: inbox, work, outbox. Files change hands by rename, and appear whole or not at all."""
