//! The search detects each broken rule by the property that the rule protects. A model
//! that detected none of them would prove nothing.

use fluxqueue_model::faults::Fault;
use fluxqueue_model::mutant::{self, Mutant};
use fluxqueue_model::properties::{self, Violation};
use fluxqueue_model::scope::{Conflict, Kind, Scope};
use fluxqueue_model::search::search;

fn found_in(scope: Scope, mutant: Mutant) -> Option<Violation> {
    search(&Scope { mutant: Some(mutant), ..scope }).failure.map(|failure| failure.violation)
}

macro_rules! caught {
    ($($name:ident: $mutant:ident in $scope:expr => $violation:ident;)*) => {
        $(
            #[test]
            fn $name() {
                assert_eq!(found_in($scope, Mutant::$mutant), Some(Violation::$violation));
            }
        )*

        #[test]
        fn every_mutant_has_its_test() {
            let tested = [$(Mutant::$mutant),*];
            assert!(mutant::ALL.iter().all(|m| tested.contains(m)));
        }

        #[test]
        fn every_property_finds_a_mutant() {
            let violated = [$(Violation::$violation),*];
            assert!(properties::ALL.iter().all(|v| violated.contains(v)));
        }
    };
}

const KILL: Scope = Scope::one("kill", &[Fault::Kill]);
const STOP: Scope = Scope::one("stop", &[Fault::Stop]);
const BREAK: Scope = Scope::one("break", &[Fault::Break]);
const PRIORITIZED: Scope = Scope { faults: 0, ..Scope::prioritized("priorities", &[]) };
const LOCK_EXPIRES: Scope = Scope { workers: 1, ..Scope::locked("a lock runs out", 1, &[Fault::LockExpires]) };
const DELAYED: Scope = Scope::delayed("a lock, delayed", 0, &[]);
const OPERATED: Scope = Scope::operated("an operator", 0, &[]);
const OPERATED_BREAK: Scope =
    Scope { tasks: [Kind::MayDie, Kind::Good], ..Scope::operated("an operator, broken", 1, &[Fault::Break]) };
const CANCELLED: Scope = Scope { faults: 0, ..Scope::cancelled("cancelled", &[]) };
const CANCELLED_KILL: Scope = Scope::cancelled("cancelled, killed", &[Fault::Kill]);
const CANCELLED_BREAK: Scope = Scope::cancelled("cancelled, broken", &[Fault::Break]);
const CANCELLED_POISON: Scope = Scope { tasks: [Kind::Good, Kind::Poison], cancels: [false, true], ..CANCELLED_KILL };
const SNOOZING: Scope = Scope { faults: 0, ..Scope::snoozing("snoozing", &[]) };
const EXPIRING: Scope = Scope { faults: 0, ..Scope::expiring("expiring", &[]) };
const LIMITED: Scope = Scope { faults: 0, ..Scope::limited("limited", &[]) };
const LIMITED_KILL: Scope = Scope::limited("limited, killed", &[Fault::Kill]);
const LIMITED_BREAK: Scope = Scope::limited("limited, broken", &[Fault::Break]);
const RATE: Scope = Scope { faults: 0, ..Scope::with_rate("rate", &[]) };
const RATE_BREAK: Scope = Scope::with_rate("rate, broken", &[Fault::Break]);
const RESTART: Scope = Scope::one("restart", &[Fault::Restart]);

