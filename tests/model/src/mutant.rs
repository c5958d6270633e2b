//! Protocols with one rule broken. The search must detect each of them.

/// The rule that is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// `exchange` returns the messages that it adopts, so a message arrives twice (rule 5).
    AdoptedIsHandedOut,
    /// `exchange` settles for an id that is a tombstone.
    OldIdSettles,
    /// `exchange` claims for an id that is a tombstone.
    OldIdClaims,
    /// A worker blocks before `open` has answered (rule 1).
    BlocksBeforeOpen,
    /// `sweep` grants no quiet period after a gap (rule 8).
    NoQuietPeriod,
    /// `bury` does not check that the consumer is still late.
    BuriesUnchecked,
    /// `bury` does nothing if another scheduler has stopped half-way.
    BuryDoesNotGoOn,
    /// `move` does not check that the field is still there (rule 9).
    MovesUnchecked,
    /// `open` does not turn an unknown old id into a tombstone (rule 4).
    SparesUnknownIds,
    /// `open` does not give back messages that `keep` does not name (rule 3).
    OpenGivesNothingBack,
    /// `open` deletes the old ids' inboxes without reading them.
    OpenForgetsInboxes,
    /// `open` keeps a copy of each message that it gives back.
    OpenLeavesCopies,
    /// `exchange` does not renew the lease.
    DoesNotRenew,
    /// `reclaim` counts a delivery for messages that no worker has begun.
    ReclaimRaises,
    /// Tasks begin after the local deadline (rule 7).
    BeginsPastDeadline,
    /// The local deadline counts from the reply instead of the request (rule 7).
    DeadlineFromReply,
    /// The worker does not name the messages that it keeps (rule 2).
    KeepIsMissing,
    /// The worker keeps its id after a broken connection (rule 2).
    SameIdAfterBreak,
    /// The worker repeats a broken BLMOVE in the same conversation.
    BlocksAgainAfterBreak,
    /// The worker admits a message from BLMOVE although it still holds that field.
    DoublesAreAdmitted,
    /// A suspect returns to `pending` (rule 12).
    SuspectsAmongOthers,
    /// The worker reserves a slot for a BLMOVE that is not under way (rule 6).
    ReserveWithoutBlock,
    /// A success of version 2 ends by its field alone, without `finish`.
    EndsByField,
    /// `move` ends a task that has lost its third worker without `finish`.
    MoveEndsAside,
    /// A retry frees what belongs to the task.
    RetryFrees,
    /// An end frees the lock that another task has taken since.
    FreesAnothersLock,
    /// A retry takes the lock from the task that has it now.
    RetryTakesAnothersLock,
    /// A worker begins what BLMOVE brought before an exchange has freed its lock.
    BeginsBeforeItFrees,
    /// No script moves a prioritized message to the head of `pending`.
    NoGuard,
    /// A worker that got a prioritized message by BLMOVE sends no exchange for it.
    NoPromptExchange,
    /// `promote` does not mend what a lost taker has left.
    PromoteDoesNotGuard,
    /// `exchange` takes the prioritized message at the head of `pending` before a better one.
    HeadGoesFirst,
    /// A worker that knows version 1 only drops a message of version 2.
    ForgetsNewerVersions,
    /// A message comes to the front of `pending` although a prioritized one is there (rule 16).
    FrontHidesTheHead,
    /// A worker begins a condemned message (rule 18).
    CondemnedBegin,
    /// A worker looks at the expiry when it claims a message, and not again when a slot is
    /// free (rule 19).
    BeginsExpired,
    /// `settle` does not condemn the message of a cancelled task that returns (rule 20).
    SettleIgnoresCancel,
    /// `move` does not condemn it.
    MoveIgnoresCancel,
    /// `open` does not condemn it.
    OpenIgnoresCancel,
    /// `reclaim` does not condemn it.
    ReclaimIgnoresCancel,
    /// `promote` does not condemn it.
    PromoteIgnoresCancel,
    /// `promote` condemns every due message while any task is cancelled.
    PromoteCondemnsAll,
    /// `exchange` does not name the cancelled tasks.
    ExchangeNamesNone,
    /// `exchange` forgets a cancel once it has named it.
    NamesOnce,
    /// A plain success does not forget the cancel.
    SuccessKeepsCancel,
    /// No other end forgets it.
    EndKeepsCancel,
    /// `cancel` does not look into the inboxes.
    CancelOverlooksInboxes,
    /// A scheduler forgets the cancel of a task that a worker holds.
    ForgetsHeld,
    /// The end of a cancelled task enqueues its callback.
    CancelCallsBack,
    /// `cancel` answers that a task is cancelled, and tells nothing of it to those who wait.
    CancelTellsLater,
    /// The end of a task tells what its cancel has told (rule 21).
    EndTellsAgain,
    /// The third lost worker ends a condemned task (rule 18).
    LossEndsCondemned,
    /// `move` makes the effects of a message that another scheduler has moved (rule 21).
    EffectsUnchecked,
    /// A worker keeps a result when the attempt ends, before the settling.
    EffectsAtOnce,
    /// A worker keeps a result after the settling.
    EffectsAfterReply,
    /// A snooze raises the failures.
    SnoozeCountsFailure,
    /// A drain that cuts a task off raises the failures.
    DrainCountsFailure,
    /// An outcome of an earlier attempt replaces the message of the next one (rule 22).
    OldOutcomeRewrites,
    /// A script admits a task although no place is free.
    AdmitsPastTheLimit,
    /// A script admits a task before its rate allows it.
    AdmitsBeforeItsTime,
    /// No script admits the next task when a place is free.
    FreedAdmitsNone,
    /// No scheduler looks at limits that are due.
    LooksNeverAgain,
    /// A cancelled task that waits for its limit is admitted as it is.
    AdmissionIgnoresCancel,
    /// `promote` puts a due message past its limit.
    PromotePassesTheLimit,
    /// A retry keeps the place of the attempt before.
    RetryKeepsPlace,
    /// A release keeps its place.
    ReleaseKeepsPlace,
    /// The end of a task keeps its place.
    EndKeepsPlace,
    /// `open` gives a message back and keeps its place.
    OpenKeepsPlace,
    /// A rescue keeps the place of the lost attempt.
    MoveKeepsPlace,
    /// `reclaim` keeps the place of what it returns.
    ReclaimKeepsPlace,
    /// `cancel` condemns an admitted message and keeps its place.
    CancelKeepsPlace,
    /// A message from a BLMOVE does not pay for its rate when an exchange adopts it.
    AdoptDoesNotPay,
    /// A message from a BLMOVE does not pay for its rate when `open` keeps it.
    OpenDoesNotPay,
    /// `enqueue_unique` enqueues a task although another one has its lock.
    EnqueueIgnoresLock,
    /// `enqueue_unique` replaces a task that is due or runs.
    ReplacesWhatRuns,
    /// The message of a replaced task stays in `delayed`.
    ReplacedStays,
    /// A call that debounces leaves the lock of a task that is due or runs to that task.
    DebounceLeavesLock,
    /// A script that condemns a message frees the lock of its id.
    CondemnFreesId,
    /// The end of a task frees a lock that only its time may free.
    EndFreesThrottle,
    /// `delete` ends a task that has left its place meanwhile.
    DeleteUnchecked,
    /// `delete` does not free the lock.
    DeleteKeepsLock,
    /// `requeue` enqueues a task that another call has requeued.
    RequeueUnchecked,
    /// `requeue` enqueues a task although another one has its lock.
    RequeueIgnoresLock,
    /// A requeued task has the field of its first attempt.
    RequeueKeepsField,
}

