//! How long a replacement takes on this host.

use super::*;
use std::time::Instant;

/// Not a check: prints how long a replacement takes (`--nocapture`, `--ignored`).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints times"]
async fn of_a_replacement() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let (volume, eni) = (new_volume(&cloud, "v").await, new_interface(&cloud, "e").await);
    let user_data = script("while :; do date >>/var/lib/data/log; sync /var/lib/data/log; done");
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    for hard in [true, false] {
        let mut held: Option<InstanceId> = None;
        for round in 0..20 {
            let begun = Instant::now();
            let mut last = begun;
            let mut step = |name: &'static str| {
                let ms = last.elapsed().as_secs_f64() * 1e3;
                last = Instant::now();
                match rows.iter_mut().find(|(n, _)| *n == name) {
                    Some((_, all)) => all.push(ms),
                    None => rows.push((name, vec![ms])),
                }
            };
            if let Some(id) = held.take() {
                if hard {
                    let ours = cloud.clone();
                    let work = move || ours.interrupt(&id, None).unwrap();
                    tokio::task::spawn_blocking(work).await.unwrap();
                    step("interrupt");
                } else {
                    terminate(&cloud, &id).await;
                    step("terminate");
                }
            }
            let token = format!("t{hard}{round}");
            let request = launch(&token, Some(eni.clone()), user_data.clone());
            let id = run(&cloud, request).await.id;
            step("run");
            must(&cloud, attach(&volume, &id)).await;
            step("attach");
            must(&cloud, open_gate(&volume, &id)).await;
            step("gate");
            let whole = begun.elapsed().as_secs_f64() * 1e3;
            let name = if hard { "whole, interrupted" } else { "whole, terminated" };
            if round > 0 {
                match rows.iter_mut().find(|(n, _)| *n == name) {
                    Some((_, all)) => all.push(whole),
                    None => rows.push((name, vec![whole])),
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            held = Some(id);
        }
        terminate(&cloud, &held.unwrap()).await;
    }
    for (name, mut all) in rows {
        all.sort_by(f64::total_cmp);
        println!(
            "{name}: {:.1} / {:.1} / {:.1} ms",
            all[0],
            all[all.len() / 2],
            all[all.len() - 1]
        );
    }
}
