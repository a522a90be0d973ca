//! What a fleet says it keeps in memory is what it keeps.

use crate::looking::{Looking, document};
use crate::sweeps::{instance, noticed};
use holdfast_cloud_sim::{SimCloud, SimConfig};
use holdfast_controller::Input;
use holdfast_model::NodeId;
use holdfast_model::user::UserCommand;

#[test]
fn every_thing_that_is_kept_counts() {
    let mut looking = Looking::new();
    looking.take(Input::Catalogue(SimCloud::new(1, SimConfig::default()).catalogue()));
    assert_eq!(looking.fleet.kept(), 0);
    looking.sweep(&[instance(None)]);
    assert_eq!(looking.fleet.kept(), 1, "an instance that was seen");
    looking.take(noticed());
    assert_eq!(looking.fleet.kept(), 2, "and a hint about it");
    let document = document("persistRootDevice");
    let id = NodeId::from("smi-00000002");
    looking.take(Input::Word(1, UserCommand::Create { id, document }));
    // That it waits counts twice: whatever it is for, and for a whole look.
    assert_eq!(looking.fleet.kept(), 2 + 1 + 2 + 1, "and a node, that it waits, and its commit");
}
