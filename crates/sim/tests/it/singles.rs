//! Every single fault at every deed of the controller, for every kind of replacement in every shape
//! with a name. The simulation is copied at the deed, so that nothing is prepared twice.

use holdfast_model::Kind;
use holdfast_sim::exhaustive::{Course, Pair, Play, SHAPES, walk};

const SEED: u64 = 23;

/// Lets every fault happen at every deed of a course in each shape in which it can be brought about.
fn survives_every_fault(course: Course) {
    let mut shapes = 0;
    for (shape, of) in SHAPES.into_iter().filter(|(_, of)| course.can_be(*of).is_ok()) {
        let name = course.name();
        let mut play = Play::prepare(SEED, course, of).expect("prepared");
        play.trigger().expect("brought about");
        let clean = play.clone().finish();
        assert!(clean.is_empty(), "{name}/{shape} without any fault: {clean:?}");
        let mut failed = Vec::new();
        let count = walk::singles(play, |first, fork, broken| {
            if let Some(first_broken) = broken.first() {
                let pair = Pair { course, shape, first, second: None };
                if failed.is_empty() {
                    failed.push(fork.sim.told());
                }
                failed.push(format!("{pair}: {first_broken}"));
            }
        });
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        // A deletion is taken back by one commit.
        assert!(count.distinct >= 4, "{name}/{shape}: {count:?}");
        shapes += 1;
    }
    assert!(shapes > 0, "{} cannot be brought about", course.name());
}

#[test]
fn a_creation_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Create));
}

#[test]
fn a_notice_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Notice));
}

#[test]
fn a_sudden_loss_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Lost));
}

#[test]
fn the_replacement_of_an_unhealthy_instance_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Unhealthy));
}

#[test]
fn a_recycle_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Recycle));
}

#[test]
fn a_return_to_spot_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Revert));
}

#[test]
fn a_rollback_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Rollback));
}

#[test]
fn a_pause_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Pause));
}

#[test]
fn a_resume_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Resume));
}

#[test]
fn a_deletion_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Delete));
}

#[test]
fn tidying_up_survives_every_single_fault() {
    survives_every_fault(Course::Of(Kind::Tidy));
}

#[test]
fn a_deletion_that_is_taken_back_survives_every_single_fault() {
    survives_every_fault(Course::Undelete);
}

#[test]
fn letting_an_instance_go_survives_every_single_fault() {
    survives_every_fault(Course::LetGo);
}
