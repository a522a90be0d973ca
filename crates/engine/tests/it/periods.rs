//! How long things are waited for: at EC2, and on this host.

use crate::launches::{Played, is_launch, market, running, sees};
use holdfast_engine::Tuning;
use holdfast_engine::replies::absorb;
use holdfast_model::facts::{Health, InstanceFact};
use holdfast_model::market::MarketPrice;
use holdfast_model::record::{DataHead, DataVolume, Due, Generations};
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::Deallocation;
use holdfast_model::{
    CallState, CloudError, Command, ErrorClass, Kind, Lifecycle, Market, Row, Time, VolumeId, Zone,
};
use serde_json::json;

/// How many launches the node has asked for that are not answered.
fn launching(node: &Played) -> usize {
    let Some(row) = node.row(Row::Launch) else { return 0 };
    let open = row.calls.values().filter(|call| call.state == CallState::Started);
    open.filter(|call| is_launch(&call.command)).count()
}

#[test]
fn a_market_without_room_is_asked_again_after_its_pause_and_one_without_quota_after_a_longer_one() {
    for (tuning, class, pause) in [
        (Tuning::ec2(), ErrorClass::Capacity, 3 * MINUTE),
        (Tuning::ec2(), ErrorClass::Quota, 10 * MINUTE),
        (Tuning::local(), ErrorClass::Capacity, 5 * SECOND),
        (Tuning::local(), ErrorClass::Quota, 10 * SECOND),
    ] {
        let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
        node.tuning = tuning;
        let mut document = (*node.record.document).clone();
        document["strategy"]["fallbackToOd"] = false.into();
        node.record.document = document.into();
        node.plan();
        let calls = node.row(Row::Launch).expect("it launches").calls.clone();
        let (name, call) = calls.iter().find(|(_, c)| is_launch(&c.command)).expect("a launch");
        let error = CloudError { class, code: "No".to_owned(), message: String::new() };
        assert!(absorb(&mut node.record, Row::Launch, name, &call.token, &Err(error), node.now));
        node.plan();
        let refused = node.now;
        node.now = Time(refused.0 + pause - 2);
        node.plan();
        assert_eq!(launching(&node), 0, "{class:?}: not before {pause} ms are over");
        node.plan();
        assert_eq!(launching(&node), 1, "{class:?}: as soon as {pause} ms are over");
    }
}

#[test]
fn a_shutdown_script_is_given_all_the_time_before_an_interruption_but_what_the_stop_needs() {
    for (tuning, reserve) in [(Tuning::ec2(), 15 * SECOND), (Tuning::local(), SECOND)] {
        let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
        node.tuning = tuning;
        let mut document = (*node.record.document).clone();
        document["strategy"]["drainingTimeout"] = 900.into();
        let script = "IyEvYmluL3NoCg==";
        document["compute"]["launchSpecification"]["shutdownScript"] = script.into();
        node.record.document = document.into();
        let notice = node.now.plus(120 * SECOND);
        let warned = InstanceFact { health: Health::Ok, interruption_at: Some(notice), ..seen };
        sees(&mut node, warned);
        let drain = node.row(Row::Drain).and_then(|row| row.calls.get("drain"));
        let Some(Command::Drain { timeout_ms, .. }) = drain.map(|call| &call.command) else {
            panic!("{:?}", node.record.work)
        };
        assert_eq!(node.now.plus(*timeout_ms), Time(notice.0 - reserve));
    }
}

#[test]
fn a_way_back_to_spot_is_looked_for_from_a_pause_after_the_launch_on() {
    for (tuning, pause) in [(Tuning::ec2(), 10 * MINUTE), (Tuning::local(), 10 * SECOND)] {
        let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
        node.tuning = tuning;
        let dear = Market { lifecycle: Lifecycle::OnDemand, ..market() };
        node.catalogue.prices.push(MarketPrice { market: dear.clone(), hourly_usd: 1.0 });
        let mut document = (*node.record.document).clone();
        document["strategy"]["revertToSpot"] = json!({ "performAt": "always" });
        node.record.document = document.into();
        let holder = node.record.instance.as_mut().expect("it runs");
        holder.market = dear;
        let launched = holder.launched_at;
        let lifecycle = Lifecycle::OnDemand;
        sees(&mut node, InstanceFact { lifecycle, health: Health::Ok, ..seen });
        node.now = Time(launched.0 + pause - 2);
        let planned = node.plan();
        assert!(node.record.work.is_none(), "{:?}", node.record.work);
        assert!(planned.wake.is_some_and(|wake| wake <= launched.plus(pause)));
        node.plan();
        assert_eq!(node.record.work.as_ref().map(|r| r.kind), Some(Kind::Revert));
    }
}

#[test]
fn what_a_deletion_does_not_select_is_kept_for_four_days_in_every_cloud() {
    for tuning in [Tuning::ec2(), Tuning::local()] {
        let mut node = Played::new(
            &json!({ "persistBlockDevices": true, "blockDevicesMode": "reattach" }),
            &["/dev/xvdb"],
        );
        node.tuning = tuning;
        node.record.lifecycle.delete(Deallocation::default());
        node.record.generations = Generations::at(1);
        let volume = VolumeId::from("vol-1");
        node.record.identity.data.push(DataVolume {
            device: "/dev/xvdb".to_owned(),
            head: DataHead::Volume { id: volume.clone(), zone: Zone::from("z") },
            fs_uuid: None,
            user_attached: None,
            restore: None,
        });
        node.plan();
        let kept = node.record.kept.pending_deletion.clone();
        assert_eq!(kept.len(), 1, "{:?}", node.record.work);
        assert_eq!((kept[0].id.as_str(), kept[0].due), (volume.as_str(), Due::after(96 * HOUR)));
    }
}
