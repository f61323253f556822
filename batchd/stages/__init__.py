"""The stages, in the order a file goes through them. They never call each other."""

from __future__ import annotations

from batchd.runtime.stage import Stage
from batchd.stages import claim, collect, deliver, plan, poll, submit, tidy

STAGES: tuple[Stage, ...] = (claim, plan, submit, poll, collect, deliver, tidy)
