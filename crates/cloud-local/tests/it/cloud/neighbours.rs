//! Who has talked to an address finds its next holder.

use super::*;

async fn address(cloud: &LocalCloud, node: &InstanceFact) -> (String, String) {
    match look(cloud, node.interface.as_ref().unwrap().as_str()).await {
        Some(Fact::Interface(i)) => (i.private_ip.clone(), i.mac.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_the_same_mac_at_its_next_holder_so_that_no_neighbour_asks_in_vain() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let first = run(&cloud, launch("a1", None, None)).await;
    let before = address(&cloud, &first).await;
    terminate(&cloud, &first.id).await;
    let second = run(&cloud, launch("a2", None, None)).await;
    assert_eq!(address(&cloud, &second).await, before, "the address is free, and used again");
    let third = run(&cloud, launch("a3", None, None)).await;
    let other = address(&cloud, &third).await;
    assert!(other.0 != before.0 && other.1 != before.1, "{other:?}");
    terminate(&cloud, &second.id).await;
    terminate(&cloud, &third.id).await;
}
