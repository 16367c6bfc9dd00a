use super::*;
use crate::binary::{FileOffset, VirtualAddress};
use crate::plan::{InstructionCost, PlannedFunction, Site, SiteKind};

const LEAF: FunctionId = FunctionId(0);
const TARGET: FunctionId = FunctionId(1);
const ONE_RET: FunctionId = FunctionId(2);

/// Where calls return to that an emulated instruction follows, an indirect jump, a RET, and
/// nothing that can be probed.
const CHEAP: VirtualAddress = VirtualAddress(0x1001);
const OTHER_CHEAP: VirtualAddress = VirtualAddress(0x1101);
const STEPPED: VirtualAddress = VirtualAddress(0x2001);
const CHAINED: VirtualAddress = VirtualAddress(0x4001);
const UNOBSERVABLE: VirtualAddress = VirtualAddress(0x3001);

fn plan() -> ProbePlan {
    let function = |name: &str, start, is_target| PlannedFunction {
        name: name.to_owned(),
        start: VirtualAddress(start),
        is_target,
    };
    let site = |kind, address| Site {
        kind,
        address: VirtualAddress(address),
        file_offset: FileOffset(address),
        cost: InstructionCost::Emulated,
    };
    ProbePlan {
        functions: vec![
            function("main.leaf", 0x10, false),
            function("main.target", 0x20, true),
            function("main.oneRet", 0x30, false),
        ],
        sites: vec![
            site(SiteKind::Entry(LEAF), 0x10),
            site(SiteKind::Return(LEAF), 0x18),
            site(SiteKind::Entry(TARGET), 0x20),
            site(SiteKind::Return(TARGET), 0x28),
            site(SiteKind::Entry(ONE_RET), 0x30),
            site(SiteKind::Return(ONE_RET), 0x30),
            site(SiteKind::Return(TARGET), CHAINED.0),
        ],
        ..ProbePlan::default()
    }
}

fn find(return_address: VirtualAddress) -> Option<ObserverSite> {
    let cost = match return_address {
        CHEAP | OTHER_CHEAP => InstructionCost::Emulated,
        STEPPED | CHAINED => InstructionCost::SingleStepped,
        _ => return None,
    };
    let caller_slot_bytes = (return_address == CHAINED).then_some(0x28);
    Some(ObserverSite {
        address: return_address,
        file_offset: FileOffset(return_address.0),
        cost,
        caller_slot_bytes,
    })
}

fn promoter(choice: PromotionChoice) -> Promoter<'static> {
    Promoter::new(choice, &plan(), Box::new(find), Box::new(|_| Vec::new()))
}

fn counts(calls: &[(FunctionId, VirtualAddress, u64)]) -> CallCounts {
    let mut counts = CallCounts::default();
    for (function, return_address, calls) in calls {
        for _ in 0..*calls {
            counts.add(*function, *return_address, 1);
        }
    }
    counts
}

/// What is done after these calls.
fn batch(promoter: &mut Promoter<'_>, calls: &[(FunctionId, VirtualAddress, u64)]) -> Batch {
    promoter.observe(&counts(calls));
    promoter.next_batch()
}

fn return_addresses(batch: &Batch) -> Vec<VirtualAddress> {
    let observers = batch.observers.iter();
    observers.map(|observer| observer.return_address).collect()
}

#[test]
fn what_is_called_often_is_promoted() {
    let mut promoter = promoter(PromotionChoice::Auto);
    assert!(batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS - 1)]).is_empty());
    // Calls count from batch to batch.
    assert!(batch(&mut promoter, &[(LEAF, CHEAP, 1)]).is_empty());
    let promoted = batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS)]);
    assert_eq!(promoted.promoted, [LEAF]);
    assert_eq!(return_addresses(&promoted), [CHEAP]);
    assert_eq!(promoted.observers[0].number, 0);
    assert!(promoter.is_promoted(LEAF));
    assert!(batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS)]).is_empty());
}

#[test]
fn calls_outside_of_trees_stand_for_many() {
    let mut promoter = promoter(PromotionChoice::Auto);
    let mut counts = CallCounts::default();
    for _ in 0..MANY_CALLS.div_ceil(u64::from(SAMPLE_ONE_OF)) {
        counts.add_sample(LEAF, CHEAP, None);
    }
    promoter.observe(&counts);
    assert_eq!(promoter.next_batch().promoted, [LEAF]);
}

