use crate::scene::{LIGHT, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_model::Kind;
use holdfast_sim::{Crash, Side};

/// Kills the controller before and after every effect of one replacement, one run for each.
fn dies_everywhere(kind: Kind, shape: Shape) {
    let seed = 11;
    let mut clean = Scene::prepare(kind, seed, shape);
    let (first, before) = (clean.sim.effects + 1, clean.generation());
    clean.trigger(kind, shape);
    clean.wait_for_end(kind, before);
    let last = clean.sim.effects;
    assert!(last >= first, "{kind:?} has effects");
    for effect in first..=last {
        for side in [Side::Before, Side::After] {
            let mut scene = Scene::prepare(kind, seed, shape);
            scene.sim.crash = Some(Crash { effect, side });
            let before = scene.generation();
            scene.trigger(kind, shape);
            if kind == Kind::Create {
                // A creation whose answer was never heard is asked for again, as its user would.
                scene.sim.run_for(10_000);
                if scene.sim.record(&scene.node).is_none() {
                    scene.create(shape);
                }
            }
            if matches!(
                kind,
                Kind::Recycle | Kind::Rollback | Kind::Pause | Kind::Resume | Kind::Delete
            ) {
                scene.sim.run_for(10_000);
                let heard = scene.sim.record(&scene.node).is_none_or(|r| {
                    r.replacements > clean_replacements(&clean, kind)
                        || r.replacement.is_some()
                        || r.recycle_wanted
                        || r.rollback.is_some()
                });
                if !heard {
                    scene.trigger(kind, shape);
                }
            }
            scene.wait_for_end(kind, before);
            assert_eq!(scene.sim.deaths, 1, "{kind:?}: it died at {side:?} {effect}");
            scene.judge(kind);
        }
    }
}

/// How many replacements a node has had before this one.
fn clean_replacements(clean: &Scene, kind: Kind) -> u64 {
    match (kind, clean.sim.record(&clean.node)) {
        (Kind::Resume | Kind::Rollback, _) => 2,
        _ => 1,
    }
}

#[test]
fn a_creation_survives_the_controllers_death_anywhere() {
    dies_everywhere(Kind::Create, WHOLE);
}

#[test]
fn an_interruption_with_notice_survives_the_controllers_death_anywhere() {
    dies_everywhere(Kind::Notice, WHOLE);
}

#[test]
fn a_sudden_loss_survives_the_controllers_death_anywhere() {
    dies_everywhere(Kind::Lost, WHOLE);
}

#[test]
fn a_return_to_spot_survives_the_controllers_death_anywhere() {
    dies_everywhere(Kind::Revert, WHOLE);
}

#[test]
fn an_unhealthy_instance_is_replaced_whatever_kills_the_controller() {
    dies_everywhere(Kind::Unhealthy, WHOLE);
}

#[test]
fn a_recycle_survives_the_controllers_death_anywhere() {
    dies_everywhere(Kind::Recycle, SNAPSHOTS);
}

#[test]
fn an_instance_that_stands_by_survives_the_controllers_death_anywhere() {
    for kind in [Kind::Notice, Kind::Recycle, Kind::Revert] {
        dies_everywhere(kind, LIGHT);
    }
}

#[test]
fn a_rollback_survives_the_controllers_death_anywhere() {
    dies_everywhere(Kind::Rollback, SNAPSHOTS);
}

#[test]
fn a_pause_survives_the_controllers_death_anywhere() {
    dies_everywhere(Kind::Pause, SNAPSHOTS);
}

#[test]
fn a_resume_survives_the_controllers_death_anywhere() {
    dies_everywhere(Kind::Resume, SNAPSHOTS);
}

#[test]
fn a_deletion_survives_the_controllers_death_anywhere() {
    dies_everywhere(Kind::Delete, SNAPSHOTS);
}
