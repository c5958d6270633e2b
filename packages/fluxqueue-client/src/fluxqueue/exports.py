"""The public names that `fluxqueue` loads when one of them is used first."""

from __future__ import annotations

from .client import FluxQueue as FluxQueue
from .context import Context as Context
from .context import TaskMetadata as TaskMetadata
from .dependencies import Depends as Depends
from .dependencies import Shared as Shared
from .failure import Failure as Failure
from .gathering import gather_results as gather_results
from .gathering import gather_results_sync as gather_results_sync
from .handle import TaskHandle as TaskHandle
from .limits import Limit as Limit
from .middleware import Middleware as Middleware
from .progress import Progress as Progress
from .retry_errors import Reject as Reject
from .retry_errors import Retry as Retry
from .retry_errors import Snooze as Snooze
from .retry_policy import RetryPolicy as RetryPolicy
from .task import AsyncTask as AsyncTask
from .task import Task as Task
from .task_call import TaskCall as TaskCall
from .with_options import AsyncTaskWithOptions as AsyncTaskWithOptions
from .with_options import TaskWithOptions as TaskWithOptions