#[test]
fn a_new_place_gets_its_observer_and_no_place_twice() {
    let mut promoter = promoter(PromotionChoice::Auto);
    batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS)]);
    promoter.observe(&counts(&[(LEAF, OTHER_CHEAP, 1)]));
    let new = promoter.next_batch_of_promoted();
    assert_eq!(return_addresses(&new), [OTHER_CHEAP]);
    assert_eq!(new.observers[0].number, 1);
    assert_eq!((new.promoted.len(), new.demoted.len()), (0, 0));
    promoter.observe(&counts(&[(LEAF, OTHER_CHEAP, 1)]));
    assert!(promoter.next_batch_of_promoted().is_empty());
    assert_eq!(promoter.observers(), 2);
}

#[test]
fn where_a_caller_returns_at_once_no_observer_is_needed() {
    let mut promoter = promoter(PromotionChoice::Auto);
    let promoted = batch(&mut promoter, &[(LEAF, CHAINED, MANY_CALLS)]);
    assert_eq!(promoted.promoted, [LEAF]);
    assert!(promoted.observers.is_empty());
    let chain = NewChain {
        return_address: CHAINED,
        slot_bytes: 0x28,
        caller: Some(TARGET),
    };
    assert_eq!(promoted.chains, [chain]);
    // Where the caller returns to is told when it is missed.
    promoter.observe(&counts(&[(LEAF, CHEAP, 1), (LEAF, CHAINED, 1)]));
    let new = promoter.next_batch_of_promoted();
    assert_eq!(return_addresses(&new), [CHEAP]);
    assert!(new.chains.is_empty());
    // If it is nowhere, or too far away, the function gets its RETs back.
    promoter.observe(&counts(&[(LEAF, VirtualAddress(0), 1)]));
    assert_eq!(promoter.next_batch_of_promoted().demoted, [LEAF]);
}

#[test]
fn a_function_that_calls_itself_last_is_no_chain() {
    let mut promoter = promoter(PromotionChoice::All);
    let promoted = batch(&mut promoter, &[(TARGET, CHAINED, 1)]);
    assert_eq!(return_addresses(&promoted), [CHAINED]);
    assert!(promoted.chains.is_empty());
}

#[test]
fn a_call_outside_of_trees_is_what_an_observer_of_its_caller_is_for() {
    let second = Duration::from_secs(1);
    let mut promoter = promoter(PromotionChoice::Auto);
    batch(&mut promoter, &[(LEAF, CHAINED, MANY_CALLS)]);
    promoter.observe(&counts(&[(LEAF, CHEAP, 1)]));
    promoter.next_batch_of_promoted();
    let mut counts = CallCounts::default();
    for _ in 0..MANY_IDLE_HITS {
        counts.add_idle_sample(CHEAP);
        counts.add_sample(LEAF, CHAINED, Some(CHEAP));
    }
    promoter.observe(&counts);
    assert_eq!(
        promoter.take_idle_observers(second),
        IdleObservers::default()
    );
}

#[test]
fn single_steps_instead_of_single_steps_are_not_worth_it() {
    let calls = [(LEAF, STEPPED, MANY_CALLS), (LEAF, CHEAP, MANY_CALLS)];
    assert!(batch(&mut promoter(PromotionChoice::Auto), &calls).is_empty());
    let mostly_cheap = [(LEAF, STEPPED, MANY_CALLS / 10), (LEAF, CHEAP, MANY_CALLS)];
    let promoted = batch(&mut promoter(PromotionChoice::Auto), &mostly_cheap);
    assert_eq!(return_addresses(&promoted), [CHEAP, STEPPED]);
    let promoted = batch(&mut promoter(PromotionChoice::All), &calls);
    assert_eq!(promoted.promoted, [LEAF]);
}

#[test]
fn what_cannot_be_observed_keeps_its_rets() {
    for choice in [PromotionChoice::Auto, PromotionChoice::All] {
        let mut promoter = promoter(choice);
        let calls = [(LEAF, CHEAP, MANY_CALLS), (LEAF, UNOBSERVABLE, 1)];
        assert!(batch(&mut promoter, &calls).is_empty());
        // Not even when that was long ago.
        assert!(batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS)]).is_empty());
    }
}

