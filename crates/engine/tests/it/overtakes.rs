//! What a row reports, where no history of the simulation comes to it.

use crate::launches::Played;
use holdfast_model::Row;
use holdfast_model::record::RootHead;
use serde_json::json;

#[test]
fn a_launch_whose_record_has_lost_its_market_chooses_one_again() {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    node.plan();
    let replacement = node.record.work.as_mut().expect("it is created");
    assert!(replacement.market.take().is_some() && replacement.is_done(Row::Place));
    replacement.rows.remove(&Row::Launch);
    node.record.identity.root = RootHead::Fresh;
    node.plan();
    let market = node.record.work.as_ref().and_then(|r| r.market.as_ref());
    assert!(market.is_some() && !node.open(Row::Launch).is_empty(), "{:?}", node.record);
}
