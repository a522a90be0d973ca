use holdfast_controller::fleet::brake::Brake;
use holdfast_model::replacement::{Finished, Replacement};
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::{Kind, NodeId, Record, Time};

fn record(node: usize) -> Record {
    Record::new(NodeId(format!("smi-{node:08x}")), serde_json::json!({}), Time(0))
}

fn begun(node: usize, kind: Kind, at: Time) -> Record {
    let mut record = record(node);
    record.memory.replacements = 1;
    record.work = Some(Replacement::begin(&record, kind, String::new(), at));
    record
}

fn ended(node: usize, kind: Kind, at: Time) -> Record {
    let mut record = record(node);
    record.memory.history.push(Finished {
        number: 1,
        kind,
        reason: String::new(),
        started_at: at,
        finished_at: at.plus(MINUTE),
        from_generation: Some(1),
        to_generation: Some(2),
        market: None,
        rows: Vec::new(),
        completed: true,
        lost_again: false,
    });
    record
}

#[test]
fn so_many_in_an_hour_and_the_next_when_the_oldest_is_an_hour_old() {
    let mut brake = Brake::new(3);
    for node in 0..3 {
        let now = Time(node as u64 * MINUTE);
        assert_eq!(brake.next(now), Time(0), "at once");
        brake.follow(&record(node), Some(&begun(node, Kind::Revert, now)));
    }
    let now = Time(10 * MINUTE);
    assert_eq!(brake.next(now), Time(HOUR));
    brake.pass(Time(HOUR - 1));
    assert_eq!(brake.begun(), 3);
    brake.pass(Time(HOUR));
    assert_eq!((brake.begun(), brake.next(Time(HOUR))), (2, Time(0)));
}

#[test]
fn what_was_taken_away_and_what_a_user_orders_does_not_count() {
    let mut brake = Brake::new(1);
    for kind in [Kind::Notice, Kind::Lost, Kind::Recycle, Kind::Rollback, Kind::Unhealthy] {
        brake.follow(&record(1), Some(&begun(1, kind, Time(5))));
        brake.load(&ended(2, kind, Time(5)), Time(6));
    }
    assert_eq!((brake.begun(), brake.next(Time(6))), (0, Time(0)));
}

#[test]
fn what_came_to_nothing_before_anything_was_given_up_gives_its_place_back() {
    let mut brake = Brake::new(1);
    let probing = begun(1, Kind::Revert, Time(5));
    brake.follow(&record(1), Some(&probing));
    assert_eq!(brake.next(Time(6)), Time(5 + HOUR));
    // It ended without a trace in the history.
    brake.follow(&probing, Some(&record(1)));
    assert_eq!(brake.next(Time(6)), Time(0));
    brake.follow(&record(1), Some(&probing));
    brake.follow(&probing, Some(&ended(1, Kind::Revert, Time(5))));
    assert_eq!(brake.next(Time(6)), Time(5 + HOUR), "one that was carried out counts");
}

#[test]
fn a_restart_forgets_nothing_and_a_limit_of_none_is_none() {
    let mut brake = Brake::new(2);
    brake.load(&ended(1, Kind::Revert, Time(5)), Time(HOUR));
    brake.load(&begun(2, Kind::Revert, Time(6)), Time(HOUR));
    brake.load(&ended(3, Kind::Revert, Time(5)), Time(3 * HOUR));
    assert_eq!((brake.begun(), brake.next(Time(HOUR))), (2, Time(5 + HOUR)));
    assert!(Brake::new(0).next(Time(7)) > Time(7));
}
