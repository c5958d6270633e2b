//! Protocols with one rule broken. The search must find each of them out.

/// What is done wrongly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// `exchange` returns what it adopts: one message comes by two ways (rule 5).
    AdoptedIsHandedOut,
    /// `exchange` settles for an id that is a tombstone.
    OldIdSettles,
    /// `exchange` claims for an id that is a tombstone.
    OldIdClaims,
    /// A worker blocks before `open` has answered (rule 1).
    BlocksBeforeOpen,
    /// `sweep` grants no quiet period after a gap (rule 8).
    NoQuietPeriod,
    /// `bury` does not look whether the consumer is still late.
    BuriesUnchecked,
    /// `bury` does nothing where another scheduler has stopped half-way.
    BuryDoesNotGoOn,
    /// `move` does not look whether the field is still there (rule 9).
    MovesUnchecked,
    /// `open` makes no tombstone of an old id that it does not know (rule 4).
    SparesUnknownIds,
    /// `open` leaves with the old ids what `keep` does not name (rule 3).
    OpenGivesNothingBack,
    /// `open` deletes the inboxes of the old ids unread.
    OpenForgetsInboxes,
    /// `open` deletes nothing of what it gives back.
    OpenLeavesCopies,
    /// `exchange` does not renew the lease.
    DoesNotRenew,
    /// `reclaim` raises the deliveries of what nobody has begun.
    ReclaimRaises,
    /// Tasks begin whatever the local deadline says (rule 7).
    BeginsPastDeadline,
    /// The local deadline counts from the reply, not from the sending (rule 7).
    DeadlineFromReply,
    /// The worker names nothing that it keeps.
    KeepIsMissing,
    /// After a break the worker goes on under the same id.
    SameIdAfterBreak,
    /// A broken BLMOVE is sent again in the same conversation.
    BlocksAgainAfterBreak,
    /// What a BLMOVE brings is admitted although its field is held still.
    DoublesAreAdmitted,
    /// A suspect goes to `pending`, among the others (rule 12).
    SuspectsAmongOthers,
    /// The slot kept for a BLMOVE is kept when there is none (rule 6).
    ReserveWithoutBlock,
    /// A success of version 2 ends by its field alone, without `finish`.
    EndsByField,
    /// `move` ends a task that has lost its third worker without `finish`.
    MoveEndsAside,
    /// A retry frees what belongs to the task.
    RetryFrees,
    /// A worker that knows version 1 only drops a message of version 2.
    ForgetsNewerVersions,
}

/// All of them.
pub const ALL: [Mutant; 26] = [
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
    Mutant::ForgetsNewerVersions,
];