/// Every mutant.
pub const ALL: [Mutant; 84] = [
    Mutant::AdoptedIsHandedOut,
    Mutant::OldIdSettles,
    Mutant::OldIdClaims,
    Mutant::BlocksBeforeOpen,
    Mutant::NoQuietPeriod,
    Mutant::BuriesUnchecked,
    Mutant::BuryDoesNotGoOn,
    Mutant::MovesUnchecked,
    Mutant::SparesUnknownIds,
    Mutant::OpenGivesNothingBack,
    Mutant::OpenForgetsInboxes,
    Mutant::OpenLeavesCopies,
    Mutant::DoesNotRenew,
    Mutant::ReclaimRaises,
    Mutant::BeginsPastDeadline,
    Mutant::DeadlineFromReply,
    Mutant::KeepIsMissing,
    Mutant::SameIdAfterBreak,
    Mutant::BlocksAgainAfterBreak,
    Mutant::DoublesAreAdmitted,
    Mutant::SuspectsAmongOthers,
    Mutant::ReserveWithoutBlock,
    Mutant::EndsByField,
    Mutant::MoveEndsAside,
    Mutant::RetryFrees,
    Mutant::FreesAnothersLock,
    Mutant::RetryTakesAnothersLock,
    Mutant::BeginsBeforeItFrees,
    Mutant::NoGuard,
    Mutant::NoPromptExchange,
    Mutant::PromoteDoesNotGuard,
    Mutant::HeadGoesFirst,
    Mutant::ForgetsNewerVersions,
    Mutant::FrontHidesTheHead,
    Mutant::CondemnedBegin,
    Mutant::BeginsExpired,
    Mutant::SettleIgnoresCancel,
    Mutant::MoveIgnoresCancel,
    Mutant::OpenIgnoresCancel,
    Mutant::ReclaimIgnoresCancel,
    Mutant::PromoteIgnoresCancel,
    Mutant::PromoteCondemnsAll,
    Mutant::ExchangeNamesNone,
    Mutant::NamesOnce,
    Mutant::SuccessKeepsCancel,
    Mutant::EndKeepsCancel,
    Mutant::CancelOverlooksInboxes,
    Mutant::ForgetsHeld,
    Mutant::CancelCallsBack,
    Mutant::CancelTellsLater,
    Mutant::EndTellsAgain,
    Mutant::LossEndsCondemned,
    Mutant::EffectsUnchecked,
    Mutant::EffectsAtOnce,
    Mutant::EffectsAfterReply,
    Mutant::SnoozeCountsFailure,
    Mutant::DrainCountsFailure,
    Mutant::OldOutcomeRewrites,
    Mutant::AdmitsPastTheLimit,
    Mutant::AdmitsBeforeItsTime,
    Mutant::FreedAdmitsNone,
    Mutant::LooksNeverAgain,
    Mutant::AdmissionIgnoresCancel,
    Mutant::PromotePassesTheLimit,
    Mutant::RetryKeepsPlace,
    Mutant::ReleaseKeepsPlace,
    Mutant::EndKeepsPlace,
    Mutant::OpenKeepsPlace,
    Mutant::MoveKeepsPlace,
    Mutant::ReclaimKeepsPlace,
    Mutant::CancelKeepsPlace,
    Mutant::AdoptDoesNotPay,
    Mutant::OpenDoesNotPay,
    Mutant::EnqueueIgnoresLock,
    Mutant::ReplacesWhatRuns,
    Mutant::ReplacedStays,
    Mutant::DebounceLeavesLock,
    Mutant::CondemnFreesId,
    Mutant::EndFreesThrottle,
    Mutant::DeleteUnchecked,
    Mutant::DeleteKeepsLock,
    Mutant::RequeueUnchecked,
    Mutant::RequeueIgnoresLock,
    Mutant::RequeueKeepsField,
];
