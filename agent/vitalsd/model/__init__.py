"""The words of vitalsd as frozen structs: the ground floor that every room may stand on.

Nothing here does I/O or imports another room. Units are in the names. `None` always means "not known",
never zero; what kept it from being known is told beside it (`WorkerSample.missing`).
"""

from __future__ import annotations

from vitalsd.model.incidents import (
    ONE_OF_A_WORKER,
    Finding,
    Incident,
    RuleState,
    Severity,
)
from vitalsd.model.samples import (
    OBSERVED_LOOP,
    LagSource,
    MemoryTrend,
    RecentLoop,
    SourceReading,
    TargetSnapshot,
    WorkerSample,
)
from vitalsd.model.stalls import (
    Cause,
    Doing,
    HostEvidence,
    StackRefusal,
    StallEvidence,
    ThreadEvidence,
    TurnEvidence,
    Verdict,
)
from vitalsd.model.vitals import (
    Frame,
    Histogram,
    LimitKind,
    LoopVitals,
    MemoryGroup,
    MemoryVitals,
    ObservedLoop,
    PoolVitals,
    ProbeVitals,
    ProcessVitals,
    Stack,
    Stall,
    StallInProgress,
    UnhandledError,
    WorkerKey,
)
from vitalsd.probe.python.layout import (
    DELAY_BOUNDS_SECONDS,
    ERROR_CHANNELS,
    GC_BOUNDS_SECONDS,
    GC_GENERATIONS,
)

__all__ = [
    "DELAY_BOUNDS_SECONDS",
    "ERROR_CHANNELS",
    "GC_BOUNDS_SECONDS",
    "GC_GENERATIONS",
    "OBSERVED_LOOP",
    "ONE_OF_A_WORKER",
    "Cause",
    "Doing",
    "Finding",
    "Frame",
    "Histogram",
    "HostEvidence",
    "Incident",
    "LagSource",
    "LimitKind",
    "LoopVitals",
    "MemoryGroup",
    "MemoryTrend",
    "MemoryVitals",
    "ObservedLoop",
    "PoolVitals",
    "ProbeVitals",
    "ProcessVitals",
    "RecentLoop",
    "RuleState",
    "Severity",
    "SourceReading",
    "Stack",
    "StackRefusal",
    "Stall",
    "StallEvidence",
    "StallInProgress",
    "TargetSnapshot",
    "ThreadEvidence",
    "TurnEvidence",
    "UnhandledError",
    "Verdict",
    "WorkerKey",
    "WorkerSample",
]
