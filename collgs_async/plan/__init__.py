"""What was chosen, written down: to be read by a person, kept beside the work, and pulled later or elsewhere.

`document` has the `Plan` and its file, whose form `plan.schema.json` describes; `comparison` says in what two plans
differ. `source` hands a plan's products out as a search would.
"""

from __future__ import annotations

from collgs_async.plan.comparison import Change, Comparison, compare
from collgs_async.plan.document import MISSING, TWIN, LeftOut, Plan, plan_schema
from collgs_async.plan.source import Planned

__all__ = ["MISSING", "TWIN", "Change", "Comparison", "LeftOut", "Plan", "Planned", "compare", "plan_schema"]
