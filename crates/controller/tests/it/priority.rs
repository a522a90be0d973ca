use holdfast_controller::fleet::priority::Priority;
use holdfast_model::{Kind, Row};

#[test]
fn whoever_lost_an_instance_goes_before_users_healing_and_what_would_only_be_better() {
    let of = |kind| Priority::of(kind, Row::Launch);
    assert!(of(Kind::Lost) == of(Kind::Notice));
    assert!(of(Kind::Lost) < of(Kind::Recycle));
    assert!(of(Kind::Recycle) == of(Kind::Create) && of(Kind::Recycle) == of(Kind::Resume));
    assert!(of(Kind::Recycle) < of(Kind::Unhealthy));
    assert!(Priority::of(Kind::Unhealthy, Row::Stop) < Priority::of(Kind::Revert, Row::Probe));
}

#[test]
fn tidying_up_goes_last_unless_the_user_gives_up_the_node() {
    for kind in [Kind::Lost, Kind::Recycle, Kind::Revert, Kind::Unhealthy] {
        assert_eq!(Priority::of(kind, Row::Retire), Priority::Backup);
    }
    assert!(Priority::of(Kind::Revert, Row::Probe) < Priority::of(Kind::Tidy, Row::Retire));
    assert_eq!(Priority::of(Kind::Delete, Row::Retire), Priority::User);
}

#[test]
fn once_an_instance_is_given_up_its_node_waits_like_one_that_lost_it() {
    assert_eq!(Priority::of(Kind::Revert, Row::Drain), Priority::Optimising);
    for row in [Row::Stop, Row::Fence, Row::Capture, Row::Launch, Row::Attach, Row::Ready] {
        assert_eq!(Priority::of(Kind::Revert, row), Priority::Interrupted, "{row:?}");
    }
}