caught! {
    an_adopted_message_is_handed_out_twice: AdoptedIsHandedOut in Scope::SMALL => RunTwiceWithoutCause;
    an_old_id_settles: OldIdSettles in STOP => SettledWhatItLost;
    an_old_id_claims: OldIdClaims in BREAK => CountedTwice;
    blmove_before_open: BlocksBeforeOpen in BREAK => NeverEnds;
    no_quiet_period_after_a_gap: NoQuietPeriod in RESTART => HealthyWorkerRescued;
    bury_does_not_look_again: BuriesUnchecked in STOP => HealthyWorkerRescued;
    bury_does_not_go_on: BuryDoesNotGoOn in KILL => NeverEnds;
    move_does_not_look_again: MovesUnchecked in Scope { schedulers: 2, ..KILL } => CountedTwice;
    unknown_ids_are_spared: SparesUnknownIds in Scope { faults: 2, workers: 1, ..BREAK } => LeftOverConsumer;
    open_gives_nothing_back: OpenGivesNothingBack in BREAK => LeftOverConsumer;
    open_forgets_inboxes: OpenForgetsInboxes in BREAK => Lost;
    open_leaves_copies: OpenLeavesCopies in BREAK => InTwoPlaces;
    exchange_does_not_renew: DoesNotRenew in Scope::SMALL => HealthyWorkerRescued;
    reclaim_raises: ReclaimRaises in KILL => CountedTwice;
    tasks_begin_past_the_deadline: BeginsPastDeadline in STOP => RunTwiceWithoutCause;
    the_deadline_counts_from_the_reply: DeadlineFromReply in STOP => RunTwiceWithoutCause;
    keep_is_missing: KeepIsMissing in BREAK => RunTwiceWithoutCause;
    the_same_id_after_a_break: SameIdAfterBreak in BREAK => RunTwiceWithoutCause;
    a_blmove_again_in_the_same_conversation: BlocksAgainAfterBreak in BREAK => NeverEnds;
    doubles_are_admitted: DoublesAreAdmitted in Scope { ahead: 2, ..Scope::SMALL } => NeverEnds;
    suspects_among_others: SuspectsAmongOthers in Scope::POISON => InnocentCondemned;
    a_reserve_without_a_blmove: ReserveWithoutBlock in Scope::SMALL => WakeUpLost;
    version_2_ends_by_its_field: EndsByField in Scope { version2: [true; 2], ..Scope::SMALL } => LeftBehind;
    move_ends_a_task_aside: MoveEndsAside in Scope { version2: [true; 2], ..Scope::POISON } => LeftBehind;
    a_retry_frees: RetryFrees in Scope { version2: [true; 2], tasks: [Kind::Good, Kind::MayFail], ..Scope::SMALL } => FreedTooSoon;
    an_end_frees_the_lock_of_another: FreesAnothersLock in LOCK_EXPIRES => FreedTooSoon;
    a_retry_takes_the_lock_of_another: RetryTakesAnothersLock in LOCK_EXPIRES => FreedTooSoon;
    a_task_begins_before_its_lock_is_free: BeginsBeforeItFrees in Scope { until_start: true, ..Scope::locked("until the start", 0, &[]) } => HeldPastStart;
    a_call_ignores_the_lock: EnqueueIgnoresLock in Scope::locked("a lock", 0, &[]) => LockShared;
    a_call_replaces_a_task_that_runs: ReplacesWhatRuns in Scope { conflict: Conflict::Replace, ..DELAYED } => InTwoPlaces;
    a_replaced_message_stays: ReplacedStays in Scope { conflict: Conflict::Replace, ..DELAYED } => InTwoPlaces;
    a_debounce_leaves_the_lock: DebounceLeavesLock in Scope { conflict: Conflict::Debounce, ..DELAYED } => FreedTooSoon;
    a_condemned_message_frees_its_id: CondemnFreesId in Scope { same_id: true, ..CANCELLED } => IdShared;
    an_end_frees_the_lock_of_a_throttled_call: EndFreesThrottle in Scope { throttles: true, ..Scope::SMALL } => ThrottleBroken;
    a_delete_of_a_message_that_is_gone: DeleteUnchecked in OPERATED => InTwoPlaces;
    a_delete_keeps_the_lock: DeleteKeepsLock in OPERATED => LeftBehind;
    a_second_requeue: RequeueUnchecked in OPERATED => InTwoPlaces;
    a_requeue_ignores_the_lock: RequeueIgnoresLock in OPERATED => LockShared;
    a_requeued_task_has_its_old_field: RequeueKeepsField in OPERATED_BREAK => SettledWhatItLost;
    no_guard: NoGuard in PRIORITIZED => IdleBesidePrioritized;
    no_exchange_after_a_prioritized_blmove: NoPromptExchange in PRIORITIZED => IdleBesidePrioritized;
    promote_does_not_mend_the_guard: PromoteDoesNotGuard in Scope { faults: 1, kinds: &[Fault::Kill], ..PRIORITIZED } => IdleBesidePrioritized;
    the_head_of_pending_goes_first: HeadGoesFirst in PRIORITIZED => PriorityInverted;
    newer_versions_are_forgotten: ForgetsNewerVersions in Scope { version2: [true; 2], older_worker: true, ..Scope::SMALL } => Lost;
    a_front_hides_the_prioritized_head: FrontHidesTheHead in Scope { cancels: [true; 2], priorities: [0, 5], ..PRIORITIZED } => PriorityInverted;
    a_condemned_task_begins: CondemnedBegin in CANCELLED => CondemnedBegun;
    an_expired_task_begins: BeginsExpired in EXPIRING => BegunAfterExpiry;
    settle_ignores_a_cancel: SettleIgnoresCancel in CANCELLED => CancelledWaits;
    move_ignores_a_cancel: MoveIgnoresCancel in CANCELLED_KILL => CancelledWaits;
    open_ignores_a_cancel: OpenIgnoresCancel in CANCELLED_BREAK => CancelledWaits;
    reclaim_ignores_a_cancel: ReclaimIgnoresCancel in CANCELLED_BREAK => CancelledWaits;
    promote_ignores_a_cancel: PromoteIgnoresCancel in Scope { workers: 2, has_long_lists: true, ..CANCELLED } => CancelledWaits;
    promote_condemns_all: PromoteCondemnsAll in Scope { workers: 2, ..CANCELLED } => EndedWithoutCause;
    an_exchange_names_no_cancelled_task: ExchangeNamesNone in CANCELLED => NeverEnds;
    an_exchange_names_a_cancelled_task_once: NamesOnce in CANCELLED => CancelForgotten;
    a_success_keeps_the_cancel: SuccessKeepsCancel in CANCELLED => CancelLeftBehind;
    an_end_keeps_the_cancel: EndKeepsCancel in CANCELLED => CancelLeftBehind;
    cancel_overlooks_inboxes: CancelOverlooksInboxes in CANCELLED => WrongAnswer;
    a_scheduler_forgets_a_cancel: ForgetsHeld in CANCELLED => CancelForgotten;
    a_cancel_calls_back: CancelCallsBack in CANCELLED => EffectTwice;
    a_cancel_tells_later: CancelTellsLater in CANCELLED => EffectMissing;
    an_end_tells_what_its_cancel_has_told: EndTellsAgain in CANCELLED => EffectTwice;
    a_loss_ends_a_condemned_task: LossEndsCondemned in CANCELLED_POISON => EffectMissing;
    effects_of_a_message_that_is_gone: EffectsUnchecked in Scope { schedulers: 2, ..Scope::POISON } => EffectTwice;
    effects_before_the_settling: EffectsAtOnce in Scope::SMALL => EffectBeforeEnd;
    effects_after_the_settling: EffectsAfterReply in Scope::SMALL => EffectMissing;
    a_snooze_counts_as_a_failure: SnoozeCountsFailure in SNOOZING => CountedAsFailure;
    a_drain_counts_as_a_failure: DrainCountsFailure in Scope::one("drain", &[Fault::Drain]) => CountedAsFailure;
    an_old_outcome_replaces_a_message: OldOutcomeRewrites in Scope::snoozing("snoozing, broken", &[Fault::Break]) => CountedAsFailure;
    a_task_is_admitted_past_the_limit: AdmitsPastTheLimit in LIMITED => LimitExceeded;
    a_task_is_admitted_before_its_time: AdmitsBeforeItsTime in RATE => RateExceeded;
    a_free_place_admits_none: FreedAdmitsNone in LIMITED => AdmittedByNone;
    limits_that_are_due_are_left_alone: LooksNeverAgain in RATE => NeverEnds;
    an_admission_ignores_a_cancel: AdmissionIgnoresCancel in Scope { cancels: [true; 2], has_long_lists: true, ..LIMITED } => CancelledWaits;
    promote_passes_the_limit: PromotePassesTheLimit in LIMITED => PlacesDiffer;
    a_retry_keeps_the_place: RetryKeepsPlace in LIMITED => PlacesDiffer;
    a_release_keeps_the_place: ReleaseKeepsPlace in Scope { slots: 1, ahead: 2, workers: 1, ..Scope::limited("limited, drained", &[Fault::Drain]) } => PlacesDiffer;
    an_end_keeps_the_place: EndKeepsPlace in LIMITED => PlacesDiffer;
    open_keeps_the_place: OpenKeepsPlace in LIMITED_BREAK => PlacesDiffer;
    a_rescue_keeps_the_place: MoveKeepsPlace in LIMITED_KILL => PlacesDiffer;
    reclaim_keeps_the_place: ReclaimKeepsPlace in LIMITED_BREAK => PlacesDiffer;
    cancel_keeps_the_place: CancelKeepsPlace in Scope { cancels: [true; 2], ..LIMITED } => PlacesDiffer;
    a_blmove_does_not_pay: AdoptDoesNotPay in RATE => RateExceeded;
    open_does_not_pay: OpenDoesNotPay in RATE_BREAK => RateExceeded;
}
