use holdfast_cloud::conformance::{Subject, run};
use holdfast_cloud_sim::config::{IMAGE, SimConfig, market};
use holdfast_cloud_sim::{SimCloud, SimCloudHandle};
use holdfast_model::{ImageId, Lifecycle};
use std::sync::Arc;

/// How much time the suite lets pass between two looks, in milliseconds.
const STEP: u64 = 250;

fn conforms(seed: u64, config: SimConfig) {
    let handle = SimCloudHandle::new(SimCloud::new(seed, config));
    let (interrupting, limiting, passing) = (handle.clone(), handle.clone(), handle.clone());
    let allocating = handle.clone();
    let subject = Subject {
        cloud: Arc::new(handle),
        market: market("m5.large", "sim-1a", Lifecycle::Spot),
        elsewhere: market("m5.large", "sim-1b", Lifecycle::Spot),
        image: ImageId::from(IMAGE),
        interrupt: Box::new(move |id| {
            interrupting.with(|cloud, now| cloud.interrupt(now, &id, None));
            Box::pin(async {})
        }),
        set_capacity: Box::new(move |market, has| {
            limiting.with(|cloud, _| cloud.set_capacity(&market, if has { None } else { Some(0) }));
            Box::pin(async {})
        }),
        allocate_address: Box::new(move || {
            match allocating.with(|cloud, now| cloud.allocate_address(now)) {
                Some(address) => Box::pin(async { address }),
                None => panic!("no address is left"),
            }
        }),
        pass_time: Box::new(move || {
            passing.pass(STEP);
            Box::pin(async {})
        }),
    };
    match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime.block_on(run(&subject)),
        Err(e) => panic!("no runtime: {e}"),
    }
}

#[test]
fn the_simulation_does_what_every_cloud_must_do() {
    conforms(1, SimConfig::prompt());
}

#[test]
fn it_does_so_with_ec2s_latency_and_eventual_consistency_too() {
    for seed in 1..=20 {
        conforms(seed, SimConfig::default());
    }
}
