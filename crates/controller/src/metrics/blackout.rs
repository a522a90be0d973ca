//! How long a node was away, as its record tells.

use holdfast_model::replacement::Finished;
use holdfast_model::{Kind, Row, Time};

/// How long the replacement that stands last in a history kept its node away, in milliseconds; `None`
/// if that is not over, or nobody was kept waiting by it. What came to nothing just before belongs to it.
pub(crate) fn of_last(history: &[Finished]) -> Option<u64> {
    let (last, before) = history.split_last()?;
    let back = last.rows.iter().find(|(row, ..)| *row == Row::Ready)?.2?;
    let mut began = gone_since(last).filter(|_| last.completed)?;
    for earlier in before.iter().rev().take_while(|f| !f.completed) {
        began = gone_since(earlier).map_or(began, |since| since.min(began));
    }
    Some(back.since(began))
}

/// Since when nothing served, because of this replacement.
fn gone_since(finished: &Finished) -> Option<Time> {
    let stop = finished.rows.iter().find(|(row, ..)| *row == Row::Stop).map(|(_, since, _)| *since);
    match finished.kind {
        Kind::Lost => Some(finished.started_at),
        Kind::Notice | Kind::Unhealthy | Kind::Recycle | Kind::Revert | Kind::Rollback => stop,
        Kind::Create | Kind::Pause | Kind::Resume | Kind::Delete | Kind::Tidy => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(kind: Kind, at: u64, stop: u64, ready: Option<u64>) -> Finished {
        Finished {
            number: 1,
            kind,
            reason: String::new(),
            started_at: Time(at),
            finished_at: Time(stop + 1_000),
            from_generation: Some(1),
            to_generation: Some(2),
            market: None,
            rows: vec![
                (Row::Stop, Time(stop), Some(Time(stop + 1))),
                (Row::Ready, Time(stop + 2), ready.map(Time)),
            ],
            completed: ready.is_some(),
            lost_again: ready.is_none(),
        }
    }

    #[test]
    fn a_node_is_away_from_its_stop_or_its_loss_until_it_is_healthy() {
        assert_eq!(of_last(&[finished(Kind::Recycle, 10, 30, Some(130))]), Some(100));
        assert_eq!(of_last(&[finished(Kind::Lost, 10, 30, Some(130))]), Some(120));
        assert_eq!(of_last(&[finished(Kind::Resume, 10, 30, Some(130))]), None);
        assert_eq!(of_last(&[finished(Kind::Lost, 10, 30, None)]), None);
        assert_eq!(of_last(&[]), None);
    }

    #[test]
    fn what_came_to_nothing_before_belongs_to_it_and_what_was_completed_does_not() {
        let done = finished(Kind::Recycle, 1, 2, Some(3));
        let failed = finished(Kind::Recycle, 10, 30, None);
        let last = finished(Kind::Lost, 50, 60, Some(130));
        assert_eq!(of_last(&[done, failed, last]), Some(100));
    }
}
