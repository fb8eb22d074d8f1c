"""The run layer: plan -> execute -> engine -> manifest; verify and replay. One for all families."""

from .again import write_again
from .check import Finding, replay, verify
from .drive import Summary, run
from .plan import Job, Plan
from .report import write_report

__all__ = ["Finding", "Job", "Plan", "Summary", "replay", "run", "verify", "write_again", "write_report"]
