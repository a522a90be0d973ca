//! What is set for markets is remembered, and refuses launches as EC2 does.

use super::*;
use holdfast_cloud_local::{LocalError, MarketView};

fn shown(cloud: &LocalCloud, market: &Market) -> MarketView {
    cloud.markets().unwrap().into_iter().find(|v| &v.market == market).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_and_quota_refuse_what_is_more_and_outlive_the_server() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let market = market("local-1a");
    let usual = shown(&cloud, &market);
    assert!(!usual.is_changed());
    let change =
        MarketChange { capacity: Some(Some(1)), quota: Some(Some(2)), hourly_usd: Some(Some(0.5)) };
    cloud.change_markets(&[(market.clone(), change)]).unwrap();
    drop(cloud);

    let cloud = scratch.open();
    let set = shown(&cloud, &market);
    assert_eq!((set.capacity, set.quota, set.hourly_usd), (Some(1), Some(2), 0.5));
    assert!(set.is_changed());
    let offered = cloud.catalogue().await.unwrap();
    assert_eq!(offered.price(&market), Some(0.5), "what the controller sees");
    let first = run(&cloud, launch("m1", None, None)).await;
    let more = || Command::RunInstances(Box::new(launch("m2", None, None)));
    let refused = one(&cloud, more()).await.unwrap_err();
    assert_eq!(refused.code, "InsufficientInstanceCapacity");
    assert!(refused.message.contains("1 of 1 run"), "{refused}");

    let change = MarketChange { quota: Some(Some(1)), ..MarketChange::capacity(None) };
    cloud.change_markets(&[(market.clone(), change)]).unwrap();
    let refused = one(&cloud, more()).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Quota);
    assert_eq!(refused.code, "MaxSpotInstanceCountExceeded");

    // Less than what runs: it runs on, and the newest is the one for which there is no room.
    let open = MarketChange { quota: Some(None), ..MarketChange::default() };
    cloud.change_markets(&[(market.clone(), open)]).unwrap();
    let second = run(&cloud, launch("m2", None, None)).await;
    let change = MarketChange::capacity(Some(1));
    let views = cloud.change_markets(&[(market.clone(), change)]).unwrap();
    assert_eq!(views[0].instances, [first.id.clone(), second.id.clone()]);
    assert_eq!(views[0].beyond_capacity(), std::slice::from_ref(&second.id));
    assert_eq!(instance(&cloud, &second.id).await.state, InstanceState::Running);

    let all = MarketChange { capacity: Some(None), quota: Some(None), hourly_usd: Some(None) };
    let views = cloud.change_markets(&[(market.clone(), all)]).unwrap();
    assert_eq!(views[0].hourly_usd, usual.hourly_usd);
    assert!(!views[0].is_changed());
    terminate(&cloud, &first.id).await;
    terminate(&cloud, &second.id).await;
}

#[test]
fn a_market_that_does_not_exist_is_refused_and_nothing_is_set() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let good = (market("local-1a"), MarketChange::capacity(Some(0)));
    let mut huge = market("local-1a");
    huge.instance_type = "t9.huge".to_owned();
    let free = MarketChange { hourly_usd: Some(Some(0.0)), ..MarketChange::default() };
    let wrong = [
        ((huge, MarketChange::default()), "t3.nano"),
        ((market("local-1x"), MarketChange::default()), "local-1b"),
        ((market("local-1a"), free), "above 0"),
    ];
    for (change, expected) in wrong {
        match cloud.change_markets(&[good.clone(), change]) {
            Err(LocalError::Refused(e)) => assert!(e.message.contains(expected), "{e}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(cloud.markets().unwrap().iter().all(|v| !v.is_changed()));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_subnet_is_offered_with_its_addresses_and_gives_those_and_no_others() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let offered = cloud.catalogue().await.unwrap();
    for (third, zone) in (1..).zip(["local-1a", "local-1b", "local-1c"]) {
        let subnet = offered.subnet(&subnet_of(zone)).unwrap();
        assert_eq!(subnet.cidr.unwrap().to_string(), format!("10.77.{third}.0/24"));
        for (nth, address) in ["10.77.2.77", "10.77.2.3", "10.77.1.4"].into_iter().enumerate() {
            let command = Command::CreateNetworkInterface {
                token: Token(format!("{zone}-{nth}")),
                subnet: subnet.id.clone(),
                private_ip: Some(address.to_owned()),
                groups: Vec::new(),
                tags: node_tags("interface"),
            };
            let given = one(&cloud, command).await.is_ok();
            assert_eq!(given, subnet.may_assign(address), "{address} in {zone}");
        }
    }
}