#[test]
fn a_promoted_function_is_given_back_for_good() {
    let mut promoter = promoter(PromotionChoice::Auto);
    batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS)]);
    let demoted = batch(&mut promoter, &[(LEAF, UNOBSERVABLE, 1)]);
    assert_eq!(demoted.demoted, [LEAF]);
    assert!(!promoter.is_promoted(LEAF));
    assert!(batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS)]).is_empty());
}

#[test]
fn what_the_kernel_refuses_is_given_back() {
    let mut promoter = promoter(PromotionChoice::Auto);
    batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS)]);
    assert_eq!(promoter.refuse(&[CHEAP]), [LEAF]);
    assert!(!promoter.is_promoted(LEAF));
    assert_eq!(promoter.refuse(&[CHEAP]), []);
}

#[test]
fn targets_and_functions_that_are_one_ret_are_left_alone() {
    let calls = [(TARGET, CHEAP, MANY_CALLS), (ONE_RET, CHEAP, MANY_CALLS)];
    assert!(batch(&mut promoter(PromotionChoice::Auto), &calls).is_empty());
    assert!(batch(&mut promoter(PromotionChoice::Off), &calls).is_empty());
    let promoted = batch(&mut promoter(PromotionChoice::All), &calls);
    assert_eq!(promoted.promoted, [TARGET]);

    // Without targets everything is one.
    let mut plan = plan();
    for function in &mut plan.functions {
        function.is_target = true;
    }
    let none = Box::new(|_| Vec::new());
    let mut promoter = Promoter::new(PromotionChoice::Auto, &plan, Box::new(find), none);
    assert_eq!(batch(&mut promoter, &calls).promoted, [TARGET]);
}

#[test]
fn functions_are_promoted_and_given_back_by_turns() {
    let mut promoter = promoter(PromotionChoice::Alternate);
    for turn in 0..3 {
        let promoted = batch(&mut promoter, &[(LEAF, CHEAP, 1)]);
        assert_eq!(promoted.promoted, [LEAF]);
        // The observer stays.
        assert_eq!(promoted.observers.len(), usize::from(turn == 0));
        assert_eq!(batch(&mut promoter, &[]).demoted, [LEAF]);
        assert!(!promoter.is_promoted(LEAF));
    }
}

#[test]
fn calls_that_may_come_are_observed_where_that_is_cheap() {
    let callers = |function| match function {
        LEAF => vec![CHEAP, OTHER_CHEAP, STEPPED, UNOBSERVABLE],
        _ => Vec::new(),
    };
    let plan = plan();
    let mut promoter = Promoter::new(
        PromotionChoice::Auto,
        &plan,
        Box::new(find),
        Box::new(callers),
    );
    let promoted = batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS)]);
    assert_eq!(promoted.promoted, [LEAF]);
    assert_eq!(return_addresses(&promoted), [CHEAP, OTHER_CHEAP]);
    // One that comes all the same is looked at like any other.
    let demoted = batch(&mut promoter, &[(LEAF, UNOBSERVABLE, 1)]);
    assert_eq!(demoted.demoted, [LEAF]);
}

/// Idle hits in a second, as samples tell.
fn idle(hits: i64, calls_outside: i64) -> CallCounts {
    let mut counts = CallCounts::default();
    for _ in 0..hits / i64::from(SAMPLE_ONE_OF) {
        counts.add_idle_sample(CHEAP);
    }
    for _ in 0..calls_outside / i64::from(SAMPLE_ONE_OF) {
        counts.add_sample(LEAF, CHEAP, None);
    }
    counts
}

#[test]
fn an_observer_that_is_reached_for_nothing_is_taken_away() {
    let second = Duration::from_secs(1);
    let mut promoter = promoter(PromotionChoice::Auto);
    batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS)]);
    // Calls outside of trees have nothing to tell, and are what the observer is for.
    promoter.observe(&idle(1_000_000, 1_000_000));
    assert_eq!(
        promoter.take_idle_observers(second),
        IdleObservers::default()
    );
    promoter.observe(&idle(MANY_IDLE_HITS, 0));
    assert_eq!(
        promoter.take_idle_observers(second),
        IdleObservers::default()
    );
    promoter.observe(&idle(MANY_IDLE_HITS * 2, 0));
    let idle = promoter.take_idle_observers(second);
    assert_eq!(idle.observers, [(0, CHEAP)]);
    assert_eq!(idle.demoted, [LEAF]);
    assert!(batch(&mut promoter, &[(LEAF, CHEAP, MANY_CALLS)]).is_empty());
}
